"""What a follower does when its ledger cannot be written or read: it stops before the next order, and loses nothing."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
import itertools
from pathlib import Path
import shutil
import time
from unittest.mock import patch

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger import copies
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.ledger.storage import LedgerCorrupt, LedgerError
from custom_components.calvalot.trading.snapshot import Status
from harness.engine import OpenEngine

from .faults import DAMAGES, FAULTS, Fault, empty, failing_disk, flush, locked, read_only, scratch
from .rig import Rig

LONG = {"reasoning": "😀" * 2000}  # a signal that needs pages of its own


def posted(rig: Rig) -> int:
    """Orders that reached the exchange, accepted or not."""
    return rig.exchange.count("POST", "/order")


def damage_ledger(ledger: Ledger, damage: Callable[[Path], None]) -> None:
    """Damage the file under an open ledger, as a dying disk does."""
    flush(ledger)
    damage(ledger.path)


async def bought(rig: Rig, **targets: str) -> OpenEngine:
    """A follower that has bought the leader's targets."""
    rig.leader.publish_v2(targets, signal_id="first")
    follower = await rig.start()
    await rig.cycle(follower)
    assert rig.result(follower, "first") is Result.EXECUTED
    rig.types("alert")
    return follower


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_ordered(rig: Rig, fault: Fault) -> None:
    """Under a fault nothing is ordered and the owner is told; when it is gone the signal is followed."""
    follower = await bought(rig, BTC=".2")
    book = follower.ledger.book()
    rig.leader.publish_v2({"BTC": ".5"}, signal_id="second", **LONG)
    before = posted(rig)
    with fault(follower.ledger):
        picture = await rig.cycle(follower)
        assert picture.storage_problem
        assert picture is follower.snapshot
        assert posted(rig) == before
        with pytest.raises(CommandError, match="ledger_unavailable"):
            await follower.commands.deposit(Decimal(5), note="n" * 5000)
        assert posted(rig) == before
    assert follower.ledger.book().portfolio == book.portfolio
    picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert picture.restored is None
    assert rig.result(follower, "second") is Result.EXECUTED
    assert posted(rig) == before + 1
    rig.agree(follower)


@pytest.mark.parametrize("fault", [failing_disk, read_only])
@pytest.mark.parametrize("commit", range(3))
async def test_fault_between_order_and_booking(rig: Rig, fault: Fault, commit: int) -> None:
    """The disk fails at one of the commits of an order: it is placed once or not at all, and booked once.

    The commits are the intent, what the exchange said, and the booking.
    """
    follower = await bought(rig, BTC=".2")
    ledger = follower.ledger
    rig.leader.publish_v2({"BTC": ".5"}, signal_id="second")
    before = posted(rig)
    commits = itertools.count()
    window = fault(ledger)

    def failing(name: str) -> Callable[..., object]:
        write = getattr(ledger, name)

        def run(*arguments: object) -> object:
            if next(commits) == commit:
                window.__enter__()
            return write(*arguments)

        return run

    with (
        patch.object(ledger, "add_orders", failing("add_orders")),
        patch.object(ledger, "update_orders", failing("update_orders")),
        patch.object(ledger, "book_orders", failing("book_orders")),
    ):
        picture = await rig.cycle(follower)
    assert picture.storage_problem
    assert posted(rig) == before + (commit >= 1)
    window.__exit__(None, None, None)
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert rig.result(follower, "second") is Result.EXECUTED
    assert posted(rig) == before + 1
    assert not rig.in_flight(follower)
    rig.agree(follower)


async def test_locked_ledger_blocks_nobody(rig: Rig) -> None:
    """While a cycle waits five seconds for a locked file, everything else goes on."""
    follower = await bought(rig, BTC=".2")
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - begun)

    ticking = asyncio.create_task(tick())
    with locked(follower.ledger):
        begun = time.perf_counter()
        assert (await rig.cycle(follower)).storage_problem == "the ledger failed: database is locked"
        assert time.perf_counter() - begun > 4.5
    ticking.cancel()
    assert longest < 0.5


async def test_lock_that_is_given_back(rig: Rig) -> None:
    """A lock of two seconds delays a cycle, and nothing else."""
    follower = await bought(rig, BTC=".2")
    rig.leader.publish_v2({"BTC": ".5"}, signal_id="second")
    window = locked(follower.ledger)
    window.__enter__()
    cycle = asyncio.create_task(rig.cycle(follower))
    await asyncio.sleep(2)
    window.__exit__(None, None, None)
    assert (await cycle).storage_problem is None
    assert rig.result(follower, "second") is Result.EXECUTED


