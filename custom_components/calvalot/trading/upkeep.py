"""The ledger's file: opened, copied once a day, restored where it broke."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime
import logging
from pathlib import Path

from .accounts import Accounts
from .events import EventQueue
from .exits import Exits
from .ledger.ledger import Ledger
from .ledger.storage import LedgerCorrupt, LedgerError
from .preparation import Preparation
from .risk import Risk
from .sources.state import SourceState

RESTORED = "restored"
# Seconds that a cycle waits for the day's copy; one of a million trades takes longer.
COPY_TIMEOUT = 0.5
_LOGGER = logging.getLogger(__name__)


class Upkeep:
    """Keeps one portfolio's ledger in use."""

    def __init__(
        self,
        ledger: Ledger,
        accounts: Accounts,
        sources: Sequence[SourceState],
        risk: Risk,
        exits: Exits,
        preparation: Preparation,
        events: EventQueue,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._sources = sources
        self._risk = risk
        self._exits = exits
        self._preparation = preparation
        self._events = events
        self._clock = clock
        self._copied: date | None = None
        self._copying: asyncio.Task[Path | None] | None = None

    async def open(self) -> None:
        """Open the ledger, restored where it is broken. Raises LedgerError."""
        try:
            await self._open()
        except LedgerCorrupt:
            if not await self.recover():
                raise
            await self._open()

    async def close(self, timeout: float) -> None:
        """Wait for a copy that is being made (seconds, bounded), and close the ledger."""
        if self._copying:
            await asyncio.wait((self._copying,), timeout=timeout)
        self._accounts.leave(self._ledger)
        await self._ledger.ask(self._ledger.close)

    async def reopen(self) -> None:
        """Open a ledger again that could not be restored or was taken away; it may be older than what was known."""
        await self._ledger.ask(self._ledger.reopen)
        self._accounts.join(self._ledger)
        await self._risk.reload()
        await self._exits.reload()
        self._preparation.forget()

    async def keep_copy(self) -> LedgerCorrupt | None:
        """One copy of the ledger a day; returns what is wrong with a file that turns out to be broken.

        Where it cannot be made for want of space, trading goes on. A large one is not waited for, a later cycle looks after it.
        """
        today = self._clock().date()
        if self._copying is None and today != self._copied:
            self._copied = today
            self._copying = asyncio.create_task(self._ledger.ask(self._ledger.keep_copy, today))
        if self._copying is None or not (await asyncio.wait((self._copying,), timeout=COPY_TIMEOUT))[0]:
            return None
        copying, self._copying = self._copying, None
        try:
            await copying
        except LedgerCorrupt as err:
            self._copied = None
            return err
        except LedgerError as err:
            _LOGGER.warning("Today's copy of the ledger cannot be kept: %s", err)
        return None

    async def recover(self) -> bool:
        """Go on from the last good copy; what the exchange knows beyond it is booked by the next cycle."""
        try:
            copy = await self._ledger.ask(self._ledger.recover, self._clock())
            told = copy.name if copy else ""
            await self._ledger.ask(self._ledger.remember, RESTORED, told)
            await self._risk.reload()
            await self._exits.reload()
        except LedgerError as err:
            _LOGGER.error("The ledger cannot be restored: %s", err)
            return False
        _LOGGER.error("The ledger was broken and is kept aside; the follower goes on from %s", told or "a new one")
        self._preparation.forget()
        self._events.alert("ledger_restored", copy=told)
        return True

    # Inside

    async def _open(self) -> None:
        await self._ledger.ask(self._ledger.open)
        self._accounts.join(self._ledger)
        await self._risk.load()
        for source in self._sources:
            await source.load()
