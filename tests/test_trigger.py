"""Triggers: automations that really fire, on what happens to a follower and on nothing else."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import automation
from homeassistant.components.websocket_api.automation import async_get_triggers_for_target
from homeassistant.core import HomeAssistant
from homeassistant.helpers.trigger import async_get_all_descriptions, async_validate_trigger_config
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import voluptuous as vol

from custom_components import calvalot
from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trigger import TRIGGERS
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .automations import automate
from .conftest import add_entry, set_up
from .entities import ALLOCATION, entity_id, poll, state_of
from .market import followed, minutes, until

ROOT = Path(calvalot.__file__).parent


def trigger(entry: MockConfigEntry, name: str, **options: Any) -> dict[str, Any]:
    """An automation with one trigger, aimed at the follower's device."""
    target = {"device_id": entry.runtime_data.device_id}
    config = {"trigger": f"calvalot.{name}", "target": target, "options": options, "id": name}
    return {"alias": f"{name} {options}", "triggers": [config]}


def ids(calls: list[Any]) -> Counter[str]:
    """How often each trigger fired."""
    return Counter(call.data["id"] for call in calls)


async def test_described(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Each trigger is described, named in full and offered for a follower's device and for its entities."""
    assert await set_up(hass, entry)
    descriptions = await async_get_all_descriptions(hass)
    ours = {key.removeprefix("calvalot."): value for key, value in descriptions.items() if key.startswith("calvalot.")}
    assert ours.keys() == TRIGGERS.keys()
    texts = json.loads((ROOT / "translations/en.json").read_text("utf-8"))
    names = texts["triggers"]
    icons = json.loads((ROOT / "icons.json").read_text("utf-8"))["triggers"]
    assert names.keys() == icons.keys() == TRIGGERS.keys()
    for key, description in ours.items():
        assert description, key
        assert description["fields"].keys() == names[key].get("fields", {}).keys(), key
        assert {"name", "description"} <= names[key].keys()
        for field in description["fields"].values():
            select = field["selector"].get("select", {})
            if "translation_key" in select:
                assert texts["selector"][select["translation_key"]]["options"].keys() == set(select["options"])

    offered = {f"calvalot.{name}" for name in TRIGGERS}
    targets = ({"device_id": [entry.runtime_data.device_id]}, {"label_id": ["money"]})
    assert offered <= await async_get_triggers_for_target(hass, targets[0], expand_group=False)
    assert not offered & await async_get_triggers_for_target(hass, targets[1], expand_group=False)


async def test_signals_and_trades(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Each trigger fires with its own event, once for each, and hands on what the event tells."""
    assert await set_up(hass, entry)
    calls = await automate(
        hass,
        *(trigger(entry, name) for name in TRIGGERS.keys() - {"profit_loss_crossed", "candle_closed"}),
        trigger(entry, "profit_loss_crossed", level=1000000, direction="above"),
    )
    leader.publish_v2(ALLOCATION)
    await poll(hass, entry)
    assert ids(calls) == {"signal_received": 1, "trade_executed": 5, "signal_executed": 1}
    bought = next(call.data for call in calls if call.data["id"] == "trade_executed")
    assert bought["platform"] == "calvalot.trade_executed"
    assert bought["entity_id"] == entity_id(hass, entry, "event", "trade")
    assert bought["event_type"] == "buy"
    calls.clear()
    await poll(hass, entry, 2)
    assert calls == []


async def test_chosen_events(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The options narrow a trigger down: sales alone, signals that were executed in part alone."""
    leader.publish_v2(ALLOCATION)
    assert await set_up(hass, live_entry)
    calls = await automate(
        hass,
        trigger(live_entry, "trade_executed", side="sell"),
        trigger(live_entry, "signal_executed", result=["partial"]),
        trigger(live_entry, "signal_received"),
    )
    leader.publish_v2({"BTC": "0.9"})
    await poll(hass, live_entry, 2)
    assert ids(calls) == {"signal_received": 1, "trade_executed": 4}
    calls.clear()
    exchange.fault("error", method="POST", path="/order", symbol="ETHUSDC", code=-2010, count=None)
    leader.publish_v2({"BTC": "0.3", "ETH": "0.3"})
    await poll(hass, live_entry, 3)
    assert ids(calls) == {"signal_received": 1, "signal_executed": 1, "trade_executed": 1}


async def test_order_filled(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """The owner's own order is one, a source's is not."""
    leader.publish_v2({"BTC": "0.2"})
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "order_filled"))
    leader.publish_v2({"BTC": "0.4"})
    await poll(hass, entry)
    assert ids(calls)["order_filled"] == 0
    order = {"coin": "ETH", "side": "buy", "amount": 50, "confirm": True}
    await hass.services.async_call(DOMAIN, "place_order", order, blocking=True)
    await hass.async_block_till_done()
    assert ids(calls)["order_filled"] == 1


async def test_trade_failed(
    hass: HomeAssistant, live_entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """An order that the exchange refuses fires the trigger."""
    assert await set_up(hass, live_entry)
    calls = await automate(hass, trigger(live_entry, "trade_failed"), trigger(live_entry, "trade_executed"))
    exchange.fault("error", method="POST", path="/order", code=-2010)
    leader.publish_v2({"BTC": "0.5", "ETH": "0.4"})
    await poll(hass, live_entry)
    assert ids(calls)["trade_failed"] == 1


async def test_leader(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Losing the leader and having it back fire once each."""
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "leader_lost"), trigger(entry, "leader_back"))
    leader.misbehave("status", None)
    await poll(hass, entry, 5)
    assert ids(calls) == {"leader_lost": 1}
    leader.behave()
    await poll(hass, entry, 2)
    assert ids(calls) == {"leader_lost": 1, "leader_back": 1}


async def test_exchange(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Losing the exchange and having it back fire once each."""
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "exchange_lost"), trigger(entry, "exchange_back"))
    await exchange.stop()
    await poll(hass, entry, 2)
    assert calls == []
    await poll(hass, entry, 3)
    assert ids(calls) == {"exchange_lost": 1}
    await exchange.start()
    await poll(hass, entry, 2)
    assert ids(calls) == {"exchange_lost": 1, "exchange_back": 1}


async def test_approval_requested(hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator) -> None:
    """A signal that waits for its owner's word fires once, with the plan."""
    entry = add_entry(hass, entry_data, approval="ask")
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "approval_requested"), trigger(entry, "trade_executed"))
    leader.publish_v2(ALLOCATION)
    await poll(hass, entry, 2)
    assert ids(calls) == {"approval_requested": 1}
    assert state_of(hass, entry, "event", "signal").attributes["summary"]


