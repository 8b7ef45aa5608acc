"""Who ranks the coins: one question a day for all portfolios with one key."""

import hashlib
from pathlib import Path
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import CONF_RANK_KEY, CONF_RANK_URL, DEFAULT_RANK_URL, DOMAIN
from .trading.market.coinmarketcap import CoinMarketCap
from .trading.market.ranking import Ranking

_RANKINGS: HassKey[dict[str, Ranking]] = HassKey(f"{DOMAIN}_rankings")


def coinmarketcap_of(hass: HomeAssistant, entry: ConfigEntry[Any], key: str) -> CoinMarketCap:
    """The service as an entry asks it."""
    return CoinMarketCap(async_get_clientsession(hass), entry.data.get(CONF_RANK_URL, DEFAULT_RANK_URL), key)


@callback
def async_ranking(hass: HomeAssistant, entry: ConfigEntry[Any]) -> Ranking | None:
    """The ranking of an entry, the same for all entries with its key; None where it has none."""
    key = entry.options.get(CONF_RANK_KEY)
    if not key:
        return None
    address = entry.data.get(CONF_RANK_URL, DEFAULT_RANK_URL)
    name = hashlib.sha256(f"{address}\n{key}".encode()).hexdigest()[:16]
    rankings = hass.data.setdefault(_RANKINGS, {})
    if name not in rankings:
        path = Path(hass.config.path(".cache", DOMAIN, f"ranks-{name}.json"))
        rankings[name] = Ranking(coinmarketcap_of(hass, entry, key), path, dt_util.utcnow)
    return rankings[name]
