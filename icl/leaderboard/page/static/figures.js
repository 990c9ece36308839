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

// A row by what differs among `rows`, `without` some settings.
function namer(rows, without = []) {
  const plain = rows.filter((row) => !row.reference);
  const differing = NAMED.filter((key) => key !== "selector" && !without.includes(key) && new Set((key === "tuning" ? rows : plain).map((row) => row.fields[key])).size > 1);
  return (row) => {
    const extras = differing.filter((key) => !row.reference || ["model", "task", "tuning"].includes(key));
    return visible([row.fields.selector, ...extras.map((key) => (key === "shots" ? `${row.fields.shots}-shot` : row.fields[key]))].join(" "));
  };
}

function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = visible(`${row.fields.task} · ${row.fields.model}`);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups];
}

function boardFigures(rows) {
  const found = [];
  for (const [place, group] of groupsOf(rows)) {
    const counted = group.filter((row) => row.fields.value !== undefined);
    const where = groupsOf(store.index.rows).length > 1 ? `: ${place}` : "";
    if (counted.length) found.push(dots(counted, `${store.index.metric} in % with 95 % intervals${where}`));
    const shots = new Set(counted.filter((row) => !row.reference).map((row) => row.fields.shots));
    if (shots.size > 1) found.push(overShots(counted, `${store.index.metric} in % against shots${where}`));
    if (counted.some((row) => row.fields.tokens_flat)) found.push(overCost(counted, `${store.index.metric} in % against cost${where}`));
    const strip = strips(group, `Spread over ${new Set(group.filter((row) => row.fields.shots).map((row) => row.fields.orderer)).size > 1 ? "orders and " : ""}seeds${where}`);
    if (strip) found.push(strip);
  }
  return found.length ? [h("h2", {}, "Figures"), h("div.grid", {}, found.map(watched))] : [];
}

const pointOf = (row, name) => ({
  name: name(row),
  value: inPercent(row.fields.value),
  low: inPercent(row.fields.low),
  high: inPercent(row.fields.high),
  kind: visible(row.fields.selector),
  hollow: row.reference,
  href: rowAddress(row),
});

const told = (d) => `${d.name}\n${d.value.toFixed(1)} [${d.low.toFixed(1)}, ${d.high.toFixed(1)}]`;

function leftOf(names, width) {
  const letters = Math.max(...names.map((name) => name.length));
  const margin = Math.min(Math.max(letters * 6.4 + 14, 60), width * 0.45);
  return { margin, letters: Math.floor((margin - 12) / 6.4) };
}

function dots(rows, title) {
  return figure(title, (width) => {
    const name = namer(rows);
    const points = rows.map((row, at) => ({ ...pointOf(row, name), at }));
    const { margin, letters } = leftOf(points.map((d) => d.name), width);
    return Plot.plot({
      width,
      height: 60 + 22 * points.length,
      marginLeft: margin,
      x: { grid: true, label: null },
      y: { type: "point", label: null, domain: points.map((d) => d.at), tickFormat: (at) => cut(points[at].name, letters), tickSize: 0 },
      color: { legend: false },
      marks: [
        Plot.ruleY(points, { y: "at", x1: "low", x2: "high", stroke: "kind", strokeWidth: 2 }),
        Plot.dot(points, { y: "at", x: "value", r: 4.5, stroke: "kind", strokeWidth: 2, fill: "kind", fillOpacity: (d) => (d.hollow ? 0 : 1), href: "href" }),
        Plot.tip(points, Plot.pointerY({ y: "at", x: "value", title: told })),
      ],
    });
  });
}

