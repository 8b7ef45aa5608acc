// Strategies on candles: how far each is, what it wants and has traded; and where rules are written, checked and used.

import { CalvalotCard } from "./card.js";
import { act, answer, performance } from "./data.js";
import { sure } from "./dialog.js";
import { h, setText } from "./dom.js";
import { because, refusal } from "./wording.js";

const ANEW = 30e3;
// What an AI task that makes data says of itself.
const GENERATES = 1;

// Whether a language model of Home Assistant can write rules.
const models = ({ states }) =>
  Object.entries(states).some(
    ([id, { state, attributes }]) =>
      id.startsWith("ai_task.") && state !== "unavailable" && attributes.supported_features & GENERATES,
  );

export class StrategiesCard extends CalvalotCard {
  heading = "strategies";

  build() {
    const { word } = this;
    this._told = this._known = undefined;
    this._list = h("div", { class: "open-orders" });
    this._rules = h("textarea", { rows: 14, spellcheck: "false", "aria-label": word("write_strategy") });
    this._template = h("select", { "aria-label": word("template"), onchange: () => this._start() });
    const field = (label, value, type = "text") => {
      const input = h("input", { type, value, name: label });
      return [input, h("label", {}, h("span", {}, word(label)), input)];
    };
    const [coins, coinsField] = field("traded_coins", "BTC");
    const [weight, weightField] = field("weight_percent", "50", "number");
    Object.assign(this, { _coins: coins, _weight: weight });
    this._about = h("p", { class: "quiet", hidden: true });
    this._wish = h("textarea", { rows: 3, maxlength: 2000, "aria-label": word("describe") });
    this._draft = h("button", { type: "button", class: "act", onclick: () => this._write() }, word("draft"));
    this._model = h(
      "div",
      { class: "order-form" },
      h("label", {}, h("span", {}, word("describe")), this._wish),
      h("p", { class: "quiet" }, word("draft_hint")),
      h("div", { class: "buttons" }, this._draft),
    );
    this._said = h("p", { role: "status" });
    this._refused = h("p", { class: "refused", role: "alert" });
    this._live = h("p", { class: "quiet" }, word("use_dry_run"));
    const check = h("button", { type: "button", class: "act", onclick: () => this._check() }, word("check"));
    const onclick = () => this._test("", { rules: this._rules.value, coin: this._data.coin });
    const test = h("button", { type: "button", class: "act", onclick }, word("backtest_it"));
    this._use = h("button", { type: "submit", class: "act strong" }, word("use_it"));
    this._form = h(
      "form",
      { class: "allocation order-form", onsubmit: (event) => this._review(event) },
      this._template,
      this._about,
      this._model,
      this._rules,
      h("div", { class: "pair" }, coinsField, weightField),
      this._said,
      this._refused,
      this._live,
      h("div", { class: "buttons" }, check, test, this._use),
    );
    this._editor = h("details", {}, h("summary", {}, word("write_strategy")), this._form);
    return [this._list, this._editor];
  }

  // What it shows it asks for itself, where something has happened, else from time to time: pictures come with every price.
  update() {
    const { mode, sources, paused, last_signal: signal, last_trade: trade } = this.picture;
    const live = mode === "live";
    this._editor.hidden = !this.hass.user?.is_admin;
    this._model.hidden = !models(this.hass);
    this._use.hidden = live;
    this._live.hidden = !live;
    const known = JSON.stringify([sources, paused, signal, trade]);
    if (known === this._known && Date.now() - this._at < ANEW) return;
    this._known = known;
    this._read();
  }

  tick() {
    this.update();
  }

  async _read() {
    const { hass, follower, word, tell } = this;
    const asked = Date.now();
    this._at = asked;
    let known;
    try {
      known = await answer(hass, "get_strategies", this._named);
    } catch {
      return; // It is being set up anew; the next picture asks again.
    }
    if (asked !== this._at || !this.picture) return;
    if (!this._template.childElementCount) {
      const option = (value, text) => h("option", { value }, text);
      const names = known.ready_made.map((name) => option(name, tell(`rule_made_${name}`)));
      this._template.append(option("", word("template")), ...names);
    }
    const told = JSON.stringify(known);
    if (told === this._told) return;
    const { by_source: parts } = await performance(hass, follower.entry_id).catch(() => ({}));
    if (asked !== this._at) return;
    this._told = told;
    const items = known.strategies.map((each) => this._item(each, parts));
    this._list.replaceChildren(...(items.length ? items : [h("p", { class: "quiet" }, word("no_strategies"))]));
  }

