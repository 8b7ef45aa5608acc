// What a backtest came to: what speaks against it, its figures, curves, months, trades; and several beside each other.

import { h } from "./dom.js";
import { Lines } from "./lines.js";
import { monthTable } from "./performance.js";
import { because, capital } from "./wording.js";

const DAY = 864e5;
// Curves of more days are drawn from fewer of them; trades of which more are shown on a click.
const MOST = 400;
const ROWS = 50;
// Figures with their names and what they are: in %, a ratio, an amount in quote, a number, days.
const FIRST = {
  return: ["return", "share"],
  cagr: ["backtest_cagr", "share"],
  hold_return: ["backtest_hold", "share"],
  max_drawdown: ["max_drawdown", "fall"],
  hold_drawdown: ["backtest_hold_drawdown", "fall"],
  sharpe: ["sharpe", "ratio"],
  trades: ["trades", "count"],
  win_rate: ["backtest_win_rate", "part"],
  profit_factor: ["backtest_profit_factor", "ratio"],
};
const MORE = {
  value: ["backtest_value", "amount"],
  volatility: ["volatility", "part"],
  sortino: ["sortino", "ratio"],
  calmar: ["calmar", "ratio"],
  under_water: ["backtest_under_water", "days"],
  expectancy: ["backtest_expectancy", "gain"],
  sqn: ["backtest_sqn", "ratio"],
  exposure: ["backtest_exposure", "part"],
  time_invested: ["backtest_time_invested", "part"],
  turnover: ["backtest_turnover", "part"],
  fees: ["fees_paid", "amount"],
  orders: ["backtest_orders", "count"],
  best_trade: ["backtest_best_trade", "trade"],
  worst_trade: ["backtest_worst_trade", "trade"],
  best_day: ["backtest_best_day", "day"],
  worst_day: ["backtest_worst_day", "day"],
  longest_wins: ["backtest_longest_wins", "count"],
  longest_losses: ["backtest_longest_losses", "count"],
  not_placed: ["backtest_not_placed", "count"],
  open: ["backtest_open", "count"],
};
// What the best of a sweep may be chosen by, with its name.
export const CHOSEN_BY = { sharpe: "sharpe", return: "return", calmar: "calmar", sortino: "sortino" };
const COMPARED = ["return", "cagr", "hold_return", "max_drawdown", "sharpe", "trades", "win_rate", "profit_factor"];
const KINDS = ["own", "second", "third", "fourth"];
// Why a position was opened or closed: a strategy's reason in words, that of anybody else as it is told.
const why = ({ tell }, code) => capital(tell(`reason_because_${code}`) || because(code, tell) || "–");
const direction = (figure) => (figure > 0 ? "up" : figure < 0 ? "down" : "");

// A figure as text, and whether it is good or bad.
function told({ format, word }, kind, value, quote) {
  if (value === null || value === undefined) return ["–", ""];
  switch (kind) {
    case "share":
      return [format.percent(value, true, 1), direction(value)];
    case "fall":
      return [format.percent(-value), ""];
    case "part":
      return [format.percent(value), ""];
    case "ratio":
      return [format.ratio(value), ""];
    case "amount":
      return [format.amount(value, quote), ""];
    case "gain":
      return [format.amount(value, quote, true), direction(value)];
    case "days":
      return [word("backtest_days", { count: value }), ""];
    case "trade":
      return [`${value.coin} ${format.percent(value.return, true)}`, direction(value.return)];
    case "day":
      return [`${format.percent(value.return, true)} · ${format.day(value.day, true)}`, direction(value.return)];
    default:
      return [String(value), ""];
  }
}

function facts(card, table, figures, quote) {
  const rows = Object.entries(table).filter(([key]) => figures[key] !== undefined);
  return h(
    "dl",
    { class: "facts" },
    ...rows.map(([key, [name, kind]]) => {
      const [text, way] = told(card, kind, figures[key], quote);
      return h("div", { "data-figure": key }, h("dt", {}, card.word(name)), h("dd", { class: way }, text));
    }),
  );
}

// A table in a region of its own, which a narrow screen scrolls.
function table(label, heads, rows, kind = "") {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      { class: kind, "aria-label": label },
      h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...rows),
    ),
  );
}

