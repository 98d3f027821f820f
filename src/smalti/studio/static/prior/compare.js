// Two pictures of one size over each other, with a slider between them.

import { h, field } from "../dom.js";

export class Compare {
  constructor() {
    this.canvas = h("canvas", { class: "layer", role: "img", "aria-label": "original and result" });
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 50,
      oninput: () => this.draw(),
    });
    this.element = h(
      "figure",
      { class: "compare", hidden: true },
      this.canvas,
      field("Original and result", this.slider, "Left of the slider is the original, right of it the result."),
    );
  }

  /** Shows two images or canvases. */
  show(original, result) {
    Object.assign(this, { original, result });
    const scale = Math.max(1, Math.round(512 / result.width));
    this.canvas.width = result.width * scale;
    this.canvas.height = result.height * scale;
    this.element.hidden = false;
    this.draw();
  }

  hide() {
    this.element.hidden = true;
  }

  draw() {
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    const at = Math.round((this.slider.value / 100) * width);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.result, 0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(0, 0, at, height);
    context.clip();
    context.drawImage(this.original, 0, 0, width, height);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(at - 2, 0, 4, height);
    context.fillStyle = "#d4145a";
    context.fillRect(at - 1, 0, 2, height);
  }
}
