"""Entry jitter: a new signal waits for a turn drawn by lot, and everything else holds while it waits."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.settings import Approval, Settings
from custom_components.calvalot.trading.signals import WAITS
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .rig import ENTRY, Rig

HOUR = timedelta(hours=1)


def set_to(entry_id: str = ENTRY, jitter: timedelta = HOUR) -> Settings:
    """Settings of a follower that spreads its entries."""
    return Settings(
        entry_id=entry_id,
        mode=Mode.LIVE,
        quote="USDC",
        initial_budget=Decimal(100),
        coins=("BTC",),
        entry_jitter=jitter,
    )


def delay(signal_id: str) -> float:
    """Seconds that the follower of these tests waits with a signal."""
    return set_to().delay(signal_id).total_seconds()


@pytest.fixture
async def follower(rig: Rig) -> OpenEngine:
    """One that has joined its leader and spreads its entries over an hour from now on."""
    follower = await rig.restart(await rig.following(), entry_jitter=HOUR)
    await rig.cycle(follower)
    return follower


async def heard(rig: Rig, follower: OpenEngine, *, version: int = 2, **fields: object) -> str:
    """A new signal that waits for its turn now; its id. Its turn lies far enough away to do something before."""
    while True:
        signal_id = (
            rig.leader.publish_v2({"BTC": ".3"}, **fields)
            if version == 2
            else rig.leader.publish_v1([("BTC", "BUY", ".3")], **fields)
        )
        if 600 < delay(signal_id) < 3000:
            break
    snapshot = await rig.cycle(follower)
    assert (snapshot.last_signal_id, snapshot.last_signal_result) == (signal_id, Result.OPEN)
    assert snapshot.last_signal_reason == WAITS
    assert rig.orders() == []
    return signal_id


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 900))
def test_delay_is_within_its_bounds(entry_id: str, signal_id: str, seconds: int) -> None:
    """From nothing to the whole of it, and the same whenever it is asked for."""
    settings = set_to(entry_id, timedelta(seconds=seconds))
    own = settings.delay(signal_id)
    assert timedelta() <= own <= settings.entry_jitter
    assert own == set_to(entry_id, timedelta(seconds=seconds)).delay(signal_id)


def test_delays_are_spread() -> None:
    """Followers of one signal fill every part of the time alike, and so do the signals of one follower."""
    for delays in (
        [set_to(f"entry-{number}").delay("signal") for number in range(10_000)],
        [set_to().delay(f"signal-{number}") for number in range(10_000)],
    ):
        minutes = Counter(int(each / timedelta(minutes=1)) for each in delays)
        assert sorted(minutes) == list(range(60))
        # 167 expected in each minute, standard deviation 13
        assert 167 - 60 < min(minutes.values()) <= max(minutes.values()) < 167 + 60


async def test_off_by_default(rig: Rig) -> None:
    """Nothing waits unless it is wanted."""
    follower = await rig.following()
    signal_id = rig.leader.publish_v2({"BTC": ".3"})
    snapshot = await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert snapshot.due is None


@pytest.mark.parametrize("version", [1, 2])
async def test_waits_for_its_turn(rig: Rig, follower: OpenEngine, exchange: ExchangeSimulator, version: int) -> None:
    """Not a second before it, in one go after it, at the price of that moment."""
    seen = rig.clock.now() + timedelta(seconds=120)
    signal_id = await heard(rig, follower, version=version)
    due = follower.snapshot.due
    assert due
    assert abs(due - seen - timedelta(seconds=delay(signal_id))) < timedelta(seconds=5)
    assert rig.types("signal") == ["received"]

    await rig.cycle(follower, after=(due - rig.clock.now()).total_seconds() - 5)
    assert rig.orders() == []
    assert follower.snapshot.due == due
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 2)
    snapshot = await rig.cycle(follower, after=5)
    assert snapshot.last_signal_result is Result.EXECUTED
    assert snapshot.due is None
    (order,) = rig.orders()
    assert order.quantity * exchange.price("BTCUSDC") == pytest.approx(
        Decimal(1000) * exchange.price("EURUSDC") * Decimal("0.3"), rel=Decimal("0.01")
    )
    assert rig.types("signal") == ["executed"]
    rig.agree(follower)


async def test_survives_a_restart(rig: Rig, follower: OpenEngine) -> None:
    """The turn is the same after a crash, counted from the first sight."""
    await heard(rig, follower)
    due = follower.snapshot.due
    assert due
    follower = await rig.restart(follower, entry_jitter=HOUR)
    assert (await rig.cycle(follower, after=60)).due == due
    assert rig.orders() == []
    await rig.cycle(follower, after=(due - rig.clock.now()).total_seconds())
    assert len(rig.orders()) == 1


async def test_switched_off_while_it_waits(rig: Rig, follower: OpenEngine) -> None:
    """What waits is traded with the next cycle."""
    await heard(rig, follower)
    follower = await rig.restart(follower)
    await rig.cycle(follower, after=1)
    assert len(rig.orders()) == 1


async def test_newer_signal_overtakes(rig: Rig, follower: OpenEngine) -> None:
    """Nothing of the older one is ever traded; the newer one has a turn of its own."""
    older = await heard(rig, follower)
    newer = await heard(rig, follower)
    assert rig.result(follower, older) is Result.SKIPPED
    assert rig.result(follower, newer) is Result.OPEN
    await rig.cycle(follower, after=3600)
    assert len(rig.orders()) == 1
    assert rig.result(follower, newer) is Result.EXECUTED


async def test_pause_holds(rig: Rig, follower: OpenEngine) -> None:
    """A turn that comes in a pause is not taken, and asks for no cycle; resuming takes it."""
    await heard(rig, follower)
    await follower.commands.pause(paused=True)
    assert (await rig.cycle(follower, after=3600)).due is None
    assert rig.orders() == []
    await follower.commands.pause(paused=False)
    await rig.cycle(follower)
    assert len(rig.orders()) == 1


async def test_stop_holds(rig: Rig, follower: OpenEngine) -> None:
    """A follower that stops sends nothing when the turn comes."""
    await heard(rig, follower)
    await follower.stop()
    await rig.cycle(follower, after=3600)
    assert rig.orders() == []


async def test_age_holds(rig: Rig) -> None:
    """A list of actions that has grown too old while it waited is given up; a target is followed once."""
    follower = await rig.restart(await rig.following(), entry_jitter=HOUR)
    await rig.cycle(follower)
    created = (rig.clock.now() - timedelta(hours=3, minutes=55)).isoformat()
    action = await heard(rig, follower, version=1, created_at=created)
    snapshot = await rig.cycle(follower, after=3600)
    assert rig.result(follower, action) is Result.SKIPPED
    assert snapshot.last_signal_reason == "too old"
    target = await heard(rig, follower, created_at=created)
    await rig.cycle(follower, after=3600)
    assert rig.result(follower, target) is Result.EXECUTED
    assert len(rig.orders()) == 1


async def test_owner_does_not_wait(rig: Rig, follower: OpenEngine) -> None:
    """A sync is traded at once, and what waited is overtaken by it."""
    signal_id = await heard(rig, follower)
    record = await follower.commands.sync()
    assert record.result is Result.EXECUTED
    assert rig.result(follower, signal_id) is Result.SKIPPED
    await rig.cycle(follower, after=3600)
    assert len(rig.orders()) == 1


async def test_approval_does_not_wait(rig: Rig) -> None:
    """The owner is asked at once, and the word is the turn."""
    follower = await rig.restart(await rig.following(), entry_jitter=HOUR, approval=Approval.ASK)
    await rig.cycle(follower)
    signal_id = rig.leader.publish_v2({"BTC": ".3"})
    assert (await rig.cycle(follower)).waiting_signal == signal_id
    assert (await follower.commands.approve()).result is Result.EXECUTED
    assert len(rig.orders()) == 1


async def test_initial_sync_waits_once(rig: Rig) -> None:
    """A follower that joins buys at its turn; the moves that came with it do not wait a second time."""
    rig.leader.publish_v1([("BTC", "BUY", ".3")], {"BTC": ".3"})
    follower = await rig.start(entry_jitter=HOUR)
    snapshot = await rig.cycle(follower)
    assert (snapshot.last_signal_id, snapshot.last_signal_reason) == ("initial_sync", WAITS)
    snapshot = await rig.cycle(follower, after=3600)
    assert len(rig.orders()) == 1
    snapshot = await rig.cycle(follower)
    assert snapshot.last_signal_id == rig.leader.signals[-1]["signal_id"]
    assert snapshot.last_signal_result is Result.EXECUTED


async def test_a_ledger_that_fails_when_the_time_comes(
    rig: Rig, follower: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further cycle is wanted before the next one by the clock: a turn that has come would be taken over and over."""
    signal_id = await heard(rig, follower)
    assert follower.snapshot.due

    def fails(*_: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patched:
        for broken in ("add_orders", "in_flight"):
            patched.setattr(Ledger, broken, fails)
            snapshot = await rig.cycle(follower, after=3600)
            assert snapshot.storage_problem
            assert snapshot.due is None
    await rig.cycle(follower)
    assert rig.result(follower, signal_id) is Result.EXECUTED
    assert len(rig.orders()) == 1


async def test_retries_do_not_wait_again(rig: Rig, follower: OpenEngine, exchange: ExchangeSimulator) -> None:
    """Only the first orders are spread."""
    signal_id = await heard(rig, follower)
    exchange.fault("error", code=-2010, path="/order", method="POST", count=1)
    await rig.cycle(follower, after=3600)
    assert rig.result(follower, signal_id) is Result.EXECUTED or rig.orders() == []
    await rig.cycle(follower, after=1)
    assert rig.result(follower, signal_id) is Result.EXECUTED


async def test_stop_loss_does_not_wait(rig: Rig, exchange: ExchangeSimulator, leader: LeaderSimulator) -> None:
    """What limits a loss is sold at once."""
    leader.publish_v2({"BTC": ".8"})
    follower = await rig.start()
    await rig.cycle(follower)
    follower = await rig.restart(follower, entry_jitter=HOUR, stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    await rig.cycle(follower)
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 2)
    await rig.cycle(follower)
    assert [order.side for order in rig.orders()] == ["BUY", "SELL"]


def test_the_lot_is_fixed() -> None:
    """A new version draws the same: a signal that waits over an update keeps its turn."""
    assert set_to("entry", timedelta(minutes=10)).delay("signal") == timedelta(seconds=359, microseconds=120454)
