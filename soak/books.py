"""The follower's books as they lie on disk, and what they have to be by the exchange's own account."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, localcontext
from pathlib import Path
import sqlite3
import tempfile

from custom_components.calvalot.follower.exchange import Fill, Mode, Side
from custom_components.calvalot.follower.ledger import Ledger
from custom_components.calvalot.follower.portfolio import CASH_DIGITS, EXACT, Portfolio
from custom_components.calvalot.follower.schema import Book, OrderState
from simulators.exchange.account import Order, Trade

QUOTE = "USDC"
FEE_COIN = "BNB"
ZERO = Decimal(0)
# Fees that the owner's BNB paid may cost a little more cash than a purchase left.
OVERDRAFT = Decimal(-1)
ORDERS = "SELECT * FROM orders ORDER BY seq"
FILLS = """
SELECT fills.*, orders.side, orders.coin, orders.order_id, orders.client_order_id
FROM fills JOIN orders ON orders.seq = fills.order_seq ORDER BY fills.seq
"""
PLACED = {OrderState.EXECUTED, OrderState.BOOKED}

type Row = Mapping[str, str | int | None]
type Amounts = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger as it was read: its rows, its book, and the book computed again from them."""

    orders: Sequence[Row]
    fills: Sequence[Row]
    book: Book
    replayed: Portfolio


@dataclass(frozen=True, slots=True)
class Account:
    """The exchange's view: what the owner brought, every order, whose they are, what is there now."""

    owner: Mapping[str, Decimal]
    orders: Sequence[Order]
    tag: str
    balances: Mapping[str, Decimal]
    sent: Sequence[str]

    def own(self) -> list[Order]:
        """The follower's orders."""
        return [order for order in self.orders if order.client_order_id.startswith(self.tag)]

    def foreign(self) -> list[Order]:
        """Everybody else's."""
        return [order for order in self.orders if not order.client_order_id.startswith(self.tag)]


@dataclass(slots=True)
class Findings:
    """What an inspection found; all of it has to be nothing."""

    duplicate_fills: int = 0
    lost_fills: int = 0
    unexplained: Decimal = ZERO
    complaints: tuple[str, ...] = ()


