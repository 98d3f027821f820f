// The tab "Runs": the list, and of the chosen ones health, curves, pictures and differences.

import { h, button } from "../dom.js";
import { get } from "../api.js";
import { Chart } from "../chart.js";

export const id = "runs";
export const title = "Runs";
export const hint = "Curves, pictures and health of runs, also while they train";

const SECONDS = 2;
const MOST = 4;

export function make(panel) {
  return new Runs(panel);
}

class Runs {
  constructor(panel) {
    this.list = h("ul", { class: "runs" });
    this.note = h("p", { class: "jobline", role: "status" });
    this.detail = h("div", { class: "detail" });
    panel.append(h("div", { class: "split" },
      h("nav", { "aria-label": "Runs" }, h("h2", {}, "Runs"),
        h("p", { class: "hint" }, `Choose a run by its name, or tick two to ${MOST} to lay them over each other.`),
        this.list, this.note), this.detail));
    this.chosen = []; // ids
    this.views = new Map(); // id -> RunLines
  }

  show() {
    this.isShown = true;
    this.tick();
  }

  hide() {
    this.isShown = false;
    clearTimeout(this.timer);
  }

  /** Asks for all that may have changed, one thing at a time, and again while the tab is seen. */
  async tick() {
    clearTimeout(this.timer);
    this.isDue = true;
    if (this.isBusy) return; // it is done when the former is
    this.isBusy = true;
    while (this.isDue) {
      this.isDue = false;
      if (!document.hidden) await this.refresh();
    }
    this.isBusy = false;
    if (this.isShown) this.timer = setTimeout(() => this.tick(), SECONDS * 1000);
  }

  async refresh() {
    try {
      this.runs = await get("/api/runs");
      this.chosen = this.chosen.filter((id) => this.runs.some((run) => run.id === id));
      if (!this.chosen.length && this.runs.length) this.chosen = [this.runs[0].id];
      this.drawList();
      await this.drawChosen();
      this.note.textContent = "";
    } catch (error) {
      this.note.textContent = error.message;
    }
  }

  choose(ids) {
    this.chosen = ids;
    this.drawList();
    this.tick();
  }

  toggle(id) {
    const others = this.chosen.filter((one) => one !== id);
    const ids = others.length < this.chosen.length ? others : [...others, id].slice(-MOST);
    this.choose(ids.length ? ids : [id]);
  }

  drawList() {
    const drawn = JSON.stringify([this.runs, this.chosen]);
    if (drawn === this.drawn) return; // focus stays where it is
    this.drawn = drawn;
    const focused = document.activeElement?.dataset?.key;
    this.list.replaceChildren(...this.runs.map((run) => this.item(run)));
    if (focused) this.list.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  item(run) {
    const at = this.chosen.indexOf(run.id);
    const box = h("input", { type: "checkbox", "data-key": `box-${run.id}`, checked: at >= 0,
      "aria-label": `lay ${run.name} over the others`, title: "Lays the run over the others that are ticked",
      onchange: () => this.toggle(run.id) });
    const name = button(run.name, "Shows this run alone", () => this.choose([run.id]),
      { class: "name", "data-key": `name-${run.id}`, "aria-current": at >= 0 ? "true" : false });
    const colour = this.chosen.length > 1 && at >= 0 ? h("span", { class: `key dotted colour-${at}` }) : null;
    const words = run.state === "training" && run.is_healthy === false ? "training, not well" : run.state;
    return h("li", {}, box, h("div", {}, h("div", { class: "row" }, colour, name,
      h("span", { class: `state ${run.state}`, title: run.message }, words)),
    h("progress", { max: 1, value: run.share ?? 1, "aria-label": `done of ${run.name}`, title: run.message })));
  }

  async drawChosen() {
    const runs = this.chosen.map((id) => this.runs.find((run) => run.id === id));
    for (const run of runs) {
      if (run.stage === "pixels") continue;
      if (!this.views.has(run.id)) this.views.set(run.id, new RunLines(run.id));
      await this.views.get(run.id).refresh();
    }
    const wanted = runs.map((run) => run?.id).join();
    if (this.shown?.wanted !== wanted) {
      this.shown = runs.length > 1 ? new Several(runs, this.views) : new One(runs[0], this.views.get(runs[0]?.id));
      this.shown.wanted = wanted;
      this.detail.replaceChildren(this.shown.element);
    }
    await this.shown.refresh(runs);
  }
}

/** The lines of a run's metrics, of which only new ones are fetched. */
class RunLines {
  constructor(id) {
    this.id = id;
    this.lines = [];
    this.place = { file: "", next: 0 };
    this.version = 0;
  }

  async refresh() {
    const query = new URLSearchParams({ file: this.place.file, start: this.place.next });
    const found = await get(`/api/runs/${this.id}/lines?${query}`);
    this.place = found;
    if (!found.lines.length && !found.is_new) return;
    if (found.is_new && !found.lines.length && !this.lines.length) return;
    this.lines = found.is_new ? found.lines : [...this.lines, ...found.lines];
    this.every = found.is_new ? found.every : this.every;
    this.version++;
  }

  points(name, group) {
    return this.lines.filter((line) => line.group === group && name in line).map((line) => [line.step, line[name]]);
  }

  get marks() {
    return this.lines.filter((line) => line.group === "remedy" || line.group === "change").map((line) => line.step);
  }
}

/** Charts by groups of numbers, made once and drawn anew. */
class Charts {
  constructor() {
    this.element = h("div");
    this.charts = new Map();
  }

