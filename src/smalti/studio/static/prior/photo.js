// A photograph that a tab works on: chosen or dropped, and made ready by the server.

import { h, field } from "../dom.js";
import { MOST_BYTES } from "./files.js";

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

  open(facts) {
    this.facts = facts;
    this.shortest.min = Math.max(...facts.size);
    this.shortest.step = facts.factor;
    this.shortest.value = Math.max(...facts.size);
    this.shortest.disabled = !facts.can_grow;
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
    const address = this.picker.path(`photograph?shortest=${this.shortest.value}`);
    const found = await this.line.run("reading the photograph", address, { body: blob });
    if (!found || facts !== this.facts) return;
    this.ready = found;
    await this.onready(found);
  }
}
