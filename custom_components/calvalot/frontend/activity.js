// Signals and what became of them, money that came and went, newest first, down to the beginning of the ledger.

import { tag } from "./approval.js";
import { CalvalotCard, led } from "./card.js";
import { cashFlows, page } from "./data.js";
import { h, setText } from "./dom.js";
import { sign } from "./icons.js";
import { changeFlow } from "./money.js";
import { bare, because, inWords, ON_THE_WAY } from "./wording.js";

const PAGE = 20;
const SETTLE = 150;
// Under a finger the page scrolls, not the list in it.
const SCROLLS = !matchMedia("(pointer: coarse)").matches;
const MAX_TAGS = 6;
// Orders of which it is not known yet what became of them.
// What has no sign of its own.
const FLOW_SIGNS = { initial: "deposit", carried: "deposit" };
const WAYS = ["initial_sync", "sync", "stop_loss", "exit", "rank", "withdrawal", "conversion", "allocation"];

export class ActivityCard extends CalvalotCard {
  heading = "activity";
  asks = true;

  build() {
    this._items = new Map();
    this._list = h("ol", { "aria-label": this.word("activity") });
    this._end = h("button", { type: "button", class: "end", onclick: () => this._older() }, this.word("more"));
    this._none = h("p", { class: "quiet", hidden: true });
    this._scroller = h(
      "div",
      { class: "scroller", tabindex: "0", role: "region", "aria-label": this.word("activity") },
      this._list,
      this._end,
    );
    this._watcher?.disconnect();
    this._watcher = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && this._older(), {
      root: this._scroller,
      rootMargin: "200px",
    });
    if (SCROLLS) this._watcher.observe(this._end);
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

  async began() {
    this._items.clear();
    this._list.replaceChildren();
    this._whole = false;
    this._waits = this.picture?.waiting_signal;
    this._paid = this.picture?.net_deposits;
    this._flows = [];
    await Promise.all([this._newest(), this._readFlows()]);
  }

  happened(event) {
    if (event.kind.endsWith("alert")) return;
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
    // A cash flow brings no event of its own; it shows in what was paid in.
    if (this._paid !== this.picture.net_deposits && this._flows) {
      this._paid = this.picture.net_deposits;
      this._readFlows();
    }
  }

  // What it shows has happened: no figure of it grows old.
  _problems() {
    return [];
  }

  async _readFlows() {
    try {
      this._flows = await cashFlows(this.hass, this.follower.entry_id);
    } catch {
      return; // The ledger cannot be read now; what is shown stays.
    }
    this._putFlows();
  }

  // Money up to the oldest signal that is shown, or all of it once the beginning is.
  _putFlows() {
    const oldest = this._whole
      ? -Infinity
      : Math.min(...[...this._items.values()].map(({ signal }) => Date.parse(signal.time)));
    for (const old of this._list.querySelectorAll(".flow-item")) old.remove();
    for (const flow of this._flows ?? []) if (flow.at >= oldest) this._insert(this._flowItem(flow), flow.at);
    this._told();
  }

  _insert(element, time) {
    element.dataset.time = time;
    const next = [...this._list.children].find((each) => Number(each.dataset.time) < time);
    this._list.insertBefore(element, next ?? null);
  }

  _told() {
    setText(this._none, this.word(led(this.picture) ? "no_signals" : "no_signals_own"));
    this._none.hidden = this._list.childElementCount > 0;
    this._scroller.hidden = !this._list.childElementCount;
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
    this._putFlows();
    this._end.disabled = this._whole;
    setText(this._end, this.word(this._whole ? "beginning" : "more"));
    // Still in sight: the watcher tells changes only.
    this._watcher.unobserve(this._end);
    if (SCROLLS) this._watcher.observe(this._end);
  }

  _put(signal) {
    const told = JSON.stringify([signal, this.picture?.waiting_signal === signal.signal_id]);
    const known = this._items.get(signal.seq);
    if (known?.told === told) return;
    const element = this._item(signal, known?.element.classList.contains("opened"));
    this._items.set(signal.seq, { told, element, signal });
    if (known) {
      element.dataset.time = known.element.dataset.time;
      known.element.replaceWith(element);
      return;
    }
    this._insert(element, Date.parse(signal.time));
  }

  _what(signalId) {
    return this.word(WAYS.find((way) => signalId === way || signalId.startsWith(`${way}-`)) ?? "signal");
  }

  // How it stands, in a word: a result, or what an open signal waits for.
  _standing({ result, legs, trades }) {
    if (result === "executed" && !trades.length) return "aligned";
    if (result === "open" && !legs.some((leg) => ON_THE_WAY.includes(leg.result))) return "later";
    return result;
  }

