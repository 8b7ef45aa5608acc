// The market: candles of the coins, the stream of what happens, and whether each time frame is complete.

import { Candles } from "./candles.js";
import { CalvalotCard } from "./card.js";
import { answer, followMarket, page } from "./data.js";
import { h, setAttribute, setText } from "./dom.js";

const UNITS = { m: 60e3, h: 3600e3, d: 864e5 };
const FRAMES = ["1m", "3m", "5m", "10m", "15m", "1h", "2h", "4h", "1d"];
const DEFAULT_FRAME = "15m";
const COUNT = 120;
const RECORDS = 200;
const EVENTS = 60;
// How long after its end a candle may come before it is late.
const GRACE = 60e3;

const lengthOf = (frame) => Number.parseInt(frame, 10) * UNITS[frame.at(-1)];
const rowOf = ({ time, opened, open, high, low, close }) => ({
  at: Date.parse(time ?? opened),
  open,
  high,
  low,
  close,
});

export class MarketCard extends CalvalotCard {
  heading = "market";

  get titled() {
    return Boolean(this.config?.titled);
  }

  build() {
    const { word } = this;
    this._frame ??= DEFAULT_FRAME;
    this._rows = [];
    this._trades = [];
    this._signals = [];
    this._coinPick = h("div", { class: "periods", role: "group", "aria-label": word("coins") });
    this._frames = FRAMES.map((frame) =>
      h("button", { type: "button", "data-frame": frame, onclick: () => this._choose(this._coin, frame) }, frame),
    );
    this._chart ??= new Candles();
    this._empty = h("div", { class: "empty" });
    const mark = (kind, text) => h("span", {}, h("span", { "aria-hidden": "true" }, kind), word(text));
    this._legend = h(
      "div",
      { class: "legend" },
      mark("▲", "legend_bought"),
      mark("▼", "legend_sold"),
      mark("●", "signal_there"),
    );
    this._lights = h("ul", { class: "lights", "aria-label": word("lights") });
    this._ticker = h("ol", { class: "ticker", tabindex: "0", "aria-label": word("ticker") });
    this._quiet = h("p", { class: "quiet" }, word("ticker_none"));
    if (this.picture) this.began();
    return [
      h(
        "div",
        { class: "picks" },
        this._coinPick,
        h("div", { class: "periods", role: "group", "aria-label": word("time_frames") }, ...this._frames),
      ),
      h("div", { style: "position: relative" }, this._chart.element, this._empty),
      this._legend,
      h(
        "div",
        { class: "market-below" },
        h("section", {}, h("h3", {}, word("lights")), this._lights),
        h("section", {}, h("h3", {}, word("ticker")), this._quiet, this._ticker),
      ),
    ];
  }

  began() {
    this._choose(this._coin, this._frame);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._stop();
  }

  gone() {
    this._stop();
  }

  tick() {
    this._tellLights();
  }

  // Coins that are held first, the largest of them before the others.
  get _coins() {
    const value = (row) => Number(row.value ?? 0);
    return [...this.picture.positions].sort((a, b) => value(b) - value(a)).map(({ coin }) => coin);
  }

  update() {
    const coins = this._coins;
    const told = coins.join();
    if (this._told !== told || this._coinPick.childElementCount !== coins.length) {
      this._told = told;
      this._coinPick.replaceChildren(
        ...coins.map((coin) =>
          h("button", { type: "button", "data-coin": coin, onclick: () => this._choose(coin, this._frame) }, coin),
        ),
      );
    }
    if (!coins.includes(this._coin) && coins.length) this._choose(coins[0], this._frame);
    this._mark();
  }

  happened(event) {
    if (event.kind !== "alert") this._readOwn();
  }

  _mark() {
    for (const button of this._coinPick.children)
      setAttribute(button, "aria-pressed", String(button.dataset.coin === this._coin));
    for (const button of this._frames)
      setAttribute(button, "aria-pressed", String(button.dataset.frame === this._frame));
  }

  async _choose(coin, frame) {
    const another = this._frame !== frame;
    this._frame = frame;
    this._coin = coin ?? this._coins[0];
    this._mark();
    if (!this._coin) return;
    if (another || !this._followed) this._followStream(frame);
    this._rows = [];
    await Promise.all([this._read(), this._readOwn()]);
  }

