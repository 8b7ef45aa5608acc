// Texts of the integration's own translations, which the logbook shares.

// What stands after the colon of a reason, where it is coins or symbols; the exchange's own sentences stay out.
const NAMES = /^[0-9A-Z]+(, [0-9A-Z]+)*$/;
const DOMAIN = "calvalot";
const RETRY = 5000;
// Results of an order that may still trade.
export const ON_THE_WAY = ["planned", "sending", "unknown"];

const loaded = new WeakMap();

// Until there is an answer: a connection that was lost meanwhile comes back.
async function load(connection, language, category) {
  for (;;) {
    try {
      const request = { type: "frontend/get_translations", language, category, integration: DOMAIN };
      return (await connection.sendMessagePromise(request)).resources;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}

// What looks a text of a category up, and fills its values in; it returns undefined for one that is not there.
async function texts({ connection, locale, language }, category) {
  if (!loaded.has(connection)) loaded.set(connection, new Map());
  const known = loaded.get(connection);
  const spoken = locale?.language ?? language;
  const key = `${category} ${spoken}`;
  if (!known.has(key)) known.set(key, load(connection, spoken, category));
  const resources = await known.get(key);
  return (name, values = {}) =>
    resources[`component.${DOMAIN}.${category}.${name}`]?.replace(/\{(\w+)\}/g, (_, value) => values[value] ?? "");
}

export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

// `word("pause")` is what the cards say; a reason is free text, and said as it is where it has no words.
// `tell("problem_leader_no_answer")` is what the logbook says; nothing where there are no words.
export async function words(hass) {
  const text = await texts(hass, "common");
  return {
    word: (key, values) => text(`card_${key}`, values) ?? key,
    tell: (key, values) => text(key, values) ?? "",
  };
}

// What an action was refused for.
export async function refusal(hass, error) {
  const { translation_domain: domain, translation_key: key, translation_placeholders: values } = error ?? {};
  const told = domain === DOMAIN && key && (await texts(hass, "exceptions"))(`${key}.message`, values);
  return told || error?.message || String(error);
}

// The parts of a reason as [words, coins].
export function reasons(reason, tell, quote = "") {
  const found = [];
  for (const part of (reason ?? "").split("; ").filter(Boolean)) {
    const [, code, names = ""] = /^(.*?)(?:: (.*))?$/s.exec(part);
    const key = names.includes("insufficient balance")
      ? "insufficient_balance"
      : code.toLowerCase().replace(/[^a-z0-9]+/g, "_");
    const words = tell(`reason_${key}`);
    if (!words) continue;
    const coins = NAMES.test(names) ? names.split(", ").map((name) => bare(name, quote)) : [];
    found.push([words, coins]);
  }
  return found;
}

export const bare = (symbol, quote) =>
  quote && symbol !== quote && symbol.endsWith(quote) ? symbol.slice(0, -quote.length) : symbol;

export const inWords = (reason, tell, quote) =>
  capital(
    reasons(reason, tell, quote)
      .map(([words, coins]) => (coins.length ? tell("logbook_of", { reason: words, coins: coins.join(", ") }) : words))
      .join("; "),
  );

// Why a strategy wants something else, in words; the reasoning of anybody else is told as it is.
export function because(reasoning, tell) {
  const parts = (reasoning ?? "").split("; ").map((part) => {
    const [code, coins = ""] = part.split(": ");
    const reason = NAMES.test(coins) && tell(`reason_because_${code}`);
    return reason && tell("logbook_of", { reason, coins });
  });
  return parts.every(Boolean) ? capital(parts.join("; ")) : reasoning;
}