  // Why it is not simply done, in words.
  _why(signal) {
    const { tell, picture } = this;
    if (signal.result === "executed") return "";
    const failed = signal.legs.find((leg) => leg.result === "rejected");
    const words = inWords(signal.reason, tell, picture?.quote) || inWords(failed?.reason, tell, picture?.quote);
    if (!words && signal.result === "rejected") return inWords("invalid", tell);
    return words;
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
    const tags = trades.slice(0, MAX_TAGS).map((trade) => tag(this, trade));
    if (trades.length > MAX_TAGS) tags.push(h("li", { class: "tag" }, `+${trades.length - MAX_TAGS}`));
    const standing = this._standing(signal);
    const why = this._why(signal);
    const item = h(
      "li",
      { class: `item${opened ? " opened" : ""}`, "data-seq": signal.seq, "data-signal": signal.signal_id },
      h("span", { class: `mark ${standing}` }, sign(standing)),
      h(
        "div",
        {},
        h(
          "div",
          { class: "line" },
          h("b", {}, `${this._what(signal.signal_id)} · ${word(standing)}`),
          h("time", { datetime: signal.time, title: format.dateTime(signal.time) }, format.relative(signal.time)),
        ),
        why && h("p", { class: "why" }, why),
        signal.reasoning && h("p", { class: "reasoning" }, because(signal.reasoning, this.tell)),
        tags.length > 0 && h("ul", { class: "tags" }, ...tags),
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

  _flowItem(flow) {
    const { word, format } = this;
    const coins = flow.coin && `${format.quantity(flow.quantity)} ${flow.coin}`;
    const why = flow.explanation !== flow.kind && flow.explanation && word(`why_${flow.explanation}`);
    const what = [coins, why].filter(Boolean).join(" · ");
    const kind = flow.kind === "initial" && this.picture?.scope === "wallet" ? "taken_in" : flow.kind;
    return h(
      "li",
      { class: "item flow-item", "data-flow": flow.seq },
      h("span", { class: "mark moved" }, sign(FLOW_SIGNS[flow.kind] ?? flow.kind)),
      h(
        "div",
        {},
        h(
          "div",
          { class: "line" },
          h("b", {}, `${word(kind)} · ${format.eur(flow.amount, true)}`),
          h("time", { datetime: flow.time, title: format.dateTime(flow.time) }, format.relative(flow.time)),
        ),
        what && h("p", { class: "why" }, what),
        flow.note && h("p", { class: "reasoning" }, flow.note),
        this._mayChange(flow) &&
          h(
            "div",
            { class: "foot" },
            h("span"),
            h(
              "button",
              { type: "button", class: "unfold", onclick: () => changeFlow(this, flow, () => this._readFlows()) },
              word("change_flow"),
              h("span", { class: "hidden" }, `${word(kind)}, ${format.dateTime(flow.time)}`),
            ),
          ),
      ),
    );
  }

  // What began the book, corrections and what a whole account was paid stay as they are.
  _mayChange({ kind, coin }) {
    const money = ["deposit", "withdrawal"].includes(kind) && !coin;
    return money && this.hass.user?.is_admin && this.picture?.scope !== "wallet";
  }

  _meter(confidence) {
    const text = this.format.percent(confidence * 100, false, 0);
    const bar = h("i");
    bar.style.setProperty("--level", `${confidence * 100}%`);
    return h("span", { class: "meter" }, `${this.word("confidence")} ${text}`, bar);
  }

  _more(signal, undone) {
    const { word, format, tell, picture } = this;
    const reason = (text) => inWords(text, tell, picture?.quote);
    const parts = [];
    if (signal.trades.length) {
      const head = ["trades", "quantity", "price", "amount", "fee"].map((name) =>
        h("th", { scope: "col" }, word(name)),
      );
      const rows = signal.trades.map((trade) =>
        h(
          "tr",
          {},
          h(
            "td",
            {},
            h("b", { class: trade.side === "BUY" ? "up" : "down" }, word(trade.side.toLowerCase())),
            ` ${trade.coin}`,
          ),
          h("td", {}, format.quantity(trade.quantity)),
          h("td", {}, format.price(trade.price)),
          h(
            "td",
            {},
            // Of two coins it is in the other one.
            trade.quote === picture?.quote
              ? format.amount(trade.amount)
              : `${format.quantity(trade.amount)} ${trade.quote}`,
          ),
          h(
            "td",
            {},
            trade.fees
              .map((fee) => `${format.quantity(Number(Number(fee.amount).toPrecision(3)))} ${fee.asset}`)
              .join(", "),
          ),
        ),
      );
      parts.push(
        h(
          "div",
          { style: "overflow-x: auto", tabindex: "0", role: "group", "aria-label": word("trades") },
          h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows)),
        ),
      );
    }
    for (const [title, legs] of [
      ["left_out", undone.filter((leg) => leg.result === "left_out")],
      ["not_done", undone.filter((leg) => leg.result !== "left_out")],
    ]) {
      if (!legs.length) continue;
      const line = (leg) =>
        h(
          "li",
          {},
          word("leg", {
            side: word(leg.side.toLowerCase()),
            coin: bare(leg.symbol, picture?.quote),
            why: reason(leg.reason) || word(leg.result),
          }),
        );
      parts.push(h("h3", {}, word(title)), h("ul", {}, ...legs.map(line)));
    }
    // What could not be put into words, as it was said.
    const raw = [signal.reason, ...undone.map((leg) => leg.reason)].filter(
      (text) => text && (!reason(text) || /\(-?\d+\)$/.test(text)),
    );
    if (raw.length) parts.push(h("h3", {}, word("as_told")), ...[...new Set(raw)].map((text) => h("code", {}, text)));
    parts.push(
      h("h3", {}, word("signal_id")),
      h("code", {}, signal.signal_id),
      h("p", { class: "quiet" }, format.dateTime(signal.time)),
    );
    return parts;
  }
}
