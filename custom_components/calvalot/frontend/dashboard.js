// The page that the set-up's last step leads to: makes the dashboard where there is none, and opens it.

// A page that was loaded before the integration was set up does not have the cards yet.
import "./calvalot.js";

const NAME = "calvalot-dashboard";
const PATH = "calv-a-lot";
const CONFIG = { strategy: { type: "custom:calvalot" } };

// The path of a dashboard with our strategy, else undefined.
async function existing(hass) {
  for (const { url_path: path } of await hass.callWS({ type: "lovelace/dashboards/list" })) {
    const config = await hass.callWS({ type: "lovelace/config", url_path: path, force: false }).catch(() => undefined);
    if (config?.strategy?.type === CONFIG.strategy.type) return path;
  }
  return undefined;
}

async function make(hass) {
  const taken = (await hass.callWS({ type: "lovelace/dashboards/list" })).map((dashboard) => dashboard.url_path);
  let path = PATH;
  for (let number = 2; taken.includes(path); number += 1) path = `${PATH}-${number}`;
  await hass.callWS({
    type: "lovelace/dashboards/create",
    url_path: path,
    title: "Calv-a-lot",
    icon: "mdi:finance",
    mode: "storage",
    require_admin: false,
    show_in_sidebar: true,
  });
  await hass.callWS({ type: "lovelace/config/save", url_path: path, config: CONFIG });
  return path;
}

class Dashboard extends HTMLElement {
  set hass(hass) {
    this._panels = hass.panels;
    this._made ??= this._make(hass);
    this._open();
  }

  async _make(hass) {
    try {
      this._path = (await existing(hass)) ?? (await make(hass));
      this._open();
    } catch (error) {
      this.textContent = error.message ?? `${error}`;
    }
  }

  // A dashboard that was just made is a moment later known to the frontend.
  _open() {
    if (!this._path || !this._panels[this._path] || this._opened) return;
    this._opened = true;
    history.replaceState(null, "", `/${this._path}`);
    window.dispatchEvent(new CustomEvent("location-changed", { detail: { replace: true } }));
  }
}

if (!customElements.get(NAME)) customElements.define(NAME, Dashboard);
