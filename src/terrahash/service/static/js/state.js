// What is being looked for, kept in the address bar: a search is a link.

import { pack, unpack } from "./magnitudes.js";

export const DEFAULTS = Object.freeze({
  id: null, code: null, magnitudes: null, up: [], down: [],
  label: [], predicted_label: [], bbox: null, after: null, before: null, where: null,
  radius: null, k: 48, ranking: "asymmetric",
});

export let state = read(location.hash);
const listeners = [];

export function onChange(listener) { listeners.push(listener); }

// `extra` goes to the listeners, for what an address cannot hold: the picture itself.
export function change(changes, extra = {}) {
  state = { ...state, ...changes };
  const address = write(state);
  if (address !== location.hash && !(address === "#" && !location.hash)) history.pushState(null, "", address);
  for (const listener of listeners) listener(state, extra);
}

addEventListener("popstate", () => {
  state = read(location.hash);
  for (const listener of listeners) listener(state, {});
});

export const hasQuery = (now = state) => now.id !== null || now.code !== null || now.up.length > 0;
export const filterCount = (now = state) => now.label.length + now.predicted_label.length
  + [now.bbox, now.after, now.before, now.where].filter((one) => one !== null).length;

export function filters(now = state) {
  const out = {};
  for (const name of ["label", "predicted_label"]) if (now[name].length) out[name] = now[name];
  for (const name of ["bbox", "after", "before", "where"]) if (now[name] !== null) out[name] = now[name];
  return out;
}

export function filterParameters(now = state, without = []) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(filters(now))) {
    if (without.includes(name)) continue;
    if (name === "bbox") parameters.set(name, value.join(","));
    else for (const one of [value].flat()) parameters.append(name, one);
  }
  return parameters;
}

function write(now) {
  const parameters = filterParameters(now);
  if (now.id !== null) parameters.set("id", now.id);
  if (now.code !== null) parameters.set("code", now.code);
  if (now.magnitudes !== null) parameters.set("w", pack(now.magnitudes));
  for (const name of ["up", "down"]) if (now[name].length) parameters.set(name, now[name].join(","));
  for (const name of ["radius", "k", "ranking"]) {
    if (now[name] !== DEFAULTS[name]) parameters.set(name, now[name]);
  }
  return "#" + parameters;
}

function read(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name) => {
    const value = parameters.get(name);
    return value !== null && value !== "" && Number.isFinite(Number(value)) ? Number(value) : null;
  };
  const ids = (name) => (parameters.get(name) ?? "").split(",").filter((text) => /^\d+$/.test(text)).map(Number);
  const box = (parameters.get("bbox") ?? "").split(",").map(Number);
  return {
    ...DEFAULTS,
    id: number("id"),
    code: /^[0-9a-f]+$/.test(parameters.get("code") ?? "") ? parameters.get("code") : null,
    magnitudes: parameters.get("w") ? unpack(parameters.get("w")) : null,
    up: ids("up"), down: ids("down"),
    label: parameters.getAll("label"), predicted_label: parameters.getAll("predicted_label"),
    bbox: box.length === 4 && box.every(Number.isFinite) ? box : null,
    after: parameters.get("after"), before: parameters.get("before"), where: parameters.get("where"),
    radius: number("radius"), k: number("k") ?? DEFAULTS.k,
    ranking: parameters.get("ranking") === "plain" ? "plain" : "asymmetric",
  };
}
