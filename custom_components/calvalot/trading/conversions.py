"""One asset turned into another: planned over the best way, each order placed once, gone on with where the second one waits.

The first order is written down with what was confirmed, the second is sized by what the first has brought. Where the second comes
to nothing what the first one bought stays in the book, and a fact says so until it is gone on with, kept, or sold.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from .account import committed, sent_and_locking
from .conversion_text import from_text, moved, to_text
from .decimals import ZERO
from .errors import CommandError
from .events import EventQueue
from .executor import Executor
from .frozen import Frozen
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, Result, SignalRecord
from .limits import Limits
from .outcomes import Outcomes
from .protections import Protections
from .responses import text
from .routes import BETWEEN, ConversionPlan, Left, Pair, Way, best_ways, brings, order_for, symbols_between
from .settings import Settings
from .signal import PORTFOLIO, PROTECTION, Kind
from .sizing import Market, PlannedOrder
from .wants import Orders

# Why the second part of a conversion is missing: it could not be placed in time.
NOT_PLACED = "not_placed"
# How long after its owner's word the second order of a conversion is placed.
FRESH = timedelta(minutes=10)
# A pair that is not listed is asked for again after that.
UNLISTED_FOR = timedelta(days=1)
UNFILLED = "unfilled"
# The fact that says what is left of a conversion that stopped half-way.
LEFT = "conversion_left"


class Conversions:
    """Plans the conversions of one portfolio and has them traded."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        protections: Protections,
        events: EventQueue,
        outcomes: Outcomes,
        frozen: Frozen,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._protections = protections
        self._events = events
        self._outcomes = outcomes
        self._frozen = frozen
        self._clock = clock
        self._unlisted: dict[str, datetime] = {}

    async def plan(
        self,
        start: str,
        goal: str,
        quantity: Decimal,
        inputs: Inputs,
        way: Sequence[str] = (),
        *,
        slippage: Decimal | None = None,
    ) -> ConversionPlan:
        """The best way now, or the same `way` (its symbols) again. Raises CommandError where it cannot be gone.

        With a `slippage` (a fraction) cash becomes another quote asset, directly and guarded by that, whichever of the two is the
        base.
        """
        if start == goal:
            raise CommandError("conversion_same")
        if inputs.account is None:
            raise CommandError("no_valuation")
        held = (await self._ledger.ask(self._ledger.book)).portfolio.positions
        # A wallet that holds what it is to be kept in has it as its cash from then on.
        frozen = self._frozen.of(held) if slippage is None else self._settings.frozen
        apart = {*frozen, *self._settings.locked, *inputs.market.aside}
        if set_apart := {start, goal} & apart:
            raise CommandError("coin_not_tradable", coin=min(set_apart))
        if await self._ledger.ask(self._ledger.in_flight):
            raise CommandError("order_unclear", amount="0.00")
        free = await self._free(start, inputs, protected=True)
        if not ZERO < quantity <= free:
            raise CommandError("not_enough_free", free=f"{max(free, ZERO):f}", asset=start)
        market, pairs = await self._pairs(start, goal, inputs.market)
        limits = self._settings.limits
        if slippage is not None:
            limits = replace(limits, max_slippage=slippage)
            pairs = {
                symbol: pair for symbol, pair in pairs.items() if {pair.rules.base, pair.rules.quote} == {start, goal}
            }
        elif goal != market.quote and market.obstacle(goal):
            raise CommandError("coin_not_tradable", coin=goal)
        for best in best_ways(pairs, start, goal, quantity, limits):
            if way and [pair.symbol for pair in best] != [*way]:
                continue
            # What the price guard leaves over may be what a minimum lacks.
            if orders := self._orders(best, start, quantity, market, limits):
                return ConversionPlan(start=start, goal=goal, quantity=quantity, way=best, orders=orders, market=market)
        raise CommandError("no_way", from_asset=start, to_asset=goal)

    async def begin(self, plan: ConversionPlan, inputs: Inputs) -> SignalRecord:
        """Write a conversion down and trade it. Raises CommandError, LedgerError."""
        if not await self._protections.lift(plan.start, self._fetcher.fee_prices):
            raise CommandError("order_unclear", amount="0.00")
        free = await self._free(plan.start, inputs, protected=False)
        if plan.quantity > free:  # what protected it has sold some meanwhile
            await self._protect(inputs)
            raise CommandError("not_enough_free", free=f"{max(free, ZERO):f}", asset=plan.start)
        now = self._clock()
        signal_id = Kind.CONVERSION.id_at(now)
        record = SignalRecord(
            source=PORTFOLIO,
            kind=Kind.CONVERSION,
            signal_id=signal_id,
            origin=signal_id,
            wants=Orders(plan.orders),
            seen_at=now,
        )
        left = await self.left()
        gone_on_with = {LEFT: None} if left and left.asset == plan.start else None
        record = await self._ledger.ask(self._ledger.write_signal, record, gone_on_with)
        self._events.received(record)
        record = await self._pursue(record, plan.orders, inputs, places=True)
        if record.result is not Result.OPEN:  # what is left of the coin is protected again
            await self._protect(inputs)
        return record

    async def go_on(self, inputs: Inputs, *, may_trade: bool) -> None:
        """Come to an end with what was in flight; the second order is placed only a short while after the first. Raises LedgerError."""
        for record in await self._ledger.ask(self._ledger.open_signals):
            if record.kind is not Kind.CONVERSION or not isinstance(record.wants, Orders) or inputs.account is None:
                continue
            begun = await self._ledger.ask(self._ledger.orders, record.key)
            fresh = self._clock() - record.seen_at <= FRESH
            places = may_trade and fresh and bool(begun)
            await self._pursue(record, record.wants.orders, inputs, places=places)
        if (left := await self.left()) and await self._held(left.asset) < left.quantity:
            await self.keep()

    async def left(self) -> Left | None:
        """What is left of a conversion that stopped half-way. Raises LedgerError."""
        known = await self._ledger.ask(self._ledger.fact, LEFT)
        return from_text(known) if known else None

    async def keep(self) -> None:
        """Forget what is left of one: it stays as it is. Raises LedgerError."""
        await self._ledger.ask(self._ledger.remember, LEFT, None)

    # Planning

    async def _pairs(self, start: str, goal: str, market: Market) -> tuple[Market, dict[str, Pair]]:
        """The market with what a way may lead over, and the pairs of those that the book can value; by symbol."""
        now, quote = self._clock(), market.quote
        coins = {start, goal, quote, *BETWEEN}
        wanted = symbols_between(start, goal, sorted(coins - {start, goal}))
        wanted |= {market.symbol(coin) for coin in coins - {quote}}
        self._unlisted = {symbol: at for symbol, at in self._unlisted.items() if now - at < UNLISTED_FOR}
        asked = wanted - self._unlisted.keys()
        market, prices = await self._fetcher.pairs(market, asked)
        if self._fetcher.exchange_problem:
            raise CommandError("no_valuation")
        self._unlisted |= dict.fromkeys(asked - market.rules.keys(), now)
        valued = {quote, start, goal, *(coin for coin in coins - {quote} if not market.obstacle(coin))}
        listed = {symbol: market.rules[symbol] for symbol in wanted if symbol in prices}
        return market, {
            symbol: Pair(rules, prices[symbol])
            for symbol, rules in listed.items()
            if {rules.base, rules.quote} <= valued
        }

    def _orders(
        self, way: Way, start: str, quantity: Decimal, market: Market, limits: Limits
    ) -> tuple[PlannedOrder, ...] | None:
        """The orders of a way, the second one sized by what the first is expected to bring."""
        orders: list[PlannedOrder] = []
        asset, amount = start, quantity
        for pair in way:
            if (order := _order(pair, asset, amount, market, limits)) is None:
                return None
            orders.append(order)
            asset, amount = pair.other(asset), brings(order, pair.rules)
        return tuple(orders)

    async def _free(self, asset: str, inputs: Inputs, *, protected: bool) -> Decimal:
        """What the book holds of an asset, the account has, and no order has a claim on; what is `protected` counts as free."""
        market = inputs.market
        book = await self._ledger.ask(self._ledger.book)
        resting = await self._ledger.ask(self._ledger.resting)
        if protected:
            resting = tuple(order for order in resting if order.signal_id != PROTECTION)
        sent, locking = sent_and_locking(await self._ledger.ask(self._ledger.in_flight), resting)
        if inputs.account is None:  # pragma: no cover  # whoever asks has seen the account
            return ZERO
        moving = committed(sent, market)
        usable = inputs.account.usable(book.portfolio, moving)
        left = usable.less(moving, market.quote).less(committed(locking, market), market.quote)
        return left.cash if asset == market.quote else left.quantity(asset)

    async def _held(self, asset: str) -> Decimal:
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        return portfolio.cash if asset == self._settings.quote else portfolio.quantity(asset)

    # Trading

    async def _pursue(
        self, record: SignalRecord, steps: Sequence[PlannedOrder], inputs: Inputs, *, places: bool
    ) -> SignalRecord:
        """Place what comes next, as long as what came before is known to have brought something."""
        for step in steps:
            placed = await self._placed(record, step)
            if not placed:
                planned = step if step is steps[0] else await self._next(record, step, inputs)
                if not places or planned is None:
                    break
                placed = await self._executor.execute(record.key, [planned], self._fetcher.fee_prices)
                await self._outcomes.orders(placed)
            if not placed or not placed[-1].state.settled:
                return record
            if not placed[-1].executed_quantity:
                break
        return await self._end(record, steps)

    async def _protect(self, inputs: Inputs) -> None:
        protecting = await self._protections.restore(inputs.market, self._fetcher.fee_prices)
        await self._outcomes.orders(protecting)

    async def _placed(self, record: SignalRecord, step: PlannedOrder) -> tuple[OrderRecord, ...]:
        orders = await self._ledger.ask(self._ledger.orders, record.key)
        return tuple(order for order in orders if order.symbol == step.symbol)

    async def _next(self, record: SignalRecord, step: PlannedOrder, inputs: Inputs) -> PlannedOrder | None:
        """The second order at the prices of now, for what the first one has brought; None where it cannot be placed."""
        market = inputs.market
        asset = step.sold
        symbols = {step.symbol} if asset == market.quote else {step.symbol, market.symbol(asset)}
        market, prices = await self._fetcher.pairs(market, symbols)
        rules = market.rules.get(step.symbol)
        if rules is None or not rules.trading or step.symbol not in prices:
            return None
        if asset != market.quote and market.obstacle(asset):
            return None
        brought = (await self._moved(record))[1].get(asset, ZERO)
        amount = min(brought, await self._free(asset, inputs, protected=False))
        return _order(Pair(rules, prices[step.symbol]), asset, amount, market, self._settings.limits)

    async def _moved(self, record: SignalRecord) -> tuple[tuple[OrderRecord, ...], dict[str, Decimal]]:
        orders = await self._ledger.ask(self._ledger.orders, record.key)
        return orders, moved(await self._ledger.ask(self._ledger.trades_of, [order.seq for order in orders]))

    async def _end(self, record: SignalRecord, steps: Sequence[PlannedOrder]) -> SignalRecord:
        """Write down what a conversion came to, and what is left half-way. Raises LedgerError."""
        orders, amounts = await self._moved(record)
        done = [order for order in orders if order.executed_quantity]
        unfilled = [order for order in done if order.executed_quantity < order.quantity]
        if len(done) == len(steps):
            reason = UNFILLED if unfilled else ""
        elif orders and not orders[-1].executed_quantity:
            reason = orders[-1].reason or UNFILLED
        else:
            reason = NOT_PLACED
        result = (Result.PARTIAL if reason else Result.EXECUTED) if done else Result.ERROR
        record = replace(record, result=result, reason=reason)
        left = None
        stopped = len(done) < len(steps) or done[-1] in unfilled
        if done and len(steps) > 1 and stopped and (quantity := amounts.get(steps[0].bought, ZERO)) > 0:
            left = Left(asset=steps[0].bought, quantity=quantity, goal=steps[-1].bought, reason=reason)
        facts = {LEFT: to_text(left)} if left else None
        record = await self._ledger.ask(self._ledger.write_signal, record, facts)
        if left:
            self._events.alert(
                "conversion_stopped",
                signal_id=record.signal_id,
                asset=left.asset,
                quantity=text(left.quantity),
                to_asset=left.goal,
                reason=reason,
            )
        await self._outcomes.signal(record)
        return record


def _order(pair: Pair, asset: str, amount: Decimal, market: Market, limits: Limits) -> PlannedOrder | None:
    order = order_for(pair, asset, amount, limits)
    if order is None or market.quote in {order.coin, order.quote}:
        return order
    return replace(order, sold_price=market.prices[asset])
