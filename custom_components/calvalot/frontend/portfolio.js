// Value, profit and loss, the curve, and how the portfolio is.

import { CalvalotCard, led } from "./card.js";
import { Chart } from "./chart.js";
import { convert } from "./convert.js";
import { cashFlows, curve, offered, PERIODS } from "./data.js";
import { h, setAttribute, setText } from "./dom.js";
import { EURO } from "./format.js";
import { sign } from "./icons.js";
import { moveMoney, sellEverything } from "./money.js";
import { Proposals } from "./proposals.js";

const DEFAULT_PERIOD = "1m";
const FRESH = 10 * 60e3;
const PARTS = ["realised", "unrealised", "currency_effect", "corrections"];
const FACTS = ["time_weighted_return", "net_deposits", "max_drawdown", "tracking_distance", "fees_paid"];
const direction = (figure) => (figure > 0 ? "up" : figure < 0 ? "down" : "");

export class PortfolioCard extends CalvalotCard {
  heading = "portfolio";
  asks = true;
  titled = true;

  static getConfigForm() {
    return super.getConfigForm((word) => [
      {
        name: "period",
        selector: {
          select: {
            mode: "dropdown",
            options: Object.keys(PERIODS).map((value) => ({ value, label: word(`${value}_long`) })),
          },
        },
      },
    ]);
  }

  setConfig(config) {
    if (config.period && !(config.period in PERIODS))
      throw new Error(`period must be one of ${Object.keys(PERIODS).join(", ")}`);
    if (!this._period || config.period !== this.config?.period) this._period = config.period ?? DEFAULT_PERIOD;
    super.setConfig(config);
  }

  build() {
    const { word } = this;
    this._pauseSign = h("span", { style: "display: contents" });
    this._pauseText = h("span");
    this._pause = h(
      "button",
      { class: "act pause", type: "button", hidden: true, onclick: () => this._togglePause() },
      this._pauseSign,
      this._pauseText,
    );
    this.header.append(this._pause);
    this._follows = h("p", { class: "quiet" });
    this._chips = h("ul", { class: "chips" });
    this._proposals = new Proposals(this);
    this._value = this.figure("total_value");
    this._gainSign = h("span");
    this._gain = this.figure("profit_loss");
    this._percent = this.figure("profit_loss_percent");
    this._quote = this.figure("total_value_quote");
    this._gainOf = h("span", { class: "quiet" }, word("of_net_deposits"));
    this._gainLine = h(
      "div",
      { class: "gain" },
      h("span", { class: "quiet" }, word("profit")),
      this._gainSign,
      this._gain,
      this._percent,
      this._gainOf,
    );
    this._change = this.figure("profit_loss");
    this._return = this.figure("time_weighted_return");
    this._changeOf = h("span", { class: "quiet" });
    const labelled = (name, figure) => h("div", {}, h("dt", {}, word(name)), h("dd", {}, figure));
    this._ofPeriod = h("dl", {}, labelled("profit", this._change), labelled("return", this._return));
    this._chart ??= new Chart();
    this._paidLegend = h("span", {}, h("i", { class: "dashed" }), word("net_deposits"));
    this._empty = h("div", { class: "empty" });
    this._buttons = Object.keys(PERIODS).map((name) =>
      h(
        "button",
        { type: "button", "data-period": name, title: word(`${name}_long`), onclick: () => this._choose(name) },
        word(name),
      ),
    );
    this._limits = h("p", { class: "limits quiet" });
    const parts = [...PARTS, "profit", "fees"].map((name) => [
      name,
      ...this.fact(name, { profit: "profit_loss", fees: "fees_paid" }[name]),
    ]);
    this._parts = Object.fromEntries(parts.map(([name, row, figure]) => [name, { row, figure }]));
    const facts = FACTS.map((name) => [name, ...this.fact(name)]);
    this._facts = Object.fromEntries(facts.map(([name, row, figure]) => [name, { row, figure }]));
    return [
      this._follows,
      this._chips,
      this._proposals.element,
      h(
        "div",
        { class: "head" },
        h(
          "div",
          {},
          h("div", { class: "value" }, this._value),
          h("span", { class: "quiet" }, this._quote),
          this._gainLine,
        ),
        h("div", { class: "of-period" }, this._changeOf, this._ofPeriod),
      ),
      h("div", { style: "position: relative" }, this._chart.element, this._empty),
      h(
        "div",
        { class: "below" },
        h("div", { class: "legend", "aria-hidden": "true" }, h("span", {}, h("i"), word("value")), this._paidLegend),
        h("div", { class: "periods", role: "group", "aria-label": word("periods") }, ...this._buttons),
      ),
      h("dl", { class: "parts", "aria-label": word("profit_loss") }, ...parts.map(([, row]) => row)),
      h("dl", { class: "facts" }, ...facts.map(([, row]) => row)),
      this._limits,
      this.hass.user?.is_admin && this._moneyButtons(),
    ].filter(Boolean);
  }

