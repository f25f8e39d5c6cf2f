"use strict";
// Draws the attention maps that the page carries: a byte a value, see quantised.py. Each viewer has a text's own.
document.querySelectorAll(".viewer").forEach((viewer) => {
  const element = (name) => viewer.querySelector("." + name);
  const material = JSON.parse(element("material").textContent);
  const { tokens, parts, maps } = material;
  const count = tokens.length;
  const names = count <= 64; // every token is named on the axes
  const layers = element("layer"), heads = element("head"), canvas = element("map"), board = element("board");
  let shown = material.first, query = material.query;
  const decoded = {};

  function bytes(name) {
    if (!decoded[name]) decoded[name] = Uint8Array.from(atob(maps[name].data), (character) => character.charCodeAt(0));
    return decoded[name];
  }
  const value = (name, row, column) => maps[name].max * (bytes(name)[row * count + column] / 255) ** 2;
  const told = (number) => (number === 0 || number >= 0.0001 ? number.toFixed(4) : number.toExponential(1));

  function palette() {
    const style = getComputedStyle(document.documentElement);
    const stops = [0, 1, 2, 3].map((i) => style.getPropertyValue("--map-" + i).trim());
    const colours = stops.map((stop) => [1, 3, 5].map((place) => parseInt(stop.slice(place, place + 2), 16)));
    return Array.from({ length: 256 }, (_, step) => {
      const place = (step / 255) * 3, from = Math.min(2, Math.floor(place)), share = place - from;
      return colours[from].map((part, i) => Math.round(part + share * (colours[from + 1][i] - part)));
    });
  }

  // A map at one pixel a value.
  function raster(name, colours) {
    const small = document.createElement("canvas");
    small.width = small.height = count;
    const context = small.getContext("2d"), image = context.createImageData(count, count), steps = bytes(name);
    for (let i = 0; i < steps.length; i++) {
      const colour = colours[steps[i]];
      image.data.set([colour[0], colour[1], colour[2], 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    return small;
  }

  // Cell size, the room for names, and how many pixels of the screen a pixel of the page is.
  function measure() {
    const font = "11px " + getComputedStyle(document.documentElement).getPropertyValue("--sans");
    const context = canvas.getContext("2d");
    context.font = font;
    const label = (place) => (names ? tokens[place] : tokens[place] + " " + place);
    const step = names ? 1 : Math.ceil(count / 48);
    const places = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
    const margin = Math.ceil(Math.min(150, Math.max(...places.map((place) => context.measureText(label(place)).width)))) + 8;
    const room = Math.max(280, viewer.clientWidth - margin - 2);
    const cell = names ? Math.max(13, Math.min(24, Math.floor(Math.min(room, 780) / count))) : Math.max(1, Math.floor(room / count));
    return { font, label, places, margin, cell, side: cell * count, scale: window.devicePixelRatio || 1 };
  }

  let sizes = null;
  function draw() {
    sizes = measure();
    const { font, label, places, margin, cell, side, scale } = sizes;
    const style = getComputedStyle(document.documentElement);
    const full = margin + side;
    canvas.width = canvas.height = Math.round(full * scale);
    canvas.style.width = canvas.style.height = full + "px";
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.imageSmoothingEnabled = false;
    context.drawImage(raster(shown, palette()), margin, margin, side, side);
    context.strokeStyle = style.getPropertyValue("--line");
    context.strokeRect(margin - 0.5, margin - 0.5, side + 1, side + 1);
    context.fillStyle = style.getPropertyValue("--ink");
    context.font = font;
    context.textBaseline = "middle";
    context.textAlign = "right";
    places.forEach((place) => context.fillText(label(place), margin - 5, margin + (place + 0.5) * cell, margin - 6));
    context.save();
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    places.forEach((place) => context.fillText(label(place), -margin + 5, margin + (place + 0.5) * cell, margin - 6));
    context.restore();
    const second = parts.indexOf(1);
    if (second > 0) {
      context.setLineDash([4, 3]);
      context.strokeStyle = style.getPropertyValue("--muted");
      context.beginPath();
      const edge = margin + second * cell;
      context.moveTo(edge, margin); context.lineTo(edge, full);
      context.moveTo(margin, edge); context.lineTo(full, edge);
      context.stroke();
    }
    mark(query, null);
  }

  function box(name, left, top, width, height) {
    const style = element(name).style;
    style.display = "block";
    style.left = left + "px"; style.top = top + "px"; style.width = width + "px"; style.height = height + "px";
  }
  function mark(row, column) {
    const { margin, cell, side } = sizes;
    box("across", margin - 1, margin + row * cell - 1, side + 2, cell + 2);
    if (column === null) element("down").style.display = "none";
    else box("down", margin + column * cell - 1, margin - 1, cell + 2, side + 2);
  }

  function strip() {
    element("asked").textContent = "What “" + tokens[query] + "” (" + query + ") " + (shown === "rollout" ? "comes from" : "reads");
    const row = tokens.map((_, column) => value(shown, query, column));
    const largest = Math.max(...row, 1e-12);
    [...element("strip").querySelectorAll("[data-place]")].forEach((token) => {
      const place = Number(token.dataset.place), share = Math.sqrt(row[place] / largest);
      token.style.setProperty("--s", share.toFixed(3));
      token.classList.toggle("strong", share > 0.85);
      token.classList.toggle("middle", share > 0.6);
      token.classList.toggle("query", place === query);
      token.title = told(row[place]);
    });
  }
  function choose(row) { query = row; strip(); mark(query, null); }
  function fillStrip() {
    tokens.forEach((token, place) => {
      if (place && parts[place] === 1 && parts.indexOf(1) === place) element("strip").append(Object.assign(document.createElement("span"), { className: "part" }));
      const chip = document.createElement("span");
      chip.textContent = token;
      chip.dataset.place = place;
      chip.addEventListener("click", () => choose(place));
      element("strip").append(chip, " ");
    });
  }

  const layerOf = (name) => name.split(".")[0], headOf = (name) => name.split(".")[1];
  const headName = (head) => (head === "mean" ? "mean of all" : head);
  function option(select, text, key) { select.append(Object.assign(document.createElement("option"), { textContent: text, value: key })); }
  function fillHeads() {
    heads.replaceChildren();
    const own = Object.keys(maps).filter((name) => layerOf(name) === layerOf(shown));
    heads.parentElement.hidden = shown === "rollout";
    own.forEach((name) => option(heads, headName(headOf(name)), name));
    heads.value = shown;
    element("thumbnails").replaceChildren();
    if (own.length < 2) return;
    const colours = palette();
    own.forEach((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.name = name;
      button.append(raster(name, colours), headOf(name));
      button.title = "head " + headName(headOf(name));
      button.addEventListener("click", () => show(name));
      element("thumbnails").append(button);
    });
    press();
  }
  function press() { [...element("thumbnails").children].forEach((button) => button.setAttribute("aria-pressed", button.dataset.name === shown)); }
  function show(name) {
    const other = layerOf(name) !== layerOf(shown);
    shown = name;
    if (other) fillHeads();
    heads.value = name;
    press(); draw(); strip();
  }

  function cellAt(event) {
    const area = canvas.getBoundingClientRect(), { margin, cell } = sizes;
    const row = Math.floor((event.clientY - area.top - margin) / cell), column = Math.floor((event.clientX - area.left - margin) / cell);
    return row >= 0 && column >= 0 && row < count && column < count ? [row, column] : null;
  }
  canvas.addEventListener("mousemove", (event) => {
    const found = cellAt(event);
    if (!found) return leave();
    const [row, column] = found;
    mark(row, column);
    element("readout").textContent = "“" + tokens[row] + "” (" + row + ") " + (shown === "rollout" ? "from" : "reads") + " “" + tokens[column] + "” (" + column + "): " + told(value(shown, row, column));
  });
  function leave() { element("readout").textContent = ""; mark(query, null); }
  canvas.addEventListener("mouseleave", leave);
  canvas.addEventListener("click", (event) => { const found = cellAt(event); if (found) choose(found[0]); });

  if (maps.rollout) option(layers, "rollout through all layers", "rollout");
  material.layers.forEach((layer) => option(layers, "layer " + layer, layer));
  layers.value = layerOf(shown);
  layers.addEventListener("change", () => {
    const head = shown === "rollout" ? "mean" : headOf(shown), wanted = layers.value + "." + head;
    show(layers.value === "rollout" ? "rollout" : maps[wanted] ? wanted : Object.keys(maps).find((name) => layerOf(name) === layers.value));
  });
  heads.addEventListener("change", () => show(heads.value));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { fillHeads(); draw(); });
  window.addEventListener("resize", draw);
  fillStrip(); fillHeads(); draw(); strip();
});
