"""What the system health page tells of all followers together."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .exchanges import exchange_type, exchange_url
from .market import async_markets


@callback
def async_register(_hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register what is told."""
    register.async_register_info(system_health_info)


async def system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """Tell how the followers are, and whether the first one's exchange can be reached."""
    entries: list[CalvalotConfigEntry] = hass.config_entries.async_entries(DOMAIN)
    loaded = [entry.runtime_data for entry in entries if entry.state is ConfigEntryState.LOADED]
    info: dict[str, Any] = {
        "followers": len(entries),
        "followers_loaded": len(loaded),
        "leaders_connected": sum(coordinator.data.leader_connected is True for coordinator in loaded),
        "exchanges_connected": sum(coordinator.data.exchange_connected is True for coordinator in loaded),
        "market_data": sum(market.health is not None and market.health.sound for market in async_markets(hass)),
    }
    if weights := [weight for coordinator in loaded if (weight := coordinator.exchange.used_weight) is not None]:
        info["used_weight"] = max(weights)
    for entry in entries[:1]:
        host, ping = exchange_url(entry.data), exchange_type(entry.data).ping
        info["can_reach_exchange"] = system_health.async_check_can_reach_url(hass, f"{host}{ping}")
    return info
