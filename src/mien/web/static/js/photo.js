// The photo tab: a photo comes in, its faces are outlined, one of them is looked at.

import { $, chance, h, kindOf, rgb, s, save, tell } from "./dom.js";
import { predict, predictTable } from "./api.js";
import { settingPickers } from "./settings.js";
import { Why } from "./why.js";

/** @param elsewhere takes a file that is no photo to the tab that it belongs to */
export function startPhoto(about, elsewhere) {
  const why = new Why($("#why"), about);
  let file = null;
  let answer = null;
  let chosen = 0;
  let going = null;

  async function take(given) {
    if (kindOf(given) === "video") {
      const error = new Error(`this is a video (${given.name}): use Video`);
      error.action = { text: "Open it there", go: () => { tell($("#photo-alert"), null); elsewhere(given); } };
      tell($("#photo-alert"), error);
      return;
    }
    going?.abort();
    going = new AbortController();
    tell($("#photo-alert"), null);
    file = given;
    answer = null;
    why.clear();
    document.body.classList.add("with-photo");
    $("#seen").hidden = false;
    $("#boxes").replaceChildren();
    $("#faces").hidden = true;
    $("#answer").replaceChildren(h("p", { class: "pale" }, "Looking for faces…"));
    about.then((info) => { if (!$("#settings").childElementCount) $("#settings").append(...settingPickers(info, "photo", () => { if (file) take(file); })); }, () => null);
    showPicture(file);
    try {
      const { limits } = await about;
      if (file.size > limits.body) throw new Error(`expected a photo of at most ${limits.body / 1e6} MB, got ${(file.size / 1e6).toFixed(1)} MB`);
      answer = await predict(file, going.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      empty();
      tell($("#photo-alert"), error);
      return;
    }
    outline();
    table();
    if (answer.faces.length) look(largest(answer.faces));
    else {
      $("#answer").replaceChildren(
        h("h2", { class: "expression" }, "No face found"),
        h("p", {}, "A face should be seen from the front, upright, and be at least as large as a fingernail on this page. Where the photo is a face crop without any margin, choose “none” below it."),
      );
    }
  }

  function empty() {
    file = null;
    document.body.classList.remove("with-photo");
    $("#seen").hidden = true;
    $("#faces").hidden = true;
    why.clear();
  }

  function showPicture(given) {
    const image = $("#image");
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = false;
    image.onerror = () => { image.hidden = true; };
    image.alt = `The photo ${given.name || ""}`.trim();
    image.src = URL.createObjectURL(given);
    $("#caption").textContent = given.name || "a photo";
  }

  function outline() {
    const { width, height } = answer.image;
    const boxes = $("#boxes");
    $("#frame").parentElement.style.setProperty("--ratio", width / height);
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const line = Math.max(width, height) / 200;
    boxes.replaceChildren(...answer.faces.map((face) => {
      const [x, y, w, t] = face.box;
      const name = `${numbered(face)}: ${face.dominant_emotion}, ${chance(face.score)}`;
      return s("g", {
        class: "face", role: "button", tabindex: 0, "aria-label": name, "data-face": face.face_id,
        onclick: () => look(face.face_id),
        onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); look(face.face_id); } },
      },
      s("title", {}, document.createTextNode(name)),
      s("rect", { class: "halo", x, y, width: w, height: t, rx: w * 0.08, "stroke-width": line * 2 }),
      s("rect", { class: "line", x, y, width: w, height: t, rx: w * 0.08, "stroke-width": line }),
      answer.faces.length > 1 ? badge(face, [x, y, w], Math.max(width, height) / 36) : null);
    }));
    const count = answer.faces.length;
    $("#caption").textContent = `${file.name || "photo"} · ${width} × ${height} · ${count} face${count === 1 ? "" : "s"}`;
  }

  /** The number of a face in a corner of its box. */
  function badge(face, [x, y, w], size) {
    const left = Math.min(Math.max(x, 0), answer.image.width - size);
    const top = Math.max(y, 0);
    return s("g", { class: "badge", "aria-hidden": "true" },
      s("rect", { x: left, y: top, width: Math.min(size * 1.25, Math.max(w, size)), height: size * 1.2, rx: size * 0.2 }),
      s("text", { x: left + size * 0.62, y: top + size * 0.92, "font-size": size * 0.9, "text-anchor": "middle" }, document.createTextNode(face.face_id + 1)));
  }

  const numbered = (face) => `Face ${face.face_id + 1} of ${answer.faces.length}`;

  /** All faces of a group photo, to choose from; the table that is given has every column. */
  function table() {
    const { faces } = answer;
    $("#faces").hidden = faces.length < 2;
    const next = (face) => Object.entries(face.emotions).sort((a, b) => b[1] - a[1])[1];
    $("#faces").replaceChildren(
      h("table", {}, h("caption", {}, `${faces.length} faces, from left to right`),
        h("thead", {}, h("tr", {}, ["Face", "Perceived expression", "Score", "Next"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, faces.map((face) => h("tr", { "data-face": face.face_id, onclick: () => look(face.face_id) },
          h("td", {}, h("button", { class: "link", "aria-label": `${numbered(face)}: show it` }, face.face_id + 1)),
          h("td", {}, face.dominant_emotion), h("td", {}, chance(face.score)),
          h("td", {}, `${next(face)[0]} ${chance(next(face)[1])}`))))),
      h("button", { id: "faces-csv", onclick: csv }, "All faces (CSV)"));
  }

  async function csv() {
    try { save(await predictTable(file), `${(file.name || "photo").replace(/\.[^.]*$/, "")}.mien.csv`); } catch (error) { tell($("#photo-alert"), error); }
  }

  async function look(id) {
    chosen = id;
    const face = answer.faces[id];
    const { colours } = await about;
    for (const box of document.querySelectorAll("#boxes .face"))
      box.setAttribute("aria-pressed", String(Number(box.dataset.face) === id));
    for (const row of document.querySelectorAll("#faces tr[data-face]"))
      row.setAttribute("aria-selected", String(Number(row.dataset.face) === id));
    $("#answer").replaceChildren(
      ...(answer.faces.length > 1 ? [steps()] : []),
      h("p", { class: "pale" }, "Perceived expression"),
      h("h2", { class: "expression" }, face.dominant_emotion, h("span", { class: "score" }, chance(face.score))),
      chances(face, colours.expressions),
      h("p", { class: "note" }, "A score of 0.8 means: of such answers on the test set, about 80 % are what most raters say."),
    );
    why.about(file, face, answer.faces.length);
  }

  function steps() {
    const go = (by) => { look((chosen + by + answer.faces.length) % answer.faces.length); };
    return h("div", { class: "steps" },
      h("button", { class: "quiet", "aria-label": "The face to the left", onclick: () => go(-1) }, "←"),
      h("span", {}, numbered(answer.faces[chosen])),
      h("button", { class: "quiet", "aria-label": "The face to the right", onclick: () => go(1) }, "→"));
  }

  const input = $("#file");
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); input.value = ""; });
  $("#choose").addEventListener("click", () => input.click());
  $("#another").addEventListener("click", () => input.click());
  $("#take").addEventListener("click", async () => (await import("./shutter.js")).takePhoto($("#shutter"), input, take));
  return { take };
}

const largest = (faces) => faces.reduce((a, b) => (b.box[2] * b.box[3] > a.box[2] * a.box[3] ? b : a)).face_id;

/** Calibrated probabilities as bars. */
export function chances(face, colours) {
  return h("dl", { class: "chances" }, Object.entries(face.emotions).flatMap(([name, p]) => [
    h("dt", { class: name === face.dominant_emotion ? "first" : "" }, name),
    h("dd", { vars: { "--p": p, "--colour": rgb(colours[name] || [128, 128, 128]) } },
      h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "fill" })),
      h("span", { class: "number", title: p.toPrecision(3) }, chance(p))),
  ]));
}
