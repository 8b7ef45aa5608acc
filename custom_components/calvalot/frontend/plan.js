// The plan: the shares of an own allocation, what a rebalance would trade coin by coin, and the button that asks once more.

import { CalvalotCard } from "./card.js";
import { act, answer } from "./data.js";
import { Dialog } from "./dialog.js";
import { h, setText } from "./dom.js";
import { coin, sign } from "./icons.js";
import { Shares, same } from "./shares.js";
import { bare, capital, inWords, refusal } from "./wording.js";

const verb = ({ side }) => side.toLowerCase();

export class PlanCard extends CalvalotCard {
  heading = "plan";

  build() {
    const { word } = this;
    this._plan = undefined;
    this._editor = h("div", { class: "editor" });
    this._part = h("p", { class: "quiet" });
    this._shares = undefined;
    this._hint = h("p", { class: "quiet" });
    this._refused = h("p", { class: "refused", role: "alert" });
    this._look = h("button", { type: "button", class: "act", onclick: () => this._ask() }, word("show_plan"));
    this._go = h("button", { type: "button", class: "act strong", hidden: true, onclick: () => this._confirm() });
    this._table = h("div", { class: "plan" });
    this._held = h("div", { class: "set-aside" });
    return [
      this._held,
      this._editor,
      this._hint,
      this._table,
      this._refused,
      h("div", { class: "money" }, this._look, this._go),
    ];
  }

  // The own allocation that is shown; there may be several.
  get _own() {
    const own = this.picture.sources.filter(({ kind }) => kind === "allocation");
    return own.find(({ key }) => key === this._chosen) ?? own[0];
  }

  get _changed() {
    return Boolean(this._shares) && !same(this._shares.values, this._own.shares);
  }

  _problems() {
    return [];
  }

  update() {
    const own = this.hass.user?.is_admin ? this._own : undefined;
    if (!own) {
      this._shares = undefined;
      this._editor.replaceChildren();
    } else if (!this._shares || own.key !== this._chosen) {
      this._chosen = own.key;
      this._shares = new Shares(this, own.shares, () => this._edited());
      this._editor.replaceChildren(this._which(), this._part, this._shares.element);
    } else this._shares.stored(own.shares);
    if (own) {
      const weight = this.format.percent(own.weight, false, 0);
      setText(this._part, own.weight === 100 ? "" : this.word("part_of", { weight }));
    }
    this._tellHeld();
    this._tell();
  }

  // Coins that are not bought again, and for administrators the way to let them be.
  _tellHeld() {
    const { picture, word, hass } = this;
    const told = JSON.stringify(picture.held_back);
    if (this._toldHeld === told && this._held.childElementCount === picture.held_back.length) return;
    this._toldHeld = told;
    const button = (code) =>
      hass.user?.is_admin &&
      h(
        "button",
        { type: "button", class: "act", "data-release": code, onclick: () => this._release(code) },
        word("release", { coin: code }),
      );
    const line = (code) => h("p", {}, h("span", {}, word("held_back", { coin: code })), button(code));
    this._held.replaceChildren(...picture.held_back.map(line));
  }

  async _release(code) {
    const { hass, follower } = this;
    try {
      await act(hass, "release_coin", { config_entry_id: follower.entry_id, coin: code });
      this._edited();
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
    }
  }

  // Which of several own allocations is shown.
  _which() {
    const own = this.picture.sources.filter(({ kind }) => kind === "allocation");
    const title = ({ name, weight }) =>
      `${capital(name ?? this.tell("setup_allocation"))} · ${this.format.percent(weight, false, 0)}`;
    const options = own.map((each) =>
      h("option", { value: each.key, selected: each.key === this._chosen }, title(each)),
    );
    const choose = (event) => {
      this._chosen = event.target.value;
      this._shares = undefined;
      this._forget();
      this.update();
    };
    const select = h("select", { "aria-label": this.word("source"), onchange: choose }, ...options);
    return h("div", { class: "allocation", hidden: own.length < 2 }, select);
  }

  // The plan that is shown is of other shares now.
  _edited() {
    this._forget();
    this._tell();
  }

  _forget() {
    this._plan = undefined;
    this._table.replaceChildren();
    setText(this._refused, "");
  }

  _tell() {
    const { word, _plan: plan } = this;
    this._look.disabled = this._shares?.wrong ?? false;
    setText(this._look, word(plan ? "look_again" : "show_plan"));
    setText(this._hint, plan ? "" : word(this._changed ? "plan_of_draft" : "plan_hint"));
    const trades = plan?.orders.length > 0;
    this._go.hidden = !plan || !this.hass.user?.is_admin || !(this._changed || (trades && plan.plan_id));
    if (plan) setText(this._go, word(trades ? "trade_plan" : "keep_shares"));
  }

