// The tab "Make": new pictures, drawn before the eyes.

import { h, button, field, quoted } from "../dom.js";
import { Conditions } from "../prior/conditions.js";
import { COUNT, Drawing } from "../prior/drawing.js";
import { Examples, save } from "../prior/files.js";
import { Options } from "../prior/options.js";
import { PriorPicker } from "../prior/picker.js";

export const id = "make";
export const title = "Make";
export const hint = "New pictures, drawn before your eyes";

export function make(panel, library) {
  return new Make(panel, library);
}

class Make {
  constructor(panel, library) {
    this.picker = new PriorPicker(library, {
      hint: "What draws the pictures.",
      onopen: (facts) => this.open(facts),
      onclose: () => this.close(),
    });
    this.conditions = new Conditions(
      (name) => this.picker.path(name),
      () => this.drawCommand(),
    );
    this.examples = new Examples((blob) => this.conditions.usePhotograph(blob));
    this.options = new Options(() => this.drawCommand());
    this.drawing = new Drawing({
      text: "make four",
      hint: "Draws four pictures",
      placeholder:
        "Four pictures appear here, code by code: first each code's swatch, then row by row what they give together.",
      options: this.options,
      draw: () => this.draw(),
    });
    this.height = this.sizeInput();
    this.width = this.sizeInput();
    this.sizes = h(
      "div",
      { class: "fields" },
      field("Height", this.height, "In pixels; more than the training's takes longer."),
      field("Width", this.width, "In pixels."),
      this.options.seedField,
    );
    this.kept = h("div", { class: "easel kept" });
    this.keptBox = h("section", { class: "card", hidden: true }, h("h2", {}, "Kept"), this.kept);
    this.form = h(
      "section",
      { class: "card form", "aria-label": "what to make", hidden: true },
      this.conditions.element,
      this.examples.element,
      this.sizes,
      this.options.element,
    );
    const { buttons, line, stage, same } = this.drawing;
    panel.append(
      h("div", { class: "controls" }, this.picker.field),
      this.picker.line.element,
      h(
        "div",
        { class: "split maker" },
        this.form,
        h("div", {}, buttons, line.element, stage, same, this.keptBox),
      ),
    );
  }

  sizeInput() {
    return h("input", { type: "number", required: true, onchange: () => this.resize() });
  }

  show() {
    this.picker.show();
  }

  hide() {
    this.picker.hide();
  }

  open(facts) {
    this.facts = facts;
    [this.height, this.width].forEach((input, side) => {
      input.min = facts.size[side];
      input.step = facts.factor;
      input.max = facts.can_grow ? 1024 : facts.size[side];
      input.disabled = !facts.can_grow;
      input.value = facts.size[side];
    });
    this.options.open(facts);
    this.conditions.open(facts, facts.size);
    if (this.conditions.takesPhotographs) {
      this.examples.onfound = () => this.conditions.usePhotograph(this.examples.first);
      this.examples.open(facts.id);
    }
    this.form.hidden = false;
    this.drawing.open();
    this.drawing.enable(true);
    this.drawCommand();
  }

  close() {
    this.facts = null;
    this.drawing.close();
    this.conditions.close();
    this.examples.close();
    this.form.hidden = true;
  }

  get size() {
    return [Number(this.height.value), Number(this.width.value)];
  }

  get isValid() {
    const wrong = [this.height, this.width].find((input) => !input.checkValidity());
    wrong?.reportValidity();
    return !wrong && this.options.isValid;
  }

  resize() {
    if (this.height.checkValidity() && this.width.checkValidity())
      this.conditions.resize(this.size);
    this.drawCommand();
  }

  words() {
    const words = ["smalti sample", quoted(this.facts.path), `-n ${COUNT}`];
    if (this.size.join() !== this.facts.size.join()) words.push(`--size ${this.size.join("x")}`);
    return [...words, ...this.options.words, ...this.conditions.words].join(" ");
  }

  drawCommand() {
    if (this.facts)
      this.drawing.showCommand("four pictures", this.words(), this.conditions.files);
  }

  async draw() {
    if (!this.facts || !this.isValid) return;
    this.drawCommand();
    const facts = this.facts,
      seed = this.options.seed;
    const conditions = await this.conditions.value();
    if (!conditions || facts !== this.facts) return;
    const name = (number) => `${facts.path.split("/").pop()}_seed${seed}_${number}.png`;
    const asked = { ...this.options.values, size: this.size, conditions };
    await this.drawing.run("drawing", this.picker.path("make"), asked, (number, made) => [
      button(
        "keep",
        "Keeps the picture below, until the page is closed",
        (event) => this.keep(made.files[number], name(number), event.target),
        { disabled: true },
      ),
      button(
        "download",
        "Saves the picture as a PNG",
        () => save(made.files[number], name(number)),
        { disabled: true },
      ),
    ]);
  }

  keep(file, name, source) {
    source.disabled = true;
    this.keptBox.hidden = false;
    const figure = h(
      "figure",
      { class: "drawn" },
      h("img", { src: file, alt: name }),
      h(
        "figcaption",
        {},
        h("span", { class: "name" }, name.replace(".png", "")),
        button("download", "Saves the picture as a PNG", () => save(file, name)),
        button("drop", "Takes it away from here", () => {
          figure.remove();
          this.keptBox.hidden = this.kept.children.length === 0;
          source.disabled = false;
        }),
      ),
    );
    this.kept.append(figure);
  }
}
