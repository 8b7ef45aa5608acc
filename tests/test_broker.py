"""A real Mosquitto, where the machine has one: a portfolio publishes over it and another follows, and many hear of it."""

from collections.abc import Iterator
from pathlib import Path

from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from benchmarks.broker import run
from harness.mosquitto import found, mosquitto, open_files
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .entities import poll
from .leading import connected, follow, holding, publish_on, set_mqtt_up, settle, until, weights

SUBSCRIBERS = 200


@pytest.fixture
def port(socket_enabled: None) -> Iterator[int]:
    """The port of a broker."""
    if (binary := found()) is None:
        pytest.skip("there is no Mosquitto: scripts/setup --mosquitto gets Debian's")
    open_files(SUBSCRIBERS + 500)
    with mosquitto(binary) as port:
        yield port


async def test_all_have_it(port: int) -> None:
    """Each subscriber has each signal, byte by byte, and once."""
    joined, seconds, size = await run(port, SUBSCRIBERS, 3)
    assert joined > 0
    assert len(seconds) == 3
    assert size > 500


async def test_followed(
    hass: HomeAssistant,
    port: int,
    entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    tmp_path: Path,
) -> None:
    """A portfolio joins with what the broker keeps, and trades each signal as it comes; a new connection changes nothing."""
    (tmp_path / "configuration.yaml").touch()
    mqtt = await set_mqtt_up(hass, port)
    await holding(hass, entry, leader)
    second = await follow(hass, exchange, await publish_on(hass, entry))
    await until(lambda: bool(weights(second)))
    await hass.config_entries.async_reload(mqtt.entry_id)
    await until(lambda: connected(hass))
    leader.publish_v2({"ETH": "0.3"})
    await poll(hass, entry)
    await until(lambda: "ETH" in weights(second))
    await settle(hass)
    assert weights(second) == {"ETH": pytest.approx(0.3, abs=0.005)}
    assert second.runtime_data.data.leader_connected is True
    await hass.config_entries.async_unload(mqtt.entry_id)
