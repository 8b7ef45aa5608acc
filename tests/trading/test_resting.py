"""Orders that stay on the exchange: accepted, filled bit by bit, cancelled, in pairs; each fill once, whatever is lost."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.account import committed
from custom_components.calvalot.trading.bookings import Execution
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, OrderType, Side
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.paper import PaperExchange
from custom_components.calvalot.trading.ledger.records import OrderRecord, OrderState
from custom_components.calvalot.trading.portfolio import BookError
from custom_components.calvalot.trading.protections import KEY as PROTECTING
from custom_components.calvalot.trading.sizing import PlannedOrder
from custom_components.calvalot.trading.snapshot import Status
from harness.engine import OpenEngine
from harness.orders import limit as ticket, protect as protect_coin

from .builders import key, make_market
from .rig import ZERO, Rig
from .test_executor import PRICES, Bench, bench, make_bookings

__all__ = ["bench"]

QUANTITY = Decimal("0.00400")
LOW, HIGH = Decimal(90000), Decimal(95000)


def limit(price: Decimal = LOW, side: Side = Side.BUY, quantity: Decimal = QUANTITY) -> PlannedOrder:
    """A limit order that rests."""
    return PlannedOrder(
        coin="BTC",
        symbol="BTCUSDC",
        side=side,
        quantity=quantity,
        price=Decimal(91250),
        amount=quantity * price,
        limit_price=price,
        type=OrderType.LIMIT,
    )


PAIR = (
    limit(HIGH, Side.SELL),
    replace(limit(HIGH, Side.SELL), type=OrderType.STOP_LOSS, limit_price=None, stop_price=Decimal(88000)),
)


async def place(bench: Bench, *orders: PlannedOrder) -> tuple[OrderRecord, ...]:
    """Have orders placed, two of them as a pair."""
    return await bench.executor.execute(key("by hand"), orders, PRICES, paired=len(orders) > 1)


async def follow(bench: Bench, after: float = 120) -> tuple[OrderRecord, ...]:
    """Settle and follow as the next cycle does; what was settled or has gone on."""
    settled = await bench.settle(after=after)
    return settled + await bench.executor.follow(PRICES)


@pytest.fixture
async def stocked(bench: Bench) -> Bench:
    """A book that has bought some BTC."""
    bench.bought = (await bench.execute(Side.BUY, "stock", quantity=Decimal("0.00600"))).executed_quantity
    return bench


# Limits


async def test_an_order_that_rests_is_not_unclear(bench: Bench) -> None:
    """Accepted and known; it locks what it may take, and blocks nothing."""
    (record,) = await place(bench, limit())
    assert (record.state, record.executed_quantity) == (OrderState.ACCEPTED, 0)
    assert bench.ledger.in_flight() == ()
    assert bench.ledger.resting() == (record,)
    assert bench.rig.exchange.account().balances["USDC"].locked == 360
    assert committed([record], make_market({}))["USDC"] == Decimal("360.36")
    assert await follow(bench) == ()


async def test_fills_are_booked_as_they_come(bench: Bench) -> None:
    """Each once: asked again nothing is booked twice, and the end closes it."""
    (record,) = await place(bench, limit())
    sim, name = bench.rig.exchange, record.client_order_id
    for number, part in enumerate(("0.00100", "0.00150"), 1):
        sim.trade_against(name, part)
        (record,) = await follow(bench)
        assert record.state is OrderState.PARTLY_FILLED
        assert len(bench.ledger.trades()) == 1
        assert bench.ledger.counts()["fills"] == number
        assert await follow(bench) == ()
        bench.agree()
    assert record.rest == Decimal("0.00150")
    sim.trade_against(name, "0.00150")
    (record,) = await follow(bench)
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, QUANTITY)
    assert bench.ledger.resting() == bench.ledger.in_flight() == ()
    bench.agree()


async def test_a_limit_that_trades_at_once(bench: Bench) -> None:
    """As far as it can; the rest stays."""
    bench.rig.exchange.set_depth("BTCUSDC", "150")
    (record,) = await place(bench, limit(Decimal(92000)))
    assert record.state is OrderState.PARTLY_FILLED
    assert ZERO < record.executed_quantity < QUANTITY
    bench.agree()
    bench.rig.exchange.set_depth("BTCUSDC", None)
    (whole,) = await bench.executor.execute(key("other"), [limit(Decimal(92000))], PRICES)
    assert whole.state is OrderState.BOOKED
    bench.agree()


LOST = [(kind, when) for kind in ("drop", "status", "broken_json", "empty_object") for when in ("before", "after")]


@pytest.mark.parametrize(("kind", "when"), LOST)
@pytest.mark.parametrize("filled", [False, True])
async def test_a_lost_answer_to_a_limit(bench: Bench, kind: str, when: str, filled: bool) -> None:
    """Looked up: there, and perhaps filled in part already, or proven absent."""
    sim = bench.rig.exchange
    if filled:
        sim.set_depth("BTCUSDC", "150")
    sim.fault(kind, when=when, method="POST", path="/order")
    (record,) = await place(bench, limit(Decimal(92000) if filled else LOW))
    for _ in range(2):
        await follow(bench)
    (record,) = bench.ledger.orders(key("by hand"))
    if when == "before":
        assert record.state is OrderState.NOT_PLACED
    else:
        assert record.state is (OrderState.PARTLY_FILLED if filled else OrderState.ACCEPTED)
    assert sim.count("POST", "/order") == 1
    bench.agree()


@pytest.mark.parametrize("moment", ["add_orders", "update_orders", "book_orders"])
async def test_a_crash_around_a_limit(bench: Bench, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each thing that is written down."""
    bench.rig.exchange.set_depth("BTCUSDC", "150")
    call = getattr(bench.ledger, moment)

    def dies(*arguments: Any) -> Any:
        call(*arguments)
        raise RuntimeError("gone")

    monkeypatch.setattr(bench.ledger, moment, dies)
    with pytest.raises(RuntimeError):
        await place(bench, limit(Decimal(92000)))
    bench.reopen()
    for _ in range(3):
        await follow(bench)
    (record,) = bench.ledger.orders(key("by hand"))
    sent = bool(bench.rig.orders())
    assert record.state is (OrderState.PARTLY_FILLED if sent else OrderState.NOT_PLACED)
    assert sent is (moment != "add_orders")
    bench.agree()


