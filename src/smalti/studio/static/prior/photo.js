// A photograph that a tab works on: chosen or dropped, and made ready by the server.

import { h, field } from "../dom.js";
import { MOST_BYTES } from "./files.js";

function leastCommonMultiple(one, other) {
  let multiple = one;
  while (multiple % other) multiple += one;
  return multiple;
}

export class PhotoInput {
  /** `onready(found)` hears of a photograph whose sides divide into codes. */
  constructor(picker, line, onready) {
    Object.assign(this, { picker, line, onready });
    this.input = h("input", {
      type: "file",
      accept: "image/*",
      onchange: () => this.use(this.input.files[0]),
    });
    this.shortest = h("input", { type: "number", required: true, max: 1024, onchange: () => this.use(this.blob) });
    this.element = h(
      "div",
      { class: "part" },
      field("Photograph", this.input, "From this machine, by dropping it on the page, or one of the run's below."),
      field(
        "Shorter side",
        this.shortest,
        "In pixels, to which it is resized: things should be as large as in the training.",
      ),
    );
  }

  get isEmpty() {
    return !this.blob;
  }

  /** Makes ready for a prior, and for another one `beside` it that reads the same photograph. */
  open(facts, beside = facts) {
    const isOther = facts !== this.facts;
    this.facts = facts;
    this.multiple = leastCommonMultiple(facts.factor, beside.factor);
    const largest = Math.max(...facts.size, ...beside.size);
    this.shortest.min = Math.ceil(largest / this.multiple) * this.multiple;
    this.shortest.step = this.multiple;
    this.shortest.disabled = !facts.can_grow;
    if (isOther || this.shortest.validity.rangeUnderflow || this.shortest.validity.stepMismatch)
      this.shortest.value = this.shortest.min;
    if (this.blob) this.use(this.blob);
  }

  close() {
    this.facts = this.ready = null;
  }

  listenToDrops(panel) {
    panel.addEventListener("dragover", (event) => event.preventDefault());
    panel.addEventListener("drop", (event) => {
      event.preventDefault();
      this.use(event.dataTransfer.files[0]);
    });
  }

  /** Has a photograph made ready. */
  async use(blob) {
    if (!blob) return;
    if (blob.size > MOST_BYTES) {
      this.line.say("the file is too large: a picture may have 64 MiB", true);
      return;
    }
    this.blob = blob; // it is made ready for each prior anew
    if (!this.facts || !this.shortest.reportValidity()) return;
    const facts = this.facts;
    const asked = `shortest=${this.shortest.value}&multiple=${this.multiple}`;
    const address = this.picker.path(`photograph?${asked}`);
    const found = await this.line.run("reading the photograph", address, { body: blob });
    if (!found || facts !== this.facts) return;
    this.ready = found;
    await this.onready(found);
  }
}
