"""Trades as Home Assistant tells them, and as they have to be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from harness.portfolio import Place
from harness.simulated import Simulator

SLIPPAGE = {"BTC": Decimal("0.0002"), "ETH": Decimal("0.0002")}
OTHER_SLIPPAGE = Decimal("0.0005")
EIGHT_DECIMALS = Decimal("0.00000001")

type Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trade:
    """One executed order: gross quantity, amount in quote before fees, fees by asset."""

    coin: str
    symbol: str
    side: str
    quantity: Decimal
    amount: Decimal
    fees: frozenset[tuple[str, Decimal]]

    @property
    def price(self) -> Decimal:
        """The average of the fills."""
        return self.amount / self.quantity

    def is_close_to(self, other: Trade) -> bool:
        """Whether only the rounding to eight decimals lies between the two."""
        fees, others = dict(self.fees), dict(other.fees)
        return (
            replace(self, amount=Decimal(0), fees=frozenset()) == replace(other, amount=Decimal(0), fees=frozenset())
            and abs(self.amount - other.amount) <= EIGHT_DECIMALS * (1 + self.quantity)
            and fees.keys() == others.keys()
            and all(abs(fees[asset] - others[asset]) <= EIGHT_DECIMALS for asset in fees)
        )


def told(answer: Json, place: Place) -> list[Trade]:
    """Read the answer of ``calvalot.get_trades``, oldest first."""
    return [
        Trade(
            trade["symbol"].removesuffix(place.quote),
            trade["symbol"],
            trade["side"],
            Decimal(trade["quantity"]),
            Decimal(trade["amount"]),
            frozenset((fee["asset"], Decimal(fee["amount"])) for fee in trade["fees"]),
        )
        for trade in reversed(answer["trades"])
    ]


def on_paper(trade: Trade, price: Decimal, place: Place) -> Trade:
    """Return what a trade of this quantity has to be at this price: slippage against us, and the fee."""
    slippage = SLIPPAGE.get(trade.coin, OTHER_SLIPPAGE)
    buy = trade.side == "BUY"
    amount = trade.quantity * price * (1 + slippage if buy else 1 - slippage)
    in_coin = buy and not place.fee_in_quote
    fee = (trade.coin, place.fee * trade.quantity) if in_coin else (place.quote, place.fee * amount)
    return replace(trade, amount=amount, fees=frozenset({fee}))


def on_account(exchange: Simulator, place: Place) -> list[Trade]:
    """Return what the exchange executed, its fills summed up by order; order ids are the symbol's own."""
    account = exchange.state()["accounts"][exchange.ready["api_key"]]
    fees: defaultdict[tuple[str, int], defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for fill in account["trades"]:
        fees[fill["symbol"], fill["orderId"]][fill["commissionAsset"]] += Decimal(fill["commission"])
    return [
        Trade(
            order["symbol"].removesuffix(place.quote),
            order["symbol"],
            order["side"],
            Decimal(order["executedQty"]),
            Decimal(order["cummulativeQuoteQty"]),
            frozenset(fees[order["symbol"], order["orderId"]].items()),
        )
        for order in account["orders"]
        if Decimal(order["executedQty"])
    ]


def changes(trades: Iterable[Trade], place: Place) -> dict[str, Decimal]:
    """Return what trades and their fees added to each asset, or took from it."""
    assets: defaultdict[str, Decimal] = defaultdict(Decimal)
    for trade in trades:
        sign = 1 if trade.side == "BUY" else -1
        assets[trade.coin] += sign * trade.quantity
        assets[place.quote] -= sign * trade.amount
        for asset, fee in trade.fees:
            assets[asset] -= fee
    return assets
