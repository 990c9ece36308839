// How rows are called and coloured in figures: by what tells them apart, the same in every figure of a board.

// A label without the parameters that all others of its kind have too.
const shortOf = (key, label) => store.index.short?.[key]?.[label] ?? label;

// A row by what differs among `rows`, `without` some settings. Rows without demonstrations have neither shots
// nor an order to be told apart by.
function namer(rows, without = []) {
  const differing = (among, keys) => keys.filter((key) => !without.includes(key) && new Set(among.map((row) => row.fields[key])).size > 1);
  const [bare, shown] = [rows.filter((row) => row.bare), rows.filter((row) => !row.bare)];
  const ofAll = differing(rows, ["model", "task", "tuning"]);
  const ofShown = differing(shown, ["shots", "orderer", "method"]);
  const ofBare = differing(bare.filter((row) => !row.majority), ["method"]);
  return (row) => {
    const own = row.majority ? [] : row.bare ? ofBare : ofShown;
    const keys = NAMED.filter((key) => ofAll.includes(key) || own.includes(key));
    const said = keys
      .filter((key) => key !== "tuning" || row.fields.tuning !== "none")
      .map((key) => (key === "shots" ? `${row.fields.shots}-shot` : shortOf(key, row.fields[key])));
    return visible([shortOf("selector", row.fields.selector), ...said].join(" "));
  };
}

// The setting that tells most rows of the board apart gives a row its colour.
function toneKey() {
  const rows = store.index.rows.filter((row) => !row.majority);
  const kinds = (key) => new Set(rows.map((row) => row.fields[key])).size;
  return ["selector", "tuning", "method", "orderer"].reduce((best, key) => (kinds(key) > kinds(best) ? key : best));
}

// A scale for the values of `points` whose colours stand for the same values in every figure of the board.
function tones(all, points) {
  const named = [...new Set(all)];
  const range = named.length <= 10 ? d3.schemeObservable10 : d3.quantize(d3.interpolateSinebow, named.length + 1);
  const domain = named.filter((value) => points.includes(value));
  return { domain, range: domain.map((value) => range[named.indexOf(value)]) };
}

const kindOf = (row) => visible(row.majority ? row.fields.selector : shortOf(toneKey(), row.fields[toneKey()]));

const kindTones = (points) => tones(store.index.rows.map(kindOf), points.map((d) => d.kind));

function leftOf(names, width) {
  const letters = Math.max(...names.map((name) => name.length));
  const margin = Math.min(Math.max(letters * 6.4 + 14, 60), width * 0.45);
  return { margin, letters: Math.floor((margin - 12) / 6.4) };
}

