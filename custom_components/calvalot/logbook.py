"""The logbook tells what happened to a follower in sentences; those of signals are written with their result."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from homeassistant.components.logbook.const import LOGBOOK_ENTRY_ICON, LOGBOOK_ENTRY_MESSAGE, LOGBOOK_ENTRY_NAME
from homeassistant.components.logbook.models import LazyEventPartialState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN, EVENT_SIGNAL_TOLD
from .wording import async_sentence

ICONS: Final = {
    "trade": {"buy": "mdi:cart-plus", "sell": "mdi:cash-plus", "failed": "mdi:cart-remove"},
    "alert": {
        "dead": "mdi:heart-broken",
        "revived": "mdi:heart-pulse",
        "leader_lost": "mdi:account-off",
        "leader_back": "mdi:account-check",
        "leader_silent": "mdi:account-clock",
        "source_stale": "mdi:timer-sand-complete",
        "exchange_lost": "mdi:bank-off",
        "exchange_back": "mdi:bank-check",
        "ledger_mismatch": "mdi:scale-unbalanced",
        "ledger_restored": "mdi:database-refresh",
        "stop_loss": "mdi:hand-back-right",
        "exit": "mdi:exit-run",
        "conversion_stopped": "mdi:swap-horizontal",
    },
    "signal": {
        "waiting": "mdi:clipboard-account",
        "executed": "mdi:clipboard-check",
        "partial": "mdi:clipboard-minus",
        "skipped": "mdi:clipboard-arrow-right",
        "rejected": "mdi:clipboard-remove",
        "failed": "mdi:clipboard-alert",
    },
}
DEFAULT_ICON: Final = "mdi:finance"


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[LazyEventPartialState], dict[str, Any]]], None],
) -> None:
    """Describe the events that followers fire."""
    for kind in ICONS:
        event_type = EVENT_SIGNAL_TOLD if kind == "signal" else f"{DOMAIN}_{kind}"
        async_describe_event(DOMAIN, event_type, partial(_describe, hass, kind))


@callback
def _describe(hass: HomeAssistant, kind: str, event: LazyEventPartialState) -> dict[str, Any]:
    """Say who it happened to and what it was."""
    data = event.data
    entry = hass.config_entries.async_get_entry(data.get("entry_id", ""))
    # Without an entity: its name would be shown in place of this one.
    return {
        LOGBOOK_ENTRY_NAME: entry.title if entry else "Calv-a-lot",
        LOGBOOK_ENTRY_MESSAGE: data.get("message") or async_sentence(hass, kind, data),
        LOGBOOK_ENTRY_ICON: ICONS[kind].get(str(data.get("type")), DEFAULT_ICON),
    }
