// The filters and the ranking of the left column.

import { $, el, icon, svg } from "./dom.js";
import { count, degrees, words } from "./format.js";
import { change, DEFAULTS, filterCount, state } from "./state.js";

const SHOWN = 12;
let which = "label";
let everything = false;
let last = null;

export function init(archive, { onDraw, onView }) {
  $("radius").max = archive.bits;
  $("clear-filters").addEventListener("click", clear);
  for (const choice of $("which").querySelectorAll("button")) {
    choice.addEventListener("click", () => { which = choice.dataset.which; facets(last); });
  }
  $("more-facets").addEventListener("click", () => { everything = !everything; facets(last); });
  $("after").addEventListener("change", (event) => change({ after: event.target.value || null }));
  $("before").addEventListener("change", (event) => change({ before: event.target.value || null }));
  $("where-form").addEventListener("submit", (event) => {
    event.preventDefault();
    change({ where: $("where").value.trim() || null });
  });
  $("radius").addEventListener("input", () => { $("radius-value").textContent = radiusText(Number($("radius").value), archive); });
  $("radius").addEventListener("change", () => {
    const value = Number($("radius").value);
    change({ radius: value >= archive.bits ? null : value });
  });
  $("k").addEventListener("change", (event) => change({ k: Number(event.target.value) }));
  $("fine").addEventListener("change", (event) => change({ ranking: event.target.checked ? "asymmetric" : "plain" }));
  $("draw").addEventListener("click", onDraw);
  $("use-view").addEventListener("click", onView);
}

export function clear() {
  const { label, predicted_label, bbox, after, before, where } = DEFAULTS;
  change({ label, predicted_label, bbox, after, before, where });
}

const radiusText = (value, archive) => (value >= archive.bits ? "any" : `${value} ${value === 1 ? "bit" : "bits"}`);

export function show(archive) {
  $("clear-filters").hidden = filterCount() === 0;
  $("after").value = state.after?.slice(0, 10) ?? "";
  $("before").value = state.before?.slice(0, 10) ?? "";
  $("where").value = state.where ?? "";
  if (state.where) $("condition").open = true;
  $("radius").value = state.radius ?? archive.bits;
  $("radius-value").textContent = radiusText(state.radius ?? archive.bits, archive);
  if (![...$("k").options].some((option) => Number(option.value) === state.k)) $("k").append(el("option", {}, state.k));
  $("k").value = String(state.k);
  $("fine").checked = state.ranking === "asymmetric";
  $("box").hidden = state.bbox === null;
  if (state.bbox) {
    $("box").replaceChildren(el("span", {}, degrees(state.bbox)),
      el("button", { type: "button", "aria-label": "Remove the area", onclick: () => change({ bbox: null }) }, icon("close")));
  }
}

// `found`: {label, predicted_label, dates} as the service counts them.
export function facets(found) {
  last = found;
  if (!found) return;
  const both = found.label.length > 0 && found.predicted_label.length > 0;
  $("which").hidden = !both;
  if (!both) which = found.label.length || state.label.length ? "label" : "predicted_label";
  for (const choice of $("which").querySelectorAll("button")) choice.setAttribute("aria-checked", choice.dataset.which === which);
  const chosen = state[which];
  const values = [...chosen.filter((value) => !found[which].some((one) => one.value === value)).map((value) => ({ value, count: 0 })), ...found[which]];
  const top = Math.max(1, ...values.map((one) => one.count));
  const shown = everything ? values : values.filter((one, place) => place < SHOWN || chosen.includes(one.value));
  $("facets").replaceChildren(...shown.map((one) => el("li", {}, el("label", {},
    el("input", { type: "checkbox", checked: chosen.includes(one.value), onchange: (event) => change({ [which]: event.target.checked ? [...state[which], one.value] : state[which].filter((value) => value !== one.value) }) }),
    el("span", { title: words(one.value) }, words(one.value)), el("small", {}, count(one.count)),
    svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (100 * one.count) / top, height: 1 }))))));
  $("more-facets").hidden = values.length <= SHOWN;
  $("more-facets").textContent = everything ? "Fewer" : `All ${values.length}`;
  $("dates").hidden = found.dates.length === 0 && !state.after && !state.before;
  histogram(found.dates);
}

function histogram(bars) {
  const top = Math.max(1, ...bars.map((one) => one.count));
  const width = Math.max(1, bars.length);
  $("histogram").replaceChildren(svg("svg", { viewBox: `0 0 ${width} 1`, preserveAspectRatio: "none" },
    bars.map((one, n) => svg("rect", { x: n + 0.08, y: 1 - one.count / top, width: 0.84, height: one.count / top }, svg("title", {}, `${one.value}: ${count(one.count)}`)))));
}
