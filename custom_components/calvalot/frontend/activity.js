// Signals and what became of them, newest first, down to the beginning of the ledger.

import { CalvalotCard } from "./card.js";
import { page } from "./data.js";
import { h, setText } from "./dom.js";
import { sign } from "./icons.js";

const PAGE = 20;
const SETTLE = 150;
const MINUTE = 60e3;
const MAX_TAGS = 6;

export class ActivityCard extends CalvalotCard {
  heading = "activity";

  build() {
    this._items = new Map();
    this._list = h("ol", { "aria-label": this.word("activity") });
    this._end = h("button", { type: "button", class: "end", onclick: () => this._older() }, this.word("more"));
    this._none = h("p", { class: "quiet", hidden: true }, this.word("no_signals"));
    this._scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": this.word("activity") }, this._list, this._end);
    this._watcher?.disconnect();
    this._watcher = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && this._older(), {
      root: this._scroller,
      rootMargin: "200px",
    });
    this._watcher.observe(this._end);
    if (this.picture) this.began();
    return [this._none, this._scroller];
  }

  connectedCallback() {
    super.connectedCallback();
    this._clock = setInterval(() => this._age(), MINUTE);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this._clock);
    clearTimeout(this._soon);
  }

  async began() {
    this._items.clear();
    this._list.replaceChildren();
    this._whole = false;
    this._waits = this.picture?.waiting_signal;
    await this._newest();
  }

  happened(event) {
    if (event.kind === "alert") return;
    const { word } = this;
    if (event.kind === "signal" && event.type !== "received") {
      this.live.textContent = word("new_signal", { what: this._what(event.signal_id), result: word(event.result) });
    }
    clearTimeout(this._soon);
    this._soon = setTimeout(() => this._newest(), SETTLE);
  }

  update() {
    if (this._waits !== this.picture.waiting_signal && this._items.size) {
      this._waits = this.picture.waiting_signal;
      this._newest();
    }
  }

  async _newest() {
    await this._read();
  }

  async _older() {
    if (this._reading || this._whole || !this._items.size) return;
    await this._read(Math.min(...this._items.keys()));
  }

  async _read(before) {
    this._reading = true;
    try {
      const signals = await page(this.hass, "signals", this.follower.entry_id, PAGE, before);
      for (const signal of signals) this._put(signal);
      if (signals.length < PAGE && (before || this._items.size <= signals.length)) this._whole = true;
    } catch {
      return; // The ledger cannot be read now; what is shown stays, and the next event tries again.
    } finally {
      this._reading = false;
    }
    this._none.hidden = this._items.size > 0;
    this._scroller.hidden = !this._items.size;
    this._end.disabled = this._whole;
    setText(this._end, this.word(this._whole ? "beginning" : "more"));
    // Still in sight: the watcher tells changes only.
    this._watcher.unobserve(this._end);
    this._watcher.observe(this._end);
  }

  _put(signal) {
    const told = JSON.stringify([signal, this.picture?.waiting_signal === signal.signal_id]);
    const known = this._items.get(signal.seq);
    if (known?.told === told) return;
    const element = this._item(signal, known?.element.classList.contains("opened"));
    this._items.set(signal.seq, { told, element, signal });
    if (known) {
      known.element.replaceWith(element);
      return;
    }
    const next = [...this._list.children].find((each) => Number(each.dataset.seq) < signal.seq);
    this._list.insertBefore(element, next ?? null);
  }

  _what(signalId) {
    const { word } = this;
    if (signalId === "initial_sync") return word("initial_sync");
    if (signalId.startsWith("sync-")) return word("sync");
    if (signalId.startsWith("exit-")) return word("exit");
    return word(signalId.startsWith("stop_loss-") ? "stop_loss" : "signal");
  }

  _item(signal, opened) {
    const { word, format } = this;
    const { trades, legs } = signal;
    const undone = legs.filter((leg) => leg.result !== "booked");
    const more = h("div", { class: "more", id: `more-${signal.seq}`, hidden: !opened }, ...this._more(signal, undone));
    const unfold = h(
      "button",
      { type: "button", class: "unfold", "aria-expanded": String(Boolean(opened)), "aria-controls": more.id },
      word("details"),
      h("span", { class: "hidden" }, `${this._what(signal.signal_id)}, ${format.dateTime(signal.time)}`),
      sign("down"),
    );
    const tags = trades.slice(0, MAX_TAGS).map((trade) => this._tag(trade));
    if (trades.length > MAX_TAGS) tags.push(h("li", { class: "tag" }, `+${trades.length - MAX_TAGS}`));
    if (!trades.length && ["executed", "skipped"].includes(signal.result)) tags.push(h("li", { class: "tag quiet" }, word("nothing_traded")));
    const item = h(
      "li",
      { class: `item${opened ? " opened" : ""}`, "data-seq": signal.seq, "data-signal": signal.signal_id },
      h("span", { class: `mark ${signal.result}` }, sign(signal.result)),
      h(
        "div",
        {},
        h(
          "div",
          { class: "line" },
          h("b", {}, `${this._what(signal.signal_id)} · ${word(signal.result)}`),
          h("time", { datetime: signal.time, title: format.dateTime(signal.time) }, format.relative(signal.time)),
        ),
        signal.reasoning && h("p", { class: "reasoning" }, signal.reasoning),
        tags.length > 0 && h("ul", { class: "tags" }, ...tags),
        this.picture?.waiting_signal === signal.signal_id && this._ask(signal),
        h("div", { class: "foot" }, signal.confidence === null ? h("span") : this._meter(signal.confidence), unfold),
      ),
      more,
    );
    unfold.addEventListener("click", () => {
      const open = item.classList.toggle("opened");
      more.hidden = !open;
      unfold.setAttribute("aria-expanded", String(open));
    });
    return item;
  }

  _tag(trade) {
    const buy = trade.side === "BUY";
    return h(
      "li",
      { class: "tag" },
      h("b", { class: buy ? "up" : "down" }, this.word(buy ? "buy" : "sell")),
      `${trade.coin} ${this.format.amount(trade.amount)}`,
    );
  }

  _meter(confidence) {
    const text = this.format.percent(confidence * 100, false, 0);
    const bar = h("i");
    bar.style.setProperty("--level", `${confidence * 100}%`);
    return h("span", { class: "meter" }, `${this.word("confidence")} ${text}`, bar);
  }

  _more(signal, undone) {
    const { word, format } = this;
    const reason = (text) => (text ? word(text) : "");
    const parts = [];
    if (signal.trades.length) {
      const head = ["trades", "quantity", "price", "amount", "fee"].map((name) => h("th", { scope: "col" }, word(name)));
      const rows = signal.trades.map((trade) =>
        h(
          "tr",
          {},
          h("td", {}, h("b", { class: trade.side === "BUY" ? "up" : "down" }, word(trade.side.toLowerCase())), ` ${trade.coin}`),
          h("td", {}, format.quantity(trade.quantity)),
          h("td", {}, format.price(trade.price)),
          h("td", {}, format.amount(trade.amount)),
          h("td", {}, trade.fees.map((fee) => `${format.quantity(Number(Number(fee.amount).toPrecision(3)))} ${fee.asset}`).join(", ")),
        ),
      );
      parts.push(h("div", { style: "overflow-x: auto", tabindex: "0", role: "group", "aria-label": word("trades") }, h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows))));
    }
    for (const [title, legs] of [
      ["left_out", undone.filter((leg) => leg.result === "left_out")],
      ["not_done", undone.filter((leg) => leg.result !== "left_out")],
    ]) {
      if (!legs.length) continue;
      const line = (leg) => h("li", {}, `${word(leg.side.toLowerCase())} ${leg.symbol}: ${reason(leg.reason) || word(leg.result)}`);
      parts.push(h("h3", {}, word(title)), h("ul", {}, ...legs.map(line)));
    }
    // The reasons of the legs say it already where there are any.
    if (signal.reason && !undone.length) parts.push(h("h3", {}, word("reason")), h("p", {}, reason(signal.reason)));
    parts.push(h("h3", {}, word("signal_id")), h("code", {}, signal.signal_id), h("p", { class: "quiet" }, format.dateTime(signal.time)));
    return parts;
  }

  _ask(signal) {
    const { word, format, hass } = this;
    const plan = h("ul", { class: "tags" });
    const act = (service) => async (event) => {
      const buttons = event.currentTarget.parentElement.querySelectorAll("button");
      for (const button of buttons) button.disabled = true;
      try {
        await hass.callService("calvalot", service, { config_entry_id: this.follower.entry_id, signal_id: signal.signal_id });
      } catch {
        // Home Assistant has said what is wrong.
      } finally {
        for (const button of buttons) button.disabled = false;
      }
    };
    this._plan(plan);
    return h(
      "div",
      { class: "ask" },
      h("p", {}, word("wait_until", { time: format.dateTime(this.picture.waiting_until) })),
      plan,
      // Only administrators may decide over money.
      hass.user?.is_admin &&
        h(
          "div",
          { class: "buttons" },
          h("button", { type: "button", class: "act strong approve", onclick: act("approve") }, sign("executed"), word("approve")),
          h("button", { type: "button", class: "act reject", onclick: act("reject") }, sign("rejected"), word("reject")),
        ),
    );
  }

  async _plan(list) {
    try {
      const answer = await this.hass.callWS({
        type: "call_service",
        domain: "calvalot",
        service: "preview",
        service_data: { config_entry_id: this.follower.entry_id },
        return_response: true,
      });
      const { quote } = this.picture ?? {};
      const orders = answer.response.orders.map((order) =>
        this._tag({ ...order, coin: order.symbol.endsWith(quote) ? order.symbol.slice(0, -quote.length) : order.symbol }),
      );
      list.replaceChildren(...orders);
    } catch {
      // Without the plan the question stays.
    }
  }

  _age() {
    for (const { element, signal } of this._items.values()) setText(element.querySelector("time"), this.format.relative(signal.time));
  }
}
