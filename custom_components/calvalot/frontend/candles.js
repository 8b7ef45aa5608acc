// Candles as a drawing that is read with a finger, a mouse or the arrow keys: hollow where the price rose, filled where it
// fell, own trades and signals as marks.

import { h, s, setText } from "./dom.js";
import { CHARACTER, levelLines, Plot, timeNames } from "./plot.js";

const TOP = 16;
const BOTTOM = 28;
const LINES = 4;
const NARROWEST = 7;
const MARK = 5;

function step(span) {
  const power = 10 ** Math.floor(Math.log10(span / LINES));
  return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= (span / LINES) * 0.999);
}

export class Candles extends Plot {
  constructor() {
    super("candles", h("strong"), h("span"), h("em"));
  }

  // From one candle to the next.
  get _stride() {
    return 1;
  }

  // `rows` oldest first: { at, open, high, low, close, unfinished }, `length` of one in ms, `trades` and `signals` with `at`.
  _draw(width, height) {
    const data = this._data;
    const { format, length } = data;
    if (!data.rows.length) return [];
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
    for (let value = Math.ceil(low / each) * each; value <= high; value += each) {
      levels.push([value, format.price(value)]);
    }
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
      ...levelLines(levels, { left: 0, right, width, y }),
      ...timeNames(from, to, {
        ...{ left: 0, right, width, height, x },
        name: (time) => (day ? format.day(time) : format.time(time)),
      }),
      this._cursor,
      ...drawn,
      ...marks,
      ...told,
    );
    this._shown = rows;
    this.element.setAttribute(
      "aria-label",
      data.word("candles_of", {
        coin: data.coin,
        frame: data.frame,
        from: format.dateTime(from),
        to: format.dateTime(to),
      }),
    );
    return rows.map((row) => x(row.at + length / 2));
  }

  // When the candle began, what it was, and what happened in it.
  _words(index) {
    const row = this._shown[index];
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
    return [format.dateTime(row.at), values, own.join(", ")];
  }

  _point(index) {
    const told = this._words(index);
    [...this._tip.children].forEach((part, number) => {
      setText(part, told[number]);
    });
  }
}
