// Small helpers for elements and numbers. Text is always set as text, never as markup.

export const $ = (selector) => document.querySelector(selector);

/** An element: h("button", {class: "strong", onclick: f}, "Text", child). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The same for SVG. */
export function s(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(node, props);
  node.append(...children.flat().filter(Boolean));
  return node;
}

function set(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
}

/** A probability that never claims certainty, as the rest of Mien writes it. */
export function chance(p) {
  if (p >= 0.995) return "> 0.99";
  if (p < 0.005) return "< 0.01";
  return p.toFixed(2);
}

/** A signed number; those that are read together are written by the largest, which is never 0.00. */
export function signed(v, largest = v) {
  const most = Math.abs(largest);
  const small = most > 1e-9 && most < 0.1;
  const size = Math.abs(v);
  const text = small && most < 1e-4 ? size.toExponential(1) : size.toFixed(small ? 1 - Math.floor(Math.log10(most)) : 2);
  return (v < 0 ? "−" : "+") + text;
}

export const rgb = (c) => `rgb(${c.join(" ")})`;
export function clock(t) {
  const whole = Math.floor(t + 0.05); // clips end a little before the second
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A select with its label above it. */
export function picker(text, id, options, value, onchange) {
  const select = h("select", { id, onchange: (e) => onchange(e.target.value) },
    options.map(([key, name]) => h("option", { value: key, selected: key === value }, name)));
  return h("div", { class: "picker" }, h("label", { for: id }, text), select);
}

/** Give a file to the user. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Show or clear a message that screen readers announce; an error may bring a button of its own. */
export function tell(node, error) {
  node.hidden = !error;
  node.textContent = error ? sentence(error.message || String(error)) : "";
  if (error?.action) node.append(" ", h("button", { class: "link", onclick: error.action.go }, error.action.text));
}

const VIDEOS = /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|ogv|wmv|flv|ts|3gp)$/i;
const IMAGES = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic|heif|jp2|p[bgpn]m)$/i;

/** What a file is by its type or its name: "video", "image", or "" where neither says. */
export function kindOf(file) {
  const kind = (file.type || "").split("/")[0];
  if (kind === "video" || kind === "image") return kind;
  const name = file.name || "";
  return VIDEOS.test(name) ? "video" : IMAGES.test(name) ? "image" : "";
}

/** A file of the example gallery, as if it had been chosen. */
export async function fetchFile({ url, name }) {
  const blob = await (await fetch(url)).blob();
  return new File([blob], name, { type: blob.type });
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Files that are dropped on an element. */
export function takesDrops(zone, take) {
  zone.addEventListener("dragover", (e) => { e.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", (e) => { if (!zone.contains(e.relatedTarget)) zone.classList.remove("over"); });
  zone.addEventListener("drop", (e) => {
    e.preventDefault();
    zone.classList.remove("over");
    if (e.dataTransfer.files[0]) take(e.dataTransfer.files[0]);
  });
}