const cell = (text, kind = "") => h("td", { class: kind }, text);
const head = (text) => h("th", { scope: "row" }, text);
const part = (title, ...content) => [h("h3", {}, title), ...content];

// Fewer days, the last one among them, and which of them a day is drawn at.
function thinned(days) {
  const every = Math.max(1, Math.ceil(days.length / MOST));
  const kept = days.filter((_, index) => index % every === 0 || index === days.length - 1);
  return { kept, at: (index) => Math.min(Math.round(index / every), kept.length - 1) };
}

const growth = (rows, name, budget) => rows.map((row) => (Number(row[name]) / budget - 1) * 100);

function legend(curves) {
  return h(
    "div",
    { class: "legend", "aria-hidden": "true" },
    ...curves.map(({ kind, name }) => h("span", {}, h("i", { class: `line ${kind}` }), name)),
  );
}

// The value beside buy and hold with every purchase and sale on it, and how far both fell.
function curves(card, result) {
  const { word, format } = card;
  const { equity, trades, open, figures } = result;
  const { kept, at } = thinned(equity);
  const days = kept.map(({ day }) => Date.parse(day) + DAY / 2);
  const first = Date.parse(equity[0].day);
  const place = (time) => at(Math.max(0, Math.floor((Date.parse(time) - first) / DAY)));
  const notes = [];
  const marks = [];
  const mark = (time, kind, text) => {
    const index = place(time);
    marks.push({ index, kind });
    notes[index] = notes[index] ? (notes[index].length < 60 ? `${notes[index]}, ${text}` : notes[index]) : text;
  };
  for (const { coin, opened, closed, entry_price: entry, exit_price: exit } of [...trades, ...open]) {
    mark(opened, "bought", `${coin} ${word("bought_at", { price: format.price(entry) })}`);
    if (closed) mark(closed, "sold", `${coin} ${word("sold_at", { price: format.price(exit) })}`);
  }
  const budget = Number(figures.budget);
  const shown = [
    { kind: "own", name: word("backtest_own_curve"), values: growth(kept, "value", budget) },
    { kind: "btc", name: word("backtest_hold"), values: growth(kept, "hold", budget) },
  ];
  const lines = new Lines();
  const falls = new Lines(true);
  lines.show({ days, curves: shown, notes, marks, format, label: word("backtest_curve") });
  const fallen = (name) => kept.map((row) => -Number(row[name]));
  falls.show({
    days,
    curves: [
      { kind: "fall", name: word("backtest_own_curve"), values: fallen("drawdown") },
      { kind: "btc", name: word("backtest_hold"), values: fallen("hold_drawdown") },
    ],
    format,
    label: word("max_drawdown"),
  });
  return [lines.element, legend(shown), h("h3", {}, word("max_drawdown")), falls.element];
}

function groups(card, title, rows, quote, name) {
  const { word, format } = card;
  const heads = [title, "trades", "backtest_win_rate", "backtest_result", "fees_paid"];
  const row = (each) =>
    h(
      "tr",
      {},
      head(name(each.name)),
      cell(each.trades),
      cell(format.percent(each.win_rate)),
      cell(format.amount(each.result, quote, true), direction(each.result)),
      cell(format.amount(each.fees, quote)),
    );
  return rows.length
    ? part(
        word(title),
        table(
          word(title),
          heads.map((key) => word(key)),
          rows.map(row),
        ),
      )
    : [];
}

// Every trade, the latest first, so many at a time.
function trades(card, result, quote) {
  const { word, format } = card;
  const all = result.trades.toReversed();
  if (!all.length) return [];
  const names = ["coin", "backtest_bought", "backtest_sold", "backtest_result", "return", "backtest_why"];
  const price = (value) => h("small", {}, format.price(value));
  const row = (each) =>
    h(
      "tr",
      {},
      head(each.coin),
      h("td", {}, format.dateTime(each.opened), price(each.entry_price)),
      h("td", {}, format.dateTime(each.closed), price(each.exit_price)),
      cell(format.amount(each.result, quote, true), direction(each.result)),
      cell(format.percent(each.return, true, 2), direction(each.return)),
      cell(why(card, each.left_for), "why"),
    );
  const label = word("backtest_trades");
  const list = table(
    label,
    names.map((name) => word(name)),
    all.slice(0, ROWS).map(row),
  );
  const body = list.querySelector("tbody");
  const more = h("button", { type: "button", class: "act" }, word("backtest_more"));
  more.hidden = all.length <= ROWS;
  more.addEventListener("click", () => {
    const from = body.childElementCount;
    body.append(...all.slice(from, from + ROWS).map(row));
    more.hidden = body.childElementCount >= all.length;
  });
  return [h("details", {}, h("summary", {}, `${label} (${all.length})`), list, more)];
}

