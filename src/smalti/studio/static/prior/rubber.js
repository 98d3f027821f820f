// A photograph on its canvas: squares of codes are rubbed out, and the canvas grows on its sides.

import { h, button, field } from "../dom.js";
import { loaded } from "../board.js";
import { listenToStrokes } from "./strokes.js";

const SIDES = ["top", "bottom", "left", "right"];
const MOST_GROWN = 512;

export class Rubber {
  /** `onchange()` hears of each change. */
  constructor(onchange) {
    this.onchange = onchange;
    this.canvas = h("canvas", {
      class: "layer paint",
      tabindex: 0,
      role: "img",
      "aria-label": "the photograph",
      "aria-description": "The arrow keys move by a code, the space bar rubs out.",
    });
    this.tool = h(
      "select",
      {},
      h("option", { value: "1" }, "rub out"),
      h("option", { value: "0" }, "bring back"),
    );
    this.brush = h("input", { type: "range", min: 1, max: 8, value: 2 });
    this.undoButton = button("undo", "Takes the last stroke back", () => this.undo(), {
      disabled: true,
    });
    this.clearButton = button("bring all back", "Brings back all that was rubbed out", () => {
      this.remember();
      this.missing.fill(0);
      this.changed();
    });
    this.grown = {};
    const sides = SIDES.map((side) => {
      this.grown[side] = h("input", { type: "number", min: 0, value: 0, onchange: () => this.grow() });
      return field(`Grow ${side}`, this.grown[side], "Pixels to add there.");
    });
    this.element = h(
      "div",
      { class: "painter", hidden: true },
      h("div", { class: "layers" }, this.canvas),
      h(
        "div",
        { class: "fields" },
        field("Tool", this.tool, "What a stroke on the photograph does."),
        field("Brush", this.brush, "Its width in codes."),
      ),
      h("div", { class: "row" }, this.undoButton, this.clearButton),
      h("div", { class: "fields" }, ...sides),
    );
    listenToStrokes(this.canvas, {
      size: () => [this.canvas.width, this.canvas.height],
      begin: () => this.remember(),
      dab: (x, y) => this.dab(x, y),
      hover: (x, y) => this.hover(x, y),
      step: () => this.side,
    });
  }

  /** Shows a photograph of squares of `side` pixels. */
  async open(photograph, side, canGrow) {
    this.picture = await loaded(photograph.shown);
    Object.assign(this, { side, height: photograph.height, width: photograph.width });
    this.rows = this.height / side;
    this.columns = this.width / side;
    this.missing = new Uint8Array(this.rows * this.columns);
    this.history = [];
    this.undoButton.disabled = true;
    for (const input of Object.values(this.grown)) {
      input.step = side;
      input.max = Math.floor(MOST_GROWN / side) * side;
      input.value = 0;
      input.disabled = !canGrow;
    }
    this.element.hidden = false;
    this.changed();
  }

  close() {
    this.element.hidden = true;
    this.picture = null;
  }

  /** Pixels that are added on each side. */
  get sides() {
    return Object.fromEntries(
      SIDES.map((side) => {
        const { value, max } = this.grown[side];
        const pixels = Math.ceil(Math.max(0, Number(value)) / this.side) * this.side;
        return [side, Math.min(pixels, Number(max))];
      }),
    );
  }

  /** Height and width of the whole canvas. */
  get size() {
    const { top, bottom, left, right } = this.sides;
    return [this.height + top + bottom, this.width + left + right];
  }

  get isRubbed() {
    return this.missing.includes(1);
  }

  grow() {
    for (const side of SIDES) this.grown[side].value = this.sides[side];
    this.changed();
  }

  remember() {
    this.history.push(this.missing.slice());
    this.undoButton.disabled = false;
  }

  undo() {
    this.missing = this.history.pop();
    this.undoButton.disabled = this.history.length === 0;
    this.changed();
  }

  dab(x, y) {
    const { top, left } = this.sides,
      width = Number(this.brush.value);
    const row = Math.floor((y - top) / this.side - (width - 1) / 2 + 0.5 * ((width + 1) % 2)),
      column = Math.floor((x - left) / this.side - (width - 1) / 2 + 0.5 * ((width + 1) % 2));
    for (let r = row; r < row + width; r++)
      for (let c = column; c < column + width; c++)
        if (r >= 0 && c >= 0 && r < this.rows && c < this.columns)
          this.missing[r * this.columns + c] = Number(this.tool.value);
    this.changed();
  }

  changed() {
    this.draw(this.canvas);
    this.onchange();
  }

  /** Draws the photograph with what is missing in checks. */
  draw(canvas) {
    const { top, left } = this.sides,
      [height, width] = this.size;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const check = Math.max(2, Math.round(this.side / 2));
    for (let y = 0; y < height; y += check)
      for (let x = 0; x < width; x += check) {
        context.fillStyle = (x / check + y / check) % 2 ? "#9aa3ad" : "#c9ced4";
        context.fillRect(x, y, check, check);
      }
    for (let row = 0; row < this.rows; row++)
      for (let column = 0; column < this.columns; column++) {
        if (this.missing[row * this.columns + column]) continue;
        const [x, y] = [column * this.side, row * this.side];
        const [w, h] = [this.side, this.side];
        context.drawImage(this.picture, x, y, w, h, left + x, top + y, w, h);
      }
  }

  hover(x, y) {
    this.draw(this.canvas);
    const context = this.canvas.getContext("2d");
    const snap = (one) => Math.floor(one / this.side) * this.side;
    context.strokeStyle = "#d4145a";
    context.lineWidth = 2;
    context.strokeRect(snap(x) + 1, snap(y) + 1, this.side - 2, this.side - 2);
  }

  /** The mask of the command, as an address: white is made anew. */
  get mask() {
    const canvas = h("canvas", { width: this.width, height: this.height });
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, this.width, this.height);
    context.fillStyle = "#fff";
    this.missing.forEach((one, at) => {
      const [row, column] = [Math.floor(at / this.columns), at % this.columns];
      if (one) context.fillRect(column * this.side, row * this.side, this.side, this.side);
    });
    return canvas.toDataURL("image/png");
  }

  /** The photograph on its canvas, with checks where there was nothing, for a comparison. */
  get original() {
    const canvas = h("canvas"),
      missing = this.missing;
    this.missing = new Uint8Array(missing.length);
    this.draw(canvas);
    this.missing = missing;
    return canvas;
  }
}
