// A signal that waits for its owner: what would be traded, until when, and the buttons.

import { act, answer } from "./data.js";
import { h, setText } from "./dom.js";
import { sign } from "./icons.js";
import { bare, refusal } from "./wording.js";

const PLANS = new Map();

// One question for all cards of a page that show the same signal.
function plan(hass, entryId, signalId) {
  const key = `${entryId} ${signalId}`;
  if (!PLANS.has(key)) {
    PLANS.clear();
    PLANS.set(key, answer(hass, "preview", { config_entry_id: entryId }));
    PLANS.get(key).catch(() => PLANS.delete(key));
  }
  return PLANS.get(key);
}

export class Approval {
  constructor(card) {
    this._card = card;
    this._until = h("p", { class: "until" });
    this._plan = h("ul", { class: "tags" });
    this._refused = h("p", { class: "refused", role: "alert" });
    this._buttons = h("div", { class: "buttons" });
    this.element = h(
      "div",
      { class: "ask", role: "group", "aria-label": card.word("waiting"), hidden: true },
      h("h3", {}, sign("later"), card.word("waiting")),
      this._until,
      this._plan,
      this._buttons,
      this._refused,
    );
  }

  update() {
    const { picture, word, format, hass } = this._card;
    const signalId = picture?.waiting_signal ?? undefined;
    this.element.hidden = !signalId;
    if (signalId) {
      const { waiting_until: until } = picture;
      setText(this._until, word("wait_until", { time: format.dateTime(until), left: format.relative(until) }));
    }
    if (signalId === this._signalId) return;
    this._signalId = signalId;
    this._plan.replaceChildren();
    this._buttons.replaceChildren();
    setText(this._refused, "");
    if (!signalId) return;
    this.element.dataset.waits = signalId;
    // Only administrators may decide over money.
    if (hass.user?.is_admin)
      this._buttons.append(this._button("approve", "executed", "strong"), this._button("reject", "rejected"));
    else this._buttons.append(h("p", { class: "quiet" }, word("administrator_decides")));
    this._load(signalId);
  }

  _button(service, icon, kind = "") {
    const { word } = this._card;
    return h(
      "button",
      { type: "button", class: `act ${kind} ${service}`, onclick: () => this._decide(service) },
      sign(icon),
      word(service),
    );
  }

  async _decide(service) {
    const { hass, follower } = this._card;
    const buttons = this._buttons.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    setText(this._refused, "");
    try {
      await act(hass, service, { config_entry_id: follower.entry_id, signal_id: this._signalId });
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  async _load(signalId) {
    const { hass, follower } = this._card;
    try {
      const { orders } = await plan(hass, follower.entry_id, signalId);
      if (signalId !== this._signalId) return;
      const { quote } = this._card.picture ?? {};
      this._plan.replaceChildren(
        ...orders.map((order) => tag(this._card, { ...order, coin: bare(order.symbol, quote) })),
      );
    } catch {
      // Without the plan the question stays.
    }
  }
}

// An order or a trade in a line.
export function tag({ word, format, picture }, { side, coin, amount }) {
  const buy = side === "BUY";
  return h(
    "li",
    { class: "tag" },
    h("b", { class: buy ? "up" : "down" }, word(buy ? "buy" : "sell")),
    `${coin} · ${format.amount(amount, picture?.quote)}`,
  );
}