function held(card, result, quote) {
  const { word, format } = card;
  if (!result.open.length) return [];
  const names = ["coin", "backtest_bought", "backtest_value", "backtest_result"];
  const row = (each) =>
    h(
      "tr",
      {},
      head(each.coin),
      h("td", {}, format.dateTime(each.opened), h("small", {}, format.price(each.entry_price))),
      cell(format.amount(each.value, quote)),
      cell(format.amount(each.result, quote, true), direction(each.result)),
    );
  return part(
    word("backtest_open"),
    table(
      word("backtest_open"),
      names.map((name) => word(name)),
      result.open.map(row),
    ),
  );
}

function leftOut(card, result) {
  const { word, format, tell } = card;
  const rows = result.left_out;
  if (!rows.length) return [];
  const item = ({ time, legs }) => {
    const told = legs.map(({ coin, reason }) => `${coin}: ${tell(`reason_${reason}`) || reason}`);
    return h("li", {}, h("span", {}, format.dateTime(time)), h("span", {}, told.join(", ") || "–"));
  };
  const list = h("ul", { class: "rows" }, ...rows.slice(0, ROWS).map(item));
  return [h("details", {}, h("summary", {}, `${word("backtest_not_placed")} (${rows.length})`), list)];
}

const numbers = (chosen) =>
  Object.entries(chosen)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

// Two numbers make a map, as many as there may be a list of the best.
function sweep(card, found) {
  if (!found) return [];
  const { word, format } = card;
  const { by, ranges, points, best } = found;
  const named = word(CHOSEN_BY[by] ?? by);
  const figure = (point) =>
    by === "return" ? format.percent(point.figures[by], true) : format.ratio(point.figures[by]);
  const known = points.filter((point) => point.figures[by] !== null && point.figures[by] !== undefined);
  const title = word("backtest_sweep", { count: points.length, by: named });
  const chosen = h("p", {}, word("backtest_best", { numbers: numbers(best.parameters) }));
  if (Object.keys(ranges).length !== 2) {
    const rows = known
      .toSorted((one, other) => other.figures[by] - one.figures[by])
      .slice(0, 10)
      .map((point) =>
        h(
          "tr",
          {},
          head(numbers(point.parameters)),
          cell(figure(point), direction(point.figures[by])),
          cell(format.percent(point.figures.return, true), direction(point.figures.return)),
          cell(point.figures.trades),
        ),
      );
    const heads = [word("backtest_numbers"), named, word("return"), word("trades")];
    return part(title, chosen, table(title, heads, rows));
  }
  const [[down, downs], [across, acrosses]] = Object.entries(ranges);
  const most = Math.max(1e-9, ...known.map((point) => Math.abs(point.figures[by])));
  const place = (point) => `${point.parameters[down]} ${point.parameters[across]}`;
  const at = new Map(known.map((point) => [place(point), point]));
  const square = (row, column) => {
    const point = at.get(`${row} ${column}`);
    if (!point) return cell("–");
    const value = point.figures[by];
    const heat = `--heat: ${Math.round(8 + (Math.abs(value) / most) * 50)}%`;
    const kind = `${direction(value)} ${place(point) === place(best) ? "best" : ""}`;
    return h("td", { class: kind, style: heat }, figure(point));
  };
  const rows = downs.map((row) => h("tr", {}, head(String(row)), ...acrosses.map((column) => square(row, column))));
  return part(title, chosen, table(title, [`${down} ↓ ${across} →`, ...acrosses.map(String)], rows, "map"));
}

