// Why a face was answered so: pickers, the sentence, the heat map, the regions, the contrast.

import { h, picker, save, signed, tell } from "./dom.js";
import { explain, explainFile, explainRecord } from "./api.js";
import { Heat } from "./heat.js";

export class Why {
  constructor(root, about) {
    this.root = root;
    this.ready = about;
    this.how = { method: "regions", target: "", against: "", baseline: "", option: [] };
  }

  /** Forget the face. */
  clear() {
    this.going?.abort();
    this.comparing?.abort();
    this.busy = false;
    this.root.hidden = true;
    this.root.replaceChildren();
    this.file = null;
  }

  /** Explain a face of a photo that shows so many. */
  async about(file, face, count) {
    this.count = count;
    this.info = await this.ready;
    this.file = file;
    this.face = face;
    this.how = { ...this.how, target: "", against: "" };
    if (!this.info.methods.some((m) => m.name === this.how.method)) this.how.method = this.info.methods[0].name;
    this.build();
    await this.ask();
  }

  get question() {
    const { method, target, against, baseline, option } = this.how;
    return { face: this.face.face_id, method, target, against, baseline, option };
  }

  build() {
    const { methods, baselines, colours } = this.info;
    const labels = Object.keys(this.face.emotions);
    const canvas = h("canvas", { class: "heat", role: "img" });
    this.heat = new Heat(canvas, colours);
    this.heat.names = this.names ?? true;
    this.heat.outlines = this.outlines ?? true;
    const switched = (key, text) => h("label", { class: "check" }, h("input", {
      type: "checkbox", id: `show-${key}`, checked: this.heat[key],
      onchange: (e) => { this[key] = this.heat[key] = e.target.checked; this.heat.paint(); },
    }), text);
    canvas.addEventListener("pointermove", (e) => {
      const r = canvas.getBoundingClientRect();
      if (this.explanation) this.light(this.heat.regionAt((e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height));
    });
    canvas.addEventListener("pointerleave", () => this.light(null));
    this.pickers = h("div", { class: "pickers" },
      picker("Method", "method", methods.map((m) => [m.name, m.title]), this.how.method, (v) => this.change({ method: v, option: [], baseline: "" })),
      picker("Explain", "target", [["", `the answer: ${this.face.dominant_emotion}`], ...labels.map((l) => [l, l])], this.how.target, (v) => this.change({ target: v })),
      picker("Against", "against", [["", "nothing"], ...labels.map((l) => [l, l])], this.how.against, (v) => this.change({ against: v })),
      h("details", { class: "more" }, h("summary", {}, "Options"), h("div", { class: "pickers", id: "more" })));
    this.more(baselines);
    this.summary = h("p", { class: "note" });
    this.status = h("p", { class: "status", role: "status", hidden: true });
    this.sentence = h("p", { class: "sentence", "aria-live": "polite" });
    this.paragraph = h("p", { class: "told" });
    this.warning = h("p", { class: "warning", hidden: true });
    this.alert = h("p", { class: "alert", role: "alert", hidden: true });
    this.legend = h("div", { class: "legend" });
    this.bars = h("ul", { class: "bars" });
    this.facts = h("p", { class: "note" });
    this.contrast = h("div", { class: "contrast", hidden: true });
    this.compare = h("div", { class: "compare", id: "compare" });
    const slider = h("input", {
      type: "range", id: "opacity", min: 0, max: 100, value: 70,
      oninput: (e) => { this.heat.opacity = e.target.value / 100; this.heat.paint(); },
    });
    this.root.replaceChildren(
      h("h2", {}, "Why"),
      this.pickers, this.summary, this.status, this.alert,
      h("div", { class: "busy", id: "evidence" },
        this.sentence, this.paragraph, this.warning,
        h("div", { class: "evidence" },
          h("figure", { class: "map" }, canvas, this.legend,
            h("div", { class: "slider" }, h("label", { for: "opacity" }, "Opacity"), slider),
            h("div", { class: "row checks" }, switched("outlines", "Outlines"), switched("names", "Names"))),
          h("div", {}, h("h3", { id: "bars-title" }, "Regions"), this.bars, this.facts)),
        this.contrast,
        h("div", { class: "row" },
          ...[["png", "Picture (PNG)"], ["svg", "SVG"], ["pdf", "PDF"], ["csv", "Regions (CSV)"], ["json", "Record (JSON)"]].map(([kind, text]) =>
            h("button", { id: kind, onclick: () => this.download(kind) }, text)),
          h("button", { id: "all", onclick: () => this.all() }, "Compare all methods"))),
      this.compare);
    this.root.hidden = false;
  }

  /** Pickers of the method's own options. */
  more(baselines) {
    const box = this.pickers.querySelector("#more");
    const method = this.info.methods.find((m) => m.name === this.how.method);
    const against = this.pickers.querySelector("#against"); // a map that is the same for all has no rival
    against.disabled = !method.about_target;
    if (!method.about_target) against.value = this.how.against = "";
    const set = (name, value, normal) => {
      const others = this.how.option.filter((o) => !o.startsWith(`${name}=`));
      this.change({ option: value === "" || value === String(normal) ? others : [...others, `${name}=${value}`] }, false);
    };
    const hides = picker("Hidden parts", "baseline", [["", "as the method has it"], ...baselines.map((b) => [b, b])], this.how.baseline, (v) => this.change({ baseline: v }, false));
    box.replaceChildren(
      ...(method.baseline ? [hides] : []),
      ...method.options.map((o) => option(o, set)));
    box.parentElement.hidden = !box.childElementCount;
  }

  async change(to, rebuild = true) {
    Object.assign(this.how, to);
    if (rebuild && "method" in to) this.more(this.info.baselines);
    await this.ask();
  }

  async ask() {
    this.going?.abort();
    this.comparing?.abort(); // what is looked at comes before the comparison
    this.busy = true;
    const going = (this.going = new AbortController());
    const box = this.root.querySelector("#evidence");
    const method = this.info.methods.find((m) => m.name === this.how.method);
    this.summary.textContent = method.summary;
    this.wait(method, going.signal);
    box.classList.add("waiting");
    box.setAttribute("aria-busy", "true");
    tell(this.alert, null);
    try {
      const answer = await explain(this.file, this.question, going.signal);
      if (going.signal.aborted) return;
      await this.show(answer.explanations[0]);
      box.classList.remove("failed");
      await this.showContrast(going.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      box.classList.add("failed");
      tell(this.alert, error);
    } finally {
      if (this.going === going) {
        this.busy = false;
        this.status.hidden = true;
        box.classList.remove("waiting");
        box.setAttribute("aria-busy", "false");
      }
    }
  }

  /** Say what is being worked out, and for how long, until the signal or the end of it. */
  wait(method, signal) {
    const began = performance.now();
    const which = this.count > 1 ? `face ${this.face.face_id + 1} of ${this.count}` : "this face";
    clearInterval(this.clock);
    const say = () => {
      const passed = Math.floor((performance.now() - began) / 1000);
      this.status.textContent = `Working out “${method.title}” for ${which}…${passed ? ` ${passed} s` : ""}`;
      this.status.hidden = signal.aborted || !this.busy;
      if (this.status.hidden) clearInterval(this.clock);
    };
    say();
    this.clock = setInterval(say, 200);
  }

  async show(e) {
    this.explanation = e;
    this.sentence.textContent = `${e.sentence}.`;
    this.paragraph.textContent = e.paragraph;
    this.warning.hidden = !e.warning;
    this.warning.textContent = e.warning ? `Read with care: ${e.warning}.` : "";
    await this.heat.show(e);
    this.heat.canvas.setAttribute("aria-label", `The aligned face with its ${e.what} laid over it: ${e.sentence}`);
    const passes = `${e.evaluations} forward pass${e.evaluations === 1 ? "" : "es"}`;
    this.facts.replaceChildren(`${e.view.footnote} `, h("span", { class: "pale" }, `${passes}, ${e.seconds.toFixed(2)} s.`));
    this.legend.className = `legend ${e.signed ? "signs" : "one"}`;
    const of = e.against ? [e.against, e.target] : ["against", "for"];
    this.legend.replaceChildren(
      h("span", { class: "ramp", "aria-hidden": "true" }),
      ...(e.signed ? [`${of[0]} ${signed(-e.view.limit)}`, "0", `${signed(e.view.limit)} ${of[1]}`] : ["0", "", `${e.view.limit.toPrecision(2)}`]).map((t) => h("span", {}, t)),
      h("span", { class: "unit" }, e.view.unit));
    this.showBars(e);
  }

  showBars(e) {
    const high = Math.max(0, ...Object.values(e.regions));
    const low = Math.min(0, ...Object.values(e.regions));
    const span = Math.max(high - low, 1e-9);
    const most = Math.max(high, -low);
    this.bars.style.setProperty("--zero", -low / span);
    const whole = Object.values(e.regions).reduce((a, v) => a + Math.abs(v), 0) || 1;
    const rows = Object.entries(e.regions).sort((a, b) => b[1] - a[1]);
    this.bars.className = `bars ${e.signed ? "signs" : "one"}`;
    this.bars.replaceChildren(...rows.map(([name, v]) => {
      const text = `${name}: ${e.signed ? signed(v, most) : v.toPrecision(2)} ${e.unit}, ${Math.round((100 * Math.abs(v)) / whole)} % of it, on ${Math.round(100 * e.areas[name])} % of the crop`;
      return h("li", {
        tabindex: 0, "data-region": name, "aria-label": text, title: text,
        vars: { "--v": Math.abs(v) / span },
        class: e.signed ? (v >= 0 ? "for" : "against") : "look",
        onpointerenter: () => this.light(name), onpointerleave: () => this.light(null),
        onfocus: () => this.light(name), onblur: () => this.light(null),
      },
      h("span", { class: "name" }, name),
      h("span", { class: "track" }, h("span", { class: "fill" })),
      h("span", { class: "number" }, e.signed ? signed(v, most) : `${Math.round((100 * v) / whole)} %`));
    }));
    const sum = e.total === null || e.efficiency_gap === null ? "" : `, ${signed(e.total)} in all`;
    this.root.querySelector("#bars-title").textContent = e.signed ? `Regions, ${e.unit}${sum}` : `Regions, share of ${e.what}`;
  }

  light(region) {
    this.heat.light(region);
    for (const bar of this.bars.children) bar.classList.toggle("lit", bar.dataset.region === region);
  }

  /** With "against": both sides of the difference beside it. */
  async showContrast(signal) {
    const { target, against } = this.explanation;
    this.contrast.hidden = !against;
    this.contrast.replaceChildren();
    if (!against) return;
    const { small } = await import("./compare.js");
    const sides = await Promise.all([target, against].map((name) =>
      explain(this.file, { ...this.question, target: name, against: "" }, signal)));
    if (signal.aborted) return;
    const [one, two] = sides.map((answer) => answer.explanations[0]);
    this.contrast.append(
      h("h3", {}, `${target} less ${against}`),
      h("div", { class: "trio" },
        await small(one, this.info.colours, `for ${target}`, `${signed(one.total ?? one.value)} in all`),
        h("span", { class: "sign", "aria-label": "less" }, "−"),
        await small(two, this.info.colours, `for ${against}`, `${signed(two.total ?? two.value)} in all`),
        h("span", { class: "sign", "aria-label": "is" }, "="),
        await small(this.explanation, this.info.colours, `${target} rather than ${against}`, `${signed(this.explanation.total ?? this.explanation.value)} in all`)),
      h("p", { class: "note" }, "Each map has its own scale."));
  }

  async all() {
    const { compareAll } = await import("./compare.js");
    await compareAll(this.compare, this, (method) => {
      this.root.querySelector("#method").value = method;
      this.root.scrollIntoView({ behavior: "smooth" });
      this.change({ method, option: [], baseline: "" });
    });
  }

  async download(kind) {
    const base = (this.file.name || "photo").replace(/\.[^.]*$/, "");
    try {
      const face = this.count > 1 ? `.face${this.face.face_id}` : "";
      const blob = kind === "json"
        ? new Blob([JSON.stringify(await explainRecord(this.file, this.question), null, 1)], { type: "application/json" })
        : await explainFile(this.file, kind === "csv" ? { ...this.question, face: "" } : this.question, kind);
      save(blob, kind === "csv" ? `${base}.mien.regions.csv` : `${base}${face}.mien.${kind}`);
    } catch (error) {
      tell(this.alert, error);
    }
  }
}

/** A control for one option: a list of its choices, a switch, a number, or a line of text. */
function option(o, set) {
  const id = `option-${o.name}`;
  const choices = Object.entries(o.choices);
  if (choices.length) return picker(o.title, id, choices, o.default, (v) => set(o.name, v, o.default));
  if (o.type === "bool")
    return h("label", { class: "check picker" }, h("input", { id, type: "checkbox", checked: o.default, onchange: (e) => set(o.name, e.target.checked, o.default) }), o.title);
  const number = ["int", "float"].includes(o.type);
  const given = h("input", {
    id, type: number ? "number" : "text", value: o.default ?? "", step: o.type === "int" ? 1 : "any", max: o.most,
    onchange: (e) => set(o.name, e.target.value, o.default),
  });
  return h("div", { class: "picker" }, h("label", { for: id }, o.title), given);
}
