// Reasons and problems in the words of the integration's own translations, which the logbook shares.

// What stands after the colon of a reason, where it is coins or symbols; the exchange's own sentences stay out.
const NAMES = /^[0-9A-Z]+(, [0-9A-Z]+)*$/;
const DOMAIN = "calvalot";
// Results of an order that may still trade.
export const ON_THE_WAY = ["planned", "sending", "unknown"];

const loaded = new WeakMap();

const load = (hass, category) => {
  if (!loaded.has(hass.connection)) loaded.set(hass.connection, new Map());
  const known = loaded.get(hass.connection);
  const key = `${category} ${hass.locale?.language ?? hass.language}`;
  if (!known.has(key)) {
    const localize = hass.loadBackendTranslation(category, DOMAIN);
    localize.catch(() => known.delete(key));
    known.set(key, localize);
  }
  return known.get(key);
};

export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

// Looks a text up: `tell("problem_leader_no_answer")`; nothing where there is none.
export async function wording(hass) {
  const localize = await load(hass, "common").catch(() => () => "");
  return (key, values) => localize(`component.${DOMAIN}.common.${key}`, values) ?? "";
}

// What an action was refused for.
export async function refusal(hass, error) {
  const { translation_domain: domain, translation_key: key, translation_placeholders: values } = error ?? {};
  const localize = domain === DOMAIN && key ? await load(hass, "exceptions").catch(() => undefined) : undefined;
  return localize?.(`component.${DOMAIN}.exceptions.${key}.message`, values) || error?.message || String(error);
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
