"""What a stop has sold is not bought again before its source changes its mind, or its owner says so."""

from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from harness.engine import OpenEngine
from simulators.leader import FaultKind, LeaderSimulator

from .rig import Rig

STOP: dict[str, Any] = {"stop_loss_drawdown": Decimal("0.1"), "stop_loss_sell": True}


async def stopped(rig: Rig, leader: LeaderSimulator) -> OpenEngine:
    """A portfolio that a stop loss has sold, and that goes on."""
    leader.publish_v2({"BTC": ".5", "ETH": ".3"})
    follower = await rig.start(Mode.DRY_RUN, **STOP)
    await follower.cycle()
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("0.7"))
    await rig.cycle(follower)
    snapshot = await rig.cycle(follower)
    assert snapshot.paused
    assert set(snapshot.held_back) >= {"BTC", "ETH"}
    await follower.commands.pause(paused=False)
    return follower


async def test_same_target(rig: Rig, leader: LeaderSimulator) -> None:
    """A new signal with the same share buys nothing; the preview says why, and so does a rebalance by hand."""
    follower = await stopped(rig, leader)
    trades = len(await follower.queries.trades())
    leader.publish_v2({"BTC": ".5", "ETH": ".3"})
    await rig.cycle(follower)
    assert len(await follower.queries.trades()) == trades
    shown = await follower.commands.preview()
    assert {row["coin"]: row["reason"] for row in shown["table"]} == {"BTC": "held_back", "ETH": "held_back"}
    assert (await follower.commands.sync()).result is Result.SKIPPED
    assert len(await follower.queries.trades()) == trades


async def test_other_target(rig: Rig, leader: LeaderSimulator) -> None:
    """The coin for which the source wants another share is bought, the other one is not."""
    follower = await stopped(rig, leader)
    leader.publish_v2({"BTC": ".4", "ETH": ".3"})
    snapshot = await rig.cycle(follower)
    assert snapshot.positions["BTC"].quantity
    assert rig.weights(follower)["ETH"] < 0.001
    assert "BTC" not in snapshot.held_back
    assert "ETH" in snapshot.held_back


async def test_release(rig: Rig, leader: LeaderSimulator) -> None:
    """Its owner may have a coin bought again."""
    follower = await stopped(rig, leader)
    await follower.commands.release("ETH")
    assert "ETH" not in follower.snapshot.held_back
    with pytest.raises(CommandError) as caught:
        await follower.commands.release("ETH")
    assert (caught.value.key, caught.value.placeholders) == ("not_held_back", {"coin": "ETH"})
    await follower.commands.sync()
    weights = rig.weights(follower)
    assert weights["ETH"] == pytest.approx(0.3, abs=0.005)
    assert weights["BTC"] < 0.001


async def test_moves(rig: Rig, leader: LeaderSimulator) -> None:
    """A move is an order of its source, whatever it wanted before."""
    follower = await stopped(rig, leader)
    leader.publish_v1([("ETH", "BUY", ".2")])
    await rig.cycle(follower)
    assert rig.weights(follower)["ETH"] == pytest.approx(0.2, abs=0.005)


async def test_restart(rig: Rig, leader: LeaderSimulator) -> None:
    """It is in the ledger; a source that has not said anything yet changes nothing."""
    follower = await stopped(rig, leader)
    held = follower.snapshot.held_back
    leader.misbehave(FaultKind.STATUS, 1)
    follower = await rig.restart(follower, **STOP)
    assert (await rig.cycle(follower)).held_back == held
    assert (await rig.cycle(follower)).held_back == held


async def test_exit(rig: Rig, leader: LeaderSimulator) -> None:
    """What the owner sold and goes on with by himself is not held back."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    await follower.commands.exit(confirm=True)
    assert follower.snapshot.held_back == ()
