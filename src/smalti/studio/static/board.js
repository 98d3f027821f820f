// A picture over a grid of cells: a cell is chosen by pointer or arrow keys, cells can be marked.

import { h } from "./dom.js";

/** The picture at an address, once it can be drawn. */
export async function loaded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

export class Board {
  /** `onchoose(row, column)` hears which cell was chosen. */
  constructor(label, onchoose) {
    this.canvas = h("canvas", { class: "layer", "aria-hidden": "true" });
    this.overlay = h("canvas", {
      class: "overlay",
      tabindex: 0,
      role: "img",
      "aria-label": `cells of: ${label}`,
      "aria-description": "The arrow keys choose a cell.",
    });
    this.caption = h("figcaption", {}, label);
    this.element = h(
      "figure",
      { class: "board", hidden: true },
      h("div", { class: "layers" }, this.canvas, this.overlay),
      this.caption,
    );
    this.rows = this.columns = 0;
    this.overlay.addEventListener("click", (event) => {
      const box = this.overlay.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
      const column = Math.floor(((event.clientX - box.left) / box.width) * this.columns);
      if (this.has(row, column)) onchoose(row, column);
    });
    this.overlay.addEventListener("keydown", (event) => {
      const [down, right] =
        { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[
          event.key
        ] ?? [];
      if (down === undefined) return;
      event.preventDefault();
      const [row, column] = this.cell ? [this.cell[0] + down, this.cell[1] + right] : [0, 0];
      if (this.has(row, column)) onchoose(row, column);
    });
  }

  has(row, column) {
    return row >= 0 && column >= 0 && row < this.rows && column < this.columns;
  }

  /** Draws a loaded picture over so many cells. */
  showPicture(image, rows, columns) {
    this.setCells(rows, columns);
    this.canvas.width = image.width;
    this.canvas.height = image.height;
    this.canvas.getContext("2d").drawImage(image, 0, 0);
    this.mark(this.cell, this.isMarked);
  }

  /** Has each cell drawn by `draw(context, row, column, left, top, side)`. */
  showCells(rows, columns, side, draw) {
    this.setCells(rows, columns);
    this.canvas.width = columns * side;
    this.canvas.height = rows * side;
    const context = this.canvas.getContext("2d");
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        draw(context, row, column, column * side, row * side, side);
    this.mark(this.cell, this.isMarked);
  }

  setCells(rows, columns) {
    this.rows = rows;
    this.columns = columns;
    this.element.hidden = false;
  }

  /** Frames the cells for which `isMarked(row, column)` holds, and the chosen one, or null. */
  mark(cell, isMarked = () => false) {
    this.cell = cell;
    this.isMarked = isMarked;
    const side = Math.max(4, Math.floor(1024 / Math.max(this.rows, this.columns, 1)));
    this.overlay.width = this.columns * side;
    this.overlay.height = this.rows * side;
    const context = this.overlay.getContext("2d");
    const frame = (row, column, colour, width, inset) => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(
        column * side + inset,
        row * side + inset,
        side - 2 * inset,
        side - 2 * inset,
      );
    };
    const line = Math.min(side / 8, 4);
    for (let row = 0; row < this.rows; row++)
      for (let column = 0; column < this.columns; column++)
        if (isMarked(row, column)) {
          frame(row, column, "#000", line * 2, line);
          frame(row, column, "#ffd23f", line, line);
        }
    if (cell && this.has(...cell)) {
      frame(...cell, "#fff", line * 3, line / 2);
      frame(...cell, "#d4145a", line * 1.6, line / 2);
    }
  }
}