function overShots(rows, title) {
  return figure(title, (width) => {
    const name = namer(rows, ["shots"]);
    const points = rows.filter((row) => !row.reference).map((row) => ({ ...pointOf(row, name), shots: row.fields.shots }));
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
      color: { legend: true },
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
      color: { legend: true },
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
    order: visible(row.fields.shots ? row.fields.orderer : "-"),
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
        x: { grid: true, label: null, nice: true },
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

function rowFigures(row, cells, details) {
  const found = [];
  const alike = store.index.rows.filter((other) => other === row || NAMED.every((key) => key === "orderer" || other.fields[key] === row.fields[key]));
  const strip = strips(alike, alike.length > 1 ? "Spread over orders and seeds, in %" : "Spread over seeds, in %");
  if (strip) found.push(strip);
  if (details) {
    if (details.confusion.length > 1) found.push(confusion(row, details.confusion));
    if (details.calibration?.bins.length) found.push(reliability(details.calibration));
    if (details.calibration) found.push(labelShares(details.calibration));
    if (details.chains) found.push(chainCurves(details.chains));
  }
  return found.length ? h("section.figures", { "aria-label": "Figures" }, h("div.grid", {}, found.map(watched))) : null;
}

const NONE = "(none)";

function confusion(row, counts) {
  const total = new Map();
  for (const [gold, , n] of counts) total.set(gold, (total.get(gold) || 0) + n);
  const golds = [...total.keys()].sort();
  const answers = [...new Set([...golds, ...counts.map(([, answer]) => answer ?? NONE)])];
  const places = counts.map(([gold, answer, n]) => ({
    gold: visible(gold),
    answer: visible(answer ?? NONE),
    share: n / total.get(gold),
    n,
    href: rowAddress(row, new URLSearchParams({ gold, answer: answer ?? "" })),
  }));
  return figure(
    "Confusions: gold down, answers across",
    (width) => {
      const { margin, letters } = leftOf(golds, width);
      const room = (width - margin) / answers.length;
      const small = room < 26;
      return Plot.plot({
        width,
        height: 70 + Math.min(28, Math.max(10, 420 / golds.length)) * golds.length,
        marginLeft: margin,
        marginTop: 24 + (room < 60 ? 40 : 0),
        padding: 0.04,
        x: { domain: answers.map(visible), axis: "top", label: null, tickRotate: room < 60 ? -40 : 0, tickSize: 0, tickFormat: (said) => cut(said, room < 60 ? 9 : Math.floor(room / 6.4)) },
        y: { domain: golds.map(visible), label: null, tickSize: 0, tickFormat: (said) => cut(said, letters) },
        color: { scheme: "Blues", domain: [0, 1], type: "linear" },
        marks: [
          Plot.cell(places, { x: "answer", y: "gold", fill: "share", href: "href", title: (d) => `${d.gold} → ${d.answer}: ${d.n}` }),
          small ? null : Plot.text(places, { x: "answer", y: "gold", text: (d) => String(d.n), fill: (d) => (d.share > 0.5 ? "white" : "black"), pointerEvents: "none" }),
        ],
      });
    },
    "a cell opens its predictions",
  );
}

function reliability(calibration) {
  const points = calibration.bins.map(([sure, right, n]) => ({ sure, right, n }));
  return figure(
    "Reliability",
    (width) =>
      Plot.plot({
        width: Math.min(width, 460),
        height: 340,
        x: { label: "probability of the answer", domain: [0, 1], grid: true },
        y: { label: "share right", domain: [0, 1], grid: true },
        r: { range: [3, 14] },
        marks: [
          Plot.line([[0, 0], [1, 1]], { strokeDasharray: "5 4", strokeOpacity: 0.6 }),
          Plot.ruleX(points, { x: "sure", y1: "right", y2: "sure", stroke: "#d97706" }),
          Plot.dot(points, { x: "sure", y: "right", r: "n", fill: "#2563eb", fillOpacity: 0.75 }),
          Plot.tip(points, Plot.pointer({ x: "sure", y: "right", title: (d) => `says ${(100 * d.sure).toFixed(1)} %, right ${(100 * d.right).toFixed(1)} %\n${d.n} predictions` })),
        ],
      }),
    `expected calibration error ${percent(calibration.ece)} %; on the dashed line, what the model says is what comes true`,
  );
}

// How often each label is the answer, against how often it is the gold.
function labelShares(calibration) {
  const rows = calibration.labels.map(([label, answers, golds]) => ({ label: visible(label), answers: 100 * answers, golds: 100 * golds }));
  const points = rows.flatMap((row) => ["answers", "golds"].map((kind) => ({ label: row.label, kind, share: row[kind] })));
  return figure(
    "Label shares in %",
    (width) => {
      const { margin, letters } = leftOf(rows.map((row) => row.label), width);
      return Plot.plot({
        width,
        height: 50 + 22 * rows.length,
        marginLeft: margin,
        x: { grid: true, label: null, zero: true },
        y: { type: "point", label: null, domain: rows.map((row) => row.label), tickSize: 0, tickFormat: (said) => cut(said, letters) },
        color: { domain: ["answers", "golds"], range: ["#2563eb", "#d97706"], legend: true },
        marks: [
          Plot.ruleY(rows, { y: "label", x1: "golds", x2: "answers", strokeOpacity: 0.5 }),
          Plot.dot(points, { y: "label", x: "share", fill: "kind", r: 4 }),
          Plot.tip(points, Plot.pointer({ y: "label", x: "share", title: (d) => `${d.label}: ${d.share.toFixed(1)} % of the ${d.kind}` })),
        ],
      });
    },
    `${percent(calibration.bias)} % of the answers would have to be another label`,
  );
}

const RULES = { majority: "maj@k", longest: "longest@k", weighted: "verifier@k", any: "pass@k" };

function chainCurves(chains) {
  const points = Object.entries(chains.rules).flatMap(([rule, line]) =>
    line.map(([value, low, high], i) => ({ rule: RULES[rule] || rule, k: chains.n[i], value: 100 * value, low: 100 * low, high: 100 * high })),
  );
  return figure(
    "maj@k and pass@k, in %",
    (width) =>
      Plot.plot({
        width,
        height: 320,
        x: { label: "chains k", type: "log", base: 2, ticks: chains.n, tickFormat: (x) => String(x), inset: 12 },
        y: { grid: true, nice: true, label: null },
        color: { legend: true },
        marks: [
          Plot.areaY(points, { x: "k", y1: "low", y2: "high", fill: "rule", fillOpacity: 0.12 }),
          Plot.line(points, { x: "k", y: "value", stroke: "rule", strokeWidth: 2 }),
          Plot.dot(points, { x: "k", y: "value", fill: "rule", r: 4 }),
          Plot.tip(points, Plot.pointer({ x: "k", y: "value", title: (d) => `${d.rule}, ${d.k} chains\n${d.value.toFixed(1)} [${d.low.toFixed(1)}, ${d.high.toFixed(1)}]` })),
        ],
      }),
    chains.adaptive ? "drawn until the vote was decided" : "of the stored chains",
  );
}
