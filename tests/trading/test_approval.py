"""Approval: a new signal waits for its owner's word, and nothing is traded without it."""

from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
import json
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import Result, SignalRecord
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.signal import Kind
from custom_components.calvalot.trading.snapshot import Status
from harness.engine import OpenEngine
from simulators.leader import FaultKind

from .builders import key
from .rig import ALLOCATION, Rig

TIMEOUT = 30 * 60
SYNC = "initial_sync"


@pytest.fixture
async def follower(rig: Rig) -> OpenEngine:
    """One that holds its leader's first allocation, and asks from now on."""
    rig.leader.publish_v2({"BTC": ".4"})
    follower = await rig.start()
    await rig.cycle(follower)
    follower = await rig.restart(follower, approval=Approval.ASK)
    await rig.cycle(follower)
    rig.events.clear()
    assert follower.snapshot.waiting_signal is None
    return follower


async def asked(rig: Rig, follower: OpenEngine, targets: dict[str, str] | None = None) -> str:
    """A new signal that waits now; its id."""
    signal_id = rig.leader.publish_v2(targets or {"BTC": ".2", "ETH": ".3"})
    snapshot = await rig.cycle(follower)
    assert snapshot.waiting_signal == signal_id
    return signal_id


def reason(follower: OpenEngine, signal_id: str) -> str:
    """Why a signal ended as it did."""
    record = follower.ledger.signal(key(signal_id))
    assert record
    return record.reason


def waiting_event(rig: Rig) -> dict[str, Any]:
    """The one event that asks."""
    (event,) = [event for event in rig.events if event.type == "waiting"]
    return event.data


async def test_new_signal_waits(rig: Rig, follower: OpenEngine) -> None:
    """It is planned and told, in words and numbers, and not traded however long the follower polls."""
    before = len(rig.orders())
    rig.leader.publish_v2({"BTC": ".2", "ETH": ".3"}, signal_id="new", reasoning="ETH is cheap", confidence=0.7)
    snapshot = await rig.cycle(follower)
    assert snapshot.waiting_signal == "new"
    assert snapshot.last_signal_result is Result.WAITING
    assert snapshot.waiting_until
    assert snapshot.waiting_until.timestamp() == pytest.approx(rig.clock.time() + TIMEOUT, abs=5)

    assert [event.type for event in rig.events] == ["received", "waiting"]
    told = waiting_event(rig)
    assert told["signal_id"] == "new"
    assert told["reasoning"] == "ETH is cheap"
    assert told["confidence"] == 0.7
    assert told["result"] == "waiting"
    assert told["expires"] == snapshot.waiting_until.isoformat(timespec="milliseconds")
    sell, buy = told["orders"]
    assert (sell["side"], sell["symbol"], buy["side"], buy["symbol"]) == ("SELL", "BTCUSDC", "BUY", "ETHUSDC")
    assert Decimal(buy["amount"]) == pytest.approx(
        Decimal(".3") * (snapshot.total_value_quote or 0), rel=Decimal(".01")
    )
    price = rig.exchange.price("ETHUSDC")
    quantity = Decimal(buy["quantity"]).normalize()
    bought = f"BUY ETH {round(Decimal(buy['amount']), 2):f} USDC ({quantity:f} × {price.normalize():f})"
    assert told["summary"].startswith("SELL BTC ")
    assert told["summary"].endswith(f" · {bought}")

    for _ in range(3):
        await rig.cycle(follower)
    assert len(rig.orders()) == before
    assert rig.types("signal") == ["received", "waiting"]
    rig.agree(follower)