  draw(groups, series, marks) {
    const names = JSON.stringify(groups);
    if (names !== this.names) {
      this.names = names;
      this.element.replaceChildren(...Object.entries(groups).map(([title, numbers], at) =>
        h("details", { class: "group", open: at === 0 || Object.keys(groups).length < 3 }, h("summary", {}, title),
          h("div", { class: "charts" }, ...numbers.map((name) => this.chart(name).element)))));
    }
    for (const numbers of Object.values(groups))
      for (const name of numbers) this.chart(name).show(series(name), marks);
  }

  chart(name) {
    if (!this.charts.has(name)) this.charts.set(name, new Chart(name.replaceAll("_", " ")));
    return this.charts.get(name);
  }
}

/** A run alone, in full. */
class One {
  constructor(run, lines) {
    this.lines = lines;
    this.charts = new Charts();
    this.head = h("div");
    this.pictures = h("div", { class: "pictures" });
    this.facts = h("div");
    this.element = h("div", {}, this.head, this.pictures, this.charts.element, this.facts);
  }

  async refresh([run]) {
    if (!run || run.stage === "pixels") {
      this.head.replaceChildren(h("h2", {}, run?.name ?? ""), h("p", {}, run?.message ?? "No run yet."));
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
    this.charts.draw(groups, (name) => [
      { name: "training steps", colour: 1, points: this.lines.points(name, "train") },
      { name: scored, colour: 0, isDotted: true, points: this.lines.points(name, "eval") },
    ], this.lines.marks);
  }

  drawHead() {
    const { name, state, message, health, remedies, changes, is_healthy } = this.run;
    const notes = [...remedies.map((text) => `Remedy at ${text}`), ...changes.map((text) => `Changed at ${text}`)];
    this.head.replaceChildren(h("div", {},
      h("h2", {}, name, " ", h("span", { class: `state ${state}` }, state)),
      h("p", {}, message),
      h("div", { class: `health ${is_healthy ? "good" : "bad"}` }, h("strong", {}, "Health: "),
        ...health.map((text) => h("span", {}, `${text} `))),
      notes.length ? h("ul", {}, ...notes.map((text) => h("li", {}, text))) : null,
      this.lines.every > 1 ? h("p", { class: "hint" }, `Of ${this.lines.every} training lines one is drawn.`) : null));
  }

  drawPictures() {
    const names = this.run.pictures.map((one) => one.name).join();
    if (names !== this.names) {
      this.names = names;
      this.series = new Map(this.run.pictures.map((one) => [one.name, new Pictures(this.run.id, one)]));
      this.pictures.replaceChildren(...[...this.series.values()].map((one) => one.element));
    }
    for (const { name, steps } of this.run.pictures) this.series.get(name).setSteps(steps);
  }

  drawFacts() {
    const { facts, scores, scored, name } = this.run;
    const table = (rows) => h("table", {}, ...Object.entries(rows).map(([key, value]) =>
      h("tr", {}, h("th", { scope: "row" }, key.replaceAll("_", " ")), h("td", {}, value))));
    this.facts.replaceChildren(h("div", { class: "tables" },
      h("section", {}, h("h3", {}, "The run"), table(facts)),
      Object.keys(scores).length ? h("section", {}, h("h3", {}, `Newest scores of ${scored}`), table(scores)) : null));
  }
}

/** The pictures of one kind of a run: the newest, or that of the step that was chosen. */
class Pictures {
  constructor(id, { name, caption }) {
    this.address = `/api/runs/${id}/pictures/${name}_`;
    this.image = h("img", { alt: caption });
    this.label = h("span");
    this.slider = h("input", { type: "range", min: 0, "aria-label": `step of: ${caption}`,
      title: "Shows the picture of an earlier step", oninput: () => this.draw() });
    this.element = h("figure", {}, this.image, this.slider, h("figcaption", {}, caption, ".", this.label));
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

/** Several runs over each other, with what differs in their configs. */
class Several {
  constructor(runs, views) {
    this.views = views;
    this.charts = new Charts();
    this.differences = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "differences of the configs" });
    this.element = h("div", {}, h("h2", {}, runs.map((run) => run.name).join(", ")),
      h("p", { class: "hint" }, "Thin lines are training steps, dots the evaluated images."),
      this.charts.element, h("h3", {}, "What differs in their configs"), this.differences);
  }

  async refresh(runs) {
    const drawn = runs.filter((run) => this.views.has(run.id));
    const seen = JSON.stringify(drawn.map((run) => this.views.get(run.id).version));
    if (seen === this.seen) return;
    const described = await Promise.all(drawn.map((run) => get(`/api/runs/${run.id}`)));
    this.seen = seen;
    const groups = {};
    for (const run of described)
      for (const [title, names] of Object.entries(run.groups))
        groups[title] = [...new Set([...(groups[title] ?? []), ...names])];
    this.charts.draw(groups, (name) => drawn.flatMap((run) => {
      const colour = runs.indexOf(run), lines = this.views.get(run.id);
      return [{ name: `${run.name}, steps`, colour, points: lines.points(name, "train") },
        { name: run.name, colour, isDotted: true, points: lines.points(name, "eval") }];
    }), []);
    await this.drawDifferences(runs);
  }

  async drawDifferences(runs) {
    const query = new URLSearchParams(runs.map((run) => ["id", run.id]));
    const rows = await get(`/api/runs/compared?${query}`);
    if (!rows.length) return this.differences.replaceChildren(h("p", {}, "Nothing but the folder."));
    const text = (value) => (value === null ? "–" : Array.isArray(value) ? value.join(", ") : String(value));
    this.differences.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "option"), ...runs.map((run) => h("th", { scope: "col" }, run.name)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.option),
        ...row.values.map((value) => h("td", {}, text(value))))))));
  }
}
