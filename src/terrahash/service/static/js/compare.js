// A tile beside the query, at full resolution and bit by bit.

import { $, el, icon } from "./dom.js";
import * as api from "./api.js";
import { differing, square } from "./bits.js";
import { bits, day, fileOf, nameOf, percent, words } from "./format.js";

const dialog = $("compare");
const MAX_ZOOM = 16;
let shown = null;

export function init(onSearch) {
  search = onSearch;
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
}

let search = () => {};

// `query` as in query.js; `tiles` are what one can step through.
export function open(tile, query, tiles, archive) {
  shown = { tile, query, tiles, archive };
  draw();
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const place = shown.tiles.findIndex((tile) => tile.id === shown.tile.id) + by;
  if (!shown.tiles[place]) return;
  shown.tile = shown.tiles[place];
  draw();
}

function draw() {
  const { tile, query, tiles, archive } = shown;
  const flags = differing(query.code, tile.code, archive.bits);
  const many = flags.filter(Boolean).length;
  const place = tiles.findIndex((one) => one.id === tile.id);
  const arrow = (name, label, by) => el("button", { type: "button", "aria-label": label, disabled: !tiles[place + by], onclick: () => step(by) }, icon(name));
  const side = Math.max(16, 8 * Math.round(Math.sqrt(archive.bits * 4) / 8));
  dialog.replaceChildren(
    el("div", { class: "compare-head" },
      el("h2", { id: "compare-title" }, `${nameOf(tile)}: ${many} of ${archive.bits} bits differ`),
      arrow("left", "Previous tile", -1), arrow("right", "Next tile", 1),
      el("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
    el("div", { class: "compare-pair" },
      figure("Query", queryName(query), frame(query.picture ?? (query.id !== null ? api.image(query.id) : null), () => square(query.code, archive.bits, { weights: query.magnitudes, title: "The query's code" }))),
      figure(tile.rank ? `Rank ${tile.rank}` : "Tile", nameOf(tile), frame(api.image(tile.id), () => square(tile.code, archive.bits, { title: "The tile's code" })))),
    el("div", { class: "compare-facts" },
      el("div", { class: "bits-view" },
        square(tile.code, archive.bits, { flags, weights: query.magnitudes, labels: archive.label_bits, columns: side, title: `${many} of ${archive.bits} bits differ` }),
        el("p", {}, "Filled is 1, pale is 0, orange differs from the query.", query.magnitudes ? " Larger bits are those that the query is surer of." : "", archive.label_bits ? ` The last ${archive.label_bits}, framed, name the class.` : "")),
      el("div", {}, facts(tile),
        el("p", {}, el("button", { type: "button", class: "plain", onclick: () => { dialog.close(); search(tile); } }, "Search for its like")))));
  synchronise([...dialog.querySelectorAll(".frame")]);
  dialog.querySelector(".compare-head button:last-child").focus();
}

const queryName = (query) => (query.label ?? query.guess ? words(query.label ?? query.guess) : "");

function figure(title, name, content) {
  return el("figure", {}, content, el("figcaption", {}, el("strong", {}, title), el("span", {}, name)));
}

function frame(source, otherwise) {
  const box = el("div", { class: "frame" });
  if (!source) { box.append(otherwise()); return box; }
  const picture = el("img", { src: source, alt: "", draggable: "false" });
  picture.addEventListener("error", () => box.replaceChildren(otherwise()), { once: true });
  box.append(picture);
  return box;
}

function facts(tile) {
  const rows = [
    ["Distance", tile.distance === undefined ? null : bits(tile.distance)],
    ["Expected precision", tile.precision === null || tile.precision === undefined ? null : percent(tile.precision)],
    ["Label", tile.label && words(tile.label)],
    ["Predicted", tile.predicted_label && `${words(tile.predicted_label)}${tile.confidence === null ? "" : `, ${percent(tile.confidence)}`}`],
    ["Taken", day(tile.datetime)],
    ["Footprint", tile.bbox?.map((one) => one.toFixed(4)).join(", ")],
    ["File", fileOf(tile)],
    ["Id", String(tile.id)],
    ...Object.entries(tile.columns).map(([name, value]) => [name, value === null ? null : String(value)]),
  ];
  return el("table", { class: "table" }, el("tbody", {}, rows.filter(([, value]) => value).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))));
}

// Both pictures move and grow together.
function synchronise(frames) {
  let zoom = 1, x = 0, y = 0;
  const apply = () => {
    x = Math.min(0, Math.max(x, 1 - zoom)); y = Math.min(0, Math.max(y, 1 - zoom));
    for (const box of frames) {
      box.classList.toggle("zoomed", zoom > 1);
      const picture = box.querySelector("img");
      if (picture) picture.style.transform = `translate(${x * box.clientWidth}px, ${y * box.clientHeight}px) scale(${zoom})`;
    }
  };
  const about = (box, event, factor) => {
    const area = box.getBoundingClientRect();
    const u = (event.clientX - area.left) / area.width, v = (event.clientY - area.top) / area.height;
    const next = Math.min(MAX_ZOOM, Math.max(1, zoom * factor));
    x = u - ((u - x) * next) / zoom; y = v - ((v - y) * next) / zoom; zoom = next;
    apply();
  };
  for (const box of frames) {
    let from = null, moved = false;
    box.addEventListener("wheel", (event) => { event.preventDefault(); about(box, event, event.deltaY < 0 ? 1.25 : 0.8); }, { passive: false });
    box.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; moved = false; box.setPointerCapture(event.pointerId); });
    box.addEventListener("pointermove", (event) => {
      if (!from) return;
      const dx = event.clientX - from[0], dy = event.clientY - from[1];
      if (Math.abs(dx) + Math.abs(dy) > 3) moved = true;
      if (!moved) return;
      x += dx / box.clientWidth; y += dy / box.clientHeight; from = [event.clientX, event.clientY];
      apply();
    });
    box.addEventListener("pointerup", (event) => {
      if (from && !moved) { if (zoom > 1) { zoom = 1; apply(); } else about(box, event, 3); }
      from = null;
    });
  }
}
