// The predictions of a row, a page at a time, with filters that stand in the address.

const PAGE = 50;

async function drawListing(section, row, cells) {
  const held = await Promise.all(cells.filter((cell) => cell.n).map(predictionsOf));
  const everything = held.flatMap((one) => Array.from({ length: one.columns.n }, (_, i) => [one, i]));
  const list = h("div.scroll");
  const count = h("p.dim", { role: "status" });
  const pager = h("div.controls.pager");
  const update = async () => {
    const { settings } = readRoute();
    const found = everything.filter(wanted(settings));
    const last = Math.max(Math.ceil(found.length / PAGE) - 1, 0);
    const page = Math.min(Math.max(Math.trunc(Number(settings.get("page"))) || 0, 0), last);
    fill(count, `${found.length.toLocaleString("en")} of ${everything.length.toLocaleString("en")} predictions`);
    const go = (to) => () => {
      setSettings({ page: to || null });
      update();
    };
    fill(
      pager,
      h("button", { type: "button", disabled: page === 0, onclick: go(page - 1) }, "‹ Before"),
      h("span.dim", {}, `${page + 1} of ${last + 1}`),
      h("button", { type: "button", disabled: page === last, onclick: go(page + 1) }, "After ›"),
    );
    const lines = await Promise.all(found.slice(page * PAGE, (page + 1) * PAGE).map(line));
    fill(list, listingTable(lines, cells.length > 1));
  };
  fill(section, h("h2", {}, "Predictions"), leftOut(), listingControls(held, cells, update), count, list, pager);
  await update();
}

function wanted(settings) {
  const only = settings.get("only") || "";
  const seed = settings.get("seed");
  const text = (settings.get("query") || "").toLowerCase();
  const gold = settings.get("gold");
  const answer = settings.get("answer");
  const [kind, name] = only.split(":");
  return ([held, i]) => {
    const c = held.columns;
    if (seed && String(held.cell.seed) !== seed) return false;
    if (text && !held.ids[c.query[i]].toLowerCase().includes(text)) return false;
    if (gold !== null && c.golds[c.gold[i]] !== gold) return false;
    if (answer !== null && (c.answer[i] < 0 ? "" : c.answers[c.answer[i]]) !== answer) return false;
    if (only === "right") return c.correct[i] === "1";
    if (only === "wrong") return c.correct[i] === "0";
    if (only === "flagged") return Boolean(c.flag && c.flag[i].length);
    if (only === "answer:none") return c.answer[i] < 0;
    if (only && kind !== "flag") return false;
    if (kind === "flag") return Boolean(c.flag && c.flag[i].some((f) => c.flags[f].endsWith(name)));
    return true;
  };
}

function listingControls(held, cells, update) {
  const { settings } = readRoute();
  const flags = [...new Set(held.flatMap((one) => one.columns.flags))].sort();
  const only = ["right", "wrong", "flagged", "answer:none", ...flags.map((flag) => `flag:${flag}`)];
  if (settings.get("only") && !only.includes(settings.get("only"))) only.push(settings.get("only"));
  const named = { "answer:none": "no answer read", flagged: "flagged (any)" };
  const select = (key, label, values, words) =>
    h(
      "select",
      { "aria-label": label, "data-key": key, onchange: (e) => change({ [key]: e.target.value }) },
      h("option", { value: "" }, words),
      values.map((v) => h("option", { value: v, selected: settings.get(key) === String(v) }, named[v] || String(v).replace(/^flag:_?/, "flag ").replaceAll("_", " "))),
    );
  const change = (changes) => {
    setSettings({ ...changes, page: null });
    update();
  };
  const pair = ["gold", "answer"].filter((key) => settings.has(key)).map((key) => {
    const click = (event) => {
      event.target.remove();
      change({ [key]: null });
    };
    return h("button.chip", { type: "button", onclick: click, title: "Take this filter away" }, `${key} ${settings.get(key) || "none"} ×`);
  });
  return h(
    "div.controls",
    {},
    h("input", { type: "search", id: "filter", placeholder: "Query id ( / )", "aria-label": "Query id", value: settings.get("query") || "", oninput: (e) => change({ query: e.target.value }) }),
    select("only", "Which predictions", only, "all predictions"),
    cells.length > 1 ? select("seed", "Seed", cells.map((cell) => cell.seed), "any seed") : null,
    pair,
  );
}

async function line([held, i]) {
  const p = predictionAt(held, i);
  const example = await examplesOf(held.cell).of(p.queryPlace);
  const output = p.output >= 0 ? await textOf(p.output) : "";
  return { p, text: example ? oneLine(example.text) : "", output: oneLine(output, 80) };
}

function listingTable(lines, seeds) {
  const heads = ["query", ...(seeds ? ["seed"] : []), "gold", "answer", "input", "flags"];
  const body = lines.map(({ p, text, output }, at) => {
    const href = predictionAddress(p.cell, p.query);
    const open = (event) => {
      if (!event.target.closest("a") && !String(getSelection())) location.hash = href;
    };
    return h(
      "tr.row",
      { tabindex: at === 0 ? "0" : "-1", "data-href": href, onclick: open },
      h("td", {}, h("a", { href, tabindex: "-1" }, p.query)),
      seeds ? h("td.number", {}, p.cell.seed) : null,
      h("td", {}, p.gold),
      h(p.correct ? "td.right" : "td.wrong", {}, (p.correct ? "✓ " : "✗ ") + (p.answer ?? "none")),
      h("td.input", {}, text, output ? h("span.dim", {}, " → " + output) : null),
      h("td.dim", {}, p.flags.join(", ").replaceAll("_", " ")),
    );
  });
  return h("table.listing", { "aria-label": "Predictions" }, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, body));
}
