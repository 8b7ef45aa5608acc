"""What must hold of a follower's books: in themselves, and by the exchange's own account."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, localcontext

from custom_components.calvalot.trading.decimals import EXACT
from custom_components.calvalot.trading.exchanges.base import Fill, Side
from custom_components.calvalot.trading.ledger.records import OrderState
from custom_components.calvalot.trading.portfolio import CASH_DIGITS, Half, Portfolio, halves
from harness.portfolio import QUOTE
from simulators.exchange.account import Order, Trade

from .books import Books, Row, as_amount

FEE_COIN = "BNB"
ZERO = Decimal(0)
# Fees that the owner's BNB paid may cost a little more cash than a purchase left.
OVERDRAFT = Decimal(-1)
PLACED = {OrderState.EXECUTED, OrderState.BOOKED, OrderState.ACCEPTED, OrderState.PARTLY_FILLED}

type Amounts = dict[str, Decimal]


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

    def __add__(self, other: Findings) -> Findings:
        """What several found."""
        return Findings(
            self.duplicate_fills + other.duplicate_fills,
            self.lost_fills + other.lost_fills,
            self.unexplained + other.unexplained,
            (*self.complaints, *other.complaints),
        )


def inspect(books: Books, account: Account) -> Findings:
    """Compare a settled ledger with the account."""
    complaints = [*_orders(books, account), *_attempts(account), *_fill_values(books, account)]
    booked = Counter((fill["symbol"], fill["trade_id"]) for fill in books.fills)
    traded = {(trade.symbol, str(trade.id)) for order in account.own() for trade in order.trades}
    lost = traded - booked.keys()
    twice = booked.total() - len(booked) + len(booked.keys() - traded)
    differences = {asset: amount for asset, amount in _differences(books, account).items() if amount}
    complaints += [f"lost fill {fill}" for fill in sorted(lost)]
    complaints += [f"fill {fill} that was never traded" for fill in sorted(map(str, booked.keys() - traded))]
    complaints += [f"account − owner − ledger: {amount:f} {asset}" for asset, amount in differences.items()]
    complaints += [f"the account has {amount:f} {asset} less than the ledger" for asset, amount in _gap(books, account)]
    unexplained = _unexplained(books)
    total = abs(unexplained) + sum((abs(amount) for amount in differences.values()), ZERO)
    return Findings(twice, len(lost), total, (*complaints, *_book(books)))


def inspect_paper(books: Books) -> Findings:
    """Look at a settled ledger that has no account but itself."""
    booked = Counter((fill["symbol"], fill["trade_id"]) for fill in books.fills)
    executed = [row for row in books.orders if as_amount(row["executed_quantity"])]
    filled: defaultdict[str | int | None, Decimal] = defaultdict(Decimal)
    for fill in books.fills:
        filled[fill["client_order_id"]] += as_amount(fill["quantity"])
    complaints = [
        *(f"order {row['client_order_id']} is still {row['state']}" for row in _unsettled(books)),
        *_once(str(row["client_order_id"]) for row in executed),
    ]
    complaints += [
        f"the fills of order {row['client_order_id']} do not add up"
        for row in executed
        if filled[row["client_order_id"]] != as_amount(row["executed_quantity"])
    ]
    return Findings(booked.total() - len(booked), 0, abs(_unexplained(books)), (*complaints, *_book(books)))


def _orders(books: Books, account: Account) -> Iterator[str]:
    """Each order of the ledger against the exchange's, and the other way round."""
    known = {order.client_order_id: order for order in account.own()}
    for row in books.orders:
        name = row["client_order_id"]
        order = known.pop(str(name), None)
        if OrderState(str(row["state"])) in PLACED:
            if order is None:
                yield f"order {name} is booked and was never placed"
            elif (order.executed, order.executed_quote, str(order.id), order.symbol, order.side, order.quantity) != (
                as_amount(row["executed_quantity"]),
                as_amount(row["executed_amount"]),
                row["order_id"],
                row["symbol"],
                row["side"],
                as_amount(row["quantity"]),
            ):
                yield f"order {name} is booked otherwise than it was executed"
            elif order.open is not OrderState(str(row["state"])).rests:
                yield f"order {name} is {row['state']} and {order.status} on the exchange"
        elif order is not None:
            yield f"order {name} is {row['state']} and was placed"
    yield from (f"order {row['client_order_id']} is still {row['state']}" for row in _unsettled(books))
    yield from (f"order {name} is not in the ledger" for name in known)