  _followStream(frame) {
    this._stop();
    const turn = {};
    this._followed = turn;
    const receive = (message) => turn === this._followed && this._hear(message);
    followMarket(this.hass, this.follower.entry_id, frame, receive).then(
      (end) => {
        if (turn === this._followed) this._end = end;
        else end();
      },
      () => {
        if (turn === this._followed) this._followed = undefined;
      },
    );
  }

  _stop() {
    this._followed = undefined;
    this._end?.();
    this._end = undefined;
  }

  async _read() {
    const { _coin: coin, _frame: frame } = this;
    let rows = [];
    try {
      const data = { config_entry_id: this.follower.entry_id, coin, time_frame: frame, limit: COUNT };
      rows = (await answer(this.hass, "get_candles", data)).candles.map(rowOf);
    } catch {
      // The exchange does not answer now: what the stream brings is shown.
    }
    if (coin !== this._coin || frame !== this._frame) return;
    const last = rows.at(-1)?.at ?? 0;
    this._rows = [...rows, ...this._rows.filter(({ at }) => at > last)];
    this._draw();
  }

  async _readOwn() {
    const { entry_id: id } = this.follower;
    const [trades, signals] = await Promise.all(
      ["trades", "signals"].map((kind) => page(this.hass, kind, id, RECORDS).catch(() => [])),
    );
    this._trades = trades.map((each) => ({ ...each, at: Date.parse(each.time), price: Number(each.price) }));
    this._signals = signals.map((each) => ({ at: Date.parse(each.time) }));
    this._draw();
  }

  _hear(message) {
    if (message.event) this._happen(message.event);
    else {
      this._known = message;
      this._tellLights();
    }
  }

  _happen(event) {
    const closed = event.kind === "closed";
    if (closed || event.coin === this._coin) this._write(event);
    if (event.coin !== this._coin || event.time_frame !== this._frame) return;
    const row = { ...rowOf(event), unfinished: !closed };
    const last = this._rows.at(-1);
    if (last && closed && row.at > last.at + lengthOf(this._frame)) this._read();
    this._rows = [...this._rows.filter(({ at }) => at < row.at), row].slice(-COUNT);
    this._draw();
  }

  // Every candle that closes, and how the one moves that is looked at.
  _write(event) {
    const { format } = this;
    this._quiet.hidden = true;
    this._ticker.prepend(
      h(
        "li",
        { class: event.kind },
        h("span", {}, format.seconds(Date.now())),
        h("span", {}, event.coin),
        h("span", {}, event.time_frame),
        h("span", {}, format.price(event.close)),
        h("span", {}, format.percent(event.change, true, 2)),
      ),
    );
    while (this._ticker.childElementCount > EVENTS) this._ticker.lastChild.remove();
  }

  _draw() {
    if (this._drawing) return;
    this._drawing = true;
    requestAnimationFrame(() => {
      this._drawing = false;
      const { word, format, _coin: coin, _frame: frame } = this;
      this._chart.show({
        rows: this._rows,
        length: lengthOf(frame),
        trades: this._trades.filter((trade) => trade.coin === coin),
        signals: this._signals,
        coin,
        frame,
        format,
        word,
      });
      setText(this._empty, this._rows.length ? "" : word("no_candles"));
    });
  }

  _tellLights() {
    if (!this._known) return;
    const { word, format } = this;
    const light = ({ time_frame: frame, last, behind }) => {
      // The exchange may be ahead of this clock.
      const time = last && format.relative(Math.min(Date.parse(last), Date.now()));
      if (!this._known.connected) return [frame, "warn", word("light_off")];
      if (behind) return [frame, "warn", word("light_behind")];
      if (!last) return [frame, "", word("light_waits")];
      if (Date.now() > Date.parse(last) + lengthOf(frame) + GRACE) return [frame, "warn", word("light_late", { time })];
      return [frame, "good", word("light_good", { time })];
    };
    const order = (row) => FRAMES.indexOf(row.time_frame);
    const lights = [...this._known.lights].sort((a, b) => order(a) - order(b)).map(light);
    const told = JSON.stringify(lights);
    if (this._shownLights === told && this._lights.childElementCount) return;
    this._shownLights = told;
    this._lights.replaceChildren(
      ...lights.map(([frame, kind, text]) =>
        h("li", { class: kind }, h("i", { "aria-hidden": "true" }), h("b", {}, frame), h("span", {}, text)),
      ),
    );
  }
}
