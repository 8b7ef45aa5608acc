"""Every order at most once: each answer of the protocol's table, each crash, each storage fault, for buys and sells."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
import itertools
from typing import Any

import pytest

from custom_components.calvalot.trading.bookings import Bookings, Execution
from custom_components.calvalot.trading.errors import ExchangeError, ExchangeUnavailable, InvalidKey, NotSent
from custom_components.calvalot.trading.exchanges.base import OrderPage, OrderReport, OrderRequest, OrderStatus, Side
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.executor import Executor
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import (
    Book,
    CashFlow,
    FlowKind,
    OrderRecord,
    OrderState,
    SignalRecord,
)
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.order_names import OrderNames, follower_tag
from custom_components.calvalot.trading.portfolio import BookError
from custom_components.calvalot.trading.rebuild import Rebuild
from custom_components.calvalot.trading.settings import Settings
from custom_components.calvalot.trading.signal import RECOVERED, SignalKey
from custom_components.calvalot.trading.sizing import PlannedOrder

from .builders import key
from .rig import ENTRY, ZERO, Rig

SIGNAL = "signal-1"
QUANTITY = Decimal("0.00432")
PRICES = {"BNB": Decimal(900)}


@dataclass
class Bench:
    """An executor on a book with 1,000 USDC and, for sells, the BTC that it bought."""

    rig: Rig
    ledger: Ledger
    exchange: BinanceExchange
    executor: Executor
    bought: Decimal = ZERO
    rebuilding: Rebuild | None = None

    def planned(
        self, side: Side, quantity: Decimal = QUANTITY, coin: str = "BTC", limit: str = "", costs: str = ""
    ) -> PlannedOrder:
        """An order as the planner makes it."""
        price = self.rig.exchange.price(f"{coin}USDC")
        return PlannedOrder(
            coin=coin,
            symbol=f"{coin}USDC",
            side=side,
            quantity=quantity,
            price=price,
            amount=quantity * price,
            limit_price=Decimal(limit) if limit else None,
            quote_amount=Decimal(costs) if costs else None,
        )

    async def execute(self, side: Side, signal_id: str = SIGNAL, **options: Any) -> OrderRecord:
        """Have one order done."""
        (record,) = await self.executor.execute(key(signal_id), [self.planned(side, **options)], PRICES)
        return record

    async def settle(self, *, after: float = 120) -> tuple[OrderRecord, ...]:
        """Settle as the next cycle does."""
        self.rig.clock.advance(after)
        return await self.executor.settle(PRICES)

    def reopen(self) -> None:
        """The process died and starts again on the same file."""
        self.ledger.close()
        self.ledger = self.rig.ledger()
        self.ledger.open()
        self.exchange = self.rig.binance()
        self.executor = make_executor(self.rig, self.exchange, self.ledger)

    async def rebuild(self) -> tuple[OrderRecord, ...]:
        """Look for what the ledger lacks, as a start does; returns what was booked."""
        names = OrderNames(self.ledger, ENTRY)
        self.rebuilding = Rebuild(
            self.exchange, self.ledger, names, make_bookings(self.rig, self.ledger), self.executor
        )
        return await self.rebuilding.go_on({"BTCUSDC": "BTC", "ETHUSDC": "ETH"}, {}, PRICES)

    def executions(self, side: Side) -> list[Decimal]:
        """What the exchange executed of our orders of a side, the stock for sells not counted."""
        done = [order.executed for order in self.rig.orders(side=side) if order.executed]
        return done[1:] if side is Side.BUY and self.bought else done

    def agree(self) -> None:
        """The book is what the account says, to the last digit, and each fill is in it once."""
        book = self.ledger.book().portfolio
        assert self.ledger.replay() == book
        assert book.quantity("BTC") == self.rig.exchange.balance("BTC")
        assert book.cash - book.paid_in == self.rig.exchange.balance("USDC") - 2000
        booked = self.ledger.trades()
        assert sum((trade.quantity for trade in booked), ZERO) == sum(
            (order.executed for order in self.rig.orders()), ZERO
        )


def make_executor(rig: Rig, exchange: Any, ledger: Ledger) -> Executor:
    """An executor whose pauses move the clock only."""
    return Executor(exchange, ledger, OrderNames(ledger, ENTRY), make_bookings(rig, ledger), rig.clock.now, rig.sleep)


def make_bookings(rig: Rig, ledger: Ledger) -> Bookings:
    """What books the orders of an executor."""
    return Bookings(ledger, "BNB", rig.clock.now)


@pytest.fixture
async def bench(rig: Rig) -> AsyncGenerator[Bench]:
    """A book with cash."""
    ledger = rig.ledger()
    ledger.open()
    paid_in = Decimal(1000)
    flow = CashFlow(
        kind=FlowKind.INITIAL, amount=paid_in, amount_quote=paid_in, time=rig.clock.now(), value_before=ZERO
    )
    ledger.add_flow(flow, Book(portfolio=Book().portfolio.with_flow(paid_in), net_deposits=paid_in))
    exchange = rig.binance()
    await exchange.balances()  # as in each cycle: the clocks are compared before anything is sent
    bench = Bench(rig, ledger, exchange, make_executor(rig, exchange, ledger))
    yield bench
    bench.ledger.close()


@pytest.fixture
def patches() -> Iterator[pytest.MonkeyPatch]:
    """Patches that a test takes back while the clock's stay."""
    with pytest.MonkeyPatch.context() as patches:
        yield patches


