"""Records of the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from ..decimals import ONE, ZERO, points_under
from ..exchanges.base import Fill, OrderReport, OrderRequest, OrderStatus, OrderType, Side
from ..exchanges.symbols import quote_of
from ..explanation import Explanation
from ..performance import Drawdown, Units
from ..portfolio import Portfolio
from ..signal import Kind, SignalKey, SourceKind
from ..wants import Wants

# Of books that are numbered, today's, and what belongs to no book but to the follower.
FIRST_BOOK = 1
NO_BOOK = 0
# Facts that hold whichever book is in use.
FACTS_OF_FOLLOWER = frozenset({"paused", "dead", "restored", "book"})
# Why a signal ended that a newer one replaced.
OVERTAKEN = "overtaken by a newer signal"


class Result(StrEnum):
    """What became of a signal."""

    OPEN = "open"
    WAITING = "waiting"
    EXECUTED = "executed"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    ERROR = "error"
    BLENDED = "blended"


class OrderState(StrEnum):
    """States of an order: planned → sending → executed → booked, aside: rejected, unknown, not_placed.

    One that rests on the exchange is accepted and perhaps partly_filled in between.
    """

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PARTLY_FILLED = "partly_filled"
    EXECUTED = "executed"
    BOOKED = "booked"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"

    @property
    def settled(self) -> bool:
        """Whether nothing about the order can change any more."""
        return self in {OrderState.BOOKED, OrderState.REJECTED, OrderState.NOT_PLACED}

    @property
    def rests(self) -> bool:
        """Whether the order is known to be on the exchange, and may stay there."""
        return self in {OrderState.ACCEPTED, OrderState.PARTLY_FILLED}


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The last price (quote) that is known of a coin, and its day in UTC."""

    price: Decimal
    day: date


