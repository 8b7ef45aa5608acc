// One figure and its curve, in the space of a tile; what it shows is of the range that all cards share.

import { CalvalotCard } from "./card.js";
import { performance } from "./data.js";
import { h, setText } from "./dom.js";
import { spark } from "./lines.js";
import { look, RANGES } from "./look.js";

const FRESH = 10 * 60e3;
// What may be shown, and the entity that a tap leads to.
const FIGURES = { value: "total_value", profit: "profit_loss", return: "time_weighted_return" };

export class TileCard extends CalvalotCard {
  heading = "tile";
  titled = true;

  static getConfigForm() {
    return super.getConfigForm((word) => [
      {
        name: "figure",
        selector: {
          select: { mode: "dropdown", options: Object.keys(FIGURES).map((value) => ({ value, label: word(value) })) },
        },
      },
    ]);
  }

  setConfig(config) {
    if (config.figure && !(config.figure in FIGURES))
      throw new Error(`figure must be one of ${Object.keys(FIGURES).join(", ")}`);
    super.setConfig(config);
  }

  getCardSize() {
    return 2;
  }

  getGridOptions() {
    return { columns: 6, rows: "auto", min_columns: 4 };
  }

  build() {
    this._figure = this.config.figure ?? "value";
    this._value = this.figure(FIGURES[this._figure]);
    this._name = h("span", { class: "quiet" });
    this._spark = h("div", { class: "sparkline" });
    return [h("div", { class: "tile" }, h("div", {}, this._value, this._name), this._spark)];
  }

  looked() {
    if (this.picture) this.update();
  }

  began() {
    return this._load();
  }

  tick() {
    if (!this._known || Date.now() - this._loaded > FRESH) this._load();
  }

  async _load() {
    const known = await performance(this.hass, this.follower.entry_id).catch(() => undefined);
    if (!known || !this.picture) return;
    this._known = known;
    this._loaded = Date.now();
    this.update();
  }

  update() {
    const { word, format, picture, _known: known } = this;
    const range = known?.periods[look.range] ? look.range : "since_start";
    const period = known?.periods[range];
    const earned = period?.time_weighted ?? null;
    const figures = {
      value: () => [format.eur(picture.total_value), ""],
      profit: () => [format.eur(picture.profit?.total, true), picture.profit?.total],
      return: () => [format.percent(earned, true, 2), earned],
    };
    const [text, way] = figures[this._figure]();
    setText(this._value, text);
    this._value.className = `figure ${way > 0 ? "up" : way < 0 ? "down" : ""}`;
    const names = {
      value: word("value"),
      profit: word("profit"),
      return: `${word("return")} · ${word(RANGES[range])}`,
    };
    setText(this._name, names[this._figure]);
    const column = this._figure === "value" ? "value" : "index";
    const days = (known?.days ?? []).filter(({ day, value }) => period && day >= period.since && Number(value) > 0);
    this._spark.replaceChildren(...(days.length > 1 ? [spark(days.map((each) => Number(each[column])))] : []));
  }

  gone() {
    this._known = undefined;
  }
}
