// Value, profit and loss, the curve, and how the follower is.

import { CalvalotCard } from "./card.js";
import { Chart } from "./chart.js";
import { PERIODS, cashFlows, curve } from "./data.js";
import { h, setAttribute, setText } from "./dom.js";
import { sign } from "./icons.js";
import { moveMoney, sellEverything } from "./money.js";

const DEFAULT_PERIOD = "1m";
const FRESH = 10 * 60e3;
const FACTS = ["time_weighted_return", "net_deposits", "max_drawdown", "tracking_distance", "fees_paid"];

export class PortfolioCard extends CalvalotCard {
  heading = "portfolio";
  asks = true;
  titled = true;

  static getConfigForm() {
    return super.getConfigForm((word) => [
      {
        name: "period",
        selector: { select: { mode: "dropdown", options: Object.keys(PERIODS).map((value) => ({ value, label: word(`${value}_long`) })) } },
      },
    ]);
  }

  setConfig(config) {
    if (config.period && !(config.period in PERIODS)) throw new Error(`period must be one of ${Object.keys(PERIODS).join(", ")}`);
    if (!this._period || config.period !== this.config?.period) this._period = config.period ?? DEFAULT_PERIOD;
    super.setConfig(config);
  }

  build() {
    const { word } = this;
    this._pauseSign = h("span", { style: "display: contents" });
    this._pauseText = h("span");
    this._pause = h("button", { class: "act pause", type: "button", hidden: true, onclick: () => this._togglePause() }, this._pauseSign, this._pauseText);
    this.header.append(this._pause);
    this._chips = h("ul", { class: "chips" });
    this._value = h("div", { class: "value" });
    this._gainSign = h("span");
    this._gain = h("span");
    this._percent = h("span");
    this._quote = h("span", { class: "quiet" });
    this._gainLine = h("div", { class: "gain" }, this._gainSign, this._gain, this._percent, h("span", { class: "quiet" }, word("since_start")));
    this._change = h("span");
    this._changeOf = h("span", { class: "quiet" });
    this._chart ??= new Chart();
    this._paidLegend = h("span", {}, h("i", { class: "dashed" }), word("net_deposits"));
    this._empty = h("div", { class: "empty" });
    this._buttons = Object.keys(PERIODS).map((name) =>
      h("button", { type: "button", "data-period": name, title: word(`${name}_long`), onclick: () => this._choose(name) }, word(name)),
    );
    this._limits = h("p", { class: "limits quiet" });
    this._facts = Object.fromEntries(FACTS.map((name) => [name, h("dd")]));
    return [
      this._chips,
      h(
        "div",
        { class: "head" },
        h("div", {}, this._value, this._quote, this._gainLine),
        h("div", { class: "of-period" }, this._change, this._changeOf),
      ),
      h("div", { style: "position: relative" }, this._chart.element, this._empty),
      h(
        "div",
        { class: "below" },
        h("div", { class: "legend", "aria-hidden": "true" }, h("span", {}, h("i"), word("value")), this._paidLegend),
        h("div", { class: "periods", role: "group", "aria-label": word("periods") }, ...this._buttons),
      ),
      h("dl", { class: "facts" }, ...FACTS.map((name) => h("div", {}, h("dt", {}, word(name)), this._facts[name]))),
      this._limits,
      this.hass.user?.is_admin && this._moneyButtons(),
    ].filter(Boolean);
  }

  // Money in, money out, and the way out are for administrators.
  _moneyButtons() {
    const { word } = this;
    const button = (name, act, kind = "") => h("button", { type: "button", class: `act ${kind}`, "data-act": name, onclick: () => act() }, word(name));
    return h(
      "div",
      { class: "money" },
      button("pay_in", () => moveMoney(this, "deposit")),
      button("withdraw", () => moveMoney(this, "withdrawal")),
      button("sell_all", () => sellEverything(this), "danger"),
    );
  }

  async began() {
    this._curves = new Map();
    this._flows = await cashFlows(this.hass, this.follower.entry_id).catch(() => []);
    await this._load();
  }

  gone() {
    this._pause.hidden = true;
  }

  happened(event) {
    // A cash flow brings no event of its own; it shows in what was paid in.
    if (event.kind === "alert") this.live.textContent = "";
  }

  _choose(name) {
    this._period = name;
    this._load();
  }

  async _load() {
    const name = this._period;
    this._marked();
    const known = this._curves?.get(name);
    if (!known || Date.now() - known.loaded > FRESH) {
      if (!this.follower?.entities.total_value) return;
      const loaded = await curve(this.hass, this.follower.entities, name);
      this._curves?.set(name, { ...loaded, loaded: Date.now() });
    }
    if (name === this._period && this.picture) this._draw();
  }

  _marked() {
    for (const button of this._buttons) setAttribute(button, "aria-pressed", String(button.dataset.period === this._period));
  }

