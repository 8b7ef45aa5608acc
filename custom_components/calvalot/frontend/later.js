// Cards whose module comes when one of them is first shown, so that a dashboard has less to load at first.

import { CalvalotCard, checked } from "./card.js";
import { h } from "./dom.js";
import { words } from "./wording.js";

const RETRY = 10e3;

// The element for a card: it stands where the card will, and hands on what Home Assistant gives it. `load(again)` gives the
// card's class; a browser may keep a module that it could not load in mind, so that the next attempt is for another address.
export function later(name, load) {
  const tag = `calvalot-${name}-content`;
  let loading;
  let failed = 0;

  async function loaded() {
    loading ??= load(failed ? `?${failed}` : "");
    const attempt = loading;
    try {
      const Card = await attempt;
      if (!customElements.get(tag)) customElements.define(tag, Card);
    } catch (error) {
      if (loading === attempt) {
        failed += 1;
        loading = undefined;
      }
      throw error;
    }
  }

  return class extends HTMLElement {
    static getStubConfig = CalvalotCard.getStubConfig;
    static getConfigForm = () => CalvalotCard.getConfigForm();
    getCardSize = CalvalotCard.prototype.getCardSize;
    getGridOptions = CalvalotCard.prototype.getGridOptions;

    setConfig(config) {
      this._config = checked(config);
      this._card?.setConfig(config);
    }

    set hass(hass) {
      this._hass = hass;
      if (this._card) this._card.hass = hass;
    }

    get hass() {
      return this._hass;
    }

    connectedCallback() {
      Object.assign(this.style, { display: "block", height: "100%" });
      this._load();
    }

    disconnectedCallback() {
      clearTimeout(this._again);
    }

    async _load() {
      if (this._card) return;
      try {
        await loaded();
      } catch {
        await this._failed();
        return;
      }
      if (this._card) return;
      this._card = document.createElement(tag);
      if (this._config) this._card.setConfig(this._config);
      if (this._hass) this._card.hass = this._hass;
      this.replaceChildren(this._card);
    }

    async _failed() {
      clearTimeout(this._again);
      this._again = setTimeout(() => this.isConnected && this._load(), RETRY);
      if (!this._hass) return;
      const { word } = await words(this._hass);
      if (this._card) return;
      const card = document.createElement("ha-card");
      card.append(h("p", { role: "status", style: "margin: 0; padding: 16px 20px" }, word("not_loaded_card")));
      this.replaceChildren(card);
    }
  };
}
