"""The figures work with Home Assistant's own Prometheus exporter."""

from decimal import Decimal
import re

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import ALLOCATION, entity_id, keys, poll, state_of

LINE = re.compile(r"(?P<metric>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")


async def scrape(hass_client: ClientSessionGenerator) -> dict[str, dict[str, float]]:
    """Fetch what Prometheus would: values by entity and metric."""
    client = await hass_client()
    answer = await client.get("/api/prometheus")
    assert answer.status == 200
    found: dict[str, dict[str, float]] = {}
    for line in (await answer.text()).splitlines():
        if (match := LINE.fullmatch(line)) and (entity := re.search(r'entity="([^"]+)"', match["labels"])):
            found.setdefault(entity[1], {})[match["metric"]] = float(match["value"])
    return found


async def test_figures(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_client: ClientSessionGenerator
) -> None:
    """Each figure is exported with its value, and a later one with the later value."""
    assert await async_setup_component(hass, "prometheus", {"prometheus": {}})
    leader.publish_v2(ALLOCATION)
    await set_up(hass, entry)
    for _ in range(2):
        found = await scrape(hass_client)
        told = 0
        for key in keys(hass, entry, "sensor", enabled_only=True):
            state = state_of(hass, entry, "sensor", key)
            try:
                value = float(state.state)
            except ValueError:
                continue
            unit = state.attributes.get("unit_of_measurement")
            name = "state" if unit is None else {"EUR": "unit_eur", "USDC": "unit_usdc", "%": "unit_percent"}[unit]
            metrics = found[state.entity_id]
            assert metrics[f"homeassistant_sensor_{name}"] == pytest.approx(value), key
            assert metrics["homeassistant_entity_available"] == 1
            told += 1
        assert told >= 20
        await entry.runtime_data.engine.commands.deposit(Decimal(100))
        await hass.async_block_till_done()
    for key, value in (("leader_connected", 1), ("exchange_connected", 1), ("dead", 0)):
        assert found[entity_id(hass, entry, "binary_sensor", key)]["homeassistant_binary_sensor_state"] == value
    assert found[entity_id(hass, entry, "switch", "pause")]["homeassistant_switch_state"] == 0


async def test_unknown_is_not_zero(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, hass_client: ClientSessionGenerator
) -> None:
    """What the follower does not know is not exported as a figure."""
    assert await async_setup_component(hass, "prometheus", {"prometheus": {}})
    await leader.stop()
    await set_up(hass, entry)
    await poll(hass, entry)
    found = await scrape(hass_client)
    name = entity_id(hass, entry, "sensor", "tracking_distance")
    assert state_of(hass, entry, "sensor", "tracking_distance").state in {"unknown", "unavailable"}
    assert not any(metric.startswith("homeassistant_sensor_unit") for metric in found.get(name, {}))
