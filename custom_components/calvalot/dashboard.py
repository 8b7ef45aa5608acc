"""The page behind the link of the set-up's last step: it makes the dashboard and opens it."""

from typing import Final

from homeassistant.components.panel_custom import async_register_panel
from homeassistant.core import HomeAssistant

from .const import DOMAIN

PANEL: Final = f"{DOMAIN}-dashboard"
DASHBOARD_URL: Final = f"/{PANEL}"


async def async_setup_dashboard(hass: HomeAssistant, module_url: str) -> None:
    """Register the page, without a place in the sidebar; only administrators may make dashboards."""
    await async_register_panel(hass, PANEL, PANEL, module_url=module_url, require_admin=True)