async def test_approve_plans_again(rig: Rig, follower: OpenEngine) -> None:
    """What is traded fits the prices of the approval, not those of the question."""
    signal_id = await asked(rig, follower)
    told = {order["symbol"]: Decimal(order["quantity"]) for order in waiting_event(rig)["orders"]}
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * 2, gap=True)
    record = await follower.commands.approve(signal_id)
    assert record.result is Result.EXECUTED
    assert follower.snapshot.waiting_signal is None
    assert rig.weights(follower) == pytest.approx({"BTC": 0.2, "ETH": 0.3, "BNB": 0, "SOL": 0, "XRP": 0}, abs=0.006)
    (bought,) = [order for order in rig.orders(side="BUY") if order.symbol == "ETHUSDC"]
    assert bought.executed < told["ETHUSDC"] * Decimal(".6")
    assert rig.types("signal") == ["received", "waiting", "executed"]
    assert sorted(rig.types("trade")) == ["buy", "sell"]
    await rig.cycle(follower)
    assert rig.types("signal") == []
    rig.agree(follower)


async def test_approve_without_an_id(rig: Rig, follower: OpenEngine) -> None:
    """The one that waits is meant."""
    await asked(rig, follower)
    assert (await follower.commands.approve()).result is Result.EXECUTED


async def test_reject(rig: Rig, follower: OpenEngine) -> None:
    """A rejected signal is skipped for good, and the next one is asked about."""
    before = len(rig.orders())
    signal_id = await asked(rig, follower)
    record = await follower.commands.reject(signal_id)
    assert (record.result, record.reason) == (Result.SKIPPED, "rejected by the owner")
    assert follower.snapshot.waiting_signal is None
    assert rig.types("signal") == ["received", "waiting", "skipped"]
    await rig.cycle(follower)
    assert rig.types("signal") == []
    await asked(rig, follower, {"SOL": ".5"})
    assert len(rig.orders()) == before


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_another_signal_is_meant(rig: Rig, follower: OpenEngine, answer: str) -> None:
    """A word on a signal that does not wait is refused, and the one that does goes on waiting."""
    signal_id = await asked(rig, follower)
    with pytest.raises(CommandError, match="not_waiting"):
        await getattr(follower.commands, answer)("another")
    assert follower.snapshot.waiting_signal == signal_id
    await follower.commands.reject()
    with pytest.raises(CommandError, match="not_waiting"):
        await getattr(follower.commands, answer)(signal_id)


async def test_expiry(rig: Rig, follower: OpenEngine) -> None:
    """Without a word in time it is skipped, and stays so."""
    before = len(rig.orders())
    signal_id = await asked(rig, follower)
    await rig.cycle(follower, after=TIMEOUT - 60)
    assert follower.snapshot.waiting_signal == signal_id
    await rig.cycle(follower, after=61)
    assert follower.snapshot.waiting_signal is None
    assert follower.snapshot.last_signal_result is Result.SKIPPED
    assert reason(follower, signal_id) == "approval expired"
    assert rig.types("signal") == ["received", "waiting", "skipped"]
    await rig.cycle(follower)
    assert rig.types("signal") == []
    assert len(rig.orders()) == before


@pytest.mark.parametrize("answer", ["approve", "reject"])
async def test_too_late(rig: Rig, follower: OpenEngine, answer: str) -> None:
    """A word after the time counts no more, whether or not a cycle has noticed."""
    before = len(rig.orders())
    signal_id = await asked(rig, follower)
    rig.clock.advance(TIMEOUT)
    with pytest.raises(CommandError, match="not_waiting"):
        await getattr(follower.commands, answer)(signal_id)
    assert follower.snapshot.waiting_signal is None
    assert reason(follower, signal_id) == "approval expired"
    assert len(rig.orders()) == before


async def test_own_timeout(rig: Rig, follower: OpenEngine) -> None:
    """The time to answer is a setting."""
    follower = await rig.restart(follower, approval=Approval.ASK, approval_timeout=timedelta(minutes=5))
    await asked(rig, follower)
    assert (await rig.cycle(follower, after=299)).waiting_signal
    assert (await rig.cycle(follower, after=2)).waiting_signal is None


