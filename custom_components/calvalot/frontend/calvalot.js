// Makes the cards and the dashboard strategy known to Home Assistant.

import { ActivityCard } from "./activity.js";
import { AlertsCard } from "./alerts.js";
import { later } from "./later.js";
import { MarketCard } from "./market.js";
import { PerformanceCard } from "./performance.js";
import { PlanCard } from "./plan.js";
import { PortfolioCard } from "./portfolio.js";
import { PositionsCard } from "./positions.js";
import { Strategy } from "./strategy.js";
import { TileCard } from "./tile.js";
import { TradeCard } from "./trade.js";
import { words } from "./wording.js";

const CARDS = {
  portfolio: PortfolioCard,
  positions: PositionsCard,
  plan: PlanCard,
  trade: TradeCard,
  activity: ActivityCard,
  market: MarketCard,
  alerts: AlertsCard,
  performance: PerformanceCard,
  tile: TileCard,
  reports: later("reports", async (again) => (await import(`./reports.js${again}`)).ReportsCard),
  strategies: later("strategies", async (again) => (await import(`./strategies.js${again}`)).StrategiesCard),
  backtests: later("backtests", async (again) => (await import(`./backtests.js${again}`)).BacktestsCard),
};
const DOCS = "https://github.com/cashalot/calvalot-homeassistant#dashboard";

const language = () => {
  try {
    return JSON.parse(localStorage.getItem("selectedLanguage")) ?? navigator.language;
  } catch {
    return navigator.language;
  }
};

// The portfolio that an entity belongs to, where it is one of ours.
function followerOf(hass, entityId) {
  const entity = hass.entities?.[entityId];
  return entity?.platform === "calvalot" ? hass.devices?.[entity.device_id]?.config_entries?.[0] : undefined;
}

// What the dialogs for a new card and a new dashboard list.
async function list({ conn: connection }) {
  const { word } = await words({ connection, language: language() });
  for (const name of Object.keys(CARDS)) {
    window.customCards.push({
      type: `calvalot-${name}-card`,
      name: `Calv-a-lot ${word(name).toLowerCase()}`,
      description: word(`${name}_description`),
      preview: true,
      documentationURL: DOCS,
      getEntitySuggestion: (hass, entityId) => {
        const follower = followerOf(hass, entityId);
        return follower ? { config: { type: `custom:calvalot-${name}-card`, follower } } : null;
      },
    });
  }
  window.customStrategies.push({
    type: "calvalot",
    strategyType: "dashboard",
    name: "Calv-a-lot",
    description: word("strategy_description"),
    documentationURL: DOCS,
  });
}

window.customCards ??= [];
window.customStrategies ??= [];
// The frontend swaps the registry of elements while it starts: whoever defines too early is lost.
customElements.whenDefined("home-assistant").then(() => {
  for (const [name, Card] of Object.entries(CARDS)) customElements.define(`calvalot-${name}-card`, Card);
  customElements.define("ll-strategy-dashboard-calvalot", Strategy);
  window.hassConnection.then(list);
});
