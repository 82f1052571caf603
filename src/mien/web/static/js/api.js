// The service, as the page asks it. Every request goes to the server that sent this page.

import { settings } from "./settings.js";

let token = null;

/** The token from the address (#token=...), kept for this tab only and taken off the address. */
export function takeToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found) {
    sessionStorage.setItem("mien-token", found);
    history.replaceState(null, "", location.pathname);
  }
  token = sessionStorage.getItem("mien-token");
}

export const hasToken = () => Boolean(token);

export class Problem extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "gone", "the server does not answer; is mien serve still running?");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) {
    const given = prompt("This server asks for a token. It was printed where mien serve was started.");
    if (given) {
      sessionStorage.setItem("mien-token", given.trim());
      token = given.trim();
      return ask(path, options);
    }
  }
  const body = await answer.json().catch(() => null);
  const error = body?.error || { code: "failed", message: `the server answered ${answer.status}` };
  throw new Problem(answer.status, error.code, error.message);
}

const post = (path, body, type, signal) =>
  ask(path, { method: "POST", body, signal, headers: { "Content-Type": type } });

const query = (how) => {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(how)) {
    if (Array.isArray(value)) value.forEach((v) => params.append(key, v));
    else if (value !== null && value !== undefined && value !== "") params.set(key, value);
  }
  return params.size ? `?${params}` : "";
};

const kind = (file) => (file.type.startsWith("image/") ? file.type : "application/octet-stream");

/** A photo with its name: downloads say of which file they are. */
const named = (path, file) => {
  const form = new FormData();
  form.append("file", file, file.name || "photo");
  return ask(path, { method: "POST", body: form });
};

export const models = async () => (await ask("/v1/models")).json();
export const predict = async (file, signal) => (await post(`/v1/predict${query(settings())}`, file, kind(file), signal)).json();
export const predictTable = async (file) => (await named(`/v1/predict${query({ ...settings(), format: "csv" })}`, file)).blob();
export const explain = async (file, how, signal) =>
  (await post(`/v1/explain${query({ ...settings(), ...how, view: true })}`, file, kind(file), signal)).json();
/** A picture of an explanation (png, svg or pdf), or a table (csv), as a file. */
export const explainFile = async (file, how, format) =>
  (await named(`/v1/explain${query({ ...settings(), ...how, format, scale: format === "png" ? 2 : "" })}`, file)).blob();
export const explainRecord = async (file, how) => (await named(`/v1/explain${query({ ...settings(), ...how })}`, file)).json();

/** Sends a video, with the share of it that is sent so far; resolves to the job. */
export function sendVideo(file, how, onsent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/video${query({ ...settings(), ...how })}`);
    request.setRequestHeader("Content-Type", file.type.startsWith("video/") ? file.type : "application/octet-stream");
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (e) => onsent(e.loaded / Math.max(e.total, 1));
    request.onerror = () => reject(new Problem(0, "gone", "the server does not answer; is mien serve still running?"));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    request.onload = () => {
      let body = null;
      try { body = JSON.parse(request.responseText); } catch { /* not ours */ }
      if (request.status === 202) resolve(body);
      else reject(new Problem(request.status, body?.error?.code, body?.error?.message || `the server answered ${request.status}`));
    };
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

export const job = async (id) => (await ask(`/v1/video/${id}`)).json();
export const jobResult = async (id) => (await ask(`/v1/video/${id}/result`)).json();
export const jobFile = async (id, name) => (await ask(`/v1/video/${id}/${name}`)).blob();
export const dropJob = (id) => ask(`/v1/video/${id}`, { method: "DELETE", keepalive: true }).catch(() => null);
