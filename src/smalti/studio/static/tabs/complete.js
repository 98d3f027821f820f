// The tab "Complete": a part of a photograph, or what lies around it, is made anew.

import { h, button, field, quoted } from "../dom.js";
import { Compare } from "../prior/compare.js";
import { Conditions } from "../prior/conditions.js";
import { COUNT, Drawing } from "../prior/drawing.js";
import { Examples, save } from "../prior/files.js";
import { Options } from "../prior/options.js";
import { PhotoInput } from "../prior/photo.js";
import { PriorPicker } from "../prior/picker.js";
import { Rubber } from "../prior/rubber.js";

export const id = "complete";
export const title = "Complete";
export const hint = "A part of a photograph, or what lies around it, made anew";

const PASTE_PX = 8;

export function make(panel, library) {
  return new Complete(panel, library);
}

class Complete {
  constructor(panel, library) {
    this.picker = new PriorPicker(library, {
      hint: "What draws the missing part; it must make photographs.",
      onopen: (facts) => this.open(facts),
      onclose: () => this.close(),
    });
    this.options = new Options(() => this.changed());
    this.drawing = new Drawing({
      text: "complete",
      hint: "Draws four completions",
      placeholder: "Choose a photograph, rub a part out or let the canvas grow, and have it completed.",
      options: this.options,
      draw: () => this.draw(),
    });
    this.photo = new PhotoInput(this.picker, this.drawing.line, (ready) => this.start(ready));
    this.examples = new Examples((blob) => this.photo.use(blob));
    this.examples.onfound = () => this.photo.isEmpty && this.examples.first && this.photo.use(this.examples.first);
    this.rubber = new Rubber(() => this.changed());
    this.conditions = new Conditions(
      (name) => this.picker.path(name),
      () => this.changed(),
    );
    this.paste = h("input", { type: "checkbox", checked: true, onchange: () => this.changed() });
    this.compare = new Compare();
    this.form = h(
      "section",
      { class: "card form", "aria-label": "what to complete", hidden: true },
      this.photo.element,
      this.examples.element,
      this.rubber.element,
      this.conditions.element,
      h(
        "div",
        { class: "fields" },
        this.options.seedField,
        field("Keep the known pixels", this.paste, `Puts them back, mixed over ${PASTE_PX} pixels; else all is as decoded.`),
      ),
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
        h("div", {}, buttons, line.element, this.compare.element, stage, same),
      ),
    );
    this.photo.listenToDrops(panel);
  }

  show() {
    this.picker.show();
  }

  hide() {
    this.picker.hide();
  }

  open(facts) {
    this.facts = facts;
    if (facts.content !== "rgb") {
      this.drawing.line.say("This prior does not make photographs, and only photographs can be completed.", true);
      return;
    }
    this.options.open(facts);
    this.conditions.open(facts, facts.size);
    this.photo.open(facts);
    this.examples.open(facts.id);
    this.form.hidden = false;
    this.drawing.open();
    this.changed();
  }

  close() {
    this.facts = null;
    this.drawing.close();
    this.photo.close();
    this.examples.close();
    this.rubber.close();
    this.conditions.close();
    this.compare.hide();
    this.form.hidden = true;
  }

  /** Begins with a photograph that is ready. */
  async start(ready) {
    await this.rubber.open(ready, this.facts.factor, this.facts.can_grow);
    this.compare.hide();
    await this.conditions.resize(this.rubber.size, this.rubber.sides);
    await this.conditions.usePhotograph(this.photo.blob);
  }

  changed() {
    if (!this.facts) return;
    const ready = Boolean(this.rubber.picture);
    const [height, width] = ready ? this.rubber.size : [0, 0];
    const canDraw = ready && (this.rubber.isRubbed || height > this.rubber.height || width > this.rubber.width);
    this.drawing.enable(canDraw);
    if (ready && !this.conditions.isEmpty) this.conditions.resize(this.rubber.size, this.rubber.sides);
    if (!canDraw) {
      this.drawing.same.replaceChildren();
      return;
    }
    const files = ["photo.png", ...(this.rubber.isRubbed ? ["mask.png"] : []), ...this.conditions.files];
    this.drawing.showCommand(
      "four completions",
      this.words(),
      files,
      h(
        "div",
        { class: "row" },
        button("save photo.png", "Saves the photograph as it is completed", () =>
          save(this.photo.ready.file, "photo.png"),
        ),
        this.rubber.isRubbed
          ? button("save mask.png", "Saves what is rubbed out, white on black", () =>
              save(this.rubber.mask, "mask.png"),
            )
          : null,
      ),
    );
  }

  words() {
    const grown = Object.entries(this.rubber.sides).filter(([, pixels]) => pixels > 0);
    const words = ["smalti complete", quoted(this.facts.path), "photo.png"];
    if (this.rubber.isRubbed) words.push("--mask mask.png");
    if (grown.length) words.push(`--extend ${grown.map(([side, px]) => `${side}=${px}`).join(" ")}`);
    if (this.paste.checked) words.push(`--paste ${PASTE_PX}`);
    words.push(`-n ${COUNT}`);
    return [...words, ...this.options.words, ...this.conditions.words].join(" ");
  }

  async draw() {
    if (!this.rubber.picture || !this.options.isValid) return;
    const facts = this.facts,
      original = this.rubber.original,
      seed = this.options.seed;
    this.changed();
    const conditions = await this.conditions.value();
    if (!conditions || facts !== this.facts) return;
    this.compare.hide();
    const asked = {
      ...this.options.values,
      ...this.rubber.sides,
      file: this.photo.ready.file,
      missing: [...this.rubber.missing],
      paste: this.paste.checked,
      conditions,
    };
    const buttons = (number, made) => [
      button(
        "compare",
        "Lays it over the original",
        () => this.compare.show(original, made.pictures[number]),
        { disabled: true },
      ),
      button(
        "download",
        "Saves the picture as a PNG",
        () => save(made.files[number], `completed_seed${seed}_${number}.png`),
        { disabled: true },
      ),
    ];
    const made = await this.drawing.run("completing", this.picker.path("complete"), asked, buttons);
    if (made && facts === this.facts) this.compare.show(original, made.pictures[0]);
  }
}