@pytest.fixture(params=list(Side))
async def side(request: pytest.FixtureRequest, bench: Bench) -> Side:
    """Both sides; for sells the book has bought before."""
    if request.param is Side.SELL:
        bought = await bench.execute(Side.BUY, "stock", quantity=Decimal("0.00434"))
        assert bought.state is OrderState.BOOKED
        bench.bought = bought.executed_quantity
    return Side(request.param)


# The answers

LOST = [
    *(
        (kind, when, {})
        for kind in ("drop", "html", "status", "broken_json", "empty_object", "empty_body")
        for when in ("before", "after")
    ),
    *(("error_list", when, {}) for when in ("before", "after")),
    *(("hang", when, {"seconds": 0.8}) for when in ("before", "after")),
    *(("error", when, {"code": code}) for code in (-1000, -1001, -1006, -1007, -1008) for when in ("before", "after")),
    *(("error", when, {"code": code, "status": 400}) for code in (-1000, -1006) for when in ("before", "after")),
    # Any code with a status of 500 and above says nothing, a refusal's neither.
    *(("error", when, {"code": -2010, "status": 500}) for when in ("before", "after")),
    *(("rate_limit", when, {"seconds": 5}) for when in ("before", "after")),
    *(("rate_limit", when, {"seconds": 5, "status": 418}) for when in ("before", "after")),
    *(("error", when, {"code": -1003, "status": 400}) for when in ("before", "after")),
    *(("error", when, {"code": -1015}) for when in ("before", "after")),
    ("wrong_id", "after", {}),
    ("status_new", "after", {}),
]


@pytest.mark.parametrize(("kind", "when", "options"), LOST, ids=lambda value: str(value) if value else "")
async def test_an_unclear_answer_is_looked_up(
    bench: Bench, side: Side, kind: str, when: str, options: dict[str, Any]
) -> None:
    """Executed once where it was, proven absent where it was not, and never sent again by itself."""
    if kind == "hang":
        bench.exchange = bench.rig.binance(timeout=0.4)
        bench.executor = make_executor(bench.rig, bench.exchange, bench.ledger)
    fault = bench.rig.exchange.fault(kind, when=when, method="POST", path="/order", **options)
    record = await bench.execute(side)
    assert fault.hits == 1
    for _ in range(2):
        if not record.state.settled:
            assert [each.client_order_id for each in bench.ledger.in_flight()] == [record.client_order_id]
            (record,) = await bench.settle()
    if when == "after":
        assert record.state is OrderState.BOOKED
        assert bench.executions(side) == [QUANTITY]
    else:
        assert record.state is OrderState.NOT_PLACED
        assert bench.executions(side) == []
    assert bench.rig.exchange.count("POST", "/order") == (2 if bench.bought else 1)
    assert bench.rig.exchange.count("GET", "/order") >= 1
    bench.agree()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_slow_answer_is_an_answer(bench: Bench, side: Side, when: str) -> None:
    """Waiting is not failing."""
    bench.rig.exchange.fault("slow", when=when, method="POST", path="/order", seconds=0.2)
    assert (await bench.execute(side)).state is OrderState.BOOKED
    assert bench.executions(side) == [QUANTITY]
    bench.agree()


async def test_an_order_that_is_seen_late(bench: Bench, side: Side) -> None:
    """Look-ups that miss it prove nothing before the fence."""
    bench.rig.exchange.fault("late", method="POST", path="/order", seconds=20)
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    record = await bench.execute(side)
    assert record.state is OrderState.UNKNOWN
    assert bench.rig.clock.pauses == [0.0, 0.5, 1.0, 2.0]
    assert bench.executor.problem
    assert await bench.settle(after=5) == ()
    (record,) = await bench.settle(after=20)
    assert record.state is OrderState.BOOKED
    assert bench.executions(side) == [QUANTITY]
    bench.agree()


async def test_an_order_that_is_not_done(bench: Bench, side: Side) -> None:
    """NEW in the answer and in each look-up: it is there, so it is never taken for absent."""
    bench.rig.exchange.fault("status_new", path="/order", count=9)
    record = await bench.execute(side)
    assert record.state is OrderState.UNKNOWN
    assert await bench.settle() == ()
    (record,) = await bench.settle()
    assert record.state is OrderState.BOOKED
    assert bench.executions(side) == [QUANTITY]
    bench.agree()


async def test_an_order_that_is_executed_late(bench: Bench, side: Side) -> None:
    """The fence waits for as long as the exchange may still execute it."""
    bench.rig.exchange.fault("delayed", method="POST", path="/order", seconds=14)
    record = await bench.execute(side)
    assert record.state is OrderState.UNKNOWN
    assert await bench.settle(after=5) == ()
    (record,) = await bench.settle(after=10)
    assert record.state is OrderState.BOOKED
    assert bench.executions(side) == [QUANTITY]
    bench.agree()


