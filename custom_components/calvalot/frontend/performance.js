// How the portfolio does: curves beside BTC and the source, drawdown, periods, months, and what the difference comes from.

import { CalvalotCard } from "./card.js";
import { performance } from "./data.js";
import { h, setAttribute, setText } from "./dom.js";
import { sign } from "./icons.js";
import { Lines } from "./lines.js";
import { look, RANGES } from "./look.js";

const DAY = 864e5;
const FRESH = 10 * 60e3;
// Curves of more days are drawn from fewer of them.
const MOST = 400;
const CURVES = { own: "own", btc: "btc_held", source: "source_record" };
const FACTS = ["time_weighted", "money_weighted", "btc", "first_allocation"];
const RISK = ["volatility", "sharpe", "sortino", "calmar"];
const PARTS = {
  fees: "part_fees",
  slippage: "part_slippage",
  delay: "part_delay",
  minimums: "part_minimums",
  limits: "part_limits",
  cash: "part_cash",
};
const NAMES = {
  time_weighted: "return",
  money_weighted: "money_weighted",
  btc: "btc_held",
  first_allocation: "first_kept",
};
// The return of a month (%) from which on its colour does not deepen any more.
const DEEPEST = 10;
const direction = (figure) => (figure > 0 ? "up" : figure < 0 ? "down" : "");

// One row a year; on a phone a block of twelve. Each colour stands behind its figure.
export function monthTable({ word, format }, years) {
  const names = Array.from({ length: 12 }, (_, month) => format.monthName(month));
  const cell = (value, label, kind = "") => {
    const share = value === null ? 0 : Math.min(1, Math.abs(value) / DEEPEST);
    const heat = share ? `--heat: ${Math.round(8 + share * 44)}%` : undefined;
    return h(
      "td",
      { role: "cell", class: `${direction(value)} ${kind}`, style: heat, "data-label": label },
      value === null ? "" : format.percent(value, true),
    );
  };
  const head = (text) => h("th", { scope: "col", role: "columnheader" }, text);
  return h(
    "table",
    { role: "table", class: "heat", "aria-label": word("by_month") },
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        head(h("span", { class: "hidden" }, word("whole_year"))),
        ...names.map(head),
        head(word("whole_year")),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      ...years.toReversed().map(({ year, total, months }) =>
        h(
          "tr",
          { role: "row" },
          h("th", { scope: "row", role: "rowheader" }, String(year)),
          // In the order of their numbers: a key such as "10" would come before "01".
          ...names.map((name, month) => cell(months[String(month + 1).padStart(2, "0")], name)),
          cell(total, word("whole_year"), "whole"),
        ),
      ),
    ),
  );
}

export class PerformanceCard extends CalvalotCard {
  heading = "performance";
  titled = true;

  build() {
    const { word } = this;
    this._buttons = Object.entries(RANGES).map(([range, name]) =>
      h(
        "button",
        { type: "button", "data-period": range, hidden: true, onclick: () => look.change({ range }) },
        word(name),
      ),
    );
    this._eyeSign = h("span", { style: "display: contents" });
    this._eye = h(
      "button",
      { type: "button", class: "act eye", onclick: () => look.change({ hidden: !look.hidden }) },
      this._eyeSign,
      h("span", {}, word("hide_amounts")),
    );
    this.header.append(this._eye);
    this._facts = h("dl", { class: "facts first" });
    this._lines = new Lines();
    this._falls = new Lines(true);
    this._filled = h("p", { class: "quiet" });
    this._legend = h("div", { class: "legend", "aria-hidden": "true" });
    this._parts = h("div", { class: "bars" });
    this._periods = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": word("by_period") });
    this._months = h("div", { class: "months" });
    this._risk = h("dl", { class: "facts" });
    this._empty = h("p", { class: "quiet" });
    this._all = h(
      "div",
      { class: "performance" },
      h(
        "div",
        { class: "below" },
        h("div", { class: "periods", role: "group", "aria-label": word("periods") }, ...this._buttons),
      ),
      this._facts,
      this._lines.element,
      this._legend,
      h("h3", {}, word("max_drawdown")),
      this._falls.element,
      this._filled,
      this._parts,
      h("h3", {}, word("by_period")),
      this._periods,
      h("h3", {}, word("by_month")),
      this._months,
      this._risk,
    );
    return [this._empty, this._all];
  }