async def test_overtaken(rig: Rig, follower: OpenEngine) -> None:
    """A newer signal takes the place of the one that waits."""
    first = await asked(rig, follower)
    second = await asked(rig, follower, {"SOL": ".5"})
    assert follower.ledger.open_signals(Result.WAITING) == (follower.ledger.signal(key(second)),)
    assert reason(follower, first) == "overtaken by a newer signal"
    assert rig.types("signal") == ["received", "waiting", "skipped", "received", "waiting"]


async def test_overtaken_while_being_approved(rig: Rig, follower: OpenEngine) -> None:
    """Who approves what the leader has given up meanwhile trades nothing; the newer one is asked about next."""
    before = len(rig.orders())
    first = await asked(rig, follower)
    second = rig.leader.publish_v2({"SOL": ".5"})
    with pytest.raises(CommandError, match="not_waiting"):
        await follower.commands.approve(first)
    assert follower.snapshot.waiting_signal is None
    assert (await rig.cycle(follower)).waiting_signal == second
    assert len(rig.orders()) == before


async def test_refused_signal_overtakes(rig: Rig, follower: OpenEngine) -> None:
    """One that cannot be understood is newer all the same."""
    first = await asked(rig, follower)
    rig.leader.publish_v2({"DOGE": ".5"})
    await rig.cycle(follower)
    assert follower.snapshot.waiting_signal is None
    assert follower.ledger.signal(key(first)).result is Result.SKIPPED  # type: ignore[union-attr]


async def test_leader_without_a_word(rig: Rig, follower: OpenEngine) -> None:
    """A leader that is away or has withdrawn its signal takes nothing back; the owner's word counts."""
    signal_id = await asked(rig, follower)
    rig.leader.misbehave(FaultKind.STATUS)
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    rig.leader.withdraw()
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED


@pytest.mark.parametrize("changed", ["XRP", "ETH"])
async def test_changed_signal_is_asked_about_again(rig: Rig, follower: OpenEngine, changed: str) -> None:
    """A word on one content is none on another that the leader publishes under the same id."""
    before = len(rig.orders())
    rig.leader.publish_v2({"ETH": ".3"}, signal_id="one")
    await rig.cycle(follower)
    rig.leader.publish_v2({changed: ".5"}, signal_id="one")
    record = await follower.commands.approve("one")
    assert record.result is Result.WAITING
    assert len(rig.orders()) == before
    plans = [event.data["summary"] for event in rig.events if event.type == "waiting"]
    assert len(plans) == len(set(plans)) == 2
    assert f"BUY {changed} " in plans[1]
    assert (await follower.commands.approve("one")).result is Result.EXECUTED
    assert rig.weights(follower)[changed] == pytest.approx(0.5, abs=0.006)


@pytest.mark.usefixtures("fresh_rules")
@pytest.mark.parametrize("kept", ["whole", "the start of it"])
async def test_changed_after_approval(rig: Rig, follower: OpenEngine, kept: str) -> None:
    """What stays open of an approved signal is bound to what was approved, as far as its text could be kept."""
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".3"}, signal_id="one")
    await rig.cycle(follower)
    rig.exchange.set_symbol_status("ETHUSDC", "HALT")
    assert (await follower.commands.approve("one")).result is Result.OPEN
    orders = len(rig.orders())
    rig.leader.publish_v2({"BTC": ".4", "SOL": ".3"}, signal_id="one")
    if kept != "whole":
        record = follower.ledger.signal(key("one"))
        assert record
        follower.ledger.write_signal(replace(record, wants=None))
    assert (await rig.cycle(follower)).waiting_signal == "one"
    assert len(rig.orders()) == orders


