// Backtests: begun, followed while they run, ended; kept ones shown, called otherwise, compared, deleted.

import { BacktestForm } from "./backtest_form.js";
import { compared, MOST_COMPARED, shown, verdictOf } from "./backtest_result.js";
import { sheet } from "./backtest_styles.js";
import { CalvalotCard } from "./card.js";
import { act, answer, followers } from "./data.js";
import { Dialog, sure } from "./dialog.js";
import { h, setAttribute, setText } from "./dom.js";
import { refusal } from "./wording.js";

// How often (ms) is asked how far one is that runs, and what there is otherwise.
const SOON = 700;
const ANEW = 30e3;
const KEY = "calvalot-backtest";
const AT_WORK = ["loading", "running"];
const STATES = {
  loading: "backtest_state_loading",
  running: "backtest_state_running",
  done: "backtest_state_done",
  aborted: "backtest_state_aborted",
  failed: "backtest_state_failed",
  interrupted: "backtest_state_interrupted",
};

export class BacktestsCard extends CalvalotCard {
  heading = "backtests";

  constructor() {
    super();
    this.shadowRoot.adoptedStyleSheets = [...this.shadowRoot.adoptedStyleSheets, sheet];
    this._results = new Map();
    this._picked = new Set();
  }

  build() {
    const { word } = this;
    this._told = this._drawn = this._offered = undefined;
    this._running = h("section", { class: "running", "aria-label": word("backtest_running"), hidden: true });
    this._list = h("ul", { class: "runs", "aria-label": word("backtests") });
    this._none = h("p", { class: "quiet" });
    this._refused = h("p", { class: "refused", role: "alert" });
    this._compare = h("button", { type: "button", class: "act", onclick: () => this._choose([...this._picked]) });
    this._choice = h("div", { class: "money", hidden: true }, this._compare);
    this._result = h("section", { class: "result", hidden: true });
    this._form = new BacktestForm(this, (data) => this._start(data));
    this._editor = h("details", {}, h("summary", {}, word("backtest_new")), this._form.element);
    return [this._running, this._editor, this._refused, this._none, this._list, this._choice, this._result];
  }

  _problems() {
    return [];
  }

  get _admin() {
    return Boolean(this.hass.user?.is_admin);
  }

  get _named() {
    return { config_entry_id: this.follower.entry_id };
  }

