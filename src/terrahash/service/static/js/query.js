// Giving a query: drop, paste or choose a picture; and showing what the query is.

import { $, el, icon } from "./dom.js";
import * as api from "./api.js";
import { square } from "./bits.js";
import { percent, words } from "./format.js";

export function init({ onFile, onClear }) {
  const input = $("file");
  $("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { if (input.files[0]) onFile(input.files[0]); input.value = ""; });
  let depth = 0;
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (carries(event)) { depth += 1; $("veil").hidden = false; } });
  addEventListener("dragleave", (event) => { if (carries(event)) { depth = Math.max(0, depth - 1); $("veil").hidden = depth === 0; } });
  addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    $("veil").hidden = true;
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); onFile(file); }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) { event.preventDefault(); input.click(); }
  });
  clear = onClear;
}

let clear = () => {};
const touched = matchMedia("(pointer: coarse)").matches;

// A picture that is being searched for.
export function pending(picture) {
  const image = el("img", { src: picture, alt: "The query" });
  const loaded = () => URL.revokeObjectURL(picture);
  image.addEventListener("load", loaded, { once: true });
  image.addEventListener("error", () => { loaded(); image.replaceWith(el("div", { class: "query-wait" }, icon("picture"))); }, { once: true });
  $("query").hidden = false;
  $("query").replaceChildren(el("div", { class: "query-picture" }, image), el("p", { class: "query-note" }, "Searching for its like…"));
}

// `shown`: {kind, id, picture, label, guess, confidence, code, magnitudes} or null.
export function show(shown, archive) {
  $("drop").classList.toggle("compact", shown !== null);
  $("choose").disabled = !archive.can_search_images;
  const [ask, how] = archive.can_search_images
    ? [shown ? "Another picture" : touched ? "Choose a picture" : "Drop a picture here", touched ? "or take one, or tap any tile" : "or paste it, choose a file, or click any tile"]
    : [shown ? "Click another tile" : "Click a tile", "to search for its like: this archive keeps no encoder for pictures"];
  $("drop").querySelector("strong").textContent = ask;
  $("drop").querySelector("span").textContent = how;
  $("query").hidden = shown === null;
  $("query").replaceChildren();
  $("mini").hidden = shown === null;
  if (!shown) return;
  const name = shown.label ?? shown.guess;
  const source = shown.picture ?? (shown.id !== null ? api.thumbnail(shown.id, 384) : null);
  const code = () => square(shown.code, archive.bits, { weights: shown.magnitudes, title: "The query's code" });
  const picture = source ? el("img", { src: source, alt: `The query${name ? `: ${words(name)}` : ""}` }) : code();
  picture.addEventListener("error", () => picture.replaceWith(code()), { once: true });
  $("mini").replaceChildren(source ? el("img", { src: source, alt: "", loading: "lazy" }) : code());
  $("query").append(...[
    el("div", { class: "query-picture" }, picture,
      el("button", { type: "button", class: "query-clear", "aria-label": "Remove the query", onclick: () => clear() }, icon("close"))),
    name ? el("p", { class: "query-name" }, el("span", {}, words(name)),
      shown.confidence !== null && shown.guess ? el("small", {}, shown.label && shown.label !== shown.guess ? `seen as ${words(shown.guess)}, ${percent(shown.confidence)}` : `${percent(shown.confidence)} sure`) : null) : null,
    shown.confidence !== null ? meter(shown.confidence) : null,
    source ? null : el("p", { class: "query-note" }, shown.kind === "examples" ? "The examples below." : "The link holds the code of the picture, not the picture itself."),
  ].filter((part) => part !== null));
}

function meter(share) {
  const bar = el("i");
  bar.style.width = `${Math.round(share * 100)}%`;
  return el("div", { class: "meter", "aria-hidden": "true" }, bar);
}

export function examples(up, down, remove) {
  const box = $("examples");
  box.hidden = up.length + down.length === 0;
  box.replaceChildren(
    el("p", {}, el("span", {}, "Refined by"), el("button", { type: "button", class: "text", onclick: () => remove(null) }, "Remove all")),
    el("ul", {}, [...up.map((id) => ["up", id]), ...down.map((id) => ["down", id])].map(([way, id]) => el("li", {},
      el("button", { type: "button", class: way, "aria-label": `Remove tile ${id}, ${way === "up" ? "more" : "less"} like this`, onclick: () => remove(id) },
        el("img", { src: api.thumbnail(id, 96), alt: "" }), el("span", {}, icon("close")))))));
}

