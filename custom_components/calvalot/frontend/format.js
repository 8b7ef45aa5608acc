// Figures and times, written the way the user of Home Assistant has chosen.

const NUMBER_LOCALES = {
  comma_decimal: ["en-US"],
  decimal_comma: ["de"],
  space_comma: ["fr"],
  quote_decimal: ["de-CH"],
  system: undefined,
};
// The asset that amounts are told in.
export const EURO = "EUR";
const UNKNOWN = "–";
const STEPS = [
  ["year", 31557600],
  ["month", 2629800],
  ["week", 604800],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

const COVERED = "•••";

export class Format {
  // `hides` says whether amounts are covered.
  constructor(hass, hides = () => false) {
    this._hides = hides;
    const locale = hass.locale ?? {};
    this.language = locale.language ?? hass.language ?? "en";
    const style = locale.number_format;
    this._numbers = style in NUMBER_LOCALES ? NUMBER_LOCALES[style] : this.language;
    this._plain = style === "none";
    const hour12 = { 12: true, 24: false }[locale.time_format];
    this._times = {
      ...(locale.time_zone === "server" && hass.config ? { timeZone: hass.config.time_zone } : {}),
      ...(hour12 === undefined ? {} : { hour12 }),
    };
    this._cache = new Map();
  }

  _number(value, options) {
    if (!known(value)) return UNKNOWN;
    const key = JSON.stringify(options);
    if (!this._cache.has(key)) {
      this._cache.set(
        key,
        new Intl.NumberFormat(this._numbers, { ...options, ...(this._plain ? { useGrouping: false } : {}) }),
      );
    }
    return this._cache.get(key).format(Number(value));
  }

  _time(value, options) {
    return new Intl.DateTimeFormat(this.language, { ...options, timeZone: this._times.timeZone }).format(
      new Date(value),
    );
  }

  eur(value, signed = false, digits = 2) {
    if (known(value) && this._hides()) return `${COVERED}\u00a0€`;
    return this._number(value, {
      style: "currency",
      currency: EURO,
      currencyDisplay: "narrowSymbol",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: signed ? "exceptZero" : "negative",
    });
  }

  amount(value, asset, signed = false) {
    if (asset === EURO) return this.eur(value, signed);
    if (known(value) && this._hides()) return COVERED;
    const text = this._number(value, {
      minimumFractionDigits: 2,
      maximumFractionDigits: 2,
      signDisplay: signed ? "exceptZero" : "negative",
    });
    return asset && known(value) ? `${text}\u00a0${asset}` : text;
  }

  price(value, short = false) {
    if (!known(value)) return UNKNOWN;
    const size = Math.abs(value);
    if (short) return this._number(value, { maximumSignificantDigits: size >= 1000 ? Math.ceil(Math.log10(size)) : 4 });
    const digits = size >= 1000 ? 2 : size >= 1 ? 4 : 6;
    return this._number(value, { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits });
  }

  quantity(value) {
    if (known(value) && this._hides()) return COVERED;
    return this._number(value, { maximumSignificantDigits: 8 });
  }

  percent(value, signed = false, digits = 1) {
    return this._number(known(value) ? value / 100 : null, {
      style: "percent",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      signDisplay: signed ? "exceptZero" : "negative",
    });
  }

  time(value) {
    return this._time(value, { hour: "numeric", minute: "2-digit", ...this._times });
  }

  seconds(value) {
    return this._time(value, { hour: "numeric", minute: "2-digit", second: "2-digit", ...this._times });
  }

  day(value, withYear = false) {
    return this._time(value, { day: "numeric", month: "short", ...(withYear ? { year: "numeric" } : {}) });
  }

  ratio(value) {
    return this._number(value, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  }

  // Of its number, from 0 on.
  monthName(month) {
    return new Intl.DateTimeFormat(this.language, { month: "short", timeZone: "UTC" }).format(
      Date.UTC(2024, month, 15),
    );
  }

  monthAndYear(value) {
    return new Intl.DateTimeFormat(this.language, { month: "long", year: "numeric", timeZone: "UTC" }).format(
      new Date(value),
    );
  }

  month(value) {
    return this._time(value, { month: "short", year: "2-digit" });
  }

  dateTime(value) {
    return value
      ? this._time(value, {
          day: "numeric",
          month: "short",
          year: "numeric",
          hour: "numeric",
          minute: "2-digit",
          ...this._times,
        })
      : UNKNOWN;
  }

  relative(value) {
    const left = (new Date(value) - Date.now()) / 1000;
    // Clocks differ a little: what has happened is not to come.
    const seconds = left > 0 && left < 60 ? 0 : left;
    const writer = new Intl.RelativeTimeFormat(this.language, { numeric: "auto" });
    for (const [unit, length] of STEPS) {
      if (Math.abs(seconds) >= length) return writer.format(Math.round(seconds / length), unit);
    }
    return writer.format(Math.round(seconds), "second");
  }
}
