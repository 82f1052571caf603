// The camera tab: one frame at a time goes to the service; the next leaves when the answer is here.

import { h, s, tell } from "./dom.js";
import { explain, predict } from "./api.js";
import { chances } from "./photo.js";
import { Heat } from "./heat.js";

const WIDE = 640; // pixels of the frames that are sent

export function startCamera(root, about, whyPhoto) {
  let stream = null;
  let running = false;
  const times = [];
  const video = h("video", { class: "mirror", playsinline: true, muted: true });
  const boxes = s("svg", { "aria-hidden": "true" });
  const live = h("div", { class: "live" }, video, boxes);
  const alert = h("p", { class: "alert", role: "alert", hidden: true });
  const answer = h("div", { id: "camera-answer" });
  const latency = h("p", { class: "note", id: "latency" }, "Frames go to the server one at a time and are not kept.");
  const evidence = h("input", { type: "checkbox", id: "live-evidence" });
  const map = h("canvas", { class: "heat", hidden: true, "aria-label": "Evidence in the live picture", role: "img" });
  const toggle = h("button", { class: "strong", id: "camera-toggle", onclick: () => (running ? stop() : start()) }, "Start the camera");
  const why = h("button", { id: "camera-why", disabled: true, onclick: freeze }, "Why? Explain this frame");
  const canvas = h("canvas");
  let heat = null;
  root.append(alert, h("div", { class: "stage" },
    h("div", {}, live, h("div", { class: "row", id: "camera-row" }, toggle, why,
      h("label", { class: "check" }, evidence, "Show the evidence live"))),
    h("div", {}, answer, map, latency)));
  evidence.addEventListener("change", () => { map.hidden = !evidence.checked; });

  async function start() {
    tell(alert, null);
    const info = await about;
    heat ??= new Heat(map, info.colours);
    if (!info.methods.some((m) => m.name === "cam")) evidence.parentElement.hidden = true;
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new Error("browsers give the camera only to pages of this machine or over https");
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      tell(alert, new Error(`the camera cannot be used: ${error.message}`));
      return;
    }
    video.srcObject = stream;
    await video.play();
    live.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
    running = true;
    toggle.textContent = "Stop the camera";
    why.disabled = false;
    loop(info);
  }

  function stop() {
    running = false;
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    boxes.replaceChildren();
    toggle.textContent = "Start the camera";
    why.disabled = true;
    times.length = 0;
  }

  function frame(quality) {
    canvas.width = Math.min(WIDE, video.videoWidth);
    canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
  }

  async function loop(info) {
    while (running) {
      const began = performance.now();
      const picture = await frame(0.85);
      try {
        const found = evidence.checked ? await withEvidence(picture) : await predict(picture);
        if (!running) return;
        const took = performance.now() - began;
        times.push({ at: performance.now(), took });
        if (times.length > 30) times.shift();
        outline(found);
        say(found, info);
      } catch (error) {
        if (error.status === 429 || error.status === 503) await new Promise((wait) => setTimeout(wait, 500));
        else { stop(); tell(alert, error); return; }
      }
      await new Promise((next) => setTimeout(next)); // the page must stay usable whatever the rate
    }
  }

  async function withEvidence(picture) {
    try {
      const { image, explanations } = await explain(picture, { method: "cam" });
      const largest = explanations.reduce((a, b) => (b.prediction.box[2] > a.prediction.box[2] ? b : a));
      await heat.show(largest);
      return { image, faces: explanations.map((e) => e.prediction) };
    } catch (error) {
      if (error.code === "no_face") return { image: { width: canvas.width, height: canvas.height }, faces: [] };
      throw error;
    }
  }

  function outline({ image, faces }) {
    boxes.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
    boxes.setAttribute("preserveAspectRatio", "xMidYMid slice");
    boxes.replaceChildren(...faces.map(({ box: [x, y, w, t], dominant_emotion: name }) => {
      const left = image.width - x - w; // the picture is mirrored, its text is not
      return s("g", { class: "face" },
        s("rect", { class: "halo", x: left, y, width: w, height: t, rx: w * 0.08, "stroke-width": 4 }),
        s("rect", { class: "line", x: left, y, width: w, height: t, rx: w * 0.08, "stroke-width": 2 }),
        s("text", { x: left, y: Math.max(y - 8, 16), "font-size": 16, "stroke-width": 4 }, document.createTextNode(name)));
    }));
  }

  function say({ faces }, info) {
    const sorted = times.map((t) => t.took).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    const rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1).at - times[0].at) : 0;
    latency.textContent = `${Math.round(median)} ms from picture to answer, ${rate.toFixed(1)} pictures per second`;
    if (!faces.length) {
      answer.replaceChildren(h("h2", { class: "expression pale" }, "no face"));
      return;
    }
    const face = faces.reduce((a, b) => (b.box[2] > a.box[2] ? b : a));
    answer.replaceChildren(
      h("p", { class: "pale" }, faces.length > 1 ? `Perceived expression of the largest of ${faces.length} faces` : "Perceived expression"),
      h("h2", { class: "expression" }, face.dominant_emotion),
      chances(face, info.colours.expressions));
  }

  async function freeze() {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    stop();
    whyPhoto(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  }

  return { stop };
}
