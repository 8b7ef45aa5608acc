// What the cards know: followers, one shared feed for each, curves from the recorder, pages of the ledger.

import { thin } from "./thin.js";

const HOUR = 3600e3;
const DAY = 24 * HOUR;
const RETRY = 5000;
const POINTS = 400;
const FLOWS = 200;

// `length` in ms, the recorder's `bucket`; without a length it begins where the recorder does.
export const PERIODS = {
  "1d": { length: DAY, bucket: "hour", raw: true },
  "1w": { length: 7 * DAY, bucket: "hour" },
  "1m": { length: 30 * DAY, bucket: "hour" },
  "3m": { length: 91 * DAY, bucket: "day" },
  "1y": { length: 365 * DAY, bucket: "day" },
  all: { bucket: "day" },
};

const lists = new WeakMap();

export function followers(hass, anew = false) {
  const { connection } = hass;
  if (anew || !lists.has(connection)) {
    const list = connection.sendMessagePromise({ type: "calvalot/followers" }).then((answer) => answer.followers);
    list.catch(() => lists.delete(connection));
    lists.set(connection, list);
  }
  return lists.get(connection);
}

class Feed {
  constructor(connection, entryId) {
    this._connection = connection;
    this._entryId = entryId;
    this._listeners = new Set();
    this._ready = () => this._open();
    this.message = undefined;
  }

  listen(listener) {
    this._listeners.add(listener);
    if (this._listeners.size === 1) {
      this._connection.addEventListener("ready", this._ready);
      this._open();
    } else if (this.message) listener(this.message);
    return () => this._leave(listener);
  }

  _leave(listener) {
    if (!this._listeners.delete(listener) || this._listeners.size) return;
    this._connection.removeEventListener("ready", this._ready);
    clearTimeout(this._retry);
    this.message = undefined;
    this._turn = (this._turn ?? 0) + 1;
    this._unsubscribe?.().catch(() => {});
    this._unsubscribe = undefined;
  }

  async _open() {
    clearTimeout(this._retry);
    const turn = (this._turn = (this._turn ?? 0) + 1);
    const receive = (message) => turn === this._turn && this._receive(message);
    try {
      const unsubscribe = await this._connection.subscribeMessage(
        receive,
        { type: "calvalot/subscribe", entry_id: this._entryId },
        { resubscribe: false },
      );
      if (turn === this._turn) this._unsubscribe = unsubscribe;
      else unsubscribe().catch(() => {});
    } catch (error) {
      if (turn !== this._turn) return;
      const gone = error?.code === "not_found";
      this._receive({ state: gone ? "removed" : "error", follower: null });
      // After a restart the page is back before the integration is.
      if (!gone) this._retry = setTimeout(this._ready, RETRY);
    }
  }

  _receive(message) {
    if (!message.event) this.message = message;
    for (const listener of [...this._listeners]) listener(message);
  }
}

const feeds = new WeakMap();

export function listen(hass, entryId, listener) {
  const { connection } = hass;
  if (!feeds.has(connection)) feeds.set(connection, new Map());
  const known = feeds.get(connection);
  if (!known.has(entryId)) known.set(entryId, new Feed(connection, entryId));
  return known.get(entryId).listen(listener);
}

export const page = (hass, kind, entryId, limit, before) =>
  hass.connection
    .sendMessagePromise({ type: `calvalot/${kind}`, entry_id: entryId, limit, ...(before ? { before } : {}) })
    .then((answer) => answer[kind]);

// Actions; whoever calls shows what they are refused for.
const call = (hass, service, data, answers) =>
  hass.callWS({ type: "call_service", domain: "calvalot", service, service_data: data, return_response: answers });

export const act = (hass, service, data) => call(hass, service, data, false);

export const answer = (hass, service, data) => call(hass, service, data, true).then(({ response }) => response);

export async function cashFlows(hass, entryId) {
  const flows = [];
  let more;
  do {
    more = await page(hass, "cash_flows", entryId, FLOWS, flows.at(-1)?.seq);
    flows.push(...more);
  } while (more.length === FLOWS);
  return flows.map((flow) => ({ ...flow, at: Date.parse(flow.time), amount: Number(flow.amount) })).reverse();
}

const statistics = (hass, ids, start, bucket) =>
  hass.callWS({
    type: "recorder/statistics_during_period",
    start_time: new Date(start).toISOString(),
    statistic_ids: ids,
    period: bucket,
    types: ["mean"],
  });

async function states(hass, id, start) {
  const answer = await hass.callWS({
    type: "history/history_during_period",
    start_time: new Date(start).toISOString(),
    end_time: new Date().toISOString(),
    entity_ids: [id],
    minimal_response: true,
    no_attributes: true,
    include_start_time_state: false,
    significant_changes_only: false,
  });
  return (answer[id] ?? []).map(({ s, lu, lc }) => [(lu ?? lc) * 1000, Number(s)]).filter(([, value]) => Number.isFinite(value));
}

// The value of a period as [time, EUR] points, and its time-weighted return in % (null where the recorder does not know it).
export async function curve(hass, entities, name) {
  const { length, bucket, raw } = PERIODS[name];
  const now = Date.now();
  const start = length ? now - length : 0;
  const ids = [entities.total_value, entities.time_weighted_return].filter(Boolean);
  const rows = await statistics(hass, ids, start || new Date("2010-01-01").getTime(), bucket).catch(() => ({}));
  const read = (id) =>
    (rows[id] ?? [])
      .filter((row) => Number.isFinite(row.mean))
      .map((row) => [Math.min((row.start + row.end) / 2, now), row.mean]);
  const means = read(entities.total_value);
  const since = raw ? start : means.length ? Math.max(start, now - 2 * HOUR) : Math.max(start, now - 10 * DAY);
  const recent = await states(hass, entities.total_value, since).catch(() => []);
  const first = recent.length ? recent[0][0] : Infinity;
  const points = [...means.filter(([time]) => time < first && time >= start), ...recent];
  const index = read(entities.time_weighted_return)[0]?.[1];
  return { points: thin(points, POINTS), start: start || points[0]?.[0] || now - DAY, index: index ?? null };
}
