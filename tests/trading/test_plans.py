"""The plan before the deed: what is shown is what is traded, or it is said what has changed."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
import os
from random import Random
from typing import Any

import pytest

from custom_components.calvalot.trading.decimals import ONE
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.plan_table import table
from custom_components.calvalot.trading.plans import REMEMBERED
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.sizing import LeftOut, PlannedOrder, Reason
from harness.engine import OpenEngine
from harness.portfolio import COINS
from simulators.leader import LeaderSimulator

from .builders import decimals, make_market, make_portfolio
from .rig import ALLOCATION, Rig

MARKETS = int(os.environ.get("CALVALOT_PLANS", "100"))


async def refusal(follower: OpenEngine, plan_id: str) -> tuple[str, dict[str, str]]:
    """The error with which a plan is refused."""
    with pytest.raises(CommandError) as caught:
        await follower.commands.sync(plan_id=plan_id)
    return caught.value.key, caught.value.placeholders


def orders_of(shown: dict[str, Any]) -> list[tuple[str, str, Decimal]]:
    """What a preview says would be traded."""
    return sorted((each["symbol"], each["side"], Decimal(each["quantity"])) for each in shown["orders"])


def placed(rig: Rig, known: int) -> list[tuple[str, str, Decimal]]:
    """What the exchange got since it knew so many orders."""
    return sorted((each.symbol, each.side, each.quantity) for each in rig.orders()[known:])


# The table


def test_table() -> None:
    """Shares add up, costs are fees and what fills lose, and each coin without an order says why."""
    market = make_market({"BTC": "50000", "ETH": "2000", "SOL": "100", "XRP": "1"})
    order = PlannedOrder(
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        quantity=Decimal("0.002"),
        price=Decimal(50000),
        amount=Decimal(100),
        limit_price=Decimal(50100),
    )
    sale = PlannedOrder(
        coin="SOL",
        symbol="SOLUSDC",
        side=Side.SELL,
        quantity=Decimal(1),
        price=Decimal(100),
        amount=Decimal(100),
        limit_price=Decimal(99),
    )
    shown = table(
        portfolio=make_portfolio("500", ETH="0.15", SOL="2"),
        targets=decimals({"BTC": "0.1", "ETH": "0.3", "SOL": "0"}),
        band=Decimal("0.2"),
        threshold=Decimal("0.005"),
        orders=[sale, order],
        left_out=[LeftOut("XRP", "XRPUSDC", Side.BUY, Reason.NOT_CHOSEN)],
        market=market,
    )
    rows = {row.coin: row for row in shown.rows}
    assert [row.coin for row in shown.rows] == ["ETH", "SOL", "BTC", "XRP"]
    assert (rows["ETH"].held, rows["ETH"].target, rows["ETH"].drift, rows["ETH"].band) == decimals_of(
        ".3", ".3", "0", ".2"
    )
    assert (rows["ETH"].order, rows["ETH"].reason) == (None, Reason.IN_BAND)
    assert (rows["BTC"].drift, rows["BTC"].order, rows["BTC"].reason) == (-1, order, None)
    assert (rows["BTC"].fee, rows["BTC"].cost) == decimals_of(".1", ".12")
    assert (rows["SOL"].drift, rows["SOL"].band) == (None, None)
    assert rows["SOL"].cost == Decimal("0.15")
    assert rows["XRP"].reason is Reason.NOT_CHOSEN
    assert shown.turnover == 200
    assert shown.cost == Decimal("0.27")
    assert shown.left_over == 500 + 100 - Decimal("0.15") - 100 - Decimal("0.02")
    after = sum(row.after for row in shown.rows)
    assert after + shown.left_over / (1000 - shown.cost) == pytest.approx(ONE, abs=Decimal("1e-20"))


def decimals_of(*values: str) -> tuple[Decimal, ...]:
    """Decimals."""
    return tuple(map(Decimal, values))


def test_table_of_moves() -> None:
    """Without a target there is none to be off from; the threshold of the portfolio is a share of each target."""
    market = make_market({"BTC": "50000", "ETH": "2000"})
    portfolio = make_portfolio("500", BTC="0.01")

    def rows(targets: dict[str, Decimal] | None) -> list[tuple[Decimal | None, ...]]:
        shown = table(
            portfolio=portfolio,
            targets=targets,
            band=None,
            threshold=Decimal("0.005"),
            orders=(),
            left_out=(),
            market=market,
        )
        return [(row.target, row.drift, row.band) for row in shown.rows]

    assert rows(None) == [(None, None, None)]
    assert rows({"BTC": Decimal("0.4")}) == [(Decimal("0.4"), Decimal("0.25"), Decimal("0.0125"))]
    empty = table(
        portfolio=make_portfolio("0"),
        targets={"BTC": Decimal(1)},
        band=None,
        threshold=Decimal("0.005"),
        orders=(),
        left_out=(),
        market=market,
    )
    assert [(row.held, row.after) for row in empty.rows] == [(0, 0)]


# The deed


@pytest.mark.parametrize("mode", Mode)
async def test_executed_as_shown(rig: Rig, leader: LeaderSimulator, mode: Mode) -> None:
    """A plan is traded to the last digit, once; it is the owner's approval."""
    follower = await rig.following(mode, approval=Approval.ASK)
    leader.publish_v2(ALLOCATION)
    assert (await rig.cycle(follower)).waiting_signal
    shown = await follower.commands.preview()
    rows = {row["coin"]: row for row in shown["table"]}
    assert rows.keys() == ALLOCATION.keys()
    assert (rows["BTC"]["held"], rows["BTC"]["target"], rows["BTC"]["side"]) == (0, 40, "BUY")
    assert rows["BTC"]["after"] == pytest.approx(40, abs=0.2)
    assert Decimal(shown["turnover"]) == sum(Decimal(order["amount"]) for order in shown["orders"])
    record = await follower.commands.sync(plan_id=shown["plan_id"])
    assert (record.result, record.signal_id[:5]) == (Result.EXECUTED, "sync-")
    trades = await follower.queries.trades()
    assert sorted((each["symbol"], each["side"], Decimal(each["quantity"])) for each in trades) == orders_of(shown)
    cash = follower.ledger.book().portfolio.cash
    assert abs(cash - Decimal(shown["left_over"])) < 3
    assert (await refusal(follower, shown["plan_id"]))[0] == "plan_unknown"
    assert (await rig.cycle(follower)).waiting_signal is None
    assert len(await follower.queries.trades()) == len(trades)
    signal, *_ = await follower.queries.signals()
    assert signal["version"] is None


