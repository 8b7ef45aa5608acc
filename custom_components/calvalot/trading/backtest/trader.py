"""What the sources want of the book, traded at once: planner and paper exchange as in a cycle, without disk or network.

One pass is what `Rebalancer.pursue` does on paper: plan, sell, plan the purchases from what is really there, judge. A test
holds both against each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ..exchanges.base import OrderRequest, Side
from ..exchanges.replay import ReplayExchange
from ..ledger.records import Result
from ..limits import Limits
from ..planner import fund, plan
from ..rebalance import OrderPlan, reserve_fee
from ..signal import Signal
from ..sizing import LeftOut, Market, PlannedOrder, Reason, smallest_order
from ..wants import Moves, Wants
from .book import Book
from .errors import BacktestError

# Cycles after a close that still meet its price, two minutes from each other: what a signal leaves open is placed there.
PASSES = 5


@dataclass(slots=True, kw_only=True)
class Record:
    """A signal that was taken up at a time (Unix seconds): what it wants, why, and what became of it."""

    at: int
    signal_id: str
    wants: Wants
    reason: str
    reasons: Mapping[str, str]
    result: Result = Result.OPEN
    left_out: tuple[LeftOut, ...] = ()
    traded: bool = False
    done: dict[tuple[str, Side], Reason] = field(default_factory=dict[tuple[str, Side], Reason])

    def is_open(self) -> bool:
        """Whether something of it may still be placed."""
        return self.result is Result.OPEN


class Trader:
    """Trades for one book; `taken` counts the signals that were taken up, `failed` are those of which something was left out."""

    def __init__(self, book: Book, exchange: ReplayExchange, limits: Limits, max_age: timedelta) -> None:
        self.book = book
        self.exchange = exchange
        self.limits = limits
        self.taken = 0
        self.failed: list[Record] = []
        self.record: Record | None = None
        self._max_age = max_age
        self._orders = 0

    def take_up(self, signal: Signal, at: int, reasons: Mapping[str, str] | None = None) -> None:
        """Take a signal up; what was still open of the one before is overtaken. Raises BacktestError."""
        if isinstance(signal.wants, Moves) and any(move.terms for move in signal.wants.moves):
            raise BacktestError("backtest_terms")
        self.close()
        self.taken += 1
        self.record = Record(
            at=at, signal_id=signal.signal_id, wants=signal.wants, reason=signal.reasoning, reasons=reasons or {}
        )

    def close(self) -> None:
        """Place nothing more of the last signal, and remember it where it could not be placed as a whole."""
        if (record := self.record) is None:
            return
        if record.is_open():
            record.result = Result.PARTIAL if record.traded else Result.SKIPPED
        if record.left_out or record.result is not Result.EXECUTED:
            self.failed.append(record)
        self.record = None

    async def pursue(self, market: Market, at: int) -> None:
        """Place what can be placed of the open signal at these prices, in so many passes as it takes."""
        record = self.record
        if record is None or not record.is_open():
            return
        old = at - record.at > self._max_age.total_seconds()
        if old and isinstance(record.wants, Moves):
            self.close()
            return
        for _ in range(PASSES):
            traded = await self._pass(record, market, at, last=old)
            if not (traded and record.is_open()):
                break
        if not record.is_open():
            self.close()

    # Inside

    async def _pass(self, record: Record, market: Market, at: int, *, last: bool) -> bool:
        """One pass; whether anything was traded."""
        before = len(self.book.fills)
        order_plan = self._plan(record, market)
        if order_plan:
            order_plan = await self._sell(record, order_plan, market, at)
            if order_plan and order_plan.buys:
                await self._execute(record, order_plan.buys, market, at)
            if len(self.book.fills) > before or order_plan is None:
                order_plan = self._plan(record, market)
        traded = len(self.book.fills) > before
        record.traded |= traded
        self._judge(record, order_plan, last=last)
        return traded

    async def _sell(self, record: Record, order_plan: OrderPlan, market: Market, at: int) -> OrderPlan | None:
        """Make the sales, those of the coin that pays fees last; what is to be bought then."""
        if not order_plan.sells:
            return order_plan
        paying = self._paying_coin
        others = [order for order in order_plan.sells if order.coin != paying]
        await self._execute(record, others, market, at)
        if len(others) < len(order_plan.sells):
            again = self._plan(record, market) if others else order_plan
            await self._execute(
                record, [order for order in again.sells if order.coin == paying] if again else [], market, at
            )
        return self._plan(record, market)

    @property
    def _paying_coin(self) -> str | None:
        last = self.book.last_fee_asset
        return last if last == self.exchange.fee_coin else None

    def _plan(self, record: Record, market: Market) -> OrderPlan | None:
        """What the signal would trade now; None without a complete valuation or with a wanted price missing."""
        portfolio, wants = self.book.portfolio, record.wants
        valuation = portfolio.value(market.prices)
        unknown = any(market.symbol(coin) in market.rules and not market.prices.get(coin) for coin in wants.coins)
        if valuation is None or unknown:
            return None
        sellable = reserve_fee(portfolio, self._paying_coin)
        planned = plan(wants, sellable, valuation, market, self.limits, record.done)
        buys, short = fund(planned, portfolio.cash, valuation.total, market, self.limits)
        return OrderPlan(sells=planned.sells, buys=buys, left_out=planned.left_out + short)

    async def _execute(self, record: Record, orders: Sequence[PlannedOrder], market: Market, at: int) -> None:
        for order in orders:
            self._orders += 1
            request = OrderRequest(
                symbol=order.symbol,
                side=order.side,
                quantity=order.quantity,
                limit_price=order.limit_price,
                quote_amount=order.quote_amount,
                client_order_id=f"bt-{self._orders}",
            )
            report = await self.exchange.place(request)
            least = smallest_order(market, self.limits, order.coin)
            reason = record.reasons.get(order.coin, record.reason)
            self.book.take(request, order.coin, report, at, reason, least)
            if isinstance(record.wants, Moves):
                filled = report.executed_quantity == report.quantity
                record.done[order.coin, order.side] = Reason.ALREADY_PLACED if filled else Reason.UNFILLED

    def _judge(self, record: Record, order_plan: OrderPlan | None, *, last: bool) -> None:
        """Say what became of the signal so far."""
        placeable = order_plan is None or bool(order_plan.orders)
        left_out = () if order_plan is None else order_plan.left_out
        passing = any(item.reason.passing for item in left_out)
        record.left_out = tuple(item for item in left_out if not item.reason.aligned)
        if (placeable or passing) and not last:
            return
        if not record.left_out and not placeable:
            record.result = Result.EXECUTED
        else:
            record.result = Result.PARTIAL if record.traded else Result.SKIPPED
