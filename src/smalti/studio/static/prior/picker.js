// Chooses a prior among the runs and models, and loads what the page needs to know of it.

import { h, field } from "../dom.js";
import { JobLine } from "../jobline.js";

export class PriorPicker {
  /** `onopen(facts)` hears of a prior that is loaded, `onclose()` that another one was chosen. */
  constructor(library, { label = "Prior", hint, isOptional = false, onopen, onclose = () => {} }) {
    Object.assign(this, { library, isOptional, onopen, onclose });
    this.select = h("select", { onchange: () => this.open(this.select.value) });
    this.line = new JobLine("data");
    this.field = field(label, this.select, hint);
    library.addEventListener("change", () => this.draw());
  }

  get entries() {
    return this.library.entries.filter((entry) => entry.kind === "prior");
  }

  show() {
    this.isShown = true;
    this.draw();
  }

  hide() {
    this.isShown = false;
  }

  draw() {
    const chosen = this.select.value;
    const ids = this.entries.map((entry) => entry.id);
    if (this.isOptional) ids.unshift("");
    const known = [...this.select.options].map((option) => option.value);
    if (known.join() !== ids.join()) {
      const options = this.entries.map((entry) => h("option", { value: entry.id }, entry.name));
      if (this.isOptional) options.unshift(h("option", { value: "" }, "none"));
      this.select.replaceChildren(...options);
      if (ids.includes(chosen)) this.select.value = chosen;
    }
    if (this.isShown && this.select.value !== (this.opened ?? "")) this.open(this.select.value);
    if (!this.entries.length)
      this.line.say("No prior yet. It is what draws: smalti train prior --data PHOTOS --vqgan RUN --out PRIOR");
  }

  async open(id) {
    this.opened = id;
    this.facts = null;
    this.onclose();
    if (!id) {
      this.line.control?.abort();
      this.line.say("");
      return;
    }
    const facts = await this.line.run("loading the prior", `/api/prior/${id}/facts`);
    if (!facts || this.opened !== id) return;
    this.facts = { ...facts, id };
    this.onopen(this.facts);
  }

  path(name) {
    return `/api/prior/${this.opened}/${name}`;
  }
}
