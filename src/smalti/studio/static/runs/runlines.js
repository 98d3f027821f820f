// The numbers of a run over its steps.

import { get } from "../api.js";

/** The lines of a run's metrics, of which only new ones are fetched. */
export class RunLines {
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
    return this.lines
      .filter((line) => line.group === group && name in line)
      .map((line) => [line.step, line[name]]);
  }

  get marks() {
    return this.lines
      .filter((line) => line.group === "remedy" || line.group === "change")
      .map((line) => line.step);
  }
}
