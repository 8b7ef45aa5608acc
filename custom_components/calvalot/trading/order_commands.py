"""What the owner can do with orders that rest; every command raises CommandError where it cannot be done."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal

from .account import committed, sent_and_locking
from .decimals import ZERO, round_down
from .errors import CommandError
from .exchanges.base import Exchange, OrderType, Side
from .executor import Executor
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord
from .outcomes import Outcomes
from .preparation import Preparation
from .protections import Protection, Protections
from .publisher import Publisher
from .risk import Risk
from .signal import BY_HAND, PORTFOLIO, SignalKey
from .sizing import PlannedOrder
from .snapshot import Status

KEY = SignalKey(PORTFOLIO, BY_HAND)


class OrderCommands:
    """Orders by hand and protections of one portfolio; `working` is held by whoever works on it."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        preparation: Preparation,
        protections: Protections,
        risk: Risk,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
        working: Callable[[], AbstractAsyncContextManager[None]],
        publisher: Publisher,
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._preparation = preparation
        self._protections = protections
        self._risk = risk
        self._outcomes = outcomes
        self._clock = clock
        self._working = working
        self._publisher = publisher

    async def place_limit(self, coin: str, side: Side, quantity: Decimal, price: Decimal) -> OrderRecord:
        """Place a limit order that stays until it is filled or cancelled; price in quote per coin. Raises CommandError."""
        if OrderType.LIMIT not in self._exchange.types:
            raise CommandError("order_not_supported")
        async with self._working():
            self._check_alive()
            async with self._preparation.ready() as inputs:
                order = await self._limit(coin, side, quantity, price, inputs)
                (record,) = await self._executor.execute(KEY, [order], self._fetcher.fee_prices)
                await self._outcomes.orders([record])
            await self._publisher.publish(inputs)
            return record

    async def cancel(self, client_order_id: str) -> tuple[OrderRecord, ...]:
        """Have an order ended that rests, with the one it is paired with; what was protected is not any more.

        Returns what became of them: one that was filled meanwhile is booked as filled. Raises CommandError.
        """
        async with self._working():
            resting = await asyncio.to_thread(self._ledger.resting)
            order = next((each for each in resting if each.client_order_id == client_order_id), None)
            if order is None:
                raise CommandError("order_not_resting")
            twins = [each for each in resting if each is order or (order.pair and each.pair == order.pair)]
            if order.signal_id != BY_HAND:
                await self._protections.want(order.coin, None)
            done = await self._executor.cancel(twins, self._fetcher.fee_prices)
            await self._outcomes.orders(done)
            await self._publisher.publish(self._preparation.inputs)
            return done

    async def withdraw(self) -> None:
        """Have everything ended that rests, before the account changes or the portfolio goes. Raises CommandError.

        Purchases first, then what protects; refused while it is not known of one whether it has ended.
        """
        async with self._working():
            await self._protections.forget_all()
            await self._outcomes.orders(await self._executor.settle(self._fetcher.fee_prices))
            await self._outcomes.orders(await self._executor.withdraw(self._fetcher.fee_prices))
            await self._publisher.publish(self._preparation.inputs)
            if await asyncio.to_thread(self._ledger.resting) or await asyncio.to_thread(self._ledger.in_flight):
                raise CommandError("order_unclear", amount="0.00")

    async def protect(
        self, coin: str, take_profit: Decimal | None, stop_loss: Decimal | None
    ) -> tuple[OrderRecord, ...]:
        """Sell all that is held of a coin once it has come to one of two prices; without any it is not protected any more.

        Returns the orders that were placed; none where the cycle watches the prices, because the exchange cannot. What
        protected it before is ended first. Raises CommandError.
        """
        async with self._working():
            self._check_alive()
            async with self._preparation.ready() as inputs:
                protection = self._protection(coin, take_profit, stop_loss, inputs)
                await self._protections.want(coin, protection)
                lifted = await self._protections.lift(coin, self._fetcher.fee_prices)
                done = await self._protections.restore(inputs.market, self._fetcher.fee_prices) if lifted else ()
                await self._outcomes.orders(done)
            await self._publisher.publish(inputs)
            if not lifted:
                raise CommandError("order_unclear", amount="0.00")
            return done

    # Inside

    def _check_alive(self) -> None:
        if self._risk.status is Status.DEAD:
            raise CommandError(Status.DEAD.value)

    def _protection(
        self, coin: str, take_profit: Decimal | None, stop_loss: Decimal | None, inputs: Inputs
    ) -> Protection | None:
        """Prices on the tick, one on each side of the last one; None without any. Raises CommandError."""
        if take_profit is None and stop_loss is None:
            return None
        market = inputs.market
        if inputs.account is None or market.obstacle(coin):
            raise CommandError("coin_not_tradable", coin=coin)
        tick, price = market.rules[market.symbol(coin)].tick, market.prices[coin]
        target = None if take_profit is None else round_down(take_profit, tick)
        stop = None if stop_loss is None else round_down(stop_loss, tick)
        if (target is not None and target <= price) or (stop is not None and not ZERO < stop < price):
            raise CommandError("protection_prices", price=f"{price:f}")
        return Protection(take_profit=target, stop_loss=stop, since=self._clock())

    async def _limit(self, coin: str, side: Side, quantity: Decimal, price: Decimal, inputs: Inputs) -> PlannedOrder:
        """An order on step and tick that the book and the account can pay for. Raises CommandError."""
        market = inputs.market
        if inputs.account is None or market.obstacle(coin):
            raise CommandError("coin_not_tradable", coin=coin)
        rules = market.rules[market.symbol(coin)]
        quantity, price = rules.round_quantity(quantity), round_down(price, rules.tick)
        if quantity * price < max(rules.min_notional, rules.tick) or not quantity:
            raise CommandError("order_too_small", minimum=f"{rules.min_notional:f}", quote=market.quote)
        book = await asyncio.to_thread(self._ledger.book)
        in_flight = await asyncio.to_thread(self._ledger.in_flight)
        sent, locking = sent_and_locking(in_flight, await asyncio.to_thread(self._ledger.resting))
        if any(order.coin == coin for order in in_flight):
            raise CommandError("order_unclear", amount="0.00")
        moving = committed(sent, market)
        usable = inputs.account.usable(book.portfolio, moving)
        left = usable.less(moving, market.quote).less(committed(locking, market), market.quote)
        asset, needed, there = coin, quantity, left.quantity(coin)
        if side is Side.BUY:
            asset, needed, there = market.quote, quantity * price, left.cash
        if needed > there:
            raise CommandError("not_enough_free", free=f"{max(there, ZERO):f}", asset=asset)
        return PlannedOrder(
            coin=coin,
            symbol=rules.symbol,
            side=side,
            quantity=quantity,
            price=market.prices[coin],
            amount=quantity * price,
            limit_price=price,
            type=OrderType.LIMIT,
        )