async def test_another_allocation_behind_a_long_text(rig: Rig, follower: OpenEngine) -> None:
    """All that is traded is compared, however much is told before it."""
    before = len(rig.orders())
    reasoning = "x" * 17_000
    rig.leader.publish_raw(said(reasoning, ETH=0.3))
    await rig.cycle(follower)
    rig.leader.publish_raw(said(reasoning, XRP=0.9))
    assert (await follower.commands.approve("one")).result is Result.WAITING
    assert len(rig.orders()) == before
    assert (await follower.commands.approve("one")).result is Result.EXECUTED
    assert rig.weights(follower)["XRP"] == pytest.approx(0.9, abs=0.01)


def said(reasoning: str, **targets: float) -> str:
    """A signal that gives its reasons first."""
    positions = [{"coin": f"{coin}USDC", "pct_of_portfolio": share} for coin, share in targets.items()]
    return json.dumps(
        {"signal_id": "one", "version": 2, "reasoning": reasoning, "portfolio_state": {"positions": positions}}
    )


@pytest.mark.parametrize("version", [1, 2])
async def test_a_first_purchase_of_an_older_version(rig: Rig, version: int) -> None:
    """What waits as `initial_sync`, of either kind of signal, is approved and covers what it came with."""
    positions = {"BTC": ".5"}
    if version == 2:
        signal_id = rig.leader.publish_v2(positions, signal_id="one")
    else:
        signal_id = rig.leader.publish_v1([("BTC", "BUY", ".1")], positions, signal_id="one")
    follower = await rig.start(approval=Approval.ASK)
    ledger = follower.ledger
    await follower.commands.pause(paused=True)
    await rig.cycle(follower)
    now = rig.clock.now()
    ledger.write_signal(
        SignalRecord(
            kind=Kind.JOINING,
            signal_id=SYNC,
            origin=signal_id,
            seen_at=now,
            asked_at=now,
            result=Result.WAITING,
        )
    )
    await follower.commands.pause(paused=False)
    assert (await rig.cycle(follower)).waiting_signal == SYNC
    assert len((await follower.commands.preview())["orders"]) == 1
    assert (
        await follower.commands.approve(SYNC)
    ).result is Result.WAITING  # what it was asked for is not known any more
    assert (await follower.commands.approve(SYNC)).result is Result.EXECUTED
    for _ in range(2):
        await rig.cycle(follower)
    assert len(rig.orders()) == 1
    assert (rig.result(follower, signal_id), reason(follower, signal_id)) == (Result.EXECUTED, f"covered by {SYNC}")


async def test_a_question_of_an_older_version_with_a_long_text(rig: Rig, follower: OpenEngine) -> None:
    """What was not kept whole cannot be compared: it is asked anew."""
    rig.leader.publish_v2({"ETH": ".3"}, signal_id="one")
    await rig.cycle(follower)
    record = follower.ledger.signal(key("one"))
    assert record
    follower.ledger.write_signal(replace(record, wants=None))
    assert (await follower.commands.approve("one")).result is Result.WAITING
    assert (await follower.commands.approve("one")).result is Result.EXECUTED


@pytest.mark.parametrize("version", [1, 2])
async def test_approved_too_late(rig: Rig, follower: OpenEngine, version: int) -> None:
    """Moves that have grown too old while they waited are not traded; an allocation is."""
    follower = await rig.restart(follower, approval=Approval.ASK, max_signal_age=timedelta(minutes=20))
    if version == 2:
        rig.leader.publish_v2({"ETH": ".3"}, signal_id="one")
    else:
        rig.leader.publish_v1([("ETH", "BUY", ".3")], signal_id="one")
    assert (await rig.cycle(follower)).waiting_signal == "one"
    rig.clock.advance(25 * 60)
    record = await follower.commands.approve("one")
    wanted = (Result.EXECUTED, "") if version == 2 else (Result.SKIPPED, "too old")
    assert (record.result, reason(follower, "one")) == wanted


async def test_other_words_of_the_same_signal(rig: Rig, follower: OpenEngine) -> None:
    """Only what would be traded counts, not what the leader tells beside it."""
    rig.leader.publish_v2({"ETH": ".3"}, signal_id="one", served=1)
    await rig.cycle(follower)
    rig.leader.publish_v2({"ETH": ".3"}, signal_id="one", served=2)
    assert (await follower.commands.approve("one")).result is Result.EXECUTED


