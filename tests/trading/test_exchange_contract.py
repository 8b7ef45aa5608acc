"""What every exchange has to do the same way, each against its own stand-in.

A further adapter adds a `Venue` and its name; one that sends orders over a network also says how answers are lost and refused.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
import itertools
from typing import Any

import pytest

from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.errors import (
    ClockSkew,
    ExchangeError,
    InvalidKey,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from custom_components.calvalot.trading.exchanges.base import (
    Exchange,
    OrderPage,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    RestingOrder,
    Side,
)
from custom_components.calvalot.trading.exchanges.kraken.connection import NonceRefused
from custom_components.calvalot.trading.exchanges.paper import PaperExchange

from .rig import Rig

COIN, OTHER, QUOTE = "BTC", "ETH", "USDC"
SYMBOL, OTHER_SYMBOL = "BTCUSDC", "ETHUSDC"
QUANTITY = Decimal("0.00432")


@dataclass
class Venue:
    """An exchange on its stand-in: `hold` gives the account coins, `move` multiplies the price, `lost` and `refused` name faults of the next order.

    `refused` maps each to what it means. `keeps` is whether the exchange has an account that keeps orders, `lacking` are the kinds of
    order that it does not have.
    """

    exchange: Exchange
    rig: Rig
    price: Callable[[str], Decimal]
    remove_price: Callable[[str], None]
    hold: Callable[[str, Decimal], None]
    move: Callable[[Decimal], None]
    keeps: bool
    lacking: frozenset[OrderType] = frozenset()
    limited: Callable[[], Any] = lambda: None
    lost: Mapping[str, Callable[[], Any]] = field(default_factory=dict[str, Callable[[], Any]])
    refused: Mapping[str, tuple[Callable[[], Any], type[ExchangeError]]] = field(
        default_factory=dict[str, tuple[Callable[[], Any], type[ExchangeError]]]
    )
    names: itertools.count[int] = field(default_factory=itertools.count)

    async def look(self) -> Mapping[str, Decimal]:
        """Rules and prices, as each cycle asks for them before it trades."""
        await self.exchange.rules([SYMBOL, OTHER_SYMBOL])
        return await self.exchange.prices([SYMBOL, OTHER_SYMBOL])

    def request(self, side: Side = Side.BUY, **changes: Any) -> OrderRequest:
        """An order under a name of its own."""
        usual = {"symbol": SYMBOL, "side": side, "quantity": QUANTITY, "limit_price": None}
        return OrderRequest(client_order_id=f"cv-tag123-name-{next(self.names)}", **{**usual, **changes})

    async def place(self, side: Side = Side.BUY, **changes: Any) -> OrderReport:
        """Have an order placed."""
        return await self.exchange.place(self.request(side, **changes))


def _binance(rig: Rig) -> Venue:
    sim = rig.exchange

    def fault(kind: str, **options: Any) -> Callable[[], Any]:
        return lambda: sim.fault(kind, method="POST", path="/order", **options)

    def hold(coin: str, quantity: Decimal) -> None:
        sim.set_balance(coin, quantity)

    return Venue(
        exchange=rig.binance(),
        rig=rig,
        price=sim.price,
        remove_price=sim.remove_price,
        hold=hold,
        move=lambda factor: _move(rig, factor),
        keeps=True,
        limited=fault("rate_limit", seconds=30),
        lost={
            f"{kind} {when}": fault(kind, when=when)
            for kind in ("drop", "html", "status", "broken_json", "empty_object", "empty_body")
            for when in ("before", "after")
        },
        refused={
            "balance": (fault("error", code=-2010), Refused),
            "filter": (fault("error", code=-1013), Refused),
            "key": (fault("error", code=-2015), InvalidKey),
            "clock": (fault("error", code=-1021), ClockSkew),
        },
    )


def _move(rig: Rig, factor: Decimal) -> None:
    rig.exchange.set_price(SYMBOL, (rig.exchange.price(SYMBOL) * factor).quantize(Decimal("0.01")))


def _paper(rig: Rig) -> Venue:
    return Venue(
        exchange=PaperExchange(rig.binance("", ""), rig.clock.now),
        rig=rig,
        lacking=frozenset({OrderType.TRAILING_STOP}),
        price=rig.exchange.price,
        remove_price=rig.exchange.remove_price,
        hold=lambda *_: None,
        move=lambda factor: _move(rig, factor),
        keeps=False,
    )


def _kraken(rig: Rig) -> Venue:
    sim = rig.exchange

    def fault(kind: str, **options: Any) -> Callable[[], Any]:
        return lambda: sim.fault(kind, path="/AddOrder", **options)

    def said(words: str) -> Callable[[], Any]:
        return fault("error", message=words)

    def hold(coin: str, quantity: Decimal) -> None:
        sim.set_balance(coin, quantity)

    return Venue(
        exchange=rig.kraken(),
        rig=rig,
        price=sim.price,
        remove_price=sim.remove_price,
        hold=hold,
        move=lambda factor: _move(rig, factor),
        keeps=True,
        lacking=frozenset({OrderType.FILL_OR_KILL, OrderType.TRAILING_STOP}),
        limited=fault("rate_limit"),
        lost={
            **{
                f"{kind} {when}": fault(kind, when=when)
                for kind in ("drop", "html", "status", "broken_json", "empty_object", "empty_body", "empty_list")
                for when in ("before", "after")
            },
            **{words: said(words) for words in ("EService:Unavailable", "EService:Busy", "EGeneral:Internal error")},
            "no look-up": lambda: sim.fault("drop", path="/QueryOrders"),
        },
        refused={
            "funds": (said("EOrder:Insufficient funds"), Refused),
            "arguments": (said("EGeneral:Invalid arguments:volume"), Refused),
            "mode": (said("EService:Market in cancel_only mode"), Refused),
            "key": (said("EAPI:Invalid key"), InvalidKey),
            "permission": (said("EGeneral:Permission denied"), InvalidKey),
            "deadline": (said("EService:Deadline elapsed"), ClockSkew),
            "nonce": (said("EAPI:Invalid nonce"), NonceRefused),
        },
    )


VENUES: Mapping[str, Callable[[Rig], Venue]] = {"binance": _binance, "paper": _paper, "kraken": _kraken}
REMOTE = ("binance", "kraken")


@pytest.fixture(params=VENUES)
def venue(request: pytest.FixtureRequest, rig: Rig, kraken_rig: Rig) -> Venue:
    """Each of the exchanges."""
    return VENUES[request.param](kraken_rig if request.param == "kraken" else rig)


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest, rig: Rig, kraken_rig: Rig) -> Venue:
    """Those that orders are sent to over a network."""
    return VENUES[request.param](kraken_rig if request.param == "kraken" else rig)


# Questions


async def test_rules(venue: Venue) -> None:
    """Of what is listed, under our own symbols; what is not is missing."""
    rules = await venue.exchange.rules([SYMBOL, OTHER_SYMBOL, "NOPEUSDC"])
    assert {symbol: (each.base, each.quote, each.trading) for symbol, each in rules.items()} == {
        SYMBOL: (COIN, QUOTE, True),
        OTHER_SYMBOL: (OTHER, QUOTE, True),
    }
    for each in rules.values():
        assert each.min_notional > 0
        assert each.step > 0
        assert each.round_quantity(ONE + each.step / 2) == ONE


async def test_prices(venue: Venue) -> None:
    """Decimals, to the last digit; one that is missing is left out, not zero."""
    assert await venue.look() == {symbol: venue.price(symbol) for symbol in (SYMBOL, OTHER_SYMBOL)}
    venue.remove_price(OTHER_SYMBOL)
    assert set(await venue.look()) == {SYMBOL}


async def test_an_account_or_none(venue: Venue) -> None:
    """An exchange that keeps orders has balances, an owner and permissions; paper has none of them."""
    exchange = venue.exchange
    assert exchange.keeps_orders is venue.keeps
    answers = [await exchange.balances(), await exchange.account_id(), await exchange.permissions()]
    assert [answer is not None for answer in answers] == [venue.keeps] * 3


async def test_clocks(venue: Venue) -> None:
    """In UTC, and near each other."""
    for moment in (await venue.exchange.server_time(), venue.exchange.timestamp()):
        assert moment.utcoffset() == timedelta(0)
        assert abs(moment - venue.rig.clock.now()) < timedelta(seconds=30)


# Orders


def check(report: OrderReport, side: Side) -> None:
    """A report of an order that was executed as a whole, with its fills."""
    assert (report.status, report.done, report.symbol, report.side) == (OrderStatus.FILLED, True, SYMBOL, side)
    fills = report.fills or ()
    assert fills
    assert sum((fill.quantity for fill in fills), ZERO) == report.executed_quantity
    assert sum((fill.amount for fill in fills), ZERO) == report.executed_amount
    assert {fill.order_id for fill in fills} == {report.order_id}
    assert len({fill.trade_id for fill in fills}) == len(fills)
    assert all(fill.fee > 0 and fill.fee_asset for fill in fills)
    assert all(isinstance(each, str) and each for fill in fills for each in (fill.trade_id, fill.order_id))


async def with_fills(venue: Venue, report: OrderReport) -> OrderReport:
    """A report with its fills: an exchange may have them asked for."""
    return report if report.fills is not None else replace(report, fills=await venue.exchange.fills(report))


@pytest.mark.parametrize("side", Side)
async def test_a_market_order(venue: Venue, side: Side) -> None:
    """Its fills add up, and the exchange's own figures of them are the same."""
    venue.hold(COIN, ONE)
    await venue.look()
    report = await venue.place(side)
    report = await with_fills(venue, report)
    check(report, side)
    assert report.executed_quantity == report.quantity == QUANTITY
    fills = sorted(await venue.exchange.fills(report), key=lambda fill: fill.trade_id)
    assert [(fill.quantity, fill.amount, fill.fee) for fill in fills] == [
        (fill.quantity, fill.amount, fill.fee) for fill in sorted(report.fills or (), key=lambda fill: fill.trade_id)
    ]


