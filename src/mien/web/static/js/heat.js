// Evidence over a crop, painted as mien's own pictures are: vermilion for, blue against.

const SIDE = 432; // pixels of the canvas

export class Heat {
  /** @param canvas where it is painted */
  constructor(canvas, colours, side = SIDE) {
    this.canvas = canvas;
    this.colours = colours;
    this.side = canvas.width = canvas.height = side;
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.opacity = 0.7;
    this.lit = null;
  }

  /** Show one explanation; resolves when it is painted. */
  async show(explanation) {
    this.view = explanation.view;
    this.signs = explanation.signed;
    const image = new Image();
    image.src = this.view.crop;
    await image.decode();
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
    const { labels, regions } = this.view;
    const row = labels[Math.min(Math.max(Math.floor(y * labels.length), 0), labels.length - 1)];
    return regions[row[Math.min(Math.max(Math.floor(x * row.length), 0), row.length - 1)]];
  }

  paint() {
    if (!this.grey) return;
    const { values, labels, regions, limit } = this.view;
    const { side } = this;
    const out = this.pen.createImageData(side, side);
    const lit = this.lit === null ? -1 : regions.indexOf(this.lit);
    const up = this.signs ? this.colours.for : this.colours.look;
    const down = this.colours.against;
    for (let y = 0; y < side; y++) {
      const row = values[Math.floor((y * values.length) / side)];
      const ly = Math.floor((y * labels.length) / side);
      for (let x = 0; x < side; x++) {
        const i = (y * side + x) * 4;
        const strength = Math.max(-1, Math.min(1, row[Math.floor((x * row.length) / side)] / limit));
        const colour = strength >= 0 ? up : down;
        const alpha = this.opacity * Math.abs(strength);
        const lx = Math.floor((x * labels[ly].length) / side);
        const dim = lit >= 0 && labels[ly][lx] !== lit ? 0.3 : 1;
        const grey = this.grey.data[i];
        for (let c = 0; c < 3; c++) out.data[i + c] = (grey * (1 - alpha) + colour[c] * alpha) * dim;
        out.data[i + 3] = 255;
      }
    }
    this.pen.putImageData(out, 0, 0);
  }
}
