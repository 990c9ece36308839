// One prediction in full: what the model was given, why, what came back, and how it was read.

async function drawPrediction(main, cellId, query) {
  const cell = cellOf(cellId);
  if (!cell) return drawMissing(main, cellId ? `No cell ${cellId} in this page.` : "The address names no prediction.");
  const row = store.index.rows[cell.row];
  const at = store.index.cells.indexOf(cell);
  const [held, shares] = await Promise.all([predictionsOf(cell), block(`h${at}`).catch(() => null)]);
  const c = held.columns;
  const i = c.query.findIndex((place) => held.ids[place] === query);
  if (i < 0) return drawMissing(main, `No query ${query} in ${cellId}. ${store.index.left_out || ""}`);
  const p = predictionAt(held, i);
  const [pieces, output, examples, asked] = await Promise.all([
    Promise.all(p.pieces.map(textOf)),
    p.output >= 0 ? textOf(p.output) : "",
    Promise.all(p.shown.map((one) => examplesOf(cell).of(one.place))),
    examplesOf(cell).of(p.queryPlace),
  ]);
  const neighbour = (step) => (i + step >= 0 && i + step < c.n ? predictionAddress(cell, held.ids[c.query[i + step]]) : null);
  fill(
    main,
    trail([["Leaderboard", asLeft(address([]))], [row.name, asLeft(rowAddress(row))], [`${p.query}, seed ${cell.seed}`]]),
    h("div.between", {}, h("h1", {}, p.query), h("nav", { "aria-label": "Neighbours" }, step("‹ Before", neighbour(-1), "before"), step("After ›", neighbour(1), "after"))),
    verdict(p),
    p.notes.map((said) => h("p.warn", {}, said)),
    promptBox(p, pieces, shares ? shares[i] : 0, asked),
    demonstrations(p, examples),
    labels(p),
    outputBox(p, output),
    chainsBox(p),
    elsewhere(p),
    detailsBox(p),
  );
}

const step = (text, href, name) => (href ? h("a.button", { href, "data-step": name }, text) : h("span.button.off", {}, text));

function verdict(p) {
  const none = p.flags.includes("abstained") ? "abstained" : "unparsed";
  return h(
    "p.verdict",
    {},
    h(p.correct ? "strong.right" : "strong.wrong", {}, `${p.correct ? "✓" : "✗"} answer ${p.answer ?? none}`),
    ` gold ${p.gold} `,
    p.flags.map((flag) => h("span.flag", {}, flag.replaceAll("_", " "))),
    p.dropped.map(([id, reason]) => h("span.flag", { title: reason }, `dropped ${id}`)),
  );
}

const KINDS = { i: "instruction", d: "demonstration", q: "query" };

// The pieces in their colours; what another prompt begins with alike is underlined.
function promptBox(p, pieces, shared, asked) {
  if (!pieces.length) return null;
  const [whole, more, same] = shared || [0, 0, 0];
  let turn = 0;
  const spans = pieces.map((text, at) => {
    const kind = KINDS[p.kinds[at]] || "query";
    const classes = kind === "demonstration" ? `demonstration.turn${turn++ % 2}` : kind;
    const end = at < whole ? text.length : at === whole ? more : 0;
    const parts = [end ? h("span.shared", {}, text.slice(0, end)) : null, text.slice(end)];
    return h(`span.${classes}`, { title: kind === "demonstration" ? `demonstration ${turn}: ${p.shown[turn - 1]?.id ?? ""}` : kind }, parts);
  });
  const characters = pieces.slice(0, whole).reduce((n, text) => n + text.length, 0) + more;
  const all = pieces.reduce((n, text) => n + text.length, 0);
  const said = [
    p.tokens ? `${p.tokens} tokens` : null,
    shared ? `${Math.round((100 * characters) / all)} % of its characters begin another prompt of ${store.index.left_out ? "this page" : "the run"} too (underlined)` : null,
    same ? `${same} other ${same === 1 ? "prediction" : "predictions"} had this very prompt` : null,
  ].filter(Boolean);
  return h(
    "section",
    { "aria-label": "Prompt" },
    h("h2", {}, "Prompt"),
    h("p.legend.dim", {}, h("span.instruction", {}, "instruction"), " ", h("span.demonstration.turn0", {}, "demonstrations"), " ", h("span.query", {}, "query"), said.length ? " · " + said.join(" · ") : ""),
    h("pre.prompt", {}, spans),
    asked && asked.choices ? h("p.dim", {}, Object.entries(asked.choices).map(([letter, text]) => `${letter}: ${text}`).join(" · ")) : null,
  );
}

function demonstrations(p, examples) {
  if (!p.shown.length) return null;
  const scores = p.shown.map((one) => one.score).filter((score) => typeof score === "number");
  const ranked = [...scores].sort((a, b) => b - a);
  const body = p.shown.map((one, at) => {
    const example = examples[at];
    return h(
      `tr.turn${at % 2}`,
      {},
      h("td.number", {}, at + 1),
      h("td", {}, one.id),
      h("td.number", {}, one.score === null ? "–" : compact(one.score)),
      h("td.number", {}, typeof one.score === "number" ? ranked.indexOf(one.score) + 1 : "–"),
      h("td", {}, example ? example.target : "?"),
      h("td.input", {}, example ? oneLine(example.text) : "its text is not kept"),
      h("td.dim.reasons", {}, one.why.map(([key, value]) => `${key} ${compact(value)}`).join(", ")),
    );
  });
  const heads = ["#", "id", "score", "rank", "target", "input", "why"];
  return h("section", { "aria-label": "Demonstrations" }, h("h2", {}, "Demonstrations, in prompt order"), h("div.scroll", {}, h("table.plain", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, body))));
}