async def test_sells_and_buys(rig: Rig, leader: LeaderSimulator) -> None:
    """What the sales bring pays for the purchases, whose sizes stay as they were shown."""
    follower = await rig.following(Mode.LIVE)
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    await rig.cycle(follower)
    await follower.commands.pause(paused=True)
    leader.publish_v2({"SOL": ".6", "BTC": ".3"})
    await rig.cycle(follower)
    await follower.commands.pause(paused=False)
    known = len(rig.orders())
    shown = await follower.commands.preview()
    assert {each["side"] for each in shown["orders"]} == {"BUY", "SELL"}
    assert (await follower.commands.sync(plan_id=shown["plan_id"])).result is Result.EXECUTED
    assert placed(rig, known) == orders_of(shown)
    rig.agree(follower)


async def test_sales_that_would_not_pay(rig: Rig, leader: LeaderSimulator) -> None:
    """Prices within the tolerance, at which the sales bring too little for the purchases: it is refused."""
    follower = await rig.following(Mode.LIVE)
    leader.publish_v2({"BTC": "1"})
    await rig.cycle(follower)
    await follower.commands.pause(paused=True)
    leader.publish_v2({"ETH": "1"})
    await rig.cycle(follower)
    await follower.commands.pause(paused=False)
    known = len(rig.orders())
    plan_id = (await follower.commands.preview())["plan_id"]
    for symbol, factor in (("BTCUSDC", "0.9955"), ("ETHUSDC", "1.0025")):
        rig.exchange.set_price(symbol, rig.exchange.price(symbol) * Decimal(factor), gap=True)
    assert (error := await refusal(follower, plan_id))[0] == "prices_moved"
    assert "BTC" in error[1]["coins"]
    assert len(rig.orders()) == known