async def test_a_market_order_that_meets_a_thin_book(remote: Venue) -> None:
    """What was filled counts, whatever the end is called."""
    await remote.look()
    remote.rig.exchange.set_depth(SYMBOL, 200)
    report = await with_fills(remote, await remote.place())
    assert (report.status, report.done) == (OrderStatus.EXPIRED, True)
    assert 0 < report.executed_quantity < report.quantity
    check(replace(report, status=OrderStatus.FILLED), Side.BUY)


@pytest.mark.parametrize("side", Side)
async def test_fees(venue: Venue, side: Side) -> None:
    """In the asset that the rules say, and no more than they say; the account agrees to the last digit."""
    venue.hold(COIN, ONE)
    await venue.look()
    rules = (await venue.exchange.rules([SYMBOL]))[SYMBOL]
    before = dict(venue.rig.exchange.balances())
    report = await with_fills(venue, await venue.place(side))
    fills = report.fills or ()
    in_quote = rules.fee_in_quote or side is Side.SELL
    assert {fill.fee_asset for fill in fills} == {QUOTE if in_quote else COIN}
    fee = sum((fill.fee for fill in fills), ZERO)
    assert 0 < fee <= (report.executed_amount if in_quote else report.executed_quantity) * rules.fee
    if venue.keeps:
        after, sign = venue.rig.exchange.balances(), 1 if side is Side.BUY else -1
        got = sign * report.executed_quantity - (ZERO if in_quote else fee)
        paid = sign * report.executed_amount + (fee if in_quote else ZERO)
        assert after.get(COIN, ZERO) - before.get(COIN, ZERO) == got
        assert before[QUOTE] - after[QUOTE] == paid


