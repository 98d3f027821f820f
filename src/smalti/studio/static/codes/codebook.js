// All codes of a codebook as swatches, sorted, one of them chosen.

import { h, counted, field } from "../dom.js";
import { Board } from "../board.js";
import { JobLine } from "../jobline.js";

const SWATCH = 16; // pixels of a swatch
const COLUMNS = 32;

export class Codebook {
  /** `onchoose(code)` hears which code was chosen. */
  constructor(onchoose) {
    this.order = h(
      "select",
      { onchange: () => this.draw() },
      h("option", { value: "number" }, "number"),
      h("option", { value: "data" }, "use in the run's data"),
      h("option", { value: "loaded" }, "use in the pictures loaded here"),
      h("option", { value: "likeness" }, "likeness to the chosen code"),
    );
    this.board = new Board("Codebook", (row, column) => {
      const code = this.ordered[row * this.board.columns + column];
      if (code !== undefined) onchoose(code);
    });
    this.line = new JobLine();
    this.words = h("p", { class: "hint", "aria-live": "polite" });
    this.element = h(
      "section",
      { class: "card", "aria-label": "codebook" },
      h("h2", {}, "Codebook"),
      field("Sorted by", this.order, "The first code is at the upper left."),
      this.words,
      this.line.element,
      h("div", { class: "book" }, this.board.element),
    );
    this.close();
  }

  /** Shows the codes of the tokenizer with this id, by number. */
  async open(id, swatches) {
    this.id = id;
    this.swatches = swatches;
    this.counts = {};
    this.code = null;
    this.order.value = "number";
    for (const value of ["data", "loaded", "likeness"]) this.option(value).disabled = true;
    this.board.caption.textContent = `${counted(swatches.size, "code")}, each decoded alone`;
    this.element.hidden = false;
    await this.draw();
  }

  close() {
    this.line.control?.abort();
    this.line.say("");
    this.swatches = null;
    this.ordered = [];
    this.element.hidden = true;
  }

  option(value) {
    return this.order.querySelector(`[value="${value}"]`);
  }

  /** Lets the codes be sorted by how often each is used, and sorts them so unless told otherwise. */
  setCounts(value, counts, words, isChosen = true) {
    this.counts[value] = counts;
    this.option(value).disabled = false;
    this.option(value).textContent = words;
    if (isChosen) this.order.value = value;
    this.draw();
  }

  /** Marks a code, or none at null. */
  choose(code) {
    const isNew = code !== this.code;
    this.code = code;
    this.option("likeness").disabled = code === null;
    if (code === null && this.order.value === "likeness") this.order.value = "number";
    if (isNew && this.swatches && this.order.value === "likeness") this.draw();
    this.mark();
  }

  /** Sorts the codes and paints them. */
  async draw() {
    const swatches = this.swatches;
    const order = await this.sorted();
    if (!order || !swatches || swatches !== this.swatches) return;
    this.ordered = order;
    this.paint();
  }

  paint() {
    if (!this.ordered.length) return;
    const columns = Math.min(COLUMNS, this.ordered.length);
    this.board.showCells(
      Math.ceil(this.ordered.length / columns),
      columns,
      SWATCH,
      (context, row, column, left, top, side) => {
        const code = this.ordered[row * columns + column];
        if (code !== undefined) this.swatches.draw(context, code, left, top, side);
      },
    );
    this.mark();
  }

  mark() {
    const at = this.ordered.indexOf(this.code);
    this.board.mark(at < 0 ? null : [Math.floor(at / this.board.columns), at % this.board.columns]);
  }

  /** All codes in the order that was asked for; undefined if that could not be found out. */
  async sorted() {
    const value = this.order.value,
      counts = this.counts[value];
    if (value === "likeness") {
      this.words.textContent = `By the distance of their vectors from that of code ${this.code}.`;
      return this.line.run("comparing", `/api/codes/${this.id}/likeness?code=${this.code}`);
    }
    const numbers = [...Array(this.swatches.size).keys()];
    if (!counts) {
      this.words.textContent = "";
      return numbers;
    }
    const used = counts.filter((count) => count > 0).length;
    this.words.textContent = `Most-used first; ${used.toLocaleString("en")} of ${counts.length.toLocaleString("en")} are used there.`;
    return numbers.sort((a, b) => counts[b] - counts[a] || a - b);
  }
}
