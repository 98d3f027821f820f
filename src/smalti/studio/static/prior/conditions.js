// What a prior is told: a class, a painted label map, or pictures that are made to fit.

import { h, button, field, quoted } from "../dom.js";
import { JobLine } from "../jobline.js";
import { bytesOf, MOST_BYTES, save } from "./files.js";
import { Painter } from "./painter.js";

const TITLES = {
  segmentation: "Label map",
  depth: "Depth",
  edges: "Edges",
  low_resolution: "Small picture",
  class: "Class",
  keypoints: "Pose",
};
const HINTS = {
  segmentation: "A label map, whose numbers are classes; it is cut to the size of the pictures, and can be painted on.",
  depth: "A depth map: grey, dark to bright as in the training.",
  edges: "A photograph, whose edges are found, or a drawing of white lines on black.",
  low_resolution: "A photograph, which is made small.",
  keypoints: "A JSON file of keypoints, as beside the training images; its numbers are pixels of the pictures here.",
};
const HINT_OF_PHOTOGRAPHS = "A photograph, of which a network makes the map.";
const HINT_OF_PERSONS = "A photograph, in which a network finds the largest person.";
/** Kinds that a photograph gives. */
const OF_PHOTOGRAPHS = ["edges", "low_resolution"];

function fileName(part) {
  return `${part.kind}.${part.isPicture ? "png" : "json"}`;
}

export class Conditions {
  /** `path(name)` is an address of the prior; `onchange()` hears when what is told changes. */
  constructor(path, onchange) {
    this.path = path;
    this.onchange = onchange;
    this.line = new JobLine();
    this.margins = {};
    this.box = h("div", { class: "conditions" });
    this.element = h("div", {}, this.box, this.line.element);
    this.parts = [];
  }

  /** Shows the controls of a prior's conditions for pictures of a size. */
  open(facts, [height, width]) {
    this.size = [height, width];
    this.margins = {};
    this.annotated = facts.annotated;
    this.parts = facts.conditions.map((facts) => this.make(facts));
    this.box.replaceChildren(...this.parts.map((part) => part.element));
    this.painter?.resize(height, width);
  }

  close() {
    this.line.control?.abort();
    this.line.say("");
    this.parts = [];
    this.painter = this.map = null;
    this.box.replaceChildren();
  }

  get isEmpty() {
    return this.parts.length === 0;
  }

  /** Whether a photograph gives one of the conditions. */
  get takesPhotographs() {
    return this.parts.some((part) => part.isAnnotated || OF_PHOTOGRAPHS.includes(part.kind));
  }

  /** Fits all to another size of the pictures; the photograph lies within `margins` in pixels. */
  async resize(size, margins = {}) {
    if (size.join() === this.size?.join()) return;
    this.size = size;
    this.margins = margins;
    if (this.painter?.isTouched) this.map.source = null;
    this.painter?.resize(...size);
    for (const part of this.parts)
      if (part.source) await this.take(part, part.source, part.isOfPhotograph, part.isWithin);
  }

  /** Uses a photograph for those conditions that photographs give. */
  async usePhotograph(blob) {
    for (const part of this.parts)
      if (part.isAnnotated || OF_PHOTOGRAPHS.includes(part.kind))
        await this.take(part, blob, part.isAnnotated, true);
  }

  make(facts) {
    const part = { kind: facts.kind, title: TITLES[facts.kind] ?? facts.kind, isPicture: facts.is_picture };
    if (facts.classes) return this.makeClass(part, facts.classes);
    part.input = h("input", {
      type: "file",
      accept: facts.is_picture ? "image/*" : ".json",
      onchange: () => part.input.files[0] && this.take(part, part.input.files[0]),
    });
    const children = [field(part.title, part.input, HINTS[facts.kind] ?? "A file, as in the command.")];
    part.shown = h("img", { class: "condition", alt: `the condition ${facts.kind}`, hidden: true });
    const text = facts.is_picture ? "save PNG" : "save JSON";
    part.save = button(text, "Saves it as a file for the command", () => this.save(part), {
      disabled: !facts.palette,
    });
    if (facts.palette) {
      this.map = part;
      this.painter = new Painter(facts.palette, facts.labels, () => this.onchange());
      children.unshift(this.painter.element);
      this.painter.tools.lastChild.append(part.save);
    } else children.push(part.shown, h("div", { class: "row" }, part.save));
    if (this.annotated.includes(facts.kind)) children.push(this.makeOfPhotograph(part));
    part.element = h("div", { class: "part" }, ...children);
    return part;
  }

