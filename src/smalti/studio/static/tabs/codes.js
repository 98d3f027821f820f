// The tab "Codes": a picture beside its codes, exchanged by hand, and the codebook.

import { h, counted, field } from "../dom.js";
import { Board, loaded } from "../board.js";
import { Codebook } from "../codes/codebook.js";
import { CodePanel } from "../codes/panel.js";
import { Swatches } from "../codes/swatches.js";
import { JobLine } from "../jobline.js";

export const id = "codes";
export const title = "Codes";
export const hint = "The codes of a picture, and what happens if one is exchanged";

const SWATCH = 16; // pixels of a swatch on a board
const MOST_BYTES = 64 * 2 ** 20;

export function make(panel, library) {
  return new Codes(panel, library);
}

class Codes {
  constructor(panel, library) {
    this.library = library;
    this.makeControls();
    this.makeBoards();
    this.codePanel = new CodePanel({
      onexchange: (isEverywhere) => this.exchange(isEverywhere),
      onundo: () => this.takeBack(),
    });
    this.codebook = new Codebook((code) => this.chooseCode(code));
    panel.append(
      this.controls,
      this.examples,
      this.dataLine.element,
      this.line.element,
      this.boards,
      h("div", { class: "split wide" }, this.codePanel.element, this.codebook.element),
    );
    panel.addEventListener("dragover", (event) => event.preventDefault());
    panel.addEventListener("drop", (event) => {
      event.preventDefault();
      this.upload(event.dataTransfer.files[0]);
    });
    library.addEventListener("change", () => this.drawModels());
    this.forget();
  }

  show() {
    this.isShown = true;
    this.drawModels();
  }

  hide() {
    this.isShown = false;
  }

  // what is asked for

  makeControls() {
    this.model = h("select", { onchange: () => this.open(this.model.value) });
    this.file = h("input", {
      type: "file",
      accept: "image/*",
      disabled: true,
      onchange: () => this.upload(this.file.files[0]),
    });
    this.line = new JobLine();
    this.dataLine = new JobLine("data"); // its own, as a picture may be loaded meanwhile
    this.controls = h(
      "div",
      { class: "controls" },
      field("Tokenizer", this.model, "A run of stage 1, or the tokenizer of a prior."),
      field(
        "Picture",
        this.file,
        "From this machine, by dropping it on the page, or one of the run's below.",
      ),
    );
    this.examples = h("div", {
      class: "strip",
      role: "group",
      "aria-label": "pictures of the run's data",
      hidden: true,
    });
  }

  makeBoards() {
    const choose = (row, column) => this.chooseCell(row, column);
    this.photo = new Board("Picture", choose);
    this.grid = new Board("Its codes, each as its swatch", choose);
    this.original = new Board("Reconstruction", choose);
    this.edited = new Board("With your exchanges", choose);
    this.all = [this.photo, this.grid, this.original, this.edited];
    this.boards = h("div", { class: "boards" }, ...this.all.map((board) => board.element));
  }

  // the tokenizer

  drawModels() {
    const known = [...this.model.options].map((option) => option.value).join();
    if (known === this.library.entries.map((entry) => entry.id).join()) {
      if (!this.opened && this.isShown && this.model.value) this.open(this.model.value);
      return;
    }
    const chosen = this.model.value;
    this.model.replaceChildren(
      ...this.library.entries.map((entry) =>
        h(
          "option",
          { value: entry.id },
          entry.kind === "prior" ? `${entry.name} (its tokenizer)` : entry.name,
        ),
      ),
    );
    if (this.library.entries.some((entry) => entry.id === chosen)) this.model.value = chosen;
    else if (this.model.value && this.isShown) this.open(this.model.value);
  }

  /** Forgets all that belongs to the former tokenizer. */
  forget() {
    this.swatches?.stop();
    this.facts = this.swatches = this.shown = this.code = this.cell = this.dataCounts = null;
    this.loaded = 0;
    this.history = [];
    for (const line of [this.line, this.dataLine]) {
      line.control?.abort();
      line.say("");
    }
    for (const board of this.all) {
      board.cell = null;
      board.element.hidden = true;
    }
    this.examples.hidden = true;
    this.codePanel.close();
    this.codebook.close();
    this.file.disabled = true;
    this.file.value = "";
  }

