"""Closed candles of a coin, for whoever asks."""

from datetime import datetime

from .coordinator import CalvalotConfigEntry
from .trading.errors import CommandError, ExchangeError
from .trading.exchanges.symbols import symbol_of
from .trading.market.backfill import Backfill
from .trading.market.candles import TimeFrame
from .trading.market.history import History, closed_candles


async def async_candles(
    entry: CalvalotConfigEntry, coin: str, frame: TimeFrame, count: int, until: datetime | None
) -> History:
    """The last closed candles of a coin against the quote asset of a portfolio. Raises CommandError."""
    coordinator = entry.runtime_data
    market = coordinator.market
    series = market.series(symbol_of(coin, coordinator.settings.quote), frame)
    try:
        return await closed_candles(coordinator.exchange, market.store, series, count, until)
    except ExchangeError as err:
        raise CommandError("no_candles", coin=coin, error=str(err)) from err


def async_fill(entry: CalvalotConfigEntry, coin: str, frame: TimeFrame, since: datetime) -> Backfill:
    """Fill the store with a coin's candles back to a time; returns how far that is."""
    coordinator = entry.runtime_data
    series = coordinator.market.series(symbol_of(coin, coordinator.settings.quote), frame)
    return coordinator.market.async_fill(entry, series, since, coordinator.exchange.timestamp())
