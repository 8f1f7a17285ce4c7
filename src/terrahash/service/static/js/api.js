// The REST calls of the page. Errors carry what the service says and its remedy.

export class Problem extends Error {
  constructor(status, detail, remedy) {
    super(detail);
    this.status = status;
    this.remedy = remedy;
  }
}

let signIn = () => Promise.reject(new Problem(401, "a token is needed", ""));
export function onSignIn(ask) { signIn = ask; }

async function call(path, options = {}, retried = false) {
  let response;
  try {
    response = await fetch(`api/v1/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer", "See whether it still runs, then try again");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  if (response.status === 401 && !retried) {
    await signIn();
    return call(path, options, true);
  }
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem.detail ?? response.statusText, problem.remedy ?? "");
}

export const archive = () => call("archive");
export const encoder = () => call("encoder");
export const page = () => call("page");
export const item = (id) => call(`items/${id}`);
export const items = (parameters, signal) => call(`items?${parameters}`, { signal });
export const facets = (parameters, signal) => call(`facets?${parameters}`, { signal });
export const search = (body, signal) => call("search", {
  method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
});
export const searchImage = (file, parameters, signal) => call(`search/image?${parameters}`, {
  method: "POST", signal, body: file, headers: { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" },
});

export async function session(token) {
  const response = await fetch("api/v1/session", {
    method: "POST", headers: { Authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new Problem(response.status, "That is not the token", "");
}

export const thumbnail = (id, size = 192) => `api/v1/items/${id}/thumbnail?size=${size}`;
export const image = (id) => `api/v1/items/${id}/image`;
