"""Hands the cards to the browser."""

from pathlib import Path
from typing import Final

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL, add_extra_js_url
from homeassistant.components.http.server import StaticPathConfig
from homeassistant.core import HomeAssistant

from .const import DOMAIN
from .dashboard import async_setup_dashboard

FOLDER: Final = Path(__file__).parent / "frontend"


async def async_setup_cards(hass: HomeAssistant, version: str) -> None:
    """Serve the cards, and have every page load them; without a frontend nobody would look at them."""
    if DATA_EXTRA_MODULE_URL not in hass.data:
        return
    # The version stands in the path, so that the modules that the first one imports are new with it.
    path = f"/{DOMAIN}_frontend/{version}"
    await hass.http.async_register_static_paths([StaticPathConfig(path, str(FOLDER), cache_headers=True)])
    add_extra_js_url(hass, f"{path}/calvalot.js")
    await async_setup_dashboard(hass, f"{path}/dashboard.js")
