// A photo by this machine's camera.

import { h, tell } from "./dom.js";

export async function takePhoto(dialog, input, take) {
  if (!navigator.mediaDevices?.getUserMedia) {
    input.setAttribute("capture", "user"); // a phone's own camera
    input.click();
    input.removeAttribute("capture");
    return;
  }
  const video = h("video", { autoplay: true, playsinline: true, muted: true, class: "mirror" });
  const alert = h("p", { class: "alert", role: "alert", hidden: true });
  let stream = null;
  const close = () => dialog.close();
  const shoot = async () => {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    close();
    take(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  };
  dialog.replaceChildren(
    h("h2", { id: "shutter-title" }, "Take a photo"), alert, video,
    h("div", { class: "row" }, h("button", { class: "strong", id: "shoot", onclick: shoot, disabled: true }, "Take it"), h("button", { onclick: close }, "Cancel")));
  dialog.onclose = () => stream?.getTracks().forEach((track) => track.stop());
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
    if (!dialog.open) { stream.getTracks().forEach((track) => track.stop()); return; }
    video.srcObject = stream;
    await video.play();
    dialog.querySelector("#shoot").disabled = false;
    dialog.querySelector("#shoot").focus();
  } catch (error) {
    tell(alert, new Error(`the camera cannot be used (${error.message})`));
  }
}
