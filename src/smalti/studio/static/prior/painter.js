// A label map that is painted: brush without smoothing, fill, undo.

import { h, button, field } from "../dom.js";
import { listenToStrokes } from "./strokes.js";

const MOST_UNDO = 50;

export class Painter {
  /**
   * `palette` has a colour [red, green, blue] for each class, `names` their names or is null;
   * `onchange()` hears of each change.
   */
  constructor(palette, names, onchange) {
    this.palette = palette;
    this.names = palette.map((_, label) => (names ? `${names[label]}, class ${label}` : `class ${label}`));
    this.onchange = onchange;
    this.history = [];
    this.canvas = h("canvas", {
      class: "layer paint",
      tabindex: 0,
      role: "img",
      "aria-label": "the painted map",
      "aria-description": "The arrow keys move, the space bar paints.",
    });
    this.makeTools();
    this.element = h(
      "div",
      { class: "painter" },
      h("div", { class: "layers" }, this.canvas),
      this.tools,
    );
    listenToStrokes(this.canvas, {
      size: () => [this.width, this.height],
      begin: () => this.remember(),
      dab: (x, y) => this.dab(x, y),
      hover: (x, y) => this.hover(x, y),
      step: () => this.step,
    });
    this.choose(0);
  }

  makeTools() {
    this.tool = h(
      "select",
      {},
      h("option", { value: "brush" }, "brush"),
      h("option", { value: "fill" }, "fill an area"),
      h("option", { value: "pick" }, "pick a class"),
    );
    this.brush = h("input", { type: "range", min: 1, max: 64, value: 12 });
    this.undoButton = button("undo", "Takes the last stroke back", () => this.undo(), {
      disabled: true,
    });
    this.clearButton = button("fill all", "Fills the whole map with the chosen class", () => {
      this.remember();
      this.labels.fill(this.label);
      this.draw();
      this.onchange();
    });
    this.swatches = this.palette.map(([red, green, blue], label) => {
      const one = button("", `Paints with ${this.names[label]}`, () => this.choose(label), {
        class: "class",
        "aria-label": this.names[label],
        "aria-pressed": false,
      });
      one.style.backgroundColor = `rgb(${red}, ${green}, ${blue})`;
      return one;
    });
    this.words = h("p", { class: "hint", "aria-live": "polite" });
    this.tools = h(
      "div",
      { class: "tools" },
      h(
        "div",
        { class: "palette", role: "group", "aria-label": "classes" },
        ...this.swatches,
      ),
      this.words,
      h(
        "div",
        { class: "fields" },
        field("Tool", this.tool, "What a click or stroke on the map does."),
        field("Brush", this.brush, "Its width in pixels of the map."),
      ),
      h("div", { class: "row" }, this.undoButton, this.clearButton),
    );
  }

  get step() {
    return Math.max(1, Math.round(this.width / 24));
  }

  choose(label) {
    this.label = label;
    this.swatches.forEach((one, at) => one.setAttribute("aria-pressed", at === label));
    const chosen = this.names[label].replace(/^./, (first) => first.toUpperCase());
    this.words.textContent = `${chosen} of 0 to ${this.palette.length - 1}; the numbers are those of the training maps.`;
    if (this.tool.value === "pick") this.tool.value = "brush";
  }

  /** Makes the map so large; what was painted is kept where it fits. */
  resize(height, width) {
    const former = this.labels && { ...this, labels: this.labels };
    if (this.width === width && this.height === height) return;
    const labels = new Uint16Array(width * height);
    for (let y = 0; former && y < height; y++)
      for (let x = 0; x < width; x++) {
        const [row, column] = [Math.min(y, former.height - 1), Math.min(x, former.width - 1)];
        labels[y * width + x] = former.labels[row * former.width + column];
      }
    this.show(labels, height, width);
  }

  /** Shows a map whose labels are given line by line. */
  show(labels, height, width) {
    Object.assign(this, { labels, height, width });
    this.history = [];
    this.undoButton.disabled = true;
    this.canvas.width = width;
    this.canvas.height = height;
    this.draw();
    this.onchange();
  }

  /** Whether anything was painted since the whole map was shown. */
  get isTouched() {
    return this.history.length > 0;
  }

  remember() {
    if (this.tool.value === "pick") return;
    this.history.push(this.labels.slice());
    if (this.history.length > MOST_UNDO) this.history.shift();
    this.undoButton.disabled = false;
  }

  undo() {
    this.labels = this.history.pop();
    this.undoButton.disabled = this.history.length === 0;
    this.draw();
    this.onchange();
  }

  dab(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    if (this.tool.value === "pick") return this.choose(this.labels[y * this.width + x]);
    if (this.tool.value === "fill") this.fill(x, y);
    else this.paint(x, y);
    this.draw();
    this.onchange();
  }

  paint(x, y) {
    const radius = this.brush.value / 2;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(this.height - 1, y + radius); row++)
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(this.width - 1, x + radius); column++)
        if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2)
          this.labels[row * this.width + column] = this.label;
  }

  fill(x, y) {
    const first = y * this.width + x,
      old = this.labels[first];
    if (old === this.label) return;
    const left = [first];
    this.labels[first] = this.label;
    while (left.length) {
      const at = left.pop(),
        column = at % this.width;
      const beside = [at - this.width, at + this.width];
      if (column > 0) beside.push(at - 1);
      if (column < this.width - 1) beside.push(at + 1);
      for (const next of beside)
        if (this.labels[next] === old) {
          this.labels[next] = this.label;
          left.push(next);
        }
    }
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const picture = context.createImageData(this.width, this.height);
    this.labels.forEach((label, at) => {
      const [red, green, blue] = this.palette[label];
      picture.data.set([red, green, blue, 255], 4 * at);
    });
    context.putImageData(picture, 0, 0);
  }

  hover(x, y) {
    this.draw();
    const context = this.canvas.getContext("2d");
    context.strokeStyle = "#fff";
    context.strokeRect(x - 2.5, y - 2.5, 5, 5);
  }

  /** The labels in base64, two bytes each. */
  get text() {
    const bytes = new Uint8Array(2 * this.labels.length);
    this.labels.forEach((label, at) => bytes.set([label & 255, label >> 8], 2 * at));
    let text = "";
    for (let at = 0; at < bytes.length; at += 4096)
      text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    return btoa(text);
  }

  /** Takes over what `text` gave. */
  set text(text) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const labels = new Uint16Array(bytes.length / 2);
    labels.forEach((_, at) => (labels[at] = bytes[2 * at] | (bytes[2 * at + 1] << 8)));
    this.show(labels, this.height, this.width);
  }
}
