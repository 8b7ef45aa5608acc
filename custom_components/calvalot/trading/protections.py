"""What protects a coin: a take profit, a stop loss or both, wanted until it has acted.

On the exchange it holds without us. What the exchange cannot hold, or refused, is watched by the cycle.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
import json

from .account import committed, sent_and_locking
from .exchanges.base import Exchange, OrderType, Side
from .executor import Executor
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .signal import PORTFOLIO, PROTECTION, SignalKey
from .sizing import Market, PlannedOrder

KEY = SignalKey(PORTFOLIO, PROTECTION)
# The fact that says what is wanted, by coin.
WANTED = "protections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Prices (quote per coin) at which a coin is sold, and since when that is wanted."""

    take_profit: Decimal | None
    stop_loss: Decimal | None
    since: datetime

    def to_list(self) -> list[str | None]:
        """As text: target, stop, since."""
        prices = [None if price is None else f"{price:f}" for price in (self.take_profit, self.stop_loss)]
        return [*prices, self.since.isoformat()]


class Protections:
    """Protections of one portfolio: written down before anything is sent, placed again where they are missing."""

    def __init__(self, exchange: Exchange, ledger: Ledger, executor: Executor) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._executor = executor

    async def wanted(self) -> dict[str, Protection]:
        """What is wanted, by coin. Raises LedgerError."""
        text = await asyncio.to_thread(self._ledger.fact, WANTED)
        known = json.loads(text) if text else {}
        return {
            coin: Protection(
                take_profit=target and Decimal(target),
                stop_loss=stop and Decimal(stop),
                since=datetime.fromisoformat(since),
            )
            for coin, (target, stop, since) in known.items()
        }

    async def want(self, coin: str, protection: Protection | None) -> None:
        """Write down what is wanted of a coin from now on; None: nothing. Raises LedgerError."""
        wanted = {name: each for name, each in (await self.wanted()).items() if name != coin}
        await self._remember(wanted | ({coin: protection} if protection else {}))

    async def forget_all(self) -> None:
        """Want nothing any more: everything is sold. Raises LedgerError."""
        if await self.wanted():
            await self._remember({})

    async def lift(self, coin: str, prices: Mapping[str, Decimal]) -> bool:
        """Have the orders ended that protect a coin; whether that is known of each. Raises LedgerError."""
        resting = [order for order in await asyncio.to_thread(self._ledger.resting) if _protects(order, coin)]
        done = await self._executor.cancel(resting, prices)
        return all(order.state.settled for order in done)

    async def restore(self, market: Market, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Place what is wanted and missing, and sell where the price has come to it already.

        What has acted, or was cancelled elsewhere, is wanted no more. Raises LedgerError.
        """
        done: list[OrderRecord] = []
        wanted = await self.wanted()
        for coin, protection in wanted.items():
            unclear = await asyncio.to_thread(self._ledger.in_flight)
            resting = await asyncio.to_thread(self._ledger.resting)
            placed = any(_protects(order, coin) for order in resting)
            if placed or market.obstacle(coin) or any(order.coin == coin for order in unclear):
                continue
            last = await asyncio.to_thread(self._last, coin, protection.since)
            if _is_over(last) or not (await asyncio.to_thread(self._ledger.book)).portfolio.quantity(coin):
                await self.want(coin, None)
            elif orders := await asyncio.to_thread(self._orders, coin, protection, market, last):
                done += await self._executor.execute(KEY, orders, prices, paired=len(orders) > 1)
        return tuple(done)

    # Inside

    def _last(self, coin: str, since: datetime) -> list[OrderRecord]:
        """The orders that protected a coin last, a pair or one."""
        orders = [order for order in self._ledger.orders(KEY) if order.coin == coin and order.created_at >= since]
        return [
            order for order in orders if order.leg == orders[-1].leg or (order.pair and order.pair == orders[-1].pair)
        ]

    def _orders(
        self, coin: str, protection: Protection, market: Market, last: Sequence[OrderRecord]
    ) -> list[PlannedOrder]:
        """The orders that protect what is held of a coin and not spoken for; none where that is too little, or is watched."""
        rules = market.rules[market.symbol(coin)]
        _, locking = sent_and_locking((), self._ledger.resting())
        spoken_for = committed(locking, market)
        held = self._ledger.book().portfolio.less(spoken_for, market.quote).quantity(coin)
        quantity, price = rules.round_quantity(held), market.prices[coin]
        target, stop = protection.take_profit, protection.stop_loss
        passed = (target is not None and price >= target) or (stop is not None and price <= stop)
        lowest = price if passed else min(filter(None, (target, stop)), default=price)
        if not quantity or quantity * lowest < rules.min_notional:
            return []
        order = PlannedOrder(
            coin=coin,
            symbol=rules.symbol,
            side=Side.SELL,
            quantity=quantity,
            price=price,
            amount=quantity * price,
            limit_price=None,
        )
        if passed:
            return [order]
        orders = []
        if target is not None:
            orders.append(replace(order, type=OrderType.LIMIT, limit_price=target))
        if stop is not None:
            orders.append(replace(order, type=OrderType.STOP_LOSS, stop_price=stop))
        refused = any(each.state is OrderState.REJECTED for each in last)
        possible = self._exchange.types.issuperset(each.type for each in orders)
        return orders if possible and not refused and (self._exchange.pairs or len(orders) == 1) else []

    async def _remember(self, wanted: Mapping[str, Protection]) -> None:
        text = json.dumps({coin: each.to_list() for coin, each in wanted.items()}) if wanted else None
        await asyncio.to_thread(self._ledger.remember, WANTED, text)


def _protects(order: OrderRecord, coin: str) -> bool:
    return order.coin == coin and order.signal_id == PROTECTION


def _is_over(last: Sequence[OrderRecord]) -> bool:
    """Whether the last orders of a protection have sold all they were for, or were cancelled by somebody else."""
    if any(order.executed_quantity == order.quantity for order in last):
        return True
    unplaced = (OrderState.NOT_PLACED, OrderState.REJECTED)
    ours = any(order.cancel_at for order in last) or all(
        order.state in unplaced or not order.type.rests for order in last
    )
    return not ours