def _attempts(account: Account) -> Iterator[str]:
    """No client order id twice; of each leg at most one order that executed anything."""
    ids = Counter(order.client_order_id for order in account.own())
    yield from (f"{count} orders at the exchange are named {name}" for name, count in ids.items() if count > 1)
    yield from (f"order {name} was sent {count} times" for name, count in Counter(account.sent).items() if count > 1)
    yield from _once(order.client_order_id for order in account.own() if order.executed)


def _once(executed: Iterable[str]) -> Iterator[str]:
    """Of each leg at most one order executed anything."""
    legs = Counter(name.rpartition("-")[0] for name in executed)
    yield from (f"leg {leg} was executed {count} times" for leg, count in legs.items() if count > 1)


def _fill_values(books: Books, account: Account) -> Iterator[str]:
    """Every booked fill has the exchange's own figures."""
    trades = {(trade.symbol, str(trade.id)): (order, trade) for order in account.own() for trade in order.trades}
    for row in books.fills:
        known = trades.get((str(row["symbol"]), str(row["trade_id"])))
        if known and _figures(*known) != (
            row["client_order_id"],
            *(as_amount(row[name]) for name in ("price", "quantity", "amount", "fee")),
            row["fee_asset"],
        ):
            yield f"fill {known[1].symbol} {known[1].id} is booked otherwise than it was traded"


def _figures(order: Order, trade: Trade) -> tuple[object, ...]:
    amounts = (trade.price, trade.quantity, trade.quote_quantity, trade.commission)
    return (order.client_order_id, *amounts, trade.commission_asset)


def _unsettled(books: Books) -> list[Row]:
    """Orders of which it is not known what becomes of them."""
    states = ((row, OrderState(str(row["state"]))) for row in books.orders)
    return [row for row, state in states if not state.settled and not (state.rests and row["cancel_at"] is None)]


def _unexplained(books: Books) -> Decimal:
    """Money of the book that nothing explains."""
    portfolio = books.book.portfolio
    with localcontext(EXACT):
        costs = sum((position.cost for position in portfolio.positions.values()), ZERO)
        return portfolio.cash + costs - portfolio.paid_in - portfolio.realised


def _gap(books: Books, account: Account) -> Iterator[tuple[str, Decimal]]:
    """What the account has less of than the ledger, by asset."""
    portfolio = books.book.portfolio
    held = {coin: position.quantity for coin, position in portfolio.positions.items()} | {QUOTE: portfolio.cash}
    for asset, quantity in held.items():
        if (missing := quantity - account.balances.get(asset, ZERO)) > 0:
            yield asset, missing


def _book(books: Books) -> Iterator[str]:
    """The book is what its flows and fills come to, and owes nobody anything."""
    portfolio = books.book.portfolio
    if portfolio.cash < OVERDRAFT:
        yield f"{-portfolio.cash:f} {QUOTE} of the owner's were spent"
    if unexplained := _unexplained(books):
        yield f"cash + Σ cost − paid in − realised = {unexplained:f}"
    for coin, position in portfolio.positions.items():
        if position.quantity <= 0:
            yield f"the book holds {position.quantity:f} {coin}"
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
    """For each fill the BNB that the owner lent for its fee or an earlier one, and the cash that this cost the book."""
    held = Portfolio()
    for row in books.fills:
        for coin, side, fill in _halves(row):
            after = held.with_fill(
                fill, side, coin, QUOTE, as_amount(row["fee_price"]), fill.quantity if coin == FEE_COIN else ZERO
            )
            sold = fill.quantity if coin == FEE_COIN and side is Side.SELL else ZERO
            if (short := sold - held.quantity(FEE_COIN)) > 0:
                yield short, (short * fill.price).quantize(CASH_DIGITS)
            if fill.fee_asset == FEE_COIN and not (coin == FEE_COIN and side is Side.BUY):
                paid = held.quantity(FEE_COIN) + max(short, ZERO) - after.quantity(FEE_COIN) - sold
                coins = fill.fee - paid
                yield coins, (coins * as_amount(row["fee_price"])).quantize(CASH_DIGITS)
            held = after


def _halves(row: Row) -> tuple[Half, ...]:
    side, base, against = Side(str(row["side"])), str(row["base"]), str(row["quote"])
    return halves(_fill(row), side, base, against, QUOTE, as_amount(row["value"]))


def _fill(row: Row) -> Fill:
    return Fill(
        trade_id=str(row["trade_id"]),
        order_id=str(row["order_id"] or ""),
        price=as_amount(row["price"]),
        quantity=as_amount(row["quantity"]),
        amount=as_amount(row["amount"]),
        fee=as_amount(row["fee"]),
        fee_asset=str(row["fee_asset"]),
        time=datetime.fromisoformat(str(row["time"])),
    )
