// What is shown is in the address: #/ the leaderboard, #/row/ID, #/prediction/CELL/QUERY; settings behind "?".

function readRoute() {
  const [path, settings] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(unquoted);
  return { parts, settings: new URLSearchParams(settings || "") };
}

function unquoted(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function address(parts, settings) {
  const path = "#/" + parts.map((part) => encodeURIComponent(part)).join("/");
  const said = settings ? settings.toString() : "";
  return said ? `${path}?${said}` : path;
}

const rowAddress = (row, settings) => address(["row", row.id], settings);
const predictionAddress = (cell, query) => address(["prediction", cell.id, query]);

// Another setting of the same view; the page is not drawn from the top.
function setSettings(changes) {
  const { parts, settings } = readRoute();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") settings.delete(key);
    else settings.set(key, value);
  }
  history.replaceState(history.state, "", address(parts, settings));
  remember();
}

// The settings with which a view was last seen: the way up leads back to them.
const left = new Map();
const viewOf = (hash) => hash.split("?")[0] || "#/";
const remember = () => left.set(viewOf(location.hash), location.hash);
const asLeft = (where) => left.get(viewOf(where)) || where;

const rowOf = (id) => store.index.rows.find((row) => row.id === id);
const cellOf = (id) => store.index.cells.find((cell) => cell.id === id);
const cellsOf = (row) => {
  const at = store.index.rows.indexOf(row);
  return store.index.cells.filter((cell) => cell.row === at);
};
