// Shares of an own allocation, to be changed: sliders and numbers with their sum, ready-made ones, and one given by a friend.

import { readyMade } from "./data.js";
import { Dialog } from "./dialog.js";
import { h, setAttribute, setText } from "./dom.js";
import { coin } from "./icons.js";
import { refusal } from "./wording.js";

const CODE = /^[A-Z0-9]{1,20}$/;
const READY_MADE = ["equal_parts", "market_cap", "sixty_forty", "as_held"];
const CAP = 40;
// Tenths of a per cent: sums of decimals as a browser reckons them are off at the end.
const tenths = (share) => Math.round(Number(share) * 10);

export const same = (one, other) =>
  Object.keys(one).length === Object.keys(other).length &&
  Object.entries(one).every(([code, share]) => Number(other[code]) === Number(share));

export class Shares {
  // `changed()` is called after each change.
  constructor(card, shares, changed) {
    this._card = card;
    this._changed = changed;
    this._stored = shares;
    this._list = h("ol", { class: "shares" });
    this._sum = h("p", { class: "share-sum", role: "status" });
    this._code = h("input", {
      type: "text",
      name: "coin",
      autocapitalize: "characters",
      autocomplete: "off",
      "aria-label": card.word("add_coin"),
      placeholder: card.word("add_coin"),
    });
    const form = h(
      "form",
      { class: "add", onsubmit: (event) => this._add(event) },
      this._code,
      h("button", { type: "submit", class: "act" }, card.word("add")),
    );
    const options = READY_MADE.map((name) => h("option", { value: name }, card.word(name, { cap: CAP })));
    this._from = h(
      "select",
      { "aria-label": card.word("start_from"), onchange: () => this._start() },
      h("option", { value: "" }, card.word("start_from")),
      ...options,
    );
    this._back = this._button("as_kept", () => this._set(this._stored));
    this._undo = this._button("undo", () => this._set(this._before));
    this._undo.hidden = true;
    this._said = h("p", { class: "refused", role: "alert" });
    this.element = h(
      "div",
      { class: "allocation" },
      this._list,
      this._sum,
      h(
        "div",
        { class: "tools" },
        form,
        this._from,
        this._back,
        this._undo,
        this._button("share", () => this._share()),
        this._button("take_over", () => this._take()),
      ),
      this._said,
    );
    this._set(shares, false);
  }

  _button(name, run) {
    return h("button", { type: "button", class: "act", "data-act": name, onclick: run }, this._card.word(name));
  }

  // Shares in % by coin.
  get values() {
    return Object.fromEntries([...this._rows].map(([code, { number }]) => [code, Number(number.value)]));
  }

  get wrong() {
    const shares = [...this._rows.values()].map(({ number }) => number);
    return (
      !shares.length || this._whole > 1000 || shares.some(({ value, validity }) => value === "" || !validity.valid)
    );
  }

  get _whole() {
    return Object.values(this.values).reduce((sum, share) => sum + tenths(share), 0);
  }

  inWords() {
    const { format } = this._card;
    const shares = Object.entries(this.values).map(([code, share]) => `${code} ${format.percent(share)}`);
    const cash = `${this._card.word("cash")} ${format.percent((1000 - this._whole) / 10)}`;
    return [...shares, cash].join(", ");
  }

  // They are kept somewhere else, too; what is being changed here stays.
  stored(shares) {
    if (same(shares, this._stored)) return;
    const untouched = same(this.values, this._stored);
    this._stored = shares;
    if (untouched) this._set(shares, false);
    else this._tell();
  }

  // They are kept from now on; `before` can be had again.
  keep(before) {
    this._before = before;
    this._undo.hidden = false;
    this._stored = this.values;
    this._tell();
  }

  _set(shares, told = true) {
    this._rows = new Map();
    for (const [code, share] of Object.entries(shares)) this._row(code, share);
    this._list.replaceChildren(...[...this._rows.values()].map(({ element }) => element));
    setText(this._said, "");
    this._tell();
    if (told) this._changed();
  }

