// Deposits and withdrawals that were seen on the account: booked, or dismissed, by whoever may.

import { act } from "./data.js";
import { h, setText } from "./dom.js";
import { refusal } from "./wording.js";

export class Proposals {
  constructor(card) {
    this._card = card;
    this._rows = h("div");
    this._refused = h("p", { class: "refused", role: "alert" });
    this.element = h(
      "div",
      { class: "proposed", hidden: true },
      this._rows,
      h("p", { class: "quiet" }, card.word("proposed_hint")),
      this._refused,
    );
  }

  update() {
    const { picture, hass } = this._card;
    const proposals = (hass.user?.is_admin && picture.proposals) || [];
    const told = JSON.stringify(proposals);
    this.element.hidden = !proposals.length;
    if (told === this._told) return;
    this._told = told;
    setText(this._refused, "");
    this._rows.replaceChildren(...proposals.map((proposal) => this._row(proposal)));
  }

  _row({ id, kind, time, amount, amount_quote: quote }) {
    const { word, format, picture } = this._card;
    const sum = amount === null ? format.amount(Math.abs(quote), picture.quote) : format.eur(Math.abs(amount));
    const button = (name, service, look = "") =>
      h(
        "button",
        { type: "button", class: `act ${look}`, onclick: ({ target }) => this._decide(target, service, id) },
        word(name),
      );
    return h(
      "div",
      { class: "proposal", "data-proposal": id },
      h("p", {}, word(`proposed_${kind}`, { amount: sum, time: format.dateTime(time) })),
      button("accept_flow", "accept_cash_flow", "strong"),
      button("dismiss_flow", "dismiss_cash_flow"),
    );
  }

  async _decide(button, service, proposal) {
    const { hass, follower } = this._card;
    button.disabled = true;
    try {
      await act(hass, service, { config_entry_id: follower.entry_id, proposal });
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
      button.disabled = false;
    }
  }
}