  /** The control of a photograph of which a network makes the map or the pose. */
  makeOfPhotograph(part) {
    part.isAnnotated = true;
    const input = h("input", {
      type: "file",
      accept: "image/*",
      onchange: () => input.files[0] && this.take(part, input.files[0], true),
    });
    const hint = part.isPicture ? HINT_OF_PHOTOGRAPHS : HINT_OF_PERSONS;
    return field(`${part.title} from a photograph`, input, hint);
  }

  makeClass(part, classes) {
    part.select = h(
      "select",
      { onchange: () => this.onchange() },
      h("option", { value: "" }, "all in turn"),
      ...classes.map((name) => h("option", { value: name }, name)),
    );
    part.element = h(
      "div",
      { class: "part" },
      field(part.title, part.select, "What the pictures show."),
    );
    return part;
  }

  /** Has a file made to fit, or a map or pose made of a photograph, which may lie within margins. */
  async take(part, file, isOfPhotograph = false, isWithin = false) {
    if (file.size > MOST_BYTES) {
      this.line.say("the file is too large: it may have 64 MiB", true);
      return;
    }
    const [height, width] = this.size;
    const asked = new URLSearchParams({
      kind: part.kind,
      height,
      width,
      photograph: isOfPhotograph ? 1 : 0,
      ...(isWithin ? this.margins : {}),
    });
    const address = this.path(`condition?${asked}`);
    this.reading = this.line.run(`reading the ${part.title.toLowerCase()}`, address, {
      body: file,
    });
    const found = await this.reading;
    if (!found) return;
    part.source = file;
    part.isOfPhotograph = isOfPhotograph;
    part.isWithin = isWithin;
    if (found.labels) this.painter.text = found.labels;
    else {
      part.file = found.file;
      part.shown.src = found.shown;
      part.shown.hidden = part.save.disabled = false;
    }
    if (found.note) this.line.say(found.note);
    this.onchange();
  }

  async paintedFile() {
    await this.reading; // a file that was chosen just now is not given up
    const found = await this.line.run("taking the map", this.path("labels"), {
      body: JSON.stringify({ size: this.size, labels: this.painter.text }),
    });
    return found?.file;
  }

  async save(part) {
    const address = part === this.map ? await this.paintedFile() : part.file;
    if (address) save(URL.createObjectURL(bytesOf(address)), fileName(part));
  }

  /** What is told, by kind; undefined, with a line that says so, if something is missing. */
  async value() {
    await this.reading; // a file that was chosen just now is not given up
    const told = {};
    for (const part of this.parts) {
      if (part.select) {
        if (part.select.value) told[part.kind] = part.select.value;
        continue;
      }
      const file = part === this.map ? await this.paintedFile() : part.file;
      if (!file) {
        if (part !== this.map)
          this.line.say(`choose a file for: ${part.title.toLowerCase()}`, true);
        return undefined;
      }
      told[part.kind] = file;
    }
    return told;
  }

  /** The names under which the conditions are saved. */
  get files() {
    return this.parts.filter((part) => part.save).map(fileName);
  }

  /** The words of a command that say the same, with the names under which files are saved. */
  get words() {
    const words = this.parts.flatMap((part) => {
      const kind = this.parts.length > 1 ? `${part.kind}=` : "";
      if (part.select) return part.select.value ? [quoted(`${kind}${part.select.value}`)] : [];
      return [`${kind}${fileName(part)}`];
    });
    return words.length ? [`--condition ${words.join(" ")}`] : [];
  }
}