class FlowKind(StrEnum):
    """Kinds of cash flow; a correction changes the sum paid in for profit and loss, and moves no cash.

    What is carried leaves a book for the next one in another quote asset, or comes from the one before.
    """

    INITIAL = "initial"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    CORRECTION = "correction"
    CARRIED = "carried"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    """A signal as it was taken up and what became of it; `seq` orders records, newest last.

    `source` is who said it, `kind` what it is, `origin` the id of the signal it was made from, `wants` all that is to be traded
    of it: None where it was refused, or where an older version wrote it down without. `asked_at` is when its owner was asked to
    approve it. `left_out` holds symbol, side and reason of each leg that was left out.
    """

    seq: int = 0
    source: str = SourceKind.LEADER
    kind: Kind = Kind.SIGNAL
    signal_id: str
    origin: str = ""
    wants: Wants | None = None
    seen_at: datetime
    created_at: datetime | None = None
    confidence: Decimal | None = None
    reasoning: str = ""
    asked_at: datetime | None = None
    result: Result = Result.OPEN
    reason: str = ""
    left_out: tuple[tuple[str, str, str], ...] = ()

    @property
    def key(self) -> SignalKey:
        """What names it in its book."""
        return SignalKey(self.source, self.signal_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order: quantities in the base asset, amounts in quote; `price` is the last one when it was planned.

    One with a `quote_amount` was sized by what it may cost: its quantity is what that buys at `price`, and once it is
    executed what the exchange made of it. `pair` names two orders of which one ends the other. `cancel_at` is when its end
    was asked for, written down before it is. The `stop_price` of a trailing stop is where it begins. `sent_as` is what the exchange
    calls it where that is not the client order id. `sold_price`: what a unit of what a conversion sells is worth in the book's
    quote.
    """

    seq: int = 0
    exchange: str = "binance"
    source: str = SourceKind.LEADER
    signal_id: str
    coin: str
    symbol: str
    side: Side
    leg: int
    attempt: int
    client_order_id: str
    sent_as: str = ""
    quantity: Decimal
    price: Decimal | None = None
    limit_price: Decimal | None = None
    quote_amount: Decimal | None = None
    type: OrderType = OrderType.AT_ONCE
    stop_price: Decimal | None = None
    pair: str = ""
    cancel_at: datetime | None = None
    sold_price: Decimal | None = None
    state: OrderState = OrderState.PLANNED
    created_at: datetime
    sent_at: datetime | None = None
    order_id: str | None = None
    executed_quantity: Decimal = ZERO
    executed_amount: Decimal = ZERO
    executed_at: datetime | None = None
    reason: str = ""

    @property
    def quote(self) -> str:
        """Asset that the coin is traded against."""
        return quote_of(self.symbol, self.coin)

    @property
    def assets(self) -> frozenset[str]:
        """The two assets that it trades."""
        return frozenset((self.coin, self.quote))

    @property
    def sold(self) -> str:
        """Asset that it gives away."""
        return self.coin if self.side is Side.SELL else self.quote

    @property
    def rest(self) -> Decimal:
        """Quantity that is not booked yet, as far as that is known."""
        return self.quantity if self.state is OrderState.EXECUTED else self.quantity - self.executed_quantity

    @property
    def trailing(self) -> int | None:
        """Distance of a trailing stop from the price, in basis points; None of another order, or where it is not known."""
        if self.type is not OrderType.TRAILING_STOP or not self.price or self.stop_price is None:
            return None
        return points_under(self.price, self.stop_price)

    @property
    def request(self) -> OrderRequest:
        """The order as it goes out."""
        return OrderRequest(
            symbol=self.symbol,
            side=self.side,
            quantity=self.quantity,
            limit_price=self.limit_price,
            quote_amount=self.quote_amount,
            client_order_id=self.client_order_id,
            type=self.type,
            stop_price=self.stop_price,
            trailing=self.trailing,
        )

    @property
    def report(self) -> OrderReport:
        """What is written down of what the exchange said of the order."""
        filled = OrderStatus.PARTLY_FILLED if self.executed_quantity else OrderStatus.NEW
        return OrderReport(
            client_order_id=self.client_order_id,
            order_id=self.order_id or "",
            symbol=self.symbol,
            side=self.side,
            status=filled if self.state.rests else OrderStatus.FILLED,
            quantity=self.quantity,
            executed_quantity=self.executed_quantity,
            executed_amount=self.executed_amount,
            time=self.executed_at or self.created_at,
            type=self.type,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            pair=self.pair,
        )

    def quantity_in(self, report: OrderReport) -> Decimal:
        """Quantity that was asked for; of an order sized in quote what the exchange made of that."""
        return self.quantity if self.quote_amount is None else report.quantity or self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """An executed order with its fills, and the price in quote of each fee asset."""

    record: OrderRecord
    report: OrderReport
    fee_prices: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """A fill as it was booked, with the price in quote of its fee's asset; of a cross fill one of its two halves."""

    seq: int
    order_seq: int
    symbol: str
    coin: str
    side: Side
    fee_price: Decimal
    fill: Fill
    exchange: str = "binance"


@dataclass(frozen=True, slots=True, kw_only=True)
class CashFlow:
    """Money paid in (positive) or taken out (negative): EUR, quote, and the value in EUR just before.

    A flow in kind names the coin and the quantity that came or left, its amounts are what that was worth, and `after_fill` is
    the seq of the last fill before it. `explanation` says why something came to a wallet or left it. What is carried into a
    book has the EUR of each flow that was paid in before, at the rate of that moment; without any and without a coin it is
    what had been earned.
    """

    seq: int = 0
    kind: FlowKind
    amount: Decimal
    amount_quote: Decimal
    time: datetime
    note: str = ""
    value_before: Decimal | None = None
    coin: str | None = None
    quantity: Decimal | None = None
    after_fill: int | None = None
    explanation: Explanation | None = None

    @property
    def arrives(self) -> bool:
        """Whether it came rather than left; coins may be worth nothing."""
        return self.amount_quote > 0 or self.kind is FlowKind.DEPOSIT

    @property
    def is_earned(self) -> bool:
        """Whether it is the profit that the book before had made."""
        return self.kind is FlowKind.CARRIED and not self.coin and not self.amount

    @property
    def is_shown(self) -> bool:
        """Whether its owner knows it: not what only opens a book that runs on."""
        return bool(self.amount) or self.kind is not FlowKind.CARRIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An order that traded: gross quantity, amount in the pair's quote asset, fees as (asset, amount).

    `reason` is what a strategy says of one that its levels asked for.
    """

    time: datetime
    signal_id: str
    coin: str
    symbol: str
    side: Side
    quantity: Decimal
    amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    planned_price: Decimal | None = None
    reason: str = ""

    @property
    def slippage(self) -> Decimal | None:
        """How much worse than the price it was planned at it filled, as a fraction; None where that is not known."""
        if not self.planned_price:
            return None
        worse = self.price / self.planned_price - ONE
        return worse if self.side is Side.BUY else -worse

    @property
    def quote(self) -> str:
        """Asset that the coin was traded against."""
        return quote_of(self.symbol, self.coin)

    @property
    def moved(self) -> Mapping[str, Decimal]:
        """What came (positive) and went (negative), by asset, fees included."""
        bought = self.side is Side.BUY
        found = {
            self.coin: self.quantity if bought else -self.quantity,
            self.quote: -self.amount if bought else self.amount,
        }
        for asset, fee in self.fees:
            found[asset] = found.get(asset, ZERO) - fee
        return found

    @property
    def price(self) -> Decimal:
        """Average price of the fills: amount / gross quantity."""
        return self.amount / self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The whole state of one book: portfolio in quote; net deposits in EUR (None before the first one), units, drawdown."""

    portfolio: Portfolio = field(default_factory=Portfolio)
    net_deposits: Decimal | None = None
    units: Units = field(default_factory=Units)
    drawdown: Drawdown = field(default_factory=Drawdown)
