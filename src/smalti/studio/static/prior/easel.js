// Pictures that are drawn before the eyes: each cell as its swatch, then rows decoded, then the whole.

import { h } from "../dom.js";
import { loaded } from "../board.js";

const SWATCH = 16;

export class Easel {
  /** `count` pictures with `caption(number)` elements below each. */
  constructor(count, caption) {
    this.canvases = Array.from({ length: count }, (_, number) =>
      h("canvas", { class: "layer", role: "img", "aria-label": `picture ${number + 1}` }),
    );
    this.figures = this.canvases.map((canvas, number) =>
      h("figure", { class: "drawn" }, canvas, h("figcaption", {}, ...caption(number))),
    );
    this.element = h("div", { class: "easel" }, ...this.figures);
    this.swatches = new Map();
    this.queue = Promise.resolve(); // the events are drawn one after the other
  }

  /** Whether anything was drawn. */
  get isBegun() {
    return this.rowCount !== undefined;
  }

  /** Hears the events of a job. */
  on(event, data) {
    if (["grid", "cells", "rows"].includes(event)) {
      this.queue = this.queue.then(() => this[event](data)).catch(() => {});
    }
  }

  grid({ rows, columns }) {
    this.rowCount = rows;
    for (const canvas of this.canvases) {
      canvas.width = columns * SWATCH;
      canvas.height = rows * SWATCH;
    }
  }

  async cells({ cells, codes, swatches }) {
    if (swatches) {
      const strip = await loaded(swatches);
      codes.forEach((code, at) => this.swatches.set(code, [strip, at]));
    }
    for (const [image, row, column, code] of cells) {
      const context = this.canvases[image].getContext("2d");
      const place = [column * SWATCH, row * SWATCH, SWATCH, SWATCH];
      const known = this.swatches.get(code);
      context.imageSmoothingEnabled = false;
      if (known) context.drawImage(known[0], known[1] * SWATCH, 0, SWATCH, SWATCH, ...place);
      else context.fillRect(...place);
    }
  }

  async rows({ rows, shown, images }) {
    const pictures = await Promise.all(images.map(loaded));
    pictures.forEach((picture, number) => {
      const canvas = this.canvases[number];
      const height = shown === undefined ? canvas.height : shown * SWATCH;
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = true;
      // What is drawn below these rows stays as swatches.
      const share = shown !== undefined && shown === this.rowCount ? rows / shown : 1;
      const cut = picture.height * share;
      context.drawImage(picture, 0, 0, picture.width, cut, 0, 0, canvas.width, height * share);
    });
  }

  /** Shows the finished pictures, and returns them as images. */
  async finish(images) {
    await this.queue;
    const pictures = await Promise.all(images.map(loaded));
    pictures.forEach((picture, number) => {
      const canvas = this.canvases[number];
      canvas.width = picture.width;
      canvas.height = picture.height;
      canvas.getContext("2d").drawImage(picture, 0, 0);
    });
    return pictures;
  }
}
