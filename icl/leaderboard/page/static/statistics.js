// Figures of what the statistics say: where a row's spread comes from, what would settle a comparison, and one
// order of all settings over the tasks.

const PARTS = [
  ["seed", "more seeds lower it"],
  ["query", "more queries lower it"],
  ["rest", "both lower it"],
];

// Shares of the variance of each row's mean.
function variances(rows) {
  const known = rows.filter((row) => PARTS.some(([part]) => row.fields[`share_${part}`] > 0));
  if (!known.length) return null;
  const name = namer(rows);
  const points = known.flatMap((row, at) => {
    let from = 0;
    return PARTS.map(([part, said]) => {
      const share = inPercent(row.fields[`share_${part}`] ?? 0);
      return { at, part, said, name: name(row), row, share, from, to: (from += share) };
    });
  });
  const sd = (row, part) => (typeof row.fields[`sd_${part}`] === "number" ? `${part} ${percentText(100 * row.fields[`sd_${part}`])}` : null);
  const tip = (d) => `${d.name}\n${d.part}: ${d.share.toFixed(0)} % of the variance of the mean; ${d.said}\nsd in points: ${["seed", "set", "order", "query", "rest"].map((part) => sd(d.row, part)).filter(Boolean).join(", ")}`;
  return figure(
    "Where the spread comes from",
    (width) => {
      const { margin, letters } = leftOf(known.map(name), width);
      return Plot.plot({
        width,
        height: 60 + 22 * known.length,
        marginLeft: margin,
        x: { label: null, domain: [0, 100], grid: true },
        y: { label: null, domain: known.map((_, at) => at), tickFormat: (at) => cut(name(known[at]), letters), tickSize: 0, padding: 0.25 },
        color: { domain: PARTS.map(([part]) => part), range: ["#d97706", "#2563eb", "#9ca3af"], legend: true },
        marks: [
          Plot.barX(points, { y: "at", x1: "from", x2: "to", fill: "part", href: (d) => rowAddress(d.row) }),
          Plot.tip(points, Plot.pointer({ y: "at", x: (d) => (d.from + d.to) / 2, title: tip })),
        ],
      });
    },
    "shares in % of the variance of the mean: more seeds lower seed and rest, more queries query and rest",
  );
}

const counted = (n) => n.toLocaleString("en");

// What would settle a comparison, in words.
function powerText(fields) {
  const missing = [
    typeof fields.queries_needed === "number" ? `${counted(fields.queries_needed)} queries with as many seeds` : null,
    typeof fields.seeds_needed === "number" ? `${counted(fields.seeds_needed)} seeds with as many queries` : null,
  ].filter(Boolean);
  const least = typeof fields.detectable === "number" ? `; the smallest that these would settle: ${percent(fields.detectable)} points` : "";
  return `Power ${percent(fields.power)} % for a difference of this size; 80 % takes ${missing.join(", or ") || "more than could be asked"}${least}.`;
}

// Each row's difference from its baseline over the band in which these seeds and queries settle nothing.
function powers(rows) {
  const known = rows.filter((row) => typeof row.fields.power === "number");
  if (!known.length) return null;
  const name = namer(rows);
  const points = known.map((row, at) => {
    const f = row.fields;
    const limit = inPercent(f.detectable);
    return {
      at, name: name(row), kind: kindOf(row), href: rowAddress(row), said: powerText(f), power: `${(100 * f.power).toFixed(0)} %`,
      value: inPercent(f.difference), low: inPercent(f.difference_low), high: inPercent(f.difference_high), from: limit === null ? null : -limit, to: limit,
    };
  });
  return figure(
    `Difference from ${store.index.compare_to || "the baseline"} in points, and power`,
    (width) => {
      const { margin, letters } = leftOf(points.map((d) => d.name), width);
      return Plot.plot({
        width,
        height: 60 + 22 * points.length,
        marginLeft: margin,
        marginRight: 48,
        x: { label: null, grid: true },
        y: { type: "band", label: null, domain: points.map((d) => d.at), tickFormat: (at) => cut(points[at].name, letters), tickSize: 0, padding: 0.2 },
        color: kindTones(points),
        marks: [
          Plot.barX(points.filter((d) => d.to !== null), { y: "at", x1: "from", x2: "to", fill: "currentColor", fillOpacity: 0.1 }),
          Plot.ruleX([0], { strokeOpacity: 0.5 }),
          Plot.ruleY(points, { y: "at", x1: "low", x2: "high", stroke: "kind", strokeWidth: 2 }),
          Plot.dot(points, { y: "at", x: "value", r: 4.5, fill: "kind", href: "href" }),
          Plot.text(points, { y: "at", text: "power", frameAnchor: "right", dx: 44, textAnchor: "end" }),
          Plot.tip(points, Plot.pointerY({ y: "at", x: "value", lineWidth: 26, title: (d) => `${d.name}\n${told(d).split("\n")[1]}\n${d.said}` })),
        ],
      });
    },
    "grey: differences too small for these seeds and queries to settle in four runs of five; right: power for the size seen",
  );
}

// Bradley and Terry's strengths of all settings over the tasks.
function overallFigure() {
  const overall = store.index.overall;
  if (!overall) return null;
  if (overall.lacking) return [h("h3", {}, "Over all tasks"), h("p.dim", {}, `No overall order: ${overall.lacking}.`)];
  const several = new Set(overall.rows.map((row) => row.model)).size > 1;
  const name = namer(overall.rows.map(asRow), ["task"]);
  const points = overall.rows.map((row, at) => ({
    ...row, at, name: name(asRow(row)), value: row.strength, kind: kindOf(asRow(row)),
    href: address([], new URLSearchParams(NAMED.filter((key) => key !== "task" && (key !== "model" || several)).map((key) => [`is.${key}`, row[key]]))),
  }));
  const drawn = figure(
    `Strength over ${overall.tasks.length} tasks, with 95 % intervals`,
    (width) => {
      const { margin, letters } = leftOf(points.map((d) => d.name), width);
      return Plot.plot({
        width,
        height: 64 + 22 * points.length,
        marginLeft: margin,
        x: { grid: true, label: "log-odds of being the one that is right where one of two is" },
        y: { type: "point", label: null, domain: points.map((d) => d.at), tickFormat: (at) => cut(points[at].name, letters), tickSize: 0 },
        color: kindTones(points),
        marks: [
          Plot.ruleX([0], { strokeOpacity: 0.4 }),
          Plot.ruleY(points, { y: "at", x1: "low", x2: "high", stroke: "kind", strokeWidth: 2 }),
          Plot.dot(points, { y: "at", x: "value", r: 4.5, stroke: "kind", strokeWidth: 2, fill: "kind", fillOpacity: (d) => (d.leads ? 1 : 0), href: "href" }),
          Plot.tip(points, Plot.pointerY({ y: "at", x: "value", title: (d) => `${d.name}\n${d.value.toFixed(2)} [${d.low.toFixed(2)}, ${d.high.toFixed(2)}]\nwins ${percent(d.wins)} % against the others; ${d.tasks} tasks` })),
        ],
      });
    },
    "filled: the strongest, and what is not distinguishable from it",
  );
  return [h("h3", {}, "Over all tasks"), h("div.grid", {}, watched(drawn)), h("ul.dim", {}, overall.notes.map((line) => h("li", {}, line)))];
}

const asRow = (fields) => ({ fields, bare: fields.bare, reference: fields.bare && fields.tuning === "none", majority: false });