@pytest.mark.usefixtures("fresh_rules")
async def test_retries_need_no_second_word(rig: Rig, follower: OpenEngine) -> None:
    """What could not be placed at once is placed later under the same approval."""
    signal_id = await asked(rig, follower, {"BTC": ".4", "ETH": ".3"})
    rig.exchange.set_symbol_status("ETHUSDC", "HALT")
    assert (await follower.commands.approve(signal_id)).result is Result.OPEN
    rig.exchange.set_symbol_status("ETHUSDC", "TRADING")
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert rig.types("signal") == ["received", "waiting", "executed"]


async def test_exchange_fails_at_approval(rig: Rig, follower: OpenEngine) -> None:
    """Without figures the word cannot be taken; it may be given again."""
    signal_id = await asked(rig, follower)
    rig.exchange.fault("status", path="/ticker/price")
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.approve(signal_id)
    assert follower.ledger.signal(key(signal_id)).result is Result.WAITING  # type: ignore[union-attr]
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED


async def test_figures_missing_when_asked(rig: Rig, follower: OpenEngine) -> None:
    """Without a price there is no plan to show: the question comes when there is one."""
    rig.exchange.remove_price("ETHUSDC")
    rig.leader.publish_v2({"ETH": ".3"})
    assert (await rig.cycle(follower)).waiting_signal is None
    rig.exchange.restore_price("ETHUSDC")
    assert (await rig.cycle(follower)).waiting_signal
    assert not rig.exchange.open_orders()


@pytest.mark.usefixtures("fresh_rules")
async def test_question_comes_late(rig: Rig, follower: OpenEngine) -> None:
    """A signal that could not be traded at first is asked about when it can, not simply traded."""
    before = len(rig.orders())
    rig.exchange.set_symbol_status("ETHUSDC", "HALT")
    signal_id = rig.leader.publish_v2({"BTC": ".4", "ETH": ".3"})
    assert (await rig.cycle(follower)).waiting_signal is None
    assert rig.result(follower, signal_id) is Result.OPEN
    rig.exchange.set_symbol_status("ETHUSDC", "TRADING")
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert len(rig.orders()) == before
    assert (await follower.commands.approve()).result is Result.EXECUTED


async def test_nothing_to_ask(rig: Rig, follower: OpenEngine) -> None:
    """Where there is nothing to trade there is nothing to ask."""
    signal_id = rig.leader.publish_v2({"BTC": ".401"})
    assert (await rig.cycle(follower)).waiting_signal is None
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert rig.types("signal") == ["received", "executed"]


async def test_paused_while_waiting(rig: Rig, follower: OpenEngine) -> None:
    """A pause keeps the owner's word back; after it the signal still waits, as long as its time has not run out."""
    before = len(rig.orders())
    signal_id = await asked(rig, follower)
    await follower.commands.pause(True)
    with pytest.raises(CommandError, match="paused"):
        await follower.commands.approve(signal_id)
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert len(rig.orders()) == before
    await follower.commands.pause(False)
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED


async def test_paused_until_expiry(rig: Rig, follower: OpenEngine) -> None:
    """The time runs on in a pause, and a signal may be rejected in it."""
    signal_id = await asked(rig, follower)
    await follower.commands.pause(True)
    await rig.cycle(follower, after=TIMEOUT)
    assert reason(follower, signal_id) == "approval expired"
    await follower.commands.pause(False)
    signal_id = await asked(rig, follower, {"SOL": ".5"})
    await follower.commands.pause(True)
    assert (await follower.commands.reject()).signal_id == signal_id


