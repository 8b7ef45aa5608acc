"""Device triggers of the older editor: offered, named, validated, and firing."""

from collections import Counter
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from homeassistant.components.device_automation import DeviceAutomationType
from homeassistant.core import HomeAssistant
from homeassistant.helpers.trigger import async_validate_trigger_config
from homeassistant.setup import async_setup_component
import probatio
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_get_device_automations
import voluptuous as vol

from custom_components import calvalot
from custom_components.calvalot.device_trigger import async_get_trigger_capabilities
from custom_components.calvalot.trigger import TRIGGERS
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .automations import automate
from .conftest import add_entry, set_up
from .entities import poll
from .market import followed, minutes, until

ROOT = Path(calvalot.__file__).parent


def trigger(entry: MockConfigEntry, name: str, **fields: Any) -> dict[str, Any]:
    """A device trigger as the editor stores it."""
    device_id = entry.runtime_data.device_id
    return {"trigger": "device", "domain": "calvalot", "device_id": device_id, "type": name, "id": name, **fields}


def automation(entry: MockConfigEntry, name: str, **fields: Any) -> dict[str, Any]:
    """An automation with one device trigger."""
    return {"alias": f"{name} {entry.entry_id}", "triggers": trigger(entry, name, **fields)}


async def test_offered(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """A follower's device offers each trigger, and each has a name."""
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, "device_automation", {})
    found = await async_get_device_automations(hass, DeviceAutomationType.TRIGGER, entry.runtime_data.device_id)
    ours = [each for each in found if each["domain"] == "calvalot"]
    assert {each["type"] for each in ours} == TRIGGERS.keys()
    texts = json.loads((ROOT / "translations/en.json").read_text("utf-8"))["device_automation"]
    assert texts["trigger_type"].keys() == TRIGGERS.keys()
    assert texts.keys() == {"trigger_type", "extra_fields", "extra_fields_descriptions"}
    with_fields = {
        "profit_loss_crossed": {"level", "unit", "direction"},
        "candle_closed": {"coin", "time_frame", "change_above", "change_below", "volume_above"},
    }
    assert texts["extra_fields"].keys() == texts["extra_fields_descriptions"].keys()
    assert texts["extra_fields"].keys() == set().union(*with_fields.values())
    for each in ours:
        capabilities = await async_get_trigger_capabilities(hass, each)
        fields = probatio.to_field_list(capabilities["extra_fields"]) if capabilities else []
        names = {field["name"] for field in fields}
        assert names == with_fields.get(each["type"], set())


async def test_events(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
) -> None:
    """The triggers fire with their own follower's events, and tell of them as other device triggers do."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    names = TRIGGERS.keys() - {"profit_loss_crossed", "candle_closed"}
    calls = await automate(hass, *(automation(entry, name) for name in names))
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    await poll(hass, other)
    assert calls == []
    await poll(hass, entry)
    leader.misbehave("status", None)
    await poll(hass, entry, 3)
    leader.behave()
    await poll(hass, entry)
    await exchange.stop()
    await poll(hass, entry, 3)
    await exchange.start()
    await poll(hass, entry)
    assert Counter(call.data["id"] for call in calls) == {
        "signal_received": 1,
        "signal_executed": 1,
        "trade_executed": 2,
        "leader_lost": 1,
        "leader_back": 1,
        "exchange_lost": 1,
        "exchange_back": 1,
    }
    assert {call.data["platform"] for call in calls} == {"device"}
    assert all(call.data["description"] for call in calls)


async def test_profit_loss_crossed(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The one trigger with fields watches its level."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(hass, automation(entry, "profit_loss_crossed", level=-10, unit="%", direction="below"))
    price = exchange.price("BTCUSDC")
    for factor, count in (("0.95", 0), ("0.8", 1), ("0.7", 1)):
        exchange.set_price("BTCUSDC", price * Decimal(factor))
        await poll(hass, entry)
        assert len(calls) == count, factor


@pytest.mark.parametrize(
    ("name", "fields"), [("signal_lost", {}), ("profit_loss_crossed", {"level": 1}), ("leader_lost", {"level": 1})]
)
async def test_wrong(hass: HomeAssistant, entry: MockConfigEntry, name: str, fields: dict[str, Any]) -> None:
    """What is no trigger of a follower is refused."""
    assert await set_up(hass, entry)
    config = trigger(entry, name, **fields)
    config["platform"] = config.pop("trigger")
    with pytest.raises(vol.Invalid):
        await async_validate_trigger_config(hass, [config])


async def test_candle_closed(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """A candle fires it, with what was left out left open."""
    assert await set_up(hass, entry)
    calls = await automate(hass, automation(entry, "candle_closed", coin="BTC", time_frame="1m"))
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1m"})
    await minutes(exchange, 3)
    await until(hass, lambda: len(calls) >= 2)
    assert {call.data["platform"] for call in calls} == {"device"}
    assert await hass.config_entries.async_unload(entry.entry_id)
