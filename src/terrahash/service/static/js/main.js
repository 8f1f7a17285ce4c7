// Puts the parts together: the state changes, the service answers, the parts show it.

import { $, el, say, toast } from "./dom.js";
import * as api from "./api.js";
import * as chrome from "./chrome.js";
import * as compare from "./compare.js";
import * as exporting from "./exporting.js";
import * as filters from "./filters.js";
import * as gallery from "./gallery.js";
import * as map from "./map.js";
import * as query from "./query.js";
import { bits, count, percent, sentence, tiles as tilesText, words } from "./format.js";
import { change, DEFAULTS, filterCount, filterParameters, filters as filtersOf, hasQuery, onChange, state } from "./state.js";

let archive = null;
let shown = null;        // the query as it is shown, or null
let found = [];          // the tiles on the page
let nextOffset = null;
let running = null;
let stopDrawing = null;
const pictures = new Map(); // object addresses of the pictures of this visit, by code
let fileTried = null;
// Of other files, rasters above all, the service shows what it saw.
const SHOWN_BY_BROWSERS = /^image\/(png|jpeg|webp|gif|bmp)$/;

chrome.init({ onTheme: () => map.restyle(), onExport: save, onView: () => map.resize() });
gallery.init({
  search: (tile) => { chrome.view("results"); change({ id: tile.id, code: null, magnitudes: null, up: [], down: [] }); },
  compare: (tile) => compare.open(tile, shown, found, archive),
  vote, locate: (tile) => { chrome.view("place"); map.resize(); map.locate(tile); },
  hover: (tile, on) => { map.mark(tile.id, on); gallery.mark(tile.id, on); },
});
compare.init((tile) => change({ id: tile.id, code: null, magnitudes: null, up: [], down: [] }));
query.init({ onFile: (file) => searchFile(file), onClear: () => change({ id: null, code: null, magnitudes: null, up: [], down: [] }) });
$("home").addEventListener("click", (event) => { event.preventDefault(); change({ ...DEFAULTS }); });
$("more").addEventListener("click", () => answer({ append: true }));
onChange((_, extra) => { if (!extra.quiet) answer(); });
start();

async function start() {
  try {
    const [about, settings] = await Promise.all([api.archive(), api.page()]);
    archive = about;
    document.title = `${archive.name} · terrahash`;
    $("archive").replaceChildren(el("strong", {}, archive.name), ` · ${tilesText(archive.tiles)} · ${archive.bits} bits${archive.demo ? " · made-up scenes at made-up places" : ""}`);
    $("work").classList.toggle("placeless", archive.tiles > 0 && !archive.placed);
    $("tabs").querySelector("[data-view=place]").hidden = archive.tiles > 0 && !archive.placed;
    query.show(null, archive);
    filters.init(archive, { onDraw: drawBox, onView: () => change({ bbox: map.view() }) });
    const drawn = map.init(settings, { hover: (tile, on) => { gallery.mark(tile.id, on, { scroll: on }); map.mark(tile.id, on); }, select: (tile) => { chrome.view("results"); gallery.focus(tile.id); compareOrSearch(tile); } });
    const answered = answer();
    await drawn;
    await answered;
    onMap({ fit: true });
  } catch (problem) {
    complain(problem);
  }
}

function compareOrSearch(tile) {
  if (shown?.code) compare.open(tile, shown, found, archive);
  else change({ id: tile.id });
}

function vote(tile, way) {
  const other = way === "up" ? "down" : "up";
  const already = state[way].includes(tile.id);
  change({
    [way]: already ? state[way].filter((id) => id !== tile.id) : [...state[way], tile.id],
    [other]: state[other].filter((id) => id !== tile.id),
  });
}

async function searchFile(file) {
  chrome.view("results");
  fileTried = file;
  // The picture is there at once, whatever its code takes.
  query.pending(URL.createObjectURL(file));
  await answer({ file });
}

