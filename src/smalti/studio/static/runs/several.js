// Several runs: their curves, and how their configs differ.

import { h } from "../dom.js";
import { get } from "../api.js";
import { Charts } from "./charts.js";

/** Several runs over each other, with what differs in their configs. */
export class Several {
  constructor(runs, views) {
    this.views = views;
    this.charts = new Charts();
    this.differences = h("div", {
      class: "scroll",
      tabindex: 0,
      role: "region",
      "aria-label": "differences of the configs",
    });
    this.element = h(
      "div",
      {},
      h("h2", {}, runs.map((run) => run.name).join(", ")),
      h("p", { class: "hint" }, "Thin lines are training steps, dots the evaluated images."),
      this.charts.element,
      h("h3", {}, "What differs in their configs"),
      this.differences,
    );
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
    this.charts.draw(
      groups,
      (name) =>
        drawn.flatMap((run) => {
          const colour = runs.indexOf(run),
            lines = this.views.get(run.id);
          return [
            { name: `${run.name}, steps`, colour, points: lines.points(name, "train") },
            { name: run.name, colour, isDotted: true, points: lines.points(name, "eval") },
          ];
        }),
      [],
    );
    await this.drawDifferences(runs);
  }

  async drawDifferences(runs) {
    const query = new URLSearchParams(runs.map((run) => ["id", run.id]));
    const rows = await get(`/api/runs/compared?${query}`);
    if (!rows.length)
      return this.differences.replaceChildren(h("p", {}, "Nothing but the folder."));
    const text = (value) =>
      value === null ? "–" : Array.isArray(value) ? value.join(", ") : String(value);
    this.differences.replaceChildren(
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "option"),
            ...runs.map((run) => h("th", { scope: "col" }, run.name)),
          ),
        ),
        h(
          "tbody",
          {},
          ...rows.map((row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, row.option),
              ...row.values.map((value) => h("td", {}, text(value))),
            ),
          ),
        ),
      ),
    );
  }
}