@pytest.mark.parametrize("side", Side)
async def test_a_limit_that_cannot_be_met(venue: Venue, side: Side) -> None:
    """Nothing is filled, and nothing rests."""
    venue.hold(COIN, ONE)
    price = (await venue.look())[SYMBOL]
    limit = (price * (Decimal("0.97") if side is Side.BUY else Decimal("1.03"))).quantize(Decimal("0.01"))
    report = await venue.place(side, limit_price=limit)
    assert (report.status, report.done) == (OrderStatus.EXPIRED, True)
    assert (report.executed_quantity, report.executed_amount) == (0, 0)
    assert report.fills in {None, ()}


@pytest.mark.parametrize("side", Side)
async def test_a_limit_that_can_be_met(venue: Venue, side: Side) -> None:
    """No fill is worse than the limit."""
    venue.hold(COIN, ONE)
    price = (await venue.look())[SYMBOL]
    limit = (price * (Decimal("1.003") if side is Side.BUY else Decimal("0.997"))).quantize(Decimal("0.01"))
    report = await with_fills(venue, await venue.place(side, limit_price=limit))
    check(report, side)
    worse = [fill for fill in report.fills or () if (fill.price > limit) is (side is Side.BUY) and fill.price != limit]
    assert not worse


async def test_an_order_for_an_amount(venue: Venue) -> None:
    """It never costs more than that."""
    await venue.look()
    if (await venue.exchange.rules([SYMBOL]))[SYMBOL].quote_step is None:
        with pytest.raises(Refused):
            await venue.place(quote_amount=Decimal(100))
        return
    report = await venue.place(quote_amount=Decimal(100))
    check(report, Side.BUY)
    assert 98 < report.executed_amount <= 100


