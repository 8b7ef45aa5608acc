"""What a backtest holds and has traded: the ledger's bookkeeping in memory, without its file."""

from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from ..decimals import EXACT, ONE, ZERO
from ..exchanges.base import OrderReport, OrderRequest, Side
from ..portfolio import Portfolio


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One order that was filled: time (Unix seconds), quantity in the coin, price, amount and fee in quote, and why.

    `result` is what a sale brought beyond what was sold at average cost, fees included; None of a purchase.
    """

    time: int
    coin: str
    side: Side
    quantity: Decimal
    price: Decimal
    amount: Decimal
    fee: Decimal
    reason: str
    result: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class Trade:
    """A coin from its first purchase to the sale that leaves too little to be sold; times are Unix seconds, amounts in quote.

    `result` is what its sales brought beyond average cost, fees included. `closed` is None while it is open.
    """

    coin: str
    opened: int
    reason: str
    closed: int | None = None
    left_for: str = ""
    bought: Decimal = ZERO
    quantity: Decimal = ZERO
    sold: Decimal = ZERO
    sold_quantity: Decimal = ZERO
    fees: Decimal = ZERO
    result: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """Average price of its purchases; None where nothing but a rest of an earlier trade was sold."""
        return self.bought / self.quantity if self.quantity else None

    @property
    def exit_price(self) -> Decimal | None:
        """Average price of its sales; None before the first."""
        return self.sold / self.sold_quantity if self.sold_quantity else None

    @property
    def share(self) -> float:
        """Its result as a fraction of what it cost."""
        return float(self.result / self.bought) if self.bought else 0.0


@dataclass(slots=True)
class Book:
    """One backtest's money; `portfolio` is in quote, `fills` and `trades` (closed ones) oldest first."""

    portfolio: Portfolio
    quote: str
    fills: list[Fill] = field(default_factory=list[Fill])
    trades: list[Trade] = field(default_factory=list[Trade])
    open: dict[str, Trade] = field(default_factory=dict[str, Trade])
    last_fee_asset: str | None = None
    bought: Decimal = ZERO
    sold: Decimal = ZERO

    def take(self, order: OrderRequest, coin: str, report: OrderReport, time: int, reason: str, least: Decimal) -> None:
        """Book what an order came to; what is then held of less than `least` (quote) can be sold no more."""
        for fill in report.fills or ():
            before = self.portfolio
            with localcontext(EXACT):
                price = report.executed_amount / report.executed_quantity
                fee_price = ONE if fill.fee_asset == self.quote else price
                self.portfolio = after = before.with_fill(fill, order.side, coin, self.quote, fee_price)
                sale = order.side is Side.SELL
                booked = Fill(
                    time=time,
                    coin=coin,
                    side=order.side,
                    quantity=fill.quantity,
                    price=fill.price,
                    amount=fill.amount,
                    fee=after.fees - before.fees,
                    reason=reason,
                    result=after.realised - before.realised if sale else None,
                )
                self.fills.append(booked)
                self.last_fee_asset = fill.fee_asset
                self._follow(booked, held=after.quantity(coin) * fill.price, least=least)

    def _follow(self, fill: Fill, *, held: Decimal, least: Decimal) -> None:
        trade = self.open.get(fill.coin)
        if trade is None:
            trade = self.open[fill.coin] = Trade(coin=fill.coin, opened=fill.time, reason=fill.reason)
        trade.fees += fill.fee
        if fill.side is Side.BUY:
            trade.bought += fill.amount
            trade.quantity += fill.quantity
            self.bought += fill.amount
            return
        self.sold += fill.amount
        trade.sold += fill.amount
        trade.sold_quantity += fill.quantity
        trade.result += fill.result or ZERO
        if not held or held < least:
            trade.closed, trade.left_for = fill.time, fill.reason
            self.trades.append(self.open.pop(fill.coin))
