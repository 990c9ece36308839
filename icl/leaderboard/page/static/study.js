// A study of the mechanism: claims with the control beside them, figures, tables, notes, what it was made with.

const HOLDS = (holds) => (holds === null ? h("td.dim", {}, "not settled") : holds ? h("td.right", {}, "yes") : h("td.wrong", {}, "no"));

function drawStudy(main) {
  const { report, manifest } = store.index;
  fill(
    main,
    h("h1", {}, store.index.title),
    h("p.dim", {}, studied(report)),
    report.complete ? null : h("p.warn", {}, "Not finished: this is what the steps that are done have found."),
    h("section", { "aria-label": "Claims" }, h("h2", {}, "Claims"), claimTable(report.claims)),
    report.figures.length ? h("section.figures", { "aria-label": "Figures" }, h("h2", {}, "Figures"), h("div.grid", {}, report.figures.map((one) => watched(studyFigure(one))))) : null,
    report.tables.map((table) => h("section", { "aria-label": table.name }, h("h2", {}, table.name), studyTable(table.columns, table.rows))),
    report.notes.length ? h("section.notes", { "aria-label": "Notes" }, h("h2", {}, "Notes"), h("ul", {}, report.notes.map((note) => h("li", {}, note)))) : null,
    h("section", { "aria-label": "Steps" }, h("h2", {}, "Steps"), studyTable(["step", "units", "of", "seconds"], report.steps.map((one) => [one.step, one.units, one.unit, one.seconds]))),
    h("details", {}, h("summary", {}, "Made with"), h("pre", {}, JSON.stringify(manifest, null, 1))),
  );
}

function studied(report) {
  const said = [`Study ${report.study}`, `preset ${report.preset}`];
  if (report.model) said.push(`model ${report.model.name}`);
  if (report.tasks.length) said.push(`tasks ${report.tasks.join(", ")}`);
  said.push(`seed ${report.seed}`);
  const given = Object.entries(report.parameters).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return `${said.join(" · ")}${given.length ? ` · ${given.join(", ")}` : ""}`;
}

function claimTable(claims) {
  const rows = claims.map((one) => h("tr.claim", {}, h("td.reasons", {}, one.said), h("td.reasons", {}, one.measured), h("td.reasons", {}, one.control), HOLDS(one.holds)));
  return h("div.scroll", {}, h("table", {}, headOf(["expected", "measured", "control", "holds"]), h("tbody", {}, rows)));
}

const headOf = (names, numeric = []) => h("thead", {}, h("tr", {}, names.map((name, at) => h(numeric[at] ? "th.number" : "th", { scope: "col" }, name))));

function studyTable(columns, rows) {
  const numeric = columns.map((_, at) => rows.some((row) => typeof row[at] === "number"));
  const cell = (value, at) => (value === null ? h("td.dim", {}, "–") : numeric[at] ? h("td.number", {}, compact(value)) : h("td.long", {}, compact(value)));
  return h("div.scroll", {}, h("table.plain", {}, headOf(columns, numeric), h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))));
}

function studyFigure(one) {
  if (one.cells.length) return figure(one.title, (width) => cellMap(one, width));
  const all = one.series.map((series) => ({ ...series, name: visible(series.name), points: pointsOf(series) }));
  const drawable = (d) => (!one.log_x || d.x > 0) && (!one.log_y || d.y === null || d.y > 0);
  const kept = all.map((series) => ({ ...series, points: series.points.filter(drawable) }));
  const lost = all.reduce((sum, series, at) => sum + series.points.length - kept[at].points.length, 0);
  const bars = kept.length > 0 && kept.every((series) => series.kind === "bars");
  const notes = [kept.some((series) => series.control) ? "control: dashed or pale" : null, lost ? `${lost} points at or below 0 have no place on a logarithmic axis` : null];
  return figure(one.title, (width) => (bars ? barPlot(one, kept, width) : linePlot(one, kept, width)), notes.filter(Boolean).join("; ") || null);
}

// All places of a series; y is null where nothing was measured, which breaks a line.
function pointsOf(series) {
  return series.x.map((x, at) => ({
    x: typeof x === "string" ? visible(x) : x,
    y: series.y[at] ?? null,
    low: series.low[at] ?? null,
    high: series.high[at] ?? null,
    name: visible(series.name),
  }));
}

// The axis of y. What lies above its highest number is cut off.
function yAxis(one) {
  const cut = one.highest !== null && one.highest !== undefined;
  const scale = cut ? { domain: [0, one.highest] } : one.log_y ? { type: "log" } : {};
  return { label: cut ? `${visible(one.y)}, cut off at ${one.highest}` : visible(one.y), grid: true, ...scale };
}

const measured = (points) => points.filter((d) => d.y !== null);

