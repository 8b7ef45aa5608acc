// What is asked for before a backtest begins.

import { CHOSEN_BY } from "./backtest_result.js";
import { answer } from "./data.js";
import { h, setText } from "./dom.js";
import { refusal } from "./wording.js";

const DAY = 864e5;
const WRITTEN = "written";
// A source of the portfolio, as a choice.
const OF = "source:";
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
    this._by = h(
      "select",
      { name: "by" },
      ...Object.entries(CHOSEN_BY).map(([value, name]) => h("option", { value }, word(name))),
    );
    this._sweep = h("div", { class: "grid" });
    this._forward = number("walk_forward", undefined, { max: 20, step: 1 });
    this._shuffle = number("monte_carlo", undefined, { max: 100000, step: 1 });
    this._many = h(
      "details",
      {},
      h("summary", {}, word("backtest_many")),
      h("p", { class: "quiet" }, word("backtest_sweep_how")),
      this._sweep,
      h(
        "div",
        { class: "grid" },
        this._field("backtest_by", this._by),
        this._field("backtest_steps", this._forward),
        this._field("backtest_rounds", this._shuffle),
      ),
    );
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
      this._many,
      this._refused,
      h("div", { class: "buttons" }, this._go),
    );
  }

  // Strategies, time frames and the quote asset that there are to choose from.
  offer({ ready_made: made, files, sources, time_frames: frames, quote }) {
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
        group(
          word("backtest_of_portfolio"),
          sources.map(({ source, kind, name }) =>
            option(
              OF + source,
              source === "all" ? word("backtest_all_sources") : name || tell(`setup_${kind}`) || kind,
            ),
          ),
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
    if (strategy.startsWith(OF)) return { source: strategy.slice(OF.length) };
    return strategy === WRITTEN ? { rules: this._rules.value } : { strategy };
  }

  // What the strategy says, and which of its numbers may be others.
  async _read() {
    const written = this._strategy.value === WRITTEN;
    this._rulesField.hidden = !written;
    this.refuse("");
    const turn = {};
    this._turn = turn;
    const chosen = this._chosen;
    // A source of the portfolio is tested as it is: its coins and numbers are its own.
    for (const each of [this._coins, this._share]) each.closest("label").hidden = Boolean(chosen.source);
    this._many.hidden = Boolean(chosen.source);
    if (!this._strategy.value || chosen.source || (written && !this._rules.value.trim())) return this._tell({});
    const { hass } = this._card;
    const told = await answer(hass, "check_strategy", { ...this._named, ...chosen, coin: this._coin }).catch(
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
    const field = (name, attributes) => h("label", {}, h("span", {}, name), h("input", attributes));
    this._parameters.replaceChildren(
      ...names.map(([name, value]) => field(name, { type: "number", step: "any", "data-parameter": name, value })),
    );
    this._sweep.replaceChildren(
      ...names.map(([name, value]) =>
        field(name, { "data-sweep": name, placeholder: `${value}:${value * 2}:${value / 4}` }),
      ),
    );
  }

  get _data() {
    const { _named: named } = this;
    const chosen = this._chosen;
    const data = { config_entry_id: named.config_entry_id, ...chosen, ...(chosen.source ? {} : { coin: this._coin }) };
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
    const shuffled = Number(this._shuffle.value);
    if (shuffled) data.monte_carlo = shuffled;
    const sweep = {};
    for (const { value, dataset } of this._sweep.querySelectorAll("[data-sweep]")) {
      if (value.trim()) sweep[dataset.sweep] = value.trim();
    }
    if (Object.keys(sweep).length) {
      Object.assign(data, { sweep, by: this._by.value });
      if (Number(this._forward.value)) data.walk_forward = Number(this._forward.value);
    }
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