# The end of one


async def test_a_cancel(bench: Bench) -> None:
    """Written down first; what was filled before counts."""
    (record,) = await place(bench, limit())
    bench.rig.exchange.trade_against(record.client_order_id, "0.00100")
    (record,) = await bench.executor.cancel(bench.ledger.resting(), PRICES)
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, Decimal("0.00100"))
    assert bench.rig.exchange.account().balances["USDC"].locked == 0
    bench.agree()


@pytest.mark.parametrize(("kind", "when"), LOST)
@pytest.mark.parametrize("filled", ["", "0.00100", "0.00400"])
async def test_a_lost_answer_to_a_cancel(bench: Bench, kind: str, when: str, filled: str) -> None:
    """Unclear until it is looked up, asked for again where it was lost; filled meanwhile is filled."""
    (record,) = await place(bench, limit())
    name, sim = record.client_order_id, bench.rig.exchange
    if filled:
        sim.trade_against(name, filled)
    sim.fault(kind, when=when, method="DELETE", path="/order", count=2)
    (record,) = await bench.executor.cancel(bench.ledger.resting(), PRICES)
    if not record.state.settled:
        assert [each.client_order_id for each in bench.ledger.in_flight()] == [name]
        assert bench.ledger.resting() == ()
        assert bench.executor.problem
    sim.clear_faults()
    await follow(bench)
    (record,) = bench.ledger.orders(key("by hand"))
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, Decimal(filled or 0))
    assert not sim.open_orders()
    bench.agree()


async def test_a_cancel_that_nobody_could_send(bench: Bench) -> None:
    """It goes on after the next start: what was asked for is written down."""
    (record,) = await place(bench, limit())
    bench.executor.stopping = True
    (record,) = await bench.executor.cancel([record], PRICES)
    assert (record.state, bool(record.cancel_at)) == (OrderState.ACCEPTED, True)
    assert not bench.rig.exchange.count("DELETE")
    bench.reopen()
    (record,) = await follow(bench)
    assert (record.state, record.executed_quantity) == (OrderState.BOOKED, 0)
    assert not bench.rig.exchange.open_orders()


