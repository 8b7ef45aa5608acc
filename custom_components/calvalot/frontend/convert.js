// A conversion: from what, into what, how much; what it would bring; and only then it is traded.

import { answer } from "./data.js";
import { Dialog } from "./dialog.js";
import { h, setText } from "./dom.js";
import { inWords, refusal } from "./wording.js";

// What a portfolio may be kept in.
const QUOTES = ["USDC", "USDT", "FDUSD", "EUR"];

export function convert(card) {
  const { word, format, hass, picture, follower } = card;
  const title = `${word("convert").replace(/\s*…$/, "")} · ${picture.title}`;
  const dialog = new Dialog(card, title);
  const held = [
    ...picture.positions.filter(({ quantity }) => Number(quantity)).map(({ coin, quantity }) => [coin, quantity]),
    [picture.quote, picture.cash],
  ].filter(([, quantity]) => Number(quantity) > 0);
  const coins = picture.positions.filter(({ set_aside: aside }) => !aside).map(({ coin }) => coin);
  const goals = [...new Set([...coins, picture.quote])];
  const option = (code) => h("option", { value: code }, code);
  const from = h("select", { name: "from_asset" }, ...held.map(([code]) => option(code)));
  const to = h("select", { name: "to_asset" }, ...goals.map(option));
  const quantity = h("input", {
    type: "text",
    name: "quantity",
    inputmode: "decimal",
    required: true,
    autocomplete: "off",
  });
  const there = h("small", {});
  const all = h("button", { type: "button", class: "act", onclick: () => fill() }, word("convert_all"));
  const had = () => held.find(([code]) => code === from.value)?.[1] ?? "0";
  const fill = () => {
    quantity.value = had();
  };
  const chosen = () => {
    setText(there, word("convert_held", { quantity: format.quantity(had()), asset: from.value }));
    for (const each of to.options) each.disabled = each.value === from.value;
    if (to.value === from.value) to.value = goals.find((code) => code !== from.value) ?? "";
  };
  from.addEventListener("change", chosen);
  const field = (name, input, ...hint) => h("label", {}, h("span", {}, word(name)), input, ...hint);
  const ask = async (more) => {
    const data = {
      config_entry_id: follower.entry_id,
      from_asset: from.value,
      to_asset: to.value,
      quantity: quantity.value.trim().replace(",", "."),
    };
    try {
      return await answer(hass, "convert", { ...data, ...more });
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return undefined;
    }
  };
  const mode = () => h("p", { class: `mode-line ${picture.mode}` }, word(`convert_${picture.mode}`));
  const trade = async (plan) => {
    const done = await ask({ plan_id: plan.plan_id, confirm: true });
    if (!done) return;
    card.live.textContent = word(`convert_${done.result}`);
    dialog.title(word(`convert_${done.result}`));
    dialog.show(outcome(card, done), [word("close")]);
  };
  const look = async () => {
    const plan = await ask({});
    if (!plan) return;
    dialog.title(word("convert_sure"));
    dialog.show(
      [mode(), ...quote(card, plan)],
      [word("convert_begin"), () => trade(plan), "strong"],
      [word("convert_back"), form],
    );
  };
  const form = () => {
    dialog.title(title);
    dialog.show(
      [
        mode(),
        h("p", {}, word("convert_does")),
        field("convert_from", from, there),
        field("convert_to", to),
        field("convert_quantity", quantity),
        all,
      ],
      [word("convert_look"), look, "strong"],
      [word("quote_change"), () => changeQuote(card, dialog)],
      [word("cancel")],
    );
  };
  chosen();
  form();
}

// Another quote asset: which, what happens, and only then it does.
function changeQuote(card, dialog) {
  const { word, format, hass, picture, follower } = card;
  const select = h(
    "select",
    { name: "quote_asset" },
    ...QUOTES.filter((code) => code !== picture.quote).map((code) => h("option", { value: code }, code)),
  );
  const ask = async (more) => {
    try {
      const data = { config_entry_id: follower.entry_id, quote_asset: select.value, ...more };
      return await answer(hass, "change_quote_asset", data);
    } catch (error) {
      dialog.refuse(await refusal(hass, error));
      return undefined;
    }
  };
  const mode = () => h("p", { class: `mode-line ${picture.mode}` }, word(`convert_${picture.mode}`));
  const begin = async (plan) => {
    const done = await ask({ plan_id: plan.plan_id, confirm: true });
    if (!done) return;
    const said = done.changed ? word("quote_done", { quote: done.quote_asset }) : word("quote_stopped");
    card.live.textContent = said;
    dialog.title(said);
    dialog.show(done.conversion ? outcome(card, done.conversion) : [], [word("close")]);
  };
  const look = async () => {
    const plan = await ask({});
    if (!plan) return;
    const kept = plan.kept.map(({ coin }) => coin).join(", ");
    dialog.title(word("quote_sure", { quote: plan.quote_asset }));
    dialog.show(
      [
        mode(),
        ...(plan.conversion ? quote(card, plan.conversion) : []),
        kept && h("p", {}, word("quote_kept", { coins: kept })),
        Number(plan.left_over) > 0 &&
          h("p", {}, word("quote_left", { amount: format.amount(plan.left_over, plan.from_asset) })),
      ].filter(Boolean),
      [word("quote_begin"), () => begin(plan), "strong"],
      [word("cancel")],
    );
  };
  dialog.title(word("quote_change"));
  dialog.show(
    [mode(), h("p", {}, word("quote_does")), h("label", {}, h("span", {}, word("quote_to")), select)],
    [word("quote_look"), look, "strong"],
    [word("cancel")],
  );
}

const amount = ({ format }, quantity, asset) => `${format.quantity(quantity)} ${asset}`;

const rows = (card, facts) =>
  h(
    "dl",
    { class: "facts" },
    ...facts.map(([name, text]) => h("div", {}, h("dt", {}, card.word(name)), h("dd", {}, text))),
  );

// What the steps of the exchange and the price guard leave, of what is sold and of what is between.
function leftOver(card, plan) {
  const left = [{ asset: plan.from_asset, quantity: plan.left_over }, ...plan.left];
  const some = left.filter(({ quantity }) => Number(quantity) > 0);
  const told = ({ asset, quantity }) =>
    asset === plan.quote ? card.format.amount(quantity, asset) : amount(card, quantity, asset);
  return some.map(told).join(" · ") || "–";
}

// What a plan would bring.
function quote(card, plan) {
  const { word, format } = card;
  return [
    h(
      "p",
      { class: "sum" },
      `${amount(card, plan.sold, plan.from_asset)} → ${amount(card, plan.expected, plan.to_asset)}`,
    ),
    rows(card, [
      ["convert_route", plan.route.join(" → ")],
      ["convert_value", format.amount(plan.value, plan.quote)],
      ["cost", format.amount(plan.cost, plan.quote)],
      ["convert_over", leftOver(card, plan)],
    ]),
    h("p", { class: "quiet" }, word("convert_valid", { time: format.seconds(plan.as_of) })),
  ];
}

// What it has brought, and what is left half-way.
function outcome(card, done) {
  const { word, tell } = card;
  const why = inWords(done.reason, tell);
  return [
    h(
      "p",
      { class: "sum" },
      `${amount(card, done.sold, done.from_asset)} → ${amount(card, done.received, done.to_asset)}`,
    ),
    why && h("p", {}, why),
    done.result === "partial" &&
      done.left.map(({ asset, quantity }) => h("p", {}, word("convert_left", { what: amount(card, quantity, asset) }))),
    done.result === "open" && h("p", {}, word("convert_waits")),
  ]
    .flat()
    .filter(Boolean);
}