// The places of all series in the order in which they come; long names stand aslant.
function placesOf(all) {
  const domain = [...new Set(all.flatMap((series) => series.points.map((d) => d.x)))];
  if (domain.every((x) => typeof x === "number")) domain.sort((a, b) => a - b);
  const aslant = domain.some((x) => String(x).length > 8) || domain.length > 12;
  return { domain, tickRotate: aslant ? -30 : 0, tickFormat: (x) => cut(String(x), 16) };
}

const pointText = (d) => `${d.name}\n${compact(d.x)}: ${compact(d.y)}${d.low === null ? "" : ` [${compact(d.low)}, ${compact(d.high)}]`}`;

function linePlot(one, all, width) {
  const named = all.some((series) => series.points.some((d) => typeof d.x === "string"));
  const marks = all.flatMap((series) => {
    const ends = series.points.filter((d) => d.low !== null && d.high !== null && (!one.log_y || d.low > 0));
    const look = series.control ? { strokeDasharray: "5,4" } : {};
    if (series.kind === "line" && !named)
      return [
        Plot.areaY(ends, { x: "x", y1: "low", y2: "high", fill: "name", fillOpacity: 0.13 }),
        Plot.lineY(series.points, { x: "x", y: "y", stroke: "name", strokeWidth: 2, ...look }),
        Plot.dot(measured(series.points), { x: "x", y: "y", fill: "name", r: series.points.length > 40 ? 0 : 2.5 }),
      ];
    return [
      Plot.ruleX(ends, { x: "x", y1: "low", y2: "high", stroke: "name", strokeOpacity: 0.6, ...look }),
      series.kind === "line" ? Plot.lineY(series.points, { x: "x", y: "y", stroke: "name", ...look }) : null,
      Plot.dot(measured(series.points), { x: "x", y: "y", stroke: "name", r: 4, strokeWidth: 2, fill: "name", fillOpacity: series.control ? 0 : 1 }),
    ];
  });
  const points = measured(all.flatMap((series) => series.points));
  return Plot.plot({
    width,
    height: 340,
    clip: one.highest !== null && one.highest !== undefined,
    marginLeft: 56,
    marginBottom: named ? 80 : 42,
    x: { label: visible(one.x), grid: true, ...(named ? { type: "point", ...placesOf(all) } : one.log_x ? { type: "log" } : {}) },
    y: yAxis(one),
    color: { legend: true, domain: all.map((series) => series.name) },
    marks: [...marks, Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: pointText }))],
  });
}

// Bars of one place side by side.
function barPlot(one, all, width) {
  const pale = new Set(all.filter((series) => series.control).map((series) => series.name));
  const points = measured(all.flatMap((series) => series.points));
  const ends = points.filter((d) => d.low !== null && d.high !== null);
  return Plot.plot({
    width,
    height: 340,
    clip: one.highest !== null && one.highest !== undefined,
    marginLeft: 56,
    marginBottom: 70,
    fx: { label: visible(one.x), axis: "bottom", ...placesOf(all) },
    x: { axis: null, domain: all.map((series) => series.name) },
    y: yAxis(one),
    color: { legend: true, domain: all.map((series) => series.name) },
    marks: [
      Plot.barY(points, { fx: "x", x: "name", y: "y", fill: "name", fillOpacity: (d) => (pale.has(d.name) ? 0.45 : 1), title: pointText }),
      Plot.ruleX(ends, { fx: "x", x: "name", y1: "low", y2: "high", strokeWidth: 1.5 }),
      one.log_y ? null : Plot.ruleY([0]),
    ],
  });
}

// Rows from below up; of a long axis some places are named.
function cellMap(one, width) {
  const cells = one.cells.flatMap((row, y) => row.map((value, x) => ({ x, y, value }))).filter((d) => d.value !== null);
  const columns = Math.max(...one.cells.map((row) => row.length));
  const some = (n, most) => Array.from({ length: n }, (_, at) => at).filter((at) => at % Math.ceil(n / most) === 0);
  return Plot.plot({
    width,
    height: Math.min(70 + 16 * one.cells.length, 520),
    marginLeft: 48,
    marginBottom: 40,
    x: { label: visible(one.x), type: "band", domain: some(columns, columns), ticks: some(columns, 20), tickSize: 0 },
    y: { label: visible(one.y), type: "band", domain: some(one.cells.length, one.cells.length), reverse: true, ticks: some(one.cells.length, 16), tickSize: 0 },
    color: { legend: true, scheme: "Viridis", label: null },
    marks: [Plot.cell(cells, { x: "x", y: "y", fill: "value", inset: 0, title: (d) => `${visible(one.y)} ${d.y}, ${visible(one.x)} ${d.x}: ${compact(d.value)}` })],
  });
}
