// The tab "Surprise": how many bits each code of a photograph costs a prior, or two side by side.

import { h, button, command, field, quoted } from "../dom.js";
import { JobLine } from "../jobline.js";
import { Conditions } from "../prior/conditions.js";
import { Examples, save } from "../prior/files.js";
import { drawScale, Heat } from "../prior/heat.js";
import { PhotoInput } from "../prior/photo.js";
import { PriorPicker } from "../prior/picker.js";

export const id = "surprise";
export const title = "Surprise";
export const hint = "Where a photograph surprises a prior, in bits a code";

export function make(panel, library) {
  return new Surprise(panel, library);
}

/** One of the priors, with what it is told and its map. */
class Side {
  constructor(library, tab, options) {
    this.tab = tab;
    this.picker = new PriorPicker(library, {
      ...options,
      onopen: (facts) => this.open(facts),
      onclose: () => this.close(),
    });
    this.conditions = new Conditions(
      (name) => this.picker.path(name),
      () => tab.changed(),
    );
    this.heat = new Heat(options.map, (row, column) =>
      tab.choose(this.heat, row, column),
    );
    this.line = new JobLine("data");
  }

  get name() {
    return this.picker.select.selectedOptions[0]?.textContent ?? "";
  }

  open(facts) {
    this.facts = facts;
    this.conditions.open(facts, facts.size);
    this.tab.opened(this);
  }

  close() {
    this.facts = null;
    this.line.control?.abort();
    this.line.say("");
    this.conditions.close();
    this.heat.hide();
    this.tab.closed(this);
  }

  /** Fits what it is told to a photograph that is ready. */
  async fit(photo) {
    await this.conditions.resize([photo.ready.height, photo.ready.width]);
    await this.conditions.usePhotograph(photo.blob);
  }

  async score(photo) {
    const facts = this.facts;
    const conditions = await this.conditions.value();
    if (!conditions || facts !== this.facts) return;
    const scored = await this.line.run(`reading with ${this.name}`, this.picker.path("surprise"), {
      body: JSON.stringify({ file: photo.file, conditions }),
    });
    if (!scored || facts !== this.facts) return;
    await this.heat.show(this.name, scored, photo.shown);
  }
}

class Surprise {
  constructor(panel, library) {
    this.first = new Side(library, this, {
      label: "Prior",
      map: "surprise of the first prior",
      hint: "Whose surprise is shown.",
    });
    this.second = new Side(library, this, {
      label: "Beside it",
      map: "surprise of the second prior",
      hint: "A second prior, on the same scale.",
      isOptional: true,
    });
    this.sides = [this.first, this.second];
    this.line = new JobLine();
    this.photo = new PhotoInput(this.first.picker, this.line, () => this.fit());
    this.examples = new Examples((blob) => this.photo.use(blob));
    this.examples.onfound = () => this.photo.isEmpty && this.photo.use(this.examples.first);
    this.go = button("show surprise", "Computes the bits of each code", () => this.score(), {
      class: "primary",
      disabled: true,
    });
    this.share = h("input", { type: "range", min: 0, max: 100, value: 70, oninput: () => this.draw() });
    this.scale = h("canvas", { width: 256, height: 12, class: "scale", "aria-hidden": "true" });
    this.highest = h("span");
    this.cell = h("p", { "aria-live": "polite" });
    this.legend = h(
      "div",
      { class: "card legend", hidden: true },
      h("div", { class: "row" }, h("span", {}, "0"), this.scale, this.highest),
      field("Colour", this.share, "How much of the colours lies over the photograph."),
      this.cell,
    );
    this.same = h("div", { class: "same" });
    this.form = h(
      "section",
      { class: "card form", "aria-label": "what to read", hidden: true },
      this.photo.element,
      this.examples.element,
      ...this.sides.map((side) => side.conditions.element),
    );
    panel.append(
      h("div", { class: "controls" }, ...this.sides.map((side) => side.picker.field)),
      ...this.sides.map((side) => side.picker.line.element),
      h(
        "div",
        { class: "split maker" },
        this.form,
        h(
          "div",
          {},
          h("div", { class: "row" }, this.go),
          this.line.element,
          ...this.sides.map((side) => side.line.element),
          h("div", { class: "boards" }, ...this.sides.map((side) => side.heat.element)),
          this.legend,
          this.same,
        ),
      ),
    );
    this.photo.listenToDrops(panel);
  }

  show() {
    for (const side of this.sides) side.picker.show();
  }

  hide() {
    for (const side of this.sides) side.picker.hide();
  }

  opened(side) {
    if (this.first.facts) this.photo.open(this.first.facts, this.second.facts ?? undefined);
    if (side === this.first) {
      this.examples.open(side.facts.id);
      this.form.hidden = false;
    }
    this.changed();
  }

  closed(side) {
    if (!this.sides) return;
    if (side === this.first) {
      this.photo.close();
      this.examples.close();
      this.form.hidden = true;
    }
    this.draw();
    this.changed();
  }

  async fit() {
    for (const side of this.sides) {
      side.heat.hide();
      if (side.facts) await side.fit(this.photo);
    }
    this.draw();
    this.changed();
  }

  changed() {
    if (!this.go) return;
    this.go.disabled = !this.photo.ready || !this.first.facts;
    this.same.replaceChildren();
    if (this.go.disabled) return;
    const { height, width } = this.photo.ready;
    const commands = this.sides
      .filter((side) => side.facts)
      .map((side) => {
        const words = ["smalti score", quoted(side.facts.path), "photo.png", `--size ${height}x${width}`];
        return command([...words, ...side.conditions.words].join(" "));
      });
    this.same.append(
      h("p", { class: "hint" }, "The command that computes the same:"),
      ...commands,
      button("save photo.png", "Saves the photograph as it is read", () =>
        save(this.photo.ready.file, "photo.png"),
      ),
    );
  }

  async score() {
    this.go.disabled = true;
    this.cell.textContent = "Choose a cell, to read its bits.";
    const photo = this.photo.ready;
    for (const side of this.sides) {
      side.heat.hide();
      side.heat.board.cell = null;
      if (side.facts && photo === this.photo.ready) await side.score(photo);
      this.draw();
    }
    this.changed();
  }

  draw() {
    const shown = this.sides.map((side) => side.heat).filter((heat) => heat.bits);
    this.legend.hidden = shown.length === 0;
    const highest = Math.max(...shown.map((heat) => heat.highest));
    for (const heat of shown) heat.draw(highest, this.share.value / 100);
    this.highest.textContent = `${highest.toFixed(1)} bits`;
    drawScale(this.scale);
  }

  /** Marks the place of a cell on both maps, whose cells may differ in size, and tells the bits. */
  choose(chosen, row, column) {
    const down = (row + 0.5) / chosen.board.rows,
      right = (column + 0.5) / chosen.board.columns;
    const told = [];
    for (const { heat } of this.sides) {
      if (!heat.bits) continue;
      const cell = [Math.floor(down * heat.board.rows), Math.floor(right * heat.board.columns)];
      heat.board.mark(cell);
      told.push(`${heat.bits[cell[0]][cell[1]].toFixed(2)} bits with ${heat.name}`);
    }
    this.cell.textContent = `Row ${row + 1}, column ${column + 1}: ${told.join(", ")}.`;
  }
}