  _row(code, share) {
    const { word } = this._card;
    const label = word("share_of", { coin: code });
    const slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": label });
    const number = h("input", {
      type: "number",
      name: code,
      min: 0,
      max: 100,
      step: "any",
      inputmode: "decimal",
      "aria-label": label,
    });
    slider.value = number.value = share;
    const fill = () => slider.style.setProperty("--at", `${slider.value}%`);
    fill();
    const changed = (from, to) => () => {
      to.value = from.value;
      fill();
      this._tell();
      this._changed();
    };
    slider.addEventListener("input", changed(slider, number));
    number.addEventListener("input", changed(number, slider));
    const remove = h(
      "button",
      {
        type: "button",
        class: "remove",
        "aria-label": word("remove_coin", { coin: code }),
        onclick: () => this._drop(code),
      },
      "×",
    );
    const element = h(
      "li",
      { "data-coin": code },
      h("span", { class: "name" }, coin(code), h("b", {}, code)),
      slider,
      h("span", { class: "number" }, number, "%"),
      remove,
    );
    this._rows.set(code, { element, number });
    return element;
  }

  _drop(code) {
    this._rows.get(code).element.remove();
    this._rows.delete(code);
    this._tell();
    this._changed();
  }

  _add(event) {
    event.preventDefault();
    const { word } = this._card;
    const code = this._code.value.trim().toUpperCase();
    const wrong = !CODE.test(code) ? "no_code" : this._rows.has(code) ? "coin_there" : undefined;
    setText(this._said, wrong ? word(wrong, { coin: code }) : "");
    if (wrong) return;
    this._list.append(this._row(code, 0));
    this._code.value = "";
    this._rows.get(code).number.focus();
    this._tell();
    this._changed();
  }

  _tell() {
    const { word, format } = this._card;
    const whole = this._whole / 10;
    const [key, share] = whole > 100 ? ["shares_too_much", whole - 100] : ["shares_cash", 100 - whole];
    setText(this._sum, word(key, { sum: format.percent(whole), share: format.percent(share) }));
    setAttribute(this._sum, "class", `share-sum ${whole > 100 ? "down" : ""}`);
    this._back.hidden = same(this.values, this._stored);
  }

  async _start() {
    const name = this._from.value;
    this._from.value = "";
    if (!name) return;
    const { hass, follower, word } = this._card;
    const shares = Object.fromEntries(Object.entries(this.values).map(([code, share]) => [code, share || 0]));
    try {
      const made = (await readyMade(hass, follower.entry_id, shares, CAP))[name];
      if (Object.keys(made).length) this._set(made);
      const without = Object.keys(shares).filter((code) => !(code in made));
      if (name === "market_cap" && without.length)
        setText(this._said, word("no_market_cap", { coins: without.join(", ") }));
    } catch (error) {
      setText(this._said, await refusal(hass, error));
    }
  }

  _share() {
    const { word } = this._card;
    const dialog = new Dialog(this._card, word("share"));
    const text = h("textarea", { readonly: true, rows: 4, "aria-label": word("share") });
    text.value = JSON.stringify({ calvalot: { allocation: this.values } });
    const copy = async () => {
      text.select();
      // Without https there is no clipboard but the old one.
      if (navigator.clipboard) await navigator.clipboard.writeText(text.value);
      else document.execCommand("copy");
      dialog.refuse(word("copied"));
    };
    dialog.show([h("p", {}, word("share_hint")), text], [word("copy"), copy, "strong"], [word("close")]);
  }

  _take() {
    const { word } = this._card;
    const dialog = new Dialog(this._card, word("take_over"));
    const text = h("textarea", { rows: 4, required: true, "aria-label": word("take_over") });
    const take = () => {
      const shares = parsed(text.value);
      if (!shares) return dialog.refuse(word("no_allocation"));
      this._set(shares);
      dialog.close();
    };
    dialog.show([h("p", {}, word("take_hint")), text], [word("take_over"), take, "strong"], [word("cancel")]);
    text.focus();
  }
}

// Shares that a friend has given; undefined where the text is something else.
function parsed(text) {
  try {
    const shares = Object.entries(JSON.parse(text).calvalot.allocation);
    const whole = shares.reduce((sum, [, share]) => sum + tenths(share), 0);
    const right = ([code, share]) => CODE.test(code) && typeof share === "number" && share >= 0;
    return shares.length && shares.every(right) && whole <= 1000 ? Object.fromEntries(shares) : undefined;
  } catch {
    return undefined;
  }
}
