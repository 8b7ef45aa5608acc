// Orders by hand, seen before they are sent; open ones, positions to close and to protect.

import { CalvalotCard } from "./card.js";
import { act, answer } from "./data.js";
import { Dialog, sure } from "./dialog.js";
import { h, setText } from "./dom.js";
import { EURO } from "./format.js";
import { coin } from "./icons.js";
import { refusal } from "./wording.js";

const FEE = 0.001;
// Where the sliders of take profit and stop loss end, in %; more can be typed.
const MOST = 30;
const verb = ({ side }) => side.toLowerCase();

export class TradeCard extends CalvalotCard {
  heading = "trade";

  build() {
    const { word } = this;
    const number = (name, onInput, label = name) => {
      const input = h("input", { type: "number", name, min: "0", step: "any", inputmode: "decimal", oninput: onInput });
      return [input, h("label", {}, h("span", {}, word(label)), input)];
    };
    const choice = (name, options, labels = options) => {
      const select = h("select", { name, onchange: () => this._tell() });
      select.append(...options.map((value, index) => h("option", { value }, word(labels[index]))));
      return [select, h("label", {}, h("span", {}, word(name)), select)];
    };
    const [side, sideField] = choice("side", ["buy", "sell"]);
    const [type, typeField] = choice("order_type", ["market", "limit"], ["at_market", "at_limit"]);
    const [code, codeField] = choice("coin", []);
    const [limit, limitField] = number("limit_price", () => this._tell());
    const [amount, amountField] = number("amount", () => this._sized("amount"));
    const [quantity, quantityField] = number("quantity", () => this._sized("quantity"));
    // A distance in %, typed or slid to.
    const distance = (name) => {
      const [input, field] = number(name, () => this._tell(), `${name}_percent`);
      const slide = () => {
        input.value = Number(slider.value) ? slider.value : "";
        this._tell();
      };
      const label = word(`${name}_percent`);
      const range = { type: "range", min: "0", max: MOST, step: "0.5", value: "0", "aria-label": label };
      const slider = h("input", { ...range, oninput: slide });
      this._sliders.push([slider, input]);
      return [input, h("div", {}, field, slider)];
    };
    this._sliders = [];
    const [target, targetField] = distance("take_profit");
    const [stop, stopField] = distance("stop_loss");
    const share = h("input", { type: "range", name: "share", min: "0", max: "100", value: "0" });
    share.addEventListener("input", () => this._portion());
    Object.assign(this, { _side: side, _type: type, _coin: code, _limit: limit, _amount: amount });
    Object.assign(this, { _quantity: quantity, _target: target, _stop: stop, _share: share, _limitField: limitField });
    this._price = h("p", { class: "quiet", role: "status" });
    this._of = h("span", {});
    this._led = h("p", { class: "quiet" });
    this._results = h("p", { class: "quiet", role: "status" });
    this._refused = h("p", { class: "refused", role: "alert" });
    this._protects = h("div", { class: "pair" }, targetField, stopField);
    this._form = h(
      "form",
      { class: "allocation order-form", onsubmit: (event) => this._review(event) },
      h("div", { class: "pair" }, sideField, codeField),
      this._price,
      h("div", { class: "pair" }, typeField, limitField),
      h("div", { class: "pair" }, amountField, quantityField),
      h("label", {}, this._of, share),
      this._protects,
      this._results,
      this._led,
      this._refused,
      h("button", { type: "submit", class: "act strong" }, word("review")),
    );
    this._open = h("div", { class: "open-orders" });
    this._held = h("div", { class: "held" });
    return [this._form, this._open, this._held];
  }

  update() {
    const { picture, hass } = this;
    this._form.hidden = !hass.user?.is_admin;
    const codes = Object.keys(picture.prices);
    if (this._codes !== codes.join()) {
      this._codes = codes.join();
      const chosen = this._coin.value;
      this._coin.replaceChildren(...codes.map((each) => h("option", { value: each }, each)));
      if (codes.includes(chosen)) this._coin.value = chosen;
    }
    this._list();
    this._tell();
  }

  // Price that the order is reckoned at.
  get _at() {
    const last = Number(this.picture.prices[this._coin.value]);
    return this._type.value === "limit" ? Number(this._limit.value) || last : last;
  }

  get _buys() {
    return this._side.value === "buy";
  }

  get _position() {
    return this.picture.positions.find((each) => each.coin === this._coin.value);
  }

  // The other one of amount and quantity follows as one is typed.
  _sized(by) {
    this._by = by;
    const value = Number((by === "amount" ? this._amount : this._quantity).value);
    const other = by === "amount" ? this._quantity : this._amount;
    const figure = by === "amount" ? value / this._at : value * this._at;
    other.value = figure ? String(Number(figure.toPrecision(8))) : "";
    this._tell(false);
  }

