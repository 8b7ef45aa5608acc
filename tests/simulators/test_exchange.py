"""The exchange stand-in refuses what the real one refuses, keeps exact books, and fails when told to."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
import hashlib
import hmac
import json
import os
from pathlib import Path
import re
import signal
import sys
import time
from typing import Any

import aiohttp
from binance import AsyncClient
from binance.exceptions import BinanceAPIException, BinanceRequestException
import pytest
from yarl import URL

from simulators.exchange import ExchangeSimulator, FaultKind
from simulators.exchange.symbols import Symbol

ROOT = Path(__file__).parents[2]
NONE = Decimal(0)


@pytest.fixture
async def sim(socket_enabled: None) -> AsyncIterator[ExchangeSimulator]:
    """An exchange with 1,000 USDC on the first account."""
    async with ExchangeSimulator(seed=7, balances={"USDC": "1000"}) as exchange:
        yield exchange


@pytest.fixture
async def session(sim: ExchangeSimulator) -> AsyncIterator[aiohttp.ClientSession]:
    """A bare HTTP client."""
    async with aiohttp.ClientSession() as bare:
        yield bare


@pytest.fixture
async def client(sim: ExchangeSimulator) -> AsyncIterator[AsyncClient]:
    """The library that the follower uses."""
    library = connect(sim)
    yield library
    await library.close_connection()


def connect(sim: ExchangeSimulator, key: str | None = None, secret: str | None = None) -> AsyncClient:
    """Make a library client for one of the accounts."""
    library = AsyncClient(key or sim.api_key, secret or sim.api_secret)
    library.API_URL = f"{sim.url}/api"
    library.MARGIN_API_URL = f"{sim.url}/sapi"
    return library


def sign(sim: ExchangeSimulator, query: str) -> str:
    """The signature of a query."""
    return hmac.new(sim.api_secret.encode(), query.encode(), hashlib.sha256).hexdigest()


async def raw(
    sim: ExchangeSimulator,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    query: str = "",
    *,
    signed: bool = True,
    key: str | None = "",
) -> tuple[int, Any]:
    """Send exactly this query, signed and timed unless it says so itself."""
    if signed:
        if "timestamp=" not in query:
            query += f"{'&' * bool(query)}timestamp={sim.server_time}"
        query += f"&signature={sign(sim, query)}"
    headers = {} if key is None else {"X-MBX-APIKEY": key or sim.api_key}
    url = URL(f"{sim.url}{path}?{query}", encoded=True)
    async with session.request(method, url, headers=headers) as response:
        return response.status, await response.json()


async def refused(awaitable: Any) -> tuple[int, int, str]:
    """What the exchange said when it refused: HTTP status, code, words."""
    with pytest.raises(BinanceAPIException) as error:
        await awaitable
    return error.value.status_code, error.value.code, error.value.message


def buy(client: AsyncClient, symbol: str = "BTCUSDC", **params: str) -> Any:
    """A MARKET order to buy, as the library sends it."""
    return client.create_order(symbol=symbol, side="BUY", **({"type": "MARKET"} | params))


def sell(client: AsyncClient, symbol: str = "BTCUSDC", **params: str) -> Any:
    """A MARKET order to sell."""
    return client.create_order(symbol=symbol, side="SELL", **({"type": "MARKET"} | params))


def books(sim: ExchangeSimulator, start: dict[str, Decimal], api_key: str | None = None) -> dict[str, Decimal]:
    """The balances that the trades alone explain."""
    owned = dict(start)
    for trade in sim.trades(api_key):
        symbol = sim.symbol(trade.symbol)
        sign = 1 if trade.buyer else -1
        owned[symbol.base] = owned.get(symbol.base, NONE) + sign * trade.quantity
        owned[symbol.quote] = owned.get(symbol.quote, NONE) - sign * trade.price * trade.quantity
        owned[trade.commission_asset] = owned.get(trade.commission_asset, NONE) - trade.commission
    return {asset: amount for asset, amount in owned.items() if amount}


# Public requests


async def test_public_requests_speak_binance(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Names, types and texts are the real ones."""
    assert await client.ping() == {}
    assert abs((await client.get_server_time())["serverTime"] - sim.server_time) < 5000
    assert await client.get_symbol_ticker(symbol="BTCUSDC") == {"symbol": "BTCUSDC", "price": "91250.00000000"}
    two = await client.get_symbol_ticker(symbols='["SOLUSDC","BTCUSDC"]')
    assert [row["symbol"] for row in two] == ["BTCUSDC", "SOLUSDC"]
    assert len(await client.get_all_tickers()) == 17
    book = await client.get_orderbook_ticker(symbol="ETHUSDC")
    assert Decimal(book["bidPrice"]) < Decimal("3118.4") < Decimal(book["askPrice"])
    sim.walk(3)
    candles = await client.get_klines(symbol="BTCUSDC", interval="1m")
    assert len(candles[-1]) == 12
    assert Decimal(candles[-1][4]) == sim.price("BTCUSDC")


