"""A ledger that fails in Home Assistant: the owner is told, and it is over when the fault is."""

from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.repairs import DOMAIN as REPAIRS_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import ledger_of, poll
from .trading.faults import failing_disk, flush, scratch


def issues(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, dict[str, str]]:
    """Issues of a follower with what they name."""
    return {
        issue.translation_key or "": issue.translation_placeholders or {}
        for (domain, name), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN and name.endswith(entry.entry_id)
    }


async def test_failing_disk(hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Trading stops with the reason, and goes on by itself."""
    await set_up(hass, live_entry)
    leader.publish_v2({"BTC": "0.4"})
    follower = live_entry.runtime_data.engine
    with failing_disk(ledger_of(hass, live_entry)):
        await live_entry.runtime_data.async_poll()
    assert issues(hass, live_entry) == {
        "ledger_failed": {"name": "Calv-a-lot", "error": "the ledger failed: disk I/O error"}
    }
    assert await follower.queries.trades() == []
    await poll(hass, live_entry)
    assert issues(hass, live_entry) == {}
    assert [trade["coin"] for trade in await follower.queries.trades()] == ["BTC"]


async def test_broken_ledger(hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """A restored ledger is told until the owner has seen it, over restarts too."""
    leader.publish_v2({"BTC": "0.4"})
    await set_up(hass, live_entry)
    copies = [copy.name for copy in ledger_path(hass, live_entry.entry_id).parent.glob("*.copy.db")]
    flush(ledger_of(hass, live_entry))
    scratch(ledger_path(hass, live_entry.entry_id))
    await poll(hass, live_entry, 2)
    assert await hass.config_entries.async_reload(live_entry.entry_id)
    await hass.async_block_till_done()
    assert issues(hass, live_entry) == {"ledger_restored": {"name": "Calv-a-lot", "copy": copies[0]}}
    assert live_entry.runtime_data.data.positions["BTC"].quantity > 0

    assert await async_setup_component(hass, REPAIRS_DOMAIN, {})
    manager = hass.data[REPAIRS_DOMAIN]["flow_manager"]
    form = await manager.async_init(DOMAIN, context={"issue_id": f"ledger_restored_{live_entry.entry_id}"})
    await manager.async_configure(form["flow_id"], {})
    assert issues(hass, live_entry) == {}
    await poll(hass, live_entry)
    assert issues(hass, live_entry) == {}


async def test_start_is_tried_again(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
) -> None:
    """A follower that could not open its ledger starts by itself when it can."""
    await set_up(hass, entry)
    await hass.config_entries.async_unload(entry.entry_id)
    with failing_disk(Ledger(ledger_path(hass, entry.entry_id), Mode.DRY_RUN, "USDC")):
        await set_up(hass, entry)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert list(issues(hass, entry)) == ["ledger_unreadable"]
    freezer.tick(timedelta(seconds=30))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)
    assert entry.state is ConfigEntryState.LOADED
    assert issues(hass, entry) == {}
