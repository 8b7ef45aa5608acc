"""The logbook: what happened to a follower reads as a sentence, in English and in French."""

from datetime import timedelta
import json
from pathlib import Path
import re
from typing import Any

from homeassistant.components.logbook.helpers import async_determine_event_types
from homeassistant.components.logbook.processor import EventProcessor
from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from custom_components import calvalot
from custom_components.calvalot import event
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import poll

ROOT = Path(calvalot.__file__).parent


async def read(hass: HomeAssistant, device_id: str | None = None) -> list[str]:
    """What the logbook says of followers, oldest first, as its page shows it."""
    await async_wait_recording_done(hass)
    devices = [device_id] if device_id else None
    processor = EventProcessor(hass, async_determine_event_types(hass, None, devices), None, devices)
    now = dt_util.utcnow()
    entries = await get_instance(hass).async_add_executor_job(
        processor.get_events, now - timedelta(hours=1), now + timedelta(hours=1)
    )
    return [f"{entry['name']} {entry['message']}" for entry in entries if entry.get("domain") == "calvalot"]


async def tell(hass: HomeAssistant, kind: str, **data: Any) -> str:
    """What the logbook makes of one event."""
    hass.bus.async_fire(f"calvalot_{kind}", data)
    return (await read(hass))[-1]


@pytest.fixture
async def logbook(recorder_mock: Recorder, hass: HomeAssistant) -> None:
    """Home Assistant with its logbook."""
    assert await async_setup_component(hass, "logbook", {})


LINES = {
    "en": [
        r"received the signal {signal_id}",
        r"bought 0\.\d+ BTC for \d+\.\d\d USDC at 9\d{4}\.\d\d",
        r"could not buy 0\.\d+ ETH \(.*insufficient balance.*\)",
        r"bought 0\.\d+ ETH for \d+\.\d\d USDC at 3\d{3}\.\d\d",
        r"executed the signal {signal_id}",
        r"lost its leader \(the leader answered with status 503\)",
    ],
    "fr": [
        r"a reçu le signal {signal_id}",
        r"a acheté 0\.\d+ BTC pour \d+\.\d\d USDC à 9\d{4}\.\d\d",
        r"n'a pas pu acheter 0\.\d+ ETH \(.*insufficient balance.*\)",
        r"a acheté 0\.\d+ ETH pour \d+\.\d\d USDC à 3\d{3}\.\d\d",
        r"a exécuté le signal {signal_id}",
        r"a perdu son leader \(the leader answered with status 503\)",
    ],
}


@pytest.mark.usefixtures("logbook")
@pytest.mark.parametrize("language", LINES)
async def test_sentences(
    hass: HomeAssistant,
    live_entry: MockConfigEntry,
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    language: str,
) -> None:
    """What the follower really did, in the language of Home Assistant; reasons stay in the words they came in."""
    await hass.config.async_update(language=language)
    assert await set_up(hass, live_entry)
    exchange.fault("error", method="POST", path="/order", symbol="ETHUSDC", code=-2010)
    signal_id = leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    await poll(hass, live_entry, 2)
    leader.misbehave("status", None)
    await poll(hass, live_entry, 3)
    for lines in (await read(hass), await read(hass, live_entry.runtime_data.device_id)):
        assert len(lines) == len(LINES[language])
        for line, pattern in zip(lines, LINES[language], strict=True):
            expected = f"Calv-a-lot {pattern.replace('{signal_id}', re.escape(signal_id))}"
            assert re.fullmatch(expected, line), line


@pytest.mark.usefixtures("logbook")
async def test_on_paper(hass: HomeAssistant, entry: MockConfigEntry, leader: LeaderSimulator) -> None:
    """What was traded on paper is told apart."""
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    assert any(re.search(r"bought .* on paper$", line) for line in await read(hass))


@pytest.mark.usefixtures("logbook")
async def test_odd_events(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Events of a removed follower, of an older version or of a newer one are told as far as they go."""
    assert await set_up(hass, entry)
    assert await tell(hass, "signal", type="executed", signal_id="one") == "Calv-a-lot executed the signal one"
    assert await tell(hass, "trade", type="buy", coin="BTC", symbol="BTCUSDC", amount="0.123456789") == (
        "Calv-a-lot bought ? BTC for 0.123457 USDC at ?"
    )
    assert await tell(hass, "alert", type="moon", reason="full") == "Calv-a-lot moon (full)"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_events_are_told(language: str) -> None:
    """There is a sentence for each type of event, and no other."""
    texts = json.loads((ROOT / f"translations/{language}.json").read_text("utf-8"))["common"]
    told = {key.removeprefix("logbook_") for key in texts if key.startswith("logbook_")} - {"simulated"}
    types = {f"{description.key}_{kind}" for description in event.EVENTS for kind in description.event_types or ()}
    assert told == types - {"trade_failed"} | {"trade_failed_buy", "trade_failed_sell"}
