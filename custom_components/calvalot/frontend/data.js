// What the cards know: portfolios, one shared feed for each, curves from the recorder, pages of the ledger.

import { thin } from "./thin.js";

const MINUTE = 60e3;
const DAY = 24 * 60 * MINUTE;
const RETRY = 5000;
const POINTS = 400;
const FLOWS = 200;

// In ms; the last one goes back to the first deposit.
export const PERIODS = { "1d": DAY, "1w": 7 * DAY, "1m": 30 * DAY, "3m": 91 * DAY, "1y": 365 * DAY, all: undefined };
// Up to which length every state is drawn, and up to which every hour; beyond it the ledger's closes are.
const STATES = 2 * DAY;
const HOURS = 45 * DAY;
// A figure that stood still for longer was still until it changed.
const STILL = 10 * MINUTE;

// The periods that a portfolio has lived through.
export const offered = (since, now = Date.now()) =>
  Object.keys(PERIODS).filter((name) => !PERIODS[name] || (since && since <= now - PERIODS[name]));

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

// What the market view is told while it is open; returns what ends that.
export const followMarket = (hass, entryId, frame, listener) =>
  hass.connection.subscribeMessage(listener, { type: "calvalot/market", entry_id: entryId, time_frame: frame });

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
    const turn = (this._turn ?? 0) + 1;
    this._turn = turn;
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

// The statistics and the curves day by day, asked once for all cards of a portfolio.
const asked = new WeakMap();
const ASKED = 60e3;

export function performance(hass, entryId) {
  const { connection } = hass;
  if (!asked.has(connection)) asked.set(connection, new Map());
  const known = asked.get(connection);
  const last = known.get(entryId);
  if (last && Date.now() - last.at < ASKED) return last.answer;
  const answer = connection.sendMessagePromise({ type: "calvalot/performance", entry_id: entryId });
  known.set(entryId, { at: Date.now(), answer });
  answer.catch(() => known.delete(entryId));
  return answer;
}

const told = (answer) => answer.reports;

export const reports = (hass, entryId) =>
  hass.connection.sendMessagePromise({ type: "calvalot/reports", entry_id: entryId }).then(told);

export const deleteReport = (hass, entryId, period, language) =>
  hass.connection
    .sendMessagePromise({ type: "calvalot/delete_report", entry_id: entryId, period, language })
    .then(told);

// Where an export is downloaded, of a year or of all of them.
export const exportPath = (entryId, year, format) => `/api/calvalot/exports/${entryId}/${year}/${format}`;

// An address that whoever is logged in may open for a moment.
export const signed = (hass, path) => hass.callWS({ type: "auth/sign_path", path }).then((answer) => answer.path);

// Allocations of some coins to start from; `cap` is the most that one may have by market cap, in %.
export const readyMade = (hass, entryId, shares, cap) =>
  hass.connection.sendMessagePromise({ type: "calvalot/ready_made", entry_id: entryId, shares, cap });

export async function cashFlows(hass, entryId) {
  const flows = [];
  let more;
  do {
    more = await page(hass, "cash_flows", entryId, FLOWS, flows.at(-1)?.seq);
    flows.push(...more);
  } while (more.length === FLOWS);
  return flows
    .map((flow) => ({
      ...flow,
      at: Date.parse(flow.time),
      amount: Number(flow.amount),
      before: flow.value_before === null ? null : Number(flow.value_before),
    }))
    .sort((a, b) => a.at - b.at || a.seq - b.seq);
}

// Each hour's mean; the hour in which money moved has none.
async function hours(hass, entities, start, flows) {
  const ids = [entities.total_value, entities.time_weighted_return].filter(Boolean);
  const rows = await hass.callWS({
    type: "recorder/statistics_during_period",
    start_time: new Date(start).toISOString(),
    statistic_ids: ids,
    period: "hour",
    types: ["mean"],
  });
  const index = new Map((rows[entities.time_weighted_return] ?? []).map((row) => [row.start, row.mean]));
  return (rows[entities.total_value] ?? [])
    .filter(
      (row) =>
        Number.isFinite(row.mean) && row.start >= start && !flows.some(({ at }) => at >= row.start && at < row.end),
    )
    .map((row) => ({ at: (row.start + row.end) / 2, value: row.mean, index: index.get(row.start), end: row.end }));
}

