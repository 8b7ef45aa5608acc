"""What the entity tests share: find an entity by its key, run a cycle."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.ledgers import ledger_path
from custom_components.calvalot.settings import entry_settings
from custom_components.calvalot.trading.ledger.ledger import Ledger

ALLOCATION = {"BTC": "0.4", "ETH": "0.2", "BNB": "0.1", "SOL": "0.1", "XRP": "0.1"}


def entity_id(hass: HomeAssistant, entry: MockConfigEntry, platform: str, key: str) -> str:
    """Entity id of one of the entry's entities."""
    found = er.async_get(hass).async_get_entity_id(platform, DOMAIN, f"{entry.entry_id}_{key}")
    assert found, key
    return found


def state_of(hass: HomeAssistant, entry: MockConfigEntry, platform: str, key: str) -> State:
    """State of one of the entry's entities."""
    state = hass.states.get(entity_id(hass, entry, platform, key))
    assert state, key
    return state


def keys(hass: HomeAssistant, entry: MockConfigEntry, platform: str, *, enabled_only: bool = False) -> set[str]:
    """Keys of the entry's registered entities on a platform."""
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return {
        entity.unique_id.removeprefix(f"{entry.entry_id}_")
        for entity in entities
        if entity.domain == platform and not (enabled_only and entity.disabled_by)
    }


def ledger_of(hass: HomeAssistant, entry: MockConfigEntry) -> Ledger:
    """The ledger of an entry, to be opened beside the one that is in use."""
    settings = entry_settings(entry)
    return Ledger(ledger_path(hass, entry.entry_id), settings.mode, settings.quote)


@contextmanager
def reading(hass: HomeAssistant, entry: MockConfigEntry) -> Iterator[Ledger]:
    """The ledger of an entry as it lies on disk."""
    ledger = ledger_of(hass, entry)
    ledger.open()
    try:
        yield ledger
    finally:
        ledger.close()


async def poll(hass: HomeAssistant, entry: MockConfigEntry, times: int = 1) -> None:
    """Run cycles and let Home Assistant take up what they published."""
    for _ in range(times):
        await entry.runtime_data.async_poll()
        await hass.async_block_till_done()


async def enable_all(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Enable the entities that are off by default, as an owner would."""
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        registry.async_update_entity(entity.entity_id, disabled_by=None)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()


async def later(hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float = 121) -> None:
    """Let time pass, and whatever is due be done."""
    freezer.tick(timedelta(seconds=seconds))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done()
