// Candles as a drawing that is read with a finger, a mouse or the arrow keys: hollow where the price rose, filled where it
// fell, own trades and signals as marks.

import { timeTicks } from "./chart.js";
import { h, s, setText } from "./dom.js";

const TOP = 16;
const BOTTOM = 28;
const CHARACTER = 6.4;
const LINES = 4;
const NARROWEST = 7;
const MARK = 5;

function step(span) {
  const power = 10 ** Math.floor(Math.log10(span / LINES));
  return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= (span / LINES) * 0.999);
}

export class Candles {
  constructor() {
    this._svg = s("svg", { "aria-hidden": "true" });
    this._tip = h("div", { class: "tip", hidden: true }, h("strong"), h("span"), h("em"));
    this.element = h(
      "div",
      { class: "chart candles", tabindex: "0", role: "slider", "aria-valuemin": "0" },
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

  // `rows` oldest first: { at, open, high, low, close, unfinished }, `length` of one in ms, `trades` and `signals` with `at`.
  show(data) {
    this._data = data;
    this.draw();
  }

  draw() {
    const data = this._data;
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (!data || !width || !height) return;
    const { format, length } = data;
    this._svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (!data.rows.length) {
      this._svg.replaceChildren();
      this._shown = [];
      return;
    }
    const gutterOf = (value) => format.price(value).length * CHARACTER + 12;
    const gutter = Math.max(gutterOf(data.rows.at(-1).high), gutterOf(data.rows.at(-1).low));
    const rows = data.rows.slice(-Math.max(2, Math.floor((width - gutter) / NARROWEST)));
    const from = rows[0].at;
    const to = rows.at(-1).at + length;
    const inside = (list) => list.filter(({ at }) => at >= from && at < to);
    const trades = inside(data.trades);
    let low = Math.min(...rows.map((row) => row.low), ...trades.map((trade) => trade.price));
    let high = Math.max(...rows.map((row) => row.high), ...trades.map((trade) => trade.price));
    const margin = (high - low) * 0.12 || high * 0.001;
    low -= margin;
    high += margin;
    const right = width - gutter;
    const x = (time) => ((time - from) / (to - from)) * right;
    const y = (value) => TOP + ((high - value) / (high - low)) * (height - TOP - BOTTOM);
    const each = step(high - low);
    const levels = [];
    for (let value = Math.ceil(low / each) * each; value <= high; value += each) levels.push(value);
    const { ticks } = timeTicks(from, to, Math.max(2, Math.floor(width / 90)));
    const day = length >= 864e5 || to - from > 3 * 864e5;
    const body = Math.max(2, (x(from + length) - x(from)) * 0.64);
    const drawn = rows.map((row) => {
      const middle = x(row.at + length / 2);
      const [upper, lower] = [Math.max(row.open, row.close), Math.min(row.open, row.close)];
      return s(
        "g",
        { class: `candle ${row.close >= row.open ? "rising" : "falling"} ${row.unfinished ? "unfinished" : ""}` },
        s("line", { x1: middle, x2: middle, y1: y(row.high), y2: y(row.low) }),
        s("rect", {
          x: (middle - body / 2).toFixed(1),
          y: y(upper).toFixed(1),
          width: body.toFixed(1),
          height: Math.max(1, y(lower) - y(upper)).toFixed(1),
        }),
      );
    });
    const marks = trades.map(({ at, side, price }) => {
      const way = side === "BUY" ? 1 : -1;
      const place = `translate(${x(at).toFixed(1)} ${(y(price) + way * 3).toFixed(1)})`;
      const shape = `M0 0L${MARK} ${way * MARK * 1.7}H${-MARK}Z`;
      return s("path", { class: `own ${way > 0 ? "buy" : "sell"}`, transform: place, d: shape });
    });
    const told = inside(data.signals).map(({ at }) =>
      s("circle", { class: "own signal", cx: x(at).toFixed(1), cy: height - BOTTOM, r: 4 }),
    );
    this._cursor = s("line", { class: "grid", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    this._svg.replaceChildren(
      ...levels.flatMap((value) => [
        s("line", { x1: 0, x2: right, y1: y(value), y2: y(value), class: "grid" }),
        s("text", { x: width, y: y(value) + 4, class: "label right" }, format.price(value)),
      ]),
      ...ticks
        .filter((time) => x(time) >= 16 && x(time) <= right - 16)
        .map((time) =>
          s("text", { x: x(time), y: height - 8, class: "label middle" }, day ? format.day(time) : format.time(time)),
        ),
      this._cursor,
      ...drawn,
      ...marks,
      ...told,
    );
    this._shown = rows;
    this._x = (row) => x(row.at + length / 2);
    this.element.setAttribute("aria-valuemax", String(rows.length - 1));
    this.element.setAttribute(
      "aria-label",
      data.word("candles_of", {
        coin: data.coin,
        frame: data.frame,
        from: format.dateTime(from),
        to: format.dateTime(to),
      }),
    );
    if (this._index === undefined || this._index >= rows.length) this._tell(rows.length - 1);
    else this._select(this._index);
  }

  // What the candle was, and what happened in it: [values, marks].
  _words(row) {
    const { format, word, length, trades, signals } = this._data;
    const during = ({ at }) => at >= row.at && at < row.at + length;
    const names = ["open", "high", "low", "close"];
    const values = word("candle_values", Object.fromEntries(names.map((name) => [name, format.price(row[name])])));
    const own = [
      ...trades
        .filter(during)
        .map(({ side, price }) => [side === "BUY" ? "bought_at" : "sold_at", { price: format.price(price) }])
        .map(([what, values]) => word(what, values)),
      ...(signals.some(during) ? [word("signal_there")] : []),
      ...(row.unfinished ? [word("candle_unfinished")] : []),
    ];
    return [values, own.join(", ")];
  }

  _tell(index) {
    const row = this._shown[index];
    this.element.setAttribute("aria-valuenow", String(index));
    const told = [this._data.format.dateTime(row.at), ...this._words(row)].filter(Boolean);
    this.element.setAttribute("aria-valuetext", told.join(", "));
  }

  _pointAt(clientX) {
    if (!this._shown?.length) return;
    const at = clientX - this.element.getBoundingClientRect().left;
    const distance = (index) => Math.abs(this._x(this._shown[index]) - at);
    this._select(this._shown.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0));
  }

  _key(event) {
    if (!this._shown?.length) return;
    const last = this._shown.length - 1;
    const now = this._index ?? last;
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last }[
      event.key
    ];
    if (event.key === "Escape") this._select(undefined);
    if (to === undefined) return;
    event.preventDefault();
    this._select(Math.min(last, Math.max(0, to)));
  }

  _select(index) {
    this._index = index;
    if (!this._shown?.length) return;
    this._tip.hidden = index === undefined;
    this._cursor.setAttribute("visibility", index === undefined ? "hidden" : "visible");
    if (index === undefined) return;
    const row = this._shown[index];
    const x = this._x(row);
    this._cursor.setAttribute("transform", `translate(${x} 0)`);
    const [strong, span, em] = this._tip.children;
    const [values, own] = this._words(row);
    setText(strong, this._data.format.dateTime(row.at));
    setText(span, values);
    setText(em, own);
    const width = this.element.clientWidth;
    const half = this._tip.offsetWidth / 2;
    this._tip.style.left = `${Math.min(width - half, Math.max(half, x))}px`;
    this._tell(index);
  }
}
