// The photo tab: a photo comes in, its faces are outlined, one of them is looked at.

import { $, chance, h, rgb, s, short, tell } from "./dom.js";
import { predict } from "./api.js";
import { Why } from "./why.js";

export function startPhoto(about) {
  const why = new Why($("#why"), about);
  let file = null;
  let answer = null;
  let chosen = 0;
  let going = null;

  async function take(given) {
    going?.abort();
    going = new AbortController();
    tell($("#photo-alert"), null);
    file = given;
    answer = null;
    why.clear();
    document.body.classList.add("with-photo");
    $("#seen").hidden = false;
    $("#boxes").replaceChildren();
    $("#answer").replaceChildren(h("p", { class: "pale" }, "Looking…"));
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
    if (answer.faces.length) look(largest(answer.faces));
    else {
      $("#answer").replaceChildren(
        h("h2", { class: "expression" }, "No face found"),
        h("p", {}, "A face should be seen from the front, upright, and be at least as large as a fingernail on this page. A face crop without any margin can be read with ", h("code", {}, "mien serve --detector none"), "."),
      );
    }
  }

  function empty() {
    file = null;
    document.body.classList.remove("with-photo");
    $("#seen").hidden = true;
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
      const name = `Face ${face.face_id}: ${face.dominant_emotion}, ${chance(face.score)}`;
      return s("g", {
        class: "face", role: "button", tabindex: 0, "aria-label": name, "data-face": face.face_id,
        onclick: () => look(face.face_id),
        onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); look(face.face_id); } },
      },
      s("title", {}, document.createTextNode(name)),
      s("rect", { class: "halo", x, y, width: w, height: t, rx: w * 0.08, "stroke-width": line * 2 }),
      s("rect", { class: "line", x, y, width: w, height: t, rx: w * 0.08, "stroke-width": line }));
    }));
    const count = answer.faces.length;
    $("#caption").textContent = `${file.name || "photo"} · ${width} × ${height} · ${count} face${count === 1 ? "" : "s"}`;
  }

  async function look(id) {
    chosen = id;
    const face = answer.faces[id];
    const { colours } = await about;
    for (const box of document.querySelectorAll("#boxes .face"))
      box.setAttribute("aria-pressed", String(Number(box.dataset.face) === id));
    $("#answer").replaceChildren(
      ...(answer.faces.length > 1 ? [steps()] : []),
      h("p", { class: "pale" }, "Perceived expression"),
      h("h2", { class: "expression" }, face.dominant_emotion, h("span", { class: "score" }, chance(face.score))),
      chances(face, colours.expressions),
      h("p", { class: "note" }, "A score of 0.8 means: of such answers on the test set, about 80 % are what most raters say."),
    );
    why.about(file, face);
  }

  function steps() {
    const go = (by) => { look((chosen + by + answer.faces.length) % answer.faces.length); };
    return h("div", { class: "steps" },
      h("button", { class: "quiet", "aria-label": "The face to the left", onclick: () => go(-1) }, "←"),
      h("span", {}, `Face ${chosen}, ${answer.faces.length} in all`),
      h("button", { class: "quiet", "aria-label": "The face to the right", onclick: () => go(1) }, "→"));
  }

  const input = $("#file");
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); input.value = ""; });
  $("#choose").addEventListener("click", () => input.click());
  $("#another").addEventListener("click", () => input.click());
  $("#take").addEventListener("click", async () => (await import("./shutter.js")).takePhoto($("#shutter"), input, take));
  $("#example").addEventListener("click", async () => {
    const blob = await (await fetch("/static/example.jpg")).blob();
    take(new File([blob], "astronaut.jpg", { type: "image/jpeg" }));
  });
  return { take };
}

const largest = (faces) => faces.reduce((a, b) => (b.box[2] * b.box[3] > a.box[2] * a.box[3] ? b : a)).face_id;

/** Calibrated probabilities as bars. */
export function chances(face, colours) {
  return h("dl", { class: "chances" }, Object.entries(face.emotions).flatMap(([name, p]) => [
    h("dt", { class: name === face.dominant_emotion ? "first" : "" }, name),
    h("dd", { vars: { "--p": p, "--colour": rgb(colours[name] || [128, 128, 128]) } },
      h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "fill" })),
      h("span", { class: "number", title: p.toPrecision(3) }, short(p))),
  ]));
}
