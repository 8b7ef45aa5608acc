// What every drawing over time has: axes, and one point of it that is read with a finger, a mouse or the arrow keys.

import { h, s } from "./dom.js";

export const CHARACTER = 6.4;
// Room that a name below needs to the left and right of its middle.
const HALF_NAME = 16;
// How many key strokes cross the whole of it.
const STROKES = 60;
const MINUTE = 60e3;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE),
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
];
const MONTHS = [1, 2, 3, 6, 12, 24, 48];

// Steps that can be told in whole euros or in cents, so that no two labels are the same.
export function niceStep(span, count) {
  const rough = Math.max(span / count, 0.01);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10]
    .map((factor) => factor * power)
    .filter((step) => Math.abs(step * 100 - Math.round(step * 100)) < 1e-6)
    .find((step) => step >= rough * 0.999);
}

// Times for the axis, at full minutes, hours, days or months.
function timeTicks(from, to, count) {
  const step = STEPS.find((each) => (to - from) / each <= count);
  const ticks = [];
  if (step) {
    const start = new Date(from);
    start.setHours(0, 0, 0, 0);
    for (let time = start.getTime(); time <= to; time += step) if (time >= from) ticks.push(time);
    return { ticks, unit: step < DAY ? "time" : "day" };
  }
  const months = (to - from) / (30.4 * DAY);
  const each = MONTHS.find((number) => months / number <= count) ?? 60;
  const time = new Date(from);
  time.setHours(0, 0, 0, 0);
  time.setDate(1);
  for (; time.getTime() <= to; time.setMonth(time.getMonth() + 1)) {
    if (time.getTime() >= from && time.getMonth() % Math.min(each, 12) === 0) ticks.push(time.getTime());
  }
  return { ticks, unit: "month" };
}

// Lines across at some values with their names at the right: `levels` are [value, name], `kind` the class of a value's line.
export const levelLines = (levels, { left, right, width, y, kind = () => "grid" }) =>
  levels.flatMap(([value, text]) => [
    s("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: kind(value) }),
    s("text", { x: width, y: y(value) + 4, class: "label right" }, text),
  ]);

// How much room the names of levels take at the right.
export const gutterOf = (names) => Math.max(...names.map((text) => text.length)) * CHARACTER + 10;

// Times below, as far as there is room; `name` is what one is called, given its unit. With `ends` both ends are named where
// there would be less than two.
export function timeNames(from, to, { left, right, width, height, x, name, ends = false }) {
  const { ticks, unit } = timeTicks(from, to, Math.max(2, Math.floor(width / 90)));
  const label = (time, place) =>
    s("text", { x: x(time), y: height - 8, class: `label time ${place}` }, name(time, unit));
  const shown = ticks.filter((time) => x(time) >= left + HALF_NAME && x(time) <= right - HALF_NAME);
  if (ends && shown.length < 2) return [label(from, ""), label(to, "right")];
  return shown.map((time) => label(time, "middle"));
}

// A subclass draws into `_svg` in `_draw(width, height)`, which returns how far to the right each point stands, and has a
// `_cursor` drawn at 0; `_words(index)` are what is told of a point, and `_point(index)` shows them beside it.
export class Plot {
  constructor(kind = "", ...tip) {
    this._svg = s("svg", { "aria-hidden": "true" });
    this._tip = h("div", { class: "tip", hidden: true }, ...tip);
    this._places = [];
    this.element = h(
      "div",
      { class: `chart ${kind}`.trim(), tabindex: "0", role: "slider", "aria-valuemin": "0" },
      this._svg,
      this._tip,
    );
    for (const name of ["pointermove", "pointerdown"])
      this.element.addEventListener(name, (event) => this._pointAt(event.clientX));
    for (const name of ["pointerleave", "blur"]) this.element.addEventListener(name, () => this._select(undefined));
    this.element.addEventListener("keydown", (event) => this._key(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  show(data) {
    this._data = data;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this._data || !width || !height) return;
    this._tip.hidden = true;
    this._svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this._places = this._draw(width, height);
    if (!this._places.length) {
      this._svg.replaceChildren();
      return;
    }
    const last = this._places.length - 1;
    this.element.setAttribute("aria-valuemax", String(last));
    if (this._index === undefined || this._index > last) this._tell(last);
    else this._select(this._index);
  }

  // How many points one key stroke goes on by.
  get _stride() {
    return Math.max(1, Math.round((this._places.length - 1) / STROKES));
  }

  _tell(index) {
    this.element.setAttribute("aria-valuenow", String(index));
    this.element.setAttribute("aria-valuetext", this._words(index).filter(Boolean).join(", "));
  }

  _pointAt(clientX) {
    if (!this._places.length) return;
    const at = clientX - this.element.getBoundingClientRect().left;
    const distance = (index) => Math.abs(this._places[index] - at);
    this._select(this._places.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0));
  }

  _key(event) {
    if (!this._places.length) return;
    const last = this._places.length - 1;
    const now = this._index ?? last;
    const to = {
      ArrowLeft: now - this._stride,
      ArrowDown: now - this._stride,
      ArrowRight: now + this._stride,
      ArrowUp: now + this._stride,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Escape") this._select(undefined);
    if (to === undefined) return;
    event.preventDefault();
    this._select(Math.min(last, Math.max(0, to)));
  }

  _select(index) {
    this._index = index;
    if (!this._places.length) return;
    this._tip.hidden = index === undefined;
    this._cursor.setAttribute("visibility", index === undefined ? "hidden" : "visible");
    if (index === undefined) return;
    const x = this._places[index];
    this._cursor.setAttribute("transform", `translate(${x} 0)`);
    this._point(index);
    const half = this._tip.offsetWidth / 2;
    this._tip.style.left = `${Math.min(this.element.clientWidth - half, Math.max(half, x))}px`;
    this._tell(index);
  }
}
