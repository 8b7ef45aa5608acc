"""Ten followers on a host that wants to be left alone: not a request until it says so, and nothing is lost by it."""

import asyncio

import pytest

from custom_components.calvalot.trading.errors import RateLimited
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result
from harness.engine import OpenEngine

from .rig import Rig

FOLLOWERS = 10
PAUSE = 300


async def followers(rig: Rig) -> list[OpenEngine]:
    """Half of them live, each with a key of its own; half on paper."""
    started = []
    for number in range(FOLLOWERS):
        key, secret = f"Key{number}".ljust(64, "0"), f"Secret{number}"
        rig.exchange.add_account(key, secret, {"USDC": "2000"})
        mode = Mode.LIVE if number % 2 else Mode.DRY_RUN
        started.append(await rig.start(mode, entry_id=f"follower{number}", on=rig.binance(key, secret)))
    return started


async def cycle_all(rig: Rig, started: list[OpenEngine], after: float) -> None:
    """All of them at once."""
    rig.clock.advance(after)
    await asyncio.gather(*(follower.cycle() for follower in started))


@pytest.mark.parametrize(("path", "status"), [("/ticker/price", 429), ("/account", 418), ("/order", 429)])
async def test_ban(rig: Rig, path: str, status: int) -> None:
    """Whichever request is told to stop, and whosever it is, stops all; afterwards all follow the leader."""
    started = await followers(rig)
    await cycle_all(rig, started, 1)
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"}, signal_id="first")
    rig.exchange.fault("rate_limit", path=path, status=status, seconds=PAUSE, count=1)
    await cycle_all(rig, started, 120)
    rig.exchange.ban(PAUSE - 1, status)  # who asks all the same would be banned for longer
    rig.exchange.forget_requests()
    heard = len(rig.leader.requests)
    for _ in range(5):
        await cycle_all(rig, started, 50)
    assert rig.exchange.requests == []
    assert len(rig.leader.requests) == heard + 5 * FOLLOWERS
    for follower in started:
        assert follower.snapshot.exchange_connected is False
        assert isinstance(follower.snapshot.exchange_problem, RateLimited)
        assert follower.snapshot.leader_connected is True

    rig.exchange.ban(0, status)
    for _ in range(3):
        await cycle_all(rig, started, 120)
    for follower in started:
        assert follower.snapshot.exchange_connected is True
        assert rig.result(follower, "first") is Result.EXECUTED
        coins = [trade.coin for trade in follower.ledger.trades()]
        assert sorted(coins) == ["BTC", "ETH"]
    assert len(rig.exchange.orders) == FOLLOWERS  # two for each live one, none twice
