"""What happened: signals, trades, alerts of its own and from outside, and the candles that closed."""

from functools import partial
from typing import Final, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .candle_trigger import figures
from .const import CONF_CANDLE_FRAMES, DEFAULT_CANDLE_FRAMES
from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .trading.events import Event
from .trading.exchanges.symbols import symbol_of
from .trading.market.candles import TimeFrame
from .trading.market.followers import Closed

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
            "conversion_stopped",
        ],
    ),
)


OUTSIDE_ALERT: Final = EventEntityDescription(
    key="outside_alert",
    event_types=["received", "repeated", "taken", "unchanged", "overtaken", "expired", "refused", "tested"],
)
CANDLE: Final = EventEntityDescription(key="candle", event_types=["closed"], entity_registry_enabled_default=False)


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the follower's event entities."""
    async_add_entities(CalvalotEvent(entry.runtime_data, description) for description in EVENTS)
    async_add_entities([CandleEvent(entry.runtime_data, CANDLE)])
    if entry.runtime_data.engine.alerts.keys:
        async_add_entities([CalvalotEvent(entry.runtime_data, OUTSIDE_ALERT)])


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


class CandleEvent(CalvalotEntity, EventEntity):
    """The last candle that closed, of each coin that is wanted or held, in the time frames that its owner chose."""

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the coins of the moment."""
        await super().async_added_to_hass()
        self._ends: dict[tuple[str, TimeFrame], CALLBACK_TYPE] = {}
        self._follow()

    @override
    async def async_will_remove_from_hass(self) -> None:
        """Follow nothing more."""
        await super().async_will_remove_from_hass()
        while self._ends:
            self._ends.popitem()[1]()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Follow other coins where there are others now; a cycle is no news of a candle."""
        self._follow()

    @callback
    def _follow(self) -> None:
        coordinator = self.coordinator
        frames = coordinator.config_entry.options.get(CONF_CANDLE_FRAMES, DEFAULT_CANDLE_FRAMES)
        coins = {*coordinator.settings.coins, *coordinator.data.positions}
        wanted = {(coin, TimeFrame(frame)) for coin in coins for frame in frames}
        for key in self._ends.keys() - wanted:
            self._ends.pop(key)()
        for coin, frame in wanted - self._ends.keys():
            symbol = symbol_of(coin, coordinator.settings.quote)
            self._ends[coin, frame] = coordinator.market.stream.follow_candles(symbol, frame, partial(self._tell, coin))

    @callback
    def _tell(self, coin: str, closed: Closed) -> None:
        self._trigger_event("closed", figures(coin, closed))
        self.async_write_ha_state()
