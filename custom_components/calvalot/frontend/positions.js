// What the portfolio holds, coin by coin, against what it aims at.

import { CalvalotCard } from "./card.js";
import { h, setAttribute, setText } from "./dom.js";
import { EURO } from "./format.js";
import { coin, sign } from "./icons.js";
import { writeOff } from "./money.js";

const SORTS = ["coin", "price", "value", "weight", "profit"];
const DEFAULT_SORT = "value";
const KEYS = {
  coin: (row) => row.coin,
  price: (row) => Number(row.price),
  value: (row) => Number(row.value),
  weight: (row) => row.weight ?? 0,
  profit: (row) => Number(row.profit_loss),
};
// What the quote assets stand for.
const SYMBOLS = { EUR: "€", EURI: "€", USDC: "$", USDT: "$", FDUSD: "$", USD1: "$", TUSD: "$" };
const COLOURS = {
  BTC: "#f7931a",
  ETH: "#627eea",
  BNB: "#d9a400",
  SOL: "#7a3cf0",
  XRP: "#3d6b9c",
  DOGE: "#ba9f33",
  ADA: "#0d4cc4",
};

const priceDay = (format, { price_day: day }) => format.day(`${day}T12:00Z`, true);

export class PositionsCard extends CalvalotCard {
  heading = "positions";

  static getConfigForm() {
    return super.getConfigForm((word) => [
      {
        name: "sort",
        selector: { select: { mode: "dropdown", options: SORTS.map((value) => ({ value, label: word(value) })) } },
      },
    ]);
  }

  setConfig(config) {
    if (config.sort && !SORTS.includes(config.sort)) throw new Error(`sort must be one of ${SORTS.join(", ")}`);
    if (config.sort !== this.config?.sort || !this._sort) {
      this._sort = config.sort ?? DEFAULT_SORT;
      this._rising = this._sort === "coin";
    }
    super.setConfig(config);
  }

