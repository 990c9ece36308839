// The leaderboard: sorted, filtered, with the columns that were chosen, all of it in the address.

const NAMED = ["model", "task", "selector", "shots", "orderer", "method", "tuning"];

function boardState() {
  const { settings } = readRoute();
  const where = {};
  for (const key of NAMED) if (settings.has(`is.${key}`)) where[key] = settings.get(`is.${key}`);
  return {
    sort: settings.get("sort"),
    descending: settings.get("order") !== "up",
    text: settings.get("text") || "",
    columns: settings.has("columns") ? settings.get("columns").split(",") : null,
    where,
  };
}

function shownColumns(state) {
  const columns = store.index.columns;
  if (!state.columns) return columns.filter((c) => !c.field);
  return columns.filter((c) => state.columns.includes(c.key));
}

function matching(state) {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return store.index.rows.filter((row) => {
    const said = NAMED.map((key) => row.fields[key]).join(" ").toLowerCase();
    if (!words.every((word) => said.includes(word))) return false;
    return Object.entries(state.where).every(([key, value]) => String(row.fields[key]) === value);
  });
}

function sorted(rows, state) {
  const column = store.index.columns.find((c) => c.key === state.sort);
  if (!column) return rows;
  const value = (row) => row.fields[column.sort] ?? row.shown[column.key] ?? null;
  const sign = state.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
  });
}

function cellText(row, column) {
  if (column.key === "value" && row.fields.value === undefined) return soFar(row);
  if (!column.field) return row.shown[column.key];
  return compact(row.fields[column.key] ?? "");
}

// Of a row without a complete cell: what its first predictions say, without an interval.
function soFar(row) {
  const cells = cellsOf(row);
  const [n, right] = ["n", "right"].map((key) => cells.reduce((sum, cell) => sum + cell[key], 0));
  return n ? `${percent(right / n)} of ${n} so far` : row.shown.value;
}

function drawBoard(main) {
  const table = h("div.scroll", { tabindex: "-1" });
  const figures = h("section.figures", { "aria-label": "Figures" });
  const count = h("p.dim", { role: "status", id: "count" });
  const update = () => {
    const state = boardState();
    const rows = sorted(matching(state), state);
    fill(count, `${rows.length} of ${store.index.rows.length} rows`);
    fill(table, boardTable(rows, state, update));
    fill(figures, boardFigures(rows));
  };
  fill(
    main,
    h("h1", {}, store.index.title),
    store.index.caption ? h("p.dim", {}, store.index.caption) : null,
    leftOut(),
    progressBox(),
    h("h2", {}, "Leaderboard"),
    boardControls(update),
    count,
    table,
    h("details.notes", { open: true }, h("summary", {}, "How to read it"), h("ul", { tabindex: "0", "aria-label": "Notes" }, store.index.footer.map((line) => h("li", {}, line)))),
    figures,
    manifests(),
  );
  update();
}

const leftOut = () => (store.index.left_out ? h("p.warn", {}, store.index.left_out) : null);

function boardControls(update) {
  const state = boardState();
  const search = h("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter rows ( / )",
    "aria-label": "Filter rows",
    value: state.text,
    oninput: (event) => {
      setSettings({ text: event.target.value });
      update();
    },
  });
  const choices = NAMED.map((key) => {
    const asked = store.index.rows.filter((row) => key === "selector" || !row.reference);
    const values = [...new Set((asked.length ? asked : store.index.rows).map((row) => String(row.fields[key])))];
    if (values.length < 2) return null;
    const options = [h("option", { value: "" }, `any ${key}`), ...values.map((v) => h("option", { value: v, selected: state.where[key] === v }, v))];
    const change = (event) => {
      setSettings({ [`is.${key}`]: event.target.value });
      update();
    };
    return h("select", { "aria-label": key, "data-key": key, onchange: change }, options);
  });
  return h("div.controls", {}, search, choices, columnChooser(update));
}

function columnChooser(update) {
  const shown = new Set(shownColumns(boardState()).map((c) => c.key));
  const change = () => {
    const chosen = [...box.querySelectorAll("input")].filter((i) => i.checked).map((i) => i.value);
    setSettings({ columns: chosen.join(",") });
    update();
  };
  const reset = () => {
    setSettings({ columns: null });
    fill(box.parentNode.parentNode, ...columnChooser(update).childNodes);
    update();
  };
  const box = h(
    "div.columns",
    {},
    store.index.columns.map((c) => h("label", {}, h("input", { type: "checkbox", value: c.key, checked: shown.has(c.key), onchange: change }), c.header)),
  );
  return h("details.chooser", {}, h("summary", {}, "Columns"), h("div", {}, box, h("button", { type: "button", onclick: reset }, "As in the table")));
}

function boardTable(rows, state, update) {
  const columns = shownColumns(state);
  const head = columns.map((column) => {
    const on = state.sort === column.key;
    const click = () => {
      setSettings({ sort: column.key, order: on && state.descending ? "up" : null });
      update();
      document.querySelector(`[data-column="${CSS.escape(column.key)}"]`)?.focus();
    };
    const arrow = on ? (state.descending ? " ▼" : " ▲") : "";
    const sort = on ? (state.descending ? "descending" : "ascending") : "none";
    return h(column.number ? "th.number" : "th", { scope: "col", "aria-sort": sort }, h("button", { type: "button", "data-column": column.key, onclick: click }, column.header + arrow));
  });
  const body = [];
  let section = null;
  rows.forEach((row, at) => {
    const here = `${row.fields.model}\n${row.fields.task}`;
    const first = section !== null && here !== section && !state.sort;
    section = here;
    body.push(boardRow(row, columns, at, first));
  });
  return h("table.board", { "aria-label": "Leaderboard" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
}

function boardRow(row, columns, at, first) {
  const kind = row.fields.value === undefined ? "incomplete" : row.reference ? "reference" : row.baseline ? "baseline" : "";
  const cells = columns.map((column, i) => {
    const text = cellText(row, column);
    const said = i === 0 ? h("a", { href: rowAddress(row), tabindex: "-1" }, text) : text;
    return h(column.number ? "td.number" : String(text).length > 30 ? "td.long" : "td", { "data-key": column.key }, said);
  });
  const open = (event) => {
    if (!event.target.closest("a") && !String(getSelection())) location.hash = rowAddress(row);
  };
  const classes = ["row", kind, row.fields.rank_group === 1 ? "best" : "", first ? "first" : ""].filter(Boolean).join(".");
  return h(`tr.${classes}`, { tabindex: at === 0 ? "0" : "-1", "data-href": rowAddress(row), onclick: open }, cells);
}

function manifests() {
  return store.index.runs.map((run) =>
    h("details", {}, h("summary", {}, `What ran, and on what: ${run.name}`), h("pre", {}, JSON.stringify(run.manifest, null, 2))),
  );
}