  async open(id) {
    this.forget();
    this.opened = id;
    const facts = await this.line.run("loading the tokenizer", this.path("facts"));
    if (!facts) return;
    this.facts = facts;
    this.loadedCounts = new Array(facts.codebook_size).fill(0);
    this.file.disabled = false;
    this.codePanel.open(facts);
    this.chooseNothing();
    this.fetchSwatches();
    if (this.library.entries.find((entry) => entry.id === id)?.is_run) await this.fetchUse(id);
    else this.dataLine.say("This model comes without its run, and so without pictures: load one.");
  }

  path(name) {
    return `/api/codes/${this.opened}/${name}`;
  }

  async fetchSwatches() {
    const swatches = (this.swatches = new Swatches(this.opened, this.facts, () => [
      ...(this.shown?.codes.flat() ?? []),
      ...this.codebook.ordered,
    ]));
    await this.codebook.open(this.opened, this.swatches);
    swatches.addEventListener("change", () => {
      if (swatches !== this.swatches) return;
      this.codebook.line.say(
        swatches.known < swatches.size
          ? `decoding each code: ${swatches.known} of ${swatches.size}`
          : "",
      );
      this.codebook.paint();
      this.drawGrid();
      if (this.code !== null) this.drawCode();
    });
    try {
      await swatches.fetch();
    } catch (error) {
      if (error.name !== "AbortError") this.codebook.line.say(error.message, true);
    }
  }

  async fetchUse(id) {
    const found = await this.dataLine.run("encoding pictures of the run's data", this.path("use"));
    if (!found || this.opened !== id) return;
    this.dataCounts = found.counts;
    this.scored = found.scored;
    this.images = counted(found.images.length, found.scored.replace(/s$/, ""));
    this.codebook.setCounts("data", this.dataCounts, `use in ${this.images}`);
    this.examples.hidden = false;
    this.examples.replaceChildren(
      ...found.images.map((address, number) =>
        h(
          "button",
          {
            type: "button",
            title: `Shows one of the ${found.scored}`,
            onclick: () => this.example(number),
          },
          h("img", {
            src: address,
            alt: `${found.scored}, number ${number + 1}`,
            width: 64,
            height: 64,
          }),
        ),
      ),
    );
    if (!this.shown && found.images.length) await this.example(0);
  }

  // the picture

  async upload(file) {
    if (!file || !this.facts) return;
    if (file.size > MOST_BYTES) {
      this.line.say(
        `${file.name} has ${Math.round(file.size / 2 ** 20)} MiB; a picture may have 64`,
        true,
      );
      return;
    }
    const encoded = await this.line.run(`encoding ${file.name}`, this.path("encode"), {
      body: file,
    });
    if (encoded) await this.showPicture(encoded, true);
  }

  async example(number) {
    const encoded = await this.line.run(
      "encoding the picture",
      this.path(`example?number=${number}`),
    );
    if (encoded) await this.showPicture(encoded, false);
  }

  async showPicture(encoded, isLoaded) {
    const opened = this.opened;
    const [picture, reconstruction] = await Promise.all([
      loaded(encoded.image),
      loaded(encoded.reconstruction),
    ]);
    if (this.opened !== opened) return;
    const [rows, columns] = [encoded.codes.length, encoded.codes[0].length];
    this.shown = {
      first: encoded.codes,
      codes: encoded.codes.map((row) => [...row]),
      rows,
      columns,
    };
    this.history = [];
    this.cell = null;
    for (const board of this.all) board.mark(null); // those of the former picture
    this.photo.showPicture(picture, rows, columns);
    this.original.showPicture(reconstruction, rows, columns);
    this.edited.setCells(rows, columns);
    this.edited.element.hidden = true;
    this.drawGrid();
    if (isLoaded) this.countLoaded(encoded.codes);
    this.photo.caption.textContent = `Picture, ${rows * this.facts.downsampling_factor}x${columns * this.facts.downsampling_factor} pixels`;
    this.grid.caption.textContent = `Its ${counted(rows * columns, "code")}, each as its swatch`;
    this.chooseNothing();
  }