// Every state; where there was none for a while, the curve is interrupted.
async function states(hass, entities, start, flows) {
  const { total_value: value, time_weighted_return: index } = entities;
  const answer = await hass.callWS({
    type: "history/history_during_period",
    start_time: new Date(start).toISOString(),
    end_time: new Date().toISOString(),
    entity_ids: [value, index].filter(Boolean),
    minimal_response: true,
    no_attributes: true,
    significant_changes_only: false,
  });
  const read = (id) => (answer[id] ?? []).map(({ s, lu, lc }) => [(lu ?? lc) * 1000, s === "" ? NaN : Number(s)]);
  const returns = read(index).filter(([, each]) => Number.isFinite(each));
  const points = [];
  let cut = false;
  for (const [at, figure] of read(value)) {
    const last = points.at(-1);
    if (!Number.isFinite(figure)) {
      if (last && !cut && at - last.at > STILL) points.push({ ...last, at: at - 1 });
      cut = true;
      continue;
    }
    const moved = last && flows.some((flow) => flow.at > last.at && flow.at <= at);
    if (last && !cut && !moved && at - last.at > STILL) points.push({ ...last, at: at - 1, cut: false });
    points.push({
      at,
      value: figure,
      index: returns.findLast(([time]) => time <= at + MINUTE)?.[1],
      cut: cut && points.length > 0,
    });
    cut = false;
  }
  return points;
}

// The ledger's last figures of each day in UTC, the one before the start among them.
async function closes(hass, entryId, start) {
  const answer = await hass.callWS({
    type: "call_service",
    domain: "calvalot",
    service: "get_performance",
    service_data: { config_entry_id: entryId },
    return_response: true,
  });
  const today = new Date().toISOString().slice(0, 10);
  const known = answer.response.closes
    .filter(({ day }) => day < today)
    .map(({ day, value, unit_price: price }) => ({
      at: Date.parse(day) + DAY,
      value: Number(value),
      index: (Number(price) - 1) * 100,
    }));
  const first = known.findLastIndex(({ at }) => at <= start);
  return known.slice(Math.max(first, 0));
}

// Money in and out is a step: what the value was just before it and just after it.
function withSteps(points, flows, from) {
  const steps = flows
    .filter((flow) => flow.before !== null && flow.at >= from)
    .flatMap(({ at, before, amount, kind }) =>
      kind === "initial"
        ? [{ at, value: amount, index: 0, step: true }]
        : [
            { at, value: before, step: true },
            { at, value: before + amount, step: true },
          ],
    );
  // What stands at the time of a flow was there before it.
  return [...points.filter(({ at }) => at >= from), ...steps].sort(
    (a, b) => a.at - b.at || Boolean(a.step) - Boolean(b.step),
  );
}

// What was known of the value in a period, oldest first: { at, value in EUR, index: time-weighted return in % where known,
// step, cut: nothing is known between it and the one before }.
export async function curve(hass, { entry_id: entryId, entities }, name, picture, flows) {
  const now = Date.now();
  const since = Date.parse(picture.since);
  const start = Math.max(since, PERIODS[name] ? now - PERIODS[name] : since);
  const span = now - start;
  // What the recorder saw is without money that was dated back later on; the closes were valued again.
  const dated = picture.revalued !== null && Date.parse(picture.revalued) > start;
  let points = [];
  if (entities.total_value && span <= HOURS && !dated) {
    if (span > STATES) points = await hours(hass, entities, start, flows).catch(() => []);
    if (points.length || span <= STATES)
      points.push(...(await states(hass, entities, points.at(-1)?.end ?? start, flows).catch(() => [])));
  }
  if (dated || (points.length < 2 && span > STATES)) points = await closes(hass, entryId, start).catch(() => []);
  const from = start <= since ? since : (points[0]?.at ?? start);
  return thin(withSteps(points, flows, from), POINTS);
}
