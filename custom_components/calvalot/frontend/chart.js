// The curve: value over time, what was paid in, and the cash flows on it. Read with a finger, a mouse or the arrow keys.

import { h, s, setText } from "./dom.js";
import { gutterOf, levelLines, niceStep, Plot, timeNames } from "./plot.js";

const TOP = 14;
const BOTTOM = 26;
const SIDE = 6;
const LINES = 4;
const FLOW_REACH = 10;
const SOON = 3 * 60e3;

// What had been paid in, as corners of a staircase.
function staircase(flows, from, to) {
  const corners = [];
  let sum = 0;
  for (const flow of flows) {
    if (flow.at > from && corners.length) corners.push([flow.at, sum]);
    sum += flow.amount;
    if (flow.at > from) corners.push([flow.at, sum]);
    else corners.splice(0, 1, [from, sum]);
  }
  return [...corners, [to, sum]];
}

export class Chart extends Plot {
  constructor() {
    super("", h("strong"), h("span"), h("em"));
  }

  // `points` as `curve` has them, `flows` oldest first, `from`/`to` the period, `withPaid` whether the paid-in line sets the scale too.
  // Returns whether that line is to be seen.
  show(data) {
    super.show(data);
    return this._paidShows;
  }

  _draw(width, height) {
    const data = this._data;
    const { points, format } = data;
    if (points.length < 2) return [];
    const { from, to } = data;
    const pairs = points.map(({ at, value }) => [at, value]);
    const paid = staircase(data.flows, from, to);
    const values = [...pairs.map(([, value]) => value), ...(data.withPaid ? paid.map(([, value]) => value) : [])];
    let low = Math.min(...values);
    let high = Math.max(...values);
    const margin = Math.max((high - low) * 0.08, (LINES * 0.01 - (high - low)) / 2, high * 0.0005);
    low -= margin;
    high += margin;
    const step = niceStep(high - low, LINES);
    const digits = step % 1 ? 2 : 0;
    const levels = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      levels.push([value, format.eur(Math.abs(value) < step / 2 ? 0 : value, false, digits)]);
    }
    this._paidShows = paid.some(([, value]) => value >= low && value <= high);
    const left = SIDE;
    const right = width - gutterOf(levels.map(([, text]) => text));
    const x = (time) => left + ((time - from) / (to - from)) * (right - left);
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    const line = (pairs) =>
      pairs.map(([time, value], index) => `${index ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const floor = height - BOTTOM;

    const grid = levelLines(levels, { left, right, width, y });
    const named = (time, unit) => format[to - from < SOON ? "seconds" : unit](time);
    const days = timeNames(from, to, { left, right, width, height, x, name: named, ends: true });

    const runs = [];
    for (const point of points) {
      if (point.cut || !runs.length) runs.push([]);
      runs.at(-1).push([point.at, point.value]);
    }
    const curve = runs.map(line).join("");
    const [lastTime, lastValue] = pairs.at(-1);
    const area = runs
      .map((run) => `${line(run)}L${x(run.at(-1)[0]).toFixed(1)} ${floor}L${x(run[0][0]).toFixed(1)} ${floor}Z`)
      .join("");
    this._flows = data.flows.filter(
      (flow) => flow.at > from && flow.at <= to && !["initial", "correction"].includes(flow.kind),
    );
    const marks = this._flows.map((flow) => {
      const { value } = points.findLast(({ at }) => at <= flow.at) ?? points[0];
      const sum = flow.amount < 0 ? "M-3 0H3" : "M-3 0H3M0 -3V3";
      return s(
        "g",
        {
          class: `flow ${flow.amount < 0 ? "out" : "in"}`,
          transform: `translate(${x(flow.at).toFixed(1)} ${y(value).toFixed(1)})`,
        },
        s("circle", { r: 7 }),
        s("path", { d: sum }),
      );
    });

    this._cursor = s(
      "g",
      { class: "cursor", visibility: "hidden" },
      s("line", { y1: TOP, y2: floor }),
      s("circle", { r: 5 }),
    );
    this._svg.replaceChildren(
      s(
        "defs",
        {},
        s(
          "linearGradient",
          { id: "fade", x1: 0, x2: 0, y1: 0, y2: 1 },
          s("stop", { offset: 0, class: "fade-top" }),
          s("stop", { offset: 1, class: "fade-end" }),
        ),
        s("clipPath", { id: "inside" }, s("rect", { x: 0, y: 0, width, height: floor })),
      ),
      s("path", { d: area, class: "area", fill: "url(#fade)" }),
      ...grid,
      ...days,
      s("path", { d: line(paid), class: "paid", "clip-path": "url(#inside)" }),
      s("path", { d: curve, class: "curve" }),
      ...marks,
      s("circle", { cx: x(lastTime), cy: y(lastValue), r: 9, class: "halo" }),
      s("circle", { cx: x(lastTime), cy: y(lastValue), r: 4, class: "now" }),
      this._cursor,
    );
    this._heights = pairs.map(([, value]) => y(value));
    this._x = x;
    return pairs.map(([time]) => x(time));
  }

  _words(index) {
    const { points, format } = this._data;
    const { at: time, value } = points[index];
    return [format.dateTime(time), format.eur(value), this._flowAt(index)];
  }

  _flowAt(index) {
    const { format, word, points } = this._data;
    const at = this._x(points[index].at);
    const flow = this._flows.find((each) => Math.abs(this._x(each.at) - at) < FLOW_REACH);
    return flow ? `${word(flow.kind)} ${format.eur(flow.amount, true)}` : "";
  }

  _point(index) {
    const [time, value, flow] = this._words(index);
    const [strong, span, em] = this._tip.children;
    this._cursor.lastChild.setAttribute("cy", this._heights[index]);
    setText(strong, value);
    setText(span, time);
    setText(em, flow);
  }
}