async def test_names_of_orders_and_trades(venue: Venue) -> None:
    """None twice."""
    await venue.look()
    reports = [await with_fills(venue, await venue.place()) for _ in range(3)]
    trades = [fill.trade_id for report in reports for fill in report.fills or ()]
    assert len({report.order_id for report in reports}) == 3
    assert len(set(trades)) == len(trades)


# What rests


async def resting(venue: Venue, side: Side = Side.BUY, factor: str = "0.95", **changes: Any) -> RestingOrder:
    """Have a limit placed that is not met."""
    venue.hold(COIN, ONE)
    price = ((await venue.look())[SYMBOL] * Decimal(factor)).quantize(Decimal("0.01"))
    request = venue.request(side, **{"type": OrderType.LIMIT, "limit_price": price, **changes})
    return RestingOrder(request, await venue.exchange.place(request))


async def ended(venue: Venue, order: RestingOrder) -> OrderReport | None:
    """What became of an order whose end was asked for."""
    report = await venue.exchange.cancel(order)
    return report or await venue.exchange.find(SYMBOL, order.request.client_order_id)


@pytest.mark.parametrize(("side", "factor"), [(Side.BUY, "0.95"), (Side.SELL, "1.05")])
async def test_a_limit_that_rests(venue: Venue, side: Side, factor: str) -> None:
    """Until it is cancelled; what is asked of it says what it is."""
    order = await resting(venue, side, factor)
    report = order.report
    assert (report.status, report.done, report.executed_quantity) == (OrderStatus.NEW, False, 0)
    (known,) = (await venue.exchange.progress([order])).values()
    assert (known.order_id, known.status, known.type) == (report.order_id, OrderStatus.NEW, OrderType.LIMIT)
    assert (known.limit_price, known.quantity) == (order.request.limit_price, QUANTITY)
    end = await ended(venue, order)
    assert end
    assert (end.status, end.executed_quantity) == (OrderStatus.CANCELLED, 0)


@pytest.mark.parametrize(("side", "factor", "move"), [(Side.BUY, "0.95", "0.93"), (Side.SELL, "1.05", "1.07")])
async def test_a_limit_that_is_reached(venue: Venue, side: Side, factor: str, move: str) -> None:
    """It is filled at its own price."""
    order = await resting(venue, side, factor)
    venue.move(Decimal(move))
    await venue.look()
    (report,) = (await venue.exchange.progress([order])).values()
    fills = report.fills or await venue.exchange.fills(report)
    check(replace(report, fills=fills), side)
    assert {fill.price for fill in fills} == {order.request.limit_price}
    if venue.keeps:
        with pytest.raises(Refused):
            await venue.exchange.cancel(order)


