// How numbers and names are written.

const whole = new Intl.NumberFormat("en");

export const count = (number) => whole.format(number);
export function percent(share) {
  if (share > 0 && share < 0.005) return "< 1 %";
  return share < 1 && share >= 0.995 ? "> 99 %" : `${Math.round(share * 100)} %`;
}
export const bits = (distance) => `${Number(distance.toFixed(2))} ${distance === 1 ? "bit" : "bits"}`;
export const tiles = (number) => `${count(number)} ${number === 1 ? "tile" : "tiles"}`;
export const day = (moment) => (moment ? moment.slice(0, 10) : "");
export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
export const words = (label) => label.replaceAll("_", " ");
export const nameOf = (tile) => (tile.label ?? tile.predicted_label ? words(tile.label ?? tile.predicted_label) : shortened(tile.user_id) ?? `tile ${tile.id}`);
// Long ids differ at their ends.
const shortened = (id) => (id?.length > 24 ? `${id.slice(0, 9)}…${id.slice(-12)}` : id);
export const fileOf = (tile) => tile.user_id ?? tile.source?.split(/[\\/]/).pop() ?? `tile ${tile.id}`;
export const degrees = (box) => box.map((side) => side.toFixed(2)).join(", ");

// Three steps are told apart at a glance; the number beside them is exact.
export function trust(precision) {
  if (precision === null || precision === undefined) return "unknown";
  return precision >= 0.9 ? "good" : precision >= 0.5 ? "fair" : "poor";
}