async def test_dead_while_waiting(rig: Rig, follower: OpenEngine) -> None:
    """The dead trade nothing."""
    signal_id = await asked(rig, follower)
    before = len(rig.orders())
    follower.ledger.remember("dead", "now")
    follower = await rig.restart(follower, approval=Approval.ASK)
    with pytest.raises(CommandError, match="dead"):
        await follower.commands.approve(signal_id)
    await rig.cycle(follower)
    assert follower.snapshot.status is Status.DEAD
    await rig.cycle(follower, after=TIMEOUT)
    assert rig.result(follower, signal_id) is Result.SKIPPED
    assert len(rig.orders()) == before


async def test_restart_while_waiting(rig: Rig, follower: OpenEngine) -> None:
    """The question outlives a crash, and its time runs from when it was asked."""
    signal_id = await asked(rig, follower)
    until = follower.snapshot.waiting_until
    rig.clock.advance(600)
    follower = await rig.restart(follower, approval=Approval.ASK)
    assert follower.snapshot.waiting_signal == signal_id
    assert follower.snapshot.waiting_until == until
    rig.events.clear()
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED
    rig.agree(follower)


async def test_restart_without_the_leader(rig: Rig, follower: OpenEngine) -> None:
    """What it wants is written down: the word may be given though the leader does not answer."""
    signal_id = await asked(rig, follower)
    follower = await rig.restart(follower, approval=Approval.ASK)
    rig.leader.misbehave(FaultKind.STATUS)
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED


async def test_restart_without_the_leader_of_an_older_version(rig: Rig, follower: OpenEngine) -> None:
    """What an older version wrote down without what it wants waits until the leader says it again."""
    signal_id = await asked(rig, follower)
    record = follower.ledger.signal(key(signal_id))
    assert record
    follower.ledger.write_signal(replace(record, wants=None))
    follower = await rig.restart(follower, approval=Approval.ASK)
    rig.leader.misbehave(FaultKind.STATUS)
    with pytest.raises(CommandError, match="signal_unheard"):
        await follower.commands.approve(signal_id)
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert (await follower.commands.approve(signal_id)).result is Result.WAITING
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED


async def test_option_is_switched_off(rig: Rig, follower: OpenEngine) -> None:
    """What waits goes on waiting when new signals need no word any more."""
    signal_id = await asked(rig, follower)
    follower = await rig.restart(follower)
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert (await follower.commands.approve(signal_id)).result is Result.EXECUTED
    signal_id = rig.leader.publish_v2({"SOL": ".5"})
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED


@pytest.mark.parametrize("version", [1, 2])
async def test_initial_sync_asks(rig: Rig, version: int) -> None:
    """Joining a leader needs a word too; version 1 is covered by it."""
    if version == 2:
        signal_id = rig.leader.publish_v2(ALLOCATION)
    else:
        signal_id = rig.leader.publish_v1([("BTC", "BUY", ".1")], ALLOCATION)
    asked_as = SYNC if version == 1 else signal_id
    follower = await rig.start(approval=Approval.ASK)
    assert (await rig.cycle(follower)).waiting_signal == asked_as
    assert len((await follower.commands.preview())["orders"]) == 5
    assert not rig.orders()
    assert (await follower.commands.approve(asked_as)).result is Result.EXECUTED
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert len(rig.orders()) == 5
    assert rig.types("signal").count("waiting") == 1


async def test_initial_sync_in_other_words(rig: Rig) -> None:
    """What the leader tells beside its allocation is of no importance when joining it."""
    rig.leader.publish_v1([("BTC", "BUY", ".1")], ALLOCATION, signal_id="one", served=1)
    follower = await rig.start(approval=Approval.ASK)
    await rig.cycle(follower)
    rig.leader.publish_v1([("BTC", "BUY", ".1")], ALLOCATION, signal_id="one", served=2)
    assert (await follower.commands.approve(SYNC)).result is Result.EXECUTED


