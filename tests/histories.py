"""Books with a random past: money in and out, corrections, purchases and sales with fees, prices and a rate that move."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
import os
from random import Random
from typing import Any

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Fill, Mode, Side
from custom_components.calvalot.trading.ledger.records import Book
from custom_components.calvalot.trading.snapshot import Figures, Snapshot, Status, figures

# All of them where somebody asks for them, a tenth in the ordinary run.
COUNT = int(os.environ.get("CALVALOT_HISTORIES", "10"))
COINS = {"BTC": "60000", "ETH": "2500", "XRP": "0.5"}
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STEPS = 30


def random_figures(seed: int) -> Figures:
    """Figures of a book after some dozen random events."""
    dice = Random(seed)
    prices = {coin: Decimal(price) for coin, price in COINS.items()}
    euro = Decimal("1.1")
    book, corrections, trade_id = Book(), ZERO, 0

    def amount(low: float, high: float, digits: int = 2) -> Decimal:
        return Decimal(f"{dice.uniform(low, high):.{digits}f}")

    def flow(book: Book, eur: Decimal) -> Book:
        quote = (eur * euro).quantize(Decimal("1e-8"))
        return replace(book, portfolio=book.portfolio.with_flow(quote), net_deposits=(book.net_deposits or ZERO) + eur)

    def trade(book: Book, side: Side, coin: str, share: Decimal) -> Book:
        price, portfolio = prices[coin], book.portfolio
        quantity = (portfolio.quantity(coin) if side is Side.SELL else portfolio.cash / price * Decimal("0.99")) * share
        quantity = quantity.quantize(Decimal("1e-8"))
        if quantity <= 0:
            return book
        asset = dice.choice((coin, "USDC"))
        fee = (quantity if asset == coin else quantity * price) * Decimal("0.001")
        if side is Side.SELL and asset == coin:
            asset, fee = "USDC", quantity * price * Decimal("0.001")
        fill = Fill(
            trade_id=str(trade_id),
            order_id=str(trade_id),
            price=price,
            quantity=quantity,
            amount=quantity * price,
            fee=fee.quantize(Decimal("1e-8")),
            fee_asset=asset,
            time=NOW,
        )
        fee_price = price if asset == coin else ONE
        return replace(book, portfolio=portfolio.with_fill(fill, side, coin, "USDC", fee_price))

    with localcontext(EXACT):
        book = flow(book, amount(50, 5000))
        for _ in range(dice.randrange(1, STEPS)):
            prices = {coin: (price * amount(0.9, 1.12, 4)).quantize(Decimal("1e-6")) for coin, price in prices.items()}
            euro = (euro * amount(0.99, 1.01, 4)).quantize(Decimal("1e-4"))
            trade_id += 1
            match dice.randrange(8):
                case 0:
                    book = flow(book, amount(1, 3000))
                case 1:
                    book = flow(
                        book, -min(amount(1, 3000), (book.portfolio.cash / euro).quantize(Decimal("0.01")) // 2)
                    )
                case 2:
                    change = amount(-50, 50)
                    book, corrections = replace(book, net_deposits=book.net_deposits + change), corrections + change
                case 3 | 4 | 5:
                    book = trade(book, Side.BUY, dice.choice([*COINS]), amount(0.1, 0.9, 3))
                case _:
                    book = trade(book, Side.SELL, dice.choice([*COINS]), dice.choice((ONE, amount(0.1, 0.9, 3))))
    symbols = {coin: f"{coin}USDC" for coin in COINS}
    valuation = book.portfolio.value(prices)
    return figures(book, valuation, ONE / euro, prices, None, symbols, NOW, corrections=corrections)


def random_portfolios(count: int) -> Iterator[dict[str, Any]]:
    """What get_portfolio answers for that many books, every other one a live one."""
    for seed in range(count):
        shown = random_figures(seed)
        known = {name: getattr(shown, name) for name in Figures.__dataclass_fields__}
        mode = (Mode.DRY_RUN, Mode.LIVE)[seed % 2]
        yield responses.portfolio(Snapshot(mode=mode, status=Status.ACTIVE, since=NOW, **known))
