// The page begins here: read the index, draw what the address names, draw again when it changes.

let drawing = 0;

async function draw({ keep = false } = {}) {
  const turn = ++drawing;
  const { parts } = readRoute();
  const main = document.getElementById("main");
  const next = document.createElement("div");
  try {
    if (store.index.kind === "runs") drawRuns(next);
    else if (store.index.kind === "study") drawStudy(next);
    else if (parts[0] === "row") await drawRow(next, parts[1]);
    else if (parts[0] === "prediction") await drawPrediction(next, parts[1], parts[2]);
    else drawBoard(next);
  } catch (error) {
    console.error(error);
    fill(next, h("h1", {}, "Cannot be shown"), h("p.warn", {}, String(error)));
  }
  if (turn !== drawing) return; // the address has changed meanwhile
  const top = scrollY;
  main.replaceChildren(...next.childNodes);
  remember();
  document.title = visible((parts.length ? `${parts[parts.length - 1]} · ` : "") + store.index.title);
  scrollTo(0, keep ? top : 0);
  if (!keep && !cameFrom()) main.focus({ preventScroll: true });
  before = location.hash;
  document.body.dataset.shown = location.hash.split("?")[0];
}

// The view before this one, if it was opened from a row that stands here: that row has the focus again.
let before = "";

function cameFrom() {
  const row = before && [...document.querySelectorAll("tr.row")].find((one) => viewOf(one.dataset.href) === viewOf(before));
  if (!row) return false;
  focusRow(row);
  row.scrollIntoView({ block: "center" });
  return true;
}

function header() {
  const theme = () => {
    const dark = getComputedStyle(document.documentElement).colorScheme.trim() === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  };
  const name = store.index.runs.map((run) => run.name).join(", ");
  fill(
    document.getElementById("header"),
    h("a.home", { href: store.index.live?.up || address([]) }, "icl"),
    h("span.dim", {}, name),
    h("span.space"),
    h("button", { type: "button", onclick: help, "aria-label": "Keys" }, "?"),
    h("button", { type: "button", onclick: theme, "aria-label": "Light or dark" }, "◐"),
  );
}

readIndex();
header();
listen();
addEventListener("hashchange", () => draw());
draw().then(() => {
  document.body.dataset.ready = "yes";
  if (store.index.live) ask();
});