@pytest.mark.parametrize("version", [1, 2])
async def test_initial_sync_is_rejected(rig: Rig, version: int) -> None:
    """The signal that came with it is not traded either, nor asked about; the next one is."""
    if version == 2:
        signal_id = rig.leader.publish_v2(ALLOCATION)
    else:
        signal_id = rig.leader.publish_v1([("BTC", "BUY", ".1")], ALLOCATION)
    follower = await rig.start(approval=Approval.ASK)
    await rig.cycle(follower)
    await follower.commands.reject()
    assert (await rig.cycle(follower)).waiting_signal is None
    assert rig.result(follower, signal_id) is Result.SKIPPED
    assert reason(follower, signal_id) == (f"covered by {SYNC}" if version == 1 else "rejected by the owner")
    signal_id = rig.leader.publish_v2({"BTC": ".5"})
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert not rig.orders()


async def test_initial_sync_is_overtaken(rig: Rig) -> None:
    """A newer version 1 signal brings a new allocation to join with, not only its own step."""
    rig.leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".5"})
    follower = await rig.start(approval=Approval.ASK)
    await rig.cycle(follower)
    newer = rig.leader.publish_v1([("ETH", "BUY", ".1")], {"BTC": ".5", "ETH": ".1"})
    assert (await rig.cycle(follower)).waiting_signal == SYNC
    assert (await follower.commands.approve()).result is Result.EXECUTED
    await rig.cycle(follower)
    assert rig.result(follower, newer) is Result.EXECUTED
    assert rig.weights(follower) == pytest.approx({"BTC": 0.5, "ETH": 0.1, "BNB": 0, "SOL": 0, "XRP": 0}, abs=0.006)
    newer = rig.leader.publish_v1([("ETH", "BUY", ".1")], {"BTC": ".5", "ETH": ".2"})
    assert (await rig.cycle(follower)).waiting_signal == newer


async def test_version_1(rig: Rig, follower: OpenEngine) -> None:
    """A list of actions is asked about and traded once."""
    signal_id = rig.leader.publish_v1([("ETH", "BUY", ".1"), ("BTC", "SELL", ".1")])
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert [order["side"] for order in waiting_event(rig)["orders"]] == ["SELL", "BUY"]
    before = len(rig.orders())
    assert (await follower.commands.approve()).result is Result.EXECUTED
    assert len(rig.orders()) == before + 2
    await rig.cycle(follower)
    assert len(rig.orders()) == before + 2


async def test_version_1_too_old(rig: Rig, follower: OpenEngine) -> None:
    """Nobody is asked about what is too old to be traded."""
    signal_id = rig.leader.publish_v1([("ETH", "BUY", ".1")], created_at="2020-01-01T00:00:00Z")
    assert (await rig.cycle(follower)).waiting_signal is None
    assert reason(follower, signal_id) == "too old"
    assert rig.types("signal") == ["received", "skipped"]


@pytest.mark.parametrize("version", [1, 2])
async def test_sync_needs_no_word(rig: Rig, follower: OpenEngine, version: int) -> None:
    """The owner's own sync is his word; what waited is given up and not traded on top."""
    if version == 2:
        signal_id = rig.leader.publish_v2({"ETH": ".5"})
    else:
        signal_id = rig.leader.publish_v1([("ETH", "BUY", ".1")], {"ETH": ".5"})
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert (await follower.commands.sync()).result is Result.EXECUTED
    assert rig.result(follower, signal_id) is Result.SKIPPED
    orders = len(rig.orders())
    assert (await rig.cycle(follower)).waiting_signal is None
    assert len(rig.orders()) == orders
    assert rig.weights(follower)["ETH"] == pytest.approx(0.5, abs=0.006)


async def test_sync_instead_of_the_initial_one(rig: Rig) -> None:
    """A sync by hand joins the leader as well."""
    signal_id = rig.leader.publish_v2({"ETH": ".5"})
    follower = await rig.start(approval=Approval.ASK)
    await rig.cycle(follower)
    await follower.commands.sync()
    assert (await rig.cycle(follower)).waiting_signal is None
    assert rig.result(follower, signal_id) is Result.SKIPPED
    assert len(rig.orders()) == 1


