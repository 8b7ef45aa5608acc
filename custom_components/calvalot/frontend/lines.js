// Several curves in one picture, in %: returns beside each other, or how far something fell. Read like the curve of the value.

import { niceStep, timeTicks } from "./chart.js";
import { h, s } from "./dom.js";

const TOP = 10;
const BOTTOM = 24;
const SIDE = 6;
const CHARACTER = 6.4;

export class Lines {
  // `low` has the picture hang from 0 at its top.
  constructor(low = false) {
    this._low = low;
    this._svg = s("svg", { "aria-hidden": "true" });
    this._tip = h("div", { class: "tip", hidden: true });
    this.element = h(
      "div",
      { class: low ? "chart lines low" : "chart lines", tabindex: "0", role: "slider", "aria-valuemin": "0" },
      this._svg,
      this._tip,
    );
    this.element.addEventListener("pointermove", (event) => this._pointAt(event.clientX));
    this.element.addEventListener("pointerdown", (event) => this._pointAt(event.clientX));
    for (const name of ["pointerleave", "blur"]) this.element.addEventListener(name, () => this._select(undefined));
    this.element.addEventListener("keydown", (event) => this._key(event));
    new ResizeObserver(() => this._draw()).observe(this.element);
  }

  // `days` in ms; `curves` are { name, kind, values in % or undefined, one for each day }; `label` says what it is.
  show(data) {
    this._data = data;
    this._index = undefined;
    this.element.setAttribute("aria-label", data.label);
    this._draw();
  }

  _draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    this._tip.hidden = true;
    if (!this._data || !width || !height) return;
    const { days, curves, format } = this._data;
    this._svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (days.length < 2) {
      this._svg.replaceChildren();
      this._places = undefined;
      return;
    }
    const values = curves.flatMap((each) => each.values).filter((value) => value !== undefined);
    let low = Math.min(0, ...values);
    let high = Math.max(0, ...values);
    if (high - low < 0.4) low = high - 0.4;
    const step = niceStep(high - low, this._low ? 2 : 4);
    low = Math.floor(low / step + 1e-9) * step;
    high = Math.ceil(high / step - 1e-9) * step;
    const digits = step < 1 ? 1 : 0;
    const levels = [];
    for (let value = low; value <= high + step / 2; value += step) {
      levels.push([value, format.percent(Math.abs(value) < step / 2 ? 0 : value, !this._low, digits)]);
    }
    const right = width - Math.max(...levels.map(([, text]) => text.length)) * CHARACTER - 10;
    const [from, to] = [days[0], days.at(-1)];
    const x = (time) => SIDE + ((time - from) / (to - from)) * (right - SIDE);
    // What is all of one day stands side by side in its order, without a time below it.
    const places =
      to > from ? days.map(x) : days.map((_, index) => SIDE + (index / (days.length - 1)) * (right - SIDE));
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    const grid = levels.flatMap(([value, text]) => [
      s("line", {
        x1: SIDE,
        x2: right,
        y1: y(value),
        y2: y(value),
        class: Math.abs(value) < step / 2 ? "zero" : "grid",
      }),
      s("text", { x: width, y: y(value) + 4, class: "label right" }, text),
    ]);
    const { ticks, unit } = timeTicks(from, to, Math.max(2, Math.floor(width / 90)));
    const names = (to > from ? ticks : [])
      .filter((time) => x(time) >= SIDE + 16 && x(time) <= right - 16)
      .map((time) => s("text", { x: x(time), y: height - 6, class: "label time middle" }, format[unit](time)));
    const path = (each) =>
      each.values
        .map((value, index) =>
          value === undefined
            ? ""
            : `${each.values[index - 1] === undefined ? "M" : "L"}${places[index].toFixed(1)} ${y(value).toFixed(1)}`,
        )
        .join("");
    const area = this._low && `${path(curves[0])}L${right} ${y(0)}L${SIDE} ${y(0)}Z`;
    this._cursor = s("line", { y1: TOP, y2: height - BOTTOM, class: "cursor-line", visibility: "hidden" });
    this._svg.replaceChildren(
      ...grid,
      ...names,
      ...(area ? [s("path", { d: area, class: "deep" })] : []),
      // The own curve is drawn last, above the others.
      ...[...curves].reverse().map((each) => s("path", { d: path(each), class: `line ${each.kind}` })),
      this._cursor,
    );
    this._places = places;
    this.element.setAttribute("aria-valuemax", String(days.length - 1));
    this._tell(days.length - 1);
  }

  _said(index) {
    const { curves, format } = this._data;
    return curves.map(({ name, values }) => `${name} ${format.percent(values[index] ?? null, !this._low)}`);
  }

  _tell(index) {
    const { days, format } = this._data;
    this.element.setAttribute("aria-valuenow", String(index));
    this.element.setAttribute("aria-valuetext", [format.day(days[index], true), ...this._said(index)].join(", "));
  }

  _pointAt(clientX) {
    if (!this._places) return;
    const at = clientX - this.element.getBoundingClientRect().left;
    let best = 0;
    this._places.forEach((x, index) => {
      if (Math.abs(x - at) < Math.abs(this._places[best] - at)) best = index;
    });
    this._select(best);
  }

  _key(event) {
    if (!this._places) return;
    const last = this._places.length - 1;
    const now = this._index ?? last;
    const step = Math.max(1, Math.round(last / 60));
    const to = {
      ArrowLeft: now - step,
      ArrowDown: now - step,
      ArrowRight: now + step,
      ArrowUp: now + step,
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
    if (!this._places) return;
    this._tip.hidden = index === undefined;
    this._cursor.setAttribute("visibility", index === undefined ? "hidden" : "visible");
    if (index === undefined) return;
    const { days, format } = this._data;
    const x = this._places[index];
    for (const end of ["x1", "x2"]) this._cursor.setAttribute(end, x);
    this._tip.replaceChildren(
      h("strong", {}, format.day(days[index], true)),
      ...this._said(index).map((text) => h("span", {}, text)),
    );
    const half = this._tip.offsetWidth / 2;
    this._tip.style.left = `${Math.min(this.element.clientWidth - half, Math.max(half, x))}px`;
    this._tell(index);
  }
}

// A curve without anything around it.
export function spark(values, width = 120, height = 36) {
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const at = (value, index) =>
    `${((index / (values.length - 1)) * width).toFixed(1)} ${(2 + (1 - (value - low) / span) * (height - 4)).toFixed(1)}`;
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true" },
    values.length > 1 && s("path", { d: `M${values.map(at).join("L")}`, class: "line own" }),
  );
}