async def test_stop_loss_reached(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A fall from the peak that pauses a follower fires once."""
    entry = add_entry(hass, entry_data, stop_loss_drawdown=20)
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "stop_loss_reached"))
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("0.9"))
    await poll(hass, entry)
    assert calls == []
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("0.5"))
    await poll(hass, entry, 2)
    assert ids(calls) == {"stop_loss_reached": 1}


async def test_leader_silent(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """A leader that publishes nothing new for too long fires once."""
    entry = add_entry(hass, entry_data, silence_alert=2)
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "leader_silent"), trigger(entry, "leader_lost"))
    freezer.tick(timedelta(hours=1))
    await poll(hass, entry)
    assert calls == []
    freezer.tick(timedelta(hours=1))
    await poll(hass, entry, 2)
    assert ids(calls)["leader_silent"] == 1


async def test_became_dead(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Death fires once, and not again after a restart."""
    entry = add_entry(hass, entry_data | {"initial_budget": 20.0})
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "became_dead"))
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") / 10)
    await poll(hass, entry, 4)
    assert ids(calls) == {"became_dead": 1}
    assert await hass.config_entries.async_reload(entry.entry_id)
    await poll(hass, entry, 2)
    assert ids(calls) == {"became_dead": 1}


@pytest.mark.parametrize(("unit", "level"), [("EUR", 100), ("%", 10)])
async def test_profit_loss_crossed(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    unit: str,
    level: float,
) -> None:
    """A level is crossed once on the way up and once on the way down, in amount and in per cent."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(
        hass,
        trigger(entry, "profit_loss_crossed", level=level, unit=unit, direction="above"),
        trigger(entry, "profit_loss_crossed", level=-level, unit=unit, direction="below"),
    )
    price = exchange.price("BTCUSDC")

    async def at(factor: str) -> list[float]:
        exchange.set_price("BTCUSDC", price * Decimal(factor))
        calls.clear()
        await poll(hass, entry, 2)
        return [float(call.data["state"]) for call in calls]

    key = "profit_loss" if unit == "EUR" else "profit_loss_percent"
    assert await at("1.05") == []
    assert (await at("1.2"))[0] > level
    assert calls[0].data["entity_id"] == entity_id(hass, entry, "sensor", key)
    assert await at("1.3") == []
    assert await at("1.05") == []
    assert (await at("0.8"))[0] < -level
    assert await at("0.7") == []
    assert (await at("1.2"))[0] > level


async def test_profit_crossed_behind_a_gap(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """A crossing is not lost because the figures were missing in between; the gap itself is none."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "profit_loss_crossed", level=100, direction="above"))
    await exchange.stop()
    await poll(hass, entry)
    assert state_of(hass, entry, "sensor", "profit_loss").state == "unavailable"
    await exchange.start()
    await poll(hass, entry)
    assert calls == []
    await exchange.stop()
    await poll(hass, entry)
    await exchange.start()
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("1.5"))
    await poll(hass, entry)
    assert len(calls) == 1
    assert await hass.config_entries.async_reload(entry.entry_id)
    await poll(hass, entry)
    assert len(calls) == 1


