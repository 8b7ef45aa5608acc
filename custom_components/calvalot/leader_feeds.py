"""Leaders that are followed over MQTT: their topics are subscribed to, and what comes begins a cycle."""

from typing import TYPE_CHECKING

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback

from .const import DOMAIN
from .publishers.mqtt import SNAPSHOT, async_is_ready, async_on_mqtt
from .trading.sources.feed import Feed
from .trading.sources.leader import LeaderSource

if TYPE_CHECKING:
    from homeassistant.components.mqtt import ReceiveMessage

    from .coordinator import CalvalotConfigEntry


class LeaderFeeds:
    """The topics that the sources of one portfolio are heard on."""

    def __init__(self, hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
        """Take an entry that is set up; nothing is subscribed to before `async_sync`."""
        self._hass = hass
        self._entry = entry
        self._stops: dict[int, list[CALLBACK_TYPE]] = {}
        self._feeds: dict[int, Feed] = {}
        self._mqtt: CALLBACK_TYPE | None = None

    async def async_sync(self) -> None:
        """Hear the leaders that the portfolio follows now."""
        sources = [state.source for state in self._entry.runtime_data.engine.members]
        feeds = {id(each.feed): each.feed for each in sources if isinstance(each, LeaderSource) and each.feed}
        for gone in self._feeds.keys() - feeds.keys():
            self._end(gone)
        for key in feeds.keys() - self._feeds.keys():
            self._feeds[key] = feeds[key]
        if self._feeds and self._mqtt is None:
            # It may be set up after the portfolio.
            self._mqtt = async_on_mqtt(self._hass, self._async_mqtt_is_there)
        await self._async_subscribe()

    @callback
    def async_end(self) -> None:
        """Hear nobody any more."""
        for key in list(self._feeds):
            self._end(key)
        if self._mqtt:
            self._mqtt()
            self._mqtt = None

    @callback
    def _async_mqtt_is_there(self) -> None:
        self._entry.async_create_background_task(self._hass, self._async_subscribe(), f"{DOMAIN} leader over MQTT")

    async def _async_subscribe(self) -> None:
        """Subscribe to what is not subscribed to yet, as soon as there is MQTT."""
        if async_is_ready(self._hass):
            for key in self._feeds.keys() - self._stops.keys():
                await self._subscribe(key, self._feeds[key])

    async def _subscribe(self, key: int, feed: Feed) -> None:
        from homeassistant.components import mqtt  # noqa: PLC0415

        @callback
        def heard(message: ReceiveMessage) -> None:
            if isinstance(message.payload, bytes) and feed.hear(message.payload):
                self._cycle()

        @callback
        def connected(now: bool) -> None:
            feed.connected = now

        feed.connected = mqtt.is_connected(self._hass)
        self._stops[key] = [
            mqtt.async_subscribe_connection_status(self._hass, connected),
            await mqtt.async_subscribe(self._hass, f"{feed.topic}/{SNAPSHOT}", heard, qos=1, encoding=None),
        ]

    @callback
    def _cycle(self) -> None:
        scheduler = self._entry.runtime_data.scheduler
        self._entry.async_create_background_task(self._hass, scheduler.push(), f"{DOMAIN} signal over MQTT")

    @callback
    def _end(self, key: int) -> None:
        self._feeds.pop(key, None)
        for stop in self._stops.pop(key, ()):
            stop()
