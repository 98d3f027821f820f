// The swatches of a codebook: each code decoded alone, fetched a piece at a time.

import { job } from "./api.js";

export class Swatches extends EventTarget {
  /** `facts` are those of the tokenizer with this id. */
  constructor(id, facts) {
    super();
    this.id = id;
    this.size = facts.codebook_size;
    this.step = facts.swatches_at_once;
    this.known = 0;
    this.strips = [];
    this.control = new AbortController();
  }

  /** Fetches all, until they are known or `stop` was called. An event `change` tells of each piece. */
  async fetch() {
    while (this.known < this.size) {
      const path = `/api/codes/${this.id}/swatches?start=${this.known}`;
      const { image } = await job(path, { signal: this.control.signal });
      const strip = new Image();
      strip.src = image;
      await strip.decode();
      this.strips.push(strip);
      this.known = Math.min(this.size, this.known + this.step);
      this.dispatchEvent(new Event("change"));
    }
  }

  stop() {
    this.control.abort();
  }

  /** Draws the swatch of a code into a square; grey until it is known. */
  draw(context, code, left, top, side) {
    const strip = this.strips[Math.floor(code / this.step)];
    if (!strip) {
      context.fillStyle = "#808080";
      context.fillRect(left, top, side, side);
      return;
    }
    const px = strip.height;
    context.imageSmoothingEnabled = false;
    context.drawImage(strip, (code % this.step) * px, 0, px, px, left, top, side, side);
  }
}
