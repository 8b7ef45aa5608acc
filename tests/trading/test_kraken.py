"""Kraken as the adapter reaches it: names, what goes over the wire, the queue of a key, pages, what stays secret."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import logging
import time
import traceback
from typing import Any

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
from custom_components.calvalot.trading.exchanges.base import (
    Balance,
    KeyPermissions,
    OrderRequest,
    OrderStatus,
    OrderType,
    RestingOrder,
    Side,
)
from custom_components.calvalot.trading.exchanges.kraken import (
    KrakenExchange,
    connection,
    exchange,
    format as kraken_format,
    market,
    orders,
)
from custom_components.calvalot.trading.exchanges.kraken.connection import NonceRefused
from custom_components.calvalot.trading.exchanges.kraken.names import asset_of, earning, order_name, pair_name
from custom_components.calvalot.trading.exchanges.symbols import Pair
from custom_components.calvalot.trading.explanation import Explanation
from custom_components.calvalot.trading.market.candles import TimeFrame
from simulators.kraken import KrakenSimulator

from .rig import Rig

BTC = "BTCEUR"


@pytest.fixture
def sim(kraken: KrakenSimulator) -> KrakenSimulator:
    """What it talks to."""
    return kraken


@pytest.fixture
def api(kraken_rig: Rig) -> KrakenExchange:
    """The exchange with the account's key."""
    return kraken_rig.kraken()


def request(name: str = "cv-abcdef-name-1", **changes: Any) -> OrderRequest:
    """A purchase of BTC."""
    usual = {"symbol": BTC, "side": Side.BUY, "quantity": Decimal("0.001"), "limit_price": None}
    return OrderRequest(client_order_id=name, **{**usual, **changes})


def limit(name: str = "cv-abcdef-name-1", price: str = "70000") -> OrderRequest:
    """One that rests."""
    return request(name, type=OrderType.LIMIT, limit_price=Decimal(price))


# Names


@pytest.mark.parametrize(
    ("code", "asset"),
    [
        ("XXBT", "BTC"),
        ("XBT", "BTC"),
        ("ZEUR", "EUR"),
        ("EUR", "EUR"),
        ("XXDG", "DOGE"),
        ("XETH", "ETH"),
        ("SOL", "SOL"),
        ("XBT.F", "BTC"),
        ("USDC.F", "USDC"),
        ("XBT.M", "BTC.M"),
        ("ETH2.S", "ETH2.S"),
        ("ZETA", "ZETA"),
        ("XTZ", "XTZ"),
        ("XCN", "XCN"),
    ],
)
def test_assets(code: str, asset: str) -> None:
    """As everybody else calls them; only the letters of the first days are taken off."""
    assert asset_of(code) == asset


def test_names_of_pairs_and_what_earns() -> None:
    """In both places of a pair; staked coins stand for their coin."""
    pairs = {"BTCEUR": "XBTEUR", "ETHBTC": "ETHXBT", "DOGEEUR": "XDGEUR", "SOLEUR": "SOLEUR"}
    assert {symbol: pair_name(symbol) for symbol in pairs} == pairs
    assert [earning(asset) for asset in ("ETH.S", "BTC.M", "BTC", ".S")] == ["ETH", "BTC", None, None]


def test_names_of_orders() -> None:
    """32 hex digits from our own name; the first eight are those of the follower, and what has them already stays."""
    names = [order_name(f"cv-abcdef-{'x' * 18}-{attempt}") for attempt in (1, 2)]
    assert len({*names, order_name("cv-abcdeg-1")}) == 3
    for name in names:
        assert len(name) == 32
        assert int(name, 16) >= 0
        assert name.startswith(order_name("cv-abcdef-"))
        assert order_name(name) == name
    assert len(order_name("web-1")) == 32


# Questions