  build() {
    this._rows = new Map();
    this._heads = new Map();
    const head = (name, wide = false) => {
      const th = h(
        "th",
        { scope: "col", role: "columnheader", class: wide ? "wide-only" : `head-${name}` },
        h(
          "button",
          { type: "button", "data-sort": name, onclick: () => this._sortBy(name) },
          this.word(name === "profit" ? "unrealised" : name),
          sign("fall"),
        ),
      );
      this._heads.set(name, th);
      return th;
    };
    // The roles are spelled out: laid out as a grid on a narrow card, the elements would lose their own.
    this._body = h("tbody", { role: "rowgroup" });
    this._foot = h("tfoot", { role: "rowgroup" });
    this._table = h(
      "table",
      { role: "table", class: "coins" },
      h("caption", { class: "hidden" }, this.word("positions")),
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          head("coin"),
          h("th", { scope: "col", role: "columnheader", class: "wide-only" }, this.word("entry_price")),
          head("price", true),
          head("value"),
          head("weight"),
          head("profit"),
        ),
      ),
      this._body,
      this._foot,
    );
    this._cash = this._row("cash", h("span", { class: "coin-cash", "aria-hidden": "true" }), this.word("cash"));
    this._sum = this._row("total_value_quote", undefined, this.word("total"), "profit_loss");
    this._sum.prices.className = "";
    this._foot.append(this._sum.element);
    this._none = h("p", { class: "quiet" }, this.word("no_positions"));
    this._aside = h("div", { class: "set-aside" });
    this._apart = h("div", { class: "set-aside apart" });
    return [this._table, this._none, this._aside, this._apart];
  }

  // `key` and `gain` are the entities that a tap on value and profit opens.
  _row(key, icon, name, gain) {
    const cells = {
      quantity: h("small"),
      entry: h("td", { role: "cell", class: "wide-only" }),
      price: h("td", { role: "cell", class: "wide-only" }),
      value: this.figure(key),
      prices: h("small", { class: "narrow-only" }),
      weight: h("span"),
      target: h("span", { class: "quiet" }),
      fill: h("i"),
      tick: h("u"),
      words: h("span", { class: "hidden" }),
      profit: gain ? this.figure(gain) : h("span"),
      percent: h("small"),
    };
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, cells.fill, cells.tick);
    const element = h(
      "tr",
      { role: "row" },
      h("td", { role: "cell" }, h("div", { class: "name" }, icon, h("div", {}, h("b", {}, name), cells.quantity))),
      cells.entry,
      cells.price,
      h("td", { role: "cell" }, cells.value, cells.prices),
      h(
        "td",
        { role: "cell", class: "weight" },
        h("span", { class: "weights", "aria-hidden": "true" }, cells.weight, cells.target),
        bar,
        cells.words,
      ),
      h("td", { role: "cell" }, cells.profit, cells.percent),
    );
    return { ...cells, bar, element };
  }

  _sortBy(name) {
    this._rising = this._sort === name ? !this._rising : name === "coin";
    this._sort = name;
    this.update();
  }

  update() {
    const { format, picture, word } = this;
    const { positions, quote } = picture;
    const key = KEYS[this._sort];
    const order = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (this._rising ? 1 : -1);
    const sorted = [...positions].sort(order);
    for (const [name, th] of this._heads) {
      setAttribute(th, "aria-sort", name === this._sort ? (this._rising ? "ascending" : "descending") : "none");
      th.querySelector(".sign").style.transform = this._rising ? "rotate(180deg)" : "";
    }
    const coins = new Set(sorted.map((row) => row.coin));
    for (const code of this._rows.keys()) if (!coins.has(code)) this._rows.delete(code);
    const total = Number(picture.total_value_quote);
    const share = (value) =>
      picture.total_value_quote === null || value === null || !total ? null : Number(value) / total;
    const targets = positions
      .filter((row) => !row.frozen || row.target_weight !== null)
      .map((row) => row.target_weight);
    const target =
      targets.length && targets.every((each) => each !== null)
        ? Math.max(0, 1 - targets.reduce((sum, each) => sum + each, 0))
        : null;
    const cash = share(picture.cash);
    // One scale for all bars of the table.
    const largest = Math.max(
      0.01,
      cash ?? 0,
      target ?? 0,
      ...sorted.map((row) => Math.max(row.weight ?? 0, row.target_weight ?? 0)),
    );
    for (const row of sorted) {
      if (!this._rows.has(row.coin))
        this._rows.set(
          row.coin,
          this._row(
            `${row.coin.toLowerCase()}_value`,
            coin(row.coin),
            row.coin,
            `${row.coin.toLowerCase()}_profit_loss`,
          ),
        );
      this._fill(this._rows.get(row.coin), row, largest);
    }
    const wanted = [...sorted.map((row) => this._rows.get(row.coin).element), this._cash.element];
    if (
      wanted.length !== this._body.children.length ||
      wanted.some((element, index) => this._body.children[index] !== element)
    ) {
      const focused = this.shadowRoot.activeElement;
      this._body.replaceChildren(...wanted);
      focused?.focus();
    }

    setText(this._cash.quantity, quote);
    setText(this._cash.element.querySelector(".coin-cash"), SYMBOLS[quote] ?? quote.slice(0, 1));
    setText(this._cash.value, format.amount(picture.cash));
    this._weigh(this._cash, cash, target, largest);
    const profits = positions.map((row) => row.profit_loss);
    const profit = profits.some((each) => each === null) ? null : profits.reduce((sum, each) => sum + Number(each), 0);
    setText(this._sum.quantity, quote);
    setText(this._sum.value, format.amount(picture.total_value_quote));
    setText(this._sum.prices, quote === EURO ? "" : format.eur(picture.total_value));
    this._sum.bar.style.display = "none";
    setText(this._sum.weight, format.percent(picture.total_value_quote === null ? null : 100, false, 0));
    setText(this._sum.words, this._sum.weight.textContent);
    this._gain(this._sum, profit, null);
    setText(this._sum.percent, picture.profit && quote !== EURO ? format.eur(picture.profit.unrealised, true) : "");
    this._sum.percent.className = this._sum.profit.className.replace("figure", "").trim();
    this._none.hidden = positions.length > 0;
    this._tellAside(positions.filter((row) => row.set_aside));
    this._tellApart(picture.apart ?? []);
    setAttribute(this._table, "aria-label", word("positions"));
  }

  // Coins that are not listed any more: what they count at, and for administrators the way to write them off.
  _tellAside(rows) {
    const { word, format } = this;
    const told = JSON.stringify(rows.map((row) => [row.coin, row.price_day]));
    if (this._toldAside === told && this._aside.childElementCount === rows.length) return;
    this._toldAside = told;
    const button = (code) =>
      this.hass.user?.is_admin &&
      h(
        "button",
        { type: "button", class: "act", "data-write-off": code, onclick: () => writeOff(this, code) },
        word("write_off"),
      );
    const line = (row) =>
      h("p", {}, h("span", {}, word("set_aside", { coin: row.coin, day: priceDay(format, row) })), button(row.coin));
    this._aside.replaceChildren(...rows.map(line));
  }

  // What a whole wallet holds that is in no book: it has no pair or no price.
  _tellApart(rows) {
    const told = JSON.stringify(rows);
    if (this._toldApart === told) return;
    this._toldApart = told;
    const line = ({ asset, quantity, earning }) =>
      h(
        "p",
        { "data-apart": asset },
        h(
          "span",
          {},
          this.word(earning ? "earning" : "not_counted", {
            asset,
            coin: earning ?? "",
            quantity: this.format.quantity(quantity),
          }),
        ),
      );
    this._apart.replaceChildren(...rows.map(line));
  }

  _fill(row, position, largest) {
    const { format, word } = this;
    const locked = Number(position.locked) > 0 && word("in_orders", { quantity: format.quantity(position.locked) });
    row.element.classList.toggle("aside", position.set_aside);
    setText(row.entry, format.price(position.entry_price));
    setText(row.price, format.price(position.price));
    setText(row.value, format.amount(position.value));
    setText(row.prices, `${format.price(position.entry_price, true)} → ${format.price(position.price, true)}`);
    setText(
      row.quantity,
      [
        format.quantity(position.quantity),
        position.set_aside && priceDay(format, position),
        position.frozen && word("frozen"),
        locked,
      ]
        .filter(Boolean)
        .join(" · "),
    );
    row.fill.style.setProperty("--bar", COLOURS[position.coin] ?? "var(--line)");
    this._weigh(row, position.weight, position.target_weight, largest);
    const cost = Number(position.quantity) * Number(position.entry_price);
    this._gain(
      row,
      position.profit_loss,
      cost && position.profit_loss !== null ? (Number(position.profit_loss) / cost) * 100 : null,
    );
  }

  _weigh(row, weight, target, largest) {
    const { format, word } = this;
    const percent = (share) => format.percent(share === null ? null : share * 100);
    const scale = (share) => `${Math.min(100, ((share ?? 0) / largest) * 100)}%`;
    setText(row.weight, percent(weight));
    setText(row.target, target === null ? "" : `/ ${percent(target)}`);
    row.fill.style.width = scale(weight);
    row.tick.style.left = scale(target);
    row.tick.style.display = target === null ? "none" : "";
    setText(
      row.words,
      word(target === null ? "no_target" : "target_is", { weight: percent(weight), target: percent(target) }),
    );
  }

  _gain(row, profit, percent) {
    const { format } = this;
    const cents = profit === null ? 0 : Math.round(Number(profit) * 100);
    const direction = cents > 0 ? "up" : cents < 0 ? "down" : "";
    setText(row.profit, format.amount(profit, "", true));
    row.profit.className = row.profit.localName === "button" ? `figure ${direction}` : direction;
    setText(row.percent, percent === null ? "" : format.percent(percent, true));
    row.percent.className = direction;
  }
}
