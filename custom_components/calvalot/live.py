"""Prices of a portfolio as the stream has them: for the cards that are open, the price guard, and what waits for a price."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later

from .const import CONF_LIVE_PRICES
from .market import Market

# Seconds between two pictures that a card gets because prices moved.
BETWEEN: Final = 2.0


class LivePrices:
    """What one portfolio follows of the stream's prices, while its owner wants that."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry[Any],
        market: Market,
        on_prices: Callable[[Mapping[str, Decimal]], None],
    ) -> None:
        """Follow nothing yet; `on_prices` gets those that changed, by symbol."""
        self._hass = hass
        self._entry = entry
        self._market = market
        self._moved = on_prices
        self._symbols: frozenset[str] = frozenset()
        self._end: CALLBACK_TYPE | None = None
        self._listeners: list[Callable[[], None]] = []
        self._due: CALLBACK_TYPE | None = None

    def prices(self, symbols: Collection[str], since: float = 0.0) -> Mapping[str, Decimal] | None:
        """Last prices of symbols; None unless each of them is fresh and came after a time (monotonic, seconds)."""
        return self._market.stream.prices(symbols, since) if self._end else None

    @property
    def latest(self) -> Mapping[str, Decimal] | None:
        """Last prices of everything that is followed; None unless all are fresh."""
        return self.prices(self._symbols)

    @callback
    def async_follow(self, symbols: frozenset[str]) -> None:
        """Follow these from now on, where that is switched on."""
        if not self._entry.options.get(CONF_LIVE_PRICES):
            symbols = frozenset()
        if symbols == self._symbols:
            return
        before, self._symbols = self._end, symbols
        self._end = self._market.stream.follow_prices(symbols, self._on_prices) if symbols else None
        if before:
            before()

    @callback
    def async_listen(self, listener: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `listener` when prices have moved, not too often; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @callback
    def async_end(self) -> None:
        """Follow nothing more."""
        self.async_follow(frozenset())
        if self._due:
            self._due()
            self._due = None

    # Inside

    @callback
    def _on_prices(self, changed: Mapping[str, Decimal]) -> None:
        self._moved(changed)
        if self._listeners and self._due is None:
            self._due = async_call_later(self._hass, BETWEEN, self._tell)

    @callback
    def _tell(self, _now: datetime) -> None:
        self._due = None
        for listener in [*self._listeners]:
            listener()
