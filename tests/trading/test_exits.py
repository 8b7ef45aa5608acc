"""A sale of everything, by a stop loss or its owner: it ends only when nothing is left to sell."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
import json
from typing import Any

import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.exits import exiting
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderState, Result, SignalRecord
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.settings import Approval
from custom_components.calvalot.trading.snapshot import Status
from harness.engine import OpenEngine

from .faults import flush, scratch
from .rig import ALLOCATION, Rig

STOP: dict[str, Any] = {"stop_loss_drawdown": Decimal("0.1"), "stop_loss_sell": True}
TARGETS = {"BTC": ".5", "ETH": ".4"}


async def falls(rig: Rig, follower: OpenEngine, coin: str = "BTC") -> None:
    """The price of a coin falls by half, and a cycle sees it."""
    rig.exchange.set_price(f"{coin}USDC", rig.exchange.price(f"{coin}USDC") / 2)
    await rig.cycle(follower)


async def holding(
    rig: Rig, mode: Mode = Mode.LIVE, targets: dict[str, str] | None = None, **settings: Any
) -> OpenEngine:
    """A follower that holds what its leader holds."""
    rig.leader.publish_v2(targets or TARGETS)
    follower = await rig.start(mode, **settings)
    await rig.cycle(follower)
    rig.events.clear()
    return follower


def sold(rig: Rig) -> list[str]:
    """What was ordered to be sold."""
    return [order.symbol for order in rig.orders(side="SELL")]


async def held(rig: Rig, follower: OpenEngine) -> set[str]:
    """Coins that are worth more than dust."""
    return {
        position["coin"]
        for position in responses.portfolio(follower.snapshot)["positions"]
        if Decimal(position["quantity"]) * rig.exchange.price(f"{position['coin']}USDC") > 5
    }


async def in_history(follower: OpenEngine) -> dict[str, Any]:
    """The only sale of everything, as the history tells it."""
    (signal,) = [
        each for each in await follower.queries.signals() if each["signal_id"].startswith(("stop_loss-", "exit-"))
    ]
    return signal


# What may not end or hold up a stop loss


def refused(rig: Rig) -> None:
    """The leader's latest signal is refused."""
    rig.leader.publish_raw(json.dumps({"signal_id": "bad", "version": 3}))


def told_anew(rig: Rig) -> None:
    """The leader wants something else."""
    rig.leader.publish_v2({"SOL": "1"})


def silent(rig: Rig) -> None:
    """The leader does not answer."""
    rig.leader.misbehave("status", None)


@pytest.mark.parametrize("says", [refused, told_anew, silent])
async def test_whatever_the_leader_says(rig: Rig, says: Callable[[Rig], None]) -> None:
    """It sells on in each cycle."""
    follower = await holding(rig, **STOP)
    rig.exchange.set_depth("BTCUSDC", "120")
    says(rig)
    await falls(rig, follower)
    assert await held(rig, follower) == {"BTC"}
    for _ in range(3):
        await rig.cycle(follower)
    assert await held(rig, follower) == set()
    assert (await in_history(follower))["result"] == "executed"
    assert follower.snapshot.status is Status.PAUSED
    rig.agree(follower)


async def test_no_limit_of_a_day(rig: Rig) -> None:
    """The limit binds what follows the leader."""
    follower = await holding(rig, max_trades_per_day=2, **STOP)
    await falls(rig, follower)
    assert sorted(sold(rig)) == ["BTCUSDC", "ETHUSDC"]
    assert (await in_history(follower))["result"] == "executed"


async def test_halted_for_longer_than_a_signal_lives(rig: Rig) -> None:
    """Refused once for what the rules of the day did not say yet, then waited for, over a restart and five days."""
    follower = await holding(rig, **STOP)
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    await falls(rig, follower)
    assert rig.types("trade") == ["sell", "failed"]
    assert follower.snapshot.exiting
    await rig.cycle(follower)
    follower = await rig.restart(follower, **STOP)
    for _ in range(2):
        await rig.cycle(follower, after=5 * 24 * 3600 / 2)
    assert exiting(follower.snapshot) == {
        "signal_id": (await in_history(follower))["signal_id"],
        "cause": "stop_loss",
        "since": (await in_history(follower))["time"],
        "reason": "not_trading: BTCUSDC",
    }
    assert rig.types("trade") == []
    rig.exchange.set_symbol_status("BTCUSDC", "TRADING")
    await rig.cycle(follower, after=900)
    assert await held(rig, follower) == set()
    assert exiting(follower.snapshot) is None
    rig.agree(follower)


