// The tab "Runs": the list, and of the chosen ones health, curves, pictures and differences.

import { h, button } from "../dom.js";
import { get } from "../api.js";
import { One } from "../runs/one.js";
import { RunLines } from "../runs/runlines.js";
import { Several } from "../runs/several.js";

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
    panel.append(
      h(
        "div",
        { class: "split" },
        h(
          "nav",
          { "aria-label": "Runs" },
          h("h2", {}, "Runs"),
          h(
            "p",
            { class: "hint" },
            `Choose a run by its name, or tick 2 to ${MOST} to lay them over each other.`,
          ),
          this.list,
          this.note,
        ),
        this.detail,
      ),
    );
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
    const box = h("input", {
      type: "checkbox",
      "data-key": `box-${run.id}`,
      checked: at >= 0,
      "aria-label": `lay ${run.name} over the others`,
      title: "Lays the run over the others that are ticked",
      onchange: () => this.toggle(run.id),
    });
    const name = button(run.name, "Shows this run alone", () => this.choose([run.id]), {
      class: "name",
      "data-key": `name-${run.id}`,
      "aria-current": at >= 0 ? "true" : false,
    });
    const colour =
      this.chosen.length > 1 && at >= 0 ? h("span", { class: `key dotted colour-${at}` }) : null;
    const words =
      run.state === "training" && run.is_healthy === false ? "training, not well" : run.state;
    return h(
      "li",
      {},
      box,
      h(
        "div",
        {},
        h(
          "div",
          { class: "row" },
          colour,
          name,
          h("span", { class: `state ${run.state}`, title: run.message }, words),
        ),
        h("progress", {
          max: 1,
          value: run.share ?? 1,
          "aria-label": `done of ${run.name}`,
          title: run.message,
        }),
      ),
    );
  }

  async drawChosen() {
    const runs = this.chosen.map((id) => this.runs.find((run) => run.id === id));
    for (const run of runs) {
      if (run.share === undefined) continue; // without steps, or unreadable
      if (!this.views.has(run.id)) this.views.set(run.id, new RunLines(run.id));
      await this.views.get(run.id).refresh();
    }
    const wanted = runs.map((run) => `${run.id} ${this.views.has(run.id)}`).join();
    if (this.shown?.wanted !== wanted) {
      this.shown =
        runs.length > 1
          ? new Several(runs, this.views)
          : new One(runs[0], this.views.get(runs[0]?.id));
      this.shown.wanted = wanted;
      this.detail.replaceChildren(this.shown.element);
    }
    await this.shown.refresh(runs);
  }
}
