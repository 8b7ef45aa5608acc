// Several curves in one picture, in %: returns beside each other, or how far something fell. Read like the curve of the value.

import { h, s } from "./dom.js";
import { gutterOf, levelLines, niceStep, Plot, timeNames } from "./plot.js";

const TOP = 10;
const BOTTOM = 24;
const SIDE = 6;

export class Lines extends Plot {
  // `low` has the picture hang from 0 at its top.
  constructor(low = false) {
    super(low ? "lines low" : "lines");
    this._low = low;
  }

  // `days` in ms; `curves` are { name, kind, values in % or undefined, one for each day }; `notes` what is to be said of a day;
  // `label` says what it is; `marks` are { index, kind } on the first curve.
  show(data) {
    this._index = undefined;
    this.element.setAttribute("aria-label", data.label);
    super.show(data);
  }

  _draw(width, height) {
    const { days, curves, format, marks = [] } = this._data;
    if (days.length < 2) return [];
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
    const right = width - gutterOf(levels.map(([, text]) => text));
    const [from, to] = [days[0], days.at(-1)];
    const x = (time) => SIDE + ((time - from) / (to - from)) * (right - SIDE);
    // What is all of one day stands side by side in its order, without a time below it.
    const places =
      to > from ? days.map(x) : days.map((_, index) => SIDE + (index / (days.length - 1)) * (right - SIDE));
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    const kind = (value) => (Math.abs(value) < step / 2 ? "zero" : "grid");
    const grid = levelLines(levels, { left: SIDE, right, width, y, kind });
    const name = (time, unit) => format[unit](time);
    const names = to > from ? timeNames(from, to, { left: SIDE, right, width, height, x, name }) : [];
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
      ...marks.map(({ index, kind }) =>
        s("circle", {
          cx: places[index],
          cy: y(curves[0].values[index]),
          r: marks.length > 80 ? 2.5 : 4,
          class: `traded ${kind}`,
        }),
      ),
      // The own curve is drawn last, above the others.
      ...[...curves].reverse().map((each) => s("path", { d: path(each), class: `line ${each.kind}` })),
      this._cursor,
    );
    return places;
  }

  _words(index) {
    const { days, curves, notes, format } = this._data;
    const told = curves.map(({ name, values }) => `${name} ${format.percent(values[index] ?? null, !this._low)}`);
    return [format.day(days[index], true), ...told, notes?.[index]];
  }

  _point(index) {
    const [day, ...told] = this._words(index).filter(Boolean);
    this._tip.replaceChildren(h("strong", {}, day), ...told.map((text) => h("span", {}, text)));
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