async def test_refusals_are_tried_again_with_growing_pauses(rig: Rig) -> None:
    """No two in one cycle; a limit that binds other signals does not bind this one."""
    follower = await holding(rig, targets={"BTC": ".5"}, **STOP)
    rig.exchange.fault("error", code=-2010, method="POST", count=6)
    await falls(rig, follower)
    assert rig.types("trade") == ["failed"]
    attempts = 1
    for _ in range(30):
        await rig.cycle(follower)
        attempts += len([kind for kind in rig.types("trade") if kind == "failed"])
    assert attempts == 6
    assert (await in_history(follower))["reason"] == "refused: BTCUSDC"
    for _ in range(3):
        await rig.cycle(follower, after=3601)
    assert await held(rig, follower) == set()
    assert (await in_history(follower))["result"] == "executed"


async def test_what_is_still_being_bought(rig: Rig) -> None:
    """A purchase without an answer is waited for, and sold."""
    rig.leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(**STOP)
    await rig.cycle(follower)
    rig.leader.publish_v2({"BTC": ".5", "ETH": ".4"})
    rig.exchange.fault("drop", when="after", method="POST", symbol="ETHUSDC")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    await rig.cycle(follower)
    assert [order.state for order in rig.in_flight(follower)] == [OrderState.UNKNOWN]
    await falls(rig, follower)
    assert sold(rig) == ["BTCUSDC"]
    assert follower.snapshot.exiting
    rig.exchange.clear_faults()
    for _ in range(2):
        await rig.cycle(follower)
    assert sold(rig) == ["BTCUSDC", "ETHUSDC"]
    assert follower.snapshot.exiting is None
    rig.agree(follower)


@pytest.mark.parametrize("mode", Mode)
async def test_a_ledger_that_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """Sale and pause are written down in one commit: where it fails neither is, and the next cycle does both."""
    follower = await holding(rig, mode, **STOP)
    write, failing = Ledger.write_signal, True

    def fails(ledger: Ledger, record: SignalRecord, *facts: Any) -> SignalRecord:
        if failing and record.signal_id.startswith("stop_loss-"):
            raise LedgerError("the disk is full")
        return write(ledger, record, *facts)

    monkeypatch.setattr(Ledger, "write_signal", fails)
    await falls(rig, follower)
    assert follower.snapshot.storage_problem
    assert follower.snapshot.status is Status.ACTIVE
    failing = False
    follower = await rig.restart(follower, **STOP)
    await rig.cycle(follower)
    assert follower.snapshot.status is Status.PAUSED
    assert await held(rig, follower) == set()
    assert rig.types("alert") == ["stop_loss", "exit"]


