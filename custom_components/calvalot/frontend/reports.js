// Reports: made, opened and deleted by administrators.

import { CalvalotCard } from "./card.js";
import { answer, deleteReport, exportPath, reports, signed } from "./data.js";
import { sure } from "./dialog.js";
import { h, setText } from "./dom.js";
import { refusal } from "./wording.js";

const MONTHS = 12;
const FORMATS = {
  koinly: "Koinly",
  cointracking: "CoinTracking",
  blockpit: "Blockpit",
  waltio: "Waltio",
  csv: "CSV",
  json: "JSON",
};

// Months, quarters and years since the start, the latest first: [what create_report is asked for, its name].
function spans(since, format, word) {
  const now = new Date();
  const found = [];
  const from = new Date(since ?? now);
  for (let back = 0; back < MONTHS; back += 1) {
    const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1));
    if (month < Date.UTC(from.getUTCFullYear(), from.getUTCMonth(), 1)) break;
    found.push([{ month: month.toISOString().slice(0, 7) }, format.monthAndYear(month)]);
  }
  for (let back = 0; back < MONTHS / 3; back += 1) {
    const first = new Date(Date.UTC(now.getUTCFullYear(), Math.floor(now.getUTCMonth() / 3) * 3 - back * 3, 1));
    if (Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 3, 1) <= from) break;
    const number = first.getUTCMonth() / 3 + 1;
    found.push([
      { quarter: `${first.getUTCFullYear()}-Q${number}` },
      word("quarter_of", { number, year: first.getUTCFullYear() }),
    ]);
  }
  for (let year = now.getUTCFullYear(); year >= from.getUTCFullYear(); year -= 1) found.push([{ year }, String(year)]);
  return found;
}

export class ReportsCard extends CalvalotCard {
  heading = "reports";

  build() {
    const { word } = this;
    this._select = h("select", { "aria-label": word("range") });
    this._make = h(
      "button",
      { type: "button", class: "act strong", onclick: () => this._create() },
      word("create_report"),
    );
    const option = ([value, name]) => h("option", { value }, name);
    this._format = h("select", { "aria-label": word("export_format") }, ...Object.entries(FORMATS).map(option));
    this._year = h("select", { "aria-label": word("export_year") });
    this._export = h(
      "div",
      { class: "money export" },
      h("b", {}, word("export")),
      this._format,
      this._year,
      h("button", { type: "button", class: "act", onclick: () => this._download() }, word("download")),
    );
    this._refused = h("p", { class: "refused", role: "alert" });
    this._list = h("ul", { class: "reports" });
    this._hint = h("p", { class: "quiet" });
    return [
      h("div", { class: "money" }, this._select, this._make),
      this._refused,
      this._list,
      this._hint,
      this._export,
    ];
  }

  _problems() {
    return [];
  }

  async began() {
    this._offer();
    await this._load();
  }

  _offer() {
    this._spans = spans(this.picture.since && Date.parse(this.picture.since), this.format, this.word);
    this._select.replaceChildren(...this._spans.map(([, name], index) => h("option", { value: index }, name)));
    const years = this._spans.filter(([span]) => span.year).map(([span, name]) => [span.year, name]);
    this._year.replaceChildren(
      ...[...years, ["all", this.word("all_years")]].map(([value, name]) => h("option", { value }, name)),
    );
    // The month that is over is what is asked for most.
    this._select.selectedIndex = this._spans[1]?.[0].month ? 1 : 0;
  }

  async _load() {
    if (!this.hass.user?.is_admin) return;
    const found = await reports(this.hass, this.follower.entry_id).catch(() => undefined);
    if (found) this._fill(found);
  }

  update() {
    const { word, hass } = this;
    const admin = Boolean(hass.user?.is_admin);
    for (const each of [this._select, this._make, this._export]) each.hidden = !admin;
    if (!admin) setText(this._hint, word("reports_for_admins"));
    else if (!this._spans) this._offer();
  }

  _fill(found) {
    const { word, format, hass, follower } = this;
    const name = ({ period, since }) => {
      const [, quarter] = period.split("-Q");
      if (quarter) return word("quarter_of", { number: quarter, year: since.slice(0, 4) });
      return period.includes("-") ? format.monthAndYear(`${since}T12:00Z`) : period;
    };
    const row = (report) => {
      const open = (text, path) => h("button", { type: "button", class: "act", onclick: () => this._open(path) }, text);
      const remove = () => {
        const title = `${word("delete_report")} · ${name(report)}`;
        const send = async () =>
          this._fill(await deleteReport(hass, follower.entry_id, report.period, report.language));
        sure(this, title, [h("p", {}, word("delete_report_sure"))], word("delete_report"), send, "danger");
      };
      return h(
        "li",
        { "data-report": `${report.period}-${report.language}` },
        h(
          "div",
          {},
          h("b", {}, name(report)),
          h("small", {}, `${report.language.toUpperCase()} · ${format.dateTime(report.created)}`),
        ),
        open("PDF", report.url),
        open(word("page"), report.page_url),
        h("button", { type: "button", class: "act danger", onclick: remove }, word("delete_report")),
      );
    };
    this._list.replaceChildren(...found.map(row));
    setText(this._hint, found.length ? "" : word("no_reports"));
  }

  // A window that is opened after an answer came is taken for an advertisement: it is opened first.
  async _open(path) {
    const opened = window.open("", "_blank");
    try {
      const url = await signed(this.hass, path);
      if (opened) opened.location = url;
      else window.location.assign(url);
    } catch (error) {
      opened?.close();
      setText(this._refused, await refusal(this.hass, error));
    }
  }

  // What is sent as an attachment leaves the page where it is.
  async _download() {
    setText(this._refused, "");
    try {
      const path = exportPath(this.follower.entry_id, this._year.value, this._format.value);
      window.location.assign(await signed(this.hass, path));
    } catch (error) {
      setText(this._refused, await refusal(this.hass, error));
    }
  }

  async _create() {
    const { hass, follower, word } = this;
    const [span] = this._spans[this._select.selectedIndex];
    this._make.disabled = true;
    setText(this._refused, "");
    setText(this._make, word("report_runs"));
    try {
      await answer(hass, "create_report", { config_entry_id: follower.entry_id, ...span });
      this.live.textContent = word("report_done");
      await this._load();
    } catch (error) {
      setText(this._refused, await refusal(hass, error));
    } finally {
      this._make.disabled = false;
      setText(this._make, word("create_report"));
    }
  }
}
