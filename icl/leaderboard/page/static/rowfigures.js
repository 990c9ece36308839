// Figures of one row: its seeds, its confusions, how sure it was, its labels, its chains.

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
