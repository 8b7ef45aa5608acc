"""A portfolio in EUR on Kraken: it trades, survives lost answers and crashes, and a lost ledger is rebuilt; the account agrees."""

from decimal import Decimal

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.order_names import follower_tag
from custom_components.calvalot.trading.reports.form_2086 import Start
from custom_components.calvalot.trading.signal import RECOVERED
from harness.orders import limit
from simulators.kraken import KrakenSimulator
from simulators.kraken.pairs import LOT, Pair
from simulators.leader import LeaderSimulator

from .builders import key
from .rig import ENTRY, Rig
from .test_rebuild import lose, rebuilt


@pytest.fixture
def sim(kraken: KrakenSimulator) -> KrakenSimulator:
    """The exchange."""
    return kraken


async def test_a_rebalance_in_eur(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """EUR are worth 1 EUR; each order is known by two names, and both are written down before it is sent."""
    rig = kraken_rig
    follower = await rig.following()
    signals = [leader.publish_v2({"BTC": ".5", "ETH": ".45"})]
    await rig.cycle(follower)
    signals.append(leader.publish_v2({"BTC": ".2", "SOL": ".5"}))
    picture = await rig.cycle(follower)
    assert picture.exchange_problem is None
    assert picture.total_value == picture.total_value_quote
    assert abs(rig.weights(follower)["SOL"] - 0.5) < 0.01
    rig.agree(follower)
    orders = [order for signal in signals for order in follower.ledger.orders(key(signal))]
    assert len(orders) == 5
    tag = rig.connect().order_name(follower_tag(ENTRY))
    for record in orders:
        assert record.sent_as == rig.connect().order_name(record.client_order_id)
        assert record.sent_as.startswith(tag)
        assert len(record.sent_as) == 32


async def test_everything_in_one_coin(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """The fee comes beside what is bought: cash is left for it."""
    follower = await kraken_rig.following()
    signal = leader.publish_v2({"BTC": "1"})
    await kraken_rig.cycle(follower)
    book = kraken_rig.agree(follower)
    assert 0 <= book.cash < 70
    assert kraken_rig.result(follower, signal) in {Result.EXECUTED, Result.PARTIAL, Result.OPEN}


async def test_on_paper(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """Kraken's fee, in EUR; nothing is sent."""
    follower = await kraken_rig.following(Mode.DRY_RUN)
    leader.publish_v2({"BTC": ".5"})
    await kraken_rig.cycle(follower)
    (trade,) = follower.ledger.trades()
    ((asset, fee),) = trade.fees
    assert asset == "EUR"
    assert abs(fee / trade.amount - Decimal("0.004")) < Decimal("1e-6")
    assert not kraken_rig.exchange.orders


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop", "when": "after", "path": "/AddOrder"},
        {"kind": "drop", "when": "before", "path": "/AddOrder"},
        {"kind": "drop", "path": "/QueryOrders", "count": 2},
        {"kind": "late", "path": "/AddOrder", "seconds": 20},
        {"kind": "drop", "path": "/QueryTrades", "count": 2},
        {"kind": "error", "path": "/AddOrder", "message": "EService:Unavailable", "when": "after"},
        {"kind": "delayed", "path": "/AddOrder", "seconds": 8},
    ],
    ids=str,
)
async def test_lost_answers(kraken_rig: Rig, leader: LeaderSimulator, fault: dict[str, object]) -> None:
    """Looked up, never sent twice; what was never placed is placed once more while its signal is fresh."""
    rig = kraken_rig
    follower = await rig.following()
    rig.exchange.fault(**fault)  # type: ignore[arg-type]
    leader.publish_v2({"BTC": ".5", "ETH": ".3"})
    for _ in range(5):
        await rig.cycle(follower)
    assert not rig.in_flight(follower)
    rig.agree(follower)
    assert abs(rig.weights(follower)["BTC"] - 0.5) < 0.01


async def test_a_nonce_that_is_refused(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """Nothing was done: another attempt goes out at once, with a nonce that is further on."""
    rig = kraken_rig
    follower = await rig.following()
    rig.exchange.fault("error", path="/AddOrder", message="EAPI:Invalid nonce")
    signal = leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    rig.agree(follower)
    assert [order.state for order in follower.ledger.orders(key(signal))] == [
        OrderState.NOT_PLACED,
        OrderState.BOOKED,
    ]


@pytest.mark.parametrize("known", [True, False], ids=["signals known", "signals lost"])
async def test_a_ledger_that_was_lost(kraken_rig: Rig, leader: LeaderSimulator, known: bool) -> None:
    """Everything of ours is found by the eight digits of the follower, and booked once; signals that are known have it back."""
    rig = kraken_rig
    rig.exchange.trade_by_hand("BTCEUR", "BUY", "0.001")
    follower = await rig.following()
    leader.publish_v2({"BTC": ".3", "SOL": ".2"})
    await rig.cycle(follower)
    last = leader.publish_v2({"BTC": ".1", "ETH": ".3"})
    await rig.cycle(follower)
    truth = follower.ledger.book().portfolio
    if not known:
        leader.publish_v2({"BTC": ".1", "ETH": ".3"})
    lose(rig, follower)
    again = await rig.start()
    assert await rebuilt(rig, again, truth) <= 3
    legs = {order.signal_id for order in again.ledger.trades()}
    assert legs == ({RECOVERED, last} if known else {RECOVERED})
    assert all(len(order.client_order_id) == 32 or order.sent_as for order in again.ledger.orders(key(last)))
    rig.agree(again)


async def test_an_order_that_rests(kraken_rig: Rig) -> None:
    """A limit by hand, filled bit by bit and then ended, and a crash in between."""
    rig = kraken_rig
    follower = await rig.following()
    await follower.orders.place(limit("BTC", Side.BUY, Decimal("0.003"), Decimal(70000)))
    (order,) = follower.ledger.resting()
    rig.exchange.trade_against(order.sent_as, "0.001")
    await rig.cycle(follower)
    assert follower.ledger.book().portfolio.quantity("BTC") == Decimal("0.001")
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    (order,) = follower.ledger.resting()
    await follower.orders.cancel(order.client_order_id)
    assert not rig.exchange.open_orders()
    rig.agree(follower)


def list_pair(rig: Rig, base: str, quote: str, tick: str) -> None:
    """List a pair of two coins at the price that their own pairs tell."""
    price = rig.exchange.price(f"{base}EUR") / rig.exchange.price(f"{quote}EUR")
    rules = Pair(base, quote, Decimal(tick), LOT, min_notional=Decimal("0.00002"), quote_order_quantity=False)
    rig.exchange.list_symbol(rules, price.quantize(Decimal(tick)))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("start", "goal", "quantity", "orders"),
    [
        ("BTC", "SOL", "0.002", 2),
        ("BTC", "ETH", "0.002", 1),
        ("ETH", "BTC", "0.05", 1),
        ("EUR", "SOL", "100", 1),
        ("ETH", "EUR", "0.05", 1),
    ],
)
async def test_a_conversion(
    kraken_rig: Rig, leader: LeaderSimulator, mode: Mode, start: str, goal: str, quantity: str, orders: int
) -> None:
    """Directly, over what is between, from cash and into it; the fee beside a purchase is paid out of what is converted, too."""
    rig = kraken_rig
    list_pair(rig, "ETH", "BTC", "0.00001")
    follower = await rig.following(mode)
    leader.publish_v2({"BTC": ".4", "ETH": ".3"})
    await rig.cycle(follower)
    before = follower.ledger.book().portfolio
    asked = rig.exchange.count("GET", "/AssetPairs")
    shown = await follower.conversions.convert(start, goal, Decimal(quantity), confirm=False)
    assert (shown["route"][0], shown["route"][-1], len(shown["orders"])) == (start, goal, orders)
    assert rig.exchange.count("GET", "/AssetPairs") - asked <= 6
    assert Decimal(shown["sold"]) <= Decimal(quantity)
    fees = Decimal("0.004") * orders
    assert fees * Decimal("0.9") < Decimal(shown["cost"]) / Decimal(shown["value"]) < fees * Decimal("1.3")
    plan = shown["plan_id"]
    done = await follower.conversions.convert(start, goal, Decimal(quantity), confirm=True, plan_id=plan)
    assert (done["result"], done["route"]) == ("executed", shown["route"])
    assert Decimal(done["received"]) == pytest.approx(Decimal(shown["expected"]), rel=Decimal("0.003"))
    after = follower.ledger.book().portfolio
    assert follower.ledger.replay() == after
    assert (before.cash if start == "EUR" else before.quantity(start)) - (
        after.cash if start == "EUR" else after.quantity(start)
    ) <= Decimal(quantity)
    if mode is Mode.LIVE:
        rig.agree(follower)
        for order in follower.ledger.orders(follower.ledger.conversions()[0].key):
            assert order.sent_as == rig.connect().order_name(order.client_order_id)
    else:
        assert not rig.exchange.orders


async def test_a_conversion_without_an_answer(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """It is looked up by its other name; a ledger that was lost has it again, of the pair of two coins too."""
    rig = kraken_rig
    list_pair(rig, "ETH", "BTC", "0.00001")
    follower = await rig.following()
    leader.publish_v2({"BTC": ".4", "ETH": ".3"})
    await rig.cycle(follower)
    rig.exchange.fault("drop", when="after", path="/AddOrder")
    await follower.conversions.convert("BTC", "ETH", Decimal("0.002"), confirm=True)
    for _ in range(3):
        await rig.cycle(follower)
    assert not rig.in_flight(follower)
    (record,) = follower.ledger.conversions()
    assert record.result is Result.EXECUTED
    rig.agree(follower)
    assert follower.ledger.trades(1)[0].symbol == "ETHBTC"
    lose(rig, follower)
    again = await rig.start()
    for _ in range(8):
        if (await rig.cycle(again, after=61)).net_deposits is not None:
            break
    rig.agree(again)
    found = {trade.symbol for trade in again.ledger.trades() if trade.signal_id == RECOVERED}
    assert found == {"ETHBTC"}


async def test_an_export(kraken_rig: Rig, leader: LeaderSimulator) -> None:
    """Trades, and the money before them, are Kraken's."""
    follower = await kraken_rig.following()
    leader.publish_v2({"BTC": ".5"})
    await kraken_rig.cycle(follower)
    content = (await follower.queries.export("blockpit", None, Start(), {}))["content"]
    rows = [line.split(",")[1:3] for line in content.splitlines()[1:]]
    assert rows == [["Kraken", "Deposit"], ["Kraken", "Trade"]]
