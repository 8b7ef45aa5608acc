// Money in and out, and the way out: dialogs for administrators.

import { act, answer, page } from "./data.js";
import { Dialog, sure } from "./dialog.js";
import { h } from "./dom.js";
import { EURO } from "./format.js";
import { bare, capital, inWords, ON_THE_WAY, refusal } from "./wording.js";

const MAX_NOTE = 255;
// Signals among which a sale that is not done is found.
const RECENT = 20;

export function moveMoney(card, kind) {
  const { word, amounts: format, hass, picture, follower } = card;
  const verb = word(kind === "deposit" ? "pay_in" : "withdraw");
  const dialog = new Dialog(card, `${verb} · ${picture.title}`);
  const amount = h("input", {
    type: "number",
    name: "amount",
    min: "0.01",
    step: "0.01",
    inputmode: "decimal",
    required: true,
  });
  const note = h("input", { type: "text", name: "note", maxlength: MAX_NOTE, autocomplete: "off" });
  const at = h("input", { type: "datetime-local", name: "at" });
  const field = (name, input, hint) => h("label", {}, h("span", {}, word(name)), input, hint && h("small", {}, hint));
  const send = async () => {
    const data = { config_entry_id: follower.entry_id, amount: amount.value, note: note.value };
    // The field knows no time zone: it is the browser's.
    if (at.value) data.at = new Date(at.value).toISOString();
    const { cash, rate } = card.picture ?? picture;
    if (kind === "withdrawal" && !at.value && cash !== null && rate && Number(amount.value) > cash * rate) {
      await sellFirst(card, dialog, data);
      return;
    }
    try {
      await act(hass, kind === "deposit" ? "deposit" : "withdraw", data);
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return;
    }
    card.live.textContent = word("moved", { what: word(kind), amount: format.eur(data.amount) });
    dialog.close();
  };
  dialog.show(
    [
      h("p", { class: `mode-line ${picture.mode}` }, word(`${kind}_${picture.mode}`)),
      h("p", { class: "free" }, free(card, kind)),
      field("amount_eur", amount),
      field("note", note),
      field("at", at, word("at_hint")),
    ],
    [verb, send, "strong"],
    [word("cancel")],
  );
}

// What lacks of a withdrawal is sold first: shown, and only then done.
async function sellFirst(card, dialog, data) {
  const { word, amounts: format, hass, picture } = card;
  let plan;
  try {
    plan = await answer(hass, "preview", { config_entry_id: data.config_entry_id, withdraw: data.amount });
  } catch (error) {
    dialog.refuse(await refusal(hass, error));
    return;
  }
  if (!plan.enough) {
    dialog.refuse(word("sell_not_enough", { amount: format.eur(plan.most_eur) }));
    return;
  }
  const send = async () => {
    try {
      await act(hass, "withdraw", { ...data, sell: true });
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return;
    }
    card.live.textContent = word("moved", { what: word("withdrawal"), amount: format.eur(data.amount) });
    dialog.close();
  };
  dialog.show(
    [
      h("p", { class: `mode-line ${picture.mode}` }, word(`sell_${picture.mode}`)),
      h("p", {}, word("sell_first")),
      list(plan.orders.map((order) => [bare(order.symbol, plan.quote), format.amount(order.amount, plan.quote)])),
      h(
        "p",
        { class: "sum" },
        word("sell_brings", { amount: format.eur(plan.proceeds_eur), cash: format.eur(plan.cash_eur) }),
      ),
    ],
    [word("sell_and_withdraw"), send, "danger"],
    [word("cancel")],
  );
}