def read(file: Path) -> Books:
    """Read a consistent copy of a ledger that may be in use."""
    with tempfile.TemporaryDirectory(prefix="calvalot-soak-") as folder:
        copy = Path(folder) / "ledger.db"
        with (
            closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.row_factory = sqlite3.Row
            orders = [dict(row) for row in target.execute(ORDERS)]
            fills = [dict(row) for row in target.execute(FILLS)]
        ledger = Ledger(copy, Mode.LIVE, QUOTE)
        ledger.open()
        try:
            return Books(orders, fills, ledger.book(), ledger.replay())
        finally:
            ledger.close()


def inspect(books: Books, account: Account) -> Findings:
    """Compare a settled ledger with the account."""
    complaints = [*_orders(books, account), *_attempts(account), *_fill_values(books, account), *_book(books)]
    booked = Counter((fill["symbol"], fill["trade_id"]) for fill in books.fills)
    traded = {(trade.symbol, trade.id) for order in account.own() for trade in order.trades}
    lost = traded - booked.keys()
    twice = booked.total() - len(booked) + len(booked.keys() - traded)
    differences = {asset: amount for asset, amount in _differences(books, account).items() if amount}
    complaints += [f"lost fill {fill}" for fill in sorted(lost)]
    complaints += [f"fill {fill} that was never traded" for fill in sorted(map(str, booked.keys() - traded))]
    complaints += [f"account − owner − ledger: {amount:f} {asset}" for asset, amount in differences.items()]
    portfolio = books.book.portfolio
    with localcontext(EXACT):
        costs = sum((position.cost for position in portfolio.positions.values()), ZERO)
        unexplained = portfolio.cash + costs - portfolio.paid_in - portfolio.realised
    if portfolio.cash < OVERDRAFT:
        complaints.append(f"{-portfolio.cash:f} {QUOTE} of the owner's were spent")
    if unexplained:
        complaints.append(f"cash + Σ cost − paid in − realised = {unexplained:f}")
    total = abs(unexplained) + sum((abs(amount) for amount in differences.values()), ZERO)
    return Findings(twice, len(lost), total, tuple(complaints))


def _orders(books: Books, account: Account) -> Iterator[str]:
    """Each order of the ledger against the exchange's, and the other way round."""
    known = {order.client_order_id: order for order in account.own()}
    for row in books.orders:
        name = row["client_order_id"]
        order = known.pop(str(name), None)
        if OrderState(str(row["state"])) in PLACED:
            if order is None:
                yield f"order {name} is booked and was never placed"
            elif (order.executed, order.executed_quote, order.id, order.symbol, order.side, order.quantity) != (
                _amount(row["executed_quantity"]),
                _amount(row["executed_amount"]),
                row["order_id"],
                row["symbol"],
                row["side"],
                _amount(row["quantity"]),
            ):
                yield f"order {name} is booked otherwise than it was executed"
        elif order is not None:
            yield f"order {name} is {row['state']} and was placed"
        if not OrderState(str(row["state"])).settled:
            yield f"order {name} is still {row['state']}"
    yield from (f"order {name} is not in the ledger" for name in known)


def _attempts(account: Account) -> Iterator[str]:
    """No client order id twice; of each leg at most one order that executed anything."""
    ids = Counter(order.client_order_id for order in account.own())
    yield from (f"{count} orders at the exchange are named {name}" for name, count in ids.items() if count > 1)
    yield from (f"order {name} was sent {count} times" for name, count in Counter(account.sent).items() if count > 1)
    legs = Counter(order.client_order_id.rpartition("-")[0] for order in account.own() if order.executed)
    yield from (f"leg {leg} was executed {count} times" for leg, count in legs.items() if count > 1)


def _fill_values(books: Books, account: Account) -> Iterator[str]:
    """Every booked fill has the exchange's own figures."""
    trades = {(trade.symbol, trade.id): (order, trade) for order in account.own() for trade in order.trades}
    for row in books.fills:
        known = trades.get((str(row["symbol"]), int(row["trade_id"] or 0)))
        if known and _figures(*known) != (
            row["client_order_id"],
            *(_amount(row[name]) for name in ("price", "quantity", "amount", "fee")),
            row["fee_asset"],
        ):
            yield f"fill {known[1].symbol} {known[1].id} is booked otherwise than it was traded"


def _figures(order: Order, trade: Trade) -> tuple[object, ...]:
    amounts = (trade.price, trade.quantity, trade.quote_quantity, trade.commission)
    return (order.client_order_id, *amounts, trade.commission_asset)


def _book(books: Books) -> Iterator[str]:
    """The book is what its flows and fills come to."""
    for field in fields(Portfolio):
        kept, again = getattr(books.book.portfolio, field.name), getattr(books.replayed, field.name)
        if kept != again:
            yield f"the book's {field.name} is {kept}, computed again {again}"


def _differences(books: Books, account: Account) -> Amounts:
    """Account less what is the owner's and what the ledger says, by asset; all zero where nothing is unexplained."""
    portfolio = books.book.portfolio
    left: defaultdict[str, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for asset, amount in account.balances.items():
            left[asset] += amount
        for asset, amount in account.owner.items():
            left[asset] -= amount
        for order in account.foreign():
            for asset, amount in _moved(order.side, order.symbol.removesuffix(QUOTE), order.trades):
                left[asset] -= amount
        left[QUOTE] -= portfolio.cash - portfolio.paid_in
        for coin, position in portfolio.positions.items():
            left[coin] -= position.quantity
        # What the owner's own BNB paid of the fees was paid back to him in cash.
        for coins, cash in _lent(books):
            left[FEE_COIN] += coins
            left[QUOTE] -= cash
    return dict(left)


def _moved(side: str, coin: str, trades: Iterable[Trade]) -> Iterator[tuple[str, Decimal]]:
    """What trades add to each asset."""
    sign = 1 if side == "BUY" else -1
    for trade in trades:
        yield coin, sign * trade.quantity
        yield QUOTE, -sign * trade.quote_quantity
        yield trade.commission_asset, -trade.commission


def _lent(books: Books) -> Iterator[tuple[Decimal, Decimal]]:
    """For each fill the BNB that the owner lent for its fee, and the cash that this cost the book."""
    held = Portfolio()
    for row in books.fills:
        side, coin = Side(str(row["side"])), str(row["coin"])
        fill = _fill(row)
        after = held.with_fill(fill, side, coin, QUOTE, _amount(row["fee_price"]))
        if fill.fee_asset == FEE_COIN and not (coin == FEE_COIN and side is Side.BUY):
            sold = fill.quantity if coin == FEE_COIN else ZERO
            paid = held.quantity(FEE_COIN) - after.quantity(FEE_COIN) - sold
            coins = fill.fee - paid
            yield coins, (coins * _amount(row["fee_price"])).quantize(CASH_DIGITS)
        held = after


def _fill(row: Row) -> Fill:
    return Fill(
        trade_id=int(row["trade_id"] or 0),
        order_id=int(row["order_id"] or 0),
        price=_amount(row["price"]),
        quantity=_amount(row["quantity"]),
        amount=_amount(row["amount"]),
        fee=_amount(row["fee"]),
        fee_asset=str(row["fee_asset"]),
        time=datetime.fromisoformat(str(row["time"])),
    )


def _amount(value: str | int | None) -> Decimal:
    return Decimal(str(value))