async def test_rules_differ_by_symbol(client: AsyncClient) -> None:
    """Steps, ticks and kinds of filters are not alike."""
    info = await client.get_exchange_info()
    filters = {s["symbol"]: {f["filterType"]: f for f in s["filters"]} for s in info["symbols"]}
    assert filters["BTCUSDC"]["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters["BTCUSDC"]["MARKET_LOT_SIZE"]["stepSize"] == "0.00000000"
    assert filters["SOLUSDC"]["MARKET_LOT_SIZE"]["stepSize"] == "0.01000000"
    assert filters["BTCUSDC"]["NOTIONAL"]["applyMinToMarket"] is True
    assert "NOTIONAL" not in filters["DOGEUSDC"]
    assert filters["DOGEUSDC"]["MIN_NOTIONAL"]["applyToMarket"] is True
    assert "MARKET_LOT_SIZE" not in filters["ADAUSDC"]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("ticker/price", "symbol=NOPEUSDC", -1121),
        ("ticker/price", 'symbols=["BTCUSDC","NOPEUSDC"]', -1121),
        ("ticker/price", 'symbols=["BTCUSDC","BTCUSDC"]', -1151),
        ("ticker/price", 'symbols=["BTCUSDC",%20"ETHUSDC"]', -1100),
        ("ticker/price", "symbols=['BTCUSDC']", -1100),
        ("ticker/price", "symbol=btcusdc", -1100),
        ("ticker/price", 'symbol=BTCUSDC&symbols=["BTCUSDC"]', -1128),
        ("ticker/price", "symbol=BTCUSDC&symbol=ETHUSDC", -1101),
        ("ticker/price", "symbol=", -1105),
        ("ticker/price", "other=1", -1104),
        ("exchangeInfo", 'symbols=["NOPEUSDC"]', -1121),
        ("ping", "other=1", -1101),
        ("klines", "symbol=BTCUSDC", -1102),
        ("klines", "symbol=BTCUSDC&interval=7m", -1120),
    ],
)
async def test_malformed_public_requests(
    sim: ExchangeSimulator, session: aiohttp.ClientSession, path: str, query: str, code: int
) -> None:
    """Each malformed request has its own code."""
    status, answer = await raw(sim, session, "GET", f"/api/v3/{path}", query, signed=False)
    assert (status, answer["code"]) == (400, code)


