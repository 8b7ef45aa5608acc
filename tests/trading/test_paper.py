"""Dry run: fills at the live prices, with the slippage and the fee that users know."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable, NotSent
from custom_components.calvalot.trading.exchanges.base import OrderPage, OrderRequest, Side
from custom_components.calvalot.trading.exchanges.paper import PaperExchange

from .rig import Rig


@pytest.fixture
def paper(rig: Rig) -> PaperExchange:
    """A paper exchange on the live market."""
    return PaperExchange(rig.binance("", ""), rig.clock.now)


async def test_whose_account(paper: PaperExchange) -> None:
    """Nobody's: there is none."""
    assert await paper.account_id() is None


def request(symbol: str = "BTCUSDC", side: Side = Side.BUY, quantity: str = "0.01", **changes: Any) -> OrderRequest:
    """An order."""
    usual = {"limit_price": None, "client_order_id": f"cv-{symbol}-{side}"}
    return OrderRequest(symbol=symbol, side=side, quantity=Decimal(quantity), **{**usual, **changes})


async def look(paper: PaperExchange) -> dict[str, Decimal]:
    """Rules and prices, as a cycle asks for them."""
    symbols = ["BTCUSDC", "SOLUSDC"]
    await paper.rules(symbols)
    return await paper.prices(symbols)


@pytest.mark.parametrize(("symbol", "slippage"), [("BTCUSDC", "0.0002"), ("SOLUSDC", "0.0005")])
@pytest.mark.parametrize("side", list(Side))
async def test_a_fill(paper: PaperExchange, rig: Rig, symbol: str, slippage: str, side: Side) -> None:
    """At the last price and the slippage against us, 0.1 % of what is received as fee."""
    prices = await look(paper)
    report = await paper.place(request(symbol, side, "2"))
    assert report.fills
    (fill,) = report.fills
    buys = side is Side.BUY
    assert fill.price == prices[symbol] * (1 + Decimal(slippage) * (1 if buys else -1))
    assert fill.amount == report.executed_amount == 2 * fill.price
    assert (report.done, report.executed_quantity, fill.quantity) == (True, 2, 2)
    if buys:
        assert (fill.fee, fill.fee_asset) == (Decimal("0.002"), symbol.removesuffix("USDC"))
    else:
        assert fill.fee_asset == "USDC"
        assert abs(fill.fee - fill.amount / 1000) < Decimal("1e-8")
    assert rig.exchange.count("POST") == 0
    assert rig.exchange.orders == []


async def test_a_purchase_for_an_amount(paper: PaperExchange) -> None:
    """As many steps as that buys with the slippage; too little for one buys nothing."""
    price = (await look(paper))["BTCUSDC"] * Decimal("1.0002")
    report = await paper.place(request(quantity="1", quote_amount=Decimal(500)))
    assert report.quantity == report.executed_quantity == 500 // (price / 100_000) / 100_000
    assert 500 - price / 100_000 < report.executed_amount <= 500
    nothing = await paper.place(request(quantity="1", quote_amount=Decimal("0.5")))
    assert (nothing.done, nothing.executed_quantity, nothing.executed_amount, nothing.fills) == (True, 0, 0, ())


@pytest.mark.parametrize("side", list(Side))
async def test_a_limit(paper: PaperExchange, side: Side) -> None:
    """A fill beyond the limit is none; one up to it is."""
    price = (await look(paper))["BTCUSDC"]
    sign = 1 if side is Side.BUY else -1
    missed = await paper.place(request(side=side, limit_price=price * (1 + sign * Decimal("0.0001"))))
    assert (missed.done, missed.executed_quantity, missed.executed_amount, missed.fills) == (True, 0, 0, ())
    met = await paper.place(request(side=side, limit_price=price * (1 + sign * Decimal("0.0002"))))
    assert met.executed_quantity == met.quantity


async def test_without_a_price_nothing_is_filled(paper: PaperExchange, rig: Rig) -> None:
    """Neither before the first look nor for a price that is missing."""
    with pytest.raises(NotSent):
        await paper.place(request())
    rig.exchange.remove_price("BTCUSDC")
    await look(paper)
    with pytest.raises(NotSent):
        await paper.place(request())
    assert await paper.place(request("SOLUSDC"))


async def test_an_order_is_named_as_it_was_sent(paper: PaperExchange) -> None:
    """So is its fill: that name is used once."""
    await look(paper)
    report = await paper.place(request())
    assert report.fills
    assert report.client_order_id == report.order_id == report.fills[0].trade_id == report.fills[0].order_id
    assert report.cursor is None


async def test_nothing_is_remembered(paper: PaperExchange, rig: Rig) -> None:
    """What the book did not write down never was."""
    await look(paper)
    report = await paper.place(request())
    assert await paper.balances() is None
    assert await paper.find("BTCUSDC", report.client_order_id) is None
    assert await paper.orders_page("BTCUSDC", None, "") == OrderPage()
    assert await paper.traded_orders("BTCUSDC", rig.clock.now(), None) == frozenset()
    for moment in (paper.timestamp(), await paper.server_time()):
        assert abs((moment - rig.clock.now()).total_seconds()) < 1


@pytest.mark.parametrize("side", Side)
async def test_a_fill_is_made_again(paper: PaperExchange, side: Side) -> None:
    """It follows from what was executed, and from the symbol's rules."""
    await look(paper)
    report = await paper.place(request(side=side))
    assert await paper.fills(report) == report.fills
    with pytest.raises(ExchangeUnavailable):
        await paper.fills(replace(report, symbol="NOPEUSDC"))


async def test_the_real_exchange_s_pause(paper: PaperExchange) -> None:
    """Its prices come from there."""
    assert paper.pause == 0
