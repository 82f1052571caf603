// All methods side by side, and small maps for a contrast.

import { h, signed } from "./dom.js";
import { explain } from "./api.js";
import { Heat } from "./heat.js";

/** One explanation as a small map with two lines under it. */
export async function small(e, colours, title, text) {
  const canvas = h("canvas", { class: "heat", role: "img", "aria-label": `${title}: ${e.sentence}` });
  await new Heat(canvas, colours, 192).show(e);
  return h("figure", { class: "small" }, canvas, h("figcaption", {}, h("strong", {}, title), h("span", {}, text)));
}

/** Every method on one face, one after the other: the machine is kept for what is looked at. */
export async function compareAll(root, why, choose) {
  const { methods, colours } = why.info;
  const asked = { file: why.file, face: why.face };
  const how = { face: why.face.face_id, target: why.how.target, against: why.how.against };
  const grid = h("div", { class: "grid" });
  root.replaceChildren(
    h("h3", {}, `All methods on the same face: ${why.how.target || why.face.dominant_emotion}${why.how.against ? ` rather than ${why.how.against}` : ""}`),
    h("p", { class: "note" }, "Each map has its own scale, so compare places, not strengths. Where methods disagree, trust none of them blindly."),
    grid);
  root.scrollIntoView({ behavior: "smooth", block: "nearest" });
  const status = h("p", { class: "status", role: "status" });
  grid.before(status);
  const cells = methods.map(({ name, title, summary }) => {
    const cell = h("button", { class: "cell", "data-method": name, title: summary, onclick: () => choose(name) },
      h("span", { class: "blank" }), h("strong", {}, title), h("span", { class: "pale" }, "waits"));
    grid.append(cell);
    return cell;
  });
  for (const [i, { name, title }] of methods.entries()) {
    if (why.file !== asked.file || why.face !== asked.face || !grid.isConnected) return;
    const cell = cells[i];
    status.textContent = `Working out ${i + 1} of ${methods.length}: ${title}…`;
    cell.lastElementChild.textContent = "is worked out…";
    try {
      const answer = await patiently(why, { ...how, method: name });
      if (!answer) return;
      const e = answer.explanations[0];
      const figure = await small(e, colours, title, lead(e));
      figure.append(h("span", { class: "pale" }, `${e.seconds < 0.1 ? "under 0.1" : e.seconds.toFixed(1)} s, ${e.evaluations} pass${e.evaluations === 1 ? "" : "es"}`));
      cell.replaceChildren(figure);
    } catch (error) {
      cell.replaceChildren(h("span", { class: "blank" }), h("strong", {}, title), h("span", { class: "pale" }, error.message));
    }
  }
  status.hidden = true;
  root.setAttribute("data-done", "true");
}

/** An explanation that makes way for whatever is asked meanwhile, and is asked again after it. */
async function patiently(why, how) {
  const { file } = why;
  for (;;) {
    while (why.busy) await new Promise((wait) => setTimeout(wait, 100));
    if (why.file !== file) return null;
    why.comparing = new AbortController();
    try {
      return await explain(file, how, why.comparing.signal);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }
}

function lead(e) {
  const [name, value] = Object.entries(e.regions).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))[0];
  const whole = Object.values(e.regions).reduce((a, v) => a + Math.abs(v), 0) || 1;
  return e.signed ? `${name} ${signed(value)}` : `${name} ${Math.round((100 * value) / whole)} %`;
}
