// Figures, drawn by Observable Plot as SVG: they follow the light, the print and the filter of the page.

const COSTS = [
  ["tokens_per_query", "tokens a query, as a plain engine counts"],
  ["tokens_flat", "tokens in all, as a plain engine counts"],
  ["tokens_unique", "tokens forwarded, shared prefixes once"],
  ["with_training", "tokens in all, choosing and training included"],
  ["seconds", "seconds"],
];

function figure(title, draw, note) {
  const holder = h("div.plot");
  const element = h("figure", { "aria-label": title }, h("figcaption", {}, title, note ? h("span.dim", {}, " " + note) : null), holder);
  element.redraw = () => {
    const width = Math.max(Math.min(holder.clientWidth || 640, 980), 280);
    const drawn = draw(width);
    if (drawn) fill(holder, drawn);
  };
  return element;
}

// After it stands in the page, and whenever its room changes.
const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const width = Math.round(target.clientWidth);
    if (target.drawnAt === width) continue;
    target.drawnAt = width;
    target.redraw();
  }
});
const watched = (element) => {
  watcher.observe(element);
  return element;
};

const inPercent = (x) => (typeof x === "number" ? 100 * x : null);
const cut = (text, most) => (text.length > most ? text.slice(0, Math.max(most - 1, 1)) + "…" : text);

function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = visible(`${row.fields.task} · ${row.fields.model}`);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups];
}

// By task and model, each with what it is called where there are several.
function boardFigures(rows) {
  const several = groupsOf(store.index.rows).length > 1;
  const found = groupsOf(rows).map(([place, group]) => {
    const figures = placeFigures(group).filter(Boolean);
    return figures.length ? [several ? h("h3", {}, place) : null, h("div.grid", {}, figures.map(watched))] : null;
  });
  const overall = overallFigure();
  if (overall) found.push(overall);
  return found.some(Boolean) ? [h("h2", {}, "Figures"), found] : [];
}

function placeFigures(group) {
  const metric = store.index.metric;
  const counted = group.filter((row) => row.fields.value !== undefined);
  const shown = new Set(group.filter((row) => row.fields.shots).map((row) => row.fields.orderer));
  return [
    counted.length ? dots(counted, `${metric} in % with 95 % intervals`) : null,
    severalShots(counted) ? overShots(counted, `${metric} in % against shots`) : null,
    counted.some((row) => costOf(row, "tokens_flat") > 0) ? overCost(counted, `${metric} in % against cost`) : null,
    strips(group, `Spread over ${shown.size > 1 ? "orders and " : ""}seeds`),
    variances(counted),
    powers(counted),
  ];
}

// Whether anything but the shots stays the same anywhere while they change.
function severalShots(rows) {
  const name = namer(rows, ["shots"]);
  const met = new Map();
  for (const row of rows.filter((row) => !row.bare)) met.set(name(row), (met.get(name(row)) || new Set()).add(row.fields.shots));
  return [...met.values()].some((shots) => shots.size > 1);
}

const pointOf = (row, name) => ({
  name: name(row),
  value: inPercent(row.fields.value),
  low: inPercent(row.fields.low),
  high: inPercent(row.fields.high),
  kind: kindOf(row),
  hollow: row.reference,
  group: row.fields.rank_group,
  href: rowAddress(row),
});

const told = (d) => `${d.name}\n${percentText(d.value)} [${percentText(d.low)}, ${percentText(d.high)}]`;
const percentText = (x) => (typeof x === "number" ? x.toFixed(1) : "–");

function dots(rows, title) {
  const grouped = rows.some((row) => row.fields.rank_group !== undefined);
  const draw = (width) => {
    const name = namer(rows);
    const points = rows.map((row, at) => ({ ...pointOf(row, name), at }));
    const { margin, letters } = leftOf(points.map((d) => d.name), width);
    return Plot.plot({
      width,
      height: 60 + 22 * points.length,
      marginLeft: margin,
      marginRight: 34,
      x: { grid: true, label: null },
      y: { type: "point", label: null, domain: points.map((d) => d.at), tickFormat: (at) => cut(points[at].name, letters), tickSize: 0 },
      color: kindTones(points),
      marks: [
        Plot.ruleY(points, { y: "at", x1: "low", x2: "high", stroke: "kind", strokeWidth: 2 }),
        Plot.dot(points, { y: "at", x: "value", r: 4.5, stroke: "kind", strokeWidth: 2, fill: "kind", fillOpacity: (d) => (d.hollow ? 0 : 1), href: "href" }),
        Plot.text(points, { y: "at", text: (d) => (d.group ? String(d.group) : ""), frameAnchor: "right", dx: 24, fontWeight: (d) => (d.group === 1 ? 700 : 400), fillOpacity: (d) => (d.group === 1 ? 1 : 0.6) }),
        Plot.tip(points, Plot.pointerY({ y: "at", x: "value", title: (d) => (d.group ? `${told(d)}\nrank group ${d.group}` : told(d)) })),
      ],
    });
  };
  return figure(title, draw, grouped ? "right: rank group; 1 is not distinguishable from the best" : null);
}

