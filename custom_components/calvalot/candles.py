"""Closed candles of a coin, for whoever asks: one store for all portfolios."""

from datetime import datetime
from pathlib import Path

from homeassistant.core import HomeAssistant

from .const import CONF_EXCHANGE_URL, DEFAULT_EXCHANGE_URL, DOMAIN
from .coordinator import CalvalotConfigEntry
from .trading.errors import CommandError, ExchangeError
from .trading.exchanges.binance_client import host_of
from .trading.exchanges.symbols import symbol_of
from .trading.market.candles import TimeFrame
from .trading.market.history import History, closed_candles
from .trading.market.store import CandleStore, Series


async def async_candles(
    hass: HomeAssistant, entry: CalvalotConfigEntry, coin: str, frame: TimeFrame, count: int, until: datetime | None
) -> History:
    """The last closed candles of a coin against the quote asset of a portfolio. Raises CommandError."""
    store = CandleStore(Path(hass.config.path(".cache", DOMAIN, "market.db")))
    coordinator = entry.runtime_data
    host = host_of(entry.data.get(CONF_EXCHANGE_URL, DEFAULT_EXCHANGE_URL))
    series = Series(host, symbol_of(coin, coordinator.settings.quote), frame)
    try:
        return await closed_candles(coordinator.exchange, store, series, count, until)
    except ExchangeError as err:
        raise CommandError("no_candles", coin=coin, error=str(err)) from err
