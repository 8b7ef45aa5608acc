"""Positions, average cost, valuation, profit and loss: pure arithmetic of one book.

Everything is in the quote asset. At any time `cash + Σ cost = paid_in + realised`, to the last digit, from which follows
realised + unrealised = value − net deposits.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import NamedTuple

from .decimals import EXACT, ZERO
from .exchanges.base import Fill, Side

CASH_DIGITS = Decimal("1e-8")
COST_DIGITS = Decimal("1e-18")


class BookError(Exception):
    """A booking that cannot be true, such as a sale of more than is held."""


@dataclass(frozen=True, slots=True)
class Position:
    """Quantity of a coin (after fees taken in it) and what it cost in quote, fees included."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """Average cost in quote per coin, fees included; None without a position."""
        return self.cost / self.quantity if self.quantity else None

    def cost_of(self, quantity: Decimal) -> Decimal:
        """Part of the cost that leaves with a quantity; all of it with the last coin (average cost method)."""
        if quantity >= self.quantity:
            return self.cost
        return (self.cost * quantity / self.quantity).quantize(COST_DIGITS, context=EXACT)


class Half(NamedTuple):
    """A trade of a coin against a book's quote asset."""

    coin: str
    side: Side
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """A complete valuation in quote: nothing in it is unknown."""

    total: Decimal
    cash: Decimal
    values: Mapping[str, Decimal]

    @property
    def positions(self) -> Decimal:
        """Value of all positions."""
        return self.total - self.cash

    def weight(self, coin: str) -> Decimal:
        """Share of a coin in the total, 0 where the total is 0."""
        return self.values.get(coin, ZERO) / self.total if self.total else ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """One book: cash, positions by coin, what was paid in, profit taken, fees (all in quote)."""

    cash: Decimal = ZERO
    paid_in: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    positions: Mapping[str, Position] = field(default_factory=dict[str, Position])

    def position(self, coin: str) -> Position:
        """Position of a coin, empty where none is held."""
        return self.positions.get(coin, Position())

    def quantity(self, coin: str) -> Decimal:
        """Quantity held of a coin."""
        return self.position(coin).quantity

    def with_flow(self, amount: Decimal) -> Portfolio:
        """Book money paid in (positive) or taken out (negative), in quote. Raises BookError over the cash."""
        with localcontext(EXACT):
            if self.cash + amount < 0:
                raise BookError(f"the book holds {self.cash}, less than {-amount}")
            return replace(self, cash=self.cash + amount, paid_in=self.paid_in + amount)

    def with_deposit(self, coin: str, quantity: Decimal, value: Decimal) -> Portfolio:
        """Book coins that came, worth `value` in quote: as if that had been paid in and they were bought for it."""
        with localcontext(EXACT):
            book = _Draft(self)
            book.add(coin, quantity, value)
            return replace(self, paid_in=self.paid_in + value, positions=book.positions)

    def with_withdrawal(self, coin: str, quantity: Decimal, value: Decimal) -> Portfolio:
        """Book coins that were taken out, worth `value` in quote: as if sold for that, and the money taken out.

        Raises BookError over the quantity held.
        """
        with localcontext(EXACT):
            book = _Draft(self)
            cost = book.take(coin, quantity)
            return replace(
                self,
                paid_in=self.paid_in - value,
                realised=self.realised + value - cost,
                positions=book.positions,
            )

    def with_carried(self, coin: str, quantity: Decimal, value: Decimal) -> Portfolio:
        """Book coins that the book before held, at what they are worth in quote: as if bought for that."""
        with localcontext(EXACT):
            book = _Draft(self)
            book.add(coin, quantity, value)
            return replace(self, cash=self.cash - value, positions=book.positions)

    def with_fill(
        self, fill: Fill, side: Side, coin: str, quote: str, fee_price: Decimal, lendable: Decimal = ZERO
    ) -> Portfolio:
        """Book one fill. `fee_price` is the price in quote of one unit of the fee's asset.

        A fee in the coin reduces its quantity, one in quote the cash, one in another coin that the book holds that
        position at its average cost; what the book does not hold of it was lent by the owner and is paid back in cash.
        Of a coin that fees were taken in up to `lendable` more than held may be sold: so much of them was lent after all.
        Raises BookError where more is sold.
        """
        with localcontext(EXACT):
            book = _Draft(self)
            short = fill.quantity - self.quantity(coin)
            if side is Side.SELL and ZERO < short <= lendable:
                book.borrow(coin, short, fill.price)
            fee_cost = book.pay_fee(fill, coin, quote, side, fee_price)
            if side is Side.BUY:
                book.add(coin, fill.quantity, fill.amount + fee_cost)
                book.cash -= fill.amount
                if fill.fee_asset == coin:
                    book.reduce(coin, fill.fee)
            else:
                cost = book.take(coin, fill.quantity)
                book.cash += fill.amount
                book.realised += fill.amount - cost - fee_cost
            return replace(
                self,
                cash=book.cash,
                realised=book.realised,
                fees=self.fees + (fill.fee * fee_price).quantize(COST_DIGITS),
                positions=book.positions,
            )

    def value(self, prices: Mapping[str, Decimal]) -> Valuation | None:
        """Value at prices by coin; None as soon as one price of a held coin is unknown."""
        with localcontext(EXACT):
            values: dict[str, Decimal] = {}
            for coin, position in self.positions.items():
                price = prices.get(coin)
                if not price:
                    return None
                values[coin] = position.quantity * price
            return Valuation(total=self.cash + sum(values.values(), ZERO), cash=self.cash, values=values)

    def without(self, coins: Collection[str]) -> Portfolio:
        """The book as if it did not hold some coins."""
        kept = {coin: position for coin, position in self.positions.items() if coin not in coins}
        return replace(self, positions=kept)

    def less(self, spoken_for: Mapping[str, Decimal], quote: str) -> Portfolio:
        """The book without some of its cash and coins."""
        left = {coin: held.quantity - spoken_for.get(coin, ZERO) for coin, held in self.positions.items()}
        return self.limited({**left, quote: self.cash - spoken_for.get(quote, ZERO)}, quote)

    def limited(self, free: Mapping[str, Decimal], quote: str) -> Portfolio:
        """The book as far as the account can cover it: never more cash or coins than are free there."""
        with localcontext(EXACT):
            positions = {
                coin: Position(quantity, position.cost_of(quantity))
                for coin, position in self.positions.items()
                if (quantity := min(position.quantity, free.get(coin, ZERO))) > 0
            }
        return replace(self, cash=min(self.cash, free.get(quote, ZERO)), positions=positions)


