"""Which signal counts: both versions, the first one, the latest one, and the ones that are refused."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.executor import Executor
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.rebalance import Rebalancer
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.signal import Kind
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .builders import key
from .rig import ALLOCATION, COINS, Rig


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


def legs(rig: Rig) -> list[tuple[str, str]]:
    """What was ordered."""
    return [(order.side, order.symbol) for order in rig.orders()]


# Version 1


async def test_actions(rig: Rig, leader: LeaderSimulator) -> None:
    """Shares of the whole capital, for sells too."""
    follower = await rig.following()
    leader.publish_v1([("BTC", "BUY", ".3"), ("ETH", "BUY", ".2"), ("SOL", "HOLD", "0")])
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    weights = rig.weights(follower)
    assert abs(weights["BTC"] - 0.3) < 0.006
    leader.publish_v1([("BTC", "SELL", ".1"), ("SOL", "BUY", ".1")])
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    weights = rig.weights(follower)
    assert all(abs(weights[coin] - share) < 0.006 for coin, share in (("BTC", 0.2), ("ETH", 0.2), ("SOL", 0.1)))
    for _ in range(3):
        await rig.cycle(follower)
    assert len(rig.orders()) == 4
    rig.agree(follower)


async def test_an_action_is_placed_at_most_once(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What the guard left unfilled is not chased; the other actions are done all the same."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "100")
    leader.publish_v1([("BTC", "BUY", ".3"), ("ETH", "BUY", ".2")])
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.PARTIAL, "unfilled: BTCUSDC")
    for _ in range(3):
        await rig.cycle(follower)
    assert legs(rig) == [("BUY", "BTCUSDC"), ("BUY", "ETHUSDC")]
    rig.agree(follower)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_unclear_action(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, when: str) -> None:
    """Executed: done. Proven absent: placed again while it is fresh."""
    follower = await rig.following()
    signal_id = leader.publish_v1([("BTC", "BUY", ".3"), ("ETH", "BUY", ".2")])
    sim.fault("drop", when=when, method="POST", symbol="BTCUSDC")
    for _ in range(4):
        await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert sorted(legs(rig)) == [("BUY", "BTCUSDC"), ("BUY", "ETHUSDC")]
    attempts = [order.attempt for order in follower.ledger.orders(key(signal_id)) if order.coin == "BTC"]
    assert attempts == ([1] if when == "after" else [1, 2])
    rig.agree(follower)


async def test_an_absent_action_that_is_too_old(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It is not placed any more."""
    follower = await rig.following()
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")])
    sim.fault("drop", method="POST", symbol="BTCUSDC")
    sim.fault("status", method="GET", path="/order", count=None)
    await rig.cycle(follower)
    await rig.cycle(follower, after=5 * 3600)
    sim.clear_faults()
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.ERROR
    assert rig.orders() == []


@pytest.mark.parametrize(
    "created", [{"created_at": (datetime.now(UTC) - timedelta(hours=5)).isoformat()}, {"timestamp": 1_700_000_000}]
)
async def test_a_stale_action(rig: Rig, leader: LeaderSimulator, created: dict[str, Any]) -> None:
    """Skipped at first sight; a target of the same age is followed."""
    follower = await rig.following()
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")], **created)
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.SKIPPED, "too old")
    assert rig.types("signal") == ["received", "skipped"]
    leader.publish_v2({"BTC": ".3"}, **created)
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    assert rig.result(follower, signal_id) is Result.SKIPPED
    assert len(rig.orders()) == 1


async def test_the_age_counts_from_first_sight(rig: Rig, leader: LeaderSimulator) -> None:
    """Where the leader tells no time: seen while paused, it grows old there."""
    follower = await rig.following(Mode.DRY_RUN)
    await follower.commands.pause(paused=True)
    leader.publish_v1([("BTC", "BUY", ".3")], created_at=None)
    await rig.cycle(follower)
    rig.clock.advance(5 * 3600)
    await follower.commands.pause(paused=False)
    assert (await rig.cycle(follower)).last_signal_reason == "too old"
    leader.publish_v1([("BTC", "BUY", ".3")], created_at=None)
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


