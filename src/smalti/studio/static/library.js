// The runs and models that the server finds, asked for again and again while the page is seen.

import { get } from "./api.js";

const SECONDS = 4;

export class Library extends EventTarget {
  constructor() {
    super();
    this.entries = [];
    this.places = [];
  }

  async start() {
    await this.refresh();
    setInterval(() => document.hidden || this.refresh(), SECONDS * 1000);
  }

  async refresh() {
    try {
      const found = await get("/api/library");
      const isNew = JSON.stringify(found) !== this.last;
      if (!isNew && !this.problem) return;
      this.last = JSON.stringify(found);
      this.entries = found.entries;
      this.places = found.places;
      this.problem = null;
    } catch (error) {
      if (this.problem === error.message) return;
      this.problem = error.message;
    }
    this.dispatchEvent(new Event("change"));
  }
}
