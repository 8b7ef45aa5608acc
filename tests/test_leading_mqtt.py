"""A portfolio that publishes over MQTT and one that follows it there: Home Assistant's own MQTT, on a real socket."""

import asyncio
from collections.abc import AsyncGenerator
import json
from pathlib import Path

from homeassistant.config_entries import SOURCE_RECONFIGURE
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.trading.leading.keys import SigningKey, leader_id
from custom_components.calvalot.trading.leading.link import Link, read_link
from simulators.broker import BrokerSimulator
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import poll
from .leading import begin, configure, connected, follow, holding, made, publish_on, set_mqtt_up, settle, until, weights


@pytest.fixture
async def broker(socket_enabled: None) -> AsyncGenerator[BrokerSimulator]:
    """A broker that nobody is connected to yet."""
    async with BrokerSimulator() as simulator:
        yield simulator


@pytest.fixture
async def mqtt(hass: HomeAssistant, broker: BrokerSimulator, tmp_path: Path) -> AsyncGenerator[MockConfigEntry]:
    """Home Assistant's MQTT, connected."""
    (tmp_path / "configuration.yaml").touch()
    entry = await set_mqtt_up(hass, broker.port)
    yield entry
    for each in hass.config_entries.async_loaded_entries("mqtt"):
        await hass.config_entries.async_unload(each.entry_id)


@pytest.fixture
async def leads(
    hass: HomeAssistant, mqtt: MockConfigEntry, entry: MockConfigEntry, leader: LeaderSimulator
) -> MockConfigEntry:
    """A portfolio that may be followed by nobody yet."""
    return await holding(hass, entry, leader)


async def test_followed(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    broker: BrokerSimulator,
) -> None:
    """Who was given the link joins with what the broker keeps, and trades each signal as it comes."""
    link = await publish_on(hass, leads)
    assert read_link(link).url == ""
    await broker.published("calvalot/one/snapshot")
    second = await follow(hass, exchange, link)
    assert (second.data["topic"], second.data["leader_url"]) == ("calvalot/one", "")
    await until(lambda: bool(weights(second)))
    assert weights(second) == {"BTC": pytest.approx(0.4, abs=0.005)}
    assert second.runtime_data.data.leader_connected is True
    leader.publish_v2({"ETH": "0.3"})
    await poll(hass, leads)
    await until(lambda: "ETH" in weights(second))
    await settle(hass)
    assert weights(second) == {"ETH": pytest.approx(0.3, abs=0.005)}
    assert [message.topic for message in broker.messages].count("calvalot/one/signal") == 2
    told = json.loads(broker.retained["calvalot/one/snapshot"])
    assert (told["version"], told["origin"]) == (2, [leader_id(leads.entry_id)])
    assert "calvalot/one/snapshot" in broker.subscriptions
    await hass.config_entries.async_unload(second.entry_id)
    await until(lambda: "calvalot/one/snapshot" not in broker.subscriptions)


async def test_forged(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    exchange: ExchangeSimulator,
    broker: BrokerSimulator,
) -> None:
    """Who may write to the topic can have nothing traded: a change, an old message and nonsense are refused."""
    link = await publish_on(hass, leads)
    (first, *_) = await broker.published("calvalot/one/snapshot")
    second = await follow(hass, exchange, link)
    await until(lambda: bool(weights(second)))
    forged = json.loads(first.payload)
    forged["portfolio_state"]["positions"] = []
    forged["link"]["signed"] = f"e{forged['link']['signed'][1:]}A"
    for message in (json.dumps(forged).encode(), b"nonsense", b"{}", b"\xff"):
        broker.publish("calvalot/one/snapshot", message)
        await asyncio.sleep(0.1)
        await poll(hass, second)
    assert weights(second) == {"BTC": pytest.approx(0.4, abs=0.005)}
    await poll(hass, second)
    assert second.runtime_data.data.leader_connected is True
    assert len(await second.runtime_data.engine.queries.signals()) == 1


async def test_broker_comes_back(hass: HomeAssistant, leads: MockConfigEntry, broker: BrokerSimulator) -> None:
    """A broker that has lost what it kept is told again."""
    await publish_on(hass, leads)
    await broker.published("calvalot/one/snapshot")
    await broker.stop()
    await until(lambda: not connected(hass))
    broker.forget()
    await broker.start()
    await until(lambda: "calvalot/one/snapshot" in broker.retained)
    assert [message.topic for message in broker.messages].count("calvalot/one/signal") == 1


