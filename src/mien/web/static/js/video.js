// The video tab: a clip becomes a job; its result is a player with a timeline that follows it.

import { chance, clock, fetchFile, h, kindOf, picker, rgb, save, tell } from "./dom.js";
import { dropJob, hasToken, job as askJob, jobFile, jobResult, sendVideo } from "./api.js";
import { settingPickers } from "./settings.js";
import { Timeline } from "./timeline.js";

const POLL = 300; // milliseconds
const SHOWN = 8; // faces that have a chip, those longest in sight
const EXAMPLE = { url: "/examples/clip.mp4", name: "drawn-clip.mp4" };

/** @param elsewhere takes a file that is no video to the tab that it belongs to */
export function startVideo(root, about, elsewhere) {
  let going = null; // the job that is worked on, or shown
  const how = { overlay: "none", every: "1" };
  const input = h("input", { type: "file", accept: "video/*", hidden: true, id: "video-file" });
  const alert = h("p", { class: "alert", role: "alert", hidden: true });
  const body = h("div");
  root.append(alert, body, input);

  async function welcome() {
    root.classList.remove("busy-tab");
    const choose = h("button", { class: "strong", id: "video-choose" }, "Choose a video");
    const pickers = h("div", { class: "row" });
    const zone = h("div", { class: "drop" },
      h("p", { class: "drop-text" }, h("strong", {}, "Drop a video here"), ", or choose one."),
      h("div", { class: "row" }, choose, h("button", { class: "quiet", id: "video-example", onclick: async () => take(await fetchFile(EXAMPLE)) }, "Try a drawn clip")),
      pickers);
    body.replaceChildren(zone);
    choose.addEventListener("click", () => input.click());
    const info = await about;
    const drawn = info.methods.filter((m) => m.overlay).map((m) => [m.name, `${m.title}, ${m.overlay === "frame" ? "every frame" : "every two seconds"}`]);
    pickers.replaceChildren(
      picker("Evidence on the faces", "overlay", [["none", "none"], ...drawn], how.overlay, (v) => { how.overlay = v; }),
      picker("Look at", "every", [["1", "every frame"], ["2", "every second frame"], ["5", "every fifth frame"]], how.every, (v) => { how.every = v; }),
      ...settingPickers(info, "video"));
  }
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); input.value = ""; });

  async function take(file) {
    tell(alert, null);
    if (kindOf(file) === "image") {
      const error = new Error(`this is a photo (${file.name}): use Photo`);
      error.action = { text: "Open it there", go: () => { tell(alert, null); elsewhere(file); } };
      tell(alert, error);
      return;
    }
    root.classList.add("busy-tab");
    const stop = new AbortController();
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress" });
    const text = h("p", { class: "pale", "aria-live": "polite" }, "Sending to the server…");
    const cancel = h("button", { id: "video-cancel", onclick: () => { stop.abort(); if (going) dropJob(going); going = null; welcome(); } }, "Cancel");
    body.replaceChildren(h("div", { class: "working" }, h("h2", {}, file.name), bar, text, h("div", {}, cancel)));
    try {
      const { limits } = await about;
      if (file.size > limits.video_body) throw new Error(`expected a video of at most ${limits.video_body / 1e6} MB, got ${Math.round(file.size / 1e6)} MB`);
      const sent = await sendVideo(file, how, (part) => { bar.value = part; }, stop.signal);
      going = sent.id;
      bar.value = 0;
      const began = performance.now();
      for (;;) {
        const now = await askJob(sent.id);
        if (stop.signal.aborted) return;
        if (now.state === "failed" || now.state === "cancelled") throw new Error(now.error || "the job was stopped");
        if (now.state === "done") break;
        bar.value = now.progress;
        const passed = (performance.now() - began) / 1000;
        const left = now.progress > 0.02 ? `, about ${clock((passed / now.progress) * (1 - now.progress))} left` : "";
        text.textContent = now.state === "waiting" ? "Waiting for another video to end…" : `Analysed ${now.frames}${now.of ? ` of ${Math.max(now.of, now.frames)}` : ""} frames${left}`;
        await new Promise((wait) => setTimeout(wait, POLL));
      }
      await show(file, sent.id, await jobResult(sent.id), (await about).colours.expressions);
    } catch (error) {
      if (error.name === "AbortError" || stop.signal.aborted) return;
      welcome();
      tell(alert, error);
    }
  }

  async function show(file, id, result, colours) {
    const source = hasToken() ? URL.createObjectURL(await jobFile(id, "clip.mp4")) : `/v1/video/${id}/clip.mp4`;
    const player = h("video", { src: source, controls: true, playsinline: true, preload: "auto" });
    const timeline = new Timeline(player, result, colours);
    const facts = h("div");
    const chips = h("div", { class: "chips", role: "group", "aria-label": "Faces" });
    const base = file.name.replace(/\.[^.]*$/, "");
    function choose(face) {
      for (const chip of chips.children) chip.setAttribute("aria-pressed", String(Number(chip.dataset.face) === face.face_id));
      timeline.show(face.face_id);
      moments(face);
      const first = Object.entries(face.shares).filter(([, v]) => v >= 0.005).sort((a, b) => b[1] - a[1]);
      facts.replaceChildren(
        h("h2", { class: "expression" }, first[0][0], h("span", { class: "score" }, `${Math.round(first[0][1] * 100)} % of ${face.seconds.toFixed(1)} s in sight`)),
        h("dl", { class: "chances" }, first.flatMap(([name, v]) => [
          h("dt", {}, name),
          h("dd", { vars: { "--p": v, "--colour": rgb(colours[name] || [128, 128, 128]) } },
            h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "fill" })), h("span", { class: "number" }, `${Math.round(v * 100)} %`)),
        ])));
    }
    const shown = result.faces.slice(0, SHOWN).sort((a, b) => a.face_id - b.face_id);
    chips.append(...shown.map((face) =>
      h("button", { "data-face": face.face_id, onclick: () => choose(face) }, `Face ${face.face_id}`)));
    const peaks = h("div", { class: "peaks" });
    function moments(face) {
      peaks.replaceChildren(...result.moments.filter((m) => m.face_id === face.face_id).map((m) =>
        h("button", { onclick: () => { player.currentTime = m.timestamp; player.pause(); }, title: `Go to ${clock(m.timestamp)}` },
          h("img", { src: m.picture, alt: `Face ${m.face_id}, most ${m.emotion}` }),
          h("strong", {}, m.emotion), ` ${chance(m.score)}`, h("br"), h("span", { class: "pale" }, `at ${clock(m.timestamp)}`))));
    }
    const give = (name, as) => async () => { try { save(await jobFile(id, name), as); } catch (error) { tell(alert, error); } };
    body.replaceChildren(
      h("div", { class: "stage", id: "video-result" },
        h("div", {}, player, timeline.root),
        h("div", {},
          h("p", { class: "pale" }, `${result.faces.length} face${result.faces.length === 1 ? "" : "s"} in ${result.looked_at} frames`),
          result.problem ? h("p", { class: "warning" }, `Read with care: ${result.problem}.`) : null,
          result.faces.length > 1 ? chips : null,
          result.faces.length > SHOWN ? h("p", { class: "note" }, `These ${SHOWN} were in sight longest; the table has all.`) : null, facts,
          result.faces.length ? null : h("p", {}, "No face was found in this clip."),
          result.faces.length ? h("h3", {}, "Its strongest moments") : null, peaks,
          h("div", { class: "row" },
            h("button", { id: "video-clip", onclick: give("clip.mp4", `${base}.mien.mp4`) }, "Clip (MP4)"),
            h("button", { onclick: give("table.csv", `${base}.mien.csv`) }, "Table (CSV)"),
            h("button", { onclick: () => save(new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }), `${base}.mien.json`) }, "Record (JSON)"),
            h("button", { class: "quiet", id: "video-another", onclick: () => { dropJob(id); going = null; welcome(); } }, "Another video")),
          h("p", { class: "note" }, "The clip and its results are deleted when you leave this page, and after a quarter of an hour at most."))));
    if (result.faces.length) choose(result.faces[0]);
  }

  window.addEventListener("pagehide", () => { if (going) dropJob(going); });
  welcome();
  return { take };
}