// Asks for what the state says, or for the like of a picture, and shows it.
async function answer({ append = false, file = null } = {}) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  gallery.busy(true);
  $("notice").hidden = true;
  try {
    const result = await ask({ append, file, signal });
    if (file) remember(file, result.query);
    if (!append) shown = await described(result.query);
    found = append ? [...found, ...result.tiles] : result.tiles;
    nextOffset = result.next_offset;
    const context = { queryId: state.id, code: shown?.code ?? null, bits: archive.bits };
    if (found.length) gallery.show(result.tiles, context, { append });
    else nothing();
    headline(result);
    $("more").hidden = nextOffset === null;
    query.show(shown, archive);
    query.examples(state.up, state.down, (id) => change(id === null ? { up: [], down: [] } : { up: state.up.filter((one) => one !== id), down: state.down.filter((one) => one !== id) }));
    gallery.votes(state.up, state.down);
    filters.show(archive);
    $("export").disabled = found.length === 0;
    if (!append) $("results").scrollTop = 0;
    onMap({ fit: !append });
    countFacets(signal);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    complain(problem);
    if (file) query.show(shown, archive);
    filters.show(archive);
  } finally {
    if (!signal.aborted) gallery.busy(false);
  }
}

function nothing() {
  if (!archive.tiles) {
    gallery.empty("No tiles yet", "Fill the archive with: terrahash index IMAGES --archive ARCHIVE. The page shows them when it is reloaded.");
    return;
  }
  const ways = [];
  if (filterCount()) ways.push(["Clear the filters", () => filters.clear()]);
  if (hasQuery() && state.radius !== null) ways.push(["Any radius", () => change({ radius: null })]);
  gallery.empty("Nothing here", hasQuery() && state.radius !== null ? "No tile is so near and meets the filters." : "No tile meets the filters.", ways);
}

async function ask({ append, file, signal }) {
  const offset = append ? nextOffset : 0;
  if (file) {
    const parameters = filterParameters();
    parameters.set("k", state.k);
    parameters.set("ranking", state.ranking);
    if (state.radius !== null) parameters.set("radius", state.radius);
    if (!SHOWN_BY_BROWSERS.test(file.type)) parameters.set("preview", "true");
    const result = await api.searchImage(file, parameters, signal);
    return { ...result, tiles: result.hits };
  }
  if (!hasQuery()) {
    const parameters = filterParameters();
    parameters.set("limit", state.k);
    parameters.set("spread", "true");
    const result = await api.items(parameters, signal);
    return { tiles: result.items, total: result.total, query: null, next_offset: null };
  }
  const body = { k: state.k, offset, ranking: state.ranking, filters: filtersOf() };
  if (state.radius !== null) body.radius = state.radius;
  const own = state.code !== null ? { hex: state.code, ...(state.magnitudes ? { magnitudes: state.magnitudes } : {}) } : null;
  if (state.up.length + state.down.length) {
    const code = own ?? (state.id !== null ? { hex: (await api.item(state.id)).code } : null);
    body.examples = { positive: state.up, negative: state.down, ...(code ? { code } : {}) };
  } else if (own) body.code = own;
  else body.id = state.id;
  const result = await api.search(body, signal);
  return { ...result, tiles: result.hits };
}

// A picture becomes its code: that is what the link holds.
function remember(file, asked) {
  const old = pictures.get(asked.code);
  if (old) URL.revokeObjectURL(old.picture);
  pictures.set(asked.code, { picture: asked.preview ?? URL.createObjectURL(file), guess: asked.predicted_label, confidence: asked.confidence });
  change({ id: null, code: asked.code, magnitudes: asked.magnitudes, up: [], down: [] }, { quiet: true });
}

async function described(asked) {
  if (!asked) return null;
  const base = { kind: asked.kind, id: state.id, picture: null, label: null, guess: null, confidence: null, code: asked.code, magnitudes: asked.magnitudes };
  if (state.code !== null) return { ...base, kind: "code", ...pictures.get(state.code) };
  if (state.id !== null) {
    const tile = await api.item(state.id);
    return { ...base, label: tile.label, guess: tile.predicted_label, confidence: tile.confidence };
  }
  return base;
}

