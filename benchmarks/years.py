"""A ledger with as many trades as one wants, written in one go."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
import sqlite3

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.portfolio import Portfolio, Position

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
ORDERS_A_SIGNAL = 5
TRADES_A_DAY = 250
BUDGET = Decimal(1000)
CASH = Decimal(400)
QUANTITY = {"BTC": "0.001", "ETH": "0.03", "BNB": "0.1", "SOL": "0.7", "XRP": "45"}
PRICE = {"BTC": "91250", "ETH": "3118.4", "BNB": "896.3", "SOL": "141.62", "XRP": "2.2148"}


def fill_ledger(path: Path, trades: int) -> None:
    """Write a dry run's ledger with `trades` orders of one fill each, their signals, and a close for each day."""
    ledger = Ledger(path, Mode.DRY_RUN, "USDC")
    ledger.open()
    now = datetime.now(UTC)
    days = max(1, trades // TRADES_A_DAY)
    begun = now - timedelta(days=days + 2)
    flow = CashFlow(kind=FlowKind.INITIAL, amount=BUDGET, amount_quote=BUDGET, time=begun, value_before=Decimal(0))
    cost = (BUDGET - CASH) / len(COINS)
    held = {coin: Position(Decimal(QUANTITY[coin]), cost) for coin in COINS}
    book = Book(
        portfolio=Portfolio(cash=CASH, paid_in=BUDGET, positions=held),
        net_deposits=BUDGET,
        units=Units(BUDGET, Decimal(1)),
        drawdown=Drawdown(),
    )
    ledger.add_flow(flow, book)
    ledger.checkpoint()
    ledger.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for table, rows in (
        ("signals", _signals(now, trades)),
        ("orders", _orders(now, trades)),
        ("fills", _fills(now, trades)),
        ("closes", _closes(now.date(), min(days, 3650))),
    ):
        columns, first = next(rows)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # names of our own
        connection.execute(statement, first)
        connection.executemany(statement, (row for _, row in rows))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


type Rows = Iterator[tuple[tuple[str, ...], tuple[object, ...]]]


def _time(now: datetime, number: int, trades: int) -> str:
    """When a trade was, the newest a few hours ago."""
    moment = now - timedelta(days=1, seconds=(trades - number) * 86400 / TRADES_A_DAY)
    return moment.isoformat(timespec="microseconds")


def _signals(now: datetime, trades: int) -> Rows:
    columns = (
        "mode",
        "book",
        "source",
        "kind",
        "signal_id",
        "origin",
        "wants",
        "seen_at",
        "reasoning",
        "result",
        "reason",
        "left_out",
    )
    for number in range(0, trades, ORDERS_A_SIGNAL):
        name = f"{_time(now, number, trades)}-{number}"
        yield (
            columns,
            (
                *("dry_run", 1, "leader", "signal", name, name, '{"allocation": {}}'),
                *(_time(now, number, trades), "Momentum.", "executed", "", "[]"),
            ),
        )


def _orders(now: datetime, trades: int) -> Rows:
    columns = (
        *(
            "mode",
            "book",
            "exchange",
            "source",
            "signal_id",
            "coin",
            "symbol",
            "side",
            "leg",
            "attempt",
            "client_order_id",
            "quantity",
            "price",
            "state",
        ),
        *("created_at", "sent_at", "order_id", "executed_quantity", "executed_amount", "executed_at", "reason"),
    )
    for number in range(trades):
        coin = COINS[number % len(COINS)]
        first = number - number % ORDERS_A_SIGNAL
        moment = _time(now, number, trades)
        yield (
            columns,
            (
                *(
                    "dry_run",
                    1,
                    "binance",
                    "leader",
                    f"{_time(now, first, trades)}-{first}",
                    coin,
                    f"{coin}USDC",
                    "SELL" if number // len(COINS) % 2 else "BUY",
                ),
                *(
                    0,
                    1,
                    f"cv-abcdef-{number:018d}-1",
                    QUANTITY[coin],
                    PRICE[coin],
                    "booked",
                    moment,
                    moment,
                    number + 1,
                ),
                *(QUANTITY[coin], "12.34567800", moment, ""),
            ),
        )


def _fills(now: datetime, trades: int) -> Rows:
    columns = (
        *(
            "mode",
            "book",
            "order_seq",
            "symbol",
            "base",
            "quote",
            "trade_id",
            "price",
            "quantity",
            "amount",
            "value",
            "fee",
            "fee_asset",
            "fee_price",
        ),
        "time",
    )
    for number in range(trades):
        coin = COINS[number % len(COINS)]
        yield (
            columns,
            (
                *("dry_run", 1, number + 1, f"{coin}USDC", coin, "USDC", number + 1, PRICE[coin], QUANTITY[coin]),
                *("12.34567800", "12.34567800", "0.01234567", "USDC", "1", _time(now, number, trades)),
            ),
        )


def _closes(today: date, days: int) -> Rows:
    columns = (
        *("mode", "book", "day", "value", "value_quote", "net_deposits", "units", "unit_price", "peak", "deepest"),
    )
    for number in range(1, days + 1):
        day = (today - timedelta(days=number)).isoformat()
        yield columns, ("dry_run", 1, day, "1000.12", "1161.40", "1000", "1000", "1.00012", "1.01", "1.5")
