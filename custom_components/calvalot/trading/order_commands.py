"""What the owner does with his own hand; every command raises CommandError where it cannot be done."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal

from . import order_responses
from .account import committed, sent_and_locking
from .errors import CommandError
from .exchanges.base import Exchange, OrderType, Side
from .executor import Executor
from .exits import Exits
from .frozen import Frozen
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .order_entry import Shown, Ticket, order_of
from .outcomes import Outcomes
from .portfolio import Portfolio
from .preparation import Preparation
from .protection import Protection, protection_of
from .protections import Protections
from .publisher import Publisher
from .responses import Json
from .risk import Risk
from .settings import Settings
from .signal import BY_HAND, PORTFOLIO, PROTECTION, SignalKey
from .sizing import Market, PlannedOrder, make_order
from .snapshot import Status
from .terms import Level

KEY = SignalKey(PORTFOLIO, BY_HAND)


class OrderCommands:
    """Orders by hand and protections of one portfolio; `working` is held by whoever works on it."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        preparation: Preparation,
        protections: Protections,
        risk: Risk,
        exits: Exits,
        outcomes: Outcomes,
        frozen: Frozen,
        clock: Callable[[], datetime],
        working: Callable[[], AbstractAsyncContextManager[None]],
        publisher: Publisher,
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._preparation = preparation
        self._protections = protections
        self._risk = risk
        self._exits = exits
        self._outcomes = outcomes
        self._frozen = frozen
        self._clock = clock
        self._working = working
        self._publisher = publisher

    async def preview(self, ticket: Ticket) -> Json:
        """What an order would be, what it would cost and what would protect it, as plain JSON. Raises CommandError."""
        async with self._working(), self._preparation.ready() as inputs:
            order, protection = await self._checked(ticket, inputs)
            price = inputs.market.prices[ticket.coin]
            return order_responses.ticket(order, price, protection, inputs.rate, inputs.market.quote)

    async def preview_closing(self, coin: str) -> Json:
        """What the sale of all that is held of a coin would be, as preview tells it. Raises CommandError."""
        async with self._working(), self._preparation.ready() as inputs:
            market = inputs.market
            await self._check(coin, inputs)
            order = make_order(market, self._settings.limits, coin, Side.SELL, await self._check_held(coin, market))
            assert order is not None  # noqa: S101  # it can be sold
            return order_responses.ticket(order, market.prices[coin], None, inputs.rate, market.quote)

    async def place(self, ticket: Ticket, shown: Shown | None = None) -> OrderRecord:
        """Place an order; what it buys is protected as it is filled, and the rest of the coin with it. Raises CommandError.

        What protects a coin that is sold is ended first, and placed anew over what is left. One that was `shown` is placed
        only as it was shown.
        """
        async with self._working():
            async with self._preparation.ready() as inputs:
                order, protection = await self._checked(ticket, inputs)
                if shown:
                    shown.check(ticket.coin, order.quantity, inputs.market.prices[ticket.coin])
                before = (await self._protections.wanted()).get(ticket.coin)
                prices = self._fetcher.fee_prices
                if order.side is Side.SELL and before:
                    if not await self._protections.lift(ticket.coin, prices):
                        raise CommandError("coin_unclear", coin=ticket.coin)
                    order, protection = await self._checked(ticket, inputs)  # it may have sold meanwhile
                if protection:
                    await self._protections.renew(ticket.coin, protection)
                elif before and before.close:
                    await self._protections.want(ticket.coin, None)
                (record,) = await self._executor.execute(KEY, [order], prices)
                await self._outcomes.orders([record])
                if protection and record.state in {OrderState.REJECTED, OrderState.NOT_PLACED}:
                    await self._protections.want(ticket.coin, before)
                await self._outcomes.orders(await self._protections.restore(inputs.market, prices))
            await self._publisher.publish(inputs)
            return record

    async def cancel(self, client_order_id: str) -> tuple[OrderRecord, ...]:
        """Have an order ended that rests, with the one it is paired with; what was protected is not any more.

        Returns what became of them: one that was filled meanwhile is booked as filled. Raises CommandError.
        """
        async with self._working():
            resting = await self._ledger.ask(self._ledger.resting)
            order = next((each for each in resting if each.client_order_id == client_order_id), None)
            if order is None:
                raise CommandError("order_not_resting")
            twins = [each for each in resting if each is order or (order.pair and each.pair == order.pair)]
            if order.signal_id == PROTECTION:
                await self._protections.want(order.coin, None)
            done = await self._executor.cancel(twins, self._fetcher.fee_prices)
            await self._outcomes.orders(done)
            await self._protections.heed(done)
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
            if await self._ledger.ask(self._ledger.resting) or await self._ledger.ask(self._ledger.in_flight):
                raise CommandError("order_unclear", amount="0.00")

    async def close(self, coin: str, shown: Shown | None = None) -> tuple[OrderRecord, ...]:
        """Sell all that is held of a coin, its other orders ended before, and hold it back; returns the orders of it.

        It is written down first, and gone on with by each cycle until nothing is left that can be sold. What was `shown` is
        sold only as it was shown. Raises CommandError.
        """
        async with self._working():
            async with self._preparation.ready() as inputs:
                await self._check(coin, inputs)
                quantity = await self._check_held(coin, inputs.market)
                if shown:
                    shown.check(coin, quantity, inputs.market.prices[coin])
                await self._protections.close(coin, BY_HAND)
                done = await self._protections.restore(inputs.market, self._fetcher.fee_prices)
                await self._outcomes.orders(done)
            await self._publisher.publish(inputs)
            return tuple(order for order in done if order.coin == coin)

    async def protect(
        self,
        coin: str,
        take_profit: Level | None = None,
        stop_loss: Level | None = None,
        trailing: int | None = None,
    ) -> Json:
        """Sell all that is held of a coin once it has come to a price; without any it is not protected any more.

        Levels in % and `trailing` (basis points) are from the last price. What protected it before is ended first. Returns
        what protects it now. Raises CommandError.
        """
        async with self._working():
            async with self._preparation.ready() as inputs:
                await self._check(coin, inputs)
                market, prices = inputs.market, self._fetcher.fee_prices
                await self._check_held(coin, market)
                ticket = Ticket(
                    coin=coin, side=Side.BUY, take_profit=take_profit, stop_loss=stop_loss, trailing=trailing
                )
                protection = self._protection(ticket, inputs, market.prices[coin], market.prices[coin])
                lifted = True
                if protection:
                    await self._protections.renew(coin, protection)
                else:
                    await self._protections.want(coin, None)
                    lifted = await self._protections.lift(coin, prices)
                await self._outcomes.orders(await self._protections.restore(market, prices))
                unclear = await self._ledger.ask(self._ledger.in_flight)
                held_by = (await self._protections.held_by(market)).get(coin)
            await self._publisher.publish(inputs)
            if not lifted or any(coin in order.assets for order in unclear):
                raise CommandError("coin_unclear", coin=coin)
            return order_responses.protection(coin, protection, held_by)

    # Inside

    async def _check(self, coin: str, inputs: Inputs) -> None:
        """Raise CommandError where a coin cannot be traded now."""
        if self._risk.status is Status.DEAD:
            raise CommandError(Status.DEAD.value)
        if await self._exits.open():
            raise CommandError("everything_sold")
        book = await self._ledger.ask(self._ledger.book)
        if coin in self._frozen.of(book.portfolio.positions) or coin in self._settings.locked:
            raise CommandError("coin_frozen", coin=coin)
        if inputs.account is None or inputs.market.obstacle(coin):
            raise CommandError("coin_not_tradable", coin=coin)
        if any(coin in order.assets for order in await self._ledger.ask(self._ledger.in_flight)):
            raise CommandError("coin_unclear", coin=coin)

    async def _check_held(self, coin: str, market: Market) -> Decimal:
        """How much of a coin can be sold. Raises CommandError where nothing is held of it, or too little."""
        held, rules = (
            (await self._ledger.ask(self._ledger.book)).portfolio.quantity(coin),
            market.rules[market.symbol(coin)],
        )
        if not held:
            raise CommandError("no_position", coin=coin)
        if not (quantity := rules.round_quantity(held)) or quantity * market.prices[coin] < rules.min_notional:
            raise CommandError("order_too_small", minimum=f"{rules.min_notional:f}", quote=market.quote)
        return quantity

    async def _checked(self, ticket: Ticket, inputs: Inputs) -> tuple[PlannedOrder, Protection | None]:
        """The order that may be sent, and what is to protect the coin once it is filled. Raises CommandError."""
        await self._check(ticket.coin, inputs)
        if ticket.protects and ticket.side is Side.SELL:
            raise CommandError("protection_of_sale")
        free = await self._free(ticket, inputs)
        order = order_of(ticket, inputs.market, self._settings.limits, free)
        if order.type not in {OrderType.AT_ONCE, *self._exchange.types}:
            raise CommandError("order_not_supported")
        last = inputs.market.prices[ticket.coin]
        price = order.limit_price if order.type.rests and order.limit_price else last
        held = (await self._ledger.ask(self._ledger.book)).portfolio.quantity(ticket.coin)
        # What is held already is protected with it, and must not be sold at once.
        return order, self._protection(ticket, inputs, price, last if held else price)

    async def _free(self, ticket: Ticket, inputs: Inputs) -> Portfolio:
        """What the book and the account have free for an order; of a coin that is sold also what protects it."""
        book = await self._ledger.ask(self._ledger.book)
        in_flight = await self._ledger.ask(self._ledger.in_flight)
        sent, locking = sent_and_locking(in_flight, await self._ledger.ask(self._ledger.resting))
        market = inputs.market
        if ticket.side is Side.SELL:
            locking = [order for order in locking if (order.coin, order.signal_id) != (ticket.coin, PROTECTION)]
        assert inputs.account is not None  # noqa: S101  # it was checked
        moving = committed(sent, market)
        usable = inputs.account.usable(book.portfolio, moving)
        return usable.less(moving, market.quote).less(committed(locking, market), market.quote)

    def _protection(self, ticket: Ticket, inputs: Inputs, price: Decimal, last: Decimal) -> Protection | None:
        """What protects a coin: prices on the tick, on the right side of the order's price and of the last one."""
        rules = inputs.market.rules[inputs.market.symbol(ticket.coin)]
        if ticket.trailing is not None and ticket.stop_loss is not None:
            raise CommandError("two_stops")
        protection = protection_of(
            None if ticket.take_profit is None else ticket.take_profit.above(price),
            None if ticket.stop_loss is None else ticket.stop_loss.below(price),
            ticket.trailing,
            rules.tick,
            self._clock(),
        )
        if protection is None:
            return None
        target, stop = protection.take_profit, protection.stop_loss
        if (target is not None and target <= max(price, last)) or (
            stop is not None and not 0 < stop < min(price, last)
        ):
            raise CommandError("protection_prices", price=f"{price:f}")
        bounds = rules.bounds(Side.SELL, last)
        if bounds and any(each is not None and not bounds[0] <= each <= bounds[1] for each in (target, stop)):
            raise CommandError("limit_price_far", low=f"{bounds[0]:f}", high=f"{bounds[1]:f}")
        return protection
