// The curve: value over time, what was paid in, and the cash flows on it. Read with a finger, a mouse or the arrow keys.

import { h, s, setText } from "./dom.js";

const TOP = 14;
const BOTTOM = 26;
const SIDE = 6;
const CHARACTER = 6.4;
const LINES = 4;
const FLOW_REACH = 10;
const MINUTE = 60e3;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SOON = 3 * MINUTE;
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
export function timeTicks(from, to, count) {
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

export class Chart {
  constructor() {
    this._svg = s("svg", { "aria-hidden": "true" });
    this._tip = h("div", { class: "tip", hidden: true }, h("strong"), h("span"), h("em"));
    this.element = h(
      "div",
      { class: "chart", tabindex: "0", role: "slider", "aria-valuemin": "0" },
      this._svg,
      this._tip,
    );
    this.element.addEventListener("pointermove", (event) => this._pointAt(event.clientX));
    this.element.addEventListener("pointerdown", (event) => this._pointAt(event.clientX));
    this.element.addEventListener("pointerleave", () => this._select(undefined));
    this.element.addEventListener("blur", () => this._select(undefined));
    this.element.addEventListener("keydown", (event) => this._key(event));
    this._observer = new ResizeObserver(() => this.draw());
    this._observer.observe(this.element);
  }

  // `points` as `curve` has them, `flows` oldest first, `from`/`to` the period, `withPaid` whether the paid-in line sets the scale too.
  // Returns whether that line is to be seen.
  show(data) {
    this._data = data;
    this.draw();
    return this._paidShows;
  }

  draw() {
    const data = this._data;
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (!data || !width || !height) return;
    const { points, format } = data;
    this._svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this._tip.hidden = true;
    if (points.length < 2) {
      this._svg.replaceChildren();
      this._places = [];
      return;
    }
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
    const gutter = Math.max(...levels.map(([, text]) => text.length)) * CHARACTER + 10;
    const left = SIDE;
    const right = width - gutter;
    const x = (time) => left + ((time - from) / (to - from)) * (right - left);
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    const line = (pairs) =>
      pairs.map(([time, value], index) => `${index ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const floor = height - BOTTOM;

    const grid = levels.flatMap(([value, text]) => [
      s("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: "grid" }),
      s("text", { x: width, y: y(value) + 4, class: "label right" }, text),
    ]);
    const { ticks, unit } = timeTicks(from, to, Math.max(2, Math.floor(width / 90)));
    const label = (at, time, place) =>
      s(
        "text",
        { x: at, y: height - 8, class: `label time ${place}` },
        format[to - from < SOON ? "seconds" : unit](time),
      );
    let days = ticks
      .filter((time) => x(time) >= left + 16 && x(time) <= right - 16)
      .map((time) => label(x(time), time, "middle"));
    if (days.length < 2) days = [label(left, from, ""), label(right, to, "right")];

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
    this._places = pairs.map(([time, value]) => [x(time), y(value)]);
    this._x = x;
    const { element } = this;
    element.setAttribute("aria-valuemax", String(points.length - 1));
    if (this._index === undefined || this._index >= points.length) this._tell(points.length - 1);
    else this._select(this._index);
  }

  _tell(index) {
    const { points, format } = this._data;
    const { at: time, value } = points[index];
    this.element.setAttribute("aria-valuenow", String(index));
    const flow = this._flowAt(index);
    this.element.setAttribute(
      "aria-valuetext",
      [format.dateTime(time), format.eur(value), flow].filter(Boolean).join(", "),
    );
  }

  _flowAt(index) {
    const { format, word } = this._data;
    const flow = this._flows.find((each) => Math.abs(this._x(each.at) - this._places[index][0]) < FLOW_REACH);
    return flow ? `${word(flow.kind)} ${format.eur(flow.amount, true)}` : "";
  }

  _pointAt(clientX) {
    if (!this._places?.length) return;
    const at = clientX - this.element.getBoundingClientRect().left;
    let best = 0;
    this._places.forEach(([x], index) => {
      if (Math.abs(x - at) < Math.abs(this._places[best][0] - at)) best = index;
    });
    this._select(best);
  }

  _key(event) {
    if (!this._places?.length) return;
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
    if (!this._places?.length) return;
    this._tip.hidden = index === undefined;
    this._cursor.setAttribute("visibility", index === undefined ? "hidden" : "visible");
    if (index === undefined) return;
    const { points, format } = this._data;
    const [x, y] = this._places[index];
    const { at: time, value } = points[index];
    this._cursor.setAttribute("transform", `translate(${x} 0)`);
    this._cursor.lastChild.setAttribute("cy", y);
    const [strong, span, em] = this._tip.children;
    setText(strong, format.eur(value));
    setText(span, format.dateTime(time));
    setText(em, this._flowAt(index));
    const width = this.element.clientWidth;
    const half = this._tip.offsetWidth / 2;
    this._tip.style.left = `${Math.min(width - half, Math.max(half, x))}px`;
    this._tell(index);
  }
}