async def test_a_cancel_while_it_fills(bench: Bench) -> None:
    """A look-up that shows more than before is booked, though the end is not known yet."""
    (record,) = await place(bench, limit())
    sim = bench.rig.exchange
    sim.fault("drop", method="DELETE", path="/order", count=None)
    sim.trade_against(record.client_order_id, "0.00100")
    (record,) = await bench.executor.cancel([record], PRICES)
    assert (record.state, record.executed_quantity) == (OrderState.PARTLY_FILLED, Decimal("0.00100"))
    assert bench.ledger.in_flight() == (record,)
    await bench.rig.exchange.stop()
    assert await follow(bench) == ()
    await bench.rig.exchange.start()
    sim.clear_faults()
    (record,) = await follow(bench)
    assert record.state is OrderState.BOOKED
    bench.agree()


async def test_purchases_are_withdrawn_first(stocked: Bench) -> None:
    """And what protects stays while one of them is unclear."""
    await place(stocked, *PAIR)
    await place(stocked, limit())
    stocked.rig.exchange.fault("status", method="DELETE", path="/order")
    stocked.rig.exchange.fault("status", method="GET", path="/order", count=None)
    await stocked.executor.withdraw(PRICES)
    assert [order.side for order in stocked.rig.exchange.open_orders()] == ["SELL", "SELL", "BUY"]
    stocked.rig.exchange.clear_faults()
    await follow(stocked)
    await stocked.executor.withdraw(PRICES)
    assert not stocked.rig.exchange.open_orders()
    stocked.agree()


@pytest.mark.parametrize("filled", [True, False])
async def test_the_owner_says_what_an_order_came_to(bench: Bench, filled: bool) -> None:
    """All of it as the exchange shows it: what is booked already is not booked again."""
    (record,) = await place(bench, limit())
    sim = bench.rig.exchange
    sim.trade_against(record.client_order_id, "0.00100")
    sim.fault("status", method="DELETE", path="/order", count=None)
    (record,) = await bench.executor.cancel(bench.ledger.resting(), PRICES)
    assert record.state is OrderState.PARTLY_FILLED
    bookings = make_bookings(bench.rig, bench.ledger)
    for wrong in ("0.00100", "0.00500"):
        execution = Execution(quantity=Decimal(wrong), amount=Decimal(90), fee=Decimal("0.00000100"), fee_asset="BTC")
        with pytest.raises(BookError):
            await bookings.settle_by_hand(record, execution, PRICES)
    whole = Execution(quantity=QUANTITY, amount=QUANTITY * LOW, fee=Decimal("0.00000400"), fee_asset="BTC")
    settled = await bookings.settle_by_hand(record, whole if filled else None, PRICES)
    executed = QUANTITY if filled else Decimal("0.00100")
    assert (settled.state, settled.executed_quantity) == (OrderState.BOOKED, executed)
    (trade,) = bench.ledger.trades()
    assert (trade.quantity, trade.amount) == (executed, executed * LOW)
    assert bench.ledger.replay() == bench.ledger.book().portfolio


# Pairs


@pytest.mark.parametrize(("price", "acts"), [("97000", OrderType.LIMIT), ("87000", OrderType.STOP_LOSS)])
async def test_one_of_a_pair_acts(stocked: Bench, price: str, acts: OrderType) -> None:
    """The other has ended with it; coins are locked once."""
    records = await place(stocked, *PAIR)
    assert {record.state for record in records} == {OrderState.ACCEPTED}
    assert committed(records, make_market({})) == {"BTC": QUANTITY}
    stocked.rig.exchange.set_price("BTCUSDC", price)
    done = await follow(stocked)
    assert {record.type: record.executed_quantity for record in done} == {
        kind: QUANTITY if kind is acts else ZERO for kind in (OrderType.LIMIT, OrderType.STOP_LOSS)
    }
    assert {record.state for record in done} == {OrderState.BOOKED}
    stocked.agree()


@pytest.mark.parametrize(("kind", "when"), LOST)
async def test_a_lost_answer_to_a_pair(stocked: Bench, kind: str, when: str) -> None:
    """Both or none."""
    sim = stocked.rig.exchange
    sim.fault(kind, when=when, method="POST", path="/oco")
    await place(stocked, *PAIR)
    for _ in range(2):
        await follow(stocked)
    states = {record.state for record in stocked.ledger.orders(key("by hand"))}
    assert states == {OrderState.NOT_PLACED if when == "before" else OrderState.ACCEPTED}
    assert sim.count("POST", "/oco") == 1
    stocked.agree()