async def test_form(hass: HomeAssistant, leads: MockConfigEntry) -> None:
    """A topic that is none is refused; what is stored is shown and can be changed."""
    for topic in ("", "a/#", "+", "a" * 201, "a\nb"):
        flow = await configure(hass, await begin(hass, leads, "mqtt"), topic=topic, delay=0)
        assert flow["errors"] == {"topic": "invalid_topic"}
    await publish_on(hass, leads)
    (key,) = leads.subentries
    assert leads.subentries[key].title == "MQTT calvalot/one"
    context = {"source": SOURCE_RECONFIGURE, "subentry_id": key}
    flow = await hass.config_entries.subentries.async_init((leads.entry_id, "publisher"), context=context)
    assert flow["step_id"] == "reconfigure_mqtt"
    flow = await configure(hass, flow, topic="/other/", delay=5)
    assert read_link(made(flow)["link"]).topic == "other"
    flow = await configure(hass, flow)
    assert flow["type"] is FlowResultType.ABORT
    assert leads.subentries[key].data == {"transport": "mqtt", "topic": "other", "delay": 5}


async def test_topic_twice(hass: HomeAssistant, leads: MockConfigEntry, live_entry: MockConfigEntry) -> None:
    """One topic holds one portfolio: whoever publishes under it already, in whichever portfolio, keeps it."""
    await publish_on(hass, leads)
    assert await set_up(hass, live_entry)
    for entry in (leads, live_entry):
        flow = await configure(hass, await begin(hass, entry, "mqtt"), topic="/calvalot/one", delay=0)
        assert flow["errors"] == {"topic": "topic_taken"}
    (key,) = leads.subentries
    context = {"source": SOURCE_RECONFIGURE, "subentry_id": key}
    flow = await hass.config_entries.subentries.async_init((leads.entry_id, "publisher"), context=context)
    flow = await configure(hass, flow, topic="calvalot/one", delay=5)
    assert flow["step_id"] == "copy"


async def test_mqtt_comes_later(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    broker: BrokerSimulator,
    mqtt: MockConfigEntry,
) -> None:
    """Portfolios that were set up without MQTT publish and hear as soon as it is there, without a reload."""
    link = await publish_on(hass, leads)
    second = await follow(hass, exchange, link)
    await until(lambda: bool(weights(second)))
    for entry in (leads, second):
        await hass.config_entries.async_unload(entry.entry_id)
    await hass.config_entries.async_remove(mqtt.entry_id)
    broker.forget()
    for entry in (leads, second):
        assert await set_up(hass, entry)
    await settle(hass)
    assert second.runtime_data.data.leader_connected is False
    coordinators = leads.runtime_data, second.runtime_data
    later = await set_mqtt_up(hass, broker.port)
    await until(lambda: {"calvalot/one/snapshot"} <= broker.retained.keys() & set(broker.subscriptions))
    leader.publish_v2({"ETH": "0.3"})
    await poll(hass, leads)
    await until(lambda: "ETH" in weights(second))
    await settle(hass)
    assert coordinators == (leads.runtime_data, second.runtime_data)
    # Set up anew it is heard as before, once.
    await hass.config_entries.async_reload(later.entry_id)
    await until(lambda: connected(hass))
    leader.publish_v2({"SOL": "0.2"})
    await poll(hass, leads)
    await until(lambda: "SOL" in weights(second))
    await settle(hass)


async def test_without_mqtt(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """Without MQTT in Home Assistant neither side can be set up, and both forms say so."""
    assert await set_up(hass, entry)
    menu = await hass.config_entries.subentries.async_init((entry.entry_id, "publisher"), context={"source": "user"})
    flow = await configure(hass, menu, next_step_id="mqtt")
    assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "mqtt_missing")
    form = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    form = await hass.config_entries.flow.async_configure(form["flow_id"], {"next_step_id": "leader"})
    link = Link(leader="a" * 32, key=SigningKey().public, topic="calvalot/one").text
    form = await hass.config_entries.flow.async_configure(form["flow_id"], {"leader_url": link})
    assert form["errors"] == {"leader_url": "mqtt_missing"}


async def test_broker_is_away(
    hass: HomeAssistant,
    leads: MockConfigEntry,
    exchange: ExchangeSimulator,
    broker: BrokerSimulator,
) -> None:
    """A follower that knows neither an address nor a broker that answers has lost its leader."""
    link = await publish_on(hass, leads)
    await broker.published("calvalot/one/snapshot")
    second = await follow(hass, exchange, link)
    await until(lambda: bool(weights(second)))
    await broker.stop()
    await until(lambda: not connected(hass))
    await poll(hass, second)
    assert second.runtime_data.data.leader_connected is False
