// Codes made visible: a square of bits, and a strip of those that differ.

import { svg } from "./dom.js";

export const bitsOf = (hex, length) => Array.from({ length }, (_, n) =>
  (parseInt(hex.slice(n >> 2, (n >> 2) + 1), 16) >> (3 - (n & 3))) & 1);

export function differing(one, other, length) {
  const left = bitsOf(one, length);
  return bitsOf(other, length).map((bit, n) => bit !== left[n]);
}

export function strip(flags) {
  return svg("svg", { class: "strip", viewBox: `0 0 ${flags.length} 1`, preserveAspectRatio: "none", "aria-hidden": "true" },
    flags.flatMap((flag, n) => (flag ? [svg("rect", { x: n, y: 0, width: 1, height: 1 })] : [])));
}

// `weights` shrink the bits that the query is unsure of; `labels` last bits are framed.
export function square(hex, length, { flags = null, weights = null, labels = 0, columns = 0, title = "" } = {}) {
  const width = columns || Math.ceil(Math.sqrt(length));
  const top = weights ? Math.max(...weights) || 1 : 1;
  const cells = bitsOf(hex, length).map((bit, n) => {
    const size = 0.86 * (weights ? 0.35 + 0.65 * (weights[n] / top) : 1);
    const inset = (1 - size) / 2;
    const kind = flags?.[n] ? "differs" : bit ? "one" : "zero";
    return svg("rect", {
      class: n >= length - labels ? `${kind} lab` : kind, rx: 0.14,
      x: (n % width) + inset, y: Math.floor(n / width) + inset, width: size, height: size,
    }, svg("title", {}, `bit ${n + 1}: ${bit}${flags?.[n] ? ", differs" : ""}`));
  });
  return svg("svg", {
    class: "bits", viewBox: `0 0 ${width} ${Math.ceil(length / width)}`, role: "img", "aria-label": title,
  }, cells);
}
