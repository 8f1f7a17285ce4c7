// The map: footprints of the tiles, in step with the gallery, and boxes drawn by hand.

import * as maplibre from "../vendor/maplibre/maplibre-gl.mjs";
import { $, el, icon } from "./dom.js";
import { thumbnail } from "./api.js";
import { bits, nameOf, percent, trust } from "./format.js";

// From here on a tile is large enough on the screen to show its picture.
const PICTURE_ZOOM = 10;
const MAX_PICTURES = 80;
const RESULT_ZOOM = 13;
// Width of the world at zoom 0.
const WORLD_PIXELS = 512;

let map = null;
let tiles = new Map();
let hovered = null;
let act = {};
let popup = null;
let box = null;

export const ready = () => map !== null;

export async function init(settings, actions) {
  act = actions;
  try {
    map = new maplibre.Map({
      container: "map", style: style(settings), center: [10, 25], zoom: 0.6, maxZoom: 18,
      renderWorldCopies: false, minZoom: -1.5, transformConstrain: whole, dragRotate: false, pitchWithRotate: false, touchPitch: false,
      attributionControl: { compact: true, customAttribution: settings.basemap ? settings.basemap_attribution : "Natural Earth" },
      locale: { "Map.Title": "Map of the tiles" },
    });
  } catch {
    $("map").append(el("p", { class: "map-missing" }, "This browser cannot draw the map (WebGL is off). Everything else works."));
    $("draw").disabled = $("use-view").disabled = true;
    map = null;
    return;
  }
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(overview, "top-right");
  map.addControl(new maplibre.ScaleControl({}), "bottom-right");
  map.touchZoomRotate.disableRotation();
  popup = new maplibre.Popup({ closeButton: false, closeOnClick: false, offset: 12, focusAfterOpen: false });
  await new Promise((resolve) => { map.on("load", resolve); });
  map.on("mousemove", "points", (event) => over(event.features[0].properties.id));
  map.on("mousemove", "areas", (event) => over(event.features[0].properties.id));
  for (const layer of ["points", "areas"]) {
    map.on("mouseleave", layer, () => over(null));
    map.on("click", layer, (event) => {
      if (event.originalEvent.defaultPrevented) return;
      event.originalEvent.preventDefault();
      act.select(tiles.get(event.features[0].properties.id));
    });
  }
  map.on("moveend", pictures);
}

const overview = {
  onAdd() {
    const button = el("button", { type: "button", class: "fit", title: "Show all tiles", "aria-label": "Show all tiles", onclick: () => { if (tiles.size) fitTo([...tiles.values()].map((tile) => tile.bbox)); } }, icon("fit"));
    this.box = el("div", { class: "maplibregl-ctrl maplibregl-ctrl-group" }, button);
    return this.box;
  },
  onRemove() { this.box.remove(); },
};

// The whole world fits into a narrow pane, and then stands in its middle; a wider one shows no void.
function whole(centre, zoom) {
  const inside = (value, limit) => Math.max(-limit, Math.min(limit, value));
  const kept = Math.max(-1.5, zoom ?? 0);
  const share = $("map").clientWidth / (WORLD_PIXELS * 2 ** kept);
  return { center: new maplibre.LngLat(inside(centre.lng, Math.max(0, 180 * (1 - share))), inside(centre.lat, 85)), zoom: kept };
}

