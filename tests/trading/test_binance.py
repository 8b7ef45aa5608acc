"""The exchange as python-binance reaches it: what each answer means, what goes over the wire, what stays secret."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import logging
import traceback
from types import SimpleNamespace
from typing import Any

from aiohttp import ClientError, ClientSession, TCPConnector, web
from binance.exceptions import BinanceAPIException
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
import pytest

from custom_components.calvalot.trading.errors import (
    ClockSkew,
    ExchangeError,
    ExchangeUnavailable,
    InvalidKey,
    NotSent,
    NotThere,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from custom_components.calvalot.trading.exchanges import binance_format
from custom_components.calvalot.trading.exchanges.base import Balance, KeyPermissions, OrderPage, OrderRequest, Side
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.host import HostLimits, Hosts
from simulators.exchange import ExchangeSimulator

from .builders import make_order, make_report
from .rig import Clock, Rig


@pytest.fixture
def api(rig: Rig) -> BinanceExchange:
    """The exchange with the account's key."""
    return rig.binance()


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """What it talks to."""
    return rig.exchange


def request(name: str = "cv-name-1", **changes: Any) -> OrderRequest:
    """A purchase of BTC."""
    usual = {"symbol": "BTCUSDC", "side": Side.BUY, "quantity": Decimal("0.00432"), "limit_price": None}
    return OrderRequest(client_order_id=name, **{**usual, **changes})


# Questions