async def test_a_pair_that_is_refused(stocked: Bench) -> None:
    """Both are, with the exchange's words; the clock's refusal is sent once more."""
    stocked.rig.exchange.set_price("BTCUSDC", "97000")
    records = await place(stocked, *PAIR)
    assert {(record.state, "relationship" in record.reason) for record in records} == {(OrderState.REJECTED, True)}
    stocked.rig.exchange.set_price("BTCUSDC", "91250")
    stocked.rig.exchange.fault("error", code=-1021, method="POST", path="/oco")
    records = await place(stocked, *PAIR)
    assert {(record.state, record.attempt) for record in records} == {(OrderState.ACCEPTED, 2)}
    (done,) = {record.state for record in await stocked.executor.cancel(stocked.ledger.resting(), PRICES)}
    assert done is OrderState.BOOKED
    assert not stocked.rig.exchange.open_orders()


# What is not known any more


async def test_an_order_that_is_gone_is_unclear(bench: Bench) -> None:
    """Not at once, since it may be seen late; found again it rests again."""
    bench.rig.exchange.fault("late", method="POST", path="/order", seconds=200)
    (record,) = await place(bench, limit())
    assert await follow(bench, after=10) == ()
    (record,) = await follow(bench, after=60)
    assert record.state is OrderState.UNKNOWN
    assert bench.ledger.in_flight() == (record,)
    await follow(bench, after=200)
    assert [each.state for each in bench.ledger.resting()] == [OrderState.ACCEPTED]


async def test_what_cannot_be_followed_stays(bench: Bench) -> None:
    """As it was, with the exchange's problem."""
    (record,) = await place(bench, limit())
    bench.rig.exchange.trade_against(record.client_order_id, "0.00100")
    for path in ("/openOrders", "/myTrades"):
        bench.rig.exchange.fault("status", method="GET", path=path)
        bench.executor.problem = None
        assert await follow(bench) == ()
        assert bench.executor.problem
    (record,) = await follow(bench)
    assert record.state is OrderState.PARTLY_FILLED
    bench.agree()


async def test_a_pair_that_is_not_listed_any_more(bench: Bench) -> None:
    """Others are followed all the same; what the exchange does not say stays unclear until it is back."""
    await place(bench, limit())
    for coin, price in (("ETH", "3000"), ("SOL", "130")):
        order = replace(limit(Decimal(price), quantity=Decimal("0.1")), coin=coin, symbol=f"{coin}USDC")
        await place(bench, order)
    bench.rig.exchange.delist("ETHUSDC")
    bench.rig.exchange.trade_against(bench.ledger.resting()[0].client_order_id, "0.00400")
    changed = {record.coin: record.state for record in await follow(bench)}
    assert changed == {"BTC": OrderState.BOOKED, "ETH": OrderState.UNKNOWN}
    bench.rig.exchange.relist("ETHUSDC")
    await follow(bench)
    assert {record.coin: record.state for record in bench.ledger.resting()} == {"SOL": OrderState.ACCEPTED}
    assert bench.ledger.in_flight() == ()


async def test_the_only_pair_is_not_listed_any_more(bench: Bench) -> None:
    """Its order, which the exchange ends with the pair, is unclear until that is back."""
    await place(bench, limit())
    bench.rig.exchange.delist("BTCUSDC")
    assert [record.state for record in await follow(bench)] == [OrderState.UNKNOWN]
    assert bench.ledger.in_flight()
    bench.rig.exchange.relist("BTCUSDC")
    assert [(record.state, record.executed_quantity) for record in await follow(bench)] == [(OrderState.BOOKED, 0)]
    assert bench.ledger.in_flight() == ()


@pytest.mark.parametrize("path", ["/openOrders", "/order"])
async def test_a_question_that_is_refused(bench: Bench, path: str) -> None:
    """It says nothing of the orders, which stay as they are."""
    (record,) = await place(bench, limit())
    bench.rig.exchange.cancel_order(record.client_order_id)
    bench.rig.exchange.fault("error", method="GET", path=path, code=-1102)
    assert await follow(bench) == ()
    assert bench.executor.problem
    assert [each.state for each in await follow(bench)] == [OrderState.BOOKED]