async def test_a_ledger_that_fails_right_after(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else cannot be written, the sale goes on with the next cycle, over a restart too."""
    follower = await holding(rig, **STOP)
    execute, failing = Ledger.add_orders, True

    def fails(ledger: Ledger, *records: Any) -> Any:
        if failing:
            raise LedgerError("the disk is full")
        return execute(ledger, *records)

    monkeypatch.setattr(Ledger, "add_orders", fails)
    await falls(rig, follower)
    assert sold(rig) == []
    failing = False
    follower = await rig.restart(follower, **STOP)
    assert follower.snapshot.exiting
    assert follower.snapshot.status is Status.PAUSED
    await rig.cycle(follower)
    assert sorted(sold(rig)) == ["BTCUSDC", "ETHUSDC"]
    rig.agree(follower)


async def test_a_ledger_that_is_lost(rig: Rig) -> None:
    """A copy that knows nothing of it does not end it."""
    follower = await holding(rig, **STOP)
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    await falls(rig, follower)
    signal_id = (await in_history(follower))["signal_id"]
    ledger = rig.ledger()
    ledger.open()
    flush(ledger)
    ledger.close()
    scratch(ledger.path)
    for _ in range(2):
        await rig.cycle(follower)
    assert follower.snapshot.restored
    assert follower.snapshot.exiting
    assert follower.snapshot.exiting.signal_id == signal_id
    rig.exchange.set_symbol_status("BTCUSDC", "TRADING")
    for _ in range(2):
        await rig.cycle(follower, after=900)
    assert await held(rig, follower) == set()
    rig.agree(follower)


async def test_one_at_a_time(rig: Rig) -> None:
    """A stop loss during the owner's exit, or a second exit, goes on with the first."""
    follower = await holding(rig, **STOP)
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    first = await follower.commands.exit(confirm=True)
    assert (await follower.commands.exit(confirm=True))["signal_id"] == first["signal_id"]
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    await falls(rig, follower)
    assert follower.snapshot.status is Status.PAUSED
    assert (await in_history(follower))["signal_id"] == first["signal_id"]
    assert rig.types("alert") == ["stop_loss"]


async def test_resumed(rig: Rig) -> None:
    """It comes before the leader's signals; a sync is the owner's word against it."""
    follower = await holding(rig, **STOP)
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    await falls(rig, follower)
    await follower.commands.pause(paused=False)
    rig.leader.publish_v2({"SOL": ".5"})
    await rig.cycle(follower)
    assert await held(rig, follower) == {"BTC"}
    await follower.commands.sync()
    assert "SOL" in await held(rig, follower)
    signal = await in_history(follower)
    assert (signal["result"], signal["reason"]) == ("partial", "overtaken by a newer signal")
    assert rig.types("alert") == ["stop_loss", "exit"]


async def test_what_was_open_is_given_up(rig: Rig) -> None:
    """Also what waits for approval, and what was open when the ledger failed in between."""
    follower = await holding(rig, approval=Approval.AUTOMATIC)
    follower = await rig.restart(follower, approval=Approval.ASK)
    rig.leader.publish_v2({"SOL": ".5"}, signal_id="waits")
    assert (await rig.cycle(follower)).waiting_signal == "waits"
    await follower.commands.exit(confirm=True)
    assert follower.snapshot.waiting_signal is None
    assert rig.result(follower, "waits") is Result.SKIPPED


# The owner's exit


@pytest.mark.parametrize("mode", Mode)
async def test_preview(rig: Rig, mode: Mode) -> None:
    """What would be sold, what it would bring and what stays; nothing happens."""
    follower = await holding(rig, mode)
    rig.exchange.set_symbol_status("ETHUSDC", "BREAK")
    await rig.cycle(follower, after=25 * 3600)  # the rules of a new day
    shown = await follower.commands.exit(confirm=False)
    json.dumps(shown)
    assert shown["confirmed"] is False
    (order,) = shown["orders"]
    assert (order["symbol"], order["side"]) == ("BTCUSDC", "SELL")
    rate = Decimal(responses.portfolio(follower.snapshot)["rate"])
    proceeds = Decimal(shown["proceeds"])
    assert proceeds == pytest.approx(Decimal(order["amount"]) * Decimal("0.999"), abs=Decimal("0.001"))
    assert Decimal(shown["proceeds_eur"]) == pytest.approx(proceeds * rate, abs=Decimal("0.01"))
    assert shown["quote"] == "USDC"
    stays = {coin["coin"]: coin["reason"] for coin in shown["remaining"]}
    assert stays["ETH"] == "not_trading"
    assert follower.snapshot.status is Status.ACTIVE
    assert sold(rig) == []
    assert len(await follower.queries.signals()) == 1


@pytest.mark.parametrize("mode", Mode)
async def test_exit(rig: Rig, mode: Mode) -> None:
    """It pauses, sells what was bought, leaves what the owner held, and says what it brought."""
    before = {coin: rig.exchange.balance(coin) for coin in TARGETS}
    follower = await holding(rig, mode)
    cash = Decimal(responses.portfolio(follower.snapshot)["cash"])
    answer = await follower.commands.exit(confirm=True)
    json.dumps(answer)
    assert (answer["confirmed"], answer["finished"], answer["result"]) == (True, True, "executed")
    assert answer["cause"] == "owner"
    assert sorted(leg["symbol"] for leg in answer["legs"]) == ["BTCUSDC", "ETHUSDC"]
    after = Decimal(responses.portfolio(follower.snapshot)["cash"])
    assert Decimal(answer["proceeds"]) == pytest.approx(after - cash, abs=Decimal("1e-8"))
    assert all(Decimal(coin["value"]) < 5 and coin["reason"] == "dust" for coin in answer["remaining"])
    assert follower.snapshot.status is Status.PAUSED
    assert follower.snapshot.exiting is None
    (alert,) = [event for event in rig.events if event.kind == "alert"]
    assert (alert.type, alert.data["cause"], alert.data["proceeds"]) == ("exit", "owner", answer["proceeds"])
    assert rig.types("signal") == ["received", "executed"]
    if mode is Mode.LIVE:
        rig.agree(follower)
        for coin, quantity in before.items():
            assert rig.exchange.balance(coin) >= quantity
    rig.leader.publish_v2(ALLOCATION)
    await rig.cycle(follower)
    assert await held(rig, follower) == set()


async def test_exit_while_the_exchange_is_away(rig: Rig) -> None:
    """The word is written down at once, and kept when the exchange is back."""
    follower = await holding(rig)
    rig.exchange.fault("status", path="/account", count=2)
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.exit(confirm=False)
    answer = await follower.commands.exit(confirm=True)
    assert (answer["finished"], answer["proceeds"], answer["legs"]) == (False, "0", [])
    assert {coin["coin"] for coin in answer["remaining"]} == set(TARGETS)
    assert follower.snapshot.status is Status.PAUSED
    await rig.cycle(follower)
    assert await held(rig, follower) == set()


async def test_exit_without_a_price(rig: Rig) -> None:
    """Unknown is never zero: nothing is shown, nothing sold, and the value of what stays is not known."""
    follower = await holding(rig)
    rig.exchange.remove_price("ETHUSDC")
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.exit(confirm=False)
    rig.exchange.remove_price("EURUSDC")
    rig.exchange.remove_price("EURUSDT")
    answer = await follower.commands.exit(confirm=True)
    values = {coin["coin"]: coin["value"] for coin in answer["remaining"]}
    assert values["ETH"] is None
    assert values["BTC"]
    assert (answer["finished"], answer["reason"], answer["proceeds_eur"]) == (False, "no_price", None)
    assert sold(rig) == []


async def test_exit_of_nothing(rig: Rig) -> None:
    """Done at once; a leader with moves is joined afterwards as if nothing had been."""
    follower = await rig.start()
    await follower.cycle()
    answer = await follower.commands.exit(confirm=True)
    assert (answer["finished"], answer["result"], answer["remaining"]) == (True, "executed", [])
    await follower.commands.pause(paused=False)
    rig.leader.publish_v1([("BTC", "BUY", ".1")], {"BTC": ".5"})
    await rig.cycle(follower)
    assert rig.result(follower, "initial_sync") is Result.EXECUTED


async def test_exit_with_a_ledger_that_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written down is not begun."""
    follower = await holding(rig)

    def fails(*_: Any) -> Any:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(Ledger, "write_signal", fails)
    with pytest.raises(CommandError, match="ledger_unavailable"):
        await follower.commands.exit(confirm=True)
    assert follower.snapshot.status is Status.ACTIVE
    assert sold(rig) == []


async def test_moves_after_an_exit(rig: Rig) -> None:
    """What the leader moved while everything was sold is not made up for when it is too old."""
    follower = await holding(rig)
    await follower.commands.exit(confirm=True)
    rig.leader.publish_v1([("SOL", "BUY", ".3")])
    await rig.cycle(follower)
    rig.clock.advance(timedelta(hours=5).total_seconds())
    await follower.commands.pause(paused=False)
    assert (await rig.cycle(follower)).last_signal_reason == "too old"
    assert await held(rig, follower) == set()


async def test_a_coin_that_is_no_longer_listed(rig: Rig) -> None:
    """It cannot be sold, so it holds nothing up: the others are sold, it stays and is named."""
    follower = await holding(rig, **STOP)
    rig.exchange.delist("ETHUSDC")
    await rig.cycle(follower, after=25 * 3600)
    await falls(rig, follower)
    for _ in range(3):
        await rig.cycle(follower)
    assert sold(rig) == ["BTCUSDC"]
    (alert,) = [event for event in rig.events if event.type == "exit"]
    assert {coin["coin"]: coin["reason"] for coin in alert.data["remaining"]}["ETH"] == "not_listed"
    assert (await in_history(follower))["result"] == "partial"
    assert follower.snapshot.exiting is None
