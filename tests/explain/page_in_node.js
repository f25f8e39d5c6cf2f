// Runs the script of a page with as little of a browser as it needs, points at a cell, clicks a row, chooses another map,
// and prints what a person would see in the viewer of the number that is given last, by default the first.
const { readFileSync } = require("node:fs");

const html = readFileSync(0, "utf8");
const scripts = [...html.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)];
const materials = scripts.filter(([, attributes]) => attributes.includes('class="material"')).map(([, , content]) => content);
const code = scripts.find(([, attributes]) => attributes === "")[2];

const drawn = [];
class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], dataset: {}, listeners: {}, textContent: "", title: "", clientWidth: 900, classes: new Set() });
    this.style = { setProperty: (name, value) => { this.style[name] = value; } };
    this.classList = { toggle: (name, on) => { on ? this.classes.add(name) : this.classes.delete(name); } };
    this.parentElement = { hidden: false };
  }
  append(...nodes) { this.children.push(...nodes); }
  replaceChildren() { this.children = []; }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  setAttribute(name, value) { this[name] = value; }
  querySelector(name) { return (this.parts ??= {})[name] ??= new Element(name); }
  querySelectorAll() { return this.children.filter((child) => child.dataset && child.dataset.place !== undefined); }
  getBoundingClientRect() { return { left: 0, top: 0 }; }
  getContext() {
    const kept = this;
    return new Proxy({}, {
      set: () => true,
      get: (_, name) => {
        if (name === "measureText") return (text) => ({ width: 6 * text.length });
        if (name === "createImageData") return (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) });
        if (name === "putImageData") return (image) => { kept.image = image; };
        if (name === "drawImage") return (source) => { drawn.push(source.image.data); };
        return () => undefined;
      },
    });
  }
}

const viewers = materials.map((content) => {
  const viewer = new Element("viewer");
  viewer.querySelector(".material").textContent = content;
  return viewer;
});
const [row, column, other, number = 0] = process.argv.slice(2);
const part = (name) => viewers[number].querySelector("." + name);
const changed = [];
globalThis.document = { querySelectorAll: () => viewers, createElement: (tag) => new Element(tag), documentElement: new Element("html") };
globalThis.getComputedStyle = () => ({ getPropertyValue: (name) => ({ "--map-0": "#ffffff", "--map-1": "#aaaaaa", "--map-2": "#555555", "--map-3": "#000000" })[name] ?? " serif" });
globalThis.window = { devicePixelRatio: 1, addEventListener: () => undefined, matchMedia: () => ({ addEventListener: (_, listener) => changed.push(listener) }) };
eval(code);

const parsed = JSON.parse(materials[number]);
const count = parsed.tokens.length;
const map = part("map");
const margin = parseFloat(part("across").style.left) + 1, cell = parseFloat(part("across").style.height) - 2;
const at = { clientX: margin + (Number(column) + 0.5) * cell, clientY: margin + (Number(row) + 0.5) * cell };
const seen = { count, first: part("head").value, asked: part("asked").textContent };
map.listeners.mousemove(at);
seen.readout = part("readout").textContent;
map.listeners.click(at);
seen.askedAfterClick = part("asked").textContent;
seen.strip = part("strip").querySelectorAll().map((token) => token.title);
part("layer").value = other;
part("layer").listeners.change();
map.listeners.mousemove(at);
seen.otherReadout = part("readout").textContent;
seen.heads = part("head").children.map((option) => option.textContent);
seen.layers = part("layer").children.map((option) => option.value);
changed.forEach((listener) => listener());
map.listeners.mouseleave();
seen.readoutAfterLeaving = part("readout").textContent;
seen.darkest = Math.min(...drawn[0]);
process.stdout.write(JSON.stringify(seen));