async def pair(venue: Venue, high: str = "1.05", low: str = "0.95") -> list[RestingOrder]:
    """Have a target and a stop placed that end each other."""
    venue.hold(COIN, ONE)
    price = (await venue.look())[SYMBOL]
    target, stop = ((price * Decimal(factor)).quantize(Decimal("0.01")) for factor in (high, low))
    requests = (
        venue.request(Side.SELL, type=OrderType.LIMIT, limit_price=target),
        venue.request(Side.SELL, type=OrderType.STOP_LOSS, stop_price=stop),
    )
    reports = await venue.exchange.place_pair("cv-tag123-pair-1-p", *requests)
    return [RestingOrder(request, report) for request, report in zip(requests, reports, strict=True)]


@pytest.mark.parametrize(("move", "acts"), [("1.08", 0), ("0.92", 1)])
async def test_one_of_a_pair_ends_the_other(venue: Venue, move: str, acts: int) -> None:
    """The target at its price, the stop at what the market gives."""
    if not venue.exchange.pairs:
        with pytest.raises(Refused):
            await pair(venue)
        return
    orders = await pair(venue)
    assert len({order.report.pair for order in orders} - {""}) == 1
    assert {report.status for report in (await venue.exchange.progress(orders)).values()} == {OrderStatus.NEW}
    venue.move(Decimal(move))
    await venue.look()
    reports = await venue.exchange.progress(orders)
    statuses = [reports[order.request.client_order_id].status for order in orders]
    assert statuses[acts] is OrderStatus.FILLED
    assert statuses[1 - acts] is OrderStatus.EXPIRED


async def test_a_pair_is_cancelled(venue: Venue) -> None:
    """Both of it; asked again does no harm."""
    if not venue.exchange.pairs:
        return
    orders = await pair(venue)
    for order in orders:
        with suppress(Refused):
            await venue.exchange.cancel(order)
    if venue.keeps:
        ends = (await venue.exchange.progress(orders)).values()
        assert {report.status for report in ends} == {OrderStatus.CANCELLED}


async def test_what_would_act_at_once(venue: Venue) -> None:
    """A stop above the price, a pair that the price is not between: a definite refusal."""
    venue.hold(COIN, ONE)
    price = (await venue.look())[SYMBOL]
    stop = (price * Decimal("1.05")).quantize(Decimal("0.01"))
    with pytest.raises(Refused):
        await venue.place(Side.SELL, type=OrderType.STOP_LOSS, stop_price=stop)
    for high, low in (("0.98", "0.95"), ("1.05", "1.02")):
        with pytest.raises(Refused):
            await pair(venue, high, low)


async def test_kinds_of_order(venue: Venue) -> None:
    """What an exchange has is what it says; what it lacks the cycle does."""
    assert venue.exchange.types == frozenset(OrderType) - venue.lacking
    for kind in venue.lacking if venue.keeps else ():
        with pytest.raises(Refused):
            await venue.place(Side.SELL, type=kind)


async def test_a_stop_alone(venue: Venue) -> None:
    """It waits, and can be ended."""
    order = await resting(venue, Side.SELL, type=OrderType.STOP_LOSS, limit_price=None, stop_price=Decimal(80000))
    (known,) = (await venue.exchange.progress([order])).values()
    assert (known.status, known.type, known.stop_price) == (OrderStatus.NEW, OrderType.STOP_LOSS, Decimal(80000))
    end = await ended(venue, order)
    assert end
    assert end.status is OrderStatus.CANCELLED


# What is kept


async def test_an_order_is_found(venue: Venue) -> None:
    """By its client order id, where the exchange keeps orders; one that was never placed is not."""
    await venue.look()
    report = await venue.place()
    found = await venue.exchange.find(SYMBOL, report.client_order_id)
    assert (found.order_id if found else None) == (report.order_id if venue.keeps else None)
    if found:
        assert (found.status, found.executed_quantity, found.executed_amount, found.cursor) == (
            report.status,
            report.executed_quantity,
            report.executed_amount,
            report.cursor,
        )
    assert await venue.exchange.find(SYMBOL, "cv-tag123-never-1") is None


