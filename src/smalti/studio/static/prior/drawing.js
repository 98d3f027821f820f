// Four pictures that a prior draws before the eyes: the buttons that begin it, and where they appear.

import { h, button, command } from "../dom.js";
import { JobLine } from "../jobline.js";
import { Easel } from "./easel.js";

export const COUNT = 4;

export class Drawing {
  /**
   * `text` and `hint` are those of the button that begins; `draw()` is called by it, and by another
   * one after the seed of `options` was counted up. `placeholder` stands where pictures will be.
   */
  constructor({ text, hint, placeholder, options, draw }) {
    this.placeholder = h("p", { class: "hint placeholder" }, placeholder);
    this.line = new JobLine();
    this.start = button(text, hint, draw, { class: "primary" });
    this.next = button("another four", "Draws four others, with the next seed", () => {
      options.seed = options.seed + 1;
      draw();
    });
    this.buttons = h("div", { class: "row", hidden: true }, this.start, this.next);
    this.stage = h("div", { class: "stage" });
    this.same = h("div", { class: "same" });
  }

  open() {
    this.buttons.hidden = false;
    this.stage.replaceChildren(this.placeholder);
  }

  close() {
    this.line.control?.abort();
    this.line.say("");
    this.buttons.hidden = true;
    this.stage.replaceChildren();
    this.same.replaceChildren();
  }

  /** Lets the buttons work, unless it draws. */
  enable(can) {
    this.can = can;
    this.start.disabled = this.next.disabled = !can || Boolean(this.isDrawing);
  }

  /** Shows the command that does the same, which reads the files of these names; `more` stands below. */
  showCommand(what, words, files, ...more) {
    const reads = files.length ? `, with ${files.join(" and ")} as saved here` : "";
    this.same.replaceChildren(
      h("p", { class: "hint" }, `The command that makes the same ${what}${reads}:`),
      command(words),
      ...more,
    );
  }

  /**
   * Has four pictures drawn. `buttons(number, made)` are those below each picture, which work when
   * `made` holds all `files`, as addresses, and `pictures`, as images.
   * Returns `made`, or undefined if it failed or was given up.
   */
  async run(what, address, asked, buttons) {
    const made = {},
      easel = new Easel(COUNT, (number) => buttons(number, made));
    const begun = [this.start, this.next].find((one) => one === document.activeElement);
    this.stage.replaceChildren(easel.element);
    this.isDrawing = true;
    this.enable(this.can);
    const drawn = this.line.run(what, address, {
      body: JSON.stringify({ ...asked, n: COUNT }),
      on: (event, data) => easel.on(event, data),
    });
    if (begun) this.line.cancel.focus({ preventScroll: true }); // by keyboard all goes on from there
    const found = await drawn;
    this.isDrawing = false;
    this.enable(this.can);
    if (begun && document.activeElement === document.body) begun.focus({ preventScroll: true });
    if (!found) {
      if (!easel.isBegun) easel.element.remove();
      return undefined;
    }
    made.files = found.files;
    made.pictures = await easel.finish(found.images);
    for (const one of easel.element.querySelectorAll("button")) one.disabled = false;
    return made;
  }
}
