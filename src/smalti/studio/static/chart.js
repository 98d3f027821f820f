// A line chart in SVG: several series over steps, values under the pointer or the arrow keys.

import { h } from "./dom.js";

const WIDTH = 380,
  HEIGHT = 190;
const LEFT = 58,
  RIGHT = 20,
  TOP = 8,
  BOTTOM = 22;
const LOG_FROM = 20; // highest by lowest value from which a logarithmic axis shows more

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A number in few figures. */
export function figures(value) {
  if (value === null) return "not a number";
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** Round numbers that divide a range. */
function ticks(low, high, wanted) {
  if (low === high) return [low];
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) found.push(at);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
    for (const factor of [1, 2, 5]) found.push(factor * 10 ** power);
  const inside = found.filter((one) => one >= low && one <= high);
  return inside.length <= 6 ? inside : inside.filter((one) => /^1/.test(one.toExponential()));
}

export class Chart {
  /** `title` is what the numbers are. */
  constructor(title) {
    this.title = title;
    this.values = h("figcaption", { "aria-live": "polite" });
    this.box = h("input", {
      type: "checkbox",
      title: "Logarithmic axis",
      onchange: () => {
        this.isChosen = true;
        this.draw();
      },
    });
    this.plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img" });
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.moveTo(null));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.element = h(
      "figure",
      { class: "chart" },
      h("div", { class: "chart-head" }, h("strong", {}, title), h("label", {}, this.box, " log")),
      this.plot,
      this.values,
    );
    this.series = [];
    this.step = null;
  }

  /**
   * Shows series `{name, colour, isDotted, points}`, colour a number from 0 and points `[step, value]`;
   * a value of null is a gap. `marks` are steps at which an option changed.
   */
  show(series, marks = []) {
    this.series = series.filter((one) => one.points.length);
    this.marks = marks;
    this.draw();
  }

  get numbers() {
    return this.series
      .flatMap((one) => one.points.map((point) => point[1]))
      .filter((y) => y !== null);
  }

  scales() {
    const steps = this.series.flatMap((one) => one.points.map((point) => point[0]));
    const low = Math.min(...this.numbers),
      high = Math.max(...this.numbers);
    const canBeLog = low > 0;
    this.box.disabled = !canBeLog;
    if (!this.isChosen) this.box.checked = canBeLog && high / low > LOG_FROM;
    const isLog = canBeLog && this.box.checked;
    const to = isLog ? Math.log : (value) => value;
    const room = (to(high) - to(low)) * 0.05 || Math.abs(to(high)) * 0.1 || 1;
    const [bottom, top] = [to(low) - room, to(high) + room];
    const [first, last] = [Math.min(...steps), Math.max(...steps)];
    return {
      first,
      last,
      isLog,
      low,
      high,
      x: (step) => LEFT + ((step - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT),
      y: (value) =>
        HEIGHT - BOTTOM - ((to(value) - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM),
    };
  }

  draw() {
    this.plot.replaceChildren();
    if (!this.numbers.length) {
      this.values.textContent = "no numbers";
      return;
    }
    const scale = (this.scale = this.scales());
    this.drawAxes(scale);
    for (const step of this.marks)
      this.plot.append(
        svg("line", {
          class: "mark",
          x1: scale.x(step),
          x2: scale.x(step),
          y1: TOP,
          y2: HEIGHT - BOTTOM,
        }),
      );
    for (const one of this.series) this.drawSeries(one, scale);
    this.cursor = svg("g", {});
    this.plot.append(this.cursor);
    const names = this.series.map((one) => one.name).join(", ");
    this.plot.setAttribute(
      "aria-label",
      `${this.title} over steps ${scale.first} to ${scale.last}: ${names}`,
    );
    this.plot.setAttribute("aria-description", "The arrow keys go from step to step.");
    this.moveTo(this.step);
  }

  drawAxes(scale) {
    const rows = scale.isLog ? logTicks(scale.low, scale.high) : ticks(scale.low, scale.high, 4);
    for (const value of rows) {
      const y = scale.y(value);
      this.plot.append(
        svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }),
        svg("text", { x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, figures(value)),
      );
    }
    for (const step of ticks(scale.first, scale.last, 4)) {
      const text = step >= 10000 ? `${step / 1000}k` : String(Math.round(step * 10) / 10);
      this.plot.append(
        svg("text", { x: scale.x(step), y: HEIGHT - 6, "text-anchor": "middle" }, text),
      );
    }
  }

  drawSeries(one, scale) {
    let path = "",
      isGap = true;
    for (const [step, value] of one.points) {
      const place =
        value === null ? "" : `${scale.x(step).toFixed(1)} ${scale.y(value).toFixed(1)}`;
      if (place) path += isGap ? `M${place}h0` : `L${place}`; // h0: a point alone is drawn too
      isGap = value === null;
    }
    this.plot.append(
      svg("path", { class: `line colour-${one.colour}${one.isDotted ? "" : " thin"}`, d: path }),
    );
    if (!one.isDotted) return;
    for (const [step, value] of one.points)
      if (value !== null)
        this.plot.append(
          svg("circle", {
            class: `dot colour-${one.colour}`,
            cx: scale.x(step),
            cy: scale.y(value),
            r: 2.6,
          }),
        );
  }

  point(event) {
    if (!this.scale) return;
    const box = this.plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const distance = (step) => Math.abs(this.scale.x(step) - x);
    this.moveTo(this.steps.reduce((a, b) => (distance(b) < distance(a) ? b : a)));
  }

  get steps() {
    return [...new Set(this.series.flatMap((one) => one.points.map((point) => point[0])))].sort(
      (a, b) => a - b,
    );
  }

  key(event) {
    const steps = this.steps,
      at = steps.indexOf(this.step);
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at < 0 ? steps.length - 1 : at - 1,
      Home: 0,
      End: steps.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.moveTo(steps[Math.max(0, Math.min(steps.length - 1, to))]);
  }

  /** Shows the values at a step; at null the newest of each series. */
  moveTo(step) {
    this.step = step;
    this.cursor?.replaceChildren();
    this.values.replaceChildren();
    if (step !== null && this.cursor) {
      const x = this.scale.x(step);
      this.cursor.append(
        svg("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }),
      );
    }
    for (const one of this.series) {
      const point = step === null ? one.points.at(-1) : nearest(one.points, step);
      this.values.append(
        h(
          "span",
          { class: "entry" },
          h("span", { class: `key colour-${one.colour}${one.isDotted ? " dotted" : ""}` }),
          `${one.name}: ${figures(point[1])}${step === null ? "" : ` (step ${point[0]})`}`,
        ),
      );
    }
  }
}

function nearest(points, step) {
  return points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
}
