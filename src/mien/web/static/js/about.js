// The drawer: the model's card, what was measured, the limits, how to ask from a program.

import { h } from "./dom.js";

export function showAbout(dialog, info) {
  const { models: [model], limits, methods, notice, version } = info;
  const { card } = model;
  dialog.replaceChildren(
    h("div", { class: "drawer-head" },
      h("h2", { id: "about-title" }, "About the model"),
      h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close(), autofocus: true }, "✕")),
    h("p", { class: "lead" }, card.summary),
    h("h3", {}, "What it is for"),
    h("p", {}, card.intended_use || notice.reads),
    h("p", {}, notice.not_for),
    h("h3", {}, "How good it is"),
    scores(card.metrics),
    h("p", { class: "note" }, card.protocol),
    h("h3", {}, "What it learned from"),
    h("p", {}, card.data),
    h("p", {}, prior(model)),
    h("p", { class: "note" }, card.licence),
    h("h3", {}, "What it cannot do"),
    h("ul", {},
      h("li", {}, "It sees one still face in ", card.input, ". It does not know the situation, the voice, the moment before."),
      h("li", {}, "Its training photos are not a sample of all people: it may be worse on faces, ages, skins, lights and angles that were rare in them."),
      h("li", {}, "Its scores are calibrated on the test set above. On photos of another kind they may be too high or too low.")),
    h("h3", {}, "Its methods of explanation"),
    h("dl", { class: "methods" }, methods.flatMap((m) => [h("dt", {}, m.title, " ", h("code", {}, m.name)), h("dd", {}, m.summary)])),
    h("h3", {}, "Limits of this server"),
    h("p", {}, `Photos up to ${limits.body / 1e6} MB and ${limits.pixels / 1e6} million pixels; videos up to ${limits.video_body / 1e6} MB and ${limits.video_seconds / 60} minutes, deleted after ${limits.video_kept / 60} minutes at most.`),
    h("h3", {}, "From a program"),
    h("pre", { tabindex: 0 }, `curl -H 'Content-Type: image/jpeg' \\\n  --data-binary @photo.jpg \\\n  ${location.origin}/v1/explain`),
    h("p", {}, h("a", { href: "/openapi.json" }, "OpenAPI"), " describes every endpoint."),
    h("p", { class: "note small-print" }, `Mien ${version} · ${model.identity} · faces by ${model.detector}`));
  dialog.onclick = (e) => { if (e.target === dialog) dialog.close(); };
  dialog.showModal();
}

function prior(model) {
  const shares = Object.entries(model.prior || {});
  if (!shares.length) return "What it expects before it sees a face is not known.";
  if (new Set(shares.map(([, v]) => v.toFixed(3))).size === 1) return "Before it sees a face it expects every expression alike (prior: even).";
  return `Before it sees a face it expects (prior): ${shares.map(([name, v]) => `${name} ${(100 * v).toFixed(0)} %`).join(", ")}.`;
}

function scores(metrics) {
  const split = ["PrivateTest", "test"].find((name) => metrics?.[name]) || Object.keys(metrics || {})[0];
  if (!split || typeof metrics[split] !== "object") return h("p", {}, "Nothing was measured.");
  const rows = Object.entries(metrics[split]).filter(([, v]) => typeof v === "number" || typeof v?.value === "number");
  return h("table", {}, h("caption", {}, `Measured on ${split}, with 95 % intervals`),
    h("tbody", {}, rows.map(([name, v]) => {
      const value = typeof v === "number" ? v.toFixed(3) : v.value.toFixed(3);
      const span = v?.low === undefined ? "" : `${v.low.toFixed(3)} to ${v.high.toFixed(3)}`;
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value), h("td", {}, span));
    })));
}