  connectedCallback() {
    super.connectedCallback();
    if (this.picture) this._read();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this._next);
  }

  update() {
    this._editor.hidden = !this._admin;
    if (this._admin) this._offer();
    if (this._all && !this._told) this._fill();
    if (!this._at || Date.now() - this._at > ANEW) this._read();
  }

  tick() {
    this.update();
  }

  gone() {
    this._at = this._offered = undefined;
  }

  // What the form may be filled with.
  async _offer() {
    if (this._offered) return;
    this._offered = true;
    const { connection } = this.hass;
    try {
      this._form.offer(
        await connection.sendMessagePromise({ type: "calvalot/backtest_choices", entry_id: this.follower.entry_id }),
      );
    } catch {
      this._offered = undefined; // It is being set up; the next picture asks again.
    }
  }

  // All of them; while one runs, again in a moment.
  async _read() {
    clearTimeout(this._next);
    const turn = {};
    this._asking = turn;
    this._at = Date.now();
    let told;
    let portfolios;
    try {
      [{ backtests: told }, portfolios] = await Promise.all([
        answer(this.hass, "get_backtests", this._named),
        followers(this.hass),
      ]);
    } catch {
      told = undefined;
    }
    if (turn !== this._asking || !this.picture) return;
    if (told) {
      const others = portfolios.map(({ entry_id: id }) => id).filter((id) => id !== this.follower.entry_id);
      this._all = told;
      this._runs = told.filter(({ portfolio }) => !others.includes(portfolio));
      this._fill();
    }
    const works = this._all?.some(({ state }) => AT_WORK.includes(state));
    if (this.isConnected && (works || !told)) this._next = setTimeout(() => this._read(), told ? SOON : ANEW);
  }

  _fill() {
    const running = this._all.find(({ state }) => AT_WORK.includes(state));
    if (this._was && this._was !== running?.id) this._over(this._was);
    this._was = running?.id;
    this._form.busy(running?.name);
    this._tellRunning(running);
    const kept = this._runs.filter(({ state }) => !AT_WORK.includes(state));
    const known = JSON.stringify([kept, this._admin, [...this._picked], this._shown]);
    if (known !== this._told) {
      this._told = known;
      // A row that is drawn anew keeps what is being pointed at.
      const focus = this.shadowRoot.activeElement?.dataset.focus;
      this._list.replaceChildren(...kept.map((run) => this._row(run)));
      if (focus) this._list.querySelector(`[data-focus="${focus}"]`)?.focus();
    }
    setText(this._none, kept.length || running ? "" : this.word("backtest_none"));
    this._none.hidden = Boolean(kept.length || running);
    this._shown ??= this._remembered();
    const there = this._shown.filter((id) => kept.some((run) => run.id === id));
    this._display(there);
    this._tellChoice(kept);
  }

  // One that ran is over: it is said, and shown.
  _over(id) {
    const run = this._runs.find((each) => each.id === id);
    if (!run) return;
    this.live.textContent = `${run.name}: ${this.word(STATES[run.state])}`;
    if (run.state === "done") this._keep([id]);
  }

  _tellRunning(run) {
    const { word } = this;
    this._running.hidden = !run;
    if (!run) {
      this._running.replaceChildren();
      this._bar = undefined;
      return;
    }
    if (!this._bar || this._barOf !== run.id) {
      this._barOf = run.id;
      this._bar = h("progress", { max: 1, "aria-label": run.name });
      this._how = h("span", { class: "quiet" });
      this._abort = h(
        "button",
        { type: "button", class: "act danger", onclick: () => this._end(run.id) },
        word("backtest_abort"),
      );
      const line = h("div", { class: "line" }, h("b", {}, run.name), this._how, this._admin && this._abort);
      this._running.replaceChildren(line, this._bar);
    }
    this._bar.value = run.progress;
    const parts = [word(STATES[run.state]), this.format.percent(run.progress * 100, false, 0)];
    if (run.state === "running") parts.push(word("backtest_orders_so_far", { count: run.orders }));
    if (run.left !== null) parts.push(word("backtest_left", { time: this._span(run.left) }));
    setText(this._how, parts.join(" · "));
  }

  _span(seconds) {
    const { word } = this;
    return seconds < 90
      ? word("backtest_seconds", { count: Math.ceil(seconds) })
      : word("backtest_minutes", { count: Math.ceil(seconds / 60) });
  }

  async _end(id) {
    this._abort.disabled = true;
    await this._try(() => answer(this.hass, "abort_backtest", { ...this._named, backtest: id }));
    this._read();
  }

  async _try(send) {
    setText(this._refused, "");
    try {
      return await send();
    } catch (error) {
      setText(this._refused, await refusal(this.hass, error));
      return undefined;
    }
  }

  async _start(data) {
    const run = await answer(this.hass, "run_backtest", data);
    this._was = run.state === "done" ? undefined : run.id;
    if (run.state === "done") this._keep([run.id]);
    this._editor.open = false;
    await this._read();
    this._running.scrollIntoView({ block: "nearest" });
  }

  _row(run) {
    const { word, format } = this;
    const { spec, figures } = run;
    const ready = run.state === "done";
    const pick = h("input", {
      type: "checkbox",
      checked: this._picked.has(run.id),
      disabled: !ready,
      "data-focus": `pick-${run.id}`,
      "aria-label": word("backtest_pick", { name: run.name }),
      onchange: () => this._pick(run.id, pick.checked),
    });
    const what = [
      spec.coins.join(", "),
      spec.frame,
      `${format.day(spec.begin * 1000, true)} – ${format.day(spec.end * 1000, true)}`,
    ].join(" · ");
    const came = ready
      ? word("backtest_came", {
          own: format.percent(figures.return, true),
          hold: format.percent(figures.hold_return, true),
          count: figures.trades,
        })
      : `${word(STATES[run.state])}${run.problem ? `: ${run.problem}` : ""}`;
    const open = h(
      "button",
      {
        type: "button",
        class: "open",
        disabled: !ready,
        "data-focus": `open-${run.id}`,
        onclick: () => this._choose([run.id]),
      },
      h("b", {}, run.name),
      h("small", {}, what),
      h("small", { class: ready ? "" : "refused" }, came),
    );
    const button = (name, kind, onclick) =>
      h(
        "button",
        {
          type: "button",
          class: `act ${kind}`,
          "aria-label": `${word(name)}: ${run.name}`,
          "data-focus": `${name}-${run.id}`,
          onclick,
        },
        word(name),
      );
    return h(
      "li",
      { "data-backtest": run.id, class: this._shown?.includes(run.id) ? "chosen" : "" },
      pick,
      open,
      this._admin &&
        h(
          "div",
          { class: "buttons" },
          button("backtest_rename", "", () => this._rename(run)),
          button("backtest_delete", "danger", () => this._delete(run)),
        ),
    );
  }

  _pick(id, chosen) {
    if (chosen) this._picked.add(id);
    else this._picked.delete(id);
    this._fill();
  }

  _tellChoice(kept) {
    const ids = kept.map(({ id }) => id);
    for (const id of this._picked) if (!ids.includes(id)) this._picked.delete(id);
    const count = this._picked.size;
    this._choice.hidden = kept.length < 2;
    this._compare.disabled = count < 2 || count > MOST_COMPARED;
    setText(this._compare, this.word("backtest_compare", { count, most: MOST_COMPARED }));
  }

  _rename(run) {
    const { word, hass } = this;
    const dialog = new Dialog(this, word("backtest_rename"));
    const input = h("input", { value: run.name, maxlength: 100, required: true });
    const go = async () => {
      try {
        const type = "calvalot/rename_backtest";
        await hass.connection.sendMessagePromise({ type, backtest: run.id, name: input.value.trim() || run.name });
      } catch (error) {
        return dialog.refuse(await refusal(hass, error));
      }
      dialog.close();
      this._drawn = undefined;
      this._read();
    };
    dialog.show(
      [h("label", {}, h("span", {}, word("backtest_name")), input)],
      [word("backtest_rename"), go, "strong"],
      [word("cancel")],
    );
  }

  _delete(run) {
    const { word, hass } = this;
    const text = h("p", {}, word("backtest_delete_sure"));
    sure(
      this,
      `${word("backtest_delete")}: ${run.name}`,
      [text],
      word("backtest_delete"),
      async () => {
        await hass.connection.sendMessagePromise({ type: "calvalot/delete_backtest", backtest: run.id });
        this._results.delete(run.id);
        this._read();
      },
      "danger",
    );
  }

  // What is shown is shown again after the page was loaded anew.
  _remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      return [];
    }
  }

  _keep(ids) {
    this._shown = ids;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(ids));
    } catch {
      // It holds for this page only.
    }
  }

  async _choose(ids) {
    this._keep(ids);
    this._fill();
    await this._drawing;
    this._result.scrollIntoView({ block: "start" });
    this._result.querySelector("h3")?.focus({ preventScroll: true });
  }

  _display(ids) {
    const runs = ids.map((id) => this._runs.find((run) => run.id === id));
    const known = JSON.stringify(runs);
    if (known === this._drawn) return;
    this._drawn = known;
    this._drawing = this._draw(runs, known);
  }

  async _draw(runs, known) {
    const results = await Promise.all(runs.map(({ id }) => this._whole(id)));
    if (known !== this._drawn) return;
    const there = runs.length > 0 && results.every((result) => result?.equity.length);
    this._result.hidden = !runs.length;
    if (!runs.length) return this._result.replaceChildren();
    const title = (text) => h("h3", { class: "titled", tabindex: "-1" }, text);
    const [run] = runs;
    if (!there) {
      const text = h("p", { class: "quiet" }, this.word("backtest_no_result"));
      this._result.replaceChildren(title(run.name), ...verdictOf(run), text);
    } else if (runs.length > 1) {
      this._result.replaceChildren(title(this.word("backtest_compared")), ...compared(this, runs, results));
    } else {
      const use = this._admin && this._usable(run, results[0]);
      this._result.replaceChildren(title(run.name), ...shown(this, run, results[0]), ...(use ? [use] : []));
    }
    setAttribute(this._result, "aria-label", runs.map(({ name }) => name).join(", "));
  }

  // The whole result, asked for once.
  async _whole(id) {
    if (!this._results.has(id)) {
      const asked = answer(this.hass, "get_backtests", { ...this._named, backtest: id, whole: true });
      this._results.set(
        id,
        asked.then(({ backtests: [{ result }] }) => result),
      );
      asked.catch(() => this._results.delete(id));
    }
    return this._results.get(id).catch(() => undefined);
  }

  // Rules that were tested, as a strategy of this portfolio; first on paper.
  _usable(run, { spec }) {
    const { word, picture, hass } = this;
    const [source, ...others] = spec.sources;
    if (others.length || !source.text || source.kind !== "strategy" || picture.mode !== "dry_run") return undefined;
    const ask = () => {
      const weight = h("input", { type: "number", min: 1, max: 100, value: 50, required: true });
      const send = () =>
        act(hass, "set_strategy", {
          ...this._named,
          rules: source.text,
          coin: spec.coins,
          time_frame: spec.frame,
          parameters: source.parameters ?? {},
          share: Number(source.share ?? 100),
          weight: Number(weight.value),
          confirm: true,
        });
      const field = h("label", {}, h("span", {}, word("weight_percent")), weight);
      sure(this, `${word("use_it")}: ${run.name}`, [h("p", {}, word("backtest_use")), field], word("use_it"), send);
    };
    return h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "act strong", onclick: ask }, word("use_it")),
    );
  }
}
