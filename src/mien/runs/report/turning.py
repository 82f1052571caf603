"""The points of t-SNE to turn with the mouse: plain canvas and script, nothing from elsewhere."""

from __future__ import annotations

import json
from html import escape

from mien.runs.report.figures import Points, colour

SCRIPT = """
(() => {
  const data = JSON.parse(document.getElementById('points').textContent);
  const canvas = document.getElementById('cloud'), caption = document.getElementById('caption');
  const pen = canvas.getContext('2d'), shown = data.labels.map(() => true);
  let deep = true, across = 0.6, up = 0.35, zoom = 1, held = null, placed = [];
  const scaled = rows => {
    const n = rows[0].length, mid = [], far = [];
    for (let k = 0; k < n; k++) {
      const c = rows.map(r => r[k]), low = Math.min(...c), high = Math.max(...c);
      mid.push((low + high) / 2); far.push((high - low) / 2);
    }
    const most = Math.max(...far) || 1;
    return rows.map(r => r.map((v, k) => (v - mid[k]) / most));
  };
  const flat = scaled(data.flat), solid = scaled(data.deep);
  function draw() {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    canvas.width = w * ratio; canvas.height = h * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    const size = Math.min(w, h) * (deep ? 0.56 : 0.46) * zoom;
    const ca = Math.cos(across), sa = Math.sin(across), cu = Math.cos(up), su = Math.sin(up);
    placed = (deep ? solid : flat).map((p, i) => {
      let [x, y] = p, z = 0;
      if (deep) {
        const along = p[0] * sa + p[2] * ca;
        x = p[0] * ca - p[2] * sa; y = p[1] * cu - along * su; z = p[1] * su + along * cu;
      }
      const near = deep ? 3 / (3 - z) : 1;
      return {i, x: w / 2 + x * size * near, y: h / 2 - y * size * near, z, near};
    }).filter(p => shown[data.truth[p.i]]).sort((a, b) => a.z - b.z);
    for (const p of placed) {
      const r = 3.2 * p.near, tint = data.colours[data.truth[p.i]];
      pen.globalAlpha = deep ? Math.min(1, Math.max(0.25, 0.65 + 0.35 * p.z)) : 0.85;
      pen.beginPath();
      if (data.answer[p.i] === data.truth[p.i]) {
        pen.fillStyle = tint; pen.arc(p.x, p.y, r, 0, 7); pen.fill();
      } else {
        pen.strokeStyle = tint; pen.lineWidth = 1.4;
        pen.moveTo(p.x - r, p.y - r); pen.lineTo(p.x + r, p.y + r);
        pen.moveTo(p.x + r, p.y - r); pen.lineTo(p.x - r, p.y + r); pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }
  function point(e) {
    const box = canvas.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
    let best = null, least = 100;
    for (const p of placed) {
      const d = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (d <= least) { least = d; best = p; }
    }
    if (!best) { caption.textContent = caption.dataset.rest; return; }
    const t = data.labels[data.truth[best.i]], a = data.labels[data.answer[best.i]];
    const outcome = t === a ? ', correct' : `, answered ${a}`;
    caption.textContent = `${data.names[best.i]}: ${t}${outcome}`;
  }
  canvas.addEventListener('pointerdown', e => {
    held = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener('pointerup', () => { held = null; });
  canvas.addEventListener('pointermove', e => {
    if (held && deep) {
      across += (e.clientX - held[0]) / 120; up += (e.clientY - held[1]) / 120;
      held = [e.clientX, e.clientY]; draw();
    } else { point(e); }
  });
  canvas.addEventListener('keydown', e => {
    const step = {ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1],
                  ArrowDown: [0, 0.1]}[e.key];
    if (step) { across += step[0]; up += step[1]; e.preventDefault(); draw(); }
    if (e.key === '+' || e.key === '-') { zoom *= e.key === '+' ? 1.15 : 1 / 1.15; draw(); }
  });
  document.querySelectorAll('[name=dimensions]').forEach(b => b.addEventListener('change', () => {
    deep = b.value === '3'; draw();
  }));
  document.querySelectorAll('[data-class]').forEach(b => b.addEventListener('change', () => {
    shown[+b.dataset.class] = b.checked; draw();
  }));
  window.addEventListener('resize', draw);
  draw();
})();
"""


def turning(points: Points) -> str:
    """HTML of the points on a canvas: drag or arrow keys turn them, the pointer names them."""
    data = {
        "labels": points.labels,
        "colours": [colour(name) for name in points.labels],
        "names": points.names,
        "truth": points.truth.tolist(),
        "answer": points.answer.tolist(),
        "flat": points.flat.round(2).tolist(),
        "deep": points.deep.round(2).tolist(),
    }
    # no text of the data may close the element that holds it
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    boxes = "".join(
        f'<label><input type="checkbox" checked data-class="{i}">'
        f'<span style="color:{colour(name)}">&#9679;</span> {escape(name)}</label>'
        for i, name in enumerate(points.labels)
    )
    rest = "drag to turn; point at a dot for its file; a cross is a wrong answer"
    return (
        '<div class="live"><div class="choices">'
        '<label><input type="radio" name="dimensions" value="3" checked>3-D</label>'
        f'<label><input type="radio" name="dimensions" value="2">2-D</label>{boxes}</div>'
        '<canvas id="cloud" tabindex="0" aria-label="Test images by their features; arrow keys '
        'turn the view, plus and minus change its size"></canvas>'
        f'<p id="caption" class="quiet" data-rest="{rest}" aria-live="polite">{rest}</p></div>'
        f'<script type="application/json" id="points">{text}</script><script>{SCRIPT}</script>'
    )
