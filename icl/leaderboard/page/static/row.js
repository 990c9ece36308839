// One row: its numbers, its figures, how its answers were read, and its predictions.

async function drawRow(main, id) {
  const row = rowOf(id);
  if (!row) return drawMissing(main, id ? `No row ${id} in this page.` : "The address names no row.");
  const cells = cellsOf(row);
  const details = cells.length ? await block(`r${store.index.rows.indexOf(row)}`) : null;
  const listing = h("section", { "aria-label": "Predictions" });
  fill(
    main,
    trail([["Leaderboard", asLeft(address([]))], [row.name]]),
    h("h1", {}, row.name),
    h("p.dim", {}, `${row.fields.model} · ${row.fields.task}`),
    row.incomplete.length ? h("p.warn", {}, "Not complete: " + row.incomplete.join("; ")) : null,
    numbers(row),
    rowFigures(row, cells, details),
    details && details.reading.predictions ? readingTable(row, details.reading) : null,
    listing,
  );
  if (cells.length) await drawListing(listing, row, cells);
}

function drawMissing(main, text) {
  fill(main, trail([["Leaderboard", address([])]]), h("h1", {}, "Not here"), h("p", {}, text));
}

function trail(steps) {
  const said = steps.map(([text, href]) => h("li", {}, href ? h("a", { href }, text) : h("span", { "aria-current": "page" }, text)));
  return h("nav.trail", { "aria-label": "Where" }, h("ol", {}, said));
}

function numbers(row) {
  const shown = store.index.columns.filter((c) => !c.field && row.shown[c.key] && !NAMED.includes(c.key));
  const settings = NAMED.map((key) => [key, String(row.fields[key])]);
  const pairs = [...settings, ...shown.map((c) => [c.header, row.shown[c.key]])];
  const baseline = row.fields.baseline ? h("p.dim", {}, `Compared with ${row.fields.baseline}: ${row.fields.pairs} pairs, ${row.fields.test}.`) : null;
  const power = typeof row.fields.power === "number" ? h("p.dim", {}, powerText(row.fields)) : null;
  return h("div", {}, h("dl.numbers", {}, pairs.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))), baseline, power);
}

const READING = [
  ["unparsed", "no answer could be read", "answer:none"],
  ["abstained", "the model says that it does not know", "flag:abstained"],
  ["cut", "ended at the token limit", "flag:cut_by_length"],
  ["differ", "first, last and trigger reading differ", "flag:_disagree"],
  ["tied", "tied votes", "flag:tied_vote"],
];

function readingTable(row, reading) {
  const link = (text, only) => h("a", { href: rowAddress(row, new URLSearchParams({ only })) }, text);
  const lines = reading.read ? READING.filter(([key]) => reading[key]).map(([key, said, only]) => h("tr", {}, h("td", {}, link(said, only)), h("td.number", {}, reading[key]))) : [];
  const flags = Object.entries(reading.flags).map(([flag, n]) => h("tr", {}, h("td", {}, link(flag.replaceAll("_", " "), `flag:${flag}`)), h("td.number", {}, n)));
  if (!lines.length && !flags.length && !reading.read) return null;
  return h(
    "section",
    { "aria-label": "How answers were read" },
    h("h2", {}, "How answers were read"),
    h("p.dim", {}, reading.read ? `${reading.read} of ${reading.predictions} answers were read out of a text.` : "Labels were scored; flags:"),
    h("div.scroll", {}, h("table.plain", {}, h("tbody", {}, lines, flags))),
  );
}
