// The dashboard that makes itself: all portfolios at a glance, and a page for each.

import { followers } from "./data.js";
import { words } from "./wording.js";

const card = (type, follower, options = {}) => ({ type: `custom:calvalot-${type}-card`, follower, ...options });
const section = (cards, span = 1) => ({ type: "grid", column_span: span, cards });

function pageOf({ entry_id: id, title }, index, only) {
  return {
    title,
    path: only ? "portfolio" : `follower-${index + 1}`,
    type: "sections",
    max_columns: 2,
    sections: [
      section([card("portfolio", id)], 2),
      section([card("positions", id), card("plan", id)]),
      section([card("activity", id)]),
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
    const pages = list.map((follower, index) => pageOf(follower, index, list.length === 1));
    if (list.length === 1) return { title: "Calv-a-lot", views: pages };
    const overview = {
      title: word("overview"),
      path: "portfolio",
      type: "sections",
      max_columns: Math.min(list.length, 3),
      sections: list.map(({ entry_id: id }) => section([card("portfolio", id), card("positions", id)])),
    };
    return { title: "Calv-a-lot", views: [overview, ...pages] };
  }

  static getCreateSuggestions() {
    return { title: "Calv-a-lot", icon: "mdi:finance" };
  }

  // New portfolios show up with the next look, whatever else changes in Home Assistant.
  static registryDependencies = [];
}