  _item(each, parts) {
    const { word, format, tell, picture, hass } = this;
    const { warm_up: progress, levels, shares, paused, problem, failure, trades } = each;
    const part = parts?.sources.find(({ source }) => source === each.source)?.contribution;
    const price = (value) => (value === null ? "–" : format.price(value));
    const wanted = Object.entries(shares).filter(([, share]) => share);
    const chip = (kind, ...text) => h("span", { class: `chip ${kind}` }, word(...text));
    const line = (text) => text && h("p", { class: "quiet" }, text);
    const button = (name, kind, data) => {
      const onclick = () => this._sure(each, name, kind, data);
      return h("button", { type: "button", class: "act", onclick }, word(name));
    };
    const list = wanted.map(([code, share]) => `${format.percent(share)} ${code}`).join(", ");
    const points = Object.entries(levels).map(
      ([coin, { stop, profit, held_by: by }]) =>
        `${word("levels_of", { coin, stop: price(stop), profit: price(profit) })} (${word(`held_by_${by}`)})`,
    );
    const trade = ({ time, side, quantity, coin, price: paid }) =>
      h(
        "li",
        {},
        h("span", {}, `${word(side.toLowerCase())} ${format.quantity(quantity)} ${coin}`),
        h("span", {}, `${format.price(paid)} ${picture.quote} · ${format.dateTime(time)}`),
      );
    return h(
      "section",
      { class: "plan", "aria-label": each.name, "data-strategy": each.source },
      h("h3", {}, `${each.name ?? each.source} · ${each.coins.join(", ")} · ${each.time_frame}`),
      h(
        "div",
        { class: "chips" },
        paused && chip("warn", "paused"),
        progress?.count < progress?.needed && chip("warn", "warming_up", progress),
      ),
      problem && h("p", { class: "refused" }, word(`undecided_${problem}`), failure && ` ${failure}`),
      each.sentence && h("p", {}, each.sentence),
      line(word("wants", { shares: list || "–" })),
      line(points.join(" · ")),
      line(each.reason && `${because(each.reason, tell)} · ${format.dateTime(each.decided)}`),
      line(part && word("contributed", { profit: format.percent(part, true, 2), day: format.day(parts.since, true) })),
      trades.length > 0 &&
        h("details", {}, h("summary", {}, word("last_trades")), h("ul", { class: "rows" }, ...trades.map(trade))),
      hass.user?.is_admin &&
        h(
          "div",
          { class: "buttons" },
          h(
            "button",
            {
              type: "button",
              class: "act",
              onclick: () => this._test(each.name ?? each.source, { source: each.source }),
            },
            word("backtest_it"),
          ),
          wanted.length > 0 && !paused && button("sell_now", "sell_strategy", {}),
          paused
            ? button("resume", "pause_strategy", { paused: false })
            : button("stop", "pause_strategy", { paused: true }),
        ),
    );
  }

  // On the candles of the past year; what comes of it is on the page of backtests.
  _test(name, what) {
    const { word, hass, follower } = this;
    const send = () => answer(hass, "run_backtest", { config_entry_id: follower.entry_id, ...what });
    const title = name ? `${word("backtest_it")}: ${name}` : word("backtest_it");
    sure(this, title, [h("p", {}, word("backtest_it_does"))], word("backtest_begin"), send);
  }

  // What it would do, and only then it does.
  _sure(each, name, service, data) {
    const { hass, follower, picture } = this;
    const alone = name === "stop" && picture.sources.length === 1;
    const send = () => act(hass, service, { config_entry_id: follower.entry_id, source: each.source, ...data });
    this._ask(name, `: ${each.name ?? each.source}`, this.word(alone ? "stop_does_alone" : `${name}_does`), send);
  }

  _ask(name, what, text, send) {
    const { word, picture } = this;
    const mode = h("p", { class: `mode-line ${picture.mode}` }, word(picture.mode));
    sure(this, word(name) + what, [mode, h("p", {}, text)], word(name), async () => {
      await send();
      this._read();
    });
  }

  // Which portfolio, and the language of sentences.
  get _named() {
    const { locale, language } = this.hass;
    return { config_entry_id: this.follower.entry_id, language: locale?.language ?? language };
  }

  get _data() {
    const coin = this._coins.value.split(/[\s,;]+/).filter(Boolean);
    return { ...this._named, rules: this._rules.value, coin };
  }

  async _start() {
    const { word, tell } = this;
    const strategy = this._template.value;
    const weak = tell(`rule_made_${strategy}_weak`);
    setText(this._about, weak && `${tell(`rule_made_${strategy}_idea`)} ${word("weak_in", { weak })}`);
    this._about.hidden = !weak;
    if (!strategy) return;
    const told = await answer(this.hass, "check_strategy", { ...this._named, strategy });
    this._rules.value = told.rules;
    this._check();
  }

  // Whether the rules can be used, and what they say.
  async _check() {
    return (await this._asked("check_strategy", this._data)).valid;
  }

  async _asked(service, data) {
    const told = await answer(this.hass, service, data).catch(async (error) => ({
      problem: await refusal(this.hass, error),
    }));
    setText(this._said, told.sentence ?? "");
    setText(this._refused, told.problem ?? "");
    return told;
  }

  // Rules that a language model writes; they are looked at like any others.
  async _write() {
    const description = this._wish.value.trim();
    if (!description) return;
    const { coin } = this._data;
    this._draft.disabled = true;
    setText(this._said, this.word("drafting"));
    const { rules } = await this._asked("draft_strategy", { ...this._named, coin, description });
    this._draft.disabled = false;
    if (rules) this._rules.value = rules;
  }

  async _review(event) {
    event.preventDefault();
    if (!(await this._check())) return;
    const { word, hass, format } = this;
    const data = { ...this._data, weight: this._weight.value };
    const does = word("use_does", { weight: format.percent(Number(data.weight), false, 0) });
    this._ask("use_it", "", `${this._said.textContent} ${does}`, async () => {
      await answer(hass, "set_strategy", { ...data, confirm: true });
      setText(this._said, word("strategy_used"));
    });
  }
}
