// Alerts from outside and what became of them, newest first.

import { CalvalotCard } from "./card.js";
import { page } from "./data.js";
import { h, setText } from "./dom.js";
import { sign } from "./icons.js";

const PAGE = 20;
const SETTLE = 150;
// The mark beside an alert, by how it stands.
const MARKS = {
  waiting: "waiting",
  again: "waiting",
  taken: "executed",
  unchanged: "aligned",
  overtaken: "skipped",
  expired: "skipped",
  refused: "rejected",
  tested: "aligned",
};

export class AlertsCard extends CalvalotCard {
  heading = "alerts";
  asks = true;

  build() {
    this._list = h("ol", { "aria-label": this.word("alerts") });
    this._none = h("p", { class: "quiet", hidden: true });
    this._more = h("button", { type: "button", class: "end", onclick: () => this._older() }, this.word("more"));
    this._scroller = h(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": this.word("alerts") },
      this._list,
      this._more,
    );
    if (this.picture) this.began();
    return [this._none, this._scroller];
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this._soon);
  }

  tick() {
    for (const time of this._list.querySelectorAll("time")) setText(time, this.format.relative(time.dateTime));
  }

  began() {
    return this._read();
  }

  happened(event) {
    if (!["outside_alert", "signal"].includes(event.kind)) return;
    clearTimeout(this._soon);
    this._soon = setTimeout(() => this._read(), SETTLE);
  }

  update() {}

  // What it shows has happened: no figure of it grows old.
  _problems() {
    return [];
  }

  async _read() {
    let alerts;
    try {
      alerts = await page(this.hass, "alerts", this.follower.entry_id, PAGE);
    } catch {
      return; // The ledger cannot be read now; what is shown stays, and the next event tries again.
    }
    this._list.replaceChildren(...alerts.map((alert) => this._item(alert)));
    this._told(alerts);
  }

  async _older() {
    const last = Number(this._list.lastElementChild?.dataset.seq);
    try {
      const alerts = await page(this.hass, "alerts", this.follower.entry_id, PAGE, last);
      this._list.append(...alerts.map((alert) => this._item(alert)));
      this._told(alerts);
    } catch {
      // The ledger cannot be read now; the button can be pressed again.
    }
  }

  _told(alerts) {
    const whole = alerts.length < PAGE;
    this._more.disabled = whole;
    setText(this._more, this.word(whole ? "beginning" : "more"));
    setText(this._none, this.word("alerts_none"));
    this._none.hidden = this._list.childElementCount > 0;
    this._scroller.hidden = !this._list.childElementCount;
  }

  // What it asks for, in a line.
  _wants({ wants, size, unit }) {
    const { word, format } = this;
    if (!wants) return "";
    if (wants === "cancel") return word("alert_cancel");
    if (wants === "hold") {
      if (size === null) return word("alert_hold_all");
      return Number(size) ? word("alert_hold", { size: format.quantity(size) }) : word("alert_flat");
    }
    const sized = { share: "%", amount: this.picture?.quote ?? "", quantity: "" }[unit];
    return word("alert_trade", { side: word(wants), size: format.quantity(size), unit: sized }).trim();
  }

  // A price, or a distance in %.
  _level(level) {
    if (level.endsWith("%")) return this.format.percent(Number.parseFloat(level));
    return `${this.format.price(level)} ${this.picture?.quote ?? ""}`.trim();
  }

  // What became of it, in a word, and why.
  _standing({ state, result, reason, signal_id: signal }) {
    const { word } = this;
    const parts = [word(`alert_state_${state}`)];
    if (state === "taken" && signal && result && result !== "blended") parts.push(word(result));
    if (reason && state !== "taken") parts.push(word(`alert_why_${reason}`));
    return parts.join(" · ");
  }

  _item(alert) {
    const { word, format } = this;
    const mark = MARKS[alert.state];
    const title = [alert.coin, this._wants(alert)].filter(Boolean).join(" · ");
    const levels = [
      ["at_limit", alert.limit_price],
      ["take_profit", alert.take_profit],
      ["stop_loss", alert.stop_loss],
      ["trailing_stop", alert.trailing_stop],
    ].map(([name, level]) => level && `${word(name)} ${this._level(level)}`);
    const notes = [
      ...levels,
      alert.test && word("alert_test"),
      alert.sent && word("alert_sent", { time: format.dateTime(alert.sent) }),
      alert.repeats > 0 && word("alert_repeats", { count: alert.repeats }),
    ].filter(Boolean);
    return h(
      "li",
      { class: "item", "data-seq": alert.id, "data-state": alert.state },
      h("span", { class: `mark ${mark}` }, sign(mark)),
      h(
        "div",
        {},
        h(
          "div",
          { class: "line" },
          h("b", {}, title || word("alert")),
          h("time", { datetime: alert.time, title: format.dateTime(alert.time) }, format.relative(alert.time)),
        ),
        h("p", { class: "why" }, this._standing(alert)),
        alert.detail && h("code", {}, alert.detail),
        notes.length > 0 && h("p", { class: "quiet" }, notes.join(" · ")),
      ),
    );
  }
}
