"""A backup of Home Assistant holds the ledger whole, and is never held up by it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
import io
from pathlib import Path
import tarfile
from typing import Any
from unittest.mock import patch

from homeassistant.components.backup.const import DATA_MANAGER
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot import backup
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from simulators.leader import LeaderSimulator

from .conftest import set_up


def cycles(entry: MockConfigEntry) -> int:
    """Cycles that were finished."""
    return len(entry.runtime_data.engine.health.cycles)


@pytest.fixture
async def followed(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator
) -> AsyncGenerator[MockConfigEntry]:
    """A follower that has traded."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, entry)
    yield entry
    await backup.async_post_backup(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def finished(task: asyncio.Task[Any], seconds: float = 0.3) -> bool:
    """Whether a task ends within a moment."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), seconds)
    return task.done()


async def test_backup(hass: HomeAssistant, followed: MockConfigEntry, tmp_path: Path) -> None:
    """The real backup integration finds the platform, and its archive holds a ledger that opens and knows everything."""
    assert await async_setup_component(hass, "backup", {})
    await hass.async_block_till_done()
    manager = hass.data[DATA_MANAGER]
    assert manager.platforms["calvalot"] is backup
    expected = responses.portfolio(followed.runtime_data.engine.snapshot)["positions"]
    await manager.async_create_backup(
        agent_ids=["backup.local"],
        include_addons=None,
        include_all_addons=False,
        include_database=False,
        include_folders=None,
        include_homeassistant=True,
        name="test",
        password=None,
    )
    await hass.async_block_till_done(wait_background_tasks=True)
    (archive,) = (tmp_path / "backups").glob("*.tar")
    restored = tmp_path / "restored"
    with tarfile.open(archive) as outer:
        (name,) = [name for name in outer.getnames() if name.endswith("homeassistant.tar.gz")]
        inner = outer.extractfile(name)
        assert inner
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as contents:
            name = f"calvalot/{followed.entry_id}.db"
            members = [member for member in contents.getmembers() if member.name.startswith(f"data/{name}")]
            assert members
            contents.extractall(restored, members, filter="data")
    ledger = Ledger(restored / "data" / name, Mode.DRY_RUN, "USDC")
    ledger.open()
    held = ledger.book().portfolio
    assert ledger.replay() == held
    assert f"{held.quantity('BTC'):f}" == next(each["quantity"] for each in expected if each["coin"] == "BTC")
    ledger.close()
    await followed.runtime_data.async_poll()
    assert cycles(followed) == 2


async def test_still_until_it_is_over(hass: HomeAssistant, followed: MockConfigEntry) -> None:
    """No cycle runs while a backup is made; the main file alone holds everything."""
    await backup.async_pre_backup(hass)
    path = ledger_path(hass, followed.entry_id)
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0
    poll = hass.async_create_task(followed.runtime_data.async_poll())
    assert not await finished(poll)
    assert cycles(followed) == 1
    await backup.async_post_backup(hass)
    assert await finished(poll, 5)
    assert cycles(followed) == 2


async def test_running_cycle_is_waited_for(
    hass: HomeAssistant, followed: MockConfigEntry, leader: LeaderSimulator
) -> None:
    """A backup begins when the running cycle is over."""
    leader.misbehave("slow", seconds=0.5)
    poll = hass.async_create_task(followed.runtime_data.async_poll())
    await asyncio.sleep(0.1)
    await backup.async_pre_backup(hass)
    assert poll.done()
    assert cycles(followed) == 2


async def test_endless_cycle_is_not(
    hass: HomeAssistant, followed: MockConfigEntry, leader: LeaderSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A cycle that does not end does not hold the backup up."""
    leader.misbehave("slow", seconds=1)
    poll = hass.async_create_task(followed.runtime_data.async_poll())
    await asyncio.sleep(0.1)
    with patch.object(backup, "PATIENCE", timedelta(seconds=0.1)):
        await backup.async_pre_backup(hass)
    assert not poll.done()
    assert "while 1 followers are still at work" in caplog.text
    await backup.async_post_backup(hass)
    await poll


async def test_backup_that_never_ends(hass: HomeAssistant, followed: MockConfigEntry) -> None:
    """A follower goes on where nobody says that the backup is over, and the next backup finds everything in order."""
    with patch.object(backup, "LONGEST", timedelta(seconds=0.2)):
        await backup.async_pre_backup(hass)
        await followed.runtime_data.async_poll()
    assert cycles(followed) == 2
    await backup.async_pre_backup(hass)
    await backup.async_pre_backup(hass)
    await backup.async_post_backup(hass)
    await followed.runtime_data.async_poll()
    assert cycles(followed) == 3


async def test_without_followers(hass: HomeAssistant) -> None:
    """There may be nothing to hold still."""
    await backup.async_pre_backup(hass)
    await backup.async_post_backup(hass)
    await backup.async_post_backup(hass)


async def test_unload_during_a_backup(hass: HomeAssistant, followed: MockConfigEntry) -> None:
    """A follower that is unloaded meanwhile comes back and works."""
    await backup.async_pre_backup(hass)
    with patch("custom_components.calvalot.coordinator.STOP_TIMEOUT", 0.1):
        assert await hass.config_entries.async_reload(followed.entry_id)
    await backup.async_post_backup(hass)
    await followed.runtime_data.async_poll()
    assert followed.runtime_data.data.positions["BTC"].quantity > 0
