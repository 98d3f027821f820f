// The chosen code: its swatch, what is known of it, pieces that use it, and what puts it elsewhere.

import { h, button, field } from "../dom.js";
import { JobLine } from "../jobline.js";

const PATCHES = 12;
const CELLS = 3; // side of a piece in codes

export class CodePanel {
  /** `onexchange(isEverywhere)` and `onundo()` hear the buttons. */
  constructor({ onexchange, onundo }) {
    this.swatch = h("canvas", { width: 64, height: 64, class: "swatch", "aria-hidden": "true" });
    this.heading = h("h2");
    this.words = h("p", { "aria-live": "polite" });
    this.input = h("input", { type: "number", min: 0, step: 1 });
    this.here = button("exchange here", "Puts the code into the chosen cell", () =>
      onexchange(false),
    );
    this.everywhere = button(
      "exchange everywhere",
      "Puts the code into all places of the chosen cell's code",
      () => onexchange(true),
    );
    this.undo = button("undo", "Takes the last exchange back", onundo);
    this.patchWords = h("p", { class: "hint" });
    this.patches = h("div", { class: "patches" });
    this.line = new JobLine();
    this.element = h(
      "section",
      { class: "card", "aria-label": "the chosen code" },
      h("div", { class: "code" }, this.swatch, h("div", {}, this.heading, this.words)),
      h(
        "div",
        { class: "exchange" },
        field("Put code", this.input, "A number, or choose a code of the codebook."),
        h("div", { class: "row" }, this.here, this.everywhere, this.undo),
      ),
      this.patchWords,
      this.patches,
      this.line.element,
    );
  }

  open(facts) {
    this.factor = facts.downsampling_factor;
    this.most = facts.codebook_size - 1;
    this.input.max = this.most;
    this.input.value = "";
    this.element.hidden = false;
  }

  close() {
    this.line.control?.abort();
    this.line.say("");
    this.element.hidden = true;
  }

  /** Shows no code, and some words. */
  clear(words) {
    this.code = null;
    this.heading.textContent = "No code chosen";
    this.words.textContent = words;
    this.swatch.hidden = true;
    this.showPatches("", []);
  }

  show(code, swatches, words) {
    this.code = code;
    this.swatch.hidden = false;
    swatches.draw(this.swatch.getContext("2d"), code, 0, 0, this.swatch.width);
    this.heading.textContent = `Code ${code}`;
    this.words.textContent = words;
  }

  /** Writes a code as the one to put. */
  put(code) {
    this.input.value = code;
  }

  /** The code to put; null, with the focus there, if none of the codebook is written. */
  get number() {
    const code = Number(this.input.value);
    if (this.input.value !== "" && Number.isInteger(code) && code >= 0 && code <= this.most)
      return code;
    this.input.focus();
    return null;
  }

  setButtons(canExchange, canUndo) {
    this.here.disabled = this.everywhere.disabled = !canExchange;
    this.undo.disabled = !canUndo;
  }

  /** Shows pieces of the run's images, whose name in words is `scored`. */
  async fetchPatches(path, scored) {
    const code = this.code;
    const found = await this.line.run("looking for its places", path);
    if (!found || code !== this.code) return;
    const words = found.length
      ? `Pieces of the ${scored} around it:`
      : `None of the ${scored} looked at uses it.`;
    this.showPatches(
      words,
      found.map((address) => h("img", { src: address, alt: this.patchName })),
    );
  }

  /** Shows pieces of a picture around some places, each a row and a column. */
  cutPatches(picture, places) {
    const side = CELLS * this.factor;
    const pieces = places.slice(0, PATCHES).map(([row, column]) => {
      const piece = h("canvas", {
        width: side,
        height: side,
        role: "img",
        "aria-label": this.patchName,
      });
      const [left, top] = [(column - 1) * this.factor, (row - 1) * this.factor];
      piece.getContext("2d").drawImage(picture, left, top, side, side, 0, 0, side, side);
      return piece;
    });
    this.showPatches(pieces.length ? "Pieces of the picture around it:" : "", pieces);
  }

  get patchName() {
    return `piece with code ${this.code} in its middle`;
  }

  showPatches(words, pieces) {
    this.patchWords.textContent = words;
    this.patches.replaceChildren(...pieces);
  }
}