async def test_the_fence_counts_from_the_latest_time_stamp(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that slept between the intent and the request may not count its sleep as waiting."""
    update = bench.ledger.update_orders

    def sleep(records: Any) -> None:
        update(records)
        if records[0].state is OrderState.SENDING:
            bench.rig.clock.advance(3600)

    monkeypatch.setattr(bench.ledger, "update_orders", sleep)
    bench.rig.exchange.fault("late", method="POST", path="/order", seconds=15)
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    record = await bench.execute(Side.BUY)
    assert record.state is OrderState.UNKNOWN
    (record,) = await bench.settle(after=30)
    assert record.state is OrderState.BOOKED
    bench.agree()


async def test_absence_is_proven_by_the_exchange_s_clock(bench: Bench) -> None:
    """25 seconds of the exchange, and look-ups that are spread out, not 25 of our own."""
    bench.rig.exchange.fault("drop", method="POST", path="/order")
    await bench.execute(Side.BUY)
    assert await bench.settle(after=0) == ()
    bench.rig.exchange.advance(-60)
    assert await bench.settle(after=30) == ()
    bench.rig.exchange.advance(60)
    assert [each.state for each in await bench.settle(after=0)] == [OrderState.NOT_PLACED]


@pytest.mark.parametrize("seen_in", ["order", "allOrders", "myTrades"])
async def test_absence_is_disproven_by_whatever_shows_it(
    bench: Bench, seen_in: str, patches: pytest.MonkeyPatch
) -> None:
    """An order that only one of the queries knows may not be sent again."""
    bench.rig.exchange.fault("late", method="POST", path="/order", seconds=30)
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    await bench.execute(Side.BUY)
    find, orders_page, traded_orders = bench.exchange.find, bench.exchange.orders_page, bench.exchange.traded_orders
    finds = itertools.count()

    async def no_order(symbol: str, name: str) -> OrderReport | None:
        # Every other look-up is the last one behind the fence.
        return await find(symbol, name) if seen_in == "order" and next(finds) % 2 else None

    async def no_orders(symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        return await orders_page(symbol, cursor, prefix) if seen_in == "allOrders" else OrderPage()

    async def no_trades(symbol: str, since: Any, cursor: str | None) -> frozenset[str]:
        return await traded_orders(symbol, since, cursor) if seen_in == "myTrades" else frozenset()

    patches.setattr(bench.exchange, "find", no_order)
    patches.setattr(bench.exchange, "orders_page", no_orders)
    patches.setattr(bench.exchange, "traded_orders", no_trades)
    assert await bench.settle() == ()
    assert next(finds) == (8 if seen_in == "order" else 0)
    patches.undo()
    assert [each.state for each in await bench.settle()] == [OrderState.BOOKED]
    bench.agree()


@pytest.mark.parametrize("path", ["/time", "/order", "/allOrders", "/myTrades"])
@pytest.mark.parametrize("kind", ["drop", "html", "status", "empty_object", "empty_body", "error_list", "broken_json"])
async def test_absence_is_not_proven_by_a_query_that_fails(bench: Bench, path: str, kind: str) -> None:
    """Only an answer that says so tells that there is nothing."""
    bench.rig.exchange.fault("drop", method="POST", path="/order")
    await bench.execute(Side.BUY)
    fault = bench.rig.exchange.fault(kind, method="GET", path=path, count=None)
    assert await bench.settle() == ()
    assert fault.hits
    assert bench.executor.problem
    bench.rig.exchange.clear_faults()
    assert [each.state for each in await bench.settle()] == [OrderState.NOT_PLACED]


async def test_trades_of_others_do_not_hide_an_absence(bench: Bench) -> None:
    """What the owner trades in the same symbol meanwhile explains itself."""
    owner = bench.rig.binance()
    request = OrderRequest(
        symbol="BTCUSDC", side=Side.BUY, quantity=QUANTITY, limit_price=None, client_order_id="web_owner"
    )
    await bench.execute(Side.BUY, "earlier")
    bench.rig.exchange.fault("drop", method="POST", path="/order")
    await bench.execute(Side.BUY)
    await owner.place(request)
    assert [each.state for each in await bench.settle()] == [OrderState.NOT_PLACED]


async def test_a_refusal_is_final(bench: Bench, side: Side) -> None:
    """Its words are in the record, and nothing is looked up."""
    record = await bench.execute(side, quantity=Decimal("0.00000001"))
    assert record.state is OrderState.REJECTED
    assert "LOT_SIZE" in record.reason or "NOTIONAL" in record.reason
    assert bench.rig.exchange.count("GET", "/order") == 0
    assert not bench.ledger.in_flight()
    bench.agree()


async def test_too_little_on_the_account_is_a_refusal(bench: Bench) -> None:
    """-2010."""
    record = await bench.execute(Side.SELL)
    assert (record.state, record.reason[-7:]) == (OrderState.REJECTED, "(-2010)")


async def test_a_wrong_clock_is_set_and_the_order_sent_under_a_new_name(
    bench: Bench, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-1021, as it really comes about: the exchange's clock jumps between the intent and the request."""
    add, jumps = bench.ledger.add_orders, iter([60])

    def jump(records: Any) -> Any:
        bench.rig.exchange.advance(next(jumps, 0))
        return add(records)

    monkeypatch.setattr(bench.ledger, "add_orders", jump)
    record = await bench.execute(side)
    assert (record.state, record.attempt) == (OrderState.BOOKED, 2)
    assert record.client_order_id.endswith("-2")
    first, second = bench.ledger.orders(key(SIGNAL))
    assert (first.state, second) == (OrderState.NOT_PLACED, record)
    assert second.sent_at
    assert first.sent_at
    assert second.sent_at - first.sent_at > timedelta(seconds=59)
    assert bench.executions(side) == [QUANTITY]
    bench.agree()


async def test_a_clock_that_stays_wrong(bench: Bench) -> None:
    """One new attempt, not more, and none while stopping."""
    bench.rig.exchange.fault("error", code=-1021, count=None, method="POST", path="/order")
    record = await bench.execute(Side.BUY)
    assert (record.state, record.attempt) == (OrderState.NOT_PLACED, 2)
    assert bench.rig.exchange.count("POST", "/order") == 2
    place = bench.exchange.place

    async def stop(order: OrderRequest) -> OrderReport:
        bench.executor.stopping = True
        return await place(order)

    bench.exchange.place = stop
    record = await bench.execute(Side.BUY)
    assert (record.state, record.attempt) == (OrderState.NOT_PLACED, 3)
    assert bench.rig.exchange.count("POST", "/order") == 3


async def test_a_refused_key(bench: Bench, side: Side) -> None:
    """Nothing was placed, and the key is the problem."""
    bench.rig.exchange.set_account(spot_trading=False)
    record = await bench.execute(side)
    assert record.state is OrderState.NOT_PLACED
    assert isinstance(bench.executor.problem, InvalidKey)
    bench.agree()


async def test_no_connection(bench: Bench, side: Side) -> None:
    """What never reached the exchange is not placed, without a look-up."""
    await bench.rig.exchange.stop()
    record = await bench.execute(side)
    assert record.state is OrderState.NOT_PLACED
    assert isinstance(bench.executor.problem, NotSent)
    await bench.rig.exchange.start()
    bench.agree()


async def test_a_host_that_wants_no_request(bench: Bench) -> None:
    """While the host wants no request, an order is not sent."""
    bench.rig.exchange.ban(30)
    with pytest.raises(Exception, match="pause"):
        await bench.exchange.balances()
    sent = len(bench.rig.exchange.requests)
    record = await bench.execute(Side.BUY)
    assert record.state is OrderState.NOT_PLACED
    assert len(bench.rig.exchange.requests) == sent


async def test_an_error_of_our_own_is_unknown_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after the send may hide an execution; its words stay out of the records."""
    place = bench.exchange.place

    async def fail(order: OrderRequest) -> OrderReport:
        await place(order)
        raise RuntimeError("https://host/?signature=abc")

    monkeypatch.setattr(bench.exchange, "place", fail)
    record = await bench.execute(Side.BUY)
    assert record.state is OrderState.BOOKED
    assert isinstance(bench.executor.problem, ExchangeUnavailable)
    assert str(bench.executor.problem) == "RuntimeError"
    bench.agree()


# Fills


async def test_a_thin_book_fills_a_part(bench: Bench, side: Side) -> None:
    """EXPIRED is not nothing: the part that was filled is booked."""
    bench.rig.exchange.set_depth("BTCUSDC", "150")
    record = await bench.execute(side)
    assert record.state is OrderState.BOOKED
    assert ZERO < record.executed_quantity < QUANTITY
    assert bench.rig.orders(side=side)[-1].status == "EXPIRED"
    bench.agree()


async def test_a_limit_that_nobody_meets(bench: Bench) -> None:
    """Nothing was executed: booked as that, without any fill to fetch."""
    record = await bench.execute(Side.BUY, limit="90000")
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, ZERO)
    assert bench.rig.exchange.count("GET", "/myTrades") == 0
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    record = await bench.execute(Side.BUY, limit="90000")
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, ZERO)
    assert (record.leg, record.attempt) == (1, 1)
    bench.agree()


async def test_fills_that_cannot_be_had_yet(bench: Bench, side: Side) -> None:
    """An order known as executed stays in flight until its fills add up."""
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    bench.rig.exchange.fault("status", method="GET", path="/myTrades")
    record = await bench.execute(side)
    assert (record.state, record.executed_quantity) == (OrderState.EXECUTED, QUANTITY)
    assert isinstance(bench.executor.problem, ExchangeUnavailable)
    assert bench.ledger.book().portfolio.quantity("BTC") == bench.bought * Decimal("0.999")
    (record,) = await bench.settle()
    assert record.state is OrderState.BOOKED
    bench.agree()


async def test_fills_that_do_not_add_up(bench: Bench, patches: pytest.MonkeyPatch) -> None:
    """A part of the fills is not booked as if it were all."""
    fills, places = bench.exchange.fills, bench.exchange.place

    async def some(order: OrderReport) -> Any:
        return (await fills(order))[:-1]

    async def cut(order: OrderRequest) -> OrderReport:
        report = await places(order)
        assert report.fills
        return replace(report, fills=report.fills[:-1])

    patches.setattr(bench.exchange, "fills", some)
    patches.setattr(bench.exchange, "place", cut)
    record = await bench.execute(Side.BUY)
    assert record.state is OrderState.EXECUTED
    assert await bench.settle() == ()
    patches.undo()
    (record,) = await bench.settle()
    assert record.state is OrderState.BOOKED
    bench.agree()


async def test_a_fee_without_a_price_waits(bench: Bench) -> None:
    """A fee whose price is unknown is not worth zero."""
    bench.rig.exchange.set_account(bnb_burn=True)
    bench.rig.exchange.set_balance("BNB", "1")
    (record,) = await bench.executor.execute(key(SIGNAL), [bench.planned(Side.BUY)], {})
    assert record.state is OrderState.EXECUTED
    (record,) = await bench.settle()
    assert record.state is OrderState.BOOKED
    lent = 1 - bench.rig.exchange.balance("BNB")
    assert abs(bench.ledger.book().portfolio.fees - lent * PRICES["BNB"]) < Decimal("1e-6")


async def test_fees_out_of_a_purchase_of_the_same_batch(bench: Bench) -> None:
    """The book has the fee coin before it pays with it, in whatever order the answers come."""
    bench.rig.exchange.set_account(bnb_burn=True)
    orders = [
        bench.planned(Side.BUY, Decimal("0.002"), "BTC"),
        bench.planned(Side.BUY, Decimal("0.05"), "ETH"),
        bench.planned(Side.BUY, Decimal("0.1"), "BNB"),
    ]
    # The purchase of BNB is executed first and answered last.
    bench.rig.exchange.fault("slow", when="after", method="POST", symbol="BNBUSDC", seconds=2)
    bench.rig.exchange.fault("slow", method="POST", symbol="BTCUSDC", seconds=1)
    bench.rig.exchange.fault("slow", method="POST", symbol="ETHUSDC", seconds=1)
    records = await bench.executor.execute(key(SIGNAL), orders, PRICES)
    assert [(each.coin, each.state) for each in records] == [
        (coin, OrderState.BOOKED) for coin in ("BTC", "ETH", "BNB")
    ]
    assert {trade.fees[0][0] for trade in bench.ledger.trades()} == {"BNB"}
    book = bench.ledger.book().portfolio
    for coin in ("BTC", "ETH", "BNB"):
        assert book.quantity(coin) == bench.rig.exchange.balance(coin)
    assert book.cash - 1000 == bench.rig.exchange.balance("USDC") - 2000


async def test_fees_out_of_a_purchase_that_is_unclear(bench: Bench) -> None:
    """What may have paid its fee out of an unclear purchase is booked after it."""
    bench.rig.exchange.set_account(bnb_burn=True)
    orders = [bench.planned(Side.BUY, Decimal("0.1"), "BNB"), bench.planned(Side.BUY, Decimal("0.002"), "BTC")]
    bench.rig.exchange.fault("late", method="POST", symbol="BNBUSDC", seconds=20)
    bench.rig.exchange.fault("drop", when="after", method="POST", symbol="BNBUSDC")
    bench.rig.exchange.fault("slow", method="POST", symbol="BTCUSDC", seconds=0.1)
    records = await bench.executor.execute(key(SIGNAL), orders, PRICES)
    assert [each.state for each in records] == [OrderState.UNKNOWN, OrderState.EXECUTED]
    settled = await bench.settle()
    assert [each.state for each in settled] == [OrderState.BOOKED] * 2
    book = bench.ledger.book().portfolio
    for coin in ("BTC", "BNB"):
        assert book.quantity(coin) == bench.rig.exchange.balance(coin)
    assert book.cash - 1000 == bench.rig.exchange.balance("USDC") - 2000


# Crashes

CRASHES = [
    ("add_orders", 0, "before"),
    ("add_orders", 0, "after"),
    ("place", 0, "before"),
    ("place", 0, "after"),
    ("update_orders", 0, "before"),
    ("update_orders", 0, "after"),
    ("book_orders", 0, "before"),
    ("book_orders", 0, "after"),
]
UNCLEAR_CRASHES = [
    *CRASHES[:4],
    ("update_orders", 0, "before"),  # unknown
    ("update_orders", 0, "after"),
    ("find", 0, "before"),
    ("find", 0, "after"),
    ("update_orders", 1, "before"),  # executed
    ("update_orders", 1, "after"),
    ("fills", 0, "before"),
    ("fills", 0, "after"),
    ("book_orders", 0, "before"),
    ("book_orders", 0, "after"),
]


class Crash(BaseException):
    """The end of the process."""


def crash_at(bench: Bench, name: str, skip: int, when: str) -> None:
    """Let the process die before or after a step; whatever is tried after that fails too."""
    target: Any = bench.ledger if hasattr(bench.ledger, name) else bench.exchange
    step, calls = getattr(target, name), itertools.count()

    def dies(call: Callable[[], Any]) -> Any:
        number = next(calls)
        if number < skip:
            return call()
        if number == skip and when == "after":
            call()
        raise Crash

    async def dies_later(*args: Any) -> Any:
        number = next(calls)
        if number < skip:
            return await step(*args)
        if number == skip and when == "after":
            with suppress(ExchangeError):
                await step(*args)
        raise Crash

    in_thread = target is bench.ledger
    setattr(target, name, (lambda *args: dies(lambda: step(*args))) if in_thread else dies_later)


@pytest.mark.parametrize(("name", "skip", "when"), CRASHES, ids=str)
async def test_a_crash_at_each_step(bench: Bench, side: Side, name: str, skip: int, when: str) -> None:
    """After a restart the books are those of the exchange; what was sent is done once, what was not is not sent."""
    crash_at(bench, name, skip, when)
    await ends_and_settles(bench, side)


@pytest.mark.parametrize(("name", "skip", "when"), UNCLEAR_CRASHES, ids=str)
async def test_a_crash_at_each_step_of_an_unclear_order(
    bench: Bench, side: Side, name: str, skip: int, when: str
) -> None:
    """The same where the answer was lost."""
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    crash_at(bench, name, skip, when)
    await ends_and_settles(bench, side)


async def ends_and_settles(bench: Bench, side: Side) -> None:
    """Die, start again, settle."""
    with pytest.raises(Crash):
        await bench.execute(side)
    posts = bench.rig.exchange.count("POST", "/order")
    bench.reopen()
    bench.rig.clock.advance(30)
    await bench.executor.settle(PRICES)
    assert not bench.ledger.in_flight()
    sent = posts - (1 if bench.bought else 0)
    assert bench.executions(side) == [QUANTITY] * sent
    assert bench.rig.exchange.count("POST", "/order") == posts
    states = [each.state for each in bench.ledger.orders(key(SIGNAL))]
    assert states in ([OrderState.BOOKED], [OrderState.NOT_PLACED] if not sent else [], [])
    bench.agree()


@pytest.mark.parametrize("until", ["add_orders", "update_orders", "place", "find", "fills", "book_orders", "sleep"])
async def test_a_cancelled_task(bench: Bench, side: Side, until: str, patches: pytest.MonkeyPatch) -> None:
    """A cancelled order is unknown; the next cycle finds out, and nothing is sent twice."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    target: Any = next(each for each in (bench.ledger, bench.exchange, bench.rig.clock) if hasattr(each, until))
    step = getattr(target, until)

    def waits(*args: Any) -> Any:
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
        return step(*args)

    async def waits_here(*args: Any) -> Any:
        reached.set()
        result = await step(*args)
        await go_on.wait()
        return result

    patches.setattr(target, until, waits if target is bench.ledger else waits_here)
    if until in {"find", "fills", "sleep"}:
        bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    task = asyncio.create_task(bench.execute(side))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    go_on.set()
    await asyncio.sleep(0.1)  # the thread that was not cancelled comes to its end
    patches.undo()
    posts = bench.rig.exchange.count("POST", "/order")
    await bench.settle()
    assert not bench.ledger.in_flight()
    assert bench.rig.exchange.count("POST", "/order") == posts
    assert bench.executions(side) == [QUANTITY] * (posts - (1 if bench.bought else 0))
    bench.agree()


# Storage faults


@pytest.mark.parametrize(
    ("name", "skip", "sent"),
    [("add_orders", 0, 0), ("update_orders", 0, 1), ("book_orders", 0, 1)],
)
async def test_a_ledger_that_cannot_write(
    bench: Bench, side: Side, name: str, skip: int, sent: int, patches: pytest.MonkeyPatch
) -> None:
    """Nothing is sent without an intent on disk, and what was sent is found when the disk is back."""
    step, calls = getattr(bench.ledger, name), itertools.count()
    posts = bench.rig.exchange.count("POST", "/order")

    def fails(*args: Any) -> Any:
        if next(calls) >= skip:
            raise LedgerError("the disk is full")
        return step(*args)

    patches.setattr(bench.ledger, name, fails)
    with pytest.raises(LedgerError):
        await bench.execute(side)
    assert bench.rig.exchange.count("POST", "/order") == posts + sent
    with pytest.raises(LedgerError) if sent else _nothing():
        await bench.settle()
    patches.undo()
    await bench.settle()
    assert not bench.ledger.in_flight()
    assert bench.executions(side) == [QUANTITY] * sent
    bench.agree()


class _nothing:  # noqa: N801  # stands where `pytest.raises` would
    """No error is expected."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


async def test_answers_that_cannot_be_written_are_looked_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them: they are one commit."""
    update = bench.ledger.update_orders

    def fails(records: Any) -> None:
        if records[0].state is OrderState.EXECUTED:
            raise LedgerError("the disk is full")
        update(records)

    orders = [bench.planned(Side.BUY, Decimal("0.05"), "ETH"), bench.planned(Side.BUY)]
    with monkeypatch.context() as patched:
        patched.setattr(bench.ledger, "update_orders", fails)
        with pytest.raises(LedgerError):
            await bench.executor.execute(key(SIGNAL), orders, PRICES)
    assert {each.state for each in bench.ledger.orders(key(SIGNAL))} == {OrderState.SENDING}
    settled = await bench.settle()
    assert {(each.coin, each.state) for each in settled} == {("ETH", OrderState.BOOKED), ("BTC", OrderState.BOOKED)}
    assert len(bench.rig.orders(side=Side.BUY)) == 2


async def test_one_order_that_cannot_be_written_does_not_lose_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are finished and booked before the error is told."""
    update = bench.ledger.update_orders

    def fails(records: Any) -> None:
        if len(records) == 1 and records[0].state is OrderState.EXECUTED:
            raise LedgerError("the disk is full")
        update(records)

    monkeypatch.setattr(bench.ledger, "update_orders", fails)
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    orders = [
        bench.planned(Side.BUY, Decimal("0.05"), "ETH"),
        bench.planned(Side.BUY),
        bench.planned(Side.BUY, Decimal("0.1"), "SOL"),
    ]
    with pytest.raises(LedgerError):
        await bench.executor.execute(key(SIGNAL), orders, PRICES)
    states = [each.state for each in bench.ledger.orders(key(SIGNAL))]
    assert sorted(states) == [OrderState.BOOKED, OrderState.BOOKED, OrderState.UNKNOWN]


async def test_commits_of_a_batch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intents, answers and bookings of five orders: one each, and one more for the coin that fees are taken in."""
    commits: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(bench.ledger, name)

        def call(*args: Any) -> Any:
            commits.append(name)
            return method(*args)

        return call

    for name in ("add_orders", "update_orders", "book_orders"):
        monkeypatch.setattr(bench.ledger, name, counted(name))
    quantities = {"BTC": "0.001", "ETH": "0.05", "SOL": "0.1", "XRP": "10", "BNB": "0.05"}
    orders = [bench.planned(Side.BUY, Decimal(quantity), coin) for coin, quantity in quantities.items()]
    records = await bench.executor.execute(key(SIGNAL), orders, PRICES)
    assert {record.state for record in records} == {OrderState.BOOKED}
    assert commits == ["add_orders", "update_orders", "book_orders", "book_orders"]


# Stopping


async def test_nothing_is_sent_while_stopping(bench: Bench) -> None:
    """Nor written down."""
    bench.executor.stopping = True
    assert await bench.executor.execute(key(SIGNAL), [bench.planned(Side.BUY)], PRICES) == ()
    assert bench.ledger.orders(key(SIGNAL)) == ()
    assert bench.rig.exchange.count("POST", "/order") == 0
    bench.executor.stopping = False
    assert await bench.executor.execute(key(SIGNAL), [], PRICES) == ()


async def test_stopping_does_not_wait_for_look_ups(bench: Bench) -> None:
    """One look-up, then the rest is left for the start."""
    bench.rig.exchange.fault("drop", method="POST", path="/order")
    place = bench.exchange.place

    async def stop(order: OrderRequest) -> OrderReport:
        bench.executor.stopping = True
        return await place(order)

    bench.exchange.place = stop
    record = await bench.execute(Side.BUY)
    assert record.state is OrderState.UNKNOWN
    assert bench.rig.clock.pauses == [0.0]


# Names


async def test_names(bench: Bench) -> None:
    """Each attempt has its own, derived, within what the exchange takes; a follower's own carry its tag."""
    first = await bench.execute(Side.BUY)
    second = await bench.execute(Side.BUY)
    other = await bench.execute(Side.BUY, "signal-2")
    sell = await bench.execute(Side.SELL)
    names = [each.client_order_id for each in (first, second, other, sell)]
    assert len(set(names)) == 4
    assert all(name.startswith(follower_tag(ENTRY)) and name == name.lower() and len(name) <= 36 for name in names)
    assert [(each.leg, each.attempt) for each in (first, second, other, sell)] == [(0, 1), (1, 1), (0, 1), (0, 1)]
    assert follower_tag(ENTRY) != follower_tag("another")
    assert follower_tag("0123456789") == "cv-qtmjq5-"


# Recovery


@pytest.mark.parametrize("lost", ["restored", "deleted"])
async def test_a_ledger_older_than_the_account(bench: Bench, lost: str) -> None:
    """Our orders are booked, once; the owner's and another follower's are not."""
    await bench.execute(Side.BUY, "before")
    bench.ledger.checkpoint()
    copy = bench.ledger.path.read_bytes()
    bench.ledger.write_signal(SignalRecord(signal_id=SIGNAL, seen_at=bench.rig.clock.now()))
    await bench.execute(Side.BUY)
    await bench.execute(Side.SELL, quantity=Decimal("0.002"))
    truth = bench.ledger.book().portfolio
    for name in ("web_owner", f"{follower_tag('another')}abcdefghijklmnopqr-1"):
        request = OrderRequest(
            symbol="BTCUSDC", side=Side.BUY, quantity=QUANTITY, limit_price=None, client_order_id=name
        )
        await bench.exchange.place(request)
    bench.ledger.close()
    for file in bench.ledger.path.parent.iterdir():
        file.unlink()
    if lost == "restored":
        bench.ledger.path.write_bytes(copy)
    bench.reopen()
    if lost == "deleted":
        flow = CashFlow(
            kind=FlowKind.INITIAL, amount=Decimal(1000), amount_quote=Decimal(1000), time=bench.rig.clock.now()
        )
        bench.ledger.add_flow(flow, Book(portfolio=Book().portfolio.with_flow(Decimal(1000))))
    recovered = await bench.rebuild()
    assert [each.side for each in recovered] == [Side.BUY] * (2 if lost == "deleted" else 1) + [Side.SELL]
    assert {each.signal_id for each in recovered} == {RECOVERED}
    assert bench.ledger.book().portfolio == truth
    assert await bench.rebuild() == ()
    adopted = OrderNames(bench.ledger, ENTRY).adopt(key(SIGNAL))
    assert [each.side for each in adopted] == [Side.BUY, Side.SELL]
    assert OrderNames(bench.ledger, ENTRY).adopt(key(SIGNAL)) == ()
    assert [(each.side, each.leg) for each in bench.ledger.orders(key(SIGNAL))] == [(Side.BUY, 0), (Side.SELL, 0)]
    # The next order of that leg does not take the name of one that the lost ledger knew.
    names = {order.client_order_id for order in bench.rig.exchange.orders}
    assert (await bench.execute(Side.SELL, quantity=Decimal("0.001"))).client_order_id not in names


async def test_a_recovered_order_of_a_known_signal(bench: Bench) -> None:
    """Where the signal is known, its orders are its own at once."""
    for signal_id in (SIGNAL, "other"):
        bench.ledger.write_signal(SignalRecord(signal_id=signal_id, seen_at=bench.rig.clock.now()))
    bench.ledger.checkpoint()
    copy = bench.ledger.path.read_bytes()
    await bench.execute(Side.BUY)
    bench.ledger.close()
    for file in bench.ledger.path.parent.iterdir():
        file.unlink()
    bench.ledger.path.write_bytes(copy)
    bench.reopen()
    (record,) = await bench.rebuild()
    assert (record.signal_id, record.leg, record.attempt, record.reason) == (SIGNAL, 0, 1, RECOVERED)
    bench.agree()


async def test_a_recovered_order_that_is_not_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays in flight until it is."""
    orders_page, record = bench.exchange.orders_page, await bench.execute(Side.BUY)

    async def undone(symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        page = await orders_page(symbol, cursor, prefix)
        return replace(page, own=tuple(replace(each, status=OrderStatus.NEW) for each in page.own))

    bench.ledger.close()
    bench.ledger.path.unlink()
    bench.reopen()
    monkeypatch.setattr(bench.exchange, "orders_page", undone)
    bench.rig.exchange.fault("status_new", method="GET", path="/order")
    assert await bench.rebuild() == ()
    (recovered,) = bench.ledger.in_flight()
    assert (recovered.state, recovered.client_order_id) == (OrderState.UNKNOWN, record.client_order_id)
    assert not bench.rebuilding.done
    assert await bench.settle() == ()  # it is the rebuild's
    (booked,) = await bench.rebuild()
    assert bench.rebuilding.done
    assert (booked.state, booked.executed_quantity) == (OrderState.BOOKED, QUANTITY)


async def test_an_order_that_was_executed_after_all(bench: Bench) -> None:
    """One that the owner took for never placed is booked by the sweep; one without a fill is left as it is."""
    bench.rig.exchange.fault("late", method="POST", path="/order", seconds=60, count=2)
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order", count=2)
    for limit in ("", "90000"):
        record = await bench.execute(Side.BUY, limit=limit, signal_id=f"with {limit}")
        record = await make_bookings(bench.rig, bench.ledger).settle_by_hand(record, None, PRICES)
        assert (record.state, record.reason) == (OrderState.NOT_PLACED, "settled by hand: not placed")
    bench.rig.clock.advance(60)
    recovered = await bench.rebuild()
    assert [(each.signal_id, each.state) for each in recovered] == [("with ", OrderState.BOOKED)]
    bench.agree()


# Sized by what it may cost


@pytest.mark.parametrize("fault", [None, "drop", "status_new", "wrong_id", "empty_body"])
async def test_an_order_for_an_amount(bench: Bench, fault: str | None) -> None:
    """How much it came to is known from the answer or the look-up, and is written down then."""
    if fault:
        bench.rig.exchange.fault(fault, when="after", method="POST", path="/order")
    record = await bench.execute(Side.BUY, costs="394.20")
    (order,) = bench.rig.orders()
    assert (record.state, record.quote_amount) == (OrderState.BOOKED, Decimal("394.20"))
    assert record.quantity == record.executed_quantity == order.quantity
    assert order.quantity != QUANTITY
    assert 393 < record.executed_amount <= Decimal("394.20")
    bench.agree()


async def test_an_order_for_an_amount_over_a_crash(bench: Bench) -> None:
    """What it may cost is on disk before it is sent; a lost ledger has it back with what it came to."""
    sim = bench.rig.exchange
    sim.fault("drop", when="after", method="POST", path="/order")
    sim.fault("status", method="GET", path="/order", count=None)
    record = await bench.execute(Side.BUY, costs="394.20")
    bench.reopen()
    (found,) = bench.ledger.in_flight()
    assert (found, found.quote_amount, found.quantity) == (record, Decimal("394.20"), QUANTITY)
    sim.clear_faults()
    (booked,) = await bench.settle()
    assert booked.quantity == booked.executed_quantity
    bench.ledger.close()
    bench.ledger.path.unlink()
    bench.reopen()
    (recovered,) = await bench.rebuild()
    assert (recovered.quantity, recovered.executed_amount) == (booked.quantity, booked.executed_amount)


async def test_an_order_for_an_amount_by_hand(bench: Bench) -> None:
    """It cannot have cost more than it might; how many coins that were only the exchange knows."""
    sim = bench.rig.exchange
    sim.fault("drop", when="after", method="POST", path="/order")
    sim.fault("status", method="GET", path="/order", count=None)
    record = await bench.execute(Side.BUY, costs="394.20")
    right = Execution(quantity=QUANTITY * 2, amount=Decimal("394.2"), fee=ZERO, fee_asset="BTC")
    for wrong in (replace(right, amount=Decimal("394.21")), replace(right, quantity=ZERO)):
        with pytest.raises(BookError):
            await make_bookings(bench.rig, bench.ledger).settle_by_hand(record, wrong, PRICES)
    booked = await make_bookings(bench.rig, bench.ledger).settle_by_hand(record, right, PRICES)
    assert booked.quantity == booked.executed_quantity == QUANTITY * 2


# Settled by hand


async def test_an_order_settled_by_hand(bench: Bench, side: Side) -> None:
    """What the owner read on the exchange is booked; figures that cannot be are refused and change nothing."""
    bench.rig.exchange.fault("drop", when="after", method="POST", path="/order")
    bench.rig.exchange.fault("status", method="GET", path="/order", count=None)
    record = await bench.execute(side)
    assert record.state is OrderState.UNKNOWN
    before = bench.ledger.book()
    right = Execution(quantity=QUANTITY, amount=Decimal(400), fee=Decimal("0.1"), fee_asset="USDC")
    for wrong in (
        replace(right, quantity=ZERO),
        replace(right, quantity=QUANTITY + Decimal("0.00001")),
        replace(right, amount=ZERO),
        replace(right, fee=Decimal(-1)),
        replace(right, fee_asset="DOGE"),
    ):
        with pytest.raises(BookError):
            await make_bookings(bench.rig, bench.ledger).settle_by_hand(record, wrong, PRICES)
    assert bench.ledger.book() == before
    booked = await make_bookings(bench.rig, bench.ledger).settle_by_hand(record, right, PRICES)
    assert (booked.state, booked.reason) == (OrderState.BOOKED, "settled by hand")
    cash = Decimal(400) * (1 if side is Side.SELL else -1) - Decimal("0.1")
    assert bench.ledger.book().portfolio.cash == before.portfolio.cash + cash
    assert bench.ledger.replay() == bench.ledger.book().portfolio
    bench.rig.exchange.clear_faults()
    assert await bench.settle() == ()
    assert await bench.rebuild() == ()


def test_settings_and_tag_belong_together() -> None:
    """The entry's id, not a setting that may change, names the orders."""
    assert "entry_id" in Settings.__slots__


async def test_orders_of_further_sources_have_names_of_their_own(bench: Bench) -> None:
    """The same id under another source is another signal."""
    (first,) = await bench.executor.execute(key(SIGNAL), [bench.planned(Side.BUY)], PRICES)
    (further,) = await bench.executor.execute(SignalKey("01JDS0URCE", SIGNAL), [bench.planned(Side.BUY)], PRICES)
    assert first.client_order_id != further.client_order_id
    assert bench.ledger.orders(SignalKey("01JDS0URCE", SIGNAL)) == (further,)
