"""What happened: signals, trades, alerts."""

from typing import Final, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .trading.events import Event

PARALLEL_UPDATES = 0

EVENTS: Final = (
    EventEntityDescription(
        key="signal", event_types=["received", "waiting", "executed", "partial", "skipped", "rejected", "failed"]
    ),
    EventEntityDescription(key="trade", event_types=["buy", "sell", "failed"]),
    EventEntityDescription(
        key="alert",
        event_types=[
            "dead",
            "revived",
            "leader_lost",
            "leader_back",
            "leader_silent",
            "source_stale",
            "exchange_lost",
            "exchange_back",
            "ledger_mismatch",
            "ledger_restored",
            "stop_loss",
            "exit",
        ],
    ),
)


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the follower's event entities."""
    async_add_entities(CalvalotEvent(entry.runtime_data, description) for description in EVENTS)


class CalvalotEvent(CalvalotEntity, EventEntity):
    """The last thing of its kind that happened."""

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the follower."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_add_event_listener(self._handle_event))

    @callback
    def _handle_event(self, event: Event) -> None:
        if event.kind != self.entity_description.key:
            return
        self._trigger_event(event.type, {key: value for key, value in event.data.items() if key != "type"})
        self.async_write_ha_state()