function overShots(rows, title) {
  return figure(title, (width) => {
    const name = namer(store.index.rows, ["shots", "model", "task"]);
    const points = rows.filter((row) => !row.bare).map((row) => ({ ...pointOf(row, name), shots: row.fields.shots }));
    const levels = rows.filter((row) => row.reference).map((row) => pointOf(row, name));
    points.sort((a, b) => a.shots - b.shots);
    const ticks = [...new Set(points.map((d) => d.shots))].sort((a, b) => a - b);
    const doubling = ticks[0] > 0 && ticks[ticks.length - 1] / ticks[0] >= 8;
    return Plot.plot({
      width,
      height: 320,
      marginRight: 12,
      x: { label: "shots", type: doubling ? "log" : "linear", base: 2, ticks, tickFormat: (x) => String(x), inset: 12 },
      y: { label: `${store.index.metric} (%)`, grid: true, nice: true },
      color: { ...tones(store.index.rows.map(name), points.map((d) => d.name)), legend: true },
      marks: [
        Plot.ruleY(levels, { y: "value", strokeDasharray: "5 4", strokeOpacity: 0.6 }),
        Plot.text(levels, { y: "value", text: "name", frameAnchor: "right", dy: -7, textAnchor: "end", fillOpacity: 0.7 }),
        Plot.ruleX(points, { x: "shots", y1: "low", y2: "high", stroke: "name", strokeOpacity: 0.5 }),
        Plot.line(points, { x: "shots", y: "value", z: "name", stroke: "name", strokeWidth: 2 }),
        Plot.dot(points, { x: "shots", y: "value", fill: "name", r: 4, href: "href" }),
        Plot.tip(points, Plot.pointer({ x: "shots", y: "value", title: told })),
      ],
    });
  });
}

function costOf(row, axis) {
  if (axis !== "with_training") return row.fields[axis];
  const f = row.fields;
  return (f.tokens_flat || 0) + (f.selection_tokens || 0) + (f.training_tokens || 0) + (f.training_tokens_validation || 0);
}

function overCost(rows, title) {
  const settings = readRoute().settings;
  const axes = COSTS.filter(([axis]) => rows.some((row) => costOf(row, axis)));
  let axis = axes.some(([key]) => key === settings.get("cost")) ? settings.get("cost") : axes[0][0];
  const element = figure(title, (width) => {
    const name = namer(rows);
    const points = rows.filter((row) => costOf(row, axis) > 0).map((row) => ({ ...pointOf(row, name), cost: costOf(row, axis) }));
    if (!points.length) return null;
    const costs = points.map((d) => d.cost);
    return Plot.plot({
      width,
      height: 320,
      x: { label: COSTS.find(([key]) => key === axis)[1], type: Math.max(...costs) / Math.min(...costs) > 20 ? "log" : "linear", inset: 14, grid: true, tickFormat: "~s", ticks: 6 },
      y: { label: `${store.index.metric} (%)`, grid: true, nice: true },
      color: { ...kindTones(points), legend: true },
      marks: [
        Plot.ruleX(points, { x: "cost", y1: "low", y2: "high", stroke: "kind", strokeOpacity: 0.5 }),
        Plot.dot(points, { x: "cost", y: "value", stroke: "kind", strokeWidth: 2, fill: "kind", fillOpacity: (d) => (d.hollow ? 0 : 1), r: 4.5, href: "href" }),
        Plot.tip(points, Plot.pointer({ x: "cost", y: "value", title: (d) => `${told(d)}\n${compact(d.cost)}` })),
      ],
    });
  });
  const change = (event) => {
    axis = event.target.value;
    setSettings({ cost: axis });
    element.redraw();
  };
  element.querySelector("figcaption").append(" ", h("select", { "aria-label": "Cost", onchange: change }, axes.map(([key, said]) => h("option", { value: key, selected: key === axis }, said))));
  return element;
}

// One dot a cell. Rows that differ in their order only share a line.
function strips(rows, title) {
  const cells = rows.filter((row) => !row.majority).flatMap((row) => cellsOf(row).filter((cell) => cell.n).map((cell) => [row, cell]));
  if (cells.length < 2) return null;
  const name = namer(rows, ["orderer"]);
  const points = cells.map(([row, cell]) => ({
    name: name(row),
    order: visible(row.fields.shots ? shortOf("orderer", row.fields.orderer) : "-"),
    value: inPercent(cell.value),
    seed: cell.seed,
    whole: cell.complete,
    n: cell.n,
    href: rowAddress(row, new URLSearchParams({ seed: cell.seed })),
  }));
  const names = [...new Set(points.map((d) => d.name))];
  const orders = new Set(points.filter((d) => d.order !== "-").map((d) => d.order)).size;
  return figure(
    title,
    (width) => {
      const { margin, letters } = leftOf(names, width);
      return Plot.plot({
        width,
        height: 60 + 22 * names.length,
        marginLeft: margin,
        x: { grid: true, label: null, nice: true, inset: 6 },
        y: { label: null, domain: names, tickFormat: (said) => cut(said, letters), tickSize: 0 },
        color: { legend: orders > 1 },
        marks: [
          Plot.tickX(points, { x: "value", y: "name", stroke: orders > 1 ? "order" : "currentColor", strokeOpacity: 0.35 }),
          Plot.dot(points, { x: "value", y: "name", fill: orders > 1 ? "order" : "currentColor", fillOpacity: (d) => (d.whole ? 0.8 : 0.25), r: 3.5, href: "href" }),
          Plot.tip(points, Plot.pointer({ x: "value", y: "name", title: (d) => `${d.name}\n${d.order}, seed ${d.seed}: ${d.value.toFixed(1)} of ${d.n}${d.whole ? "" : " so far"}` })),
        ],
      });
    },
    "one dot a seed",
  );
}

