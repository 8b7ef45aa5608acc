"""What protects a coin: a take profit, a stop loss or both, wanted until it has acted; and the sale of a coin, wanted until it is done.

On the exchange a protection holds without us. What the exchange cannot hold, or refused, is watched by the cycle.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import takewhile

from .account import committed, sent_and_locking
from .decimals import BASIS_POINTS, ONE, ZERO, points_under
from .exchanges.base import Exchange, OrderType, Side
from .executor import Executor
from .held_back import HeldBack
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .protection import HeldBy, Protection, from_text, to_text
from .refusals import again_at
from .settings import Settings
from .signal import PORTFOLIO, PROTECTION, SignalKey
from .sizing import Market, PlannedOrder

KEY = SignalKey(PORTFOLIO, PROTECTION)
# The fact that says what is wanted, by coin.
WANTED = "protections"


class Protections:
    """Protections of one portfolio: written down before anything is sent, placed again where they are missing."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        executor: Executor,
        held_back: HeldBack,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._ledger = ledger
        self._executor = executor
        self._held_back = held_back
        self._clock = clock

    async def wanted(self) -> dict[str, Protection]:
        """What is wanted, by coin. Raises LedgerError."""
        text = await self._ledger.ask(self._ledger.fact, WANTED)
        return from_text(text) if text else {}

    async def want(self, coin: str, protection: Protection | None) -> None:
        """Write down what is wanted of a coin from now on; None: nothing. Raises LedgerError."""
        await self._write(coin, protection, {})

    async def renew(self, coin: str, protection: Protection) -> None:
        """Write down another protection of a coin; what rests already as it is wanted stays. Raises LedgerError."""
        before = (await self.wanted()).get(coin)
        rests = any(_protects(order, coin) for order in await self._ledger.ask(self._ledger.resting))
        if before is None or not rests or before.terms != protection.terms:
            await self.want(coin, protection)

    async def close(self, coin: str, cause: str) -> None:
        """Have all that is held of a coin sold, and held back, from now on: both in one commit. Raises LedgerError."""
        closing = Protection(close=True, since=self._clock())
        await self._write(coin, closing, await self._held_back.facts_with(coin, cause))

    async def forget_all(self) -> None:
        """Want nothing any more: everything is sold. Raises LedgerError."""
        if await self.wanted():
            await self._ledger.ask(self._ledger.remember, WANTED, None)

    async def lift(self, coin: str, prices: Mapping[str, Decimal]) -> bool:
        """Have the orders ended that protect a coin; whether that is known of each. Raises LedgerError."""
        resting = [order for order in await self._ledger.ask(self._ledger.resting) if _protects(order, coin)]
        done = await self._executor.cancel(resting, prices)
        return all(order.state.settled for order in done)

    async def heed(self, orders: Sequence[OrderRecord]) -> None:
        """Hold a coin back whose protection has sold it; what is left of it is sold, too. Raises LedgerError."""
        wanted = await self.wanted()
        for coin in {order.coin for order in orders if order.signal_id == PROTECTION and _is_sold(order)}:
            if coin in wanted and not wanted[coin].close:
                await self.close(coin, PROTECTION)

    async def restore(self, market: Market, prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """Place what is wanted and missing, and sell where the price has come to it already.

        What has acted, or was cancelled elsewhere, is wanted no more. Raises LedgerError.
        """
        done: list[OrderRecord] = []
        for coin in await self.wanted():
            if not market.obstacle(coin):
                done += await self._restore(coin, market, prices)
        return tuple(done)

    async def held_by(self, market: Market) -> dict[str, HeldBy]:
        """Where the protection of each coin is that is to have one. Raises LedgerError."""
        resting = await self._ledger.ask(self._ledger.resting)
        placed = {order.coin for order in resting if order.signal_id == PROTECTION}
        found: dict[str, HeldBy] = {}
        for coin, protection in (await self.wanted()).items():
            found[coin] = HeldBy.EXCHANGE if coin in placed else HeldBy.NOBODY
            if coin in placed or market.obstacle(coin):
                continue
            if await self._ledger.ask(self._quantity, coin, protection, market):
                found[coin] = HeldBy.CYCLE
        return found

    # Inside

    async def _restore(self, coin: str, market: Market, prices: Mapping[str, Decimal]) -> Sequence[OrderRecord]:
        """Place what is missing of a coin's protection, or have it sold."""
        resting = [order for order in await self._ledger.ask(self._ledger.resting) if order.coin == coin]
        if any(coin in order.assets for order in await self._ledger.ask(self._ledger.in_flight)):
            return ()
        protection = await self._followed(coin, market.prices[coin])
        placed = [order for order in resting if _protects(order, coin)]
        last = await self._ledger.ask(self._last, coin, protection.since)
        if not placed and not protection.close and _is_over(last):
            if not any(map(_is_sold, last)):
                await self.want(coin, None)
                return ()
            await self.heed(last)
            protection = (await self.wanted())[coin]
        held = (await self._ledger.ask(self._ledger.book)).portfolio.quantity(coin)
        if not placed and not _is_worth(held, coin, market):
            if protection.close or not any(order.side is Side.BUY for order in resting):
                await self.want(coin, None)  # what was sold, whoever did it, needs none
            return ()
        outdated = await self._ledger.ask(self._outdated, coin, placed, protection, market)
        if ending := resting if protection.close else outdated:
            done = await self._executor.cancel(ending, prices)
            settled = all(order.state.settled for order in done)
            return (*done, *(await self._restore(coin, market, prices) if settled else ()))
        if placed:
            return ()
        if protection.is_reached(market.prices[coin]) and await self._ledger.ask(self._is_refused, coin, protection):
            return ()
        orders = await self._ledger.ask(self._orders, coin, protection, market, last)
        done = await self._executor.execute(KEY, orders, prices, paired=len(orders) > 1)
        await self.heed(done)  # before any source is asked what it would buy
        return done

    async def _followed(self, coin: str, price: Decimal) -> Protection:
        """What is wanted of a coin, once it has seen a price."""
        protection = (await self.wanted())[coin]
        if protection.trailing is None or (protection.highest or 0) >= price:
            return protection
        protection = replace(protection, highest=price)
        await self.want(coin, protection)
        return protection

    def _is_refused(self, coin: str, protection: Protection) -> bool:
        """Whether its sale has to wait since the exchange has refused it, each time in a row for longer."""
        sales = [
            order
            for order in self._ledger.orders(KEY)
            if order.coin == coin and order.created_at >= protection.since and not order.type.rests
        ]
        refused = list(takewhile(lambda order: order.state is OrderState.REJECTED, reversed(sales)))
        again = again_at([order.created_at for order in reversed(refused)])
        return again is not None and self._clock() < again

    def _last(self, coin: str, since: datetime) -> list[OrderRecord]:
        """The orders that protected a coin last, a pair or one."""
        orders = [order for order in self._ledger.orders(KEY) if order.coin == coin and order.created_at >= since]
        return [
            order for order in orders if order.leg == orders[-1].leg or (order.pair and order.pair == orders[-1].pair)
        ]

    def _quantity(self, coin: str, protection: Protection, market: Market) -> Decimal:
        """What is held of a coin and not spoken for by other orders, on the step; 0 where it is too little to be sold."""
        rules, price = market.rules[market.symbol(coin)], market.prices[coin]
        _, locking = sent_and_locking((), self._ledger.resting())
        spoken_for = committed([order for order in locking if not _protects(order, coin)], market)
        held = self._ledger.book().portfolio.less(spoken_for, market.quote).quantity(coin)
        quantity = rules.round_quantity(held)
        lowest = min(filter(None, (protection.take_profit, protection.stop, price)))
        return quantity if quantity * lowest >= rules.min_notional else ZERO

    def _outdated(
        self, coin: str, placed: Sequence[OrderRecord], protection: Protection, market: Market
    ) -> Sequence[OrderRecord]:
        """Orders that protect a coin no more as it is wanted: at other prices, or less than is held."""
        price = market.prices[coin]
        if protection.trailing is not None and protection.is_reached(price):
            return placed  # it began anew somewhere, and the exchange knows of no price before that
        wanted = {_terms(order) for order in self._resting_orders(coin, protection, market, ONE)}
        if placed and wanted != {_terms(order) for order in placed}:
            return placed
        covered = max((order.rest for order in placed), default=ONE)
        grown = not protection.is_reached(price) and self._quantity(coin, protection, market) > covered
        return placed if grown else ()

    def _orders(
        self, coin: str, protection: Protection, market: Market, last: Sequence[OrderRecord]
    ) -> list[PlannedOrder]:
        """The orders that protect what is held of a coin or sell it; none where that is too little, or is watched."""
        price, rules = market.prices[coin], market.rules[market.symbol(coin)]
        if not (quantity := self._quantity(coin, protection, market)):
            return []
        if protection.is_reached(price):
            # One that stops a loss takes what the market gives.
            slippage = self._settings.limits.slippage(coin) if protection.close else None
            worst = rules.limit_price(Side.SELL, price, slippage) if slippage else None
            return [replace(_sale(coin, market, quantity), limit_price=worst)]
        orders = self._resting_orders(coin, protection, market, quantity)
        refused = any(each.state is OrderState.REJECTED for each in last)
        possible = self._exchange.types.issuperset(each.type for each in orders)
        return orders if possible and not refused and (self._exchange.pairs or len(orders) == 1) else []

    def _resting_orders(
        self, coin: str, protection: Protection, market: Market, quantity: Decimal
    ) -> list[PlannedOrder]:
        """The orders that protect a quantity of a coin while they rest."""
        sale, price = _sale(coin, market, quantity), market.prices[coin]
        orders = []
        if protection.take_profit is not None:
            orders.append(replace(sale, type=OrderType.LIMIT, limit_price=protection.take_profit))
        if protection.trailing is not None:
            begins = price * (ONE - protection.trailing / BASIS_POINTS)
            orders.append(replace(sale, type=OrderType.TRAILING_STOP, stop_price=begins))
        elif protection.stop_loss is not None:
            orders.append(replace(sale, type=OrderType.STOP_LOSS, stop_price=protection.stop_loss))
        return orders

    async def _write(self, coin: str, protection: Protection | None, facts: Mapping[str, str]) -> None:
        wanted = {name: each for name, each in (await self.wanted()).items() if name != coin}
        wanted |= {coin: protection} if protection else {}
        await self._ledger.ask(self._ledger.remember_all, {WANTED: to_text(wanted) if wanted else None, **facts})


def _is_worth(quantity: Decimal, coin: str, market: Market) -> bool:
    """Whether so much of a coin can be sold at the last price."""
    rules = market.rules[market.symbol(coin)]
    return bool(quantity) and rules.round_quantity(quantity) * market.prices[coin] >= rules.min_notional


def _sale(coin: str, market: Market, quantity: Decimal) -> PlannedOrder:
    price = market.prices[coin]
    return PlannedOrder(
        coin=coin,
        symbol=market.symbol(coin),
        side=Side.SELL,
        quantity=quantity,
        price=price,
        amount=quantity * price,
        limit_price=None,
    )


def _terms(order: PlannedOrder | OrderRecord) -> tuple[object, ...]:
    """What an order is for, whatever its quantity; of a trailing stop the distance, wherever it began."""
    if order.type is OrderType.TRAILING_STOP and order.price and order.stop_price is not None:
        return order.type, points_under(order.price, order.stop_price)
    return order.type, order.limit_price, order.stop_price


def _protects(order: OrderRecord, coin: str) -> bool:
    return order.coin == coin and order.signal_id == PROTECTION


def _is_sold(order: OrderRecord) -> bool:
    """Whether an order has sold all it was for."""
    return order.state is OrderState.BOOKED and order.executed_quantity == order.quantity


def _is_over(last: Sequence[OrderRecord]) -> bool:
    """Whether the last orders of a protection have sold all they were for, or were cancelled by somebody else."""
    if any(map(_is_sold, last)):
        return True
    unplaced = (OrderState.NOT_PLACED, OrderState.REJECTED)
    ours = any(order.cancel_at for order in last) or all(
        order.state in unplaced or not order.type.rests for order in last
    )
    return not ours
