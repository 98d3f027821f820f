// The charts of one or several runs.

import { h } from "../dom.js";
import { Chart } from "../chart.js";

/** Charts by groups of numbers, made once and drawn anew. */
export class Charts {
  constructor() {
    this.element = h("div");
    this.charts = new Map();
  }

  draw(groups, series, marks) {
    const names = JSON.stringify(groups);
    if (names !== this.names) {
      this.names = names;
      this.element.replaceChildren(
        ...Object.entries(groups).map(([title, numbers], at) =>
          h(
            "details",
            { class: "group", open: at === 0 || Object.keys(groups).length < 3 },
            h("summary", {}, title),
            h("div", { class: "charts" }, ...numbers.map((name) => this.chart(name).element)),
          ),
        ),
      );
    }
    for (const numbers of Object.values(groups))
      for (const name of numbers) this.chart(name).show(series(name), marks);
  }

  chart(name) {
    if (!this.charts.has(name)) this.charts.set(name, new Chart(name.replaceAll("_", " ")));
    return this.charts.get(name);
  }
}