  _portion() {
    const part = Number(this._share.value) / 100;
    if (this._buys) this._amount.value = (Math.floor(this.picture.cash * part * 100) / 100).toFixed(2);
    else this._quantity.value = String(Number(this._position?.quantity ?? 0) * part);
    this._sized(this._buys ? "amount" : "quantity");
  }

  _tell(follow = true) {
    const { word, format, picture } = this;
    const { quote, rate } = picture;
    if (!picture.prices[this._coin.value]) return;
    if (follow && this._by) return this._sized(this._by);
    const limited = this._type.value === "limit";
    this._limitField.hidden = !limited;
    this._limit.required = limited;
    this._protects.hidden = !this._buys;
    const [price, at] = [picture.prices[this._coin.value], this._at];
    setText(this._price, word("price_of", { price: `${format.price(price)} ${quote}`, coin: this._coin.value }));
    const free = this._buys
      ? format.amount(picture.cash, quote)
      : `${format.quantity(this._position?.quantity ?? 0)} ${this._coin.value}`;
    setText(this._of, word(this._buys ? "share_of_cash" : "share_of_coin", { free }));
    const whole = this._buys ? picture.cash / at : this._position?.quantity;
    const part = Number(this._quantity.value) / Number(whole);
    if (Number.isFinite(part)) this._share.value = String(Math.min(100, Math.round(part * 100)));
    for (const [slider, input] of this._sliders) slider.value = input.value || "0";
    const results = [];
    const amount = Number(this._quantity.value) * at;
    for (const [name, input, sign] of [
      ["take_profit", this._target, 1],
      ["stop_loss", this._stop, -1],
    ]) {
      const moved = (sign * Number(input.value)) / 100;
      if (!moved || !amount || !this._buys) continue;
      const result = amount * moved - amount * FEE * (2 + moved);
      const figure = rate ? format.eur(result * rate, true) : format.amount(result, quote, true);
      results.push(`${word(name)} ${format.price(at * (1 + moved))} ${quote} → ${figure}`);
    }
    setText(this._results, results.join(" · "));
    const led = picture.sources.some(({ kind }) => kind !== "manual");
    setText(this._led, led ? word("hand_led") : "");
  }

  _data() {
    const limited = this._type.value === "limit";
    const by = this._by ?? "amount";
    const percent = (input) => (this._buys && Number(input.value) ? `${input.value} %` : undefined);
    return {
      config_entry_id: this.follower.entry_id,
      coin: this._coin.value,
      side: this._side.value,
      type: this._type.value,
      [by]: (by === "amount" ? this._amount : this._quantity).value || "0",
      limit_price: limited ? this._limit.value : undefined,
      take_profit: percent(this._target),
      stop_loss: percent(this._stop),
    };
  }

  // What the order would be, and only then it is sent.
  async _review(event) {
    event.preventDefault();
    const { word, format, hass, picture } = this;
    const data = this._data();
    setText(this._refused, "");
    let order;
    try {
      order = await answer(hass, "place_order", data);
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
      return;
    }
    const { quote } = order;
    const dialog = new Dialog(this, `${word(verb(order))} ${order.coin}`);
    const money = (amount, eur) =>
      [format.amount(amount, quote), eur && quote !== EURO && format.eur(eur)].filter(Boolean).join(" · ");
    const row = (name, value) => h("li", {}, h("b", {}, word(name)), h("span", {}, value));
    const level = (name) => {
      const each = order[name];
      return each && row(name, `${format.price(each.price)} ${quote} · ${format.eur(each.result_eur, true)}`);
    };
    const rows = [
      row("order_type", order.type === "market" ? word("at_market") : word("at_limit")),
      row("price", `${format.price(order.price ?? order.last_price)} ${quote}`),
      row("quantity", `${format.quantity(order.quantity)} ${order.coin}`),
      row("amount", money(order.amount, order.amount_eur)),
      row("cost", money(order.cost, order.cost_eur)),
      level("take_profit"),
      level("stop_loss"),
    ];
    const send = async () => {
      try {
        const done = await answer(hass, "place_order", { ...data, confirm: true });
        if (["rejected", "not_placed"].includes(done.state))
          return dialog.refuse(`${word(done.state)}: ${done.reason}`);
      } catch (error) {
        return dialog.refuse(await refusal(hass, error));
      }
      this.live.textContent = word("order_sent");
      this._amount.value = "";
      this._quantity.value = "";
      this._share.value = "0";
      this._tell(false);
      dialog.close();
    };
    dialog.show(
      [
        h("p", { class: `mode-line ${picture.mode}` }, word(`order_${picture.mode}`)),
        h("ul", { class: "rows" }, ...rows.filter(Boolean)),
        order.waits && h("p", {}, word("order_waits")),
        this._led.textContent && h("p", { class: "quiet" }, word("hand_led")),
      ].filter(Boolean),
      [word("order_sure"), send, "strong"],
      [word("cancel")],
    );
  }