// A deposit or withdrawal put right, or taken out; whatever was done can be undone at once. `renew` reads the cash flows again.
export function changeFlow(card, flow, renew) {
  const { word, format, hass, follower } = card;
  const dialog = new Dialog(card, `${word(flow.kind)} · ${format.dateTime(flow.at)}`);
  const known = { amount: String(Math.abs(flow.amount)), note: flow.note, at: localTime(flow.at) };
  const field = (name, options, label = name) => {
    const input = h("input", { name, ...options });
    input.value = known[name];
    return [input, h("label", {}, h("span", {}, word(label)), input)];
  };
  const number = { type: "number", min: "0.01", step: "any", inputmode: "decimal", required: true };
  const [amount, amountField] = field("amount", number, "amount_eur");
  const [note, noteField] = field("note", { type: "text", maxlength: MAX_NOTE, autocomplete: "off" });
  const [at, atField] = field("at", { type: "datetime-local", required: true });
  const data = { config_entry_id: follower.entry_id };
  const attempt = async (service, values, after) => {
    try {
      await act(hass, service, { ...data, ...values });
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return;
    }
    renew();
    card.live.textContent = word(after);
    if (service === "undo_cash_flow") return dialog.close();
    const undo = () => attempt("undo_cash_flow", {}, "flow_undone");
    dialog.show([h("p", { role: "status" }, word(after))], [word("close")], [word("undo_flow"), undo]);
  };
  const save = async () => {
    const changed = {
      ...(amount.value === known.amount ? {} : { amount: `${flow.amount < 0 ? "-" : ""}${amount.value}` }),
      ...(note.value === known.note ? {} : { note: note.value }),
      ...(at.value === known.at ? {} : { at: new Date(at.value).toISOString() }),
    };
    if (Object.keys(changed).length) await attempt("change_cash_flow", { id: flow.seq, ...changed }, "flow_changed");
    else dialog.close();
  };
  const remove = () => {
    const send = () => attempt("delete_cash_flow", { id: flow.seq }, "flow_deleted");
    dialog.show([h("p", {}, word("delete_flow_sure"))], [word("delete_flow"), send, "danger"], [word("cancel")]);
  };
  dialog.show(
    [amountField, noteField, atField],
    [word("save"), save, "strong"],
    [word("delete_flow"), remove, "danger"],
    [word("cancel")],
  );
}

// A time as a field of a form has it: the browser's, without a zone.
function localTime(at) {
  const time = new Date(at);
  return new Date(at - time.getTimezoneOffset() * 60e3).toISOString().slice(0, 16);
}

// A coin that is not listed any more leaves the book, at its last price or at what its owner says it is worth.
export function writeOff(card, coin) {
  const { word, amounts: format, hass, picture, follower } = card;
  const { value } = picture.positions.find((row) => row.coin === coin);
  const worth = value === null || !picture.rate ? null : value * picture.rate;
  const input = h("input", { type: "number", name: "value", min: "0", step: "0.01", inputmode: "decimal" });
  const field = h(
    "label",
    {},
    h("span", {}, word("worth")),
    input,
    h("small", {}, word("worth_hint", { amount: format.eur(worth) })),
  );
  const send = () => {
    const data = { config_entry_id: follower.entry_id, coin, ...(input.value === "" ? {} : { value: input.value }) };
    return act(hass, "write_off", data);
  };
  const content = [h("p", {}, word("write_off_does", { coin })), field];
  sure(card, `${word("write_off")} · ${coin}`, content, word("write_off"), send, "danger");
}

// What may be moved: the cash of the portfolio, or what is free in the wallet.
function free({ word, amounts: format, picture }, kind) {
  const { mode, cash, rate, spare } = picture;
  if (kind === "withdrawal") {
    const there = cash === null || !rate ? null : Math.max(0, Math.floor(cash * rate * 100) / 100);
    return word(there === null ? "free_unknown" : "free_cash", { amount: format.eur(there) });
  }
  if (mode === "dry_run") return word("free_paper");
  return word((spare ?? null) === null ? "free_unknown" : "free_wallet", { amount: format.eur(spare) });
}

