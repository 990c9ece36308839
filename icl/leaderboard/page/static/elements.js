// Elements and texts. Every text of the page passes through `visible` into a text node: nothing is ever
// parsed as markup, and what steers or hides is written out.

let steering = null;

function visible(text) {
  return String(text).replace(steering, (c) => {
    if (c === "\t" || c === "\n") return c;
    const code = c.codePointAt(0);
    if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
    if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
    return "\\U" + code.toString(16).padStart(8, "0");
  });
}

// h("td.number", {title: "..."}, "text", node, ...): attributes, and on... as listeners.
function h(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : visible(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
}

function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

const percent = (x) => (x === null || x === undefined ? "–" : (100 * x).toFixed(1));
const compact = (x) => (x === null || x === undefined ? "" : typeof x === "number" ? String(Number(x.toPrecision(4))) : String(x));

function oneLine(text, most = 160) {
  const flat = text.replace(/\s+/g, " ").trim();
  return flat.length > most ? flat.slice(0, most) + "…" : flat;
}
