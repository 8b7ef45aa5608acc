"""The logbook tells what happened to a follower in sentences."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from homeassistant.components.logbook.const import LOGBOOK_ENTRY_MESSAGE, LOGBOOK_ENTRY_NAME
from homeassistant.components.logbook.models import LazyEventPartialState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.translation import async_get_cached_translations

from .const import DOMAIN

KINDS: Final = ("signal", "trade", "alert")
UNKNOWN: Final = "?"


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[LazyEventPartialState], dict[str, Any]]], None],
) -> None:
    """Describe the events that followers fire."""
    for kind in KINDS:
        async_describe_event(DOMAIN, f"{DOMAIN}_{kind}", partial(_describe, hass, kind))


@callback
def _describe(hass: HomeAssistant, kind: str, event: LazyEventPartialState) -> dict[str, Any]:
    """Say who it happened to and what it was, in Home Assistant's language: nobody tells who reads it."""
    data = event.data
    texts = async_get_cached_translations(hass, hass.config.language, "common", DOMAIN)

    def text(key: str, default: str) -> str:
        return texts.get(f"component.{DOMAIN}.common.logbook_{key}", default)

    key = f"{kind}_{data.get('type')}"
    if key == "trade_failed":
        key = f"{key}_{str(data.get('side')).lower()}"
    sentence = [text(key, str(data.get("type"))).format_map(_facts(data))]
    if data.get("simulated"):
        sentence.append(text("simulated", ""))
    if reason := data.get("reason"):
        sentence.append(f"({reason})")
    entry = hass.config_entries.async_get_entry(data.get("entry_id", ""))
    return {
        LOGBOOK_ENTRY_NAME: entry.title if entry else "Calv-a-lot",
        LOGBOOK_ENTRY_MESSAGE: " ".join(filter(None, sentence)),
    }


def _facts(data: Mapping[str, Any]) -> Mapping[str, str]:
    """What sentences fill in, as people write it; an older event may lack some of it."""
    facts = defaultdict(lambda: UNKNOWN, {key: str(value) for key, value in data.items() if value is not None})
    for key in ("amount", "price", "proceeds"):
        if key in facts:
            facts[key] = _readable(Decimal(facts[key]))
    if "quantity" in facts:
        facts["quantity"] = f"{Decimal(facts['quantity']).normalize():f}"
    if "symbol" in facts:
        facts["quote"] = facts["symbol"].removeprefix(facts["coin"])
    return facts


def _readable(value: Decimal) -> str:
    """An amount or a price with as many decimals as it deserves."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.6f}"
