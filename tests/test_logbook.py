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
from custom_components.calvalot.logbook import ICONS
from custom_components.calvalot.trading.errors import ExchangeError, LeaderError
from custom_components.calvalot.trading.sizing import Reason
from custom_components.calvalot.trading.sources.strategy import OVER, REPLACED
from custom_components.calvalot.trading.strategies.evaluator import (
    BUY,
    BY_HAND,
    ENTER,
    EXIT,
    ROTATE,
    STOP_LOSS,
    TAKE_PROFIT,
    TARGET,
    TRAILING_STOP,
)
from custom_components.calvalot.wording import WAYS, because
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import set_up
from .entities import entity_id, poll
from .test_cards import reasons

ROOT = Path(calvalot.__file__).parent


async def rows(hass: HomeAssistant, device_id: str | None = None, entity_id: str | None = None) -> list[dict[str, Any]]:
    """The rows of the logbook that tell of followers, oldest first, as its page shows them."""
    await async_wait_recording_done(hass)
    devices = [device_id] if device_id else None
    entities = [entity_id] if entity_id else None
    types = async_determine_event_types(hass, entities, devices)
    processor = EventProcessor(hass, types, entities, devices)
    now = dt_util.utcnow()
    entries = await get_instance(hass).async_add_executor_job(
        processor.get_events, now - timedelta(hours=1), now + timedelta(hours=1)
    )
    return [entry for entry in entries if entry.get("domain") == "calvalot"]


async def read(hass: HomeAssistant, device_id: str | None = None, entity_id: str | None = None) -> list[str]:
    """What they say."""
    return [f"{row['name']} {row['message']}" for row in await rows(hass, device_id, entity_id)]


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
        r"bought 0\.\d+ BTC for \d+\.\d\d USDC at 9\d,\d{3}\.\d\d",
        r"could not buy 0\.\d+ ETH \(not enough on the account\)",
        r"bought 0\.\d+ ETH for \d+\.\d\d USDC at 3,\d{3}\.\d\d",
        r"executed a signal",
        r"had nothing to do for a signal",
        r"refused a signal \(a coin that is not followed: DOGE\)",
        r"lost its leader \(the leader does not answer\)",
    ],
    "fr": [
        r"a acheté 0,\d+ BTC pour \d+,\d\d USDC à 9\d\u00a0\d{3},\d\d",
        r"n'a pas pu acheter 0,\d+ ETH \(pas assez sur le compte\)",
        r"a acheté 0,\d+ ETH pour \d+,\d\d USDC à 3\u00a0\d{3},\d\d",
        r"a exécuté un signal",
        r"n'avait rien à faire pour un signal",
        r"a refusé un signal \(une crypto qui n'est pas suivie\u00a0: DOGE\)",
        r"a perdu son leader \(le leader ne répond pas\)",
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
    """One row for each signal and each trade, in the language and with the numbers of Home Assistant; no ids, no jargon."""
    await hass.config.async_update(language=language)
    assert await set_up(hass, live_entry)
    exchange.fault("error", method="POST", path="/order", symbol="ETHUSDC", code=-2010)
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    await poll(hass, live_entry, 2)
    leader.publish_v2({"BTC": "0.5", "ETH": "0.3"})
    await poll(hass, live_entry)
    leader.publish_v2({"DOGE": "0.5"})
    await poll(hass, live_entry)
    leader.misbehave("status", None)
    await poll(hass, live_entry, 3)
    signals = entity_id(hass, live_entry, "event", "signal")
    for lines in (await read(hass), await read(hass, live_entry.runtime_data.device_id, signals)):
        assert len(lines) == len(LINES[language])
        for line, pattern in zip(lines, LINES[language], strict=True):
            assert re.fullmatch(f"Calv-a-lot {pattern}", line), line
    for row in await rows(hass):
        # One that belonged to an entity would be shown under the name of that one.
        assert row.get("entity_id") is None
        assert row["icon"].startswith("mdi:")


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
    assert await tell(hass, "trade", type="buy", coin="BTC", symbol="BTCUSDC", amount="0.123456789") == (
        "Calv-a-lot bought ? BTC for 0.123457 USDC at ?"
    )
    assert await tell(hass, "alert", type="moon", reason="full") == "Calv-a-lot moon"
    assert await tell(hass, "alert", type="leader_lost", cause="moon") == "Calv-a-lot lost its leader"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_events_are_told(language: str) -> None:
    """There is a sentence for each type of event, and no other."""
    texts = json.loads((ROOT / f"translations/{language}.json").read_text("utf-8"))["common"]
    told = {key.removeprefix("logbook_") for key in texts if key.startswith("logbook_")}
    others = {"simulated", "of", "number", "signal_aligned", *(f"what_{way}" for way in (*WAYS, "signal"))}
    types = {f"{description.key}_{kind}" for description in event.EVENTS for kind in description.event_types or ()}
    unsaid = {"trade_failed", "signal_received"}
    assert told - others == types - unsaid | {"trade_failed_buy", "trade_failed_sell"}
    assert others <= told
    assert {(kind, name) for kind, names in ICONS.items() for name in names} == {
        (description.key, name)
        for description in event.EVENTS
        for name in description.event_types or ()
        if name != "received"
    }


def errors(kind: type[Exception]) -> set[type[Exception]]:
    """The errors of a kind, with those under them."""
    return {kind, *(error for child in kind.__subclasses__() for error in errors(child))}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_all_reasons_are_told(language: str) -> None:
    """Whatever the domain says for machines has words, and no word is left over."""
    texts = json.loads((ROOT / f"translations/{language}.json").read_text("utf-8"))["common"]
    own = {re.sub(r"[^a-z0-9]+", "_", reason.partition(": ")[0].lower()) for reason in reasons()}
    own |= {
        f"because_{each}"
        for each in (STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, ENTER, EXIT, TARGET, ROTATE, BUY, BY_HAND, OVER, REPLACED)
    }
    reasons_ = {*own, *Reason, "refused_by_the_exchange", "insufficient_balance", "unknown_coin", "invalid"}
    assert {key.removeprefix("reason_") for key in texts if key.startswith("reason_")} == reasons_
    leader = {error.key for error in errors(LeaderError) if isinstance(error.key, str)} | {
        "wrong_secret",
        "clocks_differ",
    }
    exchange = {error.key for error in errors(ExchangeError)}
    assert {key.removeprefix("problem_") for key in texts if key.startswith("problem_")} == {
        *(f"leader_{key}" for key in leader),
        *(f"exchange_{key}" for key in exchange),
    }


def test_what_a_strategy_says() -> None:
    """Its codes are words; a text that anybody else wrote is not taken for them."""
    texts = json.loads((ROOT / "translations/en.json").read_text("utf-8"))["common"]

    def told(reasoning: str) -> str:
        return because(reasoning, lambda key: texts.get(key, ""))

    assert told("enter: BTC; stop_loss: ETH") == (
        "its rule to buy holds: BTC; the price has come to the stop loss: ETH"
    )
    for reasoning in ("", "BTC looks good", "enter: the market", "enter: BTC; and more"):
        assert told(reasoning) == ""
