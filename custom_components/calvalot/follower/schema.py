"""Tables and records of the ledger; amounts are decimal text, times ISO 8601 text in UTC."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, override

from sqlalchemy import (
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from .exchange import ONE, ZERO, AccountId, OrderReport, Side
from .performance import Drawdown, Units
from .portfolio import Portfolio
from .upgrades import NUMBERED_BOOKS

# Of books that are numbered, today's, and what belongs to no book but to the follower.
FIRST_BOOK = 1
NO_BOOK = 0
# Facts that hold whichever book is in use.
FACTS_OF_FOLLOWER = frozenset({"paused", "dead", "restored", "book"})

# What brings a file from each version to the next; the first entry leads from 1 to 2.
UPGRADES: tuple[tuple[str, ...], ...] = (
    ("ALTER TABLE orders ADD COLUMN price TEXT",),
    ("ALTER TABLE signals ADD COLUMN asked_at VARCHAR(40)",),
    (
        "ALTER TABLE cash_flows ADD COLUMN coin VARCHAR(32)",
        "ALTER TABLE cash_flows ADD COLUMN quantity TEXT",
        "ALTER TABLE cash_flows ADD COLUMN after_fill INTEGER",
    ),
    NUMBERED_BOOKS,
    (
        "ALTER TABLE signals ADD COLUMN wanted TEXT",
        "CREATE INDEX signals_by_id ON signals (signal_id)",
        "CREATE TABLE sights (signal_id TEXT NOT NULL PRIMARY KEY, seen_at VARCHAR(40) NOT NULL)",
        "ALTER TABLE orders ADD COLUMN quote_amount TEXT",
        "ALTER TABLE closes ADD COLUMN prices TEXT",
    ),
)
VERSION = 1 + len(UPGRADES)


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


class OrderState(StrEnum):
    """States of an order: planned → sending → executed → booked, aside: rejected, unknown, not_placed."""

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    EXECUTED = "executed"
    BOOKED = "booked"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"

    @property
    def settled(self) -> bool:
        """Whether nothing about the order can change any more."""
        return self in {OrderState.BOOKED, OrderState.REJECTED, OrderState.NOT_PLACED}


class FlowKind(StrEnum):
    """Kinds of cash flow; a correction changes the sum paid in for profit and loss, and moves no cash."""

    INITIAL = "initial"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    """A signal as it was taken up and what became of it; `seq` orders records, newest last.

    `source` is the id of the leader's signal it was made from, `asked_at` when its owner was asked to approve it, `wanted` all that is to be traded of it. `left_out` holds symbol, side and reason of each leg that
    was left out.
    """

    seq: int = 0
    signal_id: str
    version: int | None
    seen_at: datetime
    created_at: datetime | None = None
    confidence: Decimal | None = None
    reasoning: str = ""
    payload: str = ""
    source: str = ""
    asked_at: datetime | None = None
    wanted: str | None = None
    result: Result = Result.OPEN
    reason: str = ""
    left_out: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order: quantities in the base asset, amounts in quote; `price` is the last one when it was planned.

    One with a `quote_amount` was sized by what it may cost: its quantity is what that buys at `price`, and once it is
    executed what the exchange made of it.
    """

    seq: int = 0
    signal_id: str
    coin: str
    symbol: str
    side: Side
    leg: int
    attempt: int
    client_order_id: str
    quantity: Decimal
    price: Decimal | None = None
    limit_price: Decimal | None = None
    quote_amount: Decimal | None = None
    state: OrderState = OrderState.PLANNED
    created_at: datetime
    sent_at: datetime | None = None
    order_id: int | None = None
    executed_quantity: Decimal = ZERO
    executed_amount: Decimal = ZERO
    executed_at: datetime | None = None
    reason: str = ""

    def quantity_in(self, report: OrderReport) -> Decimal:
        """Quantity that was asked for; of an order sized in quote what the exchange made of that."""
        return self.quantity if self.quote_amount is None else report.quantity or self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class CashFlow:
    """Money paid in (positive) or taken out (negative): EUR, quote, and the value in EUR just before.

    A withdrawal in kind names the coin and the quantity that left the book, its amounts are what that was worth, and
    `after_fill` is the seq of the last fill before it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An order that traded: gross quantity, amount in quote, fees as (asset, amount)."""

    time: datetime
    signal_id: str
    coin: str
    symbol: str
    side: Side
    quantity: Decimal
    amount: Decimal
    fees: tuple[tuple[str, Decimal], ...]
    planned_price: Decimal | None = None

    @property
    def slippage(self) -> Decimal | None:
        """How much worse than the price it was planned at it filled, as a fraction; None where that is not known."""
        if not self.planned_price:
            return None
        worse = self.price / self.planned_price - ONE
        return worse if self.side is Side.BUY else -worse

    @property
    def price(self) -> Decimal:
        """Average price of the fills: amount / gross quantity."""
        return self.amount / self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a live book may count on of the account it belongs to: quote that it holds and that its orders in flight may take.

    `account` is None where it was never written down; `lent` is how much of the coin that fees are taken in the account has
    lent it for its fees.
    """

    number: int
    account: AccountId | None
    quote: str
    cash: Decimal = ZERO
    in_flight: Decimal = ZERO
    lent: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The whole state of one book: portfolio in quote; net deposits in EUR (None before the first one), units, drawdown."""

    portfolio: Portfolio = field(default_factory=Portfolio)
    net_deposits: Decimal | None = None
    units: Units = field(default_factory=Units)
    drawdown: Drawdown = field(default_factory=Drawdown)


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal kept as plain text, to the last digit."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else f"{value:f}"

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class TimeText(TypeDecorator[datetime]):
    """A time kept as ISO 8601 text in UTC, so that text order is time order."""

    impl = String(40)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