async def test_fees_of_the_account(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """Those that it pays; without a key the highest of the pair's list, without an answer those of the last one."""

    async def fee(exchange: KrakenExchange) -> Decimal:
        return (await exchange.rules([BTC, "EURUSDC"]))[BTC].fee

    sim.set_fee("0.0035")
    assert await fee(kraken_rig.kraken("", "")) == Decimal("0.004")
    await api.rules(["EURUSDC"])
    assert sim.count(path="/TradeVolume") == 0
    sim.fault("error", path="/TradeVolume", message="EGeneral:Permission denied")
    assert await fee(api) == Decimal("0.004")
    assert await fee(api) == Decimal("0.0035")
    sim.set_fee("0.003")
    sim.fault("status", path="/TradeVolume")
    assert await fee(api) == Decimal("0.0035")
    assert await fee(api) == Decimal("0.003")


async def test_rules(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """As the exchange lists them; the highest fee of the list counts, in quote beside what is bought."""
    rules = await api.rules([BTC, "DOGEEUR"])
    assert sim.count(path="/AssetPairs?pair=XBTEUR%2CXDGEUR") == 0
    assert sim.count("GET", "/AssetPairs") == 1
    bitcoin = rules[BTC]
    assert (bitcoin.base, bitcoin.quote, bitcoin.tick) == ("BTC", "EUR", Decimal("0.1"))
    assert (bitcoin.step, bitcoin.min_quantity, bitcoin.min_notional) == (
        Decimal("1e-8"),
        Decimal("0.00005"),
        Decimal("0.5"),
    )
    assert (bitcoin.fee, bitcoin.fee_in_quote, bitcoin.quote_step) == (Decimal("0.004"), True, None)
    sim.set_symbol_status(BTC, "HALT")
    assert not (await api.rules([BTC]))[BTC].trading


async def test_many_rules(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """More than an address should name are read from the list of all; so are prices."""
    symbols = [BTC, "ETHEUR", *(f"NO{number}EUR" for number in range(60))]
    assert set(await api.rules(symbols)) == {BTC, "ETHEUR"}
    assert sim.count("GET", "/AssetPairs") == 1
    assert {BTC, "ETHUSDC", "DOGEEUR"} <= await api.listed()


async def test_many_that_are_not_listed(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """They refuse a request as a whole: of some each is asked for, of more than that the list of all."""
    assert set(await api.rules([BTC, "NO1EUR", "NO2EUR"])) == {BTC}
    assert sim.count("GET", "/AssetPairs") == 4
    symbols = [BTC, "EURUSDC", *(f"NO{number}EUR" for number in range(20))]
    assert set(await api.rules(symbols)) == {BTC, "EURUSDC"}
    assert sim.count("GET", "/AssetPairs") == 6


async def test_rules_of_older_and_odd_pairs() -> None:
    """Without a second name none for us; without a tick its decimals, without a list of fees the usual one."""
    item = {"altname": "AB", "status": "online", "lot_decimals": 2, "pair_decimals": 3, "ordermin": "1"}
    found = kraken_format.read_listings({"AB": {**item, "wsname": "A/B"}, "CD": item})
    assert list(found) == ["AB"]
    rules = found["AB"].rules
    assert (rules.tick, rules.min_notional, rules.fee) == (Decimal("0.001"), 0, Decimal("0.004"))


async def test_a_rate_that_is_listed_the_other_way_round(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """USDC/EUR says what a euro is worth; nothing can be traded there."""
    rules = await api.rules(["EURUSDC", "EURNOPE", "USDCNOPE"])
    assert list(rules) == ["EURUSDC"]
    assert rules["EURUSDC"].round_quantity(Decimal(100)) == 0
    prices = await api.prices(["EURUSDC", BTC])
    assert prices == {"EURUSDC": 1 / sim.price("USDCEUR"), BTC: sim.price(BTC)}


async def test_prices(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """A missing or zero price is left out; what is not listed is not asked for."""
    sim.remove_price("ETHEUR")
    sim.remove_price("SOLEUR", zero=True)
    assert await api.prices([BTC, "ETHEUR", "SOLEUR", "NOPEEUR"]) == {BTC: sim.price(BTC)}
    assert await api.prices(["NOPEEUR"]) == {}


async def test_balances(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """Free and held; what earns rewards by itself is the coin, what is staked is apart."""
    await api.place(limit())
    sim.set_balance("BTC", "0.2")
    sim.set_balance("BTC.F", "0.5")
    sim.set_balance("ETH.S", "0.3")
    sim.set_balance("SOL", 0)
    balances = await api.balances()
    held = Decimal(70) * Decimal("1.004")
    assert balances["EUR"] == Balance(2000 - held, held)
    assert balances["BTC"] == Balance(Decimal("0.7"))
    assert balances["ETH.S"] == Balance(Decimal("0.3"))
    assert "SOL" not in balances
    assert api.earning("ETH.S") == "ETH"
    account, again = await api.holdings()
    assert again == balances
    assert account == await api.account_id()
    assert account.uid
    assert sim.count(path="/GetApiKeyInfo") == 1


async def test_permissions(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """A key that cannot look up what became of an order cannot trade."""
    assert await api.permissions() == KeyPermissions(can_trade=True, can_withdraw=False, ip_restricted=False)
    sim.set_account(withdrawals=True, ip_restrict=True, spot_trading=False)
    sim.set_account(ip_allowed=True)
    assert await api.permissions() == KeyPermissions(can_trade=False, can_withdraw=True, ip_restricted=True)
    sim.set_account(spot_trading=True, reading=False)
    assert not (await api.permissions()).can_trade


async def test_what_is_said_of_a_key(kraken_rig: Rig, sim: KrakenSimulator) -> None:
    """Without a number of the account the key says whose it is; permissions that cannot be read are none."""
    sim.set_key_info(iban=None)
    api = kraken_rig.kraken()
    account = await api.account_id()
    assert (account.uid, account.host) == (None, api.host)
    sim.set_key_info(permissions="withdraw-funds")
    with pytest.raises(ExchangeUnavailable):
        await api.permissions()


async def test_candles(
    api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a span, in floats; only as many as there are."""
    for _ in range(10):
        kraken_rig.clock.advance(60)
        sim.walk()
    monkeypatch.setattr(market, "BETWEEN", 0)
    end = int(time.time()) // 60 * 60
    candles = await api.candles(BTC, TimeFrame.M1, end - 300, end)
    assert [candle.opened for candle in candles] == [*range(end - 300, end, 60)]
    assert all(candle.low <= candle.close <= candle.high for candle in candles)
    with pytest.raises(Refused):
        await api.candles("NOPEEUR", TimeFrame.M1, 0, 60)


ANSWERS: list[tuple[Mapping[str, Any], type[ExchangeError]]] = [
    ({"kind": "drop"}, ExchangeUnavailable),
    ({"kind": "status"}, ExchangeUnavailable),
    ({"kind": "status", "status": 404}, NotThere),
    ({"kind": "status", "status": 302}, ExchangeUnavailable),
    ({"kind": "status", "status": 429}, RateLimited),
    ({"kind": "html"}, ExchangeUnavailable),
    ({"kind": "broken_json"}, ExchangeUnavailable),
    ({"kind": "empty_object"}, ExchangeUnavailable),
    ({"kind": "empty_body"}, ExchangeUnavailable),
    ({"kind": "empty_list"}, ExchangeUnavailable),
    ({"kind": "error", "message": "EService:Unavailable"}, ExchangeUnavailable),
    ({"kind": "error", "message": "EOrder:Internal error"}, ExchangeUnavailable),
    ({"kind": "error", "message": "EWhatever:New"}, ExchangeUnavailable),
    ({"kind": "error", "message": "EGeneral:Invalid arguments"}, Refused),
    ({"kind": "error", "message": "EQuery:Unknown asset pair"}, Refused),
    ({"kind": "error", "message": "EAPI:Invalid key"}, InvalidKey),
    ({"kind": "error", "message": "EAPI:Invalid signature"}, InvalidKey),
    ({"kind": "error", "message": "EGeneral:Permission denied"}, InvalidKey),
    ({"kind": "error", "message": "EAPI:Invalid nonce", "count": 2}, ClockSkew),
    ({"kind": "error", "message": "EAPI:Rate limit exceeded"}, RateLimited),
    ({"kind": "error", "message": "EGeneral:Temporary lockout"}, RateLimited),
    ({"kind": "error", "message": "EService:Throttled: 1"}, RateLimited),
    ({"kind": "error", "message": "EService:Throttled"}, RateLimited),
    ({"kind": "error", "message": "EService: Throttled: 1741500000"}, RateLimited),
    ({"kind": "error", "message": "EAuth:Too many requests"}, RateLimited),
    ({"kind": "error", "message": "EAuth:Account temporary disabled"}, InvalidKey),
    ({"kind": "error", "message": "EAccount:Invalid permissions:BTC/EUR trading restricted for FR."}, Refused),
    ({"kind": "error", "message": "EBM:limit exceeded:CAL"}, Refused),
]


@pytest.mark.parametrize(("fault", "error"), ANSWERS, ids=str)
async def test_what_an_answer_to_a_question_means(
    api: KrakenExchange, sim: KrakenSimulator, fault: dict[str, Any], error: type[ExchangeError]
) -> None:
    """One error for each answer."""
    sim.fault(path="/BalanceEx", **fault)
    with pytest.raises(error) as caught:
        await api.balances()
    assert error in {type(caught.value), *type(caught.value).__mro__[:3]}
    assert sim.count(path="/BalanceEx") == fault.get("count", 1)


async def test_a_warning_is_no_error(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """Only what begins with an E is one; an answer without a result cannot be read."""
    sim.fault("error", path="/BalanceEx", message="WGeneral:Something")
    with pytest.raises(ExchangeUnavailable, match="read"):
        await api.balances()


async def test_a_question_without_answer(kraken_rig: Rig, sim: KrakenSimulator) -> None:
    """Time is bounded."""
    sim.fault("hang", path="/Time", seconds=0.6)
    slow = KrakenExchange(kraken_rig.session, sim.url, timeout=0.3)
    with pytest.raises(ExchangeUnavailable, match="in time"):
        await slow.server_time()


async def test_keys(kraken_rig: Rig) -> None:
    """Without one nothing is signed; one that is no base64 cannot be used."""
    for key, secret in (("", ""), ("key", "no base64!")):
        with pytest.raises(InvalidKey):
            await kraken_rig.kraken(key, secret).balances()
    assert kraken_rig.kraken().used_weight is None


async def test_a_clock_that_runs_away(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """The deadline of an order is by the exchange's clock; one that came too late takes the time again."""
    assert abs(await api.server_time() - kraken_rig.clock.now()) < timedelta(seconds=3)
    sim.advance(600)
    with pytest.raises(ClockSkew):
        await api.place(request())
    await api.place(request("cv-abcdef-name-2"))
    assert abs(api.timestamp() - kraken_rig.clock.now() - timedelta(seconds=600)) < timedelta(seconds=3)
    sim.fault("drop", path="/Time", count=3)
    other = kraken_rig.kraken()
    with pytest.raises(NotSent):
        await other.place(request("cv-abcdef-name-3"))


# The queue of a key


async def test_one_after_the_other(kraken_rig: Rig, sim: KrakenSimulator) -> None:
    """However many ask at the same time, with whichever object: each nonce is larger than the one before."""
    first, second = kraken_rig.kraken(), kraken_rig.kraken()
    await asyncio.gather(*(each.balances() for each in (first, second) * 3))
    nonces = [int(asked.params["nonce"]) for asked in sim.requests if "nonce" in asked.params]
    assert nonces == sorted({*nonces})
    assert len(nonces) == 6
    assert all(not asked.params.get("signature") for asked in sim.requests)


async def test_a_nonce_that_another_program_took(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """A question goes further and further ahead; an order is refused for sure, and the next one goes through."""
    await api.balances()
    sim.set_nonce(int((time.time() + 30) * 1_000_000))
    await api.balances()
    await api.rules([BTC])
    sim.set_nonce(int((time.time() + 3600) * 1_000_000))
    for _ in range(2):
        with pytest.raises(NonceRefused):
            await api.place(request())
    assert not sim.orders
    assert (await api.place(request())).done


async def test_the_counter(
    api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has no room for is not sent; orders are, and what became of them has room of its own."""
    monkeypatch.setattr(exchange, "PATIENCE", 0)
    await api.rules([BTC])
    for _ in range(7):
        await api.balances()
    assert api.pause > 0
    asked = len(sim.requests)
    with pytest.raises(RateLimited):
        await api.balances()
    assert len(sim.requests) == asked
    report = await api.place(request())
    assert await api.fills(report)
    kraken_rig.clock.advance(60)
    assert api.pause == 0
    assert await api.balances()
    assert not [each for each in sim.requests if each.status != 200]


async def test_questions_about_orders_wait_for_room(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """Up to a few seconds; the exchange itself has nothing to refuse."""
    sim.set_counter(15)
    for number in range(5):
        report = await api.place(request(f"cv-abcdef-name-{number}"))
        assert await api.fills(report)
    began = time.monotonic()
    assert await api.place(request("cv-abcdef-name-9"))
    assert time.monotonic() - began > 1


async def test_questions_about_orders_do_not_wait_for_ever(
    api: KrakenExchange, sim: KrakenSimulator, monkeypatch: pytest.MonkeyPatch, kraken_rig: Rig
) -> None:
    """What has no room is not sent; later it is."""
    monkeypatch.setattr(orders, "PATIENCE", 0)
    for number in range(5):
        report = await api.place(request(f"cv-abcdef-name-{number}"))
        assert await api.fills(report)
    asked = len(sim.requests)
    with pytest.raises(RateLimited):
        await api.fills(report)
    assert len(sim.requests) == asked
    kraken_rig.clock.advance(60)
    assert await api.fills(report)


async def test_an_order_that_waited_too_long(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """Its deadline would be over before it is there: it is not sent."""
    await api.rules([BTC])
    await api.server_time()
    sim.fault("slow", path="/BalanceEx", seconds=0.3)
    asking = asyncio.create_task(api.balances())
    await asyncio.sleep(0.05)
    placing = asyncio.create_task(api.place(request()))
    await asyncio.sleep(0.05)
    kraken_rig.clock.advance(60)
    await asking
    with pytest.raises(NotSent, match="too long"):
        await placing
    assert not sim.orders


# Orders


async def test_what_goes_over_the_wire(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """Plain decimals, names of theirs, the fee in quote, a deadline."""
    await api.place(request(quantity=Decimal("1.20E-3"), limit_price=Decimal("70000.0")))
    await api.place(limit("cv-abcdef-name-2"))
    stop = {"side": Side.SELL, "type": OrderType.STOP_LOSS, "stop_price": Decimal(60000)}
    sim.set_balance("BTC", 1)
    await api.place(request("cv-abcdef-name-3", **stop))
    first, second, third = (each.params for each in sim.requests if each.path.endswith("/AddOrder"))
    assert (first["pair"], first["type"], first["volume"], first["price"]) == ("XBTEUR", "buy", "0.0012", "70000")
    assert (first["ordertype"], first["timeinforce"], first["oflags"]) == ("limit", "IOC", "fciq")
    assert first["cl_ord_id"] == order_name("cv-abcdef-name-1")
    assert first["deadline"].endswith("Z")
    assert "timeinforce" not in second
    assert (third["ordertype"], third["price"]) == ("stop-loss", "60000")


async def test_orders_at_once_are_looked_up_together(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """One question for all orders of a batch, and one for all their trades."""
    await api.rules([BTC])
    reports = await asyncio.gather(*(api.place(request(f"cv-abcdef-name-{number}")) for number in range(4)))
    fills = await asyncio.gather(*(api.fills(report) for report in reports))
    assert all(fills)
    assert sim.count(path="/QueryOrders") == 1
    assert sim.count(path="/QueryTrades") == 1


async def test_a_joined_question_that_fails(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """It fails for everybody who joined it; asked again it does not."""
    reports = await asyncio.gather(*(api.place(request(f"cv-abcdef-name-{number}")) for number in range(2)))
    sim.fault("drop", path="/QueryTrades")
    found = await asyncio.gather(*(api.fills(report) for report in reports), return_exceptions=True)
    assert [type(each) for each in found] == [ExchangeUnavailable] * 2
    assert all(await asyncio.gather(*(api.fills(report) for report in reports)))


async def test_a_joined_question_that_is_given_up(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """Whoever joined one that was cancelled hears that it was not answered."""
    reports = await asyncio.gather(*(api.place(request(f"cv-abcdef-name-{number}")) for number in range(2)))
    sim.fault("slow", path="/QueryTrades", seconds=0.5)
    asking = [asyncio.create_task(api.fills(report)) for report in reports]
    await asyncio.sleep(0.2)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert isinstance(found[1], ExchangeUnavailable)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "path": "/QueryOrders", "message": "EOrder:Unknown order"},
        {"kind": "error", "path": "/QueryOrders", "message": "EAPI:Invalid key"},
        {"kind": "broken_json", "path": "/QueryOrders"},
        {"kind": "late", "path": "/AddOrder"},
    ],
    ids=str,
)
async def test_an_order_that_is_not_seen_yet(api: KrakenExchange, sim: KrakenSimulator, fault: dict[str, Any]) -> None:
    """It was sent: whatever its look-up says, what became of it is unknown."""
    await api.rules([BTC])
    sim.fault(**fault)
    with pytest.raises(OutcomeUnknown):
        await api.place(request())
    sim.advance(30)
    found = await api.find(BTC, "cv-abcdef-name-1")
    assert found
    assert found.status is OrderStatus.FILLED


async def test_looking_for_orders(kraken_rig: Rig, api: KrakenExchange, sim: KrakenSimulator) -> None:
    """By their names: resting ones, ended ones, and those of an earlier run; among more than a page of others, too."""
    await api.place(limit())
    other = kraken_rig.kraken()
    found = await other.find(BTC, "cv-abcdef-name-1")
    assert found
    assert (found.status, found.type, found.limit_price) == (OrderStatus.NEW, OrderType.LIMIT, Decimal(70000))
    assert await other.find(BTC, "cv-abcdef-name-2") is None
    sim.add_old_orders(BTC, 60)
    sim.fault("drop", path="/AddOrder", when="after")
    with pytest.raises(OutcomeUnknown):
        await api.place(request("cv-abcdef-name-3"))
    kraken_rig.clock.advance(60)
    assert await api.find(BTC, "cv-abcdef-name-3")


async def test_orders_that_rest(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """All in one question; one whose number is not known is looked for, one that is gone is missing."""
    requests = [limit(f"cv-abcdef-name-{number}") for number in range(3)]
    resting = [RestingOrder(each, await api.place(each)) for each in requests]
    unnumbered = RestingOrder(requests[2], replace(resting[2].report, order_id=""))
    sim.trade_against(order_name("cv-abcdef-name-0"), "0.0004")
    sim.cancel_order(order_name("cv-abcdef-name-1"))
    gone = RestingOrder(limit("cv-abcdef-name-9"), unnumbered.report)
    unknown = RestingOrder(limit("cv-abcdef-name-8"), replace(resting[2].report, order_id="OXXXXX-XXXXX-XXXXXX"))
    reports = await api.progress([*resting[:2], unnumbered, gone, unknown])
    assert len(reports) == 3
    assert [reports[each.client_order_id].status for each in requests] == [
        OrderStatus.PARTLY_FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.NEW,
    ]
    assert await api.cancel(unnumbered) is None
    with pytest.raises(Refused):
        await api.cancel(resting[1])


async def test_pages_of_orders(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """Oldest first, fifty at a time, those that are open at last; of other pairs nothing."""
    mine = await api.place(request())
    kraken_rig.clock.advance(1)
    for _ in range(70):
        kraken_rig.clock.advance(1)
        sim.add_old_orders(BTC, 1)
    sim.add_old_orders("ETHEUR", 3)
    await api.place(limit("cv-abcdef-name-2"))
    first = await api.orders_page(BTC, None, "cv-abcdef-")
    assert ([each.order_id for each in first.own], len(first.ids), first.more) == ([mine.order_id], 50, True)
    second = await api.orders_page(BTC, first.cursor, "cv-abcdef-")
    assert ([each.status for each in second.own], len(second.ids), second.more) == ([OrderStatus.NEW], 22, False)
    assert await api.orders_page(BTC, second.cursor, "cv-abcdef-") == type(second)(cursor=second.cursor)
    whole = await api.orders_page(BTC, None, "cv-abcdef-name-1")
    assert [each.client_order_id for each in whole.own] == ["cv-abcdef-name-1"]
    kraken_rig.clock.advance(60)
    traded = await api.traded_orders(BTC, kraken_rig.clock.now() - timedelta(hours=1), None)
    assert traded == {mine.order_id}


async def test_fees_in_the_base(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """An order that asked for them is booked so."""
    report = await api.place(request())
    (order,) = sim.orders
    order.fee_in_base = True
    assert {fill.fee_asset for fill in await api.fills(report)} == {"EUR"}
    again = await api.find(BTC, "cv-abcdef-name-1")
    assert again
    assert {fill.fee_asset for fill in await api.fills(again)} == {"BTC"}


async def test_trades_that_cannot_be_had(api: KrakenExchange, sim: KrakenSimulator) -> None:
    """No fills are better than wrong ones."""
    report = await api.place(request())
    sim.fault("error", path="/QueryTrades", message="EService:Busy")
    with pytest.raises(ExchangeUnavailable):
        await api.fills(report)
    sim.fault("error", path="/QueryOrders", message="EOrder:Unknown order")
    with pytest.raises(ExchangeUnavailable, match="not seen"):
        await api.fills(report)
    assert await api.fills(report)
    (order,) = sim.orders
    trades = order.trades
    order.trades = [replace(trades[0], price=Decimal(-1)), *trades[1:]]
    with pytest.raises(ExchangeUnavailable, match="read"):
        await api.fills(report)
    order.trades = trades[:-1]
    with pytest.raises(ExchangeUnavailable, match="not all"):
        await api.fills(report)
    order.executed = Decimal(-1)
    with pytest.raises(ExchangeUnavailable, match="read"):
        await api.find(BTC, report.client_order_id)


async def test_only_so_much_is_remembered(api: KrakenExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten is asked for."""
    monkeypatch.setattr(orders, "REMEMBERED", 1)
    reports = [await api.place(request(f"cv-abcdef-name-{number}")) for number in range(3)]
    assert all([await api.fills(report) for report in reports])
    assert await api.find(BTC, reports[0].client_order_id)


async def test_orders_that_come_while_pages_are_read(
    api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig
) -> None:
    """The oldest are not missed for that."""
    for _ in range(60):
        kraken_rig.clock.advance(1)
        sim.add_old_orders(BTC, 1)
    await api.rules([BTC])
    sim.fault("slow", path="/ClosedOrders", skip=1, seconds=0.3)
    reading = asyncio.create_task(api.orders_page(BTC, None, "cv-abcdef-"))
    await asyncio.sleep(0.15)
    sim.add_old_orders(BTC, 1)
    page = await reading
    oldest = {sim.order_name(order) for order in sim.orders[:50]}
    assert (page.ids, page.more) == (oldest, True)


async def test_more_trades_than_a_page(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """All of them count."""
    for _ in range(60):
        kraken_rig.clock.advance(1)
        sim.trade_by_hand(BTC, "BUY", "0.0001")
    traded = await api.traded_orders(BTC, kraken_rig.clock.now() - timedelta(hours=1), None)
    assert len(traded) == 60


async def test_a_large_answer(api: KrakenExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read off the event loop, with the same figures."""
    usual = await api.rules([BTC])
    monkeypatch.setattr(connection, "LARGE", 10)
    assert await api.rules([BTC]) == usual


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity"])
def test_amounts_that_are_none(text: str) -> None:
    """Refused before they reach a book; so is a list where an object has to be."""
    with pytest.raises(ValueError, match="not an amount"):
        kraken_format.read_amount(text)
    with pytest.raises(TypeError):
        kraken_format.read_mapping([])


# History


async def test_a_long_history(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """The newest five pages of it."""
    began = kraken_rig.clock.now() - timedelta(seconds=5)
    for _ in range(260):
        sim.deposit("ETH", "0.01")
    until = kraken_rig.clock.now() + timedelta(seconds=5)
    found = await api.movements(Explanation.DEPOSIT, (), began, until)
    assert len(found) == 250


async def test_movements(api: KrakenExchange, sim: KrakenSimulator, kraken_rig: Rig) -> None:
    """What came and went, by what it was; a row that cannot be read is left out."""
    sim.set_balance("BTC", 1)
    began = datetime.fromtimestamp(time.time() - 5, UTC)
    sim.deposit("ETH", "2")
    sim.withdraw("BTC", "0.1", fee="0.001")
    sim.convert("EUR", "100", "SOL", "0.8")
    sim.reward("ETH", "0.01")
    reward = {"type": "reward", "refid": "R1", "time": time.time(), "asset": "SOL", "amount": "0.2", "fee": "0"}
    sim.add_row("odd", reward)
    moved = {**reward, "type": "earn", "subtype": "autoallocation", "refid": "A1"}
    sim.add_row("odd", {**moved, "asset": "XXBT", "amount": "-0.5"})
    sim.add_row("odd", {**moved, "asset": "XBT.F", "amount": "0.5"})
    sim.add_row("odd", {"type": "deposit", "refid": "D1", "time": time.time(), "asset": "BTC", "amount": "none"})
    sim.trade_by_hand(BTC, "SELL", "0.01")
    sim.trade_by_hand("ETHEUR", "BUY", "0.1")
    until = kraken_rig.clock.now() + timedelta(seconds=5)

    async def changes(kind: Explanation) -> list[Mapping[str, Decimal]]:
        kraken_rig.clock.advance(30)
        return [each.changes for each in await api.movements(kind, [Pair("BTC", "EUR")], began, until)]

    assert await changes(Explanation.DEPOSIT) == [{"ETH": 2}]
    assert await changes(Explanation.WITHDRAWAL) == [{"BTC": Decimal("-0.101")}]
    assert await changes(Explanation.CONVERSION) == [{"EUR": -100, "SOL": Decimal("0.8")}]
    rewards = await changes(Explanation.REWARD)
    assert sorted(rewards, key=str) == [{"ETH": Decimal("0.01")}, {"SOL": Decimal("0.2")}]
    assert await changes(Explanation.DUST) == []
    kraken_rig.clock.advance(30)
    trades = await api.movements(Explanation.TRADE, [Pair("BTC", "EUR")], began, until)
    assert {trade.symbol for trade in trades} == {BTC}
    assert sum(trade.changes["BTC"] for trade in trades) == Decimal("-0.01")
    assert len({trade.order_id for trade in trades}) == 1


# Secrets


async def test_errors_hold_no_secret(
    api: KrakenExchange, sim: KrakenSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither key nor signature nor address is in what is raised or logged."""
    caplog.set_level(logging.DEBUG, "custom_components.calvalot")
    for kind in ("drop", "html", "broken_json", "error"):
        sim.fault(kind, path="/BalanceEx")
        with pytest.raises(ExchangeError) as caught:
            await api.balances()
        told = "".join(traceback.format_exception(caught.value)) + caplog.text
        for secret in (sim.api_key, sim.api_secret):
            assert secret not in told
        assert "127.0.0.1" not in str(caught.value)
