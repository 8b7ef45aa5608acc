"""One pass at one signal: plan, sell, plan the buys from what is really there, say what became of it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
import itertools

from .account import Account, committed, sent_and_locking
from .decimals import ONE, ZERO
from .exchanges.base import Side, SymbolRules
from .executor import Executor
from .frozen import Frozen
from .held_back import HeldBack
from .ledger.ledger import Ledger
from .ledger.records import Book, OrderRecord, OrderState, Result, SignalRecord
from .move_terms import MoveTerms
from .planner import fund, plan
from .portfolio import Portfolio, Position
from .protections import Protections
from .rank_filter import RankFilter
from .refusals import again_at
from .settings import Settings
from .signal import PROTECTION
from .sizing import NOTIONAL_MARGIN, LeftOut, Market, PlannedOrder, Reason, least_quantity
from .wants import Allocation, Moves, Orders, Wants

MAX_REFUSALS = 2
# What a sale of the fee coin itself leaves for its own fee.
FEE_RESERVE = Decimal("0.001")
DAY = timedelta(days=1)
SMALLEST = Decimal("1e-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlan:
    """What a signal would trade now, the buys funded from cash and, where asked, from what the sells will bring."""

    sells: tuple[PlannedOrder, ...] = ()
    buys: tuple[PlannedOrder, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def orders(self) -> tuple[PlannedOrder, ...]:
        """Sells, then buys."""
        return self.sells + self.buys


class Rebalancer:
    """Turns what signals want into orders."""

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        settings: Settings,
        clock: Callable[[], datetime],
        fee_coin: str | None,
        held_back: HeldBack,
        ranks: RankFilter,
        fresh: Callable[[Market], Market],
        frozen: Frozen,
        protections: Protections,
    ) -> None:
        """`fee_coin` is the coin that the exchange may take its fees in; `fresh` has a market's prices of this moment."""
        self._executor = executor
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._fee_coin = fee_coin
        self._held_back = held_back
        self._ranks = ranks
        self._fresh = fresh
        self._frozen = frozen
        self._terms = MoveTerms(executor, ledger, protections, clock)

    async def order_plan(
        self,
        record: SignalRecord,
        account: Account,
        market: Market,
        *,
        with_proceeds: bool,
        any_coin: bool = False,
    ) -> OrderPlan | None:
        """What a signal would trade now; None without a complete valuation or with a wanted price missing.

        With `any_coin` also what is not chosen yet, as with orders, which name what they buy.
        """
        wants = record.wants
        book, in_flight, resting, earlier, last_fee = await self._ledger.ask(self._read, record)
        sent, locking = sent_and_locking(in_flight, resting)
        moving, locked = committed(sent, market), committed(locking, market)
        # A sale of everything says of each coin why it is still there, and waits for a pair that may open again.
        apart = {
            **dict.fromkeys(market.aside, Reason.NOT_LISTED),
            **dict.fromkeys(self._settings.locked, Reason.LOCKED),
        }
        aside = {} if record.kind.sells_out else apart
        portfolio = account.usable(book.portfolio, moving).without(aside)
        valuation = portfolio.value(market.prices)
        if wants is None or valuation is None or _missing_price(wants, market):
            return None
        available = portfolio.less(locked, market.quote)
        passed = self._terms.passed(wants, portfolio.positions, market)
        blocked = {**passed, **self._blocked(record, market, earlier, in_flight)}
        blocked |= self._spoken_for(locked, available, market)
        blocked |= {(coin, side): reason for coin, reason in aside.items() for side in Side}
        blocked |= {(coin, Side.BUY): reason for coin, reason in self._ranks.not_bought(wants.coins).items()}
        blocked |= self._ruled_out(record, portfolio.positions, {*portfolio.positions, *wants.coins})
        if isinstance(wants, Allocation):
            blocked |= {(coin, Side.BUY): Reason.HELD_BACK for coin in await self._held_back.coins()}
        sellable = reserve_fee(available, self._paying_coin(last_fee))
        cash = available.cash - moving.get(market.quote, ZERO)
        limits = self._settings.limits
        if any_coin or isinstance(wants, Orders):
            limits = replace(limits, coins=None)
        planned = plan(wants, replace(sellable, cash=cash), valuation, market, limits, blocked)
        if with_proceeds:
            cash += sum((order.brings for order in planned.sells if not order.type.rests), ZERO)
        buys, short = fund(planned, cash, valuation.total, market, limits)
        order_plan = OrderPlan(sells=planned.sells, buys=buys, left_out=planned.left_out + short)
        return order_plan if record.kind.sells_out else await self._within_day(order_plan)

    async def pursue(
        self,
        record: SignalRecord,
        account: Account,
        market: Market,
        fee_prices: Mapping[str, Decimal],
        *,
        last_pass: bool,
        halted: Callable[[], bool] = bool,
    ) -> tuple[SignalRecord, tuple[OrderRecord, ...]]:
        """Place what can be placed now; returns the signal's record and the orders of this pass.

        The record stays open while something can still be placed, unless this is its last pass. `halted` is asked before
        each batch; nothing more is placed once it says so. Raises LedgerError.
        """
        market = self._fresh(market)
        # Before everything is sold nothing may be locked by an order, or be bought by one.
        done = [*await self._executor.withdraw(fee_prices)] if record.kind.sells_out else []
        done += await self._terms.end_earlier(record, fee_prices)
        order_plan = await self.order_plan(record, account, market, with_proceeds=False)
        if order_plan and not halted() and (lifted := await self._lift(order_plan, fee_prices)):
            done += lifted
            order_plan = await self.order_plan(record, account, market, with_proceeds=False)
        if order_plan:
            for sells in await self._in_turns(order_plan.sells):
                if halted():
                    break
                if sells[0].coin == self._fee_coin and done:  # its quantity has paid the fees of the others meanwhile
                    again = await self.order_plan(record, account, market, with_proceeds=False)
                    sells = [order for order in again.sells if order.coin == self._fee_coin] if again else []  # noqa: PLW2901
                done += await self._executor.execute(record.key, sells, fee_prices)
            if order_plan.sells:
                market = self._fresh(market)
                order_plan = await self.order_plan(record, account, market, with_proceeds=False)
            if order_plan and order_plan.buys and not halted():
                await self._terms.protect(record.wants, order_plan.buys, market)
                done += await self._executor.execute(record.key, order_plan.buys, fee_prices)
            order_plan = await self.order_plan(record, account, market, with_proceeds=False)
        return await self.judge(record, order_plan, last_pass=last_pass and not halted()), tuple(done)

    async def _lift(self, order_plan: OrderPlan, fee_prices: Mapping[str, Decimal]) -> tuple[OrderRecord, ...]:
        """End the protection of coins that are to be sold, one after the other; the cycle places it anew at its end."""
        coins = {item.coin for item in order_plan.left_out if item.reason is Reason.RESTING}
        resting = await self._ledger.ask(self._ledger.resting)
        done: tuple[OrderRecord, ...] = ()
        for coin in sorted(coins):
            protecting = [order for order in resting if order.coin == coin and order.signal_id == PROTECTION]
            done += await self._executor.cancel(protecting, fee_prices)
        return done

    async def judge(self, record: SignalRecord, order_plan: OrderPlan | None, *, last_pass: bool) -> SignalRecord:
        """Write down what became of a signal so far, given what could still be traded of it. Raises LedgerError."""
        record = await self._judged(record, order_plan, last_pass=last_pass)
        return await self._ledger.ask(self._ledger.write_signal, record)

    def give_up(self, record: SignalRecord, reason: str) -> SignalRecord:
        """Close a signal of which nothing more is to be traded; synchronous. Raises LedgerError."""
        orders = self._ledger.orders(record.key)
        if any(order.executed_quantity or not order.state.settled for order in orders):
            result = Result.PARTIAL
        else:
            result = Result.ERROR if orders else Result.SKIPPED
        return self._ledger.write_signal(replace(record, result=result, reason=reason))

    # Inside

    async def _in_turns(self, sells: Sequence[PlannedOrder]) -> list[list[PlannedOrder]]:
        """All sells at once, but for the coin that fees are taken in: it goes last, with its own fee left over."""
        paying = self._paying_coin(await self._ledger.ask(self._ledger.last_fee_asset))
        others = [order for order in sells if order.coin != paying]
        return [batch for batch in (others, [order for order in sells if order.coin == paying]) if batch]

    def _paying_coin(self, last: str | None) -> str | None:
        """The coin that the last fee was taken in, where it is the one for fees of whatever is traded."""
        return last if last == self._fee_coin else None

    def _read(
        self, record: SignalRecord
    ) -> tuple[Book, tuple[OrderRecord, ...], tuple[OrderRecord, ...], tuple[OrderRecord, ...], str | None]:
        """The book, orders in flight, those that rest, those of a signal, and the asset that the last fee was taken in."""
        ledger = self._ledger
        return ledger.book(), ledger.in_flight(), ledger.resting(), ledger.orders(record.key), ledger.last_fee_asset()

    def _blocked(
        self, record: SignalRecord, market: Market, earlier: Sequence[OrderRecord], in_flight: Sequence[OrderRecord]
    ) -> dict[tuple[str, Side], Reason]:
        """Legs that must not be placed now, with the reason; `earlier` are the signal's orders."""
        blocked: dict[tuple[str, Side], Reason] = {}
        refusals: dict[tuple[str, Side], list[datetime]] = {}
        for order in earlier:
            leg = (order.coin, order.side)
            if order.state is OrderState.REJECTED:
                # What a first purchase was refused for another signal of the leader says nothing about this one.
                if order.created_at >= record.seen_at:
                    refusals.setdefault(leg, []).append(order.created_at)
            elif order.state is OrderState.BOOKED and isinstance(record.wants, Moves | Orders):
                filled = _is_filled(order, market.rules.get(order.symbol))
                blocked[leg] = Reason.ALREADY_PLACED if filled else Reason.UNFILLED
            elif order.state.rests:
                blocked[leg] = Reason.ORDER_OPEN
        blocked |= {leg: Reason.REFUSED for leg, times in refusals.items() if self._is_refused(record, times)}
        for order in in_flight:
            blocked |= dict.fromkeys(itertools.product(order.assets, Side), Reason.ORDER_OPEN)
        begun = record.seq and record.kind.sells_out
        if begun and market.rules_at and market.rules_at < record.seen_at:
            # What was not listed before a sale of everything began may be by now: it waits for newer rules.
            blocked |= {(coin, Side.SELL): Reason.NOT_TRADING for coin in market.aside}
        return blocked

    def _spoken_for(
        self, locked: Mapping[str, Decimal], available: Portfolio, market: Market
    ) -> dict[tuple[str, Side], Reason]:
        """Sales of coins of which orders that rest leave too little to be sold."""
        return {
            (coin, Side.SELL): Reason.RESTING
            for coin in locked
            if coin != market.quote
            and not market.obstacle(coin)
            and available.quantity(coin) < least_quantity(market, self._settings.limits, coin)
        }

    def _ruled_out(
        self, record: SignalRecord, held: Collection[str], coins: Iterable[str]
    ) -> dict[tuple[str, Side], Reason]:
        """Legs that the owner's rules keep from being traded; a sale of everything leaves alone what is set apart."""
        settings = self._settings
        ruled = {(coin, side): Reason.FROZEN for coin in self._frozen.of(held) for side in Side}
        if record.kind.sells_out:
            return ruled | {(coin, Side.SELL): Reason.LOCKED for coin in settings.locked}
        other = {Side.BUY: (Side.SELL, Reason.ONLY_BUY), Side.SELL: (Side.BUY, Reason.ONLY_SELL)}
        if settings.only:
            side, reason = other[settings.only]
            ruled = {(coin, side): reason for coin in coins} | ruled
        return ruled

    def _is_refused(self, record: SignalRecord, times: Sequence[datetime]) -> bool:
        """Whether a leg that was refused at these times is not placed now; one that sells everything only waits."""
        if not record.kind.sells_out:
            return len(times) >= MAX_REFUSALS
        again = again_at(times)
        return again is not None and self._clock() < again

    async def _within_day(self, order_plan: OrderPlan) -> OrderPlan:
        """No more orders than the day allows, sells first; one in flight may have traded."""
        most = self._settings.max_trades_per_day
        if most is None or not order_plan.orders:
            return order_plan
        traded = await self._ledger.ask(self._ledger.trades_since, self._clock() - DAY)
        traded += len(await self._ledger.ask(self._ledger.in_flight))
        room = max(0, most - traded)
        kept = order_plan.orders[:room]
        dropped = tuple(
            LeftOut(order.coin, order.symbol, order.side, Reason.DAILY_LIMIT) for order in order_plan.orders[room:]
        )
        return OrderPlan(
            sells=tuple(order for order in kept if order.side is Side.SELL),
            buys=tuple(order for order in kept if order.side is Side.BUY),
            left_out=order_plan.left_out + dropped,
        )

    async def _judged(self, record: SignalRecord, order_plan: OrderPlan | None, *, last_pass: bool) -> SignalRecord:
        """The record with what became of the signal so far; see the contract for what each result means."""
        orders = await self._ledger.ask(self._ledger.orders, record.key)
        in_flight = any(not order.state.settled for order in orders) or await self._terms.is_ending(record)
        placeable = order_plan is None or bool(order_plan.orders)
        passing = order_plan is not None and any(item.reason.passing for item in order_plan.left_out)
        if record.kind.sells_out:  # what another signal bought without an answer is sold, too
            in_flight = bool(
                await self._ledger.ask(self._ledger.in_flight) or await self._ledger.ask(self._ledger.resting)
            )
            passing |= order_plan is not None and any(item.reason is Reason.REFUSED for item in order_plan.left_out)
        left_out = () if order_plan is None else tuple(item for item in order_plan.left_out if not item.reason.aligned)
        record = replace(
            record,
            left_out=tuple((item.symbol, item.side.value, item.reason.value) for item in left_out),
            reason="no_price" if order_plan is None else _first_reason(left_out),
        )
        untried = order_plan is None and not orders and not isinstance(record.wants, Moves | Orders)
        if in_flight or untried or ((placeable or passing) and not last_pass):
            return replace(record, result=Result.OPEN)
        traded = any(order.executed_quantity for order in orders)
        complete = not left_out and not placeable
        if complete:
            result = Result.EXECUTED
        elif traded:
            result = Result.PARTIAL
        else:
            failed = any(order.state in {OrderState.REJECTED, OrderState.NOT_PLACED} for order in orders)
            result = Result.ERROR if failed or passing or order_plan is None else Result.SKIPPED
        return replace(record, result=result)


