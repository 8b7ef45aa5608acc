"""The terms of moves: what they buy is protected, and what earlier signals of their source left waiting is ended."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from .exchanges.base import Side
from .executor import Executor
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, SignalRecord
from .protections import Protections
from .sizing import Market, PlannedOrder, Reason
from .terms import Terms
from .wants import Moves, Wants


class MoveTerms:
    """What the terms of a signal's moves ask for beside its orders."""

    def __init__(
        self, executor: Executor, ledger: Ledger, protections: Protections, clock: Callable[[], datetime]
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._protections = protections
        self._clock = clock

    def passed(self, wants: Wants, held: Collection[str], market: Market) -> Mapping[tuple[str, Side], Reason]:
        """Purchases whose take profit or stop loss the price has come to before they were made: they would be sold at once."""
        return {
            (coin, Side.BUY): Reason.LEVEL_PASSED
            for coin, terms in _protecting(wants).items()
            if (last := market.prices.get(coin))
            and not terms.is_sensible(price := terms.price(Side.BUY, last), last if coin in held else price)
        }

    async def protect(self, wants: Wants | None, buys: Sequence[PlannedOrder], market: Market) -> None:
        """Write down what is to protect the coins that are bought now, before they are; a signal's terms take the place of others.

        Raises LedgerError.
        """
        terms = _protecting(wants)
        for order in buys:
            bound, tick = terms.get(order.coin), market.rules[order.symbol].tick
            price = order.limit_price if order.type.rests and order.limit_price else order.price
            if protection := bound and bound.protection(price, tick, self._clock()):
                await self._protections.renew(order.coin, protection)

    async def end_earlier(self, record: SignalRecord, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Have the orders ended that a signal ends. Raises LedgerError."""
        if not isinstance(record.wants, Moves) or not record.wants.cancel:
            return ()
        resting = _ended_by(record, await self._ledger.ask(self._ledger.resting))
        return await self._executor.cancel(resting, prices)

    async def is_ending(self, record: SignalRecord) -> bool:
        """Whether an order that a signal ends is still there, or may be. Raises LedgerError."""
        if not isinstance(record.wants, Moves) or not record.wants.cancel:
            return False
        orders = [*await self._ledger.ask(self._ledger.resting), *await self._ledger.ask(self._ledger.in_flight)]
        return bool(_ended_by(record, orders))


def _protecting(wants: Wants | None) -> Mapping[str, Terms]:
    """The terms of purchases that are to be protected, by coin."""
    moves = wants.moves if isinstance(wants, Moves) else ()
    return {move.coin: move.terms for move in moves if move.side is Side.BUY and move.terms and move.terms.protects}


def _ended_by(record: SignalRecord, orders: Sequence[OrderRecord]) -> list[OrderRecord]:
    """Orders that wait for their price, of earlier signals of the same source, in the coins that this one ends."""
    cancel = record.wants.cancel if isinstance(record.wants, Moves) else frozenset[str]()
    return [
        order
        for order in orders
        if order.coin in cancel
        and order.type.rests
        and order.source == record.source
        and order.signal_id != record.signal_id
    ]
