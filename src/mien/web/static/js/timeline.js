// A face's probabilities over time, stacked; it follows the player and leads it.

import { clock, h, rgb, s } from "./dom.js";

const WIDE = 1000;
const HIGH = 100;
const POINTS = 400; // columns at most; more cannot be told apart
const GAP = 1.0; // seconds out of sight

export class Timeline {
  constructor(player, result, colours) {
    this.player = player;
    this.result = result;
    this.colours = colours;
    this.end = Math.max(result.clip.duration || 0, ...result.curves.map((c) => c.times.at(-1) || 0), 0.1);
    const { every, fps } = result.options;
    this.step = fps ? Math.max(1 / fps, 1 / result.clip.fps) : every / result.clip.fps; // between looks
    this.gap = Math.max(GAP, 2.5 * this.step);
    this.areas = s("g");
    this.head = s("line", { class: "head", y1: 0, y2: HIGH, x1: 0, x2: 0 });
    this.svg = s("svg", {
      viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "slider", tabindex: 0,
      "aria-label": "Timeline: time in the clip", "aria-valuemin": 0, "aria-valuemax": this.end.toFixed(1),
    }, this.areas, this.head);
    this.now = h("span");
    this.keys = h("ul", { class: "keys" });
    this.root = h("figure", { class: "timeline" },
      this.svg,
      h("div", { class: "axis" }, h("span", {}, "0:00"), this.now, h("span", {}, clock(this.end))),
      this.keys);
    this.listen();
  }

  listen() {
    const { svg, player } = this;
    const seek = (e) => {
      const r = svg.getBoundingClientRect();
      player.currentTime = Math.min(Math.max((e.clientX - r.left) / r.width, 0), 1) * this.end;
    };
    svg.addEventListener("pointerdown", (e) => { svg.setPointerCapture(e.pointerId); seek(e); });
    svg.addEventListener("pointermove", (e) => { if (e.buttons) seek(e); });
    svg.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 0.2, ArrowLeft: -0.2, PageUp: 2, PageDown: -2 }[e.key];
      if (e.key === " ") { e.preventDefault(); player.paused ? player.play() : player.pause(); }
      if (step === undefined) return;
      e.preventDefault();
      player.currentTime = Math.min(Math.max(player.currentTime + step, 0), this.end);
    });
    const follow = () => { this.at(player.currentTime); if (!player.paused) requestAnimationFrame(follow); };
    for (const name of ["play", "seeking", "seeked", "timeupdate"]) player.addEventListener(name, follow);
  }

  at(time) {
    const x = (time / this.end) * WIDE;
    this.head.setAttribute("x1", x);
    this.head.setAttribute("x2", x);
    this.svg.setAttribute("aria-valuenow", time.toFixed(1));
    const row = this.nearest(time);
    const text = row ? `${clock(time)} · ${row}` : clock(time);
    this.svg.setAttribute("aria-valuetext", text);
    this.now.textContent = text;
  }

  nearest(time) {
    if (!this.curve) return null;
    const i = this.curve.times.findLastIndex((t) => t <= time + 1e-3);
    if (i < 0 || time - this.curve.times[i] > this.gap) return null;
    const values = this.curve.values[i];
    const best = values.indexOf(Math.max(...values));
    return `${this.result.labels[best]} ${values[best].toFixed(2)}`;
  }

  /** Show the curve of one face. */
  show(face) {
    this.curve = this.result.curves.find((c) => c.face_id === face);
    const { labels } = this.result;
    this.areas.replaceChildren();
    if (!this.curve) return;
    for (const run of runs(this.curve, this)) {
      let below = run.map(() => 0);
      labels.forEach((label, k) => {
        const above = run.map((point, i) => below[i] + point.values[k]);
        const x = (point) => (point.time / this.end) * WIDE;
        const top = run.map((p, i) => `${x(p).toFixed(1)},${(HIGH * (1 - above[i])).toFixed(2)}`);
        const bottom = run.map((p, i) => `${x(p).toFixed(1)},${(HIGH * (1 - below[i])).toFixed(2)}`).reverse();
        this.areas.append(s("polygon", { points: [...top, ...bottom].join(" "), fill: rgb(this.colours[label] || [128, 128, 128]) },
          s("title", {}, document.createTextNode(label))));
        below = above;
      });
    }
    this.keys.replaceChildren(...labels.map((label) => h("li", { vars: { "--colour": rgb(this.colours[label] || [128, 128, 128]) } }, label)));
    this.at(this.player.currentTime);
  }
}

/** Stretches in which a face is in sight, with means over columns where there are too many points. */
function runs(curve, { end, step, gap }) {
  const width = end / POINTS;
  const found = [];
  let run = null;
  let last = -Infinity;
  curve.times.forEach((time, i) => {
    if (time - last > gap) { run = []; found.push(run); }
    last = time;
    const column = Math.floor(time / width);
    const before = run.at(-1);
    if (before?.column === column) {
      before.count += 1;
      before.values = before.values.map((v, k) => v + (curve.values[i][k] - v) / before.count);
    } else run.push({ time, column, count: 1, values: curve.values[i] });
  });
  for (const one of found) {
    const tail = one.at(-1);
    one.push({ ...tail, time: Math.min(tail.time + Math.max(width, step), end) }); // a look stands for some time
  }
  return found;
}
