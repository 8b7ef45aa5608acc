"""Conditions: automations that run or do not, by how a follower is."""

from datetime import timedelta
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.websocket_api.automation import async_get_conditions_for_target
from homeassistant.core import HomeAssistant
from homeassistant.helpers.condition import (
    async_from_config,
    async_get_all_descriptions,
    async_validate_condition_config,
)
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import voluptuous as vol

from custom_components import calvalot
from custom_components.calvalot.condition import CONDITIONS
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .automations import automate
from .conftest import add_entry, set_up
from .entities import entity_id, poll

ROOT = Path(calvalot.__file__).parent


def when(entry: MockConfigEntry, name: str, **options: Any) -> dict[str, Any]:
    """An automation that runs on `ask` where a condition on the follower's device holds."""
    target = {"device_id": entry.runtime_data.device_id}
    return {
        "alias": f"{name} {options}",
        "triggers": {"trigger": "event", "event_type": "ask", "id": name},
        "conditions": {"condition": f"calvalot.{name}", "target": target, "options": options},
    }


class Asked:
    """What holds at the moment."""

    def __init__(self, hass: HomeAssistant, calls: list[Any]) -> None:
        self.hass, self.calls = hass, calls

    async def __call__(self) -> set[str]:
        """Names of the conditions that hold."""
        self.calls.clear()
        self.hass.bus.async_fire("ask")
        await self.hass.async_block_till_done()
        return {call.data["id"] for call in self.calls}


async def test_described(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Each condition is described, named in full and offered for a follower's device."""
    assert await set_up(hass, entry)
    descriptions = await async_get_all_descriptions(hass)
    ours = {key.removeprefix("calvalot."): value for key, value in descriptions.items() if key.startswith("calvalot.")}
    assert ours.keys() == CONDITIONS.keys()
    names = json.loads((ROOT / "translations/en.json").read_text("utf-8"))["conditions"]
    icons = json.loads((ROOT / "icons.json").read_text("utf-8"))["conditions"]
    assert names.keys() == icons.keys() == CONDITIONS.keys()
    for key, description in ours.items():
        assert description, key
        assert description["fields"].keys() == names[key]["fields"].keys(), key
        assert {"name", "description"} <= names[key].keys()
    target = {"device_id": [entry.runtime_data.device_id]}
    offered = await async_get_conditions_for_target(hass, target, expand_group=False)
    assert {f"calvalot.{name}" for name in CONDITIONS} <= offered


async def test_state(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Paused and connected are what they are right now."""
    assert await set_up(hass, entry)
    ask = Asked(hass, await automate(hass, *(when(entry, name) for name in CONDITIONS if name != "profit_above")))
    assert await ask() == {"leader_connected"}
    await entry.runtime_data.engine.commands.pause(paused=True)
    assert await ask() == {"leader_connected", "is_paused"}
    leader.misbehave("status", None)
    await poll(hass, entry)
    assert await ask() == {"is_paused"}
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert await ask() == set()


async def test_dead(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A dead follower is dead, and not paused."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0})
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    ask = Asked(hass, await automate(hass, when(entry, "is_dead"), when(entry, "is_paused")))
    assert await ask() == set()
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 3)
    assert await ask() == {"is_dead"}


@pytest.mark.parametrize(("unit", "level"), [("EUR", 100), ("%", 10)])
async def test_profit_above(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    unit: str,
    level: float,
) -> None:
    """Profit counts in amount and in per cent; where it is not known it is not above anything."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    ask = Asked(hass, await automate(hass, when(entry, "profit_above", level=level, unit=unit)))
    price = exchange.price("BTCUSDC")
    for factor, expected in (("1.05", set()), ("1.2", {"profit_above"}), ("0.5", set()), ("1.2", {"profit_above"})):
        exchange.set_price("BTCUSDC", price * Decimal(factor))
        await poll(hass, entry)
        assert await ask() == expected, factor
    await exchange.stop()
    await poll(hass, entry)
    assert await ask() == set()


async def test_for(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> None:
    """A condition can ask for how long it has held."""
    assert await set_up(hass, entry)
    ask = Asked(hass, await automate(hass, when(entry, "is_paused", **{"for": {"hours": 1}})))
    await entry.runtime_data.engine.commands.pause(paused=True)
    assert await ask() == set()
    freezer.tick(timedelta(minutes=61))
    assert await ask() == {"is_paused"}


@pytest.mark.parametrize(("behavior", "expected"), [("any", {"is_paused"}), ("all", set())])
async def test_two_followers(
    hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any], behavior: str, expected: set[str]
) -> None:
    """Of several followers one may be enough or all may be wanted; any entity stands for its follower."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    config = when(entry, "is_paused", behavior=behavior)
    config["conditions"]["target"] = {
        "entity_id": [entity_id(hass, each, "binary_sensor", "leader_connected") for each in (entry, other)]
    }
    ask = Asked(hass, await automate(hass, config))
    assert await ask() == set()
    await other.runtime_data.engine.commands.pause(paused=True)
    assert await ask() == expected
    await entry.runtime_data.engine.commands.pause(paused=True)
    assert await ask() == {"is_paused"}


async def test_watched_in_the_editor(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """The editor asks again and again, since any entity may stand for its follower."""
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, "automation", {})
    config = await async_validate_condition_config(hass, when(entry, "is_paused")["conditions"])
    checker = await async_from_config(hass, config)
    assert checker.needs_polling
    checker.async_unload()


@pytest.mark.parametrize(
    ("name", "options"),
    [("is_paused", {"level": 1}), ("profit_above", {}), ("profit_above", {"level": 1, "unit": "USD"})],
)
async def test_wrong_options(hass: HomeAssistant, entry: MockConfigEntry, name: str, options: dict[str, Any]) -> None:
    """What a condition does not understand is refused."""
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, "automation", {})
    with pytest.raises(vol.Invalid):
        await async_validate_condition_config(hass, when(entry, name, **options)["conditions"])
