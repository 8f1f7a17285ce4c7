// What a picture's bits weigh, short enough for an address: 16 bits each, relative to the largest.

export function pack(values) {
  const top = Math.max(...values) || 1;
  let bytes = "";
  for (const value of values) {
    const level = Math.round((value / top) * 65535);
    bytes += String.fromCharCode(level >> 8, level & 255);
  }
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function unpack(text) {
  try {
    const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Array.from({ length: bytes.length >> 1 }, (_, n) =>
      (bytes.charCodeAt(2 * n) * 256 + bytes.charCodeAt(2 * n + 1)) / 65535);
  } catch {
    return null;
  }
}
