"""Tables of the ledger; amounts are decimal text, times ISO 8601 text in UTC."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, override

from sqlalchemy import (
    Boolean,
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

from ..exchanges.base import OrderType
from ..wants import Wants, from_text, to_text


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


class WantsText(TypeDecorator[Wants]):
    """What a signal wants, as JSON."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: Wants | None, dialect: Dialect) -> str | None:
        return None if value is None else to_text(value)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Wants | None:
        return None if value is None else from_text(value)


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
    Column("source", String(32), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("wants", WantsText),
    Column("seen_at", TimeText, nullable=False),
    Column("created_at", TimeText),
    Column("confidence", DecimalText),
    Column("reasoning", Text, nullable=False),
    Column("asked_at", TimeText),
    Column("result", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("left_out", Text, nullable=False),
    UniqueConstraint("mode", "book", "source", "signal_id"),
    Index("signals_by_id", "source", "signal_id"),
    Index("signals_by_source", "source"),
    Index("signals_by_time", "mode", "book", "seen_at"),
    Index("signals_by_result", "mode", "book", "result"),
    sqlite_autoincrement=True,
)

# When a signal that is not written down yet was first seen, whichever book is in use.
sights = Table(
    "sights",
    METADATA,
    Column("source", String(32), primary_key=True),
    Column("signal_id", Text, primary_key=True),
    Column("seen_at", TimeText, nullable=False),
)

orders = Table(
    "orders",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("book", Integer, nullable=False),
    Column("exchange", String(16), nullable=False),
    Column("source", String(32), nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("coin", String(32), nullable=False),
    Column("symbol", String(48), nullable=False),
    Column("side", String(4), nullable=False),
    Column("leg", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("client_order_id", String(36), nullable=False),
    Column("sent_as", String(36), nullable=False, server_default=""),
    Column("quantity", DecimalText, nullable=False),
    Column("price", DecimalText),
    Column("limit_price", DecimalText),
    Column("quote_amount", DecimalText),
    Column("type", String(10), nullable=False, server_default=OrderType.AT_ONCE),
    Column("stop_price", DecimalText),
    Column("pair", String(36), nullable=False, server_default=""),
    Column("cancel_at", TimeText),
    Column("sold_price", DecimalText),
    Column("state", String(10), nullable=False),
    Column("created_at", TimeText, nullable=False),
    Column("sent_at", TimeText),
    Column("order_id", Text),
    Column("executed_quantity", DecimalText, nullable=False),
    Column("executed_amount", DecimalText, nullable=False),
    Column("executed_at", TimeText),
    Column("reason", Text, nullable=False),
    UniqueConstraint("mode", "book", "client_order_id"),
    Index("orders_by_signal", "mode", "book", "source", "signal_id"),
    Index("orders_by_symbol", "mode", "book", "symbol"),
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
    Column("base", String(32), nullable=False),
    Column("quote", String(32), nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("price", DecimalText, nullable=False),
    Column("quantity", DecimalText, nullable=False),
    Column("amount", DecimalText, nullable=False),
    Column("value", DecimalText, nullable=False),
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
    Column("explanation", String(12)),
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
    Column("valued_at", TimeText),
)


facts = Table(
    "facts",
    METADATA,
    Column("mode", String(8), primary_key=True),
    Column("book", Integer, primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)


# What other tools wrote down before: part of no book.
past = Table(
    "past",
    METADATA,
    Column("tool", String(32), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("time", TimeText, nullable=False),
    Column("currency", String(32), nullable=False),
    Column("amount", DecimalText),
    Column("coin", String(32), nullable=False),
    Column("side", String(4)),
    Column("quantity", DecimalText),
    Column("price", DecimalText),
    Column("fee", DecimalText),
    Column("simulated", Boolean, nullable=False),
    Column("reference", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("past_by_time", "time"),
)


# Alerts from outside and what became of them, whichever book is in use.
alerts = Table(
    "alerts",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("mode", String(8), nullable=False),
    Column("source", String(32), nullable=False),
    Column("received_at", TimeText, nullable=False),
    Column("told_at", TimeText),
    Column("digest", String(64), nullable=False),
    Column("format", String(16), nullable=False),
    Column("coin", String(32), nullable=False),
    Column("wants", Text),
    Column("is_test", Boolean, nullable=False),
    Column("state", String(10), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("signal_id", Text, nullable=False),
    Column("repeats", Integer, nullable=False),
    Index("alerts_by_digest", "mode", "source", "digest"),
    Index("alerts_by_state", "mode", "state"),
    Index("alerts_by_signal", "mode", "source", "signal_id"),
    sqlite_autoincrement=True,
)
