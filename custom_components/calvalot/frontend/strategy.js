// The dashboard that makes itself: all portfolios at a glance, a page for each, and one to trade by hand.

import { followers } from "./data.js";
import { words } from "./wording.js";

const card = (type, follower, options = {}) => ({ type: `custom:calvalot-${type}-card`, follower, ...options });
const section = (cards, span = 1) => ({ type: "grid", column_span: span, cards });

function pageOf({ entry_id: id, title, entities }, index, only) {
  return {
    title,
    path: only ? "portfolio" : `follower-${index + 1}`,
    type: "sections",
    max_columns: 2,
    sections: [
      section([card("portfolio", id)], 2),
      section([card("positions", id), card("plan", id)]),
      section([card("activity", id), ...(entities?.outside_alert ? [card("alerts", id)] : [])]),
    ],
  };
}

export class Strategy extends HTMLElement {
  static async generate(_config, hass) {
    const { word } = await words(hass);
    const known = await followers(hass, true).catch(() => []);
    const list = known.filter((follower) => !follower.disabled);
    if (!list.length)
      return {
        title: "Calv-a-lot",
        views: [
          {
            title: "Calv-a-lot",
            path: "portfolio",
            type: "sections",
            sections: [section([{ type: "custom:calvalot-portfolio-card" }])],
          },
        ],
      };
    const market = {
      title: word("market"),
      path: "market",
      type: "sections",
      max_columns: 2,
      sections: list.map(({ entry_id: id }) =>
        section([card("market", id, list.length > 1 ? { titled: true } : {})], 2),
      ),
    };
    const performance = {
      title: word("performance"),
      path: "performance",
      type: "sections",
      max_columns: 2,
      sections: list.flatMap(({ entry_id: id }) => [
        section([card("performance", id)], 2),
        ...(hass.user?.is_admin ? [section([card("reports", id)], 2)] : []),
      ]),
    };
    // A page of one card for each portfolio, named where there are several; `wide` is how many columns it takes.
    const pageFor = (name, columns, wide) => ({
      title: word(name),
      path: name,
      type: "sections",
      max_columns: columns,
      sections: list.map(({ entry_id: id, title }) =>
        section([card(name, id, list.length > 1 ? { title: `${word(name)} · ${title}` } : {})], wide),
      ),
    });
    const strategies = pageFor("strategies", 2, 2);
    const backtests = pageFor("backtests", 2, 2);
    const pages = list.map((follower, index) => pageOf(follower, index, list.length === 1));
    // Each in a column of its own, one below the other on a phone.
    const trade = pageFor("trade", Math.min(list.length, 3));
    if (list.length === 1)
      return { title: "Calv-a-lot", views: [...pages, trade, strategies, backtests, performance, market] };
    const overview = {
      title: word("overview"),
      path: "portfolio",
      type: "sections",
      max_columns: Math.min(list.length, 3),
      sections: list.map(({ entry_id: id }) => section([card("portfolio", id), card("positions", id)])),
    };
    return { title: "Calv-a-lot", views: [overview, ...pages, trade, strategies, backtests, performance, market] };
  }

  static getCreateSuggestions() {
    return { title: "Calv-a-lot", icon: "mdi:finance" };
  }

  // New portfolios show up with the next look, whatever else changes in Home Assistant.
  static registryDependencies = [];
}
