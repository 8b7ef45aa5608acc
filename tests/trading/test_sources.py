"""Sources that fail: their own problem, told and tried again, and nothing else is harmed."""

from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from unittest.mock import patch

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.settings import Settings
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When
from custom_components.calvalot.trading.sources.leader import LeaderSource
from harness.engine import OpenEngine, exchange_for
from simulators.leader import FaultKind, LeaderSimulator

from .builders import decimals, key
from .rig import COINS, Rig


async def test_a_source_that_raises(rig: Rig, leader: LeaderSimulator) -> None:
    """Whatever it raises is a problem of its own; the portfolio is valued, and it is asked again."""
    follower = await rig.start(Mode.DRY_RUN)
    for method in "fetch", "decide":
        with patch.object(LeaderSource, method, side_effect=ZeroDivisionError("oops")):
            for _ in range(3):
                snapshot = await rig.cycle(follower)
        assert snapshot.leader_connected is False
        assert "ZeroDivisionError" in str(snapshot.leader_problem)
        assert snapshot.total_value
        assert "leader_lost" in rig.types("alert")
        leader.publish_v2({"BTC": ".4"})
        snapshot = await rig.cycle(follower)
        assert (snapshot.leader_connected, snapshot.last_signal_result) == (True, Result.EXECUTED)


async def test_a_source_in_the_house_that_raises(rig: Rig) -> None:
    """It has no connection that could be lost."""
    ledger = rig.ledger(mode=Mode.DRY_RUN)
    shares = decimals({"BTC": ".5"})
    source = AllocationSource(AllocationSettings(shares=shares, when=frozenset({When.DRIFT})), UTC)
    portfolio = OpenEngine(
        Settings(entry_id="own", mode=Mode.DRY_RUN, quote="USDC", initial_budget=Decimal(1000), coins=COINS),
        sources={"allocation": source},
        exchange=exchange_for(ledger, rig.binance(), rig.clock.now),
        ledger=ledger,
        clock=rig.clock.now,
        publish=lambda _snapshot, _events: None,
    )
    await portfolio.start()
    rig.followers.append(portfolio)
    with patch.object(AllocationSource, "decide", side_effect=ZeroDivisionError("oops")):
        snapshot = await portfolio.cycle()
    assert (snapshot.leader_connected, snapshot.leader_problem) == (None, None)
    assert snapshot.total_value
    assert round(snapshot.total_value, 6) == 1000
    assert [type(state.problem).__name__ for state in portfolio.sources] == ["SourceFailed"]
    snapshot = await portfolio.cycle()
    assert snapshot.last_signal_result is Result.EXECUTED
    assert portfolio.sources[0].problem is None


async def test_what_an_older_version_wrote_down_waits_for_its_source(rig: Rig, leader: LeaderSimulator) -> None:
    """Without what it wants an open signal trades nothing until its source says it again."""
    follower = await rig.start()
    await follower.cycle()
    signal_id = leader.publish_v2({"BTC": ".4"})
    await follower.commands.pause(paused=True)
    await rig.cycle(follower)
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    record = follower.ledger.signal(key(signal_id))
    assert record
    orders = len(rig.orders())
    follower.ledger.write_signal(replace(record, wants=None, result=Result.OPEN))
    follower = await rig.restart(follower)
    leader.misbehave(FaultKind.STATUS)
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.OPEN
    assert len(rig.orders()) == orders
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
