// A run alone: state, health, pictures, curves and figures.

import { h } from "../dom.js";
import { get } from "../api.js";
import { Charts } from "./charts.js";

/** A run alone, in full. */
export class One {
  constructor(run, lines) {
    this.lines = lines;
    this.charts = new Charts();
    this.head = h("div");
    this.pictures = h("div", { class: "pictures" });
    this.facts = h("div");
    this.element = h("div", {}, this.head, this.pictures, this.charts.element, this.facts);
  }

  async refresh([run]) {
    if (run?.share === undefined) {
      // there is nothing more to tell
      this.head.replaceChildren(
        h("h2", {}, run?.name ?? ""),
        h("p", {}, run?.message ?? "No run yet."),
      );
      return;
    }
    const seen = JSON.stringify([this.lines.version, run]);
    if (seen === this.seen) return;
    this.run = await get(`/api/runs/${run.id}`);
    this.seen = seen;
    this.drawHead();
    this.drawPictures();
    this.drawFacts();
    const { groups, scored } = this.run;
    this.charts.draw(
      groups,
      (name) => [
        { name: "training steps", colour: 1, points: this.lines.points(name, "train") },
        { name: scored, colour: 0, isDotted: true, points: this.lines.points(name, "eval") },
      ],
      this.lines.marks,
    );
  }

  drawHead() {
    const { name, state, message, health, remedies, changes, is_healthy } = this.run;
    const notes = [
      ...remedies.map((text) => `Remedy at ${text}`),
      ...changes.map((text) => `Changed at ${text}`),
    ];
    this.head.replaceChildren(
      h(
        "div",
        {},
        h("h2", {}, name, " ", h("span", { class: `state ${state}` }, state)),
        h("p", {}, message),
        h(
          "div",
          { class: `health ${is_healthy ? "good" : "bad"}` },
          h("strong", {}, "Health: "),
          ...health.map((text) => h("span", {}, `${text} `)),
        ),
        notes.length ? h("ul", {}, ...notes.map((text) => h("li", {}, text))) : null,
        this.lines.every > 1
          ? h("p", { class: "hint" }, `Of ${this.lines.every} training lines one is drawn.`)
          : null,
      ),
    );
  }

  drawPictures() {
    const names = this.run.pictures.map((one) => one.name).join();
    if (names !== this.names) {
      this.names = names;
      this.series = new Map(
        this.run.pictures.map((one) => [one.name, new Pictures(this.run.id, one)]),
      );
      this.pictures.replaceChildren(...[...this.series.values()].map((one) => one.element));
    }
    for (const { name, steps } of this.run.pictures) this.series.get(name).setSteps(steps);
  }

  drawFacts() {
    const { facts, scores, scored, name } = this.run;
    const table = (rows) =>
      h(
        "table",
        {},
        ...Object.entries(rows).map(([key, value]) =>
          h("tr", {}, h("th", { scope: "row" }, key.replaceAll("_", " ")), h("td", {}, value)),
        ),
      );
    this.facts.replaceChildren(
      h(
        "div",
        { class: "tables" },
        h("section", {}, h("h3", {}, "The run"), table(facts)),
        Object.keys(scores).length
          ? h("section", {}, h("h3", {}, `Newest scores of ${scored}`), table(scores))
          : null,
      ),
    );
  }
}

/** The pictures of one kind of a run: the newest, or that of the step that was chosen. */
class Pictures {
  constructor(id, { name, caption }) {
    this.address = `/api/runs/${id}/pictures/${name}_`;
    this.image = h("img", { alt: caption });
    this.label = h("span");
    this.slider = h("input", {
      type: "range",
      min: 0,
      "aria-label": `step of: ${caption}`,
      title: "Shows the picture of an earlier step",
      oninput: () => this.draw(),
    });
    this.element = h(
      "figure",
      {},
      this.image,
      this.slider,
      h("figcaption", {}, caption, ".", this.label),
    );
    this.steps = [];
  }

  /** Goes on to a new picture, unless an earlier one was chosen. */
  setSteps(steps) {
    if (steps.join() === this.steps.join()) return;
    const isNewest = Number(this.slider.value) >= this.steps.length - 1;
    this.steps = steps;
    this.slider.max = steps.length - 1;
    if (isNewest) this.slider.value = steps.length - 1;
    this.slider.hidden = steps.length < 2;
    this.draw();
  }

  draw() {
    const step = this.steps[this.slider.value];
    this.image.src = `${this.address}${String(step).padStart(8, "0")}.png`;
    this.label.textContent = ` Step ${step.toLocaleString("en")}.`;
    this.slider.setAttribute("aria-valuetext", `step ${step}`);
  }
}