async def test_rules(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """As the exchange lists them, in one request; the stricter of two lot sizes counts."""
    rules = await api.rules(["BTCUSDC", "ETHUSDC"])
    assert list(rules) == ["BTCUSDC", "ETHUSDC"]
    assert sim.count("GET", "/exchangeInfo") == 1
    bitcoin = rules["BTCUSDC"]
    assert (bitcoin.base, bitcoin.quote, bitcoin.trading) == ("BTC", "USDC", True)
    listed = sim.symbol("BTCUSDC")
    assert (bitcoin.step, bitcoin.tick) == (max(listed.step, listed.market_step or 0), listed.tick)
    assert bitcoin.min_notional == listed.min_notional == 5
    assert bitcoin.max_quantity == min(listed.max_quantity, listed.market_max)
    assert bitcoin.quote_step == Decimal("1e-8")
    listed.quote_order_quantity = False
    assert (await api.rules(["BTCUSDC"]))["BTCUSDC"].quote_step is None
    sim.set_symbol_status("BTCUSDC", "BREAK")
    assert not (await api.rules(["BTCUSDC"]))["BTCUSDC"].trading


async def test_rules_of_what_is_not_listed(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """One unlisted symbol refuses the whole request: the others are asked for one by one."""
    assert set(await api.rules(["BTCUSDC", "NOPEUSDC", "ETHUSDC"])) == {"BTCUSDC", "ETHUSDC"}
    assert sim.count("GET", "/exchangeInfo") == 4
    sim.fault("error", code=-1100, path="/exchangeInfo")
    with pytest.raises(Refused):
        await api.rules(["BTCUSDC"])


def test_rules_of_older_and_odd_symbols() -> None:
    """The older name of a filter, no filters at all, an unbounded price."""
    item = {"symbol": "AB", "baseAsset": "A", "quoteAsset": "B", "status": "TRADING", "filters": []}
    bare = binance_format.read_rules(item)
    assert (bare.step, bare.tick, bare.max_quantity, bare.max_price, bare.min_notional) == (0, 0, None, None, 0)
    filters = [
        {"filterType": "MIN_NOTIONAL", "minNotional": "10"},
        {"filterType": "PRICE_FILTER", "tickSize": "0.1", "minPrice": "0.1", "maxPrice": "0"},
        {"filterType": "LOT_SIZE", "stepSize": "0.01", "minQty": "0.02", "maxQty": "0"},
    ]
    rules = binance_format.read_rules({**item, "filters": filters, "isSpotTradingAllowed": False})
    assert (rules.trading, rules.min_notional, rules.step, rules.min_quantity) == (
        False,
        10,
        Decimal("0.01"),
        Decimal("0.02"),
    )
    assert (rules.max_quantity, rules.max_price, rules.min_price) == (None, None, Decimal("0.1"))


async def test_prices(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """All in one request; a missing or zero price is left out, not zero."""
    symbols = ["BTCUSDC", "ETHUSDC", "SOLUSDC"]
    assert await api.prices(symbols) == {symbol: sim.price(symbol) for symbol in symbols}
    sim.remove_price("BTCUSDC")
    sim.remove_price("ETHUSDC", zero=True)
    assert set(await api.prices(symbols)) == {"SOLUSDC"}
    assert sim.count("GET", "/ticker/price") == 2


async def test_balances(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """Free and locked, signed, with the key on this request only."""
    assert await api.balances() == {"USDC": Balance(Decimal(2000), Decimal(0))}
    asked = next(each for each in sim.requests if each.path.endswith("/account"))
    assert asked.api_key == sim.api_key
    assert "X-MBX-APIKEY" not in api._session.headers
    await api.balances()
    assert sim.count("GET", "/time") == 1
    assert api.used_weight == sim.used_weight


async def test_permissions(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """What the key may do; where the host does not tell, the account's word on trading."""
    assert await api.permissions() == KeyPermissions(can_trade=True, can_withdraw=False, ip_restricted=False)
    sim.set_account(withdrawals=True, ip_restrict=True, spot_trading=False)
    assert await api.permissions() == KeyPermissions(can_trade=False, can_withdraw=True, ip_restricted=True)
    sim.set_sapi(available=False)
    assert await api.permissions() == KeyPermissions(can_trade=True, can_withdraw=False, ip_restricted=None)
    sim.set_account(can_trade=False)
    assert not (await api.permissions()).can_trade


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop", "count": 2}, ExchangeUnavailable),  # a question is asked again on a new connection
        ({"kind": "status"}, ExchangeUnavailable),
        ({"kind": "status", "status": 404}, NotThere),
        ({"kind": "status", "status": 302}, ExchangeUnavailable),
        ({"kind": "html"}, ExchangeUnavailable),
        ({"kind": "broken_json"}, ExchangeUnavailable),
        ({"kind": "empty_object"}, ExchangeUnavailable),
        ({"kind": "empty_body"}, ExchangeUnavailable),
        ({"kind": "error_list"}, ExchangeUnavailable),
        ({"kind": "error", "code": -1007}, ExchangeUnavailable),
        ({"kind": "error", "code": -1121, "status": 500}, ExchangeUnavailable),
        ({"kind": "error", "code": -9000, "status": 400}, ExchangeUnavailable),
        ({"kind": "error", "code": -2013}, Refused),
        ({"kind": "error", "code": -1100}, Refused),
        ({"kind": "error", "code": -2015}, InvalidKey),
        ({"kind": "error", "code": -1022}, InvalidKey),
        ({"kind": "error", "code": -2014}, InvalidKey),
        ({"kind": "error", "code": -1002, "status": 401}, InvalidKey),
        ({"kind": "rate_limit"}, RateLimited),
        ({"kind": "rate_limit", "status": 418}, RateLimited),
        ({"kind": "error", "code": -1003, "status": 400}, RateLimited),
    ],
    ids=str,
)
async def test_what_an_answer_to_a_question_means(
    api: BinanceExchange, sim: ExchangeSimulator, fault: dict[str, Any], error: type[ExchangeError]
) -> None:
    """One error for each row of the protocol's table, and exactly that one."""
    await api.server_time()
    sim.fault(path="/account", **fault)
    with pytest.raises(ExchangeError) as caught:
        await api.balances()
    assert type(caught.value) is error
    assert sim.count("GET", "/account") == fault.get("count", 1)


@pytest.mark.parametrize("kind", ["empty_body", "empty_object"])
async def test_an_empty_answer_is_not_none(api: BinanceExchange, sim: ExchangeSimulator, kind: str) -> None:
    """No prices, no orders and no fills are lists without an entry."""
    await api.server_time()
    sim.fault(kind, count=None)
    asks = (
        api.prices(["BTCUSDC"]),
        api.orders_page("BTCUSDC", None, "cv-"),
        api.fills(make_report(make_order())),
        api.traded_orders("BTCUSDC", datetime.now(UTC), None),
        api.find("BTCUSDC", "cv-name-1"),
    )
    for ask in asks:
        with pytest.raises(ExchangeUnavailable):
            await ask


async def test_a_question_without_answer(rig: Rig, sim: ExchangeSimulator) -> None:
    """Time is bounded."""
    sim.fault("hang", path="/ticker/price", seconds=0.6)
    with pytest.raises(ExchangeUnavailable, match="in time"):
        await rig.binance(timeout=0.3).prices(["BTCUSDC"])


async def test_no_connection(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """Told from a broken one: nothing was sent."""
    await sim.stop()
    with pytest.raises(NotSent):
        await api.prices(["BTCUSDC"])
    with pytest.raises(NotSent):
        await api.place(request())
    await sim.start()
    assert await api.prices(["BTCUSDC"])


async def test_a_name_that_cannot_be_found(rig: Rig) -> None:
    """The name of the host is in the question, not in the error."""
    api = BinanceExchange(rig.session, "http://127.0.0.1:1/base/", "", "")
    with pytest.raises(NotSent) as caught:
        await api.prices(["BTCUSDC"])
    assert "127.0.0.1" not in str(caught.value)


# Time


async def test_a_clock_that_runs_away(api: BinanceExchange, sim: ExchangeSimulator, clock: Clock) -> None:
    """A question is asked again with the right time, once."""
    await api.balances()
    sim.advance(3600)
    await api.balances()
    assert abs(api.timestamp() - clock.now() - timedelta(hours=1)) < timedelta(seconds=1)
    assert abs(await api.server_time() - clock.now() - timedelta(hours=1)) < timedelta(seconds=1)
    sim.fault("error", code=-1021, path="/account", count=2)
    before = sim.count("GET", "/account")
    with pytest.raises(ClockSkew):
        await api.balances()
    assert sim.count("GET", "/account") == before + 2
    assert sim.count("GET", "/time") == 5


async def test_before_the_first_request(rig: Rig, clock: Clock) -> None:
    """Our own clock, until the exchange's is known."""
    assert abs(rig.binance().timestamp() - clock.now()) < timedelta(seconds=1)


async def test_no_time_no_order(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """An order whose time stamp cannot be had is not sent."""
    sim.fault("status", path="/time")
    with pytest.raises(NotSent):
        await api.place(request())
    assert sim.count("POST") == 0


# Orders


async def test_a_market_order(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """The FULL answer has all fills."""
    report = await api.place(request(quantity=Decimal("4.320E-3")))
    sent = next(each for each in sim.requests if each.method == "POST").params
    assert (sent["quantity"], sent["type"], sent["newOrderRespType"]) == ("0.00432", "MARKET", "FULL")
    assert (report.client_order_id, report.done, report.executed_quantity) == ("cv-name-1", True, Decimal("0.00432"))
    assert report.fills
    assert sum(fill.amount for fill in report.fills) == report.executed_amount
    assert {fill.fee_asset for fill in report.fills} == {"BTC"}
    assert await api.fills(report) == report.fills
    found = await api.find("BTCUSDC", "cv-name-1")
    assert found
    assert (found.order_id, found.fills, found.executed_amount) == (report.order_id, None, report.executed_amount)
    assert await api.find("BTCUSDC", "cv-name-2") is None


async def test_a_market_order_for_an_amount(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """It goes out without a quantity; what that came to is in the answer, and in what is looked up later."""
    report = await api.place(request(quantity=Decimal(1), quote_amount=Decimal("400.50")))
    sent = next(each for each in sim.requests if each.method == "POST").params
    assert (sent["quoteOrderQty"], sent["type"]) == ("400.5", "MARKET")
    assert "quantity" not in sent
    assert report.quantity == report.executed_quantity == sim.balance("BTC") / (1 - Decimal("0.001"))
    assert 399 < report.executed_amount <= Decimal("400.5")
    found = await api.find("BTCUSDC", "cv-name-1")
    assert found == replace(report, fills=None)


async def test_a_limit_order(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """IOC at the price given, never chased beyond it."""
    report = await api.place(request(limit_price=Decimal("90000.00"), quantity=Decimal(10) / 1000))
    sent = next(each for each in sim.requests if each.method == "POST").params
    assert (sent["type"], sent["timeInForce"], sent["price"], sent["quantity"]) == ("LIMIT", "IOC", "90000", "0.01")
    assert (report.done, report.executed_quantity, report.fills) == (True, 0, ())


async def test_amounts_that_the_exchange_rounded(api: BinanceExchange) -> None:
    """Where price times quantity is not what was paid, its own figures are asked for."""
    answer = {
        "clientOrderId": "n",
        "orderId": 1,
        "symbol": "AB",
        "side": "BUY",
        "status": "FILLED",
        "transactTime": 1000,
        "origQty": "1",
        "executedQty": "1",
        "cummulativeQuoteQty": "2.00000001",
        "fills": [{"price": "2", "qty": "1", "commission": "0", "commissionAsset": "A", "tradeId": 1}],
    }
    assert binance_format.read_report(answer).fills is None
    assert binance_format.read_report({**answer, "cummulativeQuoteQty": "2"}).fills
    for time in ({"transactTime": None, "updateTime": 1000}, {"transactTime": None, "time": 1000}):
        assert binance_format.read_report({**answer, **time}).time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity"])
async def test_amounts_that_are_none(api: BinanceExchange, text: str) -> None:
    """Refused before they reach a book."""
    with pytest.raises(ValueError, match="not an amount"):
        binance_format.read_amount(text)


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"kind": "error", "code": code}, Refused) for code in (-1013, -1111, -1121, -2010, -1014, -1020)]
    + [
        ({"kind": "error", "code": -1021}, ClockSkew),
        ({"kind": "error", "code": -2015}, InvalidKey),
        ({"kind": "status", "status": 404}, OutcomeUnknown),
        ({"kind": "error", "code": -2013}, OutcomeUnknown),
        ({"kind": "status", "status": 302}, OutcomeUnknown),
        ({"kind": "rate_limit"}, OutcomeUnknown),
    ],
    ids=str,
)
async def test_what_an_answer_to_an_order_means(
    api: BinanceExchange, sim: ExchangeSimulator, fault: dict[str, Any], error: type[ExchangeError]
) -> None:
    """Only what says for sure that nothing happened is more than unknown; nothing is sent again."""
    sim.fault(method="POST", path="/order", **fault)
    with pytest.raises(ExchangeError) as caught:
        await api.place(request())
    assert type(caught.value) is error
    assert sim.count("POST", "/order") == 1
    if isinstance(caught.value, Refused):
        assert (caught.value.code, str(fault["code"]) in str(caught.value)) == (fault["code"], True)


async def test_a_look_up_that_fails_is_not_an_absence(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """None means -2013, nothing else."""
    sim.fault("error", code=-1100, path="/order")
    with pytest.raises(Refused):
        await api.find("BTCUSDC", "cv-name-1")


async def test_pages_of_orders(rig: Rig) -> None:
    """Oldest first, each says where the next one begins, and there is an end to it."""
    api = rig.binance(page=2)
    ids = [(await api.place(request(f"cv-name-{number}"))).order_id for number in range(5)]
    first = await api.orders_page("BTCUSDC", None, "cv-")
    assert [each.order_id for each in first.own] == sorted(first.ids) == ids[:2]
    assert (first.cursor, first.more) == (ids[2], True)
    last = await api.orders_page("BTCUSDC", ids[4], "cv-")
    assert ([each.order_id for each in last.own], last.more) == (ids[4:], False)
    assert last.cursor == last.own[0].cursor
    assert await api.orders_page("BTCUSDC", last.cursor, "cv-") == OrderPage()


async def test_orders_of_others(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """Of what is not ours only the ids are read: an old order may say of its amount that nobody knows it any more."""
    sim.add_old_orders("BTCUSDC", 2, amount_unknown=True)
    mine = await api.place(request())
    page = await api.orders_page("BTCUSDC", None, "cv-")
    assert [each.order_id for each in page.own] == [mine.order_id]
    assert len(page.ids) == 3
    with pytest.raises(ExchangeUnavailable):
        await api.orders_page("BTCUSDC", None, "")


async def test_orders_of_a_pair_that_is_not_listed(api: BinanceExchange, sim: ExchangeSimulator) -> None:
    """There are none to be had; another refusal is one."""
    assert await api.orders_page("NOPEUSDC", None, "cv-") == OrderPage()
    sim.fault("error", code=-1100, path="/allOrders")
    with pytest.raises(Refused):
        await api.orders_page("BTCUSDC", None, "cv-")


async def test_traded_orders(rig: Rig, clock: Clock) -> None:
    """Everyone's on the account, however many there are."""
    api = rig.binance(page=2)
    early = await api.place(request())
    clock.advance(60)
    late = [(await api.place(request(f"web-{number}"))).order_id for number in range(4)]
    assert await api.traded_orders("BTCUSDC", clock.now() - timedelta(seconds=30), None) == {*late}
    since = clock.now() - timedelta(seconds=90)
    assert await api.traded_orders("BTCUSDC", since, None) == {early.order_id, *late}
    assert await api.traded_orders("BTCUSDC", since, early.cursor) == {*late}


# Leaving the host alone


@pytest.mark.parametrize("status", [429, 418])
async def test_a_pause_for_all_followers_of_a_host(rig: Rig, sim: ExchangeSimulator, clock: Clock, status: int) -> None:
    """Ten followers send nothing until the host is ready again."""
    followers = [rig.binance(f"key{number}".ljust(64, "0"), "secret") for number in range(10)]
    sim.fault("rate_limit", path="/ticker/price", status=status, seconds=40)
    with pytest.raises(RateLimited) as caught:
        await followers[0].prices(["BTCUSDC"])
    assert 39 < caught.value.retry_at - clock.time() <= 40
    sent = len(sim.requests)
    clock.advance(38)
    for each in followers:
        for ask in (each.prices(["BTCUSDC"]), each.balances(), each.place(request()), each.server_time()):
            with pytest.raises(RateLimited):
                await ask
    assert len(sim.requests) == sent
    clock.advance(3)
    assert await followers[5].prices(["BTCUSDC"])


async def test_requests_on_their_way_into_a_pause(api: BinanceExchange, sim: ExchangeSimulator, clock: Clock) -> None:
    """The longest pause counts."""
    sim.fault("rate_limit", path="/ticker/price", seconds=100)
    sim.fault("rate_limit", path="/exchangeInfo", seconds=5)
    done = await asyncio.gather(api.prices(["BTCUSDC"]), api.rules(["BTCUSDC"]), return_exceptions=True)
    assert [type(each) for each in done] == [RateLimited] * 2
    clock.advance(90)
    with pytest.raises(RateLimited):
        await api.prices(["BTCUSDC"])


async def test_requests_that_wait_for_a_connection(rig: Rig, sim: ExchangeSimulator) -> None:
    """They are not sent any more once the host wants none, and an order among them was not placed."""
    async with ClientSession(connector=TCPConnector(limit=1)) as session:
        api = rig.binance(session=session)
        await api.server_time()
        sim.forget_requests()
        sim.fault("rate_limit", path="/ticker/price", when="after", seconds=40)
        asked: list[Awaitable[Any]] = [
            api.prices(["BTCUSDC"]),
            *(api.balances() for _ in range(9)),
            api.place(request()),
        ]
        done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in done] == [RateLimited] * len(asked)
    assert len(sim.requests) == 1


@pytest.mark.parametrize("header", [None, "soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_pause_without_an_end(header: str | None) -> None:
    """A minute, where the host does not say how long."""
    limits = HostLimits(clock=lambda: 100.0)
    assert limits.wait(header).retry_at == 160


def test_limits_of_a_host() -> None:
    """The same for everyone who asks; another port is another host."""
    hosts = Hosts()
    limits = hosts.limits("https://host/api")
    assert limits is hosts.limits("https://HOST/other")
    assert limits is not hosts.limits("https://host:8443")


async def test_limits_are_shared_by_default(sim: ExchangeSimulator) -> None:
    """Portfolios that were made without a word on limits stop together."""
    async with ClientSession() as session:
        one, other = (BinanceExchange(session, sim.url) for _ in range(2))
        sim.fault("rate_limit", path="/ticker/price", seconds=40)
        for each in (one, other):
            with pytest.raises(RateLimited):
                await each.prices(["BTCUSDC"])
    assert sim.count("GET", "/ticker/price") == 1


# Keys and secrets


def pem() -> str:
    """A new Ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize("mangle", [str, lambda text: text.replace("\n", ""), lambda text: text.replace("\n", "\\n")])
async def test_an_asymmetric_key(rig: Rig, sim: ExchangeSimulator, mangle: Any) -> None:
    """Parsed, whatever a form did to its line breaks; the stand-in has HMAC keys only and refuses the signature."""
    api = rig.binance(None, mangle(pem()))
    with pytest.raises(InvalidKey):
        await api.balances()
    signed = next(each for each in sim.requests if each.path.endswith("/account"))
    assert signed.status == 400


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----!!!-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ],
)
async def test_a_key_that_cannot_be_read(rig: Rig, secret: str) -> None:
    """An invalid key, not an accident."""
    with pytest.raises(InvalidKey):
        await rig.binance(None, secret).balances()


async def test_without_a_key(rig: Rig) -> None:
    """Public data needs none; signed requests are refused."""
    api = rig.binance("", "")
    assert await api.prices(["BTCUSDC"])
    for ask in (api.balances(), api.permissions(), api.find("BTCUSDC", "name"), api.place(request())):
        with pytest.raises(InvalidKey):
            await ask
    assert rig.exchange.count("GET", "/account") == 0


async def test_a_wrong_secret(rig: Rig) -> None:
    """-1022."""
    with pytest.raises(InvalidKey):
        await rig.binance(None, "wrong").balances()


async def test_redirects_are_not_followed(rig: Rig) -> None:
    """A signed request goes to the host that the owner named, to no other."""
    reached: list[str] = []

    async def answer(asked: web.Request) -> web.Response:
        reached.append(asked.path)
        return web.Response(status=307, headers={"Location": f"{rig.exchange.url}{asked.path_qs}"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = BinanceExchange(rig.session, f"http://127.0.0.1:{runner.addresses[0][1]}", "k", "s")
    with pytest.raises(ExchangeUnavailable):
        await api.balances()
    await runner.cleanup()
    assert reached
    assert not rig.exchange.requests


async def test_no_secret_is_told(rig: Rig, sim: ExchangeSimulator, caplog: pytest.LogCaptureFixture) -> None:
    """Not in what is raised, in its chain, or in a log at its chattiest."""
    caplog.set_level(logging.DEBUG)
    api = rig.binance()
    await api.server_time()
    shown = []
    faults: list[dict[str, Any]] = [
        {"kind": "drop", "count": 2},
        *({"kind": kind} for kind in ("html", "status", "broken_json", "error_list", "empty_object")),
        *({"kind": "error", "code": code} for code in (-1022, -2015, -2010, -1007, -1100)),
    ]
    for fault in faults:
        for method, ask in (("GET", api.balances), ("POST", lambda: api.place(request()))):
            sim.clear_faults()
            sim.fault(method=method, **fault)
            with pytest.raises(ExchangeError) as caught:
                await ask()
            shown += [*traceback.format_exception(caught.value), repr(caught.value), repr(vars(caught.value))]
            assert caught.value.__context__ is None or caught.value.__suppress_context__
    sim.clear_faults()
    await api.place(request())
    shown.append(repr(api) + repr(await api.permissions()))
    told = "\n".join(shown) + caplog.text
    for secret in (sim.api_secret, sim.api_key, "signature="):
        assert secret not in told


async def test_errors_that_the_library_does_not_name(api: BinanceExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that is no number, a broken connection below the library."""
    response = SimpleNamespace(headers={})
    error = BinanceAPIException(response, 400, '{"code": "many", "msg": "words"}')
    assert type(api._meaning(error, OutcomeUnknown)) is OutcomeUnknown
    client = await api._client()

    async def breaks(**_: object) -> None:
        raise ClientError("http://host/?signature=abc")

    monkeypatch.setattr(client, "get_symbol_ticker", breaks)
    with pytest.raises(ExchangeUnavailable, match="broke"):
        await api.prices(["BTCUSDC"])
