// The keyboard: rows by arrows, filters by "/", back by Escape; every command is listed under "?".

const HELP = [
  ["↑ ↓ or k j", "the row before, the row after"],
  ["Enter", "open it"],
  ["Home End", "the first row, the last row"],
  ["← → or p n", "the prediction before, the prediction after"],
  ["Escape", "up: prediction, row, leaderboard"],
  ["/", "the filter"],
  ["?", "this list"],
];

function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      else if (event.key === "ArrowDown" && event.target.id === "filter") move(event, 0);
      return;
    }
    const act = ACTS[event.key];
    if (act) act(event);
  });
}

const ACTS = {
  ArrowDown: (event) => move(event, 1),
  ArrowUp: (event) => move(event, -1),
  j: (event) => move(event, 1),
  k: (event) => move(event, -1),
  Home: (event) => move(event, -Infinity),
  End: (event) => move(event, Infinity),
  Enter: (event) => {
    const row = event.target.closest("tr.row");
    if (row) location.hash = row.dataset.href;
  },
  Escape: () => {
    const open = document.querySelector("dialog[open]");
    if (open) return;
    const up = [...document.querySelectorAll("nav.trail a")].pop();
    if (up) location.hash = up.getAttribute("href");
  },
  ArrowLeft: () => document.querySelector("[data-step=before]")?.click(),
  ArrowRight: () => document.querySelector("[data-step=after]")?.click(),
  p: () => document.querySelector("[data-step=before]")?.click(),
  n: () => document.querySelector("[data-step=after]")?.click(),
  "/": (event) => {
    const filter = document.getElementById("filter");
    if (!filter) return;
    event.preventDefault();
    filter.focus();
  },
  "?": () => help(),
};

// The focus goes `by` rows on; into the table where it was outside.
function move(event, by) {
  const rows = [...document.querySelectorAll("tr.row")];
  if (!rows.length) return;
  const here = rows.indexOf(document.activeElement.closest("tr.row"));
  if (here < 0 && Math.abs(by) === Infinity) return;
  event.preventDefault();
  const to = here < 0 ? 0 : Math.min(Math.max(here + by, 0), rows.length - 1);
  focusRow(rows[to]);
}

// The one row that the tab key comes to.
function focusRow(row) {
  for (const other of document.querySelectorAll("tr.row")) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

function help() {
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys"), h("dl.keys", {}, HELP.map(([key, said]) => h("div", {}, h("dt", {}, key), h("dd", {}, said)))), h("form", { method: "dialog" }, h("button", {}, "Close")));
  dialog.querySelector("button").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