async def late_for_an_unknown_coin(rig: Rig, follower: OpenEngine) -> OpenEngine:
    """Refused for a coin that is added three days later."""
    await rig.cycle(follower)
    rig.clock.advance(3 * 24 * 3600)
    return await rig.restart(follower, coins=COINS)


async def late_for_a_pause(rig: Rig, follower: OpenEngine) -> OpenEngine:
    """Seen while paused, with another one in between, and resumed after a restart."""
    follower = await rig.restart(follower, coins=COINS)
    await follower.commands.pause(paused=True)
    first = rig.leader.signals[-1]
    await rig.cycle(follower)
    rig.leader.publish_v1([("ETH", "BUY", ".1")], created_at=None)
    await rig.cycle(follower)
    rig.leader.publish_raw(json.dumps(first))
    follower = await rig.restart(follower, coins=COINS)
    await rig.cycle(follower, after=3 * 24 * 3600)
    await follower.commands.pause(paused=False)
    return follower


async def late_for_a_mode(rig: Rig, follower: OpenEngine) -> OpenEngine:
    """Seen on paper, and still there when the follower goes live."""
    rig.crash(follower)
    paper = await rig.start(Mode.DRY_RUN, coins=COINS)
    await paper.commands.pause(paused=True)
    await rig.cycle(paper)
    rig.crash(paper)
    rig.clock.advance(3 * 24 * 3600)
    follower = await rig.start(Mode.LIVE, coins=COINS)
    await follower.commands.pause(paused=False)
    return follower


@pytest.mark.parametrize("delayed", [late_for_an_unknown_coin, late_for_a_pause, late_for_a_mode])
async def test_moves_are_never_placed_late(
    rig: Rig, leader: LeaderSimulator, delayed: Callable[[Rig, OpenEngine], Awaitable[OpenEngine]]
) -> None:
    """First sight is written down: whatever came between, the age counts from there."""
    follower = await rig.following(coins=("BTC", "ETH"))
    signal_id = leader.publish_v1([("SOL", "BUY", ".3")], created_at=None)
    follower = await delayed(rig, follower)
    await rig.cycle(follower)
    record = follower.ledger.signal(key(signal_id))
    assert record
    assert (record.result, record.reason) == (Result.SKIPPED, "too old")
    assert rig.orders() == []


