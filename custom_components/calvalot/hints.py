"""What the exchange says of the account by itself: a hint that a cycle is worth its while before the interval is over."""

import asyncio
from collections.abc import Callable
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import CONF_LIVE_PRICES
from .scheduler import Scheduler
from .trading.engine import Engine
from .trading.exchanges.remote import AccountStream, Hint, OnHint


class AccountHints:
    """Follows the account of a live portfolio, while its owner wants that; what it hears starts cycles and nothing else."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry[Any],
        stream: Callable[[OnHint], AccountStream],
        engine: Engine,
        scheduler: Scheduler,
    ) -> None:
        """`stream` makes that of the account; nothing is connected yet."""
        self._hass = hass
        self._entry = entry
        self._engine = engine
        self._scheduler = scheduler
        self._stream = stream(self._on_hint)
        self._task: asyncio.Task[None] | None = None

    @property
    def subscribed(self) -> bool:
        """Whether the exchange tells what happens."""
        return self._stream.subscribed

    @callback
    def async_follow(self) -> None:
        """Be subscribed where that is switched on."""
        if not self._entry.options.get(CONF_LIVE_PRICES):
            self.async_end()
        elif self._task is None:
            self._task = self._entry.async_create_background_task(
                self._hass, self._stream.run(), f"{self._entry.title} account"
            )

    @callback
    def async_end(self) -> None:
        """Hear nothing more."""
        if self._task:
            self._task.cancel()
            self._task = None

    # Inside

    @callback
    def _on_hint(self, hint: Hint, client_order_id: str) -> None:
        self._entry.async_create_background_task(
            self._hass, self._look(hint, client_order_id), f"{self._entry.title} hint"
        )

    async def _look(self, hint: Hint, client_order_id: str) -> None:
        """Start a cycle where there is something to find out: what it knows by itself is no news."""
        order = client_order_id if hint is Hint.ORDER else None
        if hint is Hint.BALANCE or await self._engine.is_waited_for(order):
            await self._scheduler.push()
