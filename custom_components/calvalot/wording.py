"""What happened, in words and numbers of Home Assistant's language: the logbook does not say who reads it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
import re
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.translation import async_get_cached_translations

from .const import CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET, DOMAIN
from .texts import figure
from .trading.exchanges.symbols import base_of, quote_of

UNKNOWN: Final = "?"
# What stands after the colon of a reason, where it is coins or symbols; the exchange's own sentences stay out.
NAMES: Final = re.compile(r"[0-9A-Z]+(, [0-9A-Z]+)*")
WAYS: Final = ("initial_sync", "sync", "stop_loss", "exit", "rank", "withdrawal", "conversion", "allocation")

type Text = Callable[[str], str]


@callback
def async_texts(hass: HomeAssistant) -> Text:
    """Return what looks a text up; it returns nothing for one that is not there."""
    texts = async_get_cached_translations(hass, hass.config.language, "common", DOMAIN)
    return lambda key: texts.get(f"component.{DOMAIN}.common.{key}", "")


@callback
def async_sentence(hass: HomeAssistant, kind: str, data: Mapping[str, Any]) -> str:
    """Say what an event of a follower was."""
    text = async_texts(hass)
    entry = hass.config_entries.async_get_entry(data.get("entry_id", ""))
    quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET) if entry else DEFAULT_QUOTE_ASSET
    facts = _facts(data, text)
    key = f"{kind}_{data.get('type')}"
    if key == "trade_failed":
        key = f"{key}_{str(data.get('side')).lower()}"
    elif kind == "signal":
        facts["what"] = text(f"logbook_what_{origin(facts['signal_id'])}")
        if data.get("type") == "executed" and not any(leg["result"] == "booked" for leg in data.get("legs", ())):
            key = "signal_aligned"
    sentence = (text(f"logbook_{key}") or str(data.get("type"))).format_map(facts)
    if data.get("simulated"):
        sentence = f"{sentence} {text('logbook_simulated')}"
    if why := _why(kind, data, text, quote):
        sentence = f"{sentence} ({why})"
    return sentence


@callback
def async_tested(hass: HomeAssistant, told: Mapping[str, Any]) -> str:
    """Say what a test of an alert would do."""
    text = async_texts(hass)
    if orders := told.get("orders"):
        parts = [
            f"{text(f'card_{order["side"].lower()}')} {order['symbol']} · {figure(hass, Decimal(order['amount']), 2)}"
            for order in orders
        ]
        return text("setup_alert_would").format(orders=", ".join(parts))
    reason = told.get("reason") or told.get("state")
    why = text("setup_alert_small" if told.get("state") == "taken" else f"card_alert_why_{reason}")
    return text("setup_alert_nothing").format(reason=why)


def origin(signal_id: str) -> str:
    """What a signal is by its id: the leader's, or one of our own."""
    return next((way for way in WAYS if signal_id == way or signal_id.startswith(f"{way}-")), "signal")


def in_words(reason: str, text: Text, quote: str) -> str:
    """A reason of the domain in words, with the coins it is for; nothing where there are none."""
    found = []
    for part in filter(None, reason.split("; ")):
        code, _, names = part.partition(": ")
        key = "insufficient_balance" if "insufficient balance" in names else re.sub(r"[^a-z0-9]+", "_", code.lower())
        if not (words := text(f"reason_{key}")):
            continue
        coins = ", ".join(base_of(name, quote) for name in names.split(", ")) if NAMES.fullmatch(names) else ""
        found.append(text("logbook_of").format(reason=words, coins=coins) if coins else words)
    return "; ".join(found)


def because(reasoning: str, text: Text) -> str:
    """Why a strategy wants something else, in words; nothing where the reasoning is anybody else's."""
    found = []
    for part in filter(None, reasoning.split("; ")):
        code, _, coin = part.partition(": ")
        if not (words := text(f"reason_because_{code}")) or not NAMES.fullmatch(coin):
            return ""
        found.append(text("logbook_of").format(reason=words, coins=coin))
    return "; ".join(found)


def _why(kind: str, data: Mapping[str, Any], text: Text, quote: str) -> str:
    if cause := data.get("cause"):
        return text(f"problem_{'exchange' if data.get('type') == 'exchange_lost' else 'leader'}_{cause}")
    words = in_words(str(data.get("reason") or ""), text, quote)
    words = words or because(str(data.get("reasoning") or ""), text)
    return words or (text("reason_invalid") if kind == "signal" and data.get("type") == "rejected" else "")


def _facts(data: Mapping[str, Any], text: Text) -> dict[str, str]:
    """What sentences fill in, as people write it; an older event may lack some of it."""
    facts = defaultdict(lambda: UNKNOWN, {key: str(value) for key, value in data.items() if value is not None})
    for key, fact in facts.items():
        try:
            value = Decimal(fact)
        except InvalidOperation:
            continue
        if key in {"amount", "price", "proceeds"}:
            value = round(value, 2 if abs(value) >= 1 else 6)
        elif key == "quantity":
            value = value.normalize()
        facts[key] = _number(value, text("logbook_number"))
    if "symbol" in facts:
        facts["quote"] = quote_of(facts["symbol"], facts["coin"])
    return facts


def _number(value: Decimal, sample: str) -> str:
    """A number with the marks of a sample such as 1,234.5."""
    marks = str.maketrans({",": sample[1:2], ".": sample[5:6]})
    return f"{value:,f}".translate(marks)