  async _ask() {
    const { hass, follower } = this;
    const draft = this._changed ? { allocation: this._shares.values, source: this._own.key } : {};
    this._forget();
    this._look.disabled = true;
    try {
      this._plan = await answer(hass, "preview", { config_entry_id: follower.entry_id, ...draft });
      this._table.replaceChildren(...this._rows());
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
    } finally {
      this._tell();
    }
  }

  _rows() {
    const { word, format, picture, _plan: plan } = this;
    const { quote } = picture;
    const percent = (value) => (value === null ? "–" : format.percent(value));
    const money = (value) => format.amount(value, quote);
    const head = ["coin", "held", "target", "order", "cost", "after"];
    const row = (each) => {
      const why = each.side ? "" : inWords(each.reason, this.tell, quote);
      const order = each.side
        ? [h("b", { class: each.side === "BUY" ? "up" : "down" }, word(verb(each))), ` ${money(each.amount)}`]
        : [h("span", { class: "quiet" }, why)];
      return h(
        "tr",
        { role: "row", "data-coin": each.coin },
        h("td", { role: "cell" }, h("div", { class: "name" }, coin(each.coin), h("b", {}, each.coin))),
        h("td", { role: "cell" }, percent(each.held)),
        h(
          "td",
          { role: "cell" },
          percent(each.target),
          each.drift !== null && h("small", {}, word("off_by", { drift: format.percent(each.drift, true) })),
          each.band > 0 && h("small", {}, `± ${format.percent(each.band, false, 0)}`),
        ),
        h(
          "td",
          { role: "cell", class: "order" },
          ...order,
          each.side && h("small", {}, `${format.quantity(each.quantity)} ${each.coin}`),
        ),
        h("td", { role: "cell", "data-label": word("cost") }, each.side ? format.amount(each.cost) : ""),
        h("td", { role: "cell" }, percent(each.after)),
      );
    };
    const fact = (name, text) => h("div", {}, h("dt", {}, word(name)), h("dd", {}, text));
    return [
      h(
        "table",
        { role: "table", class: "plan-table", "aria-label": word("plan") },
        h(
          "thead",
          { role: "rowgroup" },
          h("tr", { role: "row" }, ...head.map((name) => h("th", { scope: "col", role: "columnheader" }, word(name)))),
        ),
        h("tbody", { role: "rowgroup" }, ...plan.table.map(row)),
      ),
      plan.orders.length === 0 && h("p", { class: "quiet" }, word("aligned")),
      h(
        "dl",
        { class: "facts" },
        fact("turnover", money(plan.turnover)),
        fact("cost", money(plan.cost)),
        fact("left_over", money(plan.left_over)),
      ),
      h("p", { class: "quiet" }, word("as_of", { time: format.seconds(plan.as_of) })),
    ].filter(Boolean);
  }

  // Once more what happens, and only then it does.
  _confirm() {
    const { word, amounts: format, picture, _plan: plan } = this;
    const { quote, mode } = picture;
    const dialog = new Dialog(this, word(plan.orders.length ? "trade_plan" : "keep_shares"));
    const line = (order) =>
      h(
        "li",
        {},
        h("b", {}, `${word(verb(order))} ${bare(order.symbol, quote)}`),
        h("span", {}, format.amount(order.amount, quote)),
      );
    const text = plan.orders.length ? [h("p", { class: `mode-line ${mode}` }, word(`plan_${mode}`))] : [];
    if (this._changed) text.push(h("p", {}, word("plan_keeps", { shares: this._shares.inWords() })));
    if (plan.orders.length) {
      text.push(h("ul", { class: "rows" }, ...plan.orders.map(line)));
      text.push(h("p", { class: "sum" }, word("plan_costs", { amount: format.amount(plan.cost, quote) })));
    }
    dialog.show(text, [word("plan_sure"), () => this._trade(dialog), "strong"], [word("cancel")]);
  }

  async _trade(dialog) {
    const { hass, follower, _plan: plan } = this;
    // Once they are kept they are no change any more.
    const [changed, before] = [this._changed, this._own?.shares];
    const chosen = plan.orders.length && plan.plan_id ? { plan_id: plan.plan_id } : {};
    const data = { config_entry_id: follower.entry_id, ...chosen };
    try {
      if (changed)
        await act(hass, "set_allocation", { ...data, allocation: this._shares.values, source: this._own.key });
      else await act(hass, "rebalance", data);
    } catch (error) {
      // What has changed is said; the plan is of no use any more.
      this._forget();
      setText(this._refused, await refusal(hass, error));
      this._tell();
      dialog.close();
      return;
    }
    if (changed) this._shares.keep(before);
    this.live.textContent = this.word("plan_done");
    dialog.close();
    this._forget();
    this._table.replaceChildren(h("p", {}, sign("executed"), ` ${this.word("plan_done")}`));
    this._tell();
  }

  hid() {
    if (this._plan) this._table.replaceChildren(...this._rows());
  }

  gone() {
    this._shares = undefined;
    this._forget();
  }
}