async def test_stop_loss_needs_no_word(rig: Rig) -> None:
    """The way out is open at once; what waited is given up."""
    rig.leader.publish_v2({"BTC": ".9"})
    follower = await rig.start()
    await rig.cycle(follower)
    follower = await rig.restart(follower, approval=Approval.ASK, stop_loss_drawdown=Decimal(".2"), stop_loss_sell=True)
    await rig.cycle(follower)
    signal_id = await asked(rig, follower)
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") / 2, gap=True)
    snapshot = await rig.cycle(follower)
    assert snapshot.status is Status.PAUSED
    assert rig.result(follower, signal_id) is Result.SKIPPED
    assert rig.weights(follower)["BTC"] < 0.005


async def test_dry_run(rig: Rig) -> None:
    """On paper it is the same."""
    signal_id = rig.leader.publish_v2(ALLOCATION)
    follower = await rig.start(Mode.DRY_RUN, approval=Approval.ASK)
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert follower.ledger.trades() == ()
    await follower.commands.approve()
    assert len(follower.ledger.trades()) == 5


STEPS = st.lists(
    st.sampled_from(
        (
            *("v2", "v1", "same id", "cycle", "cycle", "late", "gap", "halt", "trade again", "pause", "resume"),
            *("reject", "another", "fault", "restart", "leader fault", "refused"),
        )
    ),
    min_size=3,
    max_size=10,
)


@pytest.mark.usefixtures("fresh_rules")
@given(steps=STEPS, seed=st.integers(0, 3))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_without_a_word(rig: Rig, steps: list[str], seed: int) -> None:  # noqa: PLR0912
    """Whatever happens, without an approval, a sync or a stop loss no order leaves the house."""
    rig.exchange.clear_faults()
    rig.leader.behave()
    rig.leader.withdraw()
    rig.exchange.set_symbol_status("ETHUSDC", "TRADING")
    name = f"asks{rig.clock.time():.6f}"
    follower = await rig.start(Mode.LIVE, entry_id=name, approval=Approval.ASK, budget="500")
    targets = ({"BTC": ".5"}, {"ETH": ".4", "SOL": ".2"}, {"BNB": ".3"}, {"XRP": "1"})
    try:
        for number, step in enumerate(steps):
            target = targets[(seed + number) % len(targets)]
            match step:
                case "v2":
                    rig.leader.publish_v2(target)
                case "v1":
                    rig.leader.publish_v1([(coin, "BUY", share) for coin, share in target.items()], target)
                case "same id":
                    rig.leader.publish_v2(target, signal_id="the same")
                case "refused":
                    rig.leader.publish_v2({"DOGE": ".1"})
                case "late":
                    await rig.cycle(follower, after=TIMEOUT)
                case "gap":
                    rig.exchange.walk(3)
                case "halt" | "trade again":
                    rig.exchange.set_symbol_status("ETHUSDC", "HALT" if step == "halt" else "TRADING")
                case "pause" | "resume":
                    await follower.commands.pause(step == "pause")
                case "reject" if follower.snapshot.waiting_signal:
                    await _try(follower.commands.reject())
                case "another":
                    await _try(follower.commands.approve("another"))
                case "fault":
                    rig.exchange.fault("status", path="/ticker/price")
                case "leader fault":
                    rig.leader.misbehave(FaultKind.STATUS)
                case "restart":
                    follower = await rig.restart(follower, approval=Approval.ASK, budget="500")
            await rig.cycle(follower)
        assert rig.orders(name) == []
    finally:
        rig.crash(follower)


async def _try(work: Coroutine[Any, Any, object]) -> None:
    """Let the follower refuse."""
    with suppress(CommandError):
        await work