  looked() {
    if (this.picture) this.update();
  }

  began() {
    return this._load();
  }

  tick() {
    if (!this._known || Date.now() - this._loaded > FRESH) this._load();
  }

  async _load() {
    const entryId = this.follower.entry_id;
    const known = await performance(this.hass, entryId).catch(() => undefined);
    if (!known || this.follower.entry_id !== entryId || !this.picture) return;
    this._known = known;
    this._loaded = Date.now();
    this.update();
  }

  // The range that was chosen, where the portfolio has lived through it.
  get _range() {
    const { periods } = this._known;
    return periods[look.range] ? look.range : "since_start";
  }

  update() {
    const { word, _known: known } = this;
    setAttribute(this._eye, "aria-pressed", String(look.hidden));
    this._eyeSign.replaceChildren(sign(look.hidden ? "hidden_eye" : "eye"));
    const there = Boolean(known?.periods.since_start);
    this._all.hidden = !there;
    setText(this._empty, known && !there ? word("no_performance") : "");
    if (!there) return;
    for (const button of this._buttons) {
      button.hidden = !known.periods[button.dataset.period];
      setAttribute(button, "aria-pressed", String(button.dataset.period === this._range));
    }
    this._drawCurves();
    this._drawFacts();
    this._drawParts();
    this._drawPeriods();
    this._drawMonths();
    this._drawRisk();
  }

  _drawCurves() {
    const { word, format, _known: known } = this;
    const { since } = known.periods[this._range];
    const all = known.days.filter(({ day, value }) => day >= since && (Number(value) > 0 || day === since));
    const every = Math.ceil(all.length / MOST);
    const rows = all.filter((_, index) => index % every === 0 || index === all.length - 1);
    const days = rows.map(({ day }) => Date.parse(day) + DAY / 2);
    const column = { own: "index", btc: "btc", source: "source" };
    const curves = Object.entries(CURVES)
      .map(([kind, name]) => {
        const figures = rows.map((row) => (row[column[kind]] === null ? undefined : Number(row[column[kind]])));
        const first = figures.find((figure) => figure > 0);
        return {
          kind,
          name: word(name),
          values: figures.map((figure) => (figure === undefined || !first ? undefined : (figure / first - 1) * 100)),
        };
      })
      .filter(({ values }) => values.filter((value) => value !== undefined).length > 1);
    const period = word(RANGES[this._range]);
    const notes = rows.map(({ filled }) => filled && word("day_filled"));
    this._lines.show({ days, curves, notes, format, label: word("curves_of", { period }) });
    const filled = all.filter((row) => row.filled).length;
    setText(this._filled, filled ? word("days_filled", { count: filled }) : "");
    this._filled.hidden = !filled;
    this._legend.replaceChildren(
      ...curves.map(({ kind, name }) => h("span", {}, h("i", { class: `line ${kind}` }), name)),
    );
    let peak = 0;
    const under = new Map(
      known.days.map(({ day, index }) => {
        peak = Math.max(peak, Number(index));
        return [day, peak ? (Number(index) / peak - 1) * 100 : 0];
      }),
    );
    const values = rows.map(({ day }) => under.get(day));
    this._falls.show({
      days,
      curves: [{ kind: "fall", name: word("max_drawdown"), values }],
      notes,
      format,
      label: word("falls_of", { period }),
    });
  }

