// The data: an index that is read at once, and compressed blocks that are unpacked when somebody looks.

const store = { index: null, blocks: new Map(), served: false };

function readIndex() {
  store.index = JSON.parse(document.getElementById("index").textContent);
  store.served = Boolean(store.index.live);
  steering = new RegExp(`[${store.index.steering}]`, "gu");
}

function takeIndex(index) {
  store.index = index;
  store.blocks.clear();
}

async function unpacked(stream) {
  const text = await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
  return JSON.parse(text);
}

function bytesOf(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function loaded(name) {
  if (store.served) {
    const answer = await fetch(`block/${encodeURIComponent(name)}?v=${store.index.live.version}`);
    if (!answer.ok) throw new Error(`block ${name}: ${answer.status}`);
    return unpacked(answer.body);
  }
  const element = document.getElementById(`block-${name}`);
  if (!element) return null;
  return unpacked(new Blob([bytesOf(element.textContent)]).stream());
}

function block(name) {
  let found = store.blocks.get(name);
  if (!found) {
    found = loaded(name);
    store.blocks.set(name, found);
    found.catch(() => store.blocks.delete(name));
  }
  return found;
}

// The text of a number.
async function textOf(number) {
  const starts = store.index.texts;
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= number) low = middle;
    else high = middle - 1;
  }
  return (await block(`t${low}`))[number - starts[low]];
}

const EXAMPLES = 1000;

// The queries and demonstrations of a cell's task.
function examplesOf(cell) {
  const at = store.index.examples.indexOf(cell.examples);
  return {
    ids: () => block(`i${at}`),
    async of(place) {
      const row = (await block(`e${at}_${Math.floor(place / EXAMPLES)}`))[place % EXAMPLES];
      return row ? { text: row[0], target: row[1], choices: row[2] || null, rationale: row[3] || null } : null;
    },
  };
}

// The predictions of a cell with the ids of their queries.
async function predictionsOf(cell) {
  const at = store.index.cells.indexOf(cell);
  const [columns, ids] = await Promise.all([block(`p${at}`), examplesOf(cell).ids()]);
  return { cell, at, columns, ids };
}

// One prediction out of its columns.
function predictionAt(held, i) {
  const c = held.columns;
  const name = (codes, names) => (codes[i] < 0 ? null : names[codes[i]]);
  const labels = c.labels && c.labelled[i] >= 0 ? c.labels[c.labelled[i]] : [];
  return {
    cell: held.cell,
    place: i,
    query: held.ids[c.query[i]],
    queryPlace: c.query[i],
    answer: name(c.answer, c.answers),
    gold: name(c.gold, c.golds),
    correct: c.correct[i] === "1",
    flags: c.flag ? c.flag[i].map((f) => c.flags[f]) : [],
    labelScores: labels.map((label, j) => [label, c.label_score[i][j]]),
    output: c.output ? c.output[i] : -1,
    span: c.span ? c.span[i] : 0,
    chainSpans: c.chain_spans ? c.chain_spans[i] : 0,
    details: c.details ? c.details[i] : {},
    usage: c.usage ? c.usage[i] : null,
    dropped: c.dropped ? c.dropped[i] : [],
    shown: (c.shown ? c.shown[i] : []).map((place, j) => ({
      place,
      id: held.ids[place],
      score: c.score ? c.score[i][j] : null,
      why: Object.entries(c.why || {})
        .map(([key, values]) => [key, values[i][j]])
        .filter(([, value]) => value !== null && value !== undefined),
    })),
    pieces: c.pieces ? c.pieces[i] : [],
    kinds: c.kinds ? c.kinds[c.kind[i]] || "" : "",
    tokens: c.tokens ? c.tokens[i] : 0,
    notes: c.notes && c.note ? c.notes[c.note[i]] : c.notes ? c.notes[0] : [],
  };
}

// The probability of each label: shares as they are, all else through the softmax, as icl.labels does.
function probabilities(labelScores) {
  const numbers = labelScores.map(([, score]) => (typeof score === "number" ? score : -Infinity));
  const sum = numbers.reduce((a, b) => a + b, 0);
  if (Math.min(...numbers) >= 0 && Math.abs(sum - 1) < 1e-5) return numbers;
  const top = Math.max(...numbers);
  const powers = numbers.map((score) => Math.exp(score - top));
  const whole = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / whole);
}