async def test_orders_from_a_cursor_on(venue: Venue) -> None:
    """All that came after an order, and nothing that came before; foreign ones by their ids only."""
    await venue.look()
    exchange = venue.exchange
    first = await venue.place()
    second = await venue.place()
    foreign = await exchange.place(
        OrderRequest(client_order_id="web-1", symbol=SYMBOL, side=Side.BUY, quantity=QUANTITY, limit_price=None)
    )
    everything = await exchange.orders_page(SYMBOL, None, "cv-tag123-")
    later = await exchange.orders_page(SYMBOL, first.cursor, "cv-tag123-")
    if not venue.keeps:
        assert everything == later == OrderPage()
        return
    assert [report.order_id for report in everything.own] == [first.order_id, second.order_id]
    assert everything.ids == {first.order_id, second.order_id, foreign.order_id}
    assert [report.order_id for report in later.own] == [second.order_id]
    assert not later.more
    assert not (await exchange.orders_page(SYMBOL, later.cursor, "cv-tag123-")).ids


async def test_orders_that_traded(venue: Venue) -> None:
    """Since a time and from a cursor on, whosever they are."""
    await venue.look()
    rig = venue.rig
    since = rig.clock.now() - timedelta(minutes=1)
    first, second = await venue.place(), await venue.place()
    everything = {first.order_id, second.order_id} if venue.keeps else set[str]()
    assert await venue.exchange.traded_orders(SYMBOL, since, None) == everything
    assert await venue.exchange.traded_orders(SYMBOL, since, first.cursor) == everything - {first.order_id}
    assert await venue.exchange.traded_orders(SYMBOL, rig.clock.now() + timedelta(minutes=1), None) == frozenset()


# What goes wrong


async def test_a_lost_answer_is_unknown(remote: Venue) -> None:
    """However it is lost: it may have been executed, and a look-up says whether it was."""
    await remote.look()
    rig, called = remote.rig, remote.exchange.order_name
    for lose in remote.lost.values():
        order = remote.request()
        rig.exchange.set_balance(QUOTE, 2000)
        lose()
        with pytest.raises(OutcomeUnknown):
            await remote.exchange.place(order)
        rig.clock.advance(30)
        found = await remote.exchange.find(SYMBOL, order.client_order_id)
        there = {each.client_order_id for each in rig.exchange.orders}
        assert (found is not None) is (called(order.client_order_id) in there)


async def test_what_is_refused_was_never_placed(remote: Venue) -> None:
    """Each refusal has its own error, and leaves nothing behind."""
    await remote.look()
    for refuse, error in remote.refused.values():
        order = remote.request()
        remote.rig.clock.advance(30)
        refuse()
        with pytest.raises(ExchangeError) as caught:
            await remote.exchange.place(order)
        assert type(caught.value) is error
        assert await remote.exchange.find(SYMBOL, order.client_order_id) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal("0.000001")},
        {"quantity": Decimal("0.004321987")},
        {"quantity": Decimal(10_000)},
        {"symbol": "NOPEUSDC"},
        {"limit_price": Decimal("91234.5678912")},
        {"quantity": Decimal("0.00001")},
    ],
    ids=str,
)
async def test_filters(remote: Venue, changes: Mapping[str, Any]) -> None:
    """Steps, ticks, minimums, what is not listed and what cannot be paid for: a definite refusal."""
    await remote.look()
    with pytest.raises(Refused):
        await remote.place(**changes)


async def test_too_many_requests(remote: Venue) -> None:
    """Nothing more is sent until the exchange wants it again; the order that met the limit was refused, or is unclear."""
    await remote.look()
    rig = remote.rig
    remote.limited()
    with pytest.raises((OutcomeUnknown, RateLimited)):
        await remote.place()
    asked = len(rig.exchange.requests)
    with pytest.raises(RateLimited):
        await remote.place()
    assert len(rig.exchange.requests) == asked
    rig.clock.advance(61)
    check(await with_fills(remote, await remote.place()), Side.BUY)


async def test_no_connection(remote: Venue) -> None:
    """An order that never went out is not unclear."""
    await remote.look()
    await remote.rig.exchange.stop()
    with pytest.raises(NotSent):
        await remote.place()
