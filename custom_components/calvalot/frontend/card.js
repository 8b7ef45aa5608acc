// What the cards have in common: which portfolio, its feed, and what is said while it is not there.

import { Approval } from "./approval.js";
import { followers, listen } from "./data.js";
import { h, setAttribute, setText } from "./dom.js";
import { Format } from "./format.js";
import { sign } from "./icons.js";
import { look } from "./look.js";
import { sheet } from "./styles.js";
import { capital, words } from "./wording.js";

const ADD = "/config/integrations/dashboard/add?domain=calvalot";
const INTEGRATION = "/config/integrations/integration/calvalot";
const TICK = 10e3;
const HOME = () => document.querySelector("home-assistant")?.hass;

// What a card is set to, if it can be set to that.
export function checked(config) {
  for (const key of ["follower", "title", "period", "sort", "figure"]) {
    if (config[key] !== undefined && typeof config[key] !== "string") throw new Error(`${key} must be text`);
  }
  return config;
}

export class CalvalotCard extends HTMLElement {
  // `heading` is the key of the title; `build()` makes the content once, `update()` fills it from `this.picture`.
  // `asks` says that a signal which waits is shown first of all.
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
    this._looks = () => this._onLook();
  }

  static getStubConfig() {
    return {};
  }

  static async getConfigForm(extra = () => []) {
    const { word } = await words(HOME());
    const list = await followers(HOME(), true).catch(() => []);
    const options = list.map(({ entry_id: value, title: label }) => ({ value, label }));
    return {
      schema: [
        { name: "follower", selector: { select: { mode: "dropdown", options } } },
        { name: "title", selector: { text: {} } },
        ...extra(word),
      ],
      computeLabel: ({ name }) => word(name),
    };
  }

  setConfig(config) {
    const other = this.config?.follower !== config.follower;
    this.config = checked(config);
    if (this._content) this._build();
    if (other) this._follow();
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (!this.config) return;
    const other = before?.connection !== hass.connection || before.language !== hass.language;
    if (other || before.locale !== hass.locale) this._begin(other);
  }

  get hass() {
    return this._hass;
  }

  connectedCallback() {
    this._follow();
    clearInterval(this._ticking);
    this._ticking = setInterval(() => this._onTick(), TICK);
    look.addEventListener("change", this._looks);
  }

  disconnectedCallback() {
    clearInterval(this._ticking);
    look.removeEventListener("change", this._looks);
    this._turn = undefined;
    this._leave?.();
    this._leave = undefined;
  }

  _onTick() {
    if (!this.picture) return;
    this._approval?.update();
    this.tick?.();
  }

  // Another range is for the cards that have one; amounts that are hidden or shown are in all of them.
  _onLook() {
    if (!this._content) return;
    const other = this._hidden !== look.hidden;
    this._hidden = look.hidden;
    if (!other) this.looked?.();
    else if (this.picture) {
      this._noticed = this._told = undefined;
      this.update();
      this.began?.();
      this.hid?.();
    }
  }

  getCardSize() {
    return 6;
  }

  getGridOptions() {
    return { columns: "full", rows: "auto", min_columns: 6 };
  }

  // A figure that opens the history of its entity where there is one, else what it means.
  figure(key, explained = undefined) {
    return h("button", {
      type: "button",
      class: "figure",
      onclick: () => {
        const entityId = this.follower?.entities[key];
        if (!entityId) return explained?.click();
        this.dispatchEvent(new CustomEvent("hass-more-info", { bubbles: true, composed: true, detail: { entityId } }));
      },
    });
  }

  // A term that says what it means on tap, and its figure: [row, figure].
  fact(name, key = name) {
    const note = h("dd", { class: "note", id: `note-${name}`, hidden: true });
    const term = h(
      "button",
      { type: "button", class: "term", "aria-expanded": "false", "aria-controls": note.id },
      this.word(name),
    );
    term.addEventListener("click", () => {
      note.hidden = !note.hidden;
      setText(note, this.word(`${name}_explained`, { quote: this.picture.quote }));
      setAttribute(term, "aria-expanded", String(!note.hidden));
    });
    const figure = this.figure(key, term);
    return [h("div", { "data-fact": name }, h("dt", {}, term), h("dd", {}, figure), note), figure];
  }

  // With its words, which come once for all cards of a page.
  async _begin(follow) {
    this._alone ||= follow;
    const turn = {};
    this._beginning = turn;
    const said = await words(this._hass);
    if (turn !== this._beginning) return;
    Object.assign(this, said);
    this._build();
    if (this._alone) this._follow();
    this._alone = false;
  }

  _build() {
    this.format = new Format(this._hass, () => look.hidden);
    // Where money is about to move, amounts are always shown.
    this.amounts = new Format(this._hass);
    this._hidden = look.hidden;
    this._title = h("h2", {}, this.word(this.heading));
    this._mode = h("span", { hidden: true });
    this.header = h("div", { class: "header" }, this._title, this._mode);
    this._notices = h("div", { class: "notices", role: "status" });
    this._approval = this.asks && new Approval(this);
    this._message = h("div", { class: "message", role: "status" });
    this._content = h("div", { style: "display: contents" });
    this.live = h("div", { class: "hidden", "aria-live": "polite" });
    this._content.append(...this.build());
    const card = document.createElement("ha-card");
    card.append(
      h(
        "div",
        { class: "body" },
        this.header,
        this._message,
        this._approval?.element,
        this._notices,
        this._content,
        this.live,
      ),
    );
    this.shadowRoot.replaceChildren(card);
    this._card = card;
    this._show();
  }

  async _follow() {
    this._leave?.();
    this._leave = undefined;
    this.picture = undefined;
    if (!this._content || !this.isConnected) return;
    const turn = {};
    this._turn = turn;
    let list = [];
    try {
      list = await followers(this._hass);
      if (this.config.follower && !list.some((each) => each.entry_id === this.config.follower)) {
        list = await followers(this._hass, true);
      }
    } catch {
      // Not there yet: the feed tries again, where one is named.
    }
    if (turn !== this._turn) return;
    const wanted = this.config.follower;
    this.follower = wanted
      ? (list.find((each) => each.entry_id === wanted) ?? { entry_id: wanted, entities: {} })
      : list[0];
    if (!this.follower) {
      this._state = "no_follower";
      this._show();
      return;
    }
    this._leave = listen(this._hass, this.follower.entry_id, (message) => this._receive(message));
  }

  async _receive(message) {
    if (message.event) {
      if (this.picture) this.happened?.(message.event);
      return;
    }
    const back = message.follower && !this.picture;
    this.picture = shown(message.follower);
    this._state = message.state;
    if (back) {
      // Reloading may have brought other entities.
      const list = await followers(this._hass, this._seen).catch(() => []);
      this.follower = list.find((each) => each.entry_id === this.follower.entry_id) ?? this.follower;
      this._seen = true;
      if (!this.picture) return;
      this._show();
      this.began?.();
    } else this._show();
    if (this.picture) this.dialog?.renewed?.();
  }

  _show() {
    if (!this._content) return;
    const name = this.config.title || this.picture?.title || this.follower?.title;
    setText(this._title, this.titled && name ? name : this.config.title || this.word(this.heading));
    const there = Boolean(this.picture);
    this._content.hidden = !there;
    this._content.style.display = there ? "contents" : "none";
    this._message.style.display = there ? "none" : "";
    this._tellMode();
    this._tellNotices();
    this._approval?.update();
    if (there) {
      this._message.replaceChildren();
      this.update();
    } else if (this._state) {
      const known = ["no_follower", "setup_retry", "setup_error", "not_loaded", "removed"];
      const key = known.includes(this._state) ? this._state : "unavailable";
      this._message.replaceChildren(sign("alert"), h("span", {}, this.word(key)), ...this._wayOut(key));
      this.gone?.();
    } else this._message.replaceChildren(h("span", {}, this.word("loading")));
  }

  // Where somebody who may can do something about it.
  _wayOut(key) {
    if (!this._hass.user?.is_admin) return [];
    if (key === "no_follower") return [h("a", { class: "act strong", href: ADD }, this.word("add_follower"))];
    if (["setup_retry", "setup_error", "not_loaded"].includes(key))
      return [h("a", { class: "act", href: INTEGRATION }, this.word("open_settings"))];
    return [];
  }

  _tellMode() {
    const mode = this.picture?.mode;
    this._mode.hidden = !mode;
    setText(this._mode, mode ? this.word(mode) : "");
    this._mode.className = `mode ${mode ?? ""}`;
    this._card.classList.toggle("live", mode === "live");
    this._card.classList.toggle("stale", Boolean(this.picture?.stale));
  }

  // Why figures are old or nothing goes on, in a sentence each.
  _tellNotices() {
    const told = this.picture ? this._problems().map(capital) : [];
    const text = told.join("\n");
    if (this._noticed === text && this._notices.childElementCount === told.length) return;
    this._noticed = text;
    this._notices.replaceChildren(...told.map((each) => h("p", {}, sign("alert"), h("span", {}, each))));
  }

  _problems() {
    const { picture, word, format, tell } = this;
    const found = [];
    if (picture.exchange_connected === false || picture.stale) {
      const why = picture.exchange_problem ? tell(`problem_exchange_${picture.exchange_problem}`) : word("no_prices");
      found.push(
        picture.stale
          ? word("figures_of", { why: capital(why), time: format.dateTime(picture.as_of) })
          : `${capital(why)}.`,
      );
    }
    if (this.titled && picture.leader_connected === false && picture.leader_problem) {
      found.push(word("no_signals_until", { why: capital(tell(`problem_leader_${picture.leader_problem}`)) }));
    }
    if (picture.exiting) found.push(word("exit_runs_notice"));
    return found;
  }
}

// Whether a leader is among what decides.
export const led = ({ sources }) => sources.some(({ kind }) => kind === "leader");

// What is shown: without new figures the last ones with their time, marked as such.
function shown(follower) {
  if (!follower) return undefined;
  const { last_known: known, mode, status } = follower;
  return known ? { ...follower, ...known, mode, status, stale: true } : follower;
}
