"""What the owner can do with conversions; every command raises CommandError where it cannot be done."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
import secrets

from .conversion_text import shown, told
from .conversions import Conversions
from .decimals import HUNDRED, ONE
from .errors import CommandError
from .exits import Exits
from .inputs import Inputs
from .ledger.ledger import Ledger
from .plans import REMEMBERED, TOLERANCE, VALID
from .preparation import Preparation
from .publisher import Publisher
from .responses import Json
from .risk import Risk
from .routes import ConversionPlan
from .snapshot import Status


@dataclass(frozen=True, slots=True)
class _Shown:
    """A plan as it was shown, and of which book."""

    at: datetime
    book: int
    plan: ConversionPlan


class ConversionCommands:
    """Conversions of one portfolio by its owner; `working` is held by whoever works on it."""

    def __init__(
        self,
        ledger: Ledger,
        conversions: Conversions,
        preparation: Preparation,
        exits: Exits,
        risk: Risk,
        clock: Callable[[], datetime],
        working: Callable[[], AbstractAsyncContextManager[None]],
        publisher: Publisher,
    ) -> None:
        self._ledger = ledger
        self._conversions = conversions
        self._preparation = preparation
        self._exits = exits
        self._risk = risk
        self._clock = clock
        self._working = working
        self._publisher = publisher
        self._shown: dict[str, _Shown] = {}

    async def convert(
        self, start: str, goal: str, quantity: Decimal, *, confirm: bool, plan_id: str | None = None
    ) -> Json:
        """Turn a quantity of an asset into another one; without a word only what that would bring, as plain JSON.

        With a plan the way that it shows is gone. Raises CommandError.
        """
        known = self._known(plan_id, start, goal, quantity) if confirm and plan_id else None
        async with self._working():
            await self._check()
            async with self._preparation.ready() as inputs:
                way = [pair.symbol for pair in known.plan.way] if known else ()
                plan = await self._conversions.plan(start, goal, quantity, inputs, way)
                if not confirm:
                    return self._show(plan)
                if known:
                    self._compare(known, plan)
                told = await self._trade(plan, inputs)
            await self._publisher.publish(replace(inputs, market=plan.market))
            return told

    async def go_on(self) -> Json:
        """Go on with what is left of a conversion that stopped half-way. Raises CommandError."""
        async with self._working():
            if (left := await self._conversions.left()) is None:
                raise CommandError("nothing_left")
            await self._check()
            async with self._preparation.ready() as inputs:
                plan = await self._conversions.plan(left.asset, left.goal, left.quantity, inputs)
                told = await self._trade(plan, inputs)
            await self._publisher.publish(replace(inputs, market=plan.market))
            return told

    async def keep(self) -> None:
        """Keep what is left of a conversion that stopped half-way. Raises CommandError."""
        async with self._working():
            await self._conversions.keep()
            await self._publisher.publish(self._preparation.inputs)

    # Inside

    async def _check(self) -> None:
        if self._risk.status is Status.DEAD:
            raise CommandError(Status.DEAD.value)
        if await self._exits.open():
            raise CommandError("exit_runs")

    def _known(self, plan_id: str, start: str, goal: str, quantity: Decimal) -> _Shown:
        """The plan of this id, for what is asked now; good for one use. Raises CommandError."""
        if (known := self._shown.pop(plan_id, None)) is None:
            raise CommandError("plan_unknown")
        if self._clock() - known.at > VALID:
            raise CommandError("plan_expired", minutes=f"{VALID.seconds // 60}")
        plan = known.plan
        if (plan.start, plan.goal, plan.quantity, known.book) != (start, goal, quantity, self._ledger.number):
            raise CommandError("plan_changed", coins=f"{start}, {goal}")
        return known

    def _show(self, plan: ConversionPlan) -> Json:
        now, plan_id = self._clock(), secrets.token_hex(8)
        self._shown[plan_id] = _Shown(now, self._ledger.number, plan)
        while len(self._shown) > REMEMBERED:
            del self._shown[next(iter(self._shown))]
        return shown(plan, plan_id, now)

    def _compare(self, known: _Shown, plan: ConversionPlan) -> None:
        """Raise CommandError where the prices have moved too far since the plan was shown."""
        before = {pair.symbol: pair.price for pair in known.plan.way}
        changes = {pair.symbol: pair.price / before[pair.symbol] - ONE for pair in plan.way}
        if moved := [
            f"{symbol} {change * HUNDRED:+.1f} %" for symbol, change in changes.items() if abs(change) > TOLERANCE
        ]:
            raise CommandError("prices_moved", coins=", ".join(moved), limit=f"{TOLERANCE * HUNDRED:.1f}")

    async def _trade(self, plan: ConversionPlan, inputs: Inputs) -> Json:
        record = await self._conversions.begin(plan, inputs)
        return await self._ledger.ask(told, self._ledger, record)