async def test_unknown_and_expired(rig: Rig, leader: LeaderSimulator) -> None:
    """A plan that nobody was shown, one that is too old, and one that so many others came after."""
    follower = await rig.following(Mode.DRY_RUN)
    leader.publish_v2({"BTC": ".5"})
    assert await refusal(follower, "abc") == ("plan_unknown", {})
    plan_id = (await follower.commands.preview())["plan_id"]
    rig.clock.advance(601)
    assert await refusal(follower, plan_id) == ("plan_expired", {"minutes": "10"})
    first, *_ = [(await follower.commands.preview())["plan_id"] for _ in range(REMEMBERED + 1)]
    assert await refusal(follower, first) == ("plan_unknown", {})
    assert await follower.queries.trades() == []


async def test_moves_have_no_plan(rig: Rig, leader: LeaderSimulator) -> None:
    """Moves are placed once, and approved as what they are."""
    follower = await rig.following(Mode.DRY_RUN, approval=Approval.ASK)
    leader.publish_v1([("BTC", "BUY", ".2")])
    await rig.cycle(follower)
    shown = await follower.commands.preview()
    assert shown["plan_id"] is None
    assert [each["symbol"] for each in shown["orders"]] == ["BTCUSDC"]


type Change = Callable[[Rig, OpenEngine], Any]


async def deposit(_rig: Rig, follower: OpenEngine) -> None:
    """More money."""
    await follower.commands.deposit(Decimal(10))


async def republish(rig: Rig, _follower: OpenEngine) -> None:
    """Another allocation."""
    rig.leader.publish_v2({"BTC": ".5", "SOL": ".25"})


async def reshape(rig: Rig, _follower: OpenEngine) -> None:
    """Moves instead of an allocation."""
    rig.leader.publish_v1([("BTC", "BUY", ".2")])


async def halt(rig: Rig, _follower: OpenEngine) -> None:
    """A pair that is not traded any more."""
    rig.exchange.set_symbol_status("ETHUSDC", "HALT")
    rig.clock.advance(30)


async def rise(rig: Rig, _follower: OpenEngine) -> None:
    """A price further than the tolerance."""
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * Decimal("1.006"), gap=True)


async def slip(rig: Rig, _follower: OpenEngine) -> None:
    """A price within the tolerance, and beyond the guard of its purchase."""
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.004"), gap=True)


@pytest.mark.usefixtures("fresh_rules")
@pytest.mark.parametrize(
    ("change", "key", "coins"),
    [
        (deposit, "plan_changed", "USDC"),
        (republish, "plan_changed", "ETH, SOL"),
        (reshape, "plan_changed", "BTC, ETH"),
        (halt, "plan_changed", "ETH"),
        (rise, "prices_moved", "ETH +0.6 %"),
        (slip, "prices_moved", "BTC +0.4 %"),
    ],
)
async def test_refused(rig: Rig, leader: LeaderSimulator, change: Change, key: str, coins: str) -> None:
    """What has changed is named, and nothing is traded; the plan is used up."""
    follower = await rig.following(Mode.DRY_RUN)
    leader.publish_v2({"BTC": ".5", "ETH": ".25"})
    plan_id = (await follower.commands.preview())["plan_id"]
    await change(rig, follower)
    assert (error := await refusal(follower, plan_id))[0] == key
    assert error[1]["coins"] == coins
    assert await follower.queries.trades() == []
    assert await refusal(follower, plan_id) == ("plan_unknown", {})