  // Money in, money out, and the way out are for administrators.
  _moneyButtons() {
    const { word } = this;
    const button = (name, act, kind = "") =>
      h("button", { type: "button", class: `act ${kind}`, "data-act": name, onclick: () => act() }, word(name));
    // What a whole account is paid in and out is done on the account.
    this._moves = [
      button("pay_in", () => moveMoney(this, "deposit")),
      button("withdraw", () => moveMoney(this, "withdrawal")),
    ];
    return h(
      "div",
      { class: "money" },
      ...this._moves,
      button("convert", () => convert(this)),
      button("sell_all", () => sellEverything(this), "danger"),
    );
  }

  async began() {
    const flows = await cashFlows(this.hass, this.follower.entry_id).catch(() => undefined);
    if (!flows || !this.picture) return;
    this._curves = new Map();
    this._flows = flows;
    await this._load();
  }

  tick() {
    if (this._flows) this._load();
    else this.began();
  }

  // What is seen while the page is open belongs to the curves, too.
  _grow() {
    const { as_of: seen, total_value: value, time_weighted_return: index } = this.picture;
    if (value === null || seen === this._grown) return;
    this._grown = seen;
    const point = { at: Date.parse(seen), value: Number(value), index: Number(index) };
    for (const { points } of this._curves.values()) if (point.at > (points.at(-1)?.at ?? 0)) points.push(point);
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

  // The period that was chosen, where the portfolio has lived through it.
  get _shown() {
    return this._offered().includes(this._period) ? this._period : "all";
  }

  _offered() {
    return offered(this.picture?.since && Date.parse(this.picture.since));
  }

  async _load() {
    if (!this.picture?.since || !this._flows) return;
    const name = this._shown;
    this._marked();
    const known = this._curves.get(name);
    if (!known || Date.now() - known.loaded > FRESH) {
      const points = await curve(this.hass, this.follower, name, this.picture, this._flows);
      this._curves.set(name, { points, loaded: Date.now() });
    }
    if (this.picture && name === this._shown) this._draw();
  }

  _marked() {
    const offers = this._offered();
    const shown = this._shown;
    for (const button of this._buttons) {
      button.hidden = !offers.includes(button.dataset.period);
      setAttribute(button, "aria-pressed", String(button.dataset.period === shown));
    }
  }

  _draw() {
    const { word, format, picture } = this;
    const name = this._shown;
    const loaded = this._curves?.get(name);
    if (!loaded) {
      this._load();
      return;
    }
    const now = Date.now();
    const value = picture.total_value === null ? null : Number(picture.total_value);
    const points = loaded.points.filter(({ at }) => at < now);
    // Figures of before are no figures of now.
    if (value !== null) points.push({ at: picture.stale ? Math.min(now, Date.parse(picture.as_of)) : now, value });
    const [first] = points;
    const begin = first?.at ?? now;
    const flows = this._flows;
    const withPaid = now - begin > 120 * 864e5 || name === "all";
    const paid = this._chart.show({ points, flows, from: begin, to: now, withPaid, format, word });
    this._paidLegend.hidden = !paid;
    setText(this._empty, points.length < 2 ? word("no_curve") : "");

    // Since the first deposit, profit and return are those of the book; later they count from the first point.
    const whole = name === "all";
    const moved = flows
      .filter(({ at, kind }) => at > begin && kind !== "correction")
      .reduce((sum, flow) => sum + flow.amount, 0);
    const since = whole
      ? picture.profit?.total
      : value === null || points.length < 2
        ? null
        : value - first.value - moved;
    const then = whole ? 0 : first?.index;
    const index = picture.time_weighted_return;
    const earned =
      value === null || index === null || !Number.isFinite(then)
        ? null
        : ((100 + Number(index)) / (100 + then) - 1) * 100;
    setText(this._change, format.eur(since, true));
    this._change.className = `figure ${direction(since)}`;
    setText(this._return, format.percent(earned, true));
    this._return.className = `figure ${direction(earned)}`;
    setText(this._changeOf, word(`${name}_long`));
    const span = { period: word(`${name}_long`), from: format.dateTime(begin), to: format.dateTime(now) };
    setAttribute(this._chart.element, "aria-label", word("curve_of", span));
  }

  update() {
    const { word, format, picture } = this;
    const { profit } = picture;
    const way = direction(profit?.total);
    setText(this._value, format.eur(picture.total_value));
    // What is kept in euro is said once, and no rate moves it.
    const euro = picture.quote === EURO;
    this._quote.hidden = euro;
    setText(this._quote, euro ? "" : format.amount(picture.total_value_quote, picture.quote));
    setText(this._gain, format.eur(profit?.total, true));
    setText(
      this._percent,
      picture.profit_loss_percent === null ? "" : `(${format.percent(picture.profit_loss_percent, true)})`,
    );
    this._gainLine.className = `gain ${way}`;
    if (this._way !== way || !this._gainSign.firstChild) {
      this._way = way;
      this._gainSign.replaceChildren(...(way ? [sign(way === "up" ? "rise" : "fall")] : []));
    }
    for (const [name, { row, figure }] of Object.entries(this._parts)) {
      const amount = profit?.[name === "profit" ? "total" : name] ?? null;
      setText(figure, format.eur(amount, true));
      figure.className = `figure ${name === "fees" ? "" : direction(amount)}`;
      row.hidden = !Number(amount) && (name === "corrections" || (name === "currency_effect" && euro));
    }

    const connection = (what, on) => [
      word(`${what}_${on === null ? "unknown" : on ? "on" : "off"}`),
      on === null ? "" : on ? "good" : "bad",
    ];
    const chips = [
      picture.status === "active" && picture.exchange_connected === false
        ? [word("held_up"), "warn"]
        : [word(picture.status), { active: "good", paused: "warn", dead: "bad" }[picture.status]],
      ...(led(picture) ? [connection("leader", picture.leader_connected)] : []),
      connection("exchange", picture.exchange_connected),
      ...(picture.live ? [[word("prices_live"), "good"]] : []),
    ];
    setText(this._follows, this._sourcesInWords(picture.sources));
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

    this._proposals.update();
    for (const each of this._moves ?? []) each.hidden = picture.scope === "wallet";
    const facts = {
      time_weighted_return: format.percent(picture.time_weighted_return, true, 2),
      net_deposits: format.eur(picture.net_deposits),
      max_drawdown: format.percent(picture.max_drawdown, false, 1),
      tracking_distance: format.percent(picture.tracking_distance, false, 1),
      fees_paid: format.amount(picture.fees_paid, picture.quote),
    };
    for (const name of FACTS) setText(this._facts[name].figure, facts[name]);
    this._facts.fees_paid.row.hidden = euro;
    this._percent.hidden = this._gainOf.hidden = picture.profit_loss_percent === null;
    setText(this._limits, this._limitsInWords(picture.limits));
    this._marked();
    const moved = this._paid !== undefined && this._paid !== picture.net_deposits;
    this._paid = picture.net_deposits;
    if (moved) {
      for (const figure of [this._change, this._return]) setText(figure, "");
      this.began();
    } else if (this._flows) {
      this._grow();
      this._draw();
    }
  }

  // What is followed or kept; several each with its weight.
  _sourcesInWords(sources) {
    const { word, format, tell } = this;
    if (sources.length === 1 && sources[0].weight === 100)
      return word(`follows_${sources[0].kind}`, { name: sources[0].name });
    const part = ({ name, kind, weight, paused }) =>
      `${format.percent(weight, false, 0)} ${name ?? tell(`setup_${kind}`)}${paused ? ` (${word("paused")})` : ""}`;
    return sources.map(part).join(" · ");
  }

  // What bounds the portfolio, where its owner has set something.
  _limitsInWords(limits) {
    const { word, format } = this;
    const share = (fraction, digits) => format.percent(Number(fraction) * 100, false, digits);
    const told = [];
    if (limits.stop_loss_drawdown !== null) {
      const key = limits.stop_loss_sell ? "limit_stop_loss_sell" : "limit_stop_loss";
      const now =
        limits.fall === null ? "" : ` (${word("limit_fall", { fall: format.percent(limits.fall, false, 1) })})`;
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