export function hint(text) {
  if (box?.drawing) return;
  $("map-hint").textContent = text ?? "";
  $("map-hint").hidden = !text;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function style(settings) {
  const layers = [{ id: "sea", type: "background", paint: { "background-color": colour("sea") } }];
  const sources = {
    hits: { type: "geojson", data: collection([]), promoteId: "id" },
    centres: { type: "geojson", data: collection([]), promoteId: "id" },
    filter: { type: "geojson", data: collection([]) },
  };
  if (settings.basemap) {
    sources.base = { type: "raster", tiles: [settings.basemap], tileSize: 256 };
    layers.push({ id: "base", type: "raster", source: "base" });
  } else {
    sources.land = { type: "geojson", data: new URL("static/vendor/naturalearth/land.geojson", document.baseURI).href };
    layers.push(
      { id: "land", type: "fill", source: "land", filter: ["==", ["get", "kind"], "land"], paint: { "fill-color": colour("land") } },
      { id: "border", type: "line", source: "land", filter: ["==", ["get", "kind"], "border"], paint: { "line-color": colour("border"), "line-width": 0.7 } });
  }
  const on = ["boolean", ["feature-state", "on"], false];
  const trusted = ["match", ["get", "trust"], "good", colour("good"), "fair", colour("fair"), "poor", colour("poor"), colour("unknown")];
  layers.push(
    { id: "filter", type: "line", source: "filter", paint: { "line-color": colour("accent"), "line-width": 2, "line-dasharray": [2, 2] } },
    { id: "areas", type: "fill", source: "hits", minzoom: 7, paint: { "fill-color": trusted, "fill-opacity": 0.18 } },
    { id: "edges", type: "line", source: "hits", minzoom: 7, paint: { "line-color": trusted, "line-width": ["case", on, 4, 1.6] } },
    { id: "points", type: "circle", source: "centres", maxzoom: 11, paint: {
      "circle-color": trusted, "circle-opacity": 0.9, "circle-stroke-color": colour("panel"),
      "circle-stroke-width": ["case", on, 2.5, 1.2], "circle-radius": ["case", on, 9, 5] } });
  return { version: 8, sources, layers };
}

export function restyle() {
  if (!map) return;
  for (const [layer, property, name] of [["sea", "background-color", "sea"], ["land", "fill-color", "land"], ["border", "line-color", "border"], ["filter", "line-color", "accent"], ["points", "circle-stroke-color", "panel"]]) {
    if (map.getLayer(layer)) map.setPaintProperty(layer, property, colour(name));
  }
  const trusted = ["match", ["get", "trust"], "good", colour("good"), "fair", colour("fair"), "poor", colour("poor"), colour("unknown")];
  for (const [layer, property] of [["areas", "fill-color"], ["edges", "line-color"], ["points", "circle-color"]]) map.setPaintProperty(layer, property, trusted);
}

const collection = (features) => ({ type: "FeatureCollection", features });

// East of a footprint that crosses the antimeridian goes on beyond 180°.
function sides([west, south, east, north]) { return [west, south, east < west ? east + 360 : east, north]; }

export function ring(bbox) {
  const [west, south, east, north] = sides(bbox);
  return [[west, south], [east, south], [east, north], [west, north], [west, south]];
}

export function show(found, { fit = true } = {}) {
  tiles = new Map(found.filter((tile) => tile.bbox).map((tile) => [tile.id, tile]));
  if (!map) return;
  over(null);
  const areas = [], centres = [];
  for (const tile of tiles.values()) {
    const properties = { id: tile.id, trust: trust(tile.precision) };
    const [west, south, east, north] = sides(tile.bbox);
    areas.push({ type: "Feature", properties, geometry: { type: "Polygon", coordinates: [ring(tile.bbox)] } });
    centres.push({ type: "Feature", properties, geometry: { type: "Point", coordinates: [(west + east) / 2, (south + north) / 2] } });
  }
  // The best lie on top.
  map.getSource("hits").setData(collection(areas.reverse()));
  map.getSource("centres").setData(collection(centres.reverse()));
  if (fit && tiles.size) fitTo([...tiles.values()].map((tile) => tile.bbox));
  pictures();
}

function fitTo(boxes, maxZoom = RESULT_ZOOM) {
  const bounds = new maplibre.LngLatBounds();
  for (const one of boxes) {
    const [west, south, east, north] = sides(one);
    bounds.extend([west, south]).extend([east, north]);
  }
  map.fitBounds(bounds, { padding: 46, maxZoom, duration: calm() ? 0 : 500 });
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function locate(tile) {
  if (!map || !tile.bbox) return;
  fitTo([tile.bbox], 14);
  mark(tile.id, true);
}

export function mark(id, on) {
  if (!map) return;
  const known = tiles.get(id);
  if (!known) return;
  for (const source of ["hits", "centres"]) map.setFeatureState({ source, id }, { on });
}

function over(id) {
  if (box?.drawing || id === hovered) return;
  if (hovered !== null && tiles.has(hovered)) act.hover(tiles.get(hovered), false);
  hovered = id;
  map.getCanvas().style.cursor = id === null ? "" : "pointer";
  popup.remove();
  const tile = tiles.get(id);
  if (!tile) return;
  act.hover(tile, true);
  const [west, south, east, north] = sides(tile.bbox);
  popup.setLngLat([(west + east) / 2, (south + north) / 2]).setDOMContent(el("div", { class: "peek" },
    el("img", { src: thumbnail(id), alt: "" }),
    el("p", {}, nameOf(tile), tile.distance === undefined ? "" : ` · ${bits(tile.distance)}${tile.precision === null ? "" : ` · ${percent(tile.precision)}`}`))).addTo(map);
}

// Close by, each tile shows its picture on the ground.
function pictures() {
  const wanted = new Map();
  if (map.getZoom() >= PICTURE_ZOOM) {
    const bounds = map.getBounds();
    for (const tile of tiles.values()) {
      const [west, south, east, north] = sides(tile.bbox);
      if (wanted.size < MAX_PICTURES && east >= bounds.getWest() && west <= bounds.getEast() && north >= bounds.getSouth() && south <= bounds.getNorth()) {
        wanted.set(`tile-${tile.id}`, [[west, north], [east, north], [east, south], [west, south]]);
      }
    }
  }
  for (const layer of map.getStyle().layers) {
    if (layer.id.startsWith("tile-") && !wanted.has(layer.id)) { map.removeLayer(layer.id); map.removeSource(layer.id); }
  }
  for (const [id, coordinates] of wanted) {
    if (map.getSource(id)) continue;
    map.addSource(id, { type: "image", url: new URL(thumbnail(id.slice(5), 384), document.baseURI).href, coordinates });
    map.addLayer({ id, type: "raster", source: id, paint: { "raster-fade-duration": 0 } }, "filter");
  }
}

export function showBox(bbox) {
  map?.getSource("filter").setData(collection(bbox ? [{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: ring(bbox) } }] : []));
}

export function view() {
  const bounds = map.getBounds();
  const round = (value, limit) => Math.max(-limit, Math.min(limit, Number(value.toFixed(4))));
  return [round(bounds.getWest(), 180), round(bounds.getSouth(), 90), round(bounds.getEast(), 180), round(bounds.getNorth(), 90)];
}

// Calls back with a box, or null where drawing was given up.
export function draw(done) {
  const container = $("map");
  const hint = $("map-hint");
  hint.textContent = "Drag over the area · Esc to stop";
  hint.hidden = false;
  container.classList.add("drawing");
  map.dragPan.disable(); map.boxZoom.disable();
  box = { drawing: true };
  let start = null, shape = null;
  const canvas = map.getCanvasContainer();
  const at = (event) => { const area = canvas.getBoundingClientRect(); return [event.clientX - area.left, event.clientY - area.top]; };
  const down = (event) => {
    start = at(event);
    shape = el("div", { class: "drawn-box" });
    container.append(shape);
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  };
  const move = (event) => {
    if (!start) return;
    const [x, y] = at(event);
    Object.assign(shape.style, { left: `${Math.min(x, start[0])}px`, top: `${Math.min(y, start[1])}px`, width: `${Math.abs(x - start[0])}px`, height: `${Math.abs(y - start[1])}px` });
  };
  const up = (event) => {
    if (!start) return;
    const end = at(event);
    const large = Math.abs(end[0] - start[0]) > 3 && Math.abs(end[1] - start[1]) > 3;
    finish(large ? corners(start, end) : null);
  };
  const key = (event) => { if (event.key === "Escape") finish(null); };
  function finish(result) {
    container.classList.remove("drawing");
    hint.hidden = true;
    shape?.remove();
    map.dragPan.enable(); map.boxZoom.enable();
    box = null;
    canvas.removeEventListener("pointerdown", down); canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", up); document.removeEventListener("keydown", key);
    done(result);
  }
  canvas.addEventListener("pointerdown", down); canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up); document.addEventListener("keydown", key);
  return () => finish(null);
}

function corners(one, other) {
  const a = map.unproject(one), b = map.unproject(other);
  const round = (value, limit) => Math.max(-limit, Math.min(limit, Number(value.toFixed(4))));
  return [round(Math.min(a.lng, b.lng), 180), round(Math.min(a.lat, b.lat), 90), round(Math.max(a.lng, b.lng), 180), round(Math.max(a.lat, b.lat), 90)];
}

export function resize() { map?.resize(); }