function forward(card, steps) {
  if (!steps) return [];
  const { word, format } = card;
  const title = word("backtest_walk_forward");
  const names = ["backtest_chosen_on", "backtest_tried_until", "backtest_before", "backtest_after", "backtest_numbers"];
  const row = (step) => {
    const share = (value) =>
      cell(value === null || value === undefined ? "–" : format.percent(value, true), direction(value));
    return h(
      "tr",
      {},
      head(`${format.day(step.chosen_from, true)} – ${format.day(step.chosen_until, true)}`),
      cell(format.day(step.tried_until, true)),
      share(step.before.return),
      share(step.after.return),
      cell(numbers(step.parameters)),
    );
  };
  return part(
    title,
    table(
      title,
      names.map((name) => word(name)),
      steps.map(row),
      "steps",
    ),
  );
}

function chances(card, found) {
  if (!found) return [];
  const { word, format } = card;
  const said = {
    count: found.rounds,
    real: format.percent(found.drawdown),
    median: format.percent(found.drawdown_median),
    worst: format.percent(found.drawdown_95),
  };
  return part(word("backtest_monte_carlo"), h("p", {}, word("backtest_chances", said)));
}

// What speaks against it comes first.
export function verdictOf(run) {
  const [clean, rest] = [run.clean, run.findings.filter((text) => !run.verdict.includes(text))];
  return [
    h("p", { class: `verdict ${clean ? "clean" : ""}` }, run.verdict),
    rest.length && h("ul", { class: "quiet" }, ...rest.map((text) => h("li", {}, text))),
  ].filter(Boolean);
}

export function shown(card, run, result) {
  const { word, format } = card;
  const { figures, spec } = result;
  const { quote } = spec;
  return [
    ...verdictOf(run),
    h(
      "p",
      { class: "quiet" },
      word("backtest_span", {
        from: format.dateTime(figures.begin),
        until: format.dateTime(figures.end),
        candles: figures.candles,
      }),
    ),
    facts(card, FIRST, figures, quote),
    ...curves(card, result),
    ...(result.months.length ? part(word("by_month"), monthTable(card, result.months)) : []),
    ...groups(card, "backtest_by_coin", result.coins, quote, (name) => name),
    ...groups(card, "backtest_by_reason", result.reasons, quote, (name) => why(card, name)),
    ...held(card, result, quote),
    ...sweep(card, result.sweep),
    ...forward(card, result.walk_forward),
    ...chances(card, result.monte_carlo),
    h("details", {}, h("summary", {}, word("backtest_more_figures")), facts(card, MORE, figures, quote)),
    ...trades(card, result, quote),
    ...leftOut(card, result),
  ];
}

// Several, each a curve and a column; what speaks against each stays with it.
export function compared(card, runs, results) {
  const { word, format } = card;
  const all = [...new Set(results.flatMap(({ equity }) => equity.map(({ day }) => day)))].sort();
  const { kept } = thinned(all);
  const drawn = runs.map((run, number) => {
    const { equity, figures } = results[number];
    const by = new Map(equity.map((row) => [row.day, (Number(row.value) / Number(figures.budget) - 1) * 100]));
    return { kind: KINDS[number], name: run.name, values: kept.map((day) => by.get(day)) };
  });
  const lines = new Lines();
  const days = kept.map((day) => Date.parse(day) + DAY / 2);
  lines.show({ days, curves: drawn, format, label: word("backtest_compared") });
  const rows = COMPARED.map((key) => {
    const [name, kind] = FIRST[key];
    const cells = runs.map((_, number) => {
      const [text, way] = told(card, kind, results[number].figures[key], results[number].spec.quote);
      return cell(text, way);
    });
    return h("tr", {}, head(word(name)), ...cells);
  });
  const span = ({ figures }) => cell(`${format.day(figures.begin, true)} – ${format.day(figures.end, true)}`);
  rows.unshift(h("tr", {}, head(word("range")), ...results.map(span)));
  rows.push(h("tr", {}, head(word("backtest_against")), ...runs.map((run) => cell(run.verdict, "why"))));
  const heads = [word("backtest_figure"), ...runs.map(({ name }) => name)];
  return [lines.element, legend(drawn), table(word("backtest_compared"), heads, rows)];
}

export const MOST_COMPARED = KINDS.length;