async def test_missing_and_zero_price(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A price may be missing, or zero."""
    sim.remove_price("BTCUSDC")
    rows = await client.get_symbol_ticker(symbols='["ETHUSDC","BTCUSDC"]')
    assert [row["symbol"] for row in rows] == ["ETHUSDC"]
    sim.remove_price("BTCUSDC", zero=True)
    assert (await client.get_symbol_ticker(symbol="BTCUSDC"))["price"] == "0.00000000"
    sim.restore_price("BTCUSDC")
    assert (await client.get_symbol_ticker(symbol="BTCUSDC"))["price"] == "91250.00000000"


# Signed requests


@pytest.mark.parametrize(
    ("query", "key", "status", "code"),
    [
        ("timestamp={now}&signature={sign}", None, 401, -2014),
        ("timestamp={now}&signature={sign}", "short", 401, -2014),
        ("timestamp={now}&signature={sign}", "x" * 64, 401, -2015),
        ("timestamp={now}&signature=" + "0" * 64, "", 400, -1022),
        ("timestamp={now}", "", 400, -1102),
        ("recvWindow=5000&signature=00", "", 400, -1102),
    ],
)
async def test_who_may_not_ask(
    sim: ExchangeSimulator, session: aiohttp.ClientSession, query: str, key: str | None, status: int, code: int
) -> None:
    """Key, signature and time stamp are needed, and are checked."""
    now = sim.server_time
    query = query.format(now=now, sign=sign(sim, f"timestamp={now}"))
    answer = await raw(sim, session, "GET", "/api/v3/account", query, signed=False, key=key)
    assert (answer[0], answer[1]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("off", "window", "code"),
    [
        (0, None, None),
        (-4000, None, None),
        (-5500, None, -1021),
        (-5500, "10000", None),
        (900, None, None),
        (2500, "60000", -1021),
        (0, "60001", -1131),
        (0, "5000.123", None),
        (0, "fast", -1100),
    ],
)
async def test_time_window(
    sim: ExchangeSimulator, session: aiohttp.ClientSession, off: int, window: str | None, code: int | None
) -> None:
    """Too old and from the future are both refused."""
    query = f"timestamp={sim.server_time + off}" + (f"&recvWindow={window}" if window else "")
    status, answer = await raw(sim, session, "GET", "/api/v3/account", query)
    assert (status, answer.get("code")) == ((200, None) if code is None else (400, code))


async def test_signature_covers_query_and_body_as_sent(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """The HMAC is over the raw query followed by the raw body; one more character breaks it."""
    query, body = "symbol=BTCUSDC&side=BUY", f"type=MARKET&quantity=0.0010&timestamp={sim.server_time}"
    signature = sign(sim, query + body)
    url, headers = f"{sim.url}/api/v3/order/test?{query}", {"X-MBX-APIKEY": sim.api_key}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with session.post(url, data=f"{body}&signature={signature.upper()}", headers=headers) as response:
        assert (response.status, await response.json()) == (200, {})
    changed = body.replace("0.0010", "0.001")
    async with session.post(url, data=f"{changed}&signature={signature}", headers=headers) as response:
        assert (await response.json())["code"] == -1022


async def test_unread_parameter_is_refused(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """The exchange names how many parameters it read."""
    status, answer = await raw(sim, session, "GET", "/api/v3/account", "foo=1")
    assert (status, answer["code"]) == (400, -1104)
    assert answer["msg"] == "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."


async def test_permissions(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """What a key may not do is refused, and apiRestrictions says so."""
    sim.set_account(spot_trading=False, withdrawals=True)
    granted = await client.get_account_api_permissions()
    assert (granted["enableSpotAndMarginTrading"], granted["enableWithdrawals"]) == (False, True)
    assert await refused(buy(client, quantity="0.001")) == (401, -2015, sim_words(-2015))
    sim.set_account(spot_trading=True, can_trade=False)
    assert (await client.get_account())["canTrade"] is False
    assert (await refused(buy(client, quantity="0.001")))[1:] == (
        -2010,
        "This account may not place or cancel orders.",
    )
    sim.set_account(reading=False)
    assert (await refused(client.get_account()))[1] == -2015
    sim.set_account(reading=True, ip_restrict=True, ip_allowed=False)
    assert (await refused(client.get_account()))[1] == -2015
    sim.set_sapi(False)
    assert (await refused(client.get_account_api_permissions()))[:2] == (404, 0)


def sim_words(code: int) -> str:
    """The words of a code in Binance's list of errors."""
    return {-2015: "Invalid API-key, IP, or permissions for action."}[code]


# Orders


async def test_market_order_fills_in_parts(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Several fills at worsening prices add up, cost little, and the fee leaves the coin."""
    order = await buy(client, quantity="0.00438", newClientOrderId="cv-one")
    fills = order["fills"]
    assert len(fills) > 1
    assert [Decimal(f["price"]) for f in fills] == sorted({Decimal(f["price"]) for f in fills})
    assert sum(Decimal(f["qty"]) for f in fills) == Decimal(order["executedQty"]) == Decimal("0.00438")
    assert [f["tradeId"] for f in fills] == [*range(fills[0]["tradeId"], fills[0]["tradeId"] + len(fills))]
    assert (order["status"], order["clientOrderId"]) == ("FILLED", "cv-one")
    assert sum(Decimal(f["price"]) * Decimal(f["qty"]) for f in fills) == Decimal(order["cummulativeQuoteQty"])
    fees = sum(Decimal(f["commission"]) for f in fills)
    assert {f["commissionAsset"] for f in fills} == {"BTC"}
    assert abs(fees - Decimal("0.00000438")) <= Decimal("0.00000003")
    balances = {b["asset"]: Decimal(b["free"]) for b in (await client.get_account(omitZeroBalances="true"))["balances"]}
    spent = Decimal(order["cummulativeQuoteQty"])
    assert balances == {"BTC": Decimal("0.00438") - fees, "USDC": 1000 - spent}
    worth = balances["BTC"] * 91250 + balances["USDC"]
    assert (1000 - worth) / spent < Decimal("0.0015")
    look = await client.get_order(symbol="BTCUSDC", origClientOrderId="cv-one")
    assert "fills" not in look
    assert (look["status"], look["executedQty"]) == ("FILLED", "0.00438000")
    trades = await client.get_my_trades(symbol="BTCUSDC", orderId=order["orderId"])
    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in fills]


async def test_every_pair_is_cheap_to_trade(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A 400 USDC order costs under 0.3 % of its value on each pair, fee included."""
    for name in ("BTCUSDC", "ETHUSDC", "BNBUSDC", "SOLUSDC", "XRPUSDC", "DOGEUSDC", "ADAUSDC"):
        sim.set_balance("USDC", "1000")
        order = await buy(client, name, quoteOrderQty="400")
        base = sim.symbol(name).base
        worth = sim.balance(base) * sim.price(name)
        spent = Decimal(order["cummulativeQuoteQty"])
        assert spent > 399 - sim.price(name) * sim.symbol(name).step * 10
        assert NONE < (spent - worth) / spent < Decimal("0.003"), name
        assert len(order["fills"]) > 1


async def test_fee_in_bnb(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """With the discount from BNB while there is some, then from what is received."""
    sim.set_account(bnb_burn=True)
    sim.set_balance("BNB", "0.01")
    order = await buy(client, quantity="0.00400")
    assert {fill["commissionAsset"] for fill in order["fills"]} == {"BNB"}
    paid = Decimal("0.01") - sim.balance("BNB")
    assert abs(paid - Decimal(order["cummulativeQuoteQty"]) * Decimal("0.00075") / Decimal("896.30")) < Decimal("1e-6")
    assert sim.balance("BTC") == Decimal("0.004")
    sim.set_balance("BNB", "0.00000001")
    order = await sell(client, quantity="0.00400")
    assert {fill["commissionAsset"] for fill in order["fills"]} == {"USDC"}


async def test_selling_the_gross_quantity_is_refused(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """The fee was taken from the coins, so they are fewer than were bought."""
    await buy(client, "XRPUSDC", quantity="100")
    words = "Account has insufficient balance for requested action."
    assert await refused(sell(client, "XRPUSDC", quantity="100")) == (400, -2010, words)
    assert (await sell(client, "XRPUSDC", quantity="99.9"))["status"] == "FILLED"


async def test_the_same_id_trades_twice(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """An id is refused among open orders only; after a fill it buys again."""
    await buy(client, quantity="0.001", newClientOrderId="same")
    again = await buy(client, quantity="0.001", newClientOrderId="same")
    assert again["status"] == "FILLED"
    assert sum(trade.quantity for trade in sim.trades()) == Decimal("0.002")
    assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="same"))["orderId"] == again["orderId"]
    limit = {"type": "LIMIT", "timeInForce": "GTC", "price": "80000", "quantity": "0.001"}
    await buy(client, newClientOrderId="resting", **limit)
    assert await refused(buy(client, newClientOrderId="resting", **limit)) == (400, -2010, "Duplicate order sent.")


MARKET = {"symbol": "BTCUSDC", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
LIMIT = MARKET | {"type": "LIMIT", "timeInForce": "GTC", "price": "91000"}


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        (MARKET | {"quantity": "1E-3"}, -1100, "Illegal characters found in parameter 'quantity'"),
        (MARKET | {"quantity": "-1"}, -1100, "Illegal characters"),
        (MARKET | {"quantity": ".001"}, -1100, "Illegal characters"),
        (MARKET | {"quantity": "0.001%0A"}, -1100, "Illegal characters"),
        (MARKET | {"quantity": "0.001000001"}, -1111, "Parameter 'quantity' has too much precision."),
        (MARKET | {"quantity": "0.00000"}, -1013, "Invalid quantity."),
        (MARKET | {"quantity": "0.001005"}, -1013, "Filter failure: LOT_SIZE"),
        (MARKET | {"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        (MARKET | {"quantity": "0.00005"}, -1013, "Filter failure: NOTIONAL"),
        (MARKET | {"quantity": "1"}, -2010, "Account has insufficient balance for requested action."),
        (MARKET | {"symbol": "SOLUSDC", "quantity": "1.005"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
        (MARKET | {"symbol": "XRPUSDC", "quantity": "10.05"}, -1013, "Filter failure: LOT_SIZE"),
        (MARKET | {"symbol": "DOGEUSDC", "quantity": "30"}, -1013, "Filter failure: MIN_NOTIONAL"),
        (MARKET | {"symbol": "NOPEUSDC"}, -1121, "Invalid symbol."),
        (MARKET | {"side": "HOLD"}, -1117, "Invalid side."),
        (MARKET | {"type": "MAGIC"}, -1116, "Invalid orderType."),
        (MARKET | {"timeInForce": "GTC"}, -1106, "Parameter 'timeInForce' sent when not required."),
        (MARKET | {"price": "91000"}, -1106, "Parameter 'price' sent when not required."),
        (MARKET | {"quoteOrderQty": "50"}, -1128, "Combination of optional parameters invalid."),
        (MARKET | {"newClientOrderId": "a" * 37}, -1100, "Illegal characters found in parameter 'newClientOrderId'"),
        (MARKET | {"newClientOrderId": "a.b"}, -1100, "Illegal characters"),
        (MARKET | {"newOrderRespType": "LOUD"}, -1130, "Data sent for parameter"),
        ({k: v for k, v in MARKET.items() if k != "quantity"}, -1102, "Param 'quantity' or 'quoteOrderQty' must be"),
        ({k: v for k, v in MARKET.items() if k != "symbol"}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ({k: v for k, v in LIMIT.items() if k != "price"}, -1102, "Mandatory parameter 'price' was not sent"),
        ({k: v for k, v in LIMIT.items() if k != "timeInForce"}, -1102, "Mandatory parameter 'timeInForce'"),
        (LIMIT | {"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        (LIMIT | {"price": "91000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        (LIMIT | {"price": "10000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (LIMIT | {"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
    ],
)
async def test_refused_orders(
    sim: ExchangeSimulator, session: aiohttp.ClientSession, params: dict[str, str], code: int, words: str
) -> None:
    """Each refusal has its code and words; nothing is traded and the request weighs one."""
    query = "&".join(f"{name}={value}" for name, value in params.items())
    status, answer = await raw(sim, session, "POST", "/api/v3/order", query)
    assert (status, answer["code"]) == (400, code), answer
    assert answer["msg"].startswith(words)
    assert sim.orders == []
    assert sim.balances() == {"USDC": Decimal(1000)}
    assert sim.requests[-1].weight == 1


async def test_symbol_that_does_not_trade(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A halted symbol shows its status and takes no order."""
    sim.set_symbol_status("BTCUSDC", "HALT")
    info = await client.get_symbol_info("BTCUSDC")
    assert info
    assert info["status"] == "HALT"
    assert await refused(buy(client, quantity="0.001")) == (400, -1013, "Market is closed.")


async def test_notional_is_checked_against_the_average(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """After a jump the average lags behind, so a worthy order may still be refused, until it has caught up."""
    sim.advance(300)
    client.timestamp_offset = 300_000
    sim.set_price("BTCUSDC", "182500", gap=True)
    assert await refused(buy(client, quantity="0.00004")) == (400, -1013, "Filter failure: NOTIONAL")
    sim.advance(301)
    client.timestamp_offset = 601_000
    assert (await buy(client, quantity="0.00004"))["status"] == "FILLED"


async def test_quote_quantity(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """An order in the quote asset spends at most that, in whole steps."""
    order = await buy(client, "XRPUSDC", quoteOrderQty="100")
    assert Decimal(order["executedQty"]) % Decimal("0.1") == 0
    assert Decimal(98) < Decimal(order["cummulativeQuoteQty"]) <= 100
    assert order["origQuoteOrderQty"] == "100.00000000"
    back = await sell(client, "XRPUSDC", quoteOrderQty="50")
    assert Decimal(49) < Decimal(back["cummulativeQuoteQty"]) <= 50


async def test_thin_book_leaves_a_market_order_expired(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """EXPIRED with something executed."""
    sim.set_depth("BTCUSDC", "150")
    order = await buy(client, quantity="0.00438")
    assert (order["status"], order["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert Decimal(140) < Decimal(order["cummulativeQuoteQty"]) <= 150
    assert Decimal(order["executedQty"]) == sum(Decimal(fill["qty"]) for fill in order["fills"])
    sim.set_depth("BTCUSDC", None)
    assert (await buy(client, quantity="0.00438"))["status"] == "FILLED"


async def test_limit_orders(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """IOC takes what is there, FOK all or nothing, GTC rests, locks, is cancelled, or is walked through."""
    sim.set_depth("BTCUSDC", "150")
    limit = {"type": "LIMIT", "price": "92000", "quantity": "0.00400"}
    ioc = await buy(client, timeInForce="IOC", **limit)
    assert (ioc["status"], ioc["expiryReason"]) == ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED")
    assert NONE < Decimal(ioc["executedQty"]) < Decimal("0.004")
    fok = await buy(client, timeInForce="FOK", **limit)
    assert (fok["status"], fok["executedQty"], fok["fills"]) == ("EXPIRED", "0.00000000", [])
    sim.set_depth("BTCUSDC", None)
    far = limit | {"price": "90000", "timeInForce": "GTC"}
    assert (await buy(client, **(far | {"timeInForce": "IOC"})))["executedQty"] == "0.00000000"
    free = sim.account().balances["USDC"].free
    resting = await buy(client, newClientOrderId="rest", **far)
    assert (resting["status"], resting["fills"]) == ("NEW", [])
    assert sim.account().balances["USDC"].locked == 360
    assert [order["clientOrderId"] for order in await client.get_open_orders(symbol="BTCUSDC")] == ["rest"]
    cancelled = await client.cancel_order(symbol="BTCUSDC", origClientOrderId="rest")
    assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "rest")
    assert sim.account().balances["USDC"].free == free
    words = "Unknown order sent."
    assert await refused(client.cancel_order(symbol="BTCUSDC", origClientOrderId="rest")) == (400, -2011, words)
    await buy(client, newClientOrderId="through", **far)
    sim.set_price("BTCUSDC", "89900")
    done = await client.get_order(symbol="BTCUSDC", origClientOrderId="through")
    assert (done["status"], done["cummulativeQuoteQty"]) == ("FILLED", "360.00000000")
    assert sim.trades()[-1].maker
    assert sim.balances() == books(sim, {"USDC": Decimal(1000)})


async def test_order_and_position_limits(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """MAX_NUM_ORDERS and MAX_POSITION count what is open."""
    far = {"type": "LIMIT", "price": "90000", "timeInForce": "GTC", "quantity": "0.001"}
    sim.symbol("BTCUSDC").max_orders = 1
    await buy(client, **far)
    assert await refused(buy(client, **far)) == (400, -1013, "Filter failure: MAX_NUM_ORDERS")
    sim.symbol("ETHUSDC").max_position = Decimal("0.05")
    assert await refused(buy(client, "ETHUSDC", quantity="0.06")) == (400, -1013, "Filter failure: MAX_POSITION")


@pytest.mark.parametrize(("kind", "keys"), [("ACK", 5), ("RESULT", 16), ("FULL", 17)])
async def test_answer_types(client: AsyncClient, kind: str, keys: int) -> None:
    """ACK, RESULT and FULL tell more and more."""
    assert len(await buy(client, quantity="0.001", newOrderRespType=kind)) == keys


async def test_test_order_trades_nothing(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Validated like an order, and forgotten."""
    assert await client.create_test_order(**MARKET) == {}
    assert await refused(client.create_test_order(**(MARKET | {"quantity": "0.00005"}))) == (
        400,
        -1013,
        "Filter failure: NOTIONAL",
    )
    assert sim.orders == []


async def test_look_ups(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Orders and trades by id, by time, by page; a day at most."""
    await refused(client.get_order(symbol="BTCUSDC"))
    words = "Order does not exist."
    assert await refused(client.get_order(symbol="BTCUSDC", origClientOrderId="none")) == (400, -2013, words)
    made = [(await buy(client, quantity="0.001"))["orderId"] for _ in range(3)]
    assert [o["orderId"] for o in await client.get_all_orders(symbol="BTCUSDC")] == made
    assert [o["orderId"] for o in await client.get_all_orders(symbol="BTCUSDC", orderId=made[1])] == made[1:]
    assert [o["orderId"] for o in await client.get_all_orders(symbol="BTCUSDC", limit=1)] == made[2:]
    assert await client.get_all_orders(symbol="BTCUSDC", startTime=sim.server_time + 1) == []
    assert await client.get_all_orders(symbol="ETHUSDC") == []
    start = sim.server_time - 86_400_000
    span = {"startTime": start, "endTime": start + 86_400_001}
    assert (await refused(client.get_all_orders(symbol="BTCUSDC", **span)))[1] == -1127
    assert (await refused(client.get_my_trades(symbol="BTCUSDC", **span)))[1] == -1127
    assert (await refused(client.get_my_trades(symbol="BTCUSDC", startTime=start, orderId=made[0])))[1] == -1128
    trades = await client.get_my_trades(symbol="BTCUSDC", startTime=start)
    ids = [trade["id"] for trade in trades]
    assert ids == sorted(set(ids))
    assert await client.get_my_trades(symbol="BTCUSDC", fromId=ids[1], limit=1) == [trades[1]]


async def test_ids_repeat_between_symbols(client: AsyncClient) -> None:
    """Trade ids count per symbol, so that a trade is named by both."""
    bitcoin, ether = await buy(client, quantity="0.001"), await buy(client, "ETHUSDC", quantity="0.03")
    assert bitcoin["fills"][0]["tradeId"] == ether["fills"][0]["tradeId"]


@pytest.mark.parametrize("burn", [False, True])
async def test_books_are_exact_after_many_trades(sim: ExchangeSimulator, client: AsyncClient, burn: bool) -> None:
    """Balances equal what the trades explain, to the last digit."""
    sim.set_account(bnb_burn=burn)
    sim.set_balance("BNB", "0.002")
    for name in ("BTCUSDC", "BNBUSDC", "SOLUSDC", "XRPUSDC", "DOGEUSDC") * 3:
        sim.walk(5)
        await buy(client, name, quoteOrderQty="60")
        base = sim.symbol(name).base
        step = max(sim.symbol(name).step, sim.symbol(name).market_step or NONE)
        await sell(client, name, quantity=f"{sim.balance(base) * 3 / 4 // step * step:f}")
    assert sim.balances() == books(sim, {"USDC": Decimal(1000), "BNB": Decimal("0.002")})
    assert all(amount == round(amount, 8) > 0 for amount in sim.balances().values())
    assert any(trade.commission_asset == "BNB" and trade.symbol != "BNBUSDC" for trade in sim.trades()) is burn


async def test_accounts_are_separate(sim: ExchangeSimulator) -> None:
    """A second key has its own money, orders and fee asset."""
    sim.add_account("k" * 64, "s" * 64, {"USDC": "50"}, bnb_burn=True)
    second = connect(sim, "k" * 64, "s" * 64)
    assert (await refused(buy(second, quantity="0.001")))[1] == -2010
    await buy(second, quantity="0.0005")
    assert await second.get_open_orders() == []
    await second.close_connection()
    assert (len(sim.trades("k" * 64)) > 0, sim.trades()) == (True, [])
    assert sim.balances() == {"USDC": Decimal(1000)}


# Market


async def test_walk_is_seeded(socket_enabled: None) -> None:
    """The same seed gives the same prices and fills, another one others."""

    async def walked(seed: int) -> tuple[dict[str, Decimal], list[Decimal]]:
        async with ExchangeSimulator(seed=seed, balances={"USDC": "1000"}) as sim:
            sim.walk(50)
            client = connect(sim)
            order = await buy(client, quantity="0.005")
            await client.close_connection()
            return sim.prices(), [Decimal(fill["qty"]) for fill in order["fills"]]

    first = await walked(1)
    assert first == await walked(1)
    assert first != await walked(2)


async def test_prices_move_with_the_clock_unless_held(socket_enabled: None) -> None:
    """Steps follow the server's clock; a held price stays, and pairs of one coin move together."""
    now = 1_800_000_000.0
    sim = ExchangeSimulator(step=1, clock=lambda: now)
    sim.hold("ETHUSDC")
    start = sim.prices()
    assert sim.prices() == start
    sim.advance(10)
    moved = sim.prices()
    assert moved["ETHUSDC"] == start["ETHUSDC"]
    assert moved["BTCUSDC"] != start["BTCUSDC"]
    assert abs(moved["BTCUSDC"] / moved["BTCUSDT"] * moved["USDCUSDT"] - 1) < Decimal("0.0001")
    sim.set_price("BTCUSDT", "50000")
    assert sim.price("BTCUSDT") == 50000
    sim.set_price("USDCUSDT", "0.9")
    assert (sim.price("USDCUSDT"), sim.price("ETHUSDC")) == (Decimal("0.9"), start["ETHUSDC"])


async def test_listing_and_delisting(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Pairs come and go."""
    sim.list_symbol(Symbol("PEPE", "USDC", Decimal("0.00000001"), Decimal(1), market_max=Decimal(10**9)), "0.00000912")
    assert (await client.get_symbol_ticker(symbol="PEPEUSDC"))["price"] == "0.00000912"
    assert (await buy(client, "PEPEUSDC", quantity="5000000"))["status"] == "FILLED"
    sim.delist("EURUSDC")
    sim.walk()
    assert (await refused(client.get_symbol_ticker(symbol="EURUSDC")))[1] == -1121


# Weights and bans


def begin_minute(sim: ExchangeSimulator) -> int:
    """Set the server's clock to the start of a minute, in which weight is counted; returns by how many ms."""
    ahead = 60_000 - sim.server_time % 60_000
    sim.advance(ahead / 1000)
    return ahead


async def test_weights_and_log(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Each request is logged with its weight and without its signature."""
    client.timestamp_offset = begin_minute(sim)
    await client.get_symbol_ticker(symbols='["BTCUSDC","ETHUSDC"]')
    await client.get_account()
    await buy(client, quantity="0.001", newClientOrderId="seen")
    await client.get_order(symbol="BTCUSDC", origClientOrderId="seen")
    await client.get_my_trades(symbol="BTCUSDC", orderId=1)
    await client.get_all_orders(symbol="BTCUSDC")
    assert [request.weight for request in sim.requests] == [4, 20, 0, 4, 5, 20]
    assert sim.used_weight == 53
    assert client.response.headers["X-MBX-USED-WEIGHT-1M"] == "53"
    assert sim.count("POST", "/order") == 1
    assert sim.requests[2].params["newClientOrderId"] == "seen"
    assert not any("signature" in request.params for request in sim.requests)
    sim.forget_requests()
    assert sim.count() == 0


async def test_weight_limit_leads_to_429_then_418(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """Who goes on after a 429 is banned, until the server's clock says otherwise."""
    begin_minute(sim)
    sim.set_weight_limit(40)
    codes: list[int] = []
    for _ in range(10):
        async with session.get(f"{sim.url}/api/v3/exchangeInfo") as response:
            codes.append(response.status)
            if response.status != 200:
                assert 0 < int(response.headers["Retry-After"]) <= 120
                assert (await response.json())["code"] == -1003
    assert codes == [200, 200, 429, 429, 429, 429, 429, 429, 418, 418]
    sim.advance(121)
    async with session.get(f"{sim.url}/api/v3/exchangeInfo") as response:
        assert response.status == 200


async def test_bans_grow(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """Who is banned again waits four times as long; a shorter window makes all of it shorter."""
    sim.set_weight_limit(0, seconds=10)
    waits = []
    for _ in range(3):
        sim.advance(10 - sim.server_time / 1000 % 10)
        for _ in range(7):
            async with session.get(f"{sim.url}/api/v3/time") as response:
                wait = int(response.headers["Retry-After"])
        waits.append(wait)
        sim.advance(wait)
    assert (waits, sim.bans) == ([20, 80, 320], 3)


async def test_a_ban_does_not_come_back(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """Once it is over the clock may go back."""
    statuses = []
    sim.ban(5)
    for seconds in (0, -2, 8, -6):
        sim.advance(seconds)
        async with session.get(f"{sim.url}/api/v3/time") as response:
            statuses.append(response.status)
    assert statuses == [418, 418, 200, 200]


async def test_who_does_not_wait_is_counted(sim: ExchangeSimulator, session: aiohttp.ClientSession) -> None:
    """Who has read that he has to wait; not who could not know, and not a process that was started anew."""

    async def ask(client: aiohttp.ClientSession, *, banned: bool = True) -> None:
        async with client.get(f"{sim.url}/api/v3/time") as response:
            assert (response.status == 418) == banned

    async with aiohttp.ClientSession() as other:
        await ask(other, banned=False)
        sim.ban(60)
        await ask(session)
        await ask(other)
        assert sim.unheeded == 0
        await ask(session)
        assert sim.unheeded == 1
        sim.new_client()
        await ask(session)
        assert sim.unheeded == 1
        await ask(session)
        assert sim.unheeded == 2


# Accounts, and what was before


async def test_two_keys_of_one_account(sim: ExchangeSimulator) -> None:
    """Each with a secret of its own; another account has another number."""
    sim.add_key("second".ljust(64, "0"), "its secret")
    sim.add_account("other".ljust(64, "0"), "another secret", {"USDC": "7"})
    known = []
    for key, secret in (
        (None, None),
        ("second".ljust(64, "0"), "its secret"),
        ("other".ljust(64, "0"), "another secret"),
    ):
        library = connect(sim, key, secret)
        account = await library.get_account(omitZeroBalances="true")
        known.append((account["uid"], account["balances"][0]["free"]))
        await library.close_connection()
    assert known[0] == known[1] == (known[2][0] - 1, "1000.00000000")
    assert known[2][1] == "7.00000000"


async def test_old_orders(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """As many as wanted; those filled long ago have an amount below 0, as the exchange documents it."""
    sim.add_old_orders("BTCUSDC", 1500)
    sim.add_old_orders("BTCUSDC", 1, amount_unknown=True)
    page = await client.get_all_orders(symbol="BTCUSDC", orderId=1, limit=1000)
    rest = await client.get_all_orders(symbol="BTCUSDC", orderId=page[-1]["orderId"] + 1, limit=1000)
    assert (len(page), len(rest)) == (1000, 501)
    assert {order["status"] for order in page} == {"CANCELED"}
    assert (rest[-1]["status"], rest[-1]["cummulativeQuoteQty"]) == ("FILLED", "-1.00000000")
    assert sim.balance("USDC") == 1000


async def test_wipe(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Numbers begin anew, keys go on."""
    first = await buy(client, quantity="0.001")
    sim.wipe({"USDC": "500"})
    assert (sim.orders, sim.trades(), sim.balances()) == ([], [], {"USDC": Decimal(500)})
    again = await buy(client, quantity="0.001")
    assert (again["orderId"], again["fills"][0]["tradeId"]) == (first["orderId"], first["fills"][0]["tradeId"])


@pytest.mark.parametrize(
    ("kind", "refusal"), [("halt", (400, -1013)), ("delist", (400, -1121)), ("jump", (400, -2010))]
)
async def test_the_market_changes_before_an_order(
    sim: ExchangeSimulator, client: AsyncClient, kind: str, refusal: tuple[int, int]
) -> None:
    """Between the rules or prices that an order was made from and its match."""
    before = sim.price("BTCUSDC")
    quantity = (1000 / before).quantize(Decimal("0.00001")) - Decimal("0.00003")
    sim.fault(kind, method="POST", path="/order", percent=5)
    assert (await refused(buy(client, quantity=str(quantity))))[:2] == refusal
    match kind:
        case "halt":
            sim.set_symbol_status("BTCUSDC", "TRADING")
        case "delist":
            sim.relist("BTCUSDC")
        case _:
            assert sim.price("BTCUSDC") == before * Decimal("1.05")
            sim.set_price("BTCUSDC", before)
    assert (await buy(client, quantity=str(quantity)))["status"] == "FILLED"


# Faults


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("drop", {}),
        ("hang", {"seconds": 0.05}),
        ("error", {"code": -1007}),
        ("error", {"code": -1000, "status": 400}),
        ("error", {"code": -1021}),
        ("error", {"code": -2010}),
        ("status", {"status": 502}),
        ("html", {}),
        ("html", {"status": 200}),
        ("broken_json", {}),
        ("empty_object", {}),
        ("empty_body", {}),
        ("error_list", {}),
        ("rate_limit", {"seconds": 3}),
        ("rate_limit", {"status": 418}),
    ],
)
async def test_faults_before_and_after_the_match(
    sim: ExchangeSimulator, client: AsyncClient, kind: str, options: dict[str, Any], when: str
) -> None:
    """Before the match nothing is traded, after it everything is, and the client cannot tell."""
    fault = sim.fault(kind, when=when, method="POST", path="/order", side="BUY", **options)
    assert (await client.get_account())["canTrade"]
    expected: tuple[type[BaseException], ...] = (
        BinanceAPIException,
        BinanceRequestException,
        aiohttp.ClientError,
        AttributeError,
    )
    if kind.startswith("empty"):
        assert await buy(client, quantity="0.001", newClientOrderId="odd") == {}
    else:
        with pytest.raises(expected) as error:
            await buy(client, quantity="0.001", newClientOrderId="odd")
        if isinstance(error.value, BinanceAPIException):
            assert error.value.code == options.get("code", -1003 if kind == "rate_limit" else 0)
            retry = str(options.get("seconds", 5)) if kind == "rate_limit" else None
            assert client.response.headers.get("Retry-After") == retry
    assert (len(sim.orders), fault.hits) == (int(when == "after"), 1)
    if when == "after":
        assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="odd"))["status"] == "FILLED"
    else:
        assert (await refused(client.get_order(symbol="BTCUSDC", origClientOrderId="odd")))[1] == -2013
    assert (await buy(client, quantity="0.001"))["status"] == "FILLED"


async def test_default_status_of_unknown_errors(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Codes that mean "unknown" come with a 5xx."""
    for code in (-1000, -1001, -1006, -1007, -1008):
        sim.fault("error", code=code)
        assert (await refused(client.get_account()))[0] >= 500


async def test_late_visibility(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A dropped order is not to be found at first, though the coins are there."""
    sim.fault("late", method="POST", seconds=20)
    sim.fault("drop", when="after", method="POST")
    with pytest.raises(aiohttp.ClientError):
        await buy(client, quantity="0.001", newClientOrderId="later")
    assert sim.balance("BTC") > 0
    assert (await refused(client.get_order(symbol="BTCUSDC", origClientOrderId="later")))[1] == -2013
    assert await client.get_all_orders(symbol="BTCUSDC") == []
    assert await client.get_my_trades(symbol="BTCUSDC") == []
    sim.advance(21)
    client.timestamp_offset = 21_000
    assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="later"))["status"] == "FILLED"
    assert len(await client.get_all_orders(symbol="BTCUSDC")) == 1
    assert len(await client.get_my_trades(symbol="BTCUSDC")) > 0


async def test_delayed_execution(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """An order is matched seconds after its request was dropped, but never after its window."""
    sim.fault("delayed", method="POST", seconds=8)
    with pytest.raises(aiohttp.ClientError):
        await buy(client, quantity="0.001", newClientOrderId="slow")
    assert (await refused(client.get_order(symbol="BTCUSDC", origClientOrderId="slow")))[1] == -2013
    sim.advance(9)
    client.timestamp_offset = 9000
    assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="slow"))["status"] == "FILLED"
    sim.fault("delayed", method="POST", seconds=30)
    with pytest.raises(aiohttp.ClientError):
        await buy(client, quantity="0.001", newClientOrderId="never")
    sim.advance(60)
    client.timestamp_offset = 69_000
    assert (await refused(client.get_order(symbol="BTCUSDC", origClientOrderId="never")))[1] == -2013


async def test_odd_answers(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """An answer may name another order, or say NEW although all is done."""
    sim.fault("wrong_id")
    assert (await buy(client, quantity="0.001", newClientOrderId="mine"))["clientOrderId"] != "mine"
    sim.fault("status_new")
    order = await buy(client, quantity="0.001", newClientOrderId="new")
    assert (order["status"], order["executedQty"], order["fills"]) == ("NEW", "0.00000000", [])
    assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="new"))["status"] == "FILLED"


async def test_fault_filters_and_counts(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A fault strikes the requests it is meant for, as often as it should."""
    sim.fault("error", path="/account", skip=1, count=2)
    sim.fault("error", symbol="ETHUSDC", count=None)
    answers = [await outcome(client.get_account()) for _ in range(5)]
    assert answers == [True, False, False, True, True]
    assert [await outcome(client.get_symbol_ticker(symbol=s)) for s in ("ETHUSDC", "BTCUSDC")] == [False, True]
    sim.clear_faults()
    assert await outcome(client.get_symbol_ticker(symbol="ETHUSDC"))
    sim.fault("error", probability=0.3, count=None)
    rate = sum([not await outcome(client.ping()) for _ in range(200)])
    assert 35 < rate < 85
    assert sim.faults_injected["error"] == rate + 3


async def outcome(awaitable: Any) -> bool:
    """Whether the request succeeded."""
    try:
        await awaitable
    except BinanceAPIException:
        return False
    return True


async def test_latency_and_slow_answers(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Requests take their time, at the same time."""
    sim.set_latency(0.5)
    start = time.monotonic()
    await asyncio.gather(*[client.ping() for _ in range(40)])
    assert 0.5 <= time.monotonic() - start < 20 * 0.5  # one after the other they would take twice as long
    sim.set_latency(0)
    sim.fault("slow", seconds=0.2)
    start = time.monotonic()
    assert await client.ping() == {}
    assert time.monotonic() - start >= 0.2


async def test_stopped_exchange_refuses_connections(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """Nobody listens, then the same port does again with the same books."""
    await buy(client, quantity="0.001")
    url = sim.url
    await sim.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.ping()
    await sim.start()
    assert sim.url == url
    assert len(await client.get_all_orders(symbol="BTCUSDC")) == 1


async def test_a_hanging_request_ends_with_the_exchange(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """A client may give up; the exchange has traded all the same, and stops at once."""
    sim.fault("hang", when="after")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(buy(client, quantity="0.001"), 0.1)
    assert len(sim.orders) == 1
    start = time.monotonic()
    await sim.stop()
    assert time.monotonic() - start < 3


# Control


async def test_control_over_http(sim: ExchangeSimulator, client: AsyncClient, session: aiohttp.ClientSession) -> None:
    """The same switches from another process."""

    async def control(**command: Any) -> tuple[bool, Any]:
        async with session.post(f"{sim.url}/control", json=command) as response:
            answer = await response.json()
            assert response.status == (200 if answer["ok"] else 400)
            return answer["ok"], answer.get("result", answer.get("error"))

    assert await control(do="set_price", symbol="BTCUSDC", price="60000.5") == (True, None)
    assert await control(do="price", symbol="BTCUSDC") == (True, "60000.50000000")
    assert await control(do="set_balance", asset="ETH", free=0.1) == (True, None)
    assert await control(do="balances") == (True, {"USDC": "1000.00000000", "ETH": "0.10000000"})
    assert await control(do="set_account", bnb_burn=True) == (True, None)
    assert await control(do="set_latency", seconds=0.01) == (True, None)
    assert await control(do="fault", kind="slow", seconds=0.01) == (True, {"kind": "slow", "hits": 0})
    await buy(client, quantity="0.001")
    async with session.get(f"{sim.url}/control/state?log=1") as response:
        state = await response.json()
    account = state["accounts"][sim.api_key]
    assert account["balances"]["ETH"] == {"free": "0.10000000", "locked": "0.00000000"}
    assert (len(account["orders"]), state["prices"]["BTCUSDC"]) == (1, "60000.50000000")
    assert state["requests"]["counts"] == {"POST /api/v3/order": 1}
    assert state["faults"]["injected"] == {"slow": 1}
    assert state["log"][0]["faults"] == ["slow"]
    assert sim.api_secret not in json.dumps(state)
    for wrong in (
        {"do": "stop"},
        {"do": "_ticked"},
        {"do": "set_price", "symbol": "NOPE", "price": "1"},
        {"do": "set_price", "symbol": "BTCUSDC", "price": "-1"},
        {"do": "set_price", "symbol": "BTCUSDC", "price": "many"},
        {"do": "fault", "kind": "volcano"},
        {"do": "set_account", "api_secret": "x"},
        {"do": "walk", "pace": 1},
    ):
        assert (await control(**wrong))[0] is False, wrong


def test_docstring_lists_every_fault_and_switch() -> None:
    """The manual is complete."""
    import simulators.exchange as package
    from simulators.exchange.outside import OutsideControl
    from simulators.exchange.remote import COMMANDS

    manual = package.__doc__ or ""
    assert [kind for kind in FaultKind if f"``{kind}``" not in manual] == []
    starred = set(re.findall(r"``(\w+)\([^`]*\)``\*", manual))
    assert starred == COMMANDS
    assert all(callable(getattr(OutsideControl, name)) for name in COMMANDS)


@pytest.fixture
def free_environment() -> dict[str, str]:
    """The environment of a process of its own."""
    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


async def test_process(socket_enabled: None, free_environment: dict[str, str]) -> None:
    """It says where it listens, serves, and ends when asked to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulators.exchange", "--seed", "3", "--step", "0.5", "--balance", "USDC=50", "--balance", "BTC=0.5"),
        stdout=asyncio.subprocess.PIPE,
        env=free_environment,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
        client = AsyncClient(ready["api_key"], ready["api_secret"])
        client.API_URL = f"{ready['url']}/api"
        balances = (await client.get_account(omitZeroBalances="true"))["balances"]
        assert {row["asset"]: row["free"] for row in balances} == {"BTC": "0.50000000", "USDC": "50.00000000"}
        await client.close_connection()
    finally:
        process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