def halves(fill: Fill, side: Side, base: str, against: str, quote: str, value: Decimal) -> tuple[Half, ...]:
    """What a fill of a pair is in a book with some quote asset: a trade of a coin against that.

    A cross fill is a sale and a purchase at one value (quote), the fee with the latter; of a pair of which the book's quote
    asset is the base, the other asset is the coin.
    """
    if against == quote:
        return (Half(base, side, fill),)
    with localcontext(EXACT):
        if base == quote:
            inverse = replace(fill, quantity=fill.amount, amount=fill.quantity, price=fill.quantity / fill.amount)
            return (Half(against, Side.SELL if side is Side.BUY else Side.BUY, inverse),)
        coins = {base: fill.quantity, against: fill.amount}
        sold, bought = (base, against) if side is Side.SELL else (against, base)
        trades = {
            coin: replace(fill, quantity=coins[coin], amount=value, price=value / coins[coin])
            for coin in (sold, bought)
        }
    return (
        Half(sold, Side.SELL, replace(trades[sold], fee=ZERO, fee_asset=quote)),
        Half(bought, Side.BUY, trades[bought]),
    )


class _Draft:
    """Working copy of a book while one fill is booked."""

    def __init__(self, portfolio: Portfolio) -> None:
        self.cash = portfolio.cash
        self.realised = portfolio.realised
        self.positions = dict(portfolio.positions)

    def add(self, coin: str, quantity: Decimal, cost: Decimal) -> None:
        held = self.positions.get(coin, Position())
        self.positions[coin] = Position(held.quantity + quantity, held.cost + cost)

    def borrow(self, coin: str, quantity: Decimal, price: Decimal) -> None:
        """Have back what paid fees and was not known to be lent; the owner is paid for it in cash."""
        cost = (quantity * price).quantize(CASH_DIGITS)
        self.cash -= cost
        self.add(coin, quantity, cost)

    def reduce(self, coin: str, quantity: Decimal) -> None:
        """Take a fee out of the position it was paid from: fewer coins for the same cost."""
        held = self.positions[coin]
        if quantity > held.quantity:
            raise BookError(f"a fee of {quantity} {coin} is more than the book holds")
        self.positions[coin] = Position(held.quantity - quantity, held.cost)

    def take(self, coin: str, quantity: Decimal) -> Decimal:
        """Take coins out at average cost; returns their cost."""
        held = self.positions.get(coin, Position())
        if quantity > held.quantity:
            raise BookError(f"the book holds {held.quantity} {coin}, less than {quantity}")
        cost = held.cost_of(quantity)
        if quantity == held.quantity:
            self.positions.pop(coin, None)
        else:
            self.positions[coin] = Position(held.quantity - quantity, held.cost - cost)
        return cost

    def pay_fee(self, fill: Fill, coin: str, quote: str, side: Side, fee_price: Decimal) -> Decimal:
        """Pay a fee from where it was taken; returns its cost in quote, 0 where the bought coin bears it."""
        if fill.fee_asset == coin and side is Side.BUY:
            return ZERO
        if fill.fee_asset == quote:
            self.cash -= fill.fee
            return fill.fee
        held = self.positions.get(fill.fee_asset, Position()).quantity
        # Coins of the sale itself are spoken for: their fee comes out of what is left.
        own = min(fill.fee, held - (fill.quantity if fill.fee_asset == coin else ZERO))
        cost = self.take(fill.fee_asset, own) if own > 0 else ZERO
        lent = ((fill.fee - max(own, ZERO)) * fee_price).quantize(CASH_DIGITS)
        self.cash -= lent
        return cost + lent
