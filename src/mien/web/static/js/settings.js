// What holds for photos, videos and the camera alike: what finds faces, and which prior.

import { picker } from "./dom.js";

const chosen = { detector: "", prior: "" };

/** What goes with every question; "" is what the server was started with. */
export const settings = () => ({ ...chosen });

/** Pickers of the detector and the prior; onchange is called after each change. */
export function settingPickers(info, where, onchange = () => {}) {
  const [model] = info.models;
  const set = (key) => (value) => { chosen[key] = value; onchange(); };
  const even = new Set(Object.values(model.prior || {}).map((v) => v.toFixed(3))).size === 1;
  const own = info.detectors.find((d) => d.name === model.detector);
  const detectors = [["", `${own?.title || model.detector}`], ...info.detectors.filter((d) => d !== own).map((d) => [d.name, d.title])];
  const priors = [["", even ? "each expression alike" : "the model's own"], ...info.priors.filter((p) => !(even && p.name === "even")).map((p) => [p.name, p.title])];
  return [
    picker("Find (detector)", `${where}-detector`, detectors, chosen.detector, set("detector")),
    ...(priors.length > 1 ? [picker("Expect (prior)", `${where}-prior`, priors, chosen.prior, set("prior"))] : []),
  ];
}
