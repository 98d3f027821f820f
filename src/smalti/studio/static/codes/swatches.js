// The swatches of a codebook: each code decoded alone, fetched some at a time.

import { job } from "../api.js";
import { loaded } from "../board.js";

export class Swatches extends EventTarget {
  /** `facts` are those of the tokenizer with this id; `wanted()` lists codes that are needed first. */
  constructor(id, facts, wanted) {
    super();
    this.id = id;
    this.size = facts.codebook_size;
    this.most = facts.most_swatches;
    this.wanted = wanted;
    this.places = new Map(); // code -> [strip, its place there]
    this.control = new AbortController();
  }

  get known() {
    return this.places.size;
  }

  /** Fetches all, until they are known or `stop` was called. An event `change` tells of new ones. */
  async fetch() {
    const rest = [...Array(this.size).keys()];
    while (this.known < this.size) {
      const codes = [...new Set([...this.wanted(), ...rest])].filter(
        (code) => !this.places.has(code),
      );
      const body = JSON.stringify({ codes: codes.slice(0, this.most) });
      const found = await this.ask(body);
      const strip = await loaded(found.image);
      found.codes.forEach((code, at) => this.places.set(code, [strip, at]));
      this.dispatchEvent(new Event("change"));
    }
  }

  /** Asks for some; where too much is waiting, again a little later. */
  async ask(body) {
    for (;;) {
      try {
        const path = `/api/codes/${this.id}/swatches`;
        return await job(path, { body, signal: this.control.signal });
      } catch (error) {
        if (error.status !== 503) throw error;
        await new Promise((go) => setTimeout(go, 2000));
      }
    }
  }

  stop() {
    this.control.abort();
  }

  /** Draws the swatch of a code into a square; grey until it is known. */
  draw(context, code, left, top, side) {
    if (!this.places.has(code)) {
      context.fillStyle = "#808080";
      context.fillRect(left, top, side, side);
      return;
    }
    const [strip, at] = this.places.get(code);
    const px = strip.height;
    context.imageSmoothingEnabled = false;
    context.drawImage(strip, at * px, 0, px, px, left, top, side, side);
  }
}