function headline(result) {
  if (!hasQuery()) {
    $("title").textContent = result.total ? `${tilesText(result.total)} to look through` : archive.tiles ? "No such tile" : "An empty archive";
    const how = archive.can_search_images ? "Click one, or give a picture, to see its like." : "Click one to see its like.";
    $("facts").textContent = !result.total ? "" : found.length < result.total ? `${count(found.length)} of them from all over the archive. ${how}` : how;
    say(`${tilesText(result.total)}, ${count(found.length)} shown`);
    return;
  }
  const name = shown?.label ?? shown?.guess;
  const refined = state.up.length + state.down.length;
  $("title").textContent = `${found.length ? tilesText(found.length) : "No tile"} like ${name ? `this ${words(name)}` : shown?.kind === "examples" ? "the examples" : shown?.id != null ? `tile ${shown.id}` : "the query"}${refined ? ", refined" : ""}`;
  const nearest = found[0], farthest = found.at(-1);
  const facts = [];
  const best = Math.max(...found.map((tile) => tile.precision ?? 1));
  if (nearest && best < 0.5) facts.push(`No close match: ${percent(best)} expected precision at best`);
  if (nearest) facts.push(nearest.distance === farthest.distance ? `all at ${bits(nearest.distance)}` : `${Math.min(...found.map((tile) => tile.distance))} to ${bits(Math.max(...found.map((tile) => tile.distance)))}`);
  if (facts.length && result.ranking === "asymmetric") facts.push(`${facts.pop()}, unsure bits count less`);
  if (nextOffset !== null && result.ties_at_last_distance > 1) facts.push(`${count(result.ties_at_last_distance)} tie for the last place`);
  facts.push(`searched in ${result.milliseconds.search.toFixed(1)} ms`);
  $("facts").textContent = facts.join(" · ");
  say(`${tilesText(found.length)} found. ${facts[0] ?? ""}`);
}

async function countFacets(signal) {
  const [all, narrowed] = await Promise.all([
    api.facets(filterParameters(state, ["label", "predicted_label"]), signal),
    api.facets(filterParameters(state, ["after", "before"]), signal),
  ]).catch(() => [null, null]);
  if (all) filters.facets({ ...all, dates: narrowed.dates });
}

function onMap({ fit }) {
  if (!map.ready()) return;
  try {
    map.showBox(state.bbox);
    map.show(found, { fit });
    map.hint(found.length && !found.some((tile) => tile.bbox) ? "These tiles have no place on the map" : null);
  } catch { /* the style is still loading; start() comes back to it */ }
  const levels = hasQuery() ? [["good", "90 % or more"], ["fair", "50 to 90 %"], ["poor", "less"]] : [];
  $("legend").hidden = !levels.length || !found.some((tile) => tile.bbox && tile.precision !== null);
  $("legend").querySelector("ul").replaceChildren(...levels.map(([level, text]) => el("li", { class: `trust ${level}` }, text)));
}

function drawBox() {
  if (stopDrawing) { stopDrawing(); return; }
  chrome.view("place");
  map.resize();
  $("draw").setAttribute("aria-pressed", "true");
  stopDrawing = map.draw((bbox) => {
    stopDrawing = null;
    $("draw").setAttribute("aria-pressed", "false");
    if (bbox) change({ bbox });
  });
}

async function save(format) {
  try {
    await exporting.save(format, found, `${archive.name}-${state.id ?? state.code?.slice(0, 8) ?? "tiles"}`);
    toast(`${tilesText(found.length)} saved`);
  } catch {
    toast("It could not be saved");
  }
}

function complain(problem) {
  gallery.busy(false);
  const notice = $("notice");
  const again = problem.status === 0 || problem.status >= 500;
  const way = (text, onclick) => el("button", { type: "button", class: "plain", onclick }, text);
  const ways = [];
  if (again) ways.push(way("Try again", () => (archive ? answer({ file: fileTried && !hasQuery() ? fileTried : null }) : location.reload())));
  if (!again && state.where !== null) ways.push(way("Remove the condition", () => change({ where: null })));
  if (!again && (hasQuery() || filterCount())) ways.push(way("Start over", () => change({ ...DEFAULTS })));
  const gone = problem.status === 404 && hasQuery();
  notice.replaceChildren(el("strong", {}, sentence(problem.message)), sentence(gone ? "It may have been deleted since the link was made" : problem.remedy ?? ""),
    ways.length ? el("div", { class: "ways" }, ways) : "");
  notice.hidden = false;
  if (!found.length) { $("title").textContent = "No answer"; $("facts").textContent = ""; }
  console.warn(problem.message);
}
