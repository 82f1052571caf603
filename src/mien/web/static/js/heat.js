// Evidence over a crop, painted as mien's own pictures are: vermilion for, blue against.

const SIDE = 864; // pixels of the canvas, twice those of the page

export class Heat {
  /** @param canvas where it is painted */
  constructor(canvas, colours, side = SIDE) {
    this.canvas = canvas;
    this.colours = colours;
    this.side = canvas.width = canvas.height = side;
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.opacity = 0.7;
    this.outlines = true;
    this.names = false;
    this.lit = null;
  }

  /** Show one explanation; resolves when it is painted. */
  async show(explanation) {
    this.view = explanation.view;
    this.signs = explanation.signed;
    const [image, mask] = await Promise.all([picture(this.view.crop), picture(this.view.mask)]);
    this.pen.imageSmoothingEnabled = false;
    this.pen.drawImage(mask, 0, 0, this.side, this.side);
    this.mask = this.pen.getImageData(0, 0, this.side, this.side).data;
    this.pen.imageSmoothingEnabled = true;
    this.pen.imageSmoothingQuality = "high";
    this.pen.drawImage(image, 0, 0, this.side, this.side);
    this.grey = this.pen.getImageData(0, 0, this.side, this.side);
    const d = this.grey.data;
    for (let i = 0; i < d.length; i += 4) d[i] = d[i + 1] = d[i + 2] = (d[i] + d[i + 1] + d[i + 2]) / 3;
    this.paint();
  }

  /** Light up one region, or none. */
  light(region) {
    if (region === this.lit) return;
    this.lit = region;
    this.paint();
  }

  /** The region at a place of the canvas, in 0..1 across it. */
  regionAt(x, y) {
    const last = this.side - 1;
    const column = Math.min(Math.max(Math.floor(x * this.side), 0), last);
    const row = Math.min(Math.max(Math.floor(y * this.side), 0), last);
    return this.view.regions[this.mask[(row * this.side + column) * 4]];
  }

  paint() {
    if (!this.grey) return;
    const { values, regions, limit, labels, regional } = this.view;
    const { side, mask } = this;
    const out = this.pen.createImageData(side, side);
    const lit = this.lit === null ? -1 : regions.indexOf(this.lit);
    const up = this.signs ? this.colours.for : this.colours.look;
    const down = this.colours.against;
    const level = regional ? levels(values, labels, regions.length) : null; // one colour per region
    for (let y = 0; y < side; y++) {
      const row = values[Math.floor((y * values.length) / side)];
      for (let x = 0; x < side; x++) {
        const i = (y * side + x) * 4;
        const value = level ? level[mask[i]] : row[Math.floor((x * row.length) / side)];
        const strength = Math.max(-1, Math.min(1, value / limit));
        const colour = strength >= 0 ? up : down;
        const alpha = this.opacity * Math.abs(strength);
        const dim = lit >= 0 && mask[i] !== lit ? 0.3 : 1;
        const grey = this.grey.data[i];
        for (let c = 0; c < 3; c++) out.data[i + c] = (grey * (1 - alpha) + colour[c] * alpha) * dim;
        out.data[i + 3] = 255;
      }
    }
    this.pen.putImageData(out, 0, 0);
    if (this.outlines) this.drawOutlines();
    if (this.names) this.drawNames();
  }

  drawOutlines() {
    const { pen, side } = this;
    pen.beginPath();
    for (const line of Object.values(this.view.outlines).flat()) {
      line.forEach(([x, y], i) => (i ? pen.lineTo(x * side, y * side) : pen.moveTo(x * side, y * side)));
      pen.closePath();
    }
    pen.strokeStyle = "rgb(20 20 20 / 0.6)";
    pen.lineWidth = Math.max(side / 430, 0.8);
    pen.stroke();
  }

  drawNames() {
    const { pen, side } = this;
    pen.font = `${side / 34}px Inter, "Segoe UI", system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    for (const [name, [x, y]] of Object.entries(this.view.names)) {
      const half = pen.measureText(name).width / 2 + 4;
      const place = [Math.min(Math.max(x * side, half), side - half), y * side];
      pen.strokeStyle = "rgb(255 255 255 / 0.85)";
      pen.lineWidth = side / 110;
      pen.strokeText(name, ...place);
      pen.fillStyle = "rgb(20 20 20)";
      pen.fillText(name, ...place);
    }
  }
}

async function picture(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

/** The value of each region, where each has one. */
function levels(values, labels, count) {
  const found = new Array(count).fill(0);
  labels.forEach((row, y) => row.forEach((label, x) => { found[label] = values[y][x]; }));
  return found;
}