async def test_a_lost_ledger(stocked: Bench) -> None:
    """Orders that rest are found again, with all that is known of them, and followed from then on."""
    await place(stocked, *PAIR)
    (buy,) = await place(stocked, limit())
    stocked.rig.exchange.trade_against(buy.client_order_id, "0.00100")
    stocked.ledger.close()
    for file in stocked.ledger.path.parent.glob("entry.db*"):
        file.unlink()
    stocked.reopen()
    for _ in range(3):
        await stocked.rebuild()
        await follow(stocked)
    found = {record.type: record for record in stocked.ledger.resting() if record.side is Side.SELL}
    assert (found[OrderType.LIMIT].limit_price, found[OrderType.STOP_LOSS].stop_price) == (HIGH, Decimal(88000))
    assert len({record.pair for record in found.values()} - {""}) == 1
    (buy,) = [record for record in stocked.ledger.resting() if record.side is Side.BUY]
    assert (buy.state, buy.executed_quantity) == (OrderState.PARTLY_FILLED, Decimal("0.00100"))


# The owner's doors


async def protect(owner: OpenEngine, coin: str, target: Decimal | None, stop: Decimal | None) -> list[OrderRecord]:
    """Have a coin protected; returns the orders that do it, or were refused."""
    await protect_coin(owner, coin, target, stop)
    return [order for order in owner.ledger.orders(PROTECTING) if order.coin == coin and not order.cancel_at]


@pytest.fixture(params=Mode)
async def owner(request: pytest.FixtureRequest, rig: Rig) -> OpenEngine:
    """A portfolio that holds BTC, in each mode."""
    rig.leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(request.param)
    await follower.cycle()
    return follower