METADATA = MetaData()

books = Table(
    "books",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("cash", DecimalText, nullable=False),
    Column("paid_in", DecimalText, nullable=False),
    Column("realised", DecimalText, nullable=False),
    Column("fees", DecimalText, nullable=False),
    Column("net_deposits", DecimalText),
    Column("units", DecimalText, nullable=False),
    Column("unit_price", DecimalText, nullable=False),
    Column("peak", DecimalText, nullable=False),
    Column("deepest", DecimalText, nullable=False),
)

# The account that a live book belongs to: `key` is a hash.
accounts = Table(
    "accounts",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("host", Text, nullable=False),
    Column("uid", Text),
    Column("key", Text, nullable=False),
    Column("quote", String(32), nullable=False),
    Column("begun_at", TimeText, nullable=False),
)

positions = Table(
    "positions",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("coin", String(32), primary_key=True),
    Column("quantity", DecimalText, nullable=False),
    Column("cost", DecimalText, nullable=False),
)

signals = Table(
    "signals",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("book", Integer, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("version", Integer),
    Column("seen_at", TimeText, nullable=False),
    Column("created_at", TimeText),
    Column("confidence", DecimalText),
    Column("reasoning", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("asked_at", TimeText),
    Column("wanted", Text),
    Column("result", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("left_out", Text, nullable=False),
    UniqueConstraint("mode", "book", "signal_id"),
    Index("signals_by_id", "signal_id"),
    Index("signals_by_time", "mode", "book", "seen_at"),
    Index("signals_by_result", "mode", "book", "result"),
    sqlite_autoincrement=True,
)

# When a signal that is not written down yet was first seen, whichever book is in use.
sights = Table(
    "sights",
    METADATA,
    Column("signal_id", Text, primary_key=True),
    Column("seen_at", TimeText, nullable=False),
)

orders = Table(
    "orders",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("book", Integer, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("coin", String(32), nullable=False),
    Column("symbol", String(48), nullable=False),
    Column("side", String(4), nullable=False),
    Column("leg", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("client_order_id", String(36), nullable=False),
    Column("quantity", DecimalText, nullable=False),
    Column("price", DecimalText),
    Column("limit_price", DecimalText),
    Column("quote_amount", DecimalText),
    Column("state", String(10), nullable=False),
    Column("created_at", TimeText, nullable=False),
    Column("sent_at", TimeText),
    Column("order_id", Integer),
    Column("executed_quantity", DecimalText, nullable=False),
    Column("executed_amount", DecimalText, nullable=False),
    Column("executed_at", TimeText),
    Column("reason", Text, nullable=False),
    UniqueConstraint("mode", "book", "client_order_id"),
    Index("orders_by_signal", "mode", "book", "signal_id"),
    Index("orders_by_symbol", "mode", "book", "symbol", "order_id"),
    Index("orders_by_time", "mode", "book", "executed_at"),
    Index("orders_by_state", "mode", "book", "state"),
    sqlite_autoincrement=True,
)

fills = Table(
    "fills",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("book", Integer, nullable=False),
    Column("order_seq", Integer, ForeignKey("orders.seq"), nullable=False, index=True),
    Column("symbol", String(48), nullable=False),
    Column("trade_id", Integer, nullable=False),
    Column("price", DecimalText, nullable=False),
    Column("quantity", DecimalText, nullable=False),
    Column("amount", DecimalText, nullable=False),
    Column("fee", DecimalText, nullable=False),
    Column("fee_asset", String(32), nullable=False),
    Column("fee_price", DecimalText, nullable=False),
    Column("time", TimeText, nullable=False),
    UniqueConstraint("mode", "book", "symbol", "trade_id"),
    sqlite_autoincrement=True,
)

cash_flows = Table(
    "cash_flows",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("book", Integer, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("amount", DecimalText, nullable=False),
    Column("amount_quote", DecimalText, nullable=False),
    Column("time", TimeText, nullable=False),
    Column("note", Text, nullable=False),
    Column("value_before", DecimalText),
    Column("coin", String(32)),
    Column("quantity", DecimalText),
    Column("after_fill", Integer),
    Index("cash_flows_by_time", "mode", "book", "time"),
    sqlite_autoincrement=True,
)

closes = Table(
    "closes",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("value", DecimalText, nullable=False),
    Column("value_quote", DecimalText, nullable=False),
    Column("net_deposits", DecimalText, nullable=False),
    Column("units", DecimalText, nullable=False),
    Column("unit_price", DecimalText, nullable=False),
    Column("peak", DecimalText, nullable=False),
    Column("deepest", DecimalText, nullable=False),
    Column("prices", Text),
)

facts = Table(
    "facts",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
