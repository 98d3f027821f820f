// Bits of each code as colours over a picture.

import { h } from "../dom.js";
import { Board, loaded } from "../board.js";

// From dark to bright, also for people who do not tell red from green.
const COLOURS = [
  [0, 0, 4],
  [60, 15, 112],
  [140, 41, 129],
  [222, 73, 104],
  [254, 159, 109],
  [252, 253, 191],
];

/** The colour of a share from 0 to 1. */
function colourOf(share) {
  const at = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1);
  const low = Math.min(Math.floor(at), COLOURS.length - 2);
  const mixed = COLOURS[low].map((from, i) => Math.round(from + (COLOURS[low + 1][i] - from) * (at - low)));
  return `rgb(${mixed.join(",")})`;
}

export class Heat {
  /** `onchoose(row, column)` hears of a cell. */
  constructor(label, onchoose) {
    this.board = new Board(label, onchoose);
    this.words = h("p", { class: "hint" });
    this.element = h("div", { hidden: true }, this.board.element, this.words);
  }

  /** Shows the bits of a scored picture. */
  async show(name, scored, picture) {
    this.name = name;
    this.bits = scored.bits;
    this.picture = await loaded(picture);
    const all = this.bits.flat();
    this.mean = all.reduce((sum, one) => sum + one, 0) / all.length;
    this.highest = Math.max(...all);
    this.board.caption.textContent = name;
    this.words.textContent = `${this.mean.toFixed(2)} bits a code; who knows nothing needs ${scored.knowing_nothing.toFixed(2)}.`;
    this.element.hidden = false;
  }

  hide() {
    this.bits = null;
    this.element.hidden = true;
  }

  /** Colours the cells, `highest` bits the brightest; `share` of the colour lies over the picture. */
  draw(highest, share) {
    if (!this.bits) return;
    const [rows, columns] = [this.bits.length, this.bits[0].length];
    const side = Math.max(1, Math.floor(512 / Math.max(rows, columns)));
    this.board.showCells(rows, columns, side, (context, row, column, left, top) => {
      context.fillStyle = colourOf(this.bits[row][column] / highest);
      context.fillRect(left, top, side, side);
    });
    const context = this.board.canvas.getContext("2d");
    context.globalAlpha = 1 - share;
    context.drawImage(this.picture, 0, 0, columns * side, rows * side);
    context.globalAlpha = 1;
  }
}

/** Draws the scale from 0 to the highest into a canvas. */
export function drawScale(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = colourOf(x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}
