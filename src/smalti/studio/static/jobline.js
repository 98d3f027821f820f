// The line that tells how the job of a tab stands, with a button that gives it up.

import { h, button } from "./dom.js";
import { job } from "./api.js";

export class JobLine {
  /** `name` is a class of the element. */
  constructor(name = "") {
    this.text = h("span", { role: "status" });
    this.cancel = button(
      "cancel",
      "Gives the work up; its place in the queue becomes free",
      () => this.control?.abort(),
      { hidden: true },
    );
    this.element = h("p", { class: `jobline ${name}` }, this.text, this.cancel);
  }

  /** Shows a line of text, as an error if it is one. */
  say(text, isError = false) {
    this.text.textContent = text;
    this.element.classList.toggle("error", isError);
  }

  /**
   * Does a job while the line tells about it; a job before it is given up.
   * Returns its result, or undefined if it failed or was given up: the line then says why.
   */
  async run(what, path, options = {}) {
    this.control?.abort();
    const control = (this.control = new AbortController());
    const isCurrent = () => this.control === control;
    this.cancel.hidden = false;
    this.say(`${what}…`);
    const on = (event, data) => {
      if (!isCurrent()) return;
      if (event === "position") this.say(`${what}: waiting, ${data.ahead} before it`);
      if (event === "started") this.say(`${what}…`);
      if (event === "progress") this.say(`${what}: ${data.done} of ${data.of}`);
      options.on?.(event, data);
    };
    try {
      const result = await job(path, { body: options.body, signal: control.signal, on });
      if (isCurrent()) this.say("");
      return isCurrent() ? result : undefined;
    } catch (error) {
      if (isCurrent()) {
        const isGivenUp = error.name === "AbortError";
        this.say(isGivenUp ? `${what}: given up` : error.message, !isGivenUp);
      }
      return undefined;
    } finally {
      if (isCurrent()) this.cancel.hidden = true;
    }
  }
}