  _drawFacts() {
    const { word, format, picture, _known: known } = this;
    const found = known.periods[this._range];
    const row = (name, text, way = "") => h("div", {}, h("dt", {}, name), h("dd", { class: way }, text));
    this._facts.replaceChildren(
      row(word("value"), format.eur(picture.total_value)),
      ...FACTS.map((key) => row(word(NAMES[key]), format.percent(found[key], true, 2), direction(found[key]))),
      ...(found.annualised === null ? [] : [row(word("a_year"), format.percent(found.annualised, true, 2))]),
    );
  }

  // Bars from the middle, red to the left: what the distance to the source, and each source, came to.
  _drawParts() {
    const { word, format, _known: known } = this;
    const distance = known.distance?.periods[this._range];
    const sources = known.by_source.sources;
    const bars = (rows) => {
      const most = Math.max(0.01, ...rows.map(([, value]) => Math.abs(value)));
      return h(
        "dl",
        { class: "bars-of" },
        ...rows.map(([name, value]) => {
          const width = (Math.abs(value) / most) * 50;
          const bar = h("i", {
            class: direction(value),
            style: `width: ${width}%; ${value < 0 ? "right" : "left"}: 50%`,
          });
          return h(
            "div",
            {},
            h("dt", {}, name),
            h("dd", {}, h("span", { class: "track", "aria-hidden": "true" }, bar), format.percent(value, true, 2)),
          );
        }),
      );
    };
    const parts = [];
    if (distance) {
      const { own, source, difference } = distance;
      const facts = { own: format.percent(own, true, 2), source: format.percent(source, true, 2) };
      parts.push(
        h("h3", {}, word("distance")),
        h("p", { class: "quiet" }, word("distance_of", { ...facts, difference: format.percent(difference, true, 2) })),
        bars(Object.entries(PARTS).map(([part, name]) => [word(name), Number(distance.parts[part])])),
      );
    }
    if (sources.length > 1 && known.by_source.since) {
      const { cash, costs, other, since } = known.by_source;
      const rest = { bar_cash: cash, bar_costs: costs, bar_other: other };
      parts.push(
        h("h3", {}, word("by_source", { day: format.day(since, true) })),
        bars([
          ...sources.map((each) => [each.name ?? this.tell(`setup_${each.kind}`), Number(each.contribution)]),
          ...Object.entries(rest).map(([name, value]) => [word(name), Number(value)]),
        ]),
      );
    }
    this._parts.replaceChildren(...parts);
  }

  _drawPeriods() {
    const { word, format, _known: known } = this;
    const rows = Object.entries(RANGES).filter(([range]) => known.periods[range]);
    const cell = (value) => h("td", { class: direction(value) }, format.percent(value, true, 2));
    this._periods.replaceChildren(
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ...["range", ...FACTS.map((key) => NAMES[key])].map((name) => h("th", { scope: "col" }, word(name))),
          ),
        ),
        h(
          "tbody",
          {},
          ...rows.map(([range, name]) =>
            h(
              "tr",
              { class: range === this._range ? "chosen" : "" },
              h("th", { scope: "row" }, word(name)),
              ...FACTS.map((key) => cell(known.periods[range][key])),
            ),
          ),
        ),
      ),
    );
  }

  _drawMonths() {
    this._months.replaceChildren(monthTable(this, this._known.months));
  }

  _drawRisk() {
    const { word, format, _known: known } = this;
    const { risk } = known;
    const told = RISK.filter((name) => risk?.[name] !== null && risk?.[name] !== undefined);
    const text = (name) => (name === "volatility" ? format.percent(risk[name]) : format.ratio(risk[name]));
    this._risk.hidden = !told.length;
    this._risk.replaceChildren(
      ...told.map((name) => h("div", {}, h("dt", {}, word(name)), h("dd", {}, text(name)))),
      ...(told.length && risk.risk_class
        ? [h("div", {}, h("dt", {}, word("risk_class")), h("dd", {}, `${risk.risk_class} / 7`))]
        : []),
    );
  }

  gone() {
    this._known = undefined;
  }
}