  _list() {
    const { picture, word, format, hass } = this;
    const { quote } = picture;
    const told = JSON.stringify([picture.orders, picture.positions.map(({ coin: c, value }) => [c, value])]);
    if (this._told === told) return;
    this._told = told;
    const button = (name, label, onclick) =>
      hass.user?.is_admin && h("button", { type: "button", class: "act", "aria-label": label, onclick }, word(name));
    const order = (each) => {
      const price = each.limit_price ?? each.stop_price;
      const what = `${word(verb(each))} ${format.quantity(each.quantity)} ${each.coin}`;
      const kind = [word(`order_${each.type}`), price && `${format.price(price)} ${quote}`].filter(Boolean).join(" ");
      return h(
        "li",
        { "data-order": each.client_order_id },
        h("div", {}, h("b", {}, what), h("small", {}, kind)),
        button("cancel_order", `${word("cancel_order")}: ${what} ${kind}`, () => this._cancel(each, what, kind)),
      );
    };
    const { open, protections } = picture.orders;
    this._open.replaceChildren(
      h("h3", {}, word("open_orders")),
      open.length ? h("ul", { class: "rows" }, ...open.map(order)) : h("p", { class: "quiet" }, word("no_open_orders")),
    );
    const held = picture.positions.filter(({ quantity }) => Number(quantity));
    const position = (each) => {
      const protection = protections.find((one) => one.coin === each.coin);
      return h(
        "li",
        { "data-coin": each.coin },
        h("div", { class: "name" }, coin(each.coin), h("b", {}, each.coin)),
        h("div", {}, format.amount(each.value, quote), h("small", {}, this._protectedBy(protection))),
        h(
          "div",
          { class: "buttons" },
          button("protect", `${word("protect")}: ${each.coin}`, () => this._protect(each, protection)),
          button("close_position", `${word("close_position")}: ${each.coin}`, () => this._close(each)),
        ),
      );
    };
    const rows = held.map(position);
    this._held.replaceChildren(
      ...(rows.length ? [h("h3", {}, word("positions")), h("ul", { class: "rows" }, ...rows)] : []),
    );
  }

  _protectedBy(protection) {
    const { word, format, picture } = this;
    if (!protection) return word("not_protected");
    if (protection.closing) return word("is_closing");
    const levels = [protection.stop_loss, protection.take_profit].filter(Boolean).map((each) => format.price(each));
    const whose = protection.sources?.length ? `${word("of_strategy")} · ` : "";
    return `${levels.join(" – ")} ${picture.quote} · ${whose}${word(`held_by_${protection.held_by ?? "nobody"}`)}`;
  }

  _sure(title, text, button, service, data, fields = []) {
    const { word, hass, follower, picture } = this;
    const mode = h("p", { class: `mode-line ${picture.mode}` }, word(`order_${picture.mode}`));
    sure(this, title, [mode, h("p", {}, text), ...fields], button, () =>
      act(hass, service, { config_entry_id: follower.entry_id, ...data() }),
    );
  }

  _cancel(order, what, kind) {
    const { coin } = order;
    const watched = this.picture.orders.protections.some((each) => each.coin === coin && each.sources?.length);
    const ends = this.word(watched ? "cancel_of_strategy" : "cancel_protection", { coin });
    const text = order.signal_id === "protection" ? ends : kind;
    const data = () => ({ client_order_id: order.client_order_id });
    this._sure(`${this.word("cancel_order")}: ${what}`, text, this.word("cancel_order"), "cancel_order", data);
  }

  _close(position) {
    const { word } = this;
    const title = `${word("close_position")}: ${position.coin}`;
    const data = () => ({ coin: position.coin });
    this._sure(title, word("close_does", { coin: position.coin }), word("close_position"), "close_position", data);
  }

  _protect(position, protection) {
    const { word, format, picture } = this;
    const field = (name, label) => {
      const input = h("input", { type: "number", name, min: "0", step: "any", inputmode: "decimal" });
      return [input, h("label", {}, h("span", {}, word(label)), input)];
    };
    const [target, targetField] = field("take_profit", "take_profit_percent");
    const [stop, stopField] = field("stop_loss", "stop_loss_percent");
    const [trailing, trailingField] = field("trailing_stop", "trailing_stop_percent");
    const price = `${format.price(position.price)} ${picture.quote}`;
    const data = () => ({
      coin: position.coin,
      take_profit: target.value ? `${target.value} %` : undefined,
      stop_loss: stop.value ? `${stop.value} %` : undefined,
      trailing_stop: trailing.value || undefined,
    });
    const text = word("protect_does", { price, now: this._protectedBy(protection) });
    const title = `${word("protect")}: ${position.coin}`;
    this._sure(title, text, word("protect"), "set_protection", data, [targetField, stopField, trailingField]);
  }

  gone() {
    this._told = undefined;
  }
}
