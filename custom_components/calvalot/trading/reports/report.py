"""The figures of a report: what a portfolio did in a month, a quarter or a year; synchronous, read from its ledger."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext

from ..alert_log import happened_in
from ..decimals import EXACT, HUNDRED, ZERO
from ..exchanges.base import Mode, Side
from ..ledger.ledger import Ledger
from ..ledger.records import BookedFill, CashFlow, Trade
from ..performance import fall
from ..responses import Json
from ..statistics.distance import Explained
from ..statistics.figures import Past, Statistics
from ..statistics.leading import explained_in
from ..statistics.marks import Mark
from ..statistics.ratios import months
from ..statistics.returns import Holding, Period, period_from, periods
from .spans import DAY, Span

# So many trades are listed, the newest; the sums are those of all.
LISTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What was held of a coin, or as cash (no coin): quantity, value (EUR) and share (%) of the portfolio; None: unknown."""

    coin: str
    quantity: Decimal
    value: Decimal | None
    share: Decimal | None


@dataclass(slots=True)
class Volume:
    """What was traded of a coin: fills' orders, amounts and fees in quote."""

    orders: set[int]
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    fees: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of a span; amounts in EUR unless quote is said. `falls` is how far the unit price is under its peak so far (%).

    `base` is the mark that the span begins with, `marks` it and those of the span, `by_period` the returns up to the last day.
    """

    span: Span
    mode: Mode
    quote: str
    created: datetime
    base: Mark
    marks: Sequence[Mark]
    falls: Sequence[Decimal]
    whole: Period
    by_period: Mapping[str, Period | None]
    by_month: Mapping[tuple[int, int], float]
    at_start: Sequence[Share]
    at_end: Sequence[Share]
    distance: Explained | None
    volumes: Mapping[str, Volume]
    sold: Decimal
    fees: Mapping[str, Decimal]
    trades: Sequence[Trade]
    orders: int
    flows: Sequence[CashFlow]
    happened: Sequence[tuple[datetime, Json]]

    @property
    def end(self) -> Mark:
        """The last mark."""
        return self.marks[-1]

    @property
    def paid(self) -> Decimal:
        """What was paid in less what was taken out."""
        return sum((flow.amount for flow in self.flows), ZERO)

    @property
    def result(self) -> Decimal:
        """What the span brought in EUR."""
        return self.end.value - self.base.value - self.paid

    @property
    def deepest(self) -> Decimal:
        """The deepest fall within the span, in %."""
        return max(self.falls)


def read_report(ledger: Ledger, statistics: Statistics, span: Span, now: datetime) -> Report | None:
    """The report of a span; None where there is no close in it. Raises LedgerError."""
    past = statistics.past()
    known = past.marks[: bisect_right(past.marks, span.last, key=lambda mark: mark.day)]
    start = bisect_right(known, span.first - DAY, key=lambda mark: mark.day)
    if not known or start == len(known) or not known[-1].value:
        return None
    # A book that began within the span counts from its first money.
    base = known[start - 1] if start else known[0]
    past = replace(past, marks=known, flows=[flow for flow in past.flows if flow.time.date() <= span.last])
    begins = start == 0 and not base.prices
    flows = [flow for flow in past.flows if flow.time.date() > base.day or begins]
    begin, end = _midnight(span.first), _midnight(span.last + DAY)
    fills = ledger.fills_between(begin, end)
    return Report(
        span=span,
        mode=ledger.mode,
        quote=ledger.quote,
        created=now,
        base=base,
        marks=known[max(start - 1, 0) :],
        falls=_falls(known)[max(start - 1, 0) :],
        whole=period_from(base, known, past.paid, past.first),
        by_period=periods(known, past.paid, past.first, min(span.last, now.date())),
        by_month=months(known),
        at_start=[] if begins else shares(past, base),
        at_end=shares(past, known[-1]),
        distance=explained_in(ledger, span.first, span.last),
        volumes=volumes(fills),
        sold=sold(fills),
        fees=fees(fills),
        trades=ledger.trades(LISTED, begin, end),
        orders=len({each.order_seq for each in fills}),
        flows=flows,
        happened=happened_in(ledger, span.first, span.last),
    )


def shares(past: Past, mark: Mark) -> list[Share]:
    """What was held at a mark, the most valuable first, cash last."""
    held: Holding = past.holding(mark)
    with localcontext(EXACT):

        def share(coin: str, quantity: Decimal, price: Decimal | None) -> Share:
            value = None if price is None or mark.rate is None else quantity * price * mark.rate
            part = value * HUNDRED / mark.value if value is not None and mark.value else None
            return Share(coin=coin, quantity=quantity, value=value, share=part)

        coins = [share(coin, quantity, mark.prices.get(coin)) for coin, quantity in held.coins.items() if quantity]
        return [*sorted(coins, key=lambda each: -(each.value or ZERO)), share("", held.cash, Decimal(1))]


def volumes(fills: Sequence[BookedFill]) -> dict[str, Volume]:
    """What was traded, by coin."""
    found: dict[str, Volume] = {}
    with localcontext(EXACT):
        for each in fills:
            of = found.setdefault(each.coin, Volume(set()))
            of.orders.add(each.order_seq)
            if each.side is Side.BUY:
                of.bought += each.fill.amount
            else:
                of.sold += each.fill.amount
            of.fees += each.fill.fee * each.fee_price
    return dict(sorted(found.items()))


def sold(fills: Sequence[BookedFill]) -> Decimal:
    """What all sales into the quote asset came to; a coin that became another one is none."""
    orders: dict[int, set[Side]] = {}
    for each in fills:
        orders.setdefault(each.order_seq, set()).add(each.side)
    with localcontext(EXACT):
        return sum((each.fill.amount for each in fills if orders[each.order_seq] == {Side.SELL}), ZERO)


def fees(fills: Sequence[BookedFill]) -> dict[str, Decimal]:
    """Fees by the asset that they were taken in."""
    found: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for each in fills:
            found[each.fill.fee_asset] = found.get(each.fill.fee_asset, ZERO) + each.fill.fee
    return {asset: fee for asset, fee in sorted(found.items()) if fee}


def _falls(known: Sequence[Mark]) -> list[Decimal]:
    """How far each mark is under the highest one so far, in %."""
    peak, found = ZERO, []
    for mark in known:
        peak = max(peak, mark.price)
        found.append(fall(peak, mark.price))
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