def _is_filled(order: OrderRecord, rules: SymbolRules | None) -> bool:
    """Whether all that an order asked for was traded; of an amount in quote less than a step's worth is left."""
    if order.quote_amount is None or not order.executed_quantity or rules is None:
        return order.executed_quantity == order.quantity
    step = max(rules.step * order.executed_amount / order.executed_quantity * NOTIONAL_MARGIN, SMALLEST)
    return order.quote_amount - order.executed_amount <= step


def reserve_fee(portfolio: Portfolio, paying: str | None) -> Portfolio:
    """The book without the part of the coin that pays fees which its own sale would cost."""
    if paying is None or not (held := portfolio.position(paying)).quantity:
        return portfolio
    kept = Position(held.quantity * (ONE - FEE_RESERVE), held.cost)
    return replace(portfolio, positions={**portfolio.positions, paying: kept})


def _missing_price(wants: Wants, market: Market) -> bool:
    """Whether a price of a wanted coin is missing though the coin is listed."""
    return any(market.symbol(coin) in market.rules and not market.prices.get(coin) for coin in wants.coins)


def _first_reason(left_out: Sequence[LeftOut]) -> str:
    """The reasons in one line, each once, with the symbols they are for."""
    reasons: dict[str, list[str]] = {}
    for item in left_out:
        reasons.setdefault(item.reason.value, []).append(item.symbol)
    return "; ".join(f"{reason}: {', '.join(symbols)}" for reason, symbols in reasons.items())