  countLoaded(codes) {
    this.loaded++;
    for (const code of codes.flat()) this.loadedCounts[code]++;
    const words = `use in the ${counted(this.loaded, "picture")} loaded here`;
    this.codebook.setCounts("loaded", this.loadedCounts, words, !this.dataCounts);
  }

  drawGrid() {
    if (!this.shown || !this.swatches) return;
    const { codes, rows, columns } = this.shown;
    this.grid.showCells(rows, columns, SWATCH, (context, row, column, left, top, side) =>
      this.swatches.draw(context, codes[row][column], left, top, side),
    );
    this.drawMarks();
  }

  // the chosen code

  chooseNothing() {
    this.code = this.cell = null;
    const where = this.shown ? "a cell of the picture" : "a picture";
    this.codePanel.clear(`Choose ${where}, or a code of the codebook.`);
    this.codebook.choose(null);
    this.drawMarks();
    this.drawButtons();
  }

  chooseCell(row, column) {
    this.cell = [row, column];
    this.setCode(this.shown.codes[row][column]);
  }

  chooseCode(code) {
    this.codePanel.put(code);
    this.setCode(code);
  }

  setCode(code) {
    const isNew = code !== this.code;
    this.code = code;
    this.codebook.choose(code);
    this.drawCode();
    this.drawMarks();
    this.drawButtons();
    if (!isNew) return;
    if (this.dataCounts)
      this.codePanel.fetchPatches(this.path(`patches?code=${code}`), this.scored);
    else this.codePanel.cutPatches(this.photo.canvas, this.places(code));
  }

  drawCode() {
    const words = [];
    if (this.cell) {
      const [row, column] = this.cell;
      const held = this.shown.codes[row][column];
      words.push(`The chosen cell, row ${row + 1}, column ${column + 1}, holds code ${held}.`);
    }
    const places = counted(this.places(this.code).length, "place");
    if (this.shown) words.push(`Code ${this.code} is at ${places} of this picture.`);
    if (this.dataCounts) {
      const times = counted(this.dataCounts[this.code], "time");
      words.push(`In ${this.images} it occurs ${times}.`);
    }
    this.codePanel.show(this.code, this.swatches, words.join(" "));
  }

  /** Rows and columns of the cells that hold a code. */
  places(code) {
    return (this.shown?.codes ?? []).flatMap((cells, row) =>
      cells.flatMap((one, column) => (one === code ? [[row, column]] : [])),
    );
  }

  drawMarks() {
    if (this.shown)
      for (const board of this.all)
        board.mark(this.cell, (row, column) => this.shown.codes[row][column] === this.code);
  }

  // exchanges

  drawButtons() {
    this.codePanel.setButtons(Boolean(this.cell && this.shown), this.history.length > 0);
  }

  async exchange(isEverywhere) {
    const code = this.codePanel.number;
    if (code === null) {
      this.line.say(`a code is a whole number from 0 to ${this.facts.codebook_size - 1}`, true);
      return;
    }
    const [row, column] = this.cell;
    const held = this.shown.codes[row][column];
    this.history.push(this.shown.codes);
    this.shown.codes = this.shown.codes.map((cells, r) =>
      cells.map((one, c) =>
        (isEverywhere ? one === held : r === row && c === column) ? code : one,
      ),
    );
    await this.showExchanges();
  }

  async takeBack() {
    this.shown.codes = this.history.pop();
    await this.showExchanges();
  }

  async showExchanges() {
    const { codes, first, rows, columns } = this.shown;
    this.drawGrid();
    if (this.cell) this.chooseCell(...this.cell);
    this.drawButtons();
    const exchanged = codes.flat().filter((code, at) => code !== first.flat()[at]).length;
    const decoded = await this.line.run("decoding", this.path("decode"), {
      body: JSON.stringify({ codes }),
    });
    if (!decoded || this.shown?.codes !== codes) return;
    const picture = await loaded(decoded.image);
    if (this.shown?.codes !== codes) return;
    this.edited.showPicture(picture, rows, columns);
    this.edited.caption.textContent = `With ${counted(exchanged, "exchanged code")}`;
    this.drawMarks();
  }
}
