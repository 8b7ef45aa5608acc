"""Conversions on the way that a crash interrupts: one pair of two coins, and two orders over cash."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from custom_components.calvalot.trading.engine import Engine
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Result

type Control = Callable[..., Awaitable[Any]]

CONVERSIONS = (("BTC", "SOL", Decimal("0.00100")), ("XRP", "BTC", Decimal("30.0")), ("SOL", "USDC", Decimal("0.300")))
MOST_CYCLES = 8


class Converter:
    """Has everything converted, from where it stands: what came to nothing again, what stopped half-way on."""

    def __init__(self, follower: Engine, ledger: Ledger, control: Control, pause: float) -> None:
        self._follower = follower
        self._ledger = ledger
        self._control = control
        self._pause = pause

    async def act(self) -> None:
        """Each conversion once."""
        await self._cycle()
        for number, (start, goal, quantity) in enumerate(CONVERSIONS):
            for _ in range(MOST_CYCLES):
                if self._done() > number:
                    break
                if self._ledger.fact("conversion_left"):
                    await self._follower.conversions.go_on()
                else:
                    await self._follower.conversions.convert(start, goal, quantity, confirm=True)
                await self._cycle()
            assert self._done() > number

    def _done(self) -> int:
        """Conversions that have come to their end, or gone on to it."""
        results = [record.result for record in self._ledger.conversions()]
        assert Result.OPEN not in results
        return results.count(Result.EXECUTED)

    async def _cycle(self) -> None:
        """Cycle until nothing is unclear and nothing is open."""
        for _ in range(MOST_CYCLES):
            await self._follower.cycle()
            if not self._ledger.in_flight() and not self._ledger.open_signals():
                return
            await asyncio.sleep(self._pause)
            await self._control("advance", seconds=30)
        raise AssertionError("a conversion stays open")
