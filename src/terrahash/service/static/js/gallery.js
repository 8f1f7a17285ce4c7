// The tiles that were found.

import { $, el, icon } from "./dom.js";
import * as api from "./api.js";
import { differing, square, strip } from "./bits.js";
import { bits, day, fileOf, nameOf, percent, trust } from "./format.js";

const gallery = $("gallery");
const cards = new Map();
// Pictures that take longer than this are shown to be on their way, milliseconds.
const SLOW = 600;
let slow = 0;
let act = {};

// `actions`: search, compare, vote, locate, hover — each is called with a tile.
export function init(actions) {
  act = actions;
  gallery.addEventListener("keydown", keys);
}

export function show(tiles, context, { append = false } = {}) {
  if (!append) {
    gallery.replaceChildren();
    cards.clear();
  }
  gallery.classList.remove("slow");
  clearTimeout(slow);
  slow = setTimeout(() => gallery.classList.toggle("slow", gallery.querySelector(".waiting") !== null), SLOW);
  for (const tile of tiles) {
    const made = card(tile, context);
    cards.set(tile.id, made);
    gallery.append(made);
  }
}

// `ways` out: what each is called, and what it does.
export function empty(title, text, ways = []) {
  gallery.replaceChildren(el("li", { class: "empty" }, el("strong", {}, title), text,
    ways.length ? el("div", { class: "ways" }, ways.map(([name, onclick]) => el("button", { type: "button", class: "plain", onclick }, name))) : null));
  cards.clear();
}

export function busy(on) { gallery.setAttribute("aria-busy", on); }

export function mark(id, on, { scroll = false } = {}) {
  const made = cards.get(id);
  made?.classList.toggle("on", on);
  if (on && scroll) made?.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

export function focus(id) { cards.get(id)?.querySelector(".card-main").focus(); }

export function votes(up, down) {
  for (const [id, made] of cards) {
    made.querySelector(".more-like").setAttribute("aria-pressed", up.includes(id));
    made.querySelector(".less").setAttribute("aria-pressed", down.includes(id));
  }
}

function card(tile, context) {
  const name = nameOf(tile);
  const found = tile.rank !== undefined;
  const guessed = tile.label === null && tile.predicted_label !== null;
  const spoken = found
    ? `${name}, rank ${tile.rank}, ${bits(tile.distance)} apart${tile.precision === null ? "" : `, expected precision ${percent(tile.precision)}`}. Search for its like`
    : `${name}. Search for its like`;
  const picture = el("img", { src: api.thumbnail(tile.id, 192), alt: "", width: 192, height: 192, loading: "lazy", decoding: "async" });
  const main = el("button", { type: "button", class: "card-main waiting", "aria-label": spoken, title: fileOf(tile), onclick: () => act.search(tile) }, picture);
  picture.addEventListener("load", () => main.classList.remove("waiting"), { once: true });
  picture.addEventListener("error", () => {
    main.classList.remove("waiting");
    picture.replaceWith(square(tile.code, context.bits, { title: `Code of ${name}` }));
    main.classList.add("code-only");
  }, { once: true });
  const made = el("li", {
    class: tile.id === context.queryId ? "card query-tile" : "card", "data-id": tile.id,
    onmouseenter: () => act.hover(tile, true), onmouseleave: () => act.hover(tile, false),
    onfocusin: () => act.hover(tile, true), onfocusout: () => act.hover(tile, false),
  },
  el("div", { class: "card-top" }, main, el("div", { class: "acts" },
    button("up", "more-like", `More like this: ${name}`, () => act.vote(tile, "up")),
    button("down", "less", `Less like this: ${name}`, () => act.vote(tile, "down")),
    context.code ? button("compare", "side", `Compare with the query: ${name}`, () => act.compare(tile)) : null,
    tile.bbox ? button("pin", "where", `Show on the map: ${name}`, () => act.locate(tile)) : null)),
  found && context.code ? strip(differing(context.code, tile.code, context.bits)) : null,
  el("div", { class: "card-text" },
    el("div", { class: guessed ? "card-name guess" : "card-name", title: guessed ? `${name} (predicted)` : name }, name),
    found ? el("div", { class: "card-line" },
      el("span", {}, bits(tile.distance)),
      tile.precision === null ? null : el("span", { class: `trust ${trust(tile.precision)}`, title: "Expected precision at this distance" }, percent(tile.precision))) : null,
    tile.datetime ? el("div", { class: "card-line" }, day(tile.datetime)) : null));
  for (const pressed of made.querySelectorAll(".more-like, .less")) pressed.setAttribute("aria-pressed", "false");
  return made;
}

function button(name, kind, label, onclick) {
  return el("button", { type: "button", class: kind, "aria-label": label, title: label.split(":")[0], onclick, tabindex: -1 }, icon(name));
}

function keys(event) {
  const made = event.target.closest(".card");
  if (!made || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...gallery.querySelectorAll(".card")];
  const place = all.indexOf(made);
  const columns = all.findIndex((one) => one.offsetTop > all[0].offsetTop);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns > 0 ? columns : all.length, ArrowUp: columns > 0 ? -columns : -all.length }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    all[Math.min(all.length - 1, Math.max(0, place + step))].querySelector(".card-main").focus();
    return;
  }
  const kind = { u: ".more-like", d: ".less", c: ".side", l: ".where" }[event.key.toLowerCase()];
  if (kind) made.querySelector(kind)?.click();
}