@pytest.mark.parametrize("fault", [failing_disk, read_only, locked])
async def test_start_under_a_fault(rig: Rig, fault: Fault) -> None:
    """A follower whose ledger cannot be opened does not start, and does when the fault is gone."""
    follower = await bought(rig, BTC=".2")
    rig.crash(follower)
    ledger = follower.ledger
    with fault(ledger), pytest.raises(LedgerError):
        await rig.start()
    follower = await rig.start()
    await rig.cycle(follower)
    rig.agree(follower)


# Copies


async def test_a_copy_a_day(rig: Rig) -> None:
    """Each day's first cycle keeps a copy; seven remain."""
    follower = await rig.start(Mode.DRY_RUN)
    for _ in range(10):
        await rig.cycle(follower, after=86_400)
        newest = copies.copies(follower.ledger.path)
        await rig.cycle(follower)
        assert copies.copies(follower.ledger.path) == newest
    assert len(newest) == 7
    assert newest[0] == copies.copy_of_day(follower.ledger.path, rig.clock.now().date())
    assert all(copies.is_whole(copy) for copy in newest)


async def test_trading_goes_on_without_a_copy(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """No room for a copy is no reason not to trade."""
    with patch.object(copies, "make_copy", side_effect=OSError(28, "No space left on device")):
        follower = await bought(rig, BTC=".2")
    assert follower.snapshot.storage_problem is None
    assert "copy of the ledger cannot be kept" in caplog.text


# Damage


@pytest.mark.parametrize("damage", DAMAGES)
async def test_restored_while_running(rig: Rig, damage: Callable[[Path], None]) -> None:
    """A ledger that breaks is restored from the last copy, and what was traded since is had from the exchange."""
    follower = await bought(rig, BTC=".3", ETH=".2")
    ledger = follower.ledger
    (copy,) = copies.copies(ledger.path)
    await follower.commands.deposit(Decimal(20))  # after the copy: no trade, so nobody knows of it but the broken file
    rig.leader.publish_v2({"BTC": ".1", "ETH": ".2", "SOL": ".3"}, signal_id="second")
    await rig.cycle(follower)
    held = {coin: position.quantity for coin, position in ledger.book().portfolio.positions.items()}
    rig.leader.publish_v2({"BTC": ".1", "ETH": ".1", "SOL": ".3"}, signal_id="third")
    damage_ledger(ledger, damage)
    before = posted(rig)

    picture = await rig.cycle(follower)
    assert picture.storage_problem
    if damage is empty:  # seen before the file is opened again
        assert (await rig.cycle(follower)).storage_problem
    assert posted(rig) == before
    assert rig.types("alert") == ["ledger_restored"]
    assert len(list(ledger.path.parent.glob("*.broken-*.db"))) == 1

    picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert picture.restored == copy.name
    booked = {trade.signal_id for trade in ledger.trades()}
    assert booked >= {"first", "recovered"}
    rig.agree(follower)
    assert follower.ledger.book().portfolio.quantity("SOL") == held["SOL"]
    await rig.cycle(follower)
    assert rig.result(follower, "third") in {Result.EXECUTED, Result.PARTIAL}
    rig.agree(follower)

    await follower.commands.forget_restore()
    assert follower.snapshot.restored is None
    assert (await rig.cycle(follower)).restored is None


@pytest.mark.parametrize("damage", DAMAGES)
async def test_restored_at_the_start(rig: Rig, damage: Callable[[Path], None]) -> None:
    """So is one that broke while nobody looked."""
    follower = await bought(rig, BTC=".3")
    rig.leader.publish_v2({"BTC": ".1", "SOL": ".3"}, signal_id="second")
    await rig.cycle(follower)
    flush(follower.ledger)
    rig.crash(follower)
    damage(follower.ledger.path)
    follower = await rig.start()
    assert follower.snapshot.restored
    await rig.cycle(follower)
    rig.agree(follower)


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not empty])
async def test_rebuilt_from_the_exchange(rig: Rig, damage: Callable[[Path], None]) -> None:
    """Without any copy the trades come back from the exchange, each once."""
    follower = await bought(rig, BTC=".3", ETH=".2")
    rig.leader.publish_v2({"BTC": ".1", "ETH": ".3"}, signal_id="second")
    await rig.cycle(follower)
    before = posted(rig)
    flush(follower.ledger)
    rig.crash(follower)
    for copy in copies.copies(follower.ledger.path):
        copy.unlink()
    damage(follower.ledger.path)
    follower = await rig.start()
    assert follower.snapshot.restored == ""
    await rig.cycle(follower)
    assert len(follower.ledger.trades()) == before
    book = follower.ledger.book().portfolio
    for coin in ("BTC", "ETH"):
        assert book.quantity(coin) == rig.exchange.balance(coin)