async def test_lost_answer(rig: Rig, leader: LeaderSimulator) -> None:
    """What is unclear is looked up; nothing of the plan is placed again, and nothing else."""
    follower = await rig.following(Mode.LIVE)
    leader.publish_v2({"BTC": ".4", "ETH": ".4"})
    shown = await follower.commands.preview()
    rig.exchange.fault("drop", when="after", method="POST", count=2)
    rig.exchange.fault("status", method="GET", path="/order", count=20)
    record = await follower.commands.sync(plan_id=shown["plan_id"])
    assert record.result is Result.OPEN
    rig.exchange.clear_faults()
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    await rig.cycle(follower)
    (done,) = [each for each in await follower.queries.signals() if each["signal_id"] == record.signal_id]
    assert done["result"] == "executed"
    assert placed(rig, 0) == orders_of(shown)


async def test_what_is_left_of_a_plan_expires(rig: Rig, leader: LeaderSimulator) -> None:
    """After a crash between sales and purchases, later, the purchases are not made any more."""
    follower = await rig.following(Mode.LIVE)
    leader.publish_v2({"BTC": ".4", "ETH": ".4"})
    shown = await follower.commands.preview()
    rig.exchange.fault("drop", when="before", method="POST", count=1)
    rig.exchange.fault("status", method="GET", path="/order", count=20)
    record = await follower.commands.sync(plan_id=shown["plan_id"])
    assert record.result is Result.OPEN
    rig.exchange.clear_faults()
    follower = await rig.restart(follower)
    await rig.cycle(follower, after=timedelta(hours=5).total_seconds())
    (done,) = [each for each in await follower.queries.signals() if each["signal_id"] == record.signal_id]
    assert (done["result"], done["reason"]) == ("partial", "too old")


async def test_random_markets(rig: Rig, leader: LeaderSimulator) -> None:
    """In each of many markets what is executed is what was shown, or nothing is, and why is true."""
    random = Random(13)
    follower = await rig.following(Mode.LIVE, max_signal_age=timedelta(hours=1))
    sim = rig.exchange
    first = {coin: sim.price(f"{coin}USDC") for coin in COINS}
    executed = refused = 0
    for _ in range(MARKETS):
        rig.clock.advance(3600 * 5)
        for coin in COINS:
            factor = Decimal(str(round(random.uniform(0.95, 1.06), 4)))
            sim.set_price(f"{coin}USDC", first[coin] * factor)
        await follower.commands.pause(paused=True)
        leader.publish_v2(shares(random))
        await follower.cycle()
        await follower.commands.pause(paused=False)
        shown = await follower.commands.preview()
        known = len(rig.orders())
        moved = random.choice([Decimal(0), Decimal("0.002"), Decimal("0.004"), Decimal("0.02")])
        for coin in COINS:
            way = random.choice([-1, 0, 1])
            sim.set_price(f"{coin}USDC", sim.price(f"{coin}USDC") * (1 + way * moved), gap=True)
        other = random.random() < 0.1
        if other:
            leader.publish_v2(shares(random))
        if error := await trade(follower, shown["plan_id"]):
            refused += 1
            assert error in {"prices_moved", "plan_changed"}
            assert moved if error == "prices_moved" else other
            assert placed(rig, known) == []
        else:
            executed += 1
            assert placed(rig, known) == orders_of(shown)
        rig.agree(follower)
    assert executed > MARKETS / 4
    assert refused > MARKETS / 10


async def trade(follower: OpenEngine, plan_id: str) -> str | None:
    """Trade a plan; the error with which it is refused."""
    try:
        record = await follower.commands.sync(plan_id=plan_id)
    except CommandError as err:
        return err.key
    assert record.result is Result.EXECUTED, record.reason
    return None


def shares(random: Random) -> dict[str, str]:
    """An allocation."""
    weights = [random.choice([0.0, random.random()]) for _ in COINS]
    whole = max(sum(weights), 0.1) / random.choice([0.6, 0.95, 1])
    return {
        coin: f"{weight / whole:.4f}" for coin, weight in zip(COINS, weights, strict=True) if weight / whole >= 0.0001
    }
