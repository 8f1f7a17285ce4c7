// Taking the result elsewhere.

import { el } from "./dom.js";
import { bits, fileOf, nameOf, percent } from "./format.js";
import { thumbnail } from "./api.js";
import { ring } from "./map.js";

const FIELDS = ["rank", "id", "distance", "score", "precision", "label", "predicted_label", "confidence", "datetime", "bbox", "user_id", "source"];
const CELL = 168, TEXT = 40, GAP = 12, COLUMNS = 8;

export async function save(format, tiles, name) {
  const made = { csv, geojson, stac, png }[format];
  const [content, suffix] = await made(tiles, name);
  const address = URL.createObjectURL(content);
  el("a", { href: address, download: `${name}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const json = (value, type) => new Blob([JSON.stringify(value, null, 1)], { type });

function csv(tiles) {
  const cell = (value) => {
    let text = Array.isArray(value) ? value.join(" ") : String(value ?? "");
    // A spreadsheet would run what begins like a formula.
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [FIELDS.join(","), ...tiles.map((tile) => FIELDS.map((field) => cell(tile[field])).join(","))];
  return [new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }), "csv"];
}

// Across the antimeridian a footprint is two polygons (RFC 7946, 3.1.9).
function geometry(bbox) {
  if (!bbox) return null;
  const [west, south, east, north] = bbox;
  if (west <= east) return { type: "Polygon", coordinates: [ring(bbox)] };
  return { type: "MultiPolygon", coordinates: [[ring([west, south, 180, north])], [ring([-180, south, east, north])]] };
}

function properties({ bbox, window, columns, code, id, ...rest }) {
  return { ...rest, code, ...columns };
}

function geojson(tiles) {
  const features = tiles.map((tile) => ({ type: "Feature", id: tile.id, ...(tile.bbox ? { bbox: tile.bbox } : {}), geometry: geometry(tile.bbox), properties: properties(tile) }));
  return [json({ type: "FeatureCollection", features }, "application/geo+json"), "geojson"];
}

function stac(tiles) {
  const features = tiles.map((tile) => ({
    type: "Feature", stac_version: "1.0.0", id: String(tile.user_id ?? tile.id), ...(tile.bbox ? { bbox: tile.bbox } : {}),
    geometry: geometry(tile.bbox),
    properties: { datetime: tile.datetime, "terrahash:id": tile.id, "terrahash:distance": tile.distance, "terrahash:code": tile.code, label: tile.label, predicted_label: tile.predicted_label },
    links: [], assets: { image: { href: new URL(`api/v1/items/${tile.id}/image`, document.baseURI).href, type: "image/png", roles: ["data"] }, thumbnail: { href: new URL(thumbnail(tile.id), document.baseURI).href, type: "image/jpeg", roles: ["thumbnail"] } },
  }));
  return [json({ type: "FeatureCollection", features }, "application/geo+json"), "stac.json"];
}

async function png(tiles, name) {
  const columns = Math.min(COLUMNS, Math.max(1, tiles.length));
  const canvas = el("canvas", { width: columns * (CELL + GAP) + GAP, height: Math.ceil(tiles.length / columns) * (CELL + TEXT + GAP) + GAP });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const pictures = await Promise.all(tiles.map((tile) => load(thumbnail(tile.id, 192))));
  tiles.forEach((tile, n) => {
    const x = GAP + (n % columns) * (CELL + GAP), y = GAP + Math.floor(n / columns) * (CELL + TEXT + GAP);
    if (pictures[n]) pen.drawImage(pictures[n], x, y, CELL, CELL);
    else { pen.fillStyle = "#e5e5e0"; pen.fillRect(x, y, CELL, CELL); }
    pen.fillStyle = "#17201d";
    pen.font = "600 13px system-ui, sans-serif";
    pen.fillText(nameOf(tile) || fileOf(tile), x, y + CELL + 16, CELL);
    pen.fillStyle = "#55605b";
    pen.font = "12px system-ui, sans-serif";
    if (tile.distance !== undefined) pen.fillText(`${bits(tile.distance)}${tile.precision === null ? "" : ` · ${percent(tile.precision)}`}`, x, y + CELL + 32, CELL);
  });
  return [await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); }), "png"];
}

function load(source) {
  return new Promise((resolve) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => resolve(null);
    picture.src = source;
  });
}
