// The page: tabs, theme, the drawer; each tab's module is loaded when it is first opened.

import { $, fetchFile, h, kindOf, takesDrops, tell } from "./dom.js";
import { models, takeToken } from "./api.js";
import { startPhoto } from "./photo.js";

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];
const known = {};
takeToken();

const about = models();
about.catch((error) => tell($("#photo-alert"), error));
const photo = startPhoto(about, (file) => take(file));

if (!LOCAL.includes(location.hostname)) {
  $("#privacy").replaceChildren();
  $("#privacy").append("Photos go to the machine that serves this page and nowhere else. They are answered in memory and forgotten; videos are deleted after use.");
}

// --- tabs, with the arrow keys as the ARIA practice has it

const tabs = [...document.querySelectorAll("[role=tab]")];

async function open(tab, focus = false) {
  for (const other of tabs) {
    const here = other === tab;
    other.setAttribute("aria-selected", String(here));
    other.tabIndex = here ? 0 : -1;
    $(`#${other.getAttribute("aria-controls")}`).hidden = !here;
  }
  if (focus) tab.focus();
  const name = tab.getAttribute("aria-controls");
  if (name === "video" && !known.video) known.video = (await import("./video.js")).startVideo($("#video"), about, (file) => take(file));
  if (name === "camera" && !known.camera)
    known.camera = (await import("./camera.js")).startCamera($("#camera"), about, (file) => { open(tabs[0], true); photo.take(file); });
  if (name !== "camera") known.camera?.stop();
}

tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (e) => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    open(tabs[(to + tabs.length) % tabs.length], true);
  });
});

// --- files, wherever they are dropped or pasted

async function take(file) {
  const film = kindOf(file) === "video";
  await open(tabs[film ? 1 : 0]);
  (film ? known.video : photo).take(file);
}

takesDrops(document.body, take);
document.addEventListener("paste", (e) => {
  const pasted = [...(e.clipboardData?.files || [])].find((f) => /^(image|video)\//.test(f.type));
  if (pasted) take(pasted);
});

// --- examples

about.then(({ examples }) => {
  $("#gallery").replaceChildren(...examples.map((one, i) =>
    h("li", {}, h("button", { id: i ? null : "example", onclick: async () => photo.take(await fetchFile(one)) },
      h("img", { src: one.url, alt: "", loading: "lazy", width: 96, height: 96 }), h("span", {}, one.title)))));
}, () => null);

// --- colours

const themes = { system: ["◐", "as the system"], light: ["○", "light"], dark: ["●", "dark"] };

function theme(next) {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try { localStorage.setItem("mien-theme", next); } catch { /* storage may be switched off */ }
  $("#theme").firstElementChild.textContent = themes[next][0];
  $("#theme").setAttribute("aria-label", `Colours: ${themes[next][1]}`);
  $("#theme").title = `Colours: ${themes[next][1]}`;
}

theme(document.documentElement.dataset.theme || "system");
$("#theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  theme(names[(names.indexOf(document.documentElement.dataset.theme || "system") + 1) % names.length]);
});

// --- the model's card

$("#about-open").addEventListener("click", async () => {
  const { showAbout } = await import("./about.js");
  showAbout($("#about"), await about);
});