@pytest.mark.usefixtures("fresh_rules")
async def test_the_rest_of_moves_is_not_placed_late(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """One of two placed, and nobody at home for three days."""
    follower = await rig.following()
    sim.set_symbol_status("ETHUSDC", "BREAK")
    signal_id = leader.publish_v1([("BTC", "BUY", ".3"), ("ETH", "BUY", ".2")])
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.OPEN
    sim.set_symbol_status("ETHUSDC", "TRADING")
    rig.clock.advance(3 * 24 * 3600)
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    record = follower.ledger.signal(key(signal_id))
    assert record
    assert (record.result, record.reason) == (Result.PARTIAL, "too old")
    assert legs(rig) == [("BUY", "BTCUSDC")]
    rig.agree(follower)


@pytest.mark.parametrize(("when", "result"), [("after", Result.EXECUTED), ("before", Result.ERROR)])
async def test_moves_whose_answer_comes_late(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, when: str, result: Result
) -> None:
    """What is on its way is waited for, however old: it was done, or it is not done any more."""
    follower = await rig.following()
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")])
    sim.fault("drop", when=when, method="POST", symbol="BTCUSDC")
    sim.fault("status", method="GET", path="/order", count=None)
    await rig.cycle(follower)
    await rig.cycle(follower, after=5 * 3600)
    assert rig.result(follower, signal_id) is Result.OPEN
    sim.clear_faults()
    for _ in range(2):
        await rig.cycle(follower)
    assert rig.result(follower, signal_id) is result
    assert len(rig.orders()) == (when == "after")
    assert rig.types("signal")[-1] == ("executed" if when == "after" else "failed")


async def test_a_pause_between_sells_and_buys(
    rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is heard before each batch; resumed, the rest is bought."""
    follower = await rig.following()
    rig.exchange.set_account(bnb_burn=True)  # so that BNB is sold in a batch of its own
    leader.publish_v2({"BTC": ".5", "BNB": ".3"})
    await rig.cycle(follower)
    signal_id = leader.publish_v2({"ETH": ".5"})
    execute = Executor.execute

    async def pauses(*args: Any) -> Any:
        done = await execute(*args)
        await follower.commands.pause(paused=True)
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Executor, "execute", pauses)
        await rig.cycle(follower)
    assert legs(rig)[2:] == [("SELL", "BTCUSDC")]
    assert rig.result(follower, signal_id) is Result.OPEN
    await rig.cycle(follower, after=5 * 3600)
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    assert legs(rig)[3:] == [("SELL", "BNBUSDC"), ("BUY", "ETHUSDC")]


async def test_a_pause_before_the_first_batch(
    rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the plan is made."""
    follower = await rig.following()
    leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    leader.publish_v2({"ETH": ".5"})
    order_plan = Rebalancer.order_plan

    async def pauses(*args: Any, **options: Any) -> Any:
        plan = await order_plan(*args, **options)
        await follower.commands.pause(paused=True)
        return plan

    monkeypatch.setattr(Rebalancer, "order_plan", pauses)
    await rig.cycle(follower)
    assert legs(rig) == [("BUY", "BTCUSDC")]


async def test_nothing_to_do(rig: Rig, leader: LeaderSimulator) -> None:
    """HOLD is executed; a sell without a position is skipped."""
    follower = await rig.following(Mode.DRY_RUN)
    leader.publish_v1([("BTC", "HOLD", "0")])
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED
    leader.publish_v1([("BTC", "SELL", ".3")])
    picture = await rig.cycle(follower)
    assert (picture.last_signal_result, picture.last_signal_reason) == (Result.SKIPPED, "no_position: BTCUSDC")
    leader.publish_v1([])
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


# Joining


async def test_joining_with_actions(rig: Rig, leader: LeaderSimulator) -> None:
    """The allocation is bought; the actions that came with it are taken as done."""
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")], positions={"BTC": ".4", "ETH": ".2"})
    follower = await rig.start()
    for _ in range(3):
        await rig.cycle(follower)
    weights = rig.weights(follower)
    assert abs(weights["BTC"] - 0.4) < 0.006
    assert abs(weights["ETH"] - 0.2) < 0.006
    assert len(rig.orders()) == 2
    record = follower.ledger.signal(key(signal_id))
    assert record
    assert (record.result, record.reason) == (Result.EXECUTED, "covered by initial_sync")
    sync = follower.ledger.signal(key("initial_sync"))
    assert sync
    assert (sync.result, sync.kind, sync.origin) == (Result.EXECUTED, Kind.JOINING, signal_id)
    leader.publish_v1([("SOL", "BUY", ".1")], positions={"BTC": ".4", "ETH": ".2", "SOL": ".1"})
    await rig.cycle(follower)
    assert len(rig.orders()) == 3
    rig.agree(follower)


async def test_joining_in_several_passes(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The actions stay covered while the allocation is still being bought, over a restart too."""
    sim.set_depth("BTCUSDC", "200")
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")], positions={"BTC": ".4"})
    follower = await rig.start()
    await follower.cycle()
    assert rig.result(follower, "initial_sync") is Result.OPEN
    follower = await rig.restart(follower)
    for _ in range(4):
        await rig.cycle(follower)
    assert rig.result(follower, "initial_sync") is Result.EXECUTED
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert abs(rig.weights(follower)["BTC"] - 0.4) < 0.006
    rig.agree(follower)


class Crash(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_while_joining(rig: Rig, leader: LeaderSimulator, number: int, when: str) -> None:
    """Whatever was written of it: the allocation is bought once, the actions never."""
    leader.publish_v1([("BTC", "BUY", ".3")], positions={"BTC": ".4", "ETH": ".2"})
    follower = await rig.start()
    write, calls = follower.ledger.write_signal, iter(range(1, 100))

    def dies(record: Any, *facts: Any) -> Any:
        if (call := next(calls)) < number:
            return write(record, *facts)
        if call == number and when == "after":
            write(record, *facts)
        raise Crash

    follower.ledger.write_signal = dies
    try:
        await follower.cycle()
    except Crash:
        pass
    else:
        assert number == 4
    follower = await rig.restart(follower)
    for _ in range(2):
        await rig.cycle(follower)
    assert sorted(legs(rig)) == [("BUY", "BTCUSDC"), ("BUY", "ETHUSDC")]
    assert {record.result for record in follower.ledger.signals()} == {Result.EXECUTED}
    rig.agree(follower)


async def test_an_allocation_is_joined_by_taking_it_up(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """One record, one event, one result; a leg that is refused is tried twice at most in all."""
    signal_id = leader.publish_v2({"BTC": ".4", "ETH": ".2"})
    sim.fault("error", code=-2010, method="POST", symbol="ETHUSDC", count=None)
    follower = await rig.start()
    for _ in range(4):
        picture = await rig.cycle(follower)
    assert [record.signal_id for record in follower.ledger.signals()] == [signal_id]
    assert (picture.last_signal_id, picture.last_signal_result) == (signal_id, Result.PARTIAL)
    assert rig.types("signal") == ["received", "partial"]
    assert rig.types("trade") == ["buy", "failed", "failed"]


@pytest.mark.parametrize("fails", ["unfilled", "refused"])
async def test_a_first_purchase_that_came_to_nothing(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator, fails: str
) -> None:
    """The leader is joined by its next signal."""
    if fails == "unfilled":
        sim.set_depth("BTCUSDC", "0.000001")
    else:
        sim.fault("error", code=-2010, method="POST", symbol="BTCUSDC", count=2)
    first = leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".8"})
    follower = await rig.start()
    for _ in range(3):
        await rig.cycle(follower)
    assert await follower.queries.trades() == []
    assert rig.result(follower, first) is (None if fails == "unfilled" else Result.ERROR)
    sim.set_depth("BTCUSDC", None)
    newer = leader.publish_v1([("ETH", "BUY", ".1")], {"BTC": ".8", "ETH": ".1"})
    for _ in range(2):
        await rig.cycle(follower)
    assert rig.result(follower, "initial_sync") is Result.EXECUTED
    assert rig.result(follower, newer) is Result.EXECUTED
    weights = rig.weights(follower)
    assert abs(weights["BTC"] - 0.8) < 0.006
    assert abs(weights["ETH"] - 0.1) < 0.006
    rig.agree(follower)


async def test_a_first_purchase_that_its_own_signal_takes_up_again(rig: Rig, leader: LeaderSimulator) -> None:
    """Overtaken by a refused signal, and told again."""
    first = leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".8"}, signal_id="one")
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    follower = await rig.start()
    await follower.cycle()
    leader.publish_raw(json.dumps({"signal_id": "bad", "version": 3}))
    await rig.cycle(follower)
    assert rig.result(follower, "initial_sync") is Result.SKIPPED
    rig.exchange.set_symbol_status("BTCUSDC", "TRADING")
    leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".8"}, signal_id="one")
    await rig.cycle(follower, after=900)
    assert rig.result(follower, "initial_sync") is rig.result(follower, first) is Result.EXECUTED
    assert abs(rig.weights(follower)["BTC"] - 0.8) < 0.006


async def test_no_joining_of_a_leader_in_cash(rig: Rig, leader: LeaderSimulator) -> None:
    """Nothing to buy first; the actions are followed."""
    leader.publish_v1([("BTC", "BUY", ".3")], positions={})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    leader.publish_v1([("BTC", "BUY", ".1")])
    await rig.cycle(follower)
    assert [each["signal_id"] for each in await follower.queries.signals()] == [
        each["signal_id"] for each in reversed(leader.signals)
    ]
    assert len(await follower.queries.trades()) == 2


# Refused signals

BAD: Sequence[tuple[str, Any]] = [
    ("portfolio_state.positions is missing", {"version": 2, "portfolio_state": {}}),
    ("not a number", {"version": 2, "portfolio_state": {"positions": [{"coin": "BTCUSDC", "pct_of_portfolio": "1"}]}}),
    (
        "between 0 and 1",
        {"version": 2, "portfolio_state": {"positions": [{"coin": "BTCUSDC", "pct_of_portfolio": -1}]}},
    ),
    ("unknown version", {"version": 3}),
    ("unknown action", {"actions": [{"coin": "BTCUSDC", "action": "SHORT", "pct_of_capital": 0.1}]}),
    ("unknown coin: DOGE", {"actions": [{"coin": "DOGEUSDC", "action": "BUY", "pct_of_capital": 0.1}]}),
]


@pytest.mark.parametrize(("reason", "document"), BAD, ids=[reason for reason, _ in BAD])
async def test_a_signal_that_is_refused(
    rig: Rig, leader: LeaderSimulator, reason: str, document: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As a whole, told once, with its reason, and without an order."""
    follower = await rig.following()
    leader.publish_raw(json.dumps({"signal_id": "bad", **document}))
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert (picture.leader_connected, picture.last_signal_result) == (True, Result.REJECTED)
    assert reason in (picture.last_signal_reason or "")
    assert rig.types("signal") == ["rejected"]
    assert caplog.text.count("Signal bad is refused") == 1
    assert rig.orders() == []
    leader.publish_v2({"BTC": ".1"})
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


@pytest.mark.parametrize("version", [1, 2])
async def test_an_unknown_coin_that_is_added(rig: Rig, leader: LeaderSimulator, version: int) -> None:
    """The signal that was refused counts again, the first one of a follower too, and its coin is named until then."""
    targets = {"BTC": ".4", "SOL": ".2"}
    if version == 1:
        signal_id = leader.publish_v1([("SOL", "BUY", ".2")], positions=targets)
    else:
        signal_id = leader.publish_v2(targets)
    follower = await rig.start(coins=("BTC", "ETH"))
    picture = await follower.cycle()
    assert (picture.unknown_coins, picture.last_signal_result) == (("SOL",), Result.REJECTED)
    follower = await rig.restart(follower, coins=COINS)
    picture = await rig.cycle(follower)
    assert (picture.unknown_coins, picture.storage_problem) == ((), None)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert sorted(legs(rig)) == [("BUY", "BTCUSDC"), ("BUY", "SOLUSDC")]
    assert len(follower.ledger.signals()) == 3 - version
    rig.agree(follower)


async def test_a_refused_signal_does_not_stop_what_is_open_but_closes_it(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """It is the latest, so the one before is over; nothing is traded until a good one comes."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "200")
    signal_id = leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.OPEN
    leader.publish_raw(json.dumps({"signal_id": "bad", "version": 3}))
    await rig.cycle(follower)
    record = follower.ledger.signal(key(signal_id))
    assert record
    assert (record.result, record.reason) == (Result.PARTIAL, "overtaken by a newer signal")
    await rig.cycle(follower)
    assert len(rig.orders()) == 1


# Open signals


@pytest.mark.usefixtures("fresh_rules")
async def test_overtaken(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Only the latest counts: partial where something was done, skipped where nothing, error where it failed."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "200")
    sim.set_symbol_status("SOLUSDC", "BREAK")
    ids = [leader.publish_v2({"BTC": ".5"})]
    await rig.cycle(follower)
    ids.append(leader.publish_v2({"BTC": ".172", "SOL": ".3"}))
    await rig.cycle(follower)
    sim.fault("error", code=-2010, method="POST")
    ids.append(leader.publish_v2({"BTC": ".172", "ETH": ".3"}))
    await rig.cycle(follower)
    assert rig.result(follower, ids[-1]) is Result.OPEN
    ids.append(leader.publish_v2({"BTC": ".172"}))
    await rig.cycle(follower)
    assert [rig.result(follower, each) for each in ids] == [
        Result.PARTIAL,
        Result.SKIPPED,
        Result.ERROR,
        Result.EXECUTED,
    ]
    rig.agree(follower)


async def test_an_open_signal_after_a_restart(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What it wants is written down: it goes on though the leader does not answer; a newer one closes it."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "300")
    signal_id = leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    follower = await rig.restart(follower)
    leader.misbehave("status", 2)
    await rig.cycle(follower)
    assert len(rig.orders()) == 2
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) in {Result.OPEN, Result.EXECUTED}
    rig.agree(follower)


async def test_the_age_ends_the_retries(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """One last pass, then partial."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "100")
    signal_id = leader.publish_v2({"BTC": ".9"})
    await rig.cycle(follower)
    picture = await rig.cycle(follower, after=5 * 3600)
    assert (rig.result(follower, signal_id), picture.last_signal_result) == (Result.PARTIAL, Result.PARTIAL)
    assert len(rig.orders()) == 2
    await rig.cycle(follower)
    assert len(rig.orders()) == 2
    assert rig.types("signal") == ["received", "partial"]


async def test_no_leader_does_not_stop_what_is_open(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """What was taken up is pursued while the leader does not answer."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "300")
    leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    leader.misbehave("status", None)
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    rig.agree(follower)


async def test_nothing_is_judged_without_the_exchange(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """A signal stays open over an outage, and waits for it."""
    follower = await rig.following()
    sim.fault("status", path="/account", count=None)
    leader.publish_v2({"BTC": ".5"})
    picture = await rig.cycle(follower)
    assert rig.types("signal") == []
    sim.clear_faults()
    sim.fault("error", code=-2010, method="POST")
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.OPEN
    sim.fault("status", path="/ticker/price")
    assert (await rig.cycle(follower)).last_signal_result is Result.OPEN
    assert (await rig.cycle(follower)).last_signal_result is Result.EXECUTED


# Sync, and what it covers


async def test_sync_covers_actions(rig: Rig, leader: LeaderSimulator) -> None:
    """The owner's whole rebalance takes the leader's latest actions as done, once."""
    follower = await rig.following()
    signal_id = leader.publish_v1([("BTC", "BUY", ".3")], positions={"BTC": ".4"})
    record = await follower.commands.sync()
    assert record.result is Result.EXECUTED
    covered = follower.ledger.signal(key(signal_id))
    assert covered
    assert (covered.result, covered.reason) == (Result.EXECUTED, "covered by sync")
    for _ in range(2):
        await rig.cycle(follower)
    await follower.commands.sync()
    assert len(rig.orders()) == 1
    rig.agree(follower)


async def test_sync_without_an_allocation(rig: Rig, leader: LeaderSimulator) -> None:
    """Actions alone tell none: refused, and nothing is sold."""
    follower = await rig.following()
    leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leader.publish_v1([("BTC", "HOLD", "0")])
    with pytest.raises(Exception, match="no_allocation"):
        await follower.commands.sync()
    assert len(rig.orders()) == 1


async def test_sync_while_the_latest_signal_is_refused(rig: Rig, leader: LeaderSimulator) -> None:
    """Nobody trades the former allocation, nor sees it previewed, also while the leader does not answer."""
    follower = await rig.following()
    leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    leader.publish_v2({"DOGE": ".4"})
    for _ in range(2):
        with pytest.raises(CommandError, match="signal_refused"):
            await follower.commands.sync()
        with pytest.raises(CommandError, match="signal_refused"):
            await follower.commands.preview()
        leader.misbehave("status", None)
    leader.behave()
    leader.publish_v2({"BTC": ".2"})
    assert (await follower.commands.sync()).result is Result.EXECUTED


async def test_a_signal_that_returns(rig: Rig, leader: LeaderSimulator, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and for as long as the leader shows it; nothing is traded."""
    follower = await rig.following()
    leader.publish_v2({"BTC": ".4"}, signal_id="one")
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".2"}, signal_id="two")
    assert (await rig.cycle(follower)).returned_signal is None
    leader.publish_v2({"BTC": ".9"}, signal_id="one")
    before = len(rig.orders())
    for _ in range(3):
        assert (await rig.cycle(follower)).returned_signal == "one"
    assert caplog.text.count("Signal one is shown again") == 1
    assert len(rig.orders()) == before
    leader.publish_v2({"BTC": ".3"}, signal_id="three")
    assert (await rig.cycle(follower)).returned_signal is None
    assert rig.result(follower, "three") is Result.EXECUTED


async def test_sync_overtakes_what_is_open(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The sync goes on in its place, over the next cycles and a restart."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "200")
    signal_id = leader.publish_v2({"BTC": ".6"})
    await rig.cycle(follower)
    record = await follower.commands.sync()
    assert record.result is Result.OPEN
    assert rig.result(follower, signal_id) is Result.PARTIAL
    follower = await rig.restart(follower)
    for _ in range(4):
        await rig.cycle(follower)
    assert rig.result(follower, record.signal_id) is Result.EXECUTED
    assert abs(rig.weights(follower)["BTC"] - 0.6) < 0.006
    rig.agree(follower)


async def test_an_open_sync_whose_allocation_is_gone(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """The leader says the same signal without its positions: what was taken up goes on."""
    follower = await rig.following()
    sim.set_depth("BTCUSDC", "200")
    leader.publish_v1([("BTC", "BUY", ".3")], positions={"BTC": ".4"}, signal_id="same")
    record = await follower.commands.sync()
    assert record.result is Result.OPEN
    leader.publish_v1([("BTC", "BUY", ".3")], signal_id="same")
    await rig.cycle(follower)
    assert rig.result(follower, record.signal_id) in {Result.OPEN, Result.EXECUTED}
    assert legs(rig) == [("BUY", "BTCUSDC")] * 2


# A stop loss


async def test_an_exit_over_a_restart(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It sells on though paused, though the leader says something else, though started anew."""
    options: dict[str, Any] = {"stop_loss_drawdown": Decimal("0.1"), "stop_loss_sell": True}
    follower = await rig.following(**options)
    leader.publish_v2(ALLOCATION)
    await rig.cycle(follower)
    sim.set_depth("BTCUSDC", "120")  # of 232, a part of it in each cycle
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") / 2)
    await rig.cycle(follower)
    (exit_,) = follower.ledger.open_signals()
    assert exit_.signal_id.startswith("stop_loss-")
    leader.publish_v2({"BTC": "1"})
    follower = await rig.restart(follower, **options)
    sim.remove_price("BTCUSDC")
    await rig.cycle(follower)  # without a valuation it waits
    assert rig.result(follower, exit_.signal_id) is Result.OPEN
    sim.restore_price("BTCUSDC")
    sells = len(rig.orders(side="SELL"))
    await follower.commands.pause(paused=False)  # resumed, it comes before the leader's signal
    await rig.cycle(follower)
    assert len(rig.orders(side="SELL")) == sells + 1
    assert rig.result(follower, exit_.signal_id) is Result.EXECUTED
    assert all(order.state is OrderState.BOOKED for order in follower.ledger.orders(key(exit_.signal_id)))
    rig.agree(follower)


async def test_other_words_while_joining_waits(rig: Rig, leader: LeaderSimulator) -> None:
    """The owner's word holds for the allocation, not for what is told beside it."""
    leader.publish_v2({"BTC": ".4"}, signal_id="one", reasoning="because")
    follower = await rig.start(approval=Approval.ASK)
    assert (await follower.cycle()).waiting_signal == "one"
    leader.publish_v2({"BTC": ".4"}, signal_id="one", reasoning="all the more")
    assert (await follower.commands.approve()).result is Result.EXECUTED
    assert legs(rig) == [("BUY", "BTCUSDC")]
    rig.agree(follower)


async def test_an_exit_without_the_account(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """It is written down and sells as soon as the account answers."""
    follower = await rig.following(stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    leader.publish_v2({"BTC": ".5"})
    await rig.cycle(follower)
    sim.set_price("BTCUSDC", sim.price("BTCUSDC") / 2)
    sim.fault("status", path="/account")
    await rig.cycle(follower)
    (exit_,) = follower.ledger.open_signals()
    assert rig.orders(side="SELL") == []
    await rig.cycle(follower)
    assert rig.result(follower, exit_.signal_id) is Result.EXECUTED
    assert legs(rig) == [("BUY", "BTCUSDC"), ("SELL", "BTCUSDC")]
    rig.agree(follower)


async def test_what_the_leader_asks_of_its_followers(rig: Rig, leader: LeaderSimulator) -> None:
    """A newer version is shown, never acted on."""
    leader.publish_v2({"BTC": ".1"}, update={"required": True, "latest_version": "c3f9ff3"})
    follower: OpenEngine = await rig.start(Mode.DRY_RUN)
    assert (await follower.cycle()).update_required == "c3f9ff3"
    leader.publish_v2({"BTC": ".1"})
    assert (await rig.cycle(follower)).update_required is None
