// The options of drawing: how the next code is chosen. They are named as in the commands.

import { h, field } from "../dom.js";

const NUMBERS = [
  // name, label, value of the command if it is left out, attributes, explanation
  ["seed", "Seed", 0, { min: 0, max: 2147483647, step: 1 }, "The same seed makes the same pictures."],
  ["temperature", "Temperature", 1, { min: 0, max: 10, step: 0.01 }, "Below 1 likelier codes, above 1 bolder ones; 0 always the likeliest."],
  ["top_k", "Top-k", 100, { min: 0, max: 65536, step: 1 }, "Draws among the k likeliest codes only; 0 is off."],
  ["top_p", "Top-p", 1, { min: 0.005, max: 1, step: 0.005 }, "Draws among the likeliest codes with this share of probability; 1 is off."],
  ["guidance", "Guidance", 1, { min: 0, max: 50, step: 0.05 }, "How closely to follow the condition; 1 is off."],
  ["stride", "Stride", 1, { min: 1, max: 64, step: 1 }, "Codes drawn in one place of the window, for larger pictures; more is faster and sees less."],
];

export class Options {
  constructor(onchange) {
    this.inputs = {};
    this.fields = {};
    for (const [name, label, value, attributes, hint] of NUMBERS) {
      const input = h("input", { type: "number", required: true, value, onchange, ...attributes });
      this.inputs[name] = input;
      this.fields[name] = field(label, input, hint);
    }
    const { seed, ...drawing } = this.fields;
    this.seedField = seed;
    this.element = h(
      "details",
      { class: "options" },
      h("summary", { title: "Shows how the next code is chosen" }, "How it draws"),
      h("div", { class: "fields" }, ...Object.values(drawing)),
    );
  }

  open(facts) {
    this.inputs.stride.max = facts.most_stride;
    this.fields.stride.hidden = facts.most_stride === 1;
    if (this.inputs.stride.value > facts.most_stride) this.inputs.stride.value = 1;
    this.fields.guidance.hidden = !facts.can_guide;
    if (!facts.can_guide) this.inputs.guidance.value = 1;
  }

  get seed() {
    return Number(this.inputs.seed.value);
  }

  set seed(value) {
    this.inputs.seed.value = value;
  }

  /** The first input whose value is not allowed gets the focus, and says why; true if there is none. */
  get isValid() {
    const wrong = Object.values(this.inputs).find((input) => !input.checkValidity());
    if (wrong && !this.seedField.contains(wrong)) this.element.open = true;
    wrong?.reportValidity();
    return !wrong;
  }

  get values() {
    return Object.fromEntries(
      Object.entries(this.inputs).map(([name, input]) => [name, Number(input.value)]),
    );
  }

  /** The words of a command that say the same. */
  get words() {
    return NUMBERS.flatMap(([name, , value]) => {
      const given = Number(this.inputs[name].value);
      return given === value ? [] : [`--${name.replace("_", "-")} ${given}`];
    });
  }
}