function labels(p) {
  if (!p.labelScores.length) return null;
  const shares = probabilities(p.labelScores);
  const body = p.labelScores.map(([label, score], at) => {
    const bar = h("span.bar");
    bar.style.width = `${(100 * shares[at]).toFixed(1)}%`;
    const marks = [label === p.answer ? "answer" : null, label === p.gold ? "gold" : null].filter(Boolean).join(", ");
    return h("tr", {}, h("td", {}, label), h("td.number", {}, compact(score)), h("td.number", {}, percent(shares[at])), h(label === p.gold ? "td.bars.gold" : "td.bars", {}, bar), h("td.dim", {}, marks));
  });
  return h(
    "section",
    { "aria-label": "Labels" },
    h("h2", {}, "Labels"),
    h("div.scroll", {}, h("table.plain.labels", {}, h("thead", {}, h("tr", {}, ["label", "score", "% among them", "", ""].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, body))),
  );
}

function marked(text, span) {
  if (!span) return [text];
  return [text.slice(0, span[0]), h("mark", { title: "read as the answer" }, text.slice(span[0], span[1])), text.slice(span[1])];
}

function outputBox(p, output) {
  if (!output) return null;
  const readings = p.details.readings || {};
  const said = ["first", "last", "trigger"].filter((key) => readings[key] !== undefined).map((key) => `${key}: ${readings[key] ?? "none"}`);
  return h(
    "section",
    { "aria-label": "Output" },
    h("h2", {}, "Output"),
    h("pre", {}, marked(output, p.span)),
    said.length ? h("p.dim", {}, `Read by ${said.join(" · ")}`) : null,
  );
}

function chainsBox(p) {
  const chains = Array.isArray(p.details.chains) ? p.details.chains : [];
  if (chains.length < 2) return null;
  const votes = Object.entries(p.details.votes || {});
  const items = chains.map((chain, at) => {
    const about = [`${chain.steps} steps`, `${chain.tokens} tokens`, ...(chain.flags || [])].join(", ").replaceAll("_", " ");
    const right = chain.answer === p.gold;
    const head = [h(right ? "strong.right" : "strong.wrong", {}, chain.answer ?? "none"), ` ${about}`, at === p.details.chosen ? " · shown above" : ""];
    if (!chain.text) return h("li", {}, head);
    return h("li", {}, h("details", {}, h("summary", {}, head), h("pre", {}, marked(chain.text, p.chainSpans ? p.chainSpans[at] : 0))));
  });
  return h(
    "section",
    { "aria-label": "Chains" },
    h("h2", {}, `${chains.length} chains`),
    votes.length ? h("p", {}, "Votes: " + votes.map(([answer, n]) => `${answer} ${compact(n)}`).join(", ")) : null,
    h("ol.chains", {}, items),
  );
}

// The same query in the other cells of its task.
function elsewhere(p) {
  const cells = store.index.cells.filter((cell) => cell.examples === p.cell.examples && cell !== p.cell && cell.n);
  if (!cells.length) return null;
  const body = h("tbody");
  const show = async (event) => {
    if (!event.target.open || body.childElementCount) return;
    const lines = await Promise.all(cells.map(async (cell) => {
      const held = await predictionsOf(cell);
      const i = held.columns.query.indexOf(p.queryPlace);
      return i < 0 ? null : predictionAt(held, i);
    }));
    const found = lines.filter(Boolean);
    fill(body, found.map((other) =>
      h("tr", {}, h("td", {}, h("a", { href: predictionAddress(other.cell, other.query) }, store.index.rows[other.cell.row].name)), h("td.number", {}, other.cell.seed), h(other.correct ? "td.right" : "td.wrong", {}, (other.correct ? "✓ " : "✗ ") + (other.answer ?? "none"))),
    ));
  };
  return h("details", { ontoggle: show }, h("summary", {}, "This query in other rows"), h("div.scroll", {}, h("table.plain", {}, h("thead", {}, h("tr", {}, ["row", "seed", "answer"].map((head) => h("th", { scope: "col" }, head)))), body)));
}

function detailsBox(p) {
  const left = Object.entries(p.details).filter(([key]) => !["chains", "readings", "span", "votes"].includes(key));
  const [flat, unique, generated, seconds, requests] = p.usage || [];
  return h(
    "section",
    { "aria-label": "Cost and details" },
    h("h2", {}, "Cost and details"),
    p.usage && requests ? h("p", {}, `${requests} ${requests === 1 ? "request" : "requests"}, ${flat} tokens as a plain engine counts, ${unique} forwarded${unique < flat ? " (the others were shared)" : ""}, ${generated} generated, ${compact(seconds)} s`) : null,
    left.length ? h("pre", {}, left.map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("\n")) : null,
  );
}