async def test_a_limit_by_hand(rig: Rig, owner: OpenEngine) -> None:
    """It rests, is filled once the price is there, and its cash is not spent twice."""
    record = await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    assert record.state is OrderState.ACCEPTED
    cash = owner.ledger.book().portfolio.cash
    with pytest.raises(CommandError, match="not_enough_free"):
        await owner.orders.place(ticket("ETH", Side.BUY, (cash - 200) / 3000, Decimal(3000)))
    with pytest.raises(CommandError, match="order_unclear"):
        await owner.commands.withdraw(Decimal(10) * (cash // 10 - 5) / Decimal("1.1614"))
    rig.exchange.set_price("ETHUSDC", "2950")
    await rig.cycle(owner)
    await rig.cycle(owner)
    held = owner.ledger.book().portfolio.quantity("ETH")
    assert Decimal("0.0999") <= held <= Decimal("0.1")
    assert not owner.ledger.resting()
    assert owner.ledger.replay() == owner.ledger.book().portfolio


async def test_what_cannot_be_placed(rig: Rig, owner: OpenEngine) -> None:
    """Each with its reason, and nothing is sent."""
    sent = rig.exchange.count("POST", "/order")
    for words, call in (
        ("coin_not_tradable", protect(owner, "NOPE", None, Decimal(1))),
        ("coin_not_tradable", owner.orders.place(ticket("NOPE", Side.BUY, Decimal(1), Decimal(1)))),
        ("order_too_small", owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.001"), Decimal(3000)))),
        ("not_enough_free", owner.orders.place(ticket("BTC", Side.SELL, Decimal(1), HIGH))),
        ("order_not_resting", owner.orders.cancel("cv-nothing")),
        ("protection_prices", protect(owner, "BTC", Decimal(90000), None)),
    ):
        with pytest.raises(CommandError, match=words):
            await call
    assert rig.exchange.count("POST", "/order") == sent


async def test_protection(rig: Rig, owner: OpenEngine) -> None:
    """Replaced, lifted for a sale and placed anew over what is left, and gone once it has acted."""
    placed = await protect(owner, "BTC", HIGH, Decimal(80000))
    assert {(order.state, order.type) for order in placed} == {
        (OrderState.ACCEPTED, OrderType.LIMIT),
        (OrderState.ACCEPTED, OrderType.STOP_LOSS),
    }
    placed = await protect(owner, "BTC", None, Decimal(85000))
    assert [order.stop_price for order in owner.ledger.resting()] == [Decimal(85000)]
    await rig.cycle(owner)
    assert list(owner.ledger.resting()) == placed
    before = owner.ledger.book().portfolio.quantity("BTC")
    rig.leader.publish_v2({"BTC": ".2"})
    await rig.cycle(owner)
    after = owner.ledger.book().portfolio.quantity("BTC")
    assert after < before / 2
    (order,) = owner.ledger.resting()
    assert after - Decimal("0.00001") < order.quantity <= after
    owner = await rig.restart(owner)
    await rig.cycle(owner)
    assert owner.ledger.resting() == (order,)
    rig.exchange.set_price("BTCUSDC", "84000")
    await rig.cycle(owner)
    await rig.cycle(owner)
    assert not [each for each in owner.ledger.resting() if each.signal_id == "protection"]


async def test_a_protection_of_what_is_held_no_more(rig: Rig, owner: OpenEngine) -> None:
    """Whoever sold it: it is wanted no more, and does not meet what is bought again at other prices."""
    await protect(owner, "BTC", HIGH, Decimal(80000))
    rig.leader.publish_v2({})
    await rig.cycle(owner)
    assert not owner.snapshot.protections
    assert owner.ledger.resting() == ()
    rig.exchange.set_price("BTCUSDC", "79000")
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(owner)
    await rig.cycle(owner)
    assert rig.weights(owner)["BTC"] == pytest.approx(0.4, abs=0.01)


async def test_a_protection_that_was_cancelled_elsewhere(rig: Rig, owner: OpenEngine) -> None:
    """On the exchange's own page it is the owner's word; here it is taken back with its order."""
    (order,) = await protect(owner, "BTC", HIGH, None)
    await owner.orders.cancel(order.client_order_id)
    await rig.cycle(owner)
    assert owner.ledger.resting() == ()
    (order,) = await protect(owner, "BTC", HIGH, None)
    if owner.ledger.mode is Mode.LIVE:
        rig.exchange.cancel_order(order.client_order_id)
        await rig.cycle(owner)
        await rig.cycle(owner)
        assert owner.ledger.resting() == ()
    await protect(owner, "BTC", None, None)
    assert owner.ledger.resting() == ()


async def test_everything_is_withdrawn(rig: Rig, owner: OpenEngine) -> None:
    """Before a sale of everything, and where the owner asks for it."""
    await protect(owner, "BTC", HIGH, Decimal(80000))
    await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    await owner.orders.withdraw()
    assert owner.ledger.resting() == ()
    await protect(owner, "BTC", HIGH, Decimal(80000))
    await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    await owner.commands.exit(confirm=True)
    assert owner.ledger.resting() == ()
    assert owner.ledger.book().portfolio.quantity("BTC") < Decimal("0.00001")
    await rig.cycle(owner)
    assert not rig.exchange.open_orders()


async def test_the_dead_withdraw(rig: Rig, owner: OpenEngine) -> None:
    """Nothing rests of a portfolio that is dead, and nothing can be placed."""
    await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    owner.ledger.remember("dead", "2026-01-01T00:00:00+00:00")
    owner = await rig.restart(owner)
    assert owner.snapshot.status is Status.DEAD
    await rig.cycle(owner)
    assert owner.ledger.resting() == ()
    with pytest.raises(CommandError, match="dead"):
        await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))


async def test_what_cannot_be_ended(rig: Rig) -> None:
    """Nothing is placed anew, or called withdrawn, while it is not known whether an order has ended."""
    owner = await rig.following()
    rig.leader.publish_v2({"BTC": ".5"})
    await rig.cycle(owner)
    (order,) = await protect(owner, "BTC", HIGH, None)
    for path in ("/order", "/orderList"):
        rig.exchange.fault("status", method="DELETE", path=path, count=None)
    with pytest.raises(CommandError, match="coin_unclear"):
        await protect(owner, "BTC", None, Decimal(80000))
    with pytest.raises(CommandError, match="order_unclear"):
        await owner.orders.withdraw()
    assert [each.client_order_id for each in rig.exchange.open_orders()] == [order.client_order_id]
    rig.exchange.clear_faults()
    await owner.orders.withdraw()
    assert not rig.exchange.open_orders()


async def test_what_the_exchange_cannot_do(rig: Rig, owner: OpenEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is written down."""
    for kind in (BinanceExchange, PaperExchange):
        monkeypatch.setattr(kind, "types", frozenset[OrderType]())
    with pytest.raises(CommandError, match="order_not_supported"):
        await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    await rig.cycle(owner)
    assert not owner.ledger.resting()


@pytest.mark.parametrize("price", ["79000", "96000"])
@pytest.mark.parametrize("lacks", ["pairs", "types", "places"])
async def test_a_protection_that_the_exchange_does_not_hold(
    rig: Rig, owner: OpenEngine, monkeypatch: pytest.MonkeyPatch, lacks: str, price: str
) -> None:
    """The cycle watches the price, and sells once it has come to one of the two."""
    if lacks == "places":
        rig.exchange.fault("error", code=-2010, method="POST", path="/oco", count=None)
        if owner.ledger.mode is Mode.DRY_RUN:
            pytest.skip("on paper there is always a place")
    for kind in (BinanceExchange, PaperExchange) if lacks != "places" else ():
        monkeypatch.setattr(kind, lacks, False if lacks == "pairs" else frozenset[OrderType]())
    assert {order.state for order in await protect(owner, "BTC", HIGH, Decimal(80000))} <= {OrderState.REJECTED}
    before = owner.ledger.book().portfolio.quantity("BTC")
    asked = rig.exchange.count("POST", "/oco")
    await rig.cycle(owner)
    assert not owner.ledger.resting()
    assert owner.ledger.book().portfolio.quantity("BTC") == before
    assert rig.exchange.count("POST", "/oco") == asked
    rig.exchange.set_price("BTCUSDC", price)
    await rig.cycle(owner)
    assert owner.ledger.book().portfolio.quantity("BTC") < Decimal("0.00001")
    sold = len(owner.ledger.trades())
    await rig.cycle(owner)
    assert len(owner.ledger.trades()) == sold


async def test_a_level_that_was_passed_meanwhile(rig: Rig, owner: OpenEngine) -> None:
    """Where no order could rest when the price came to it, what is held is sold at the first sight of the price."""
    await protect(owner, "BTC", HIGH, Decimal(80000))
    rig.leader.publish_v2({"BTC": ".2"})
    for path in ("/oco", "/orderList/oco"):
        rig.exchange.fault("drop", when="before", method="POST", path=path, count=None)
    await rig.cycle(owner)
    rig.exchange.set_price("BTCUSDC", "79000")
    rig.exchange.clear_faults()
    await rig.cycle(owner)
    await rig.cycle(owner)
    assert owner.ledger.book().portfolio.quantity("BTC") < Decimal("0.00001")


async def test_an_order_for_a_coin_with_an_unclear_one(rig: Rig) -> None:
    """One at a time: what the first has come to is not known."""
    owner = await rig.following()
    rig.exchange.fault("drop", when="after", method="POST", path="/order")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    first = await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    assert first.state is OrderState.UNKNOWN
    with pytest.raises(CommandError, match="coin_unclear"):
        await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    rig.exchange.clear_faults()
    await rig.cycle(owner)
    assert [each.client_order_id for each in owner.ledger.resting()] == [first.client_order_id]
    await owner.orders.cancel(first.client_order_id)
    assert not rig.exchange.open_orders()


async def test_money_moved_while_an_order_fills(rig: Rig) -> None:
    """What an order has bought meanwhile is in no value yet, so nothing is moved."""
    owner = await rig.following()
    order = await owner.orders.place(ticket("ETH", Side.BUY, Decimal("0.1"), Decimal(3000)))
    rig.exchange.trade_against(order.client_order_id, "0.05")
    rig.exchange.fault("status", method="GET", path="/openOrders")
    with pytest.raises(CommandError, match="order_unclear"):
        await owner.commands.withdraw(Decimal(10))
    await owner.commands.withdraw(Decimal(10))


async def test_an_idle_cycle_with_ten_orders(rig: Rig) -> None:
    """At most two requests more than without."""
    follower = await rig.following()
    await rig.cycle(follower)
    rig.exchange.forget_requests()
    await rig.cycle(follower)
    before = len(rig.exchange.requests)
    for coin, price in (("BTC", "80000"), ("ETH", "2500"), ("SOL", "100"), ("XRP", "1.5"), ("BNB", "700")):
        for _ in range(2):
            await follower.orders.place(ticket(coin, Side.BUY, 12 / Decimal(price), Decimal(price)))
    rig.exchange.forget_requests()
    await rig.cycle(follower)
    assert len(follower.ledger.resting()) == 10
    assert len(rig.exchange.requests) <= before + 2