export async function sellEverything(card) {
  const { word, hass, picture, follower } = card;
  const dialog = new Dialog(card, `${word("sell_all")} · ${picture.title}`);
  const data = { config_entry_id: follower.entry_id };
  const ask = async (confirm) => {
    try {
      return await answer(hass, "exit", { ...data, confirm });
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return undefined;
    }
  };
  dialog.show([h("p", {}, word("loading"))], [word("cancel")]);
  const preview = await ask(false);
  if (!preview) return;
  const { orders } = preview;
  const mode = h("p", { class: `mode-line ${picture.mode}` }, word(`exit_${picture.mode}`));
  const what = [
    h("p", {}, word("exit_does")),
    orders.length
      ? list(
          orders.map((order) => [bare(order.symbol, preview.quote), card.amounts.amount(order.amount, preview.quote)]),
        )
      : h("p", {}, word("exit_nothing")),
    orders.length > 0 && h("p", { class: "sum" }, word("exit_brings", { amount: money(card, preview) })),
    ...stays(card, "exit_stays", preview.remaining),
  ].filter(Boolean);
  const begin = async () => {
    const summary = await ask(true);
    if (summary) progress(dialog, summary);
  };
  const again = () => {
    dialog.title(word("exit_sure"));
    dialog.show(
      [mode.cloneNode(true), h("p", {}, word("exit_again", { amount: money(card, preview), count: orders.length }))],
      [word("exit_begin"), begin, "danger"],
      [word("cancel")],
    );
  };
  dialog.show([mode, ...what], [word("exit_go_on"), again, "danger"], [word("cancel")]);
}

// How far the sale is, with each snapshot that comes, and in the end what it brought.
function progress(dialog, summary) {
  const { card } = dialog;
  const { word, hass, follower } = card;
  let finished = false;
  const show = (told) => {
    ({ finished } = told);
    dialog.title(word(finished ? "exit_done" : "exit_runs"));
    dialog.show(
      [
        h(
          "p",
          { class: "sum", role: "status" },
          word(finished ? "exit_brought" : "exit_so_far", { amount: money(card, told) }),
        ),
        ...stays(card, finished ? "exit_stays" : "exit_left", told.remaining),
        !finished && h("p", { class: "quiet" }, word("exit_goes_on")),
      ].filter(Boolean),
      [word("close")],
    );
  };
  show(summary);
  dialog.renewed = async () => {
    if (finished) return;
    const signals = await page(hass, "signals", follower.entry_id, RECENT).catch(() => []);
    const sale = signals.find(({ signal_id: id }) => id === summary.signal_id);
    if (sale && card.picture && !finished) show(state(card.picture, sale));
  };
}

// What a sale has brought and left, by its record and the positions.
function state({ positions, quote, rate }, { result, trades, legs }) {
  const fees = trades.flatMap((trade) => trade.fees).filter(({ asset }) => asset === quote);
  const sum = (rows) => rows.reduce((total, { amount }) => total + Number(amount), 0);
  const proceeds = sum(trades) - sum(fees);
  const why = (coin) => {
    const leg = legs.findLast(({ symbol }) => bare(symbol, quote) === coin);
    return leg && (leg.reason || (ON_THE_WAY.includes(leg.result) ? leg.result : undefined));
  };
  const remaining = positions
    .filter(({ quantity }) => Number(quantity))
    .map(({ coin, quantity, value }) => ({ coin, quantity, value, reason: why(coin) }));
  return { finished: result !== "open", quote, proceeds, proceeds_eur: rate ? proceeds * rate : null, remaining };
}

const money = ({ amounts: format, picture }, { proceeds, proceeds_eur: eur, quote = picture.quote }) =>
  [eur === null || quote === EURO ? "" : format.eur(eur), format.amount(proceeds, quote)].filter(Boolean).join(" · ");

const list = (rows) =>
  h("ul", { class: "rows" }, ...rows.map(([name, value]) => h("li", {}, h("b", {}, name), h("span", {}, value))));

function stays(card, title, remaining) {
  const { word, format, picture, tell } = card;
  // What rounding leaves of a coin that is sold.
  const rest = ({ value, reason }) => value !== null && (!reason || reason === "dust");
  const rests = remaining.filter(rest).reduce((sum, { value }) => sum + Number(value), 0);
  const rows = remaining
    .filter((each) => !rest(each))
    .map(({ coin, quantity, value, reason }) => [
      coin,
      [
        format.quantity(quantity),
        value === null ? "" : format.amount(value, picture.quote),
        inWords(reason, tell, picture.quote) || (ON_THE_WAY.includes(reason) && capital(word(reason))),
      ]
        .filter(Boolean)
        .join(" · "),
    ]);
  return [
    rows.length > 0 && h("h3", {}, word(title)),
    rows.length > 0 && list(rows),
    rests >= 0.005 && h("p", { class: "quiet" }, word("exit_rests", { amount: format.amount(rests, picture.quote) })),
  ];
}