async def test_profit_crossed_at_once(
    hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """The very first change can cross a level."""
    leader.publish_v2({"BTC": "1"})
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "profit_loss_crossed", level=100, direction="above"))
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * Decimal("1.2"))
    await poll(hass, entry)
    assert len(calls) == 1


async def test_first_figure(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """The first figure after a start crosses nothing."""
    await exchange.stop()
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "profit_loss_crossed", level=-500, direction="above"))
    await exchange.start()
    await poll(hass, entry)
    assert state_of(hass, entry, "sensor", "profit_loss").state == "0"
    assert calls == []


async def test_candle_closed(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Each candle that closes fires once with its figures, over a reload too, and nothing becomes a state."""
    assert await set_up(hass, entry)
    calls = await automate(
        hass,
        trigger(entry, "candle_closed", coin="btc", time_frame="1m"),
        trigger(entry, "candle_closed", coin="ETH", time_frame="5m"),
    )
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1m", "ethusdc@kline_5m"})
    states = {state.entity_id for state in hass.states.async_all()}
    await minutes(exchange, 3)
    await until(hass, lambda: len(calls) >= 2)
    assert {call.data["platform"] for call in calls} == {"calvalot.candle_closed"}
    assert {call.data["entity_id"] for call in calls} == {entity_id(hass, entry, "binary_sensor", "market_data")}
    assert {state.entity_id for state in hass.states.async_all()} == states
    assert await hass.config_entries.async_reload(entry.entry_id)
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1m", "ethusdc@kline_5m"})
    calls.clear()
    await minutes(exchange, 6)
    await until(hass, lambda: len(calls) >= 5)
    await hass.services.async_call("automation", "turn_off", {"entity_id": "all"}, blocking=True)
    stream = entry.runtime_data.market.stream
    assert not stream.followed
    assert await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.parametrize(
    ("options", "moves"),
    [
        ({"change_above": 2}, ["1.03"]),
        ({"change_below": -2}, ["0.97"]),
        ({"change_above": 2, "change_below": -2}, ["1.03", "0.97"]),
        ({"change_above": 2, "volume_above": 1000}, []),
        ({"volume_above": 1}, ["1.03", "0.97", "1.01"]),
    ],
)
async def test_candle_conditions(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    exchange: ExchangeSimulator,
    options: dict[str, float],
    moves: list[str],
) -> None:
    """A candle fires only where it moved and was traded as much as its owner wants."""
    assert await set_up(hass, entry)
    calls = await automate(hass, trigger(entry, "candle_closed", coin="BTC", time_frame="1m", **options))
    stream = entry.runtime_data.market.stream
    seen: list[Closed] = []
    stream.follow_candles("BTCUSDC", TimeFrame.M1, seen.append)
    await until(hass, lambda: followed(exchange) and stream.connected)
    exchange.set_volatility(0)
    exchange.advance(60 - exchange.server_time / 1000 % 60 + 1)
    await exchange.streams.flush()
    price = exchange.price("BTCUSDC")
    for factor in ("1.03", "0.97", "1.01"):
        exchange.set_price("BTCUSDC", price)
        exchange.advance(20)
        exchange.set_price("BTCUSDC", price * Decimal(factor), gap=True)
        exchange.advance(40)
        await exchange.streams.flush()
    exchange.advance(60)
    await exchange.streams.flush()
    await until(hass, lambda: len(seen) >= 3)
    assert len(calls) == len(moves), [closed.candle for closed in seen]
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_target(
    hass: HomeAssistant, entry: MockConfigEntry, entry_data: dict[str, Any], leader: LeaderSimulator
) -> None:
    """Any entity of a follower stands for it, and another follower's events do not fire."""
    assert await set_up(hass, entry)
    other = add_entry(hass, entry_data | {"initial_budget": 500.0})
    assert await set_up(hass, other)
    calls = await automate(
        hass,
        {
            "alias": "by an entity",
            "triggers": {
                "trigger": "calvalot.signal_received",
                "target": {"entity_id": entity_id(hass, entry, "binary_sensor", "leader_connected")},
                "id": "mine",
            },
        },
    )
    leader.publish_v2(ALLOCATION)
    await poll(hass, other)
    assert calls == []
    await poll(hass, entry)
    assert ids(calls)["mine"] >= 1
    assert {call.data["entity_id"] for call in calls} == {entity_id(hass, entry, "event", "signal")}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("signal_received", {"result": "executed"}),
        ("signal_executed", {"result": ["rejected"]}),
        ("trade_executed", {"side": []}),
        ("profit_loss_crossed", {}),
        ("profit_loss_crossed", {"level": 1}),
        ("profit_loss_crossed", {"level": "nan", "direction": "above"}),
        ("profit_loss_crossed", {"level": True, "direction": "above"}),
        ("profit_loss_crossed", {"level": 1, "direction": "up"}),
        ("profit_loss_crossed", {"level": 1, "direction": "above", "unit": "USD"}),
        ("candle_closed", {}),
        ("candle_closed", {"coin": "BTC/USD"}),
        ("candle_closed", {"coin": "BTC", "time_frame": "7m"}),
        ("candle_closed", {"coin": "BTC", "change_above": "nan"}),
        ("candle_closed", {"coin": "BTC", "change_below": True}),
    ],
)
async def test_wrong_options(hass: HomeAssistant, entry: MockConfigEntry, name: str, options: dict[str, Any]) -> None:
    """What a trigger does not understand is refused."""
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, automation.DOMAIN, {})
    (config,) = trigger(entry, name, **options)["triggers"]
    config["platform"] = config.pop("trigger")
    with pytest.raises(vol.Invalid):
        await async_validate_trigger_config(hass, [config])
    del config["target"]
    config["options"] = {
        "profit_loss_crossed": {"level": 1, "direction": "above"},
        "candle_closed": {"coin": "BTC"},
    }.get(name, {})
    with pytest.raises(vol.Invalid):
        await async_validate_trigger_config(hass, [config])
