"""An answer without content is not the answer "none"."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientSession
import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from simulators.exchange import ExchangeSimulator

from .builders import make_order, make_report

QUESTIONS: dict[str, Callable[[BinanceExchange], Awaitable[Any]]] = {
    "/allOrders": lambda exchange: exchange.orders_page("BTCUSDC", "1", "cv-"),
    "/myTrades": lambda exchange: exchange.fills(make_report(make_order())),
    "/myTrades?": lambda exchange: exchange.traded_orders("BTCUSDC", datetime.now(UTC), None),
    "/ticker/price": lambda exchange: exchange.prices(["BTCUSDC"]),
    "/account": lambda exchange: exchange.balances(),
}


@pytest.mark.parametrize("kind", ["empty_object", "empty_body"])
@pytest.mark.parametrize("path", QUESTIONS)
async def test_nothing_is_not_none(exchange: ExchangeSimulator, kind: str, path: str) -> None:
    """Where a list of orders was asked for, no list leaves open whether there are any."""
    async with ClientSession() as session:
        client = BinanceExchange(session, exchange.url, exchange.api_key, exchange.account().api_secret)
        await QUESTIONS[path](client)
        exchange.fault(kind, path=path.rstrip("?"))
        with pytest.raises(ExchangeUnavailable):
            await QUESTIONS[path](client)
        await QUESTIONS[path](client)