  _draw() {
    const { word, format, picture } = this;
    const loaded = this._curves?.get(this._period);
    if (!loaded) return;
    const now = Date.now();
    const length = PERIODS[this._period].length;
    const from = length && loaded.start < now - length ? now - length : loaded.start;
    const value = Number(picture.total_value);
    const live = picture.total_value === null ? [] : [[now, value]];
    const points = [...loaded.points.filter(([time]) => time >= from && time < now), ...live];
    const begin = Math.max(from, points[0]?.[0] ?? from);
    const flows = this._flows ?? [];
    const paid = this._chart.show({ points, flows, from: begin, to: now, withPaid: ["1y", "all"].includes(this._period), format, word });
    this._paidLegend.hidden = !paid;
    setText(this._empty, points.length < 2 ? word("no_curve") : "");

    // From the very beginning on, profit and return are those of the book; later they count from the first point.
    const whole = !length || (flows[0]?.kind === "initial" && flows[0].at >= from);
    const moved = flows.filter((flow) => flow.at > begin && flow.kind !== "correction").reduce((sum, flow) => sum + flow.amount, 0);
    const since = whole ? Number(picture.profit_loss) : value - points[0]?.[1] - moved;
    const gain = points.length > 1 && picture.total_value !== null ? since : null;
    const now100 = picture.time_weighted_return === null ? null : 100 + Number(picture.time_weighted_return);
    const then100 = whole ? 100 : loaded.index === null ? null : 100 + loaded.index;
    const percent = now100 === null || !then100 ? "" : ` · ${format.percent((now100 / then100 - 1) * 100, true)}`;
    setText(this._change, gain === null ? "" : `${format.eur(gain, true)}${percent}`);
    this._change.className = gain > 0 ? "up" : gain < 0 ? "down" : "";
    setText(this._changeOf, gain === null ? "" : word(`${this._period}_long`));
    const span = { period: word(`${this._period}_long`), from: format.dateTime(begin), to: format.dateTime(now) };
    setAttribute(this._chart.element, "aria-label", word("curve_of", span));
  }

  update() {
    const { word, format, picture } = this;
    const profit = Number(picture.profit_loss);
    const direction = picture.profit_loss === null || !profit ? "" : profit > 0 ? "up" : "down";
    setText(this._value, format.eur(picture.total_value));
    setText(this._quote, format.amount(picture.total_value_quote, picture.quote));
    setText(this._gain, format.eur(picture.profit_loss, true));
    setText(this._percent, picture.profit_loss_percent === null ? "" : `(${format.percent(picture.profit_loss_percent, true)})`);
    this._gainLine.className = `gain ${direction}`;
    if (this._direction !== direction || !this._gainSign.firstChild) {
      this._direction = direction;
      this._gainSign.replaceChildren(...(direction ? [sign(direction === "up" ? "rise" : "fall")] : []));
    }

    const connection = (what, on) => [word(`${what}_${on === null ? "unknown" : on ? "on" : "off"}`), on === null ? "" : on ? "good" : "bad"];
    const chips = [
      picture.status === "active" && picture.exchange_connected === false
        ? [word("held_up"), "warn"]
        : [word(picture.status), { active: "good", paused: "warn", dead: "bad" }[picture.status]],
      connection("leader", picture.leader_connected),
      connection("exchange", picture.exchange_connected),
    ];
    const told = JSON.stringify(chips);
    if (this._told !== told || !this._chips.firstChild) {
      this._told = told;
      this._chips.replaceChildren(...chips.map(([text, kind]) => h("li", { class: `chip ${kind}` }, text)));
    }

    // Everybody may pause, only an administrator resumes.
    this._pause.hidden = !this.follower.entities.pause || (picture.paused && !this.hass.user?.is_admin);
    const verb = picture.paused ? "resume" : "pause";
    if (this._verb !== verb || !this._pauseSign.firstChild) {
      this._verb = verb;
      this._pauseSign.replaceChildren(sign(verb));
      setText(this._pauseText, word(verb));
    }

    const facts = {
      time_weighted_return: format.percent(picture.time_weighted_return, true, 2),
      net_deposits: format.eur(picture.net_deposits),
      max_drawdown: format.percent(picture.max_drawdown, false, 1),
      tracking_distance: format.percent(picture.tracking_distance, false, 1),
      fees_paid: format.amount(picture.fees_paid, picture.quote),
    };
    for (const name of FACTS) setText(this._facts[name], facts[name]);
    setText(this._limits, this._limitsInWords(picture.limits));
    this._marked();
    if (this._paid !== undefined && this._paid !== picture.net_deposits) this.began();
    else this._draw();
    this._paid = picture.net_deposits;
  }

  // What bounds the follower, where its owner has set something.
  _limitsInWords(limits) {
    const { word, format } = this;
    const share = (fraction, digits) => format.percent(Number(fraction) * 100, false, digits);
    const told = [];
    if (limits.stop_loss_drawdown !== null) {
      const key = limits.stop_loss_sell ? "limit_stop_loss_sell" : "limit_stop_loss";
      const now = limits.fall === null ? "" : ` (${word("limit_fall", { fall: format.percent(limits.fall, false, 1) })})`;
      told.push(word(key, { share: share(limits.stop_loss_drawdown, 0) }) + now);
    }
    if (limits.max_trades_per_day !== null) told.push(word("limit_trades", { count: limits.max_trades_per_day }));
    if (limits.max_order_share !== null) told.push(word("limit_order", { share: share(limits.max_order_share, 0) }));
    if (limits.approval === "ask") told.push(word("limit_ask"));
    return told.length ? `${word("limits")} ${told.join(" · ")}` : "";
  }

  async _togglePause() {
    this._pause.disabled = true;
    try {
      const service = this.picture.paused ? "turn_off" : "turn_on";
      await this.hass.callService("switch", service, { entity_id: this.follower.entities.pause });
      this.live.textContent = this.word(this.picture.status);
    } catch {
      // Home Assistant has said what is wrong.
    } finally {
      this._pause.disabled = false;
    }
  }
}