async def test_what_stopped_it_still_does(rig: Rig) -> None:
    """Paused and dead outlive a copy that knows of neither."""
    follower = await bought(rig, BTC=".3")
    await follower.commands.pause(True)
    follower.ledger.remember("dead", "now")
    follower = await rig.restart(follower)
    damage_ledger(follower.ledger, scratch)
    await rig.cycle(follower)
    assert follower.snapshot.storage_problem
    assert (await rig.cycle(follower)).status is Status.DEAD
    follower = await rig.restart(follower)
    assert (await rig.cycle(follower)).status is Status.DEAD
    await follower.commands.reset()
    assert follower.snapshot.status is Status.PAUSED


@pytest.mark.parametrize("fault", [failing_disk, read_only])
async def test_restore_waits_for_the_disk(rig: Rig, fault: Fault) -> None:
    """A broken ledger on a disk that takes nothing stops trading; when the disk is back all is had again."""
    follower = await bought(rig, BTC=".3")
    rig.leader.publish_v2({"BTC": ".1"}, signal_id="second")
    damage_ledger(follower.ledger, scratch)
    before = posted(rig)
    with fault(follower.ledger):
        for _ in range(2):
            assert (await rig.cycle(follower)).storage_problem
        assert posted(rig) == before
    for _ in range(3):
        picture = await rig.cycle(follower)
    assert picture.storage_problem is None
    assert picture.restored
    assert rig.result(follower, "second") is Result.EXECUTED
    rig.agree(follower)


async def test_start_without_a_way_back(rig: Rig) -> None:
    """A broken ledger that cannot be restored either does not start."""
    follower = await bought(rig, BTC=".3")
    flush(follower.ledger)
    rig.crash(follower)
    scratch(follower.ledger.path)
    full = OSError(28, "No space left on device")
    with patch.object(shutil, "copyfile", side_effect=full), pytest.raises(LedgerCorrupt):
        await rig.start()
    follower = await rig.start()
    await rig.cycle(follower)
    rig.agree(follower)


async def test_file_is_taken_away(rig: Rig) -> None:
    """A ledger that was deleted under the follower is had again from its copy and the exchange."""
    follower = await bought(rig, BTC=".3")
    rig.leader.publish_v2({"BTC": ".1"}, signal_id="second")
    await rig.cycle(follower)
    flush(follower.ledger)
    follower.ledger.path.unlink()
    before = posted(rig)
    for _ in range(2):
        assert (await rig.cycle(follower)).storage_problem
        assert posted(rig) == before
    assert (await rig.cycle(follower)).restored
    rig.agree(follower)


async def test_damage_in_dry_run(rig: Rig) -> None:
    """Paper has no exchange that remembers: it goes on from its copy."""
    rig.leader.publish_v2({"BTC": ".3"}, signal_id="first")
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    damage_ledger(follower.ledger, scratch)
    await rig.cycle(follower)
    picture = await rig.cycle(follower)
    assert picture.restored
    assert [trade.signal_id for trade in follower.ledger.trades()] == ["first"]


# Backup


async def test_still(rig: Rig) -> None:
    """While a backup is made no cycle runs and nothing is written; the file alone holds everything."""
    follower = await bought(rig, BTC=".3")
    rig.leader.publish_v2({"BTC": ".1"}, signal_id="second")
    async with follower.still():
        cycle = asyncio.create_task(rig.cycle(follower))
        await asyncio.sleep(0.3)
        assert not cycle.done()
        copy = rig.ledger("backup")
        copy.path.write_bytes(follower.ledger.path.read_bytes())
    await cycle
    assert rig.result(follower, "second") is Result.EXECUTED
    copy.open()
    assert [trade.signal_id for trade in copy.trades()] == ["first"]
    copy.close()


async def test_still_under_a_fault(rig: Rig) -> None:
    """A ledger that cannot be written is no reason to hold a backup up."""
    follower = await bought(rig, BTC=".3")
    with failing_disk(follower.ledger):
        async with follower.still():
            pass
    assert (await rig.cycle(follower)).storage_problem is None
