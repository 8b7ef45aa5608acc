// What is asked for before a backtest begins.

import { answer } from "./data.js";
import { h, setText } from "./dom.js";
import { refusal } from "./wording.js";

const DAY = 864e5;
const WRITTEN = "written";
const day = (time) => new Date(time).toISOString().slice(0, 10);

// `begin(data)` is called with what run_backtest is asked for; `known` is what may be chosen from.
export class BacktestForm {
  constructor(card, begin) {
    const { word } = card;
    this._card = card;
    this._begin = begin;
    this._strategy = h("select", { name: "strategy", onchange: () => this._read() });
    this._rules = h("textarea", { rows: 10, spellcheck: "false", name: "rules", onchange: () => this._read() });
    this._rulesField = this._field("backtest_rules", this._rules);
    this._sentence = h("p", { class: "quiet", role: "status" });
    this._coins = h("input", { name: "coins", value: "BTC", onchange: () => this._read() });
    this._frame = h("select", { name: "time_frame" });
    this._from = h("input", { type: "date", name: "from", value: day(Date.now() - 365 * DAY) });
    this._until = h("input", { type: "date", name: "until", value: day(Date.now()) });
    const number = (name, value, attributes = {}) =>
      h("input", { type: "number", name, value, min: 0, step: "any", ...attributes });
    this._budget = number("budget", 10000, { min: 1, required: true });
    this._fee = number("fee", 0.1, { required: true });
    this._slippage = number("slippage", undefined, { placeholder: word("backtest_usual") });
    this._share = number("share", 100, { min: 1, max: 100, required: true });
    this._inside = h("select", { name: "inside" });
    this._name = h("input", { name: "name", maxlength: 100 });
    this._parameters = h("div", { class: "grid" });
    this._numbers = h("fieldset", { hidden: true }, h("legend", {}, word("backtest_parameters")), this._parameters);
    this._refused = h("p", { class: "refused", role: "alert" });
    this._go = h("button", { type: "submit", class: "act strong" }, word("backtest_begin"));
    const grid = (...fields) => h("div", { class: "grid" }, ...fields);
    this.element = h(
      "form",
      { class: "allocation order-form backtest-form", onsubmit: (event) => this._submit(event) },
      grid(this._field("backtest_strategy", this._strategy), this._field("traded_coins", this._coins)),
      this._rulesField,
      this._sentence,
      grid(
        this._field("backtest_frame", this._frame),
        this._field("backtest_from", this._from),
        this._field("backtest_until", this._until),
        this._field("backtest_budget", this._budget),
        this._field("backtest_fee", this._fee),
      ),
      this._numbers,
      h(
        "details",
        {},
        h("summary", {}, word("backtest_more_settings")),
        grid(
          this._field("backtest_slippage", this._slippage),
          this._field("backtest_share", this._share),
          this._field("backtest_inside", this._inside),
          this._field("backtest_name", this._name),
        ),
      ),
      this._refused,
      h("div", { class: "buttons" }, this._go),
    );
  }

  // Strategies, time frames and the quote asset that there are to choose from.
  offer({ ready_made: made, files, time_frames: frames, quote }) {
    const { word, tell } = this._card;
    const option = (value, text) => h("option", { value }, text);
    const group = (label, options) => options.length > 0 && h("optgroup", { label }, ...options);
    this._strategy.replaceChildren(
      ...[
        group(
          word("backtest_made"),
          made.map((name) => option(name, tell(`rule_made_${name}`) || name)),
        ),
        group(
          word("backtest_files"),
          files.map((name) => option(name, name)),
        ),
        group(word("backtest_own"), [option(WRITTEN, word("backtest_rules"))]),
      ].filter(Boolean),
    );
    const names = frames.map((frame) => option(frame, frame));
    this._frame.replaceChildren(option("", word("backtest_frame_own")), ...names);
    this._inside.replaceChildren(option("", word("backtest_inside_not")), ...names.map((each) => each.cloneNode(true)));
    setText(this._budget.previousElementSibling, word("backtest_budget", { quote }));
    this._read();
  }

  busy(name) {
    this._go.disabled = Boolean(name);
    this._go.title = name ? this._card.word("backtest_waits", { name }) : "";
  }

  refuse(text) {
    setText(this._refused, text);
  }

  // Rules to be tested as they are, from elsewhere.
  write(rules, coins) {
    this._strategy.value = WRITTEN;
    this._rules.value = rules;
    this._coins.value = coins.join(", ");
    this._read();
  }

  // Inside

  _field(name, input) {
    return h("label", {}, h("span", {}, this._card.word(name)), input);
  }

  get _named() {
    const { follower, hass } = this._card;
    return { config_entry_id: follower.entry_id, language: hass.locale?.language ?? hass.language };
  }

  get _coin() {
    return this._coins.value.split(/[\s,;]+/).filter(Boolean);
  }

  get _chosen() {
    const strategy = this._strategy.value;
    return strategy === WRITTEN ? { rules: this._rules.value } : { strategy };
  }

  // What the strategy says, and which of its numbers may be others.
  async _read() {
    const written = this._strategy.value === WRITTEN;
    this._rulesField.hidden = !written;
    this.refuse("");
    const turn = {};
    this._turn = turn;
    if (!this._strategy.value || (written && !this._rules.value.trim())) return this._tell({ parameters: {} });
    const { hass } = this._card;
    const told = await answer(hass, "check_strategy", { ...this._named, ...this._chosen, coin: this._coin }).catch(
      async (error) => ({ problem: await refusal(hass, error) }),
    );
    if (turn === this._turn) this._tell(told);
  }

  _tell({ sentence = "", problem = "", parameters = {}, time_frame: frame }) {
    setText(this._sentence, sentence);
    this.refuse(problem);
    const first = this._frame.options[0];
    if (first) setText(first, this._card.word("backtest_frame_own") + (frame ? ` (${frame})` : ""));
    const known = JSON.stringify(parameters);
    if (known === this._known) return;
    this._known = known;
    this._usual = parameters;
    const names = Object.entries(parameters);
    this._numbers.hidden = !names.length;
    this._parameters.replaceChildren(
      ...names.map(([name, value]) =>
        h("label", {}, h("span", {}, name), h("input", { type: "number", step: "any", "data-parameter": name, value })),
      ),
    );
  }

  get _data() {
    const { _named: named } = this;
    const data = { config_entry_id: named.config_entry_id, ...this._chosen, coin: this._coin };
    const given = {
      time_frame: this._frame,
      from: this._from,
      until: this._until,
      inside: this._inside,
      name: this._name,
    };
    for (const [name, { value }] of Object.entries(given)) if (value.trim()) data[name] = value.trim();
    const numbers = { budget: this._budget, fee: this._fee, slippage: this._slippage, share: this._share };
    for (const [name, { value }] of Object.entries(numbers)) if (value !== "") data[name] = Number(value);
    const parameters = {};
    for (const { value, dataset } of this._parameters.querySelectorAll("[data-parameter]")) {
      const name = dataset.parameter;
      if (value !== "" && Number(value) !== this._usual[name]) parameters[name] = Number(value);
    }
    if (Object.keys(parameters).length) data.parameters = parameters;
    return data;
  }

  async _submit(event) {
    event.preventDefault();
    this.refuse("");
    this._go.disabled = true;
    try {
      await this._begin(this._data);
    } catch (error) {
      this.refuse(await refusal(this._card.hass, error));
      this._go.disabled = false;
    }
  }
}
