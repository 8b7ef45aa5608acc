"""What is connected, and whether the follower is dead."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, override

from homeassistant.components.binary_sensor import BinarySensorEntity, BinarySensorEntityDescription
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .registry import type_of
from .trading.market.candles import TimeFrame
from .trading.market.health import FrameHealth
from .trading.snapshot import Snapshot, Status

PARALLEL_UPDATES = 0
# How often the attributes are renewed while nothing changes: each time is a row of the recorder.
RENEWED: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class CalvalotBinarySensorDescription(BinarySensorEntityDescription):
    """A binary sensor; None while it is not known yet. One `of_address` is for a source that is asked over a network."""

    is_on_fn: Callable[[Snapshot], bool | None]
    of_address: bool = False


BINARY_SENSORS: Final = (
    CalvalotBinarySensorDescription(
        key="leader_connected",
        of_address=True,
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on_fn=lambda snapshot: snapshot.leader_connected,
    ),
    CalvalotBinarySensorDescription(
        key="exchange_connected",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on_fn=lambda snapshot: snapshot.exchange_connected,
    ),
    CalvalotBinarySensorDescription(
        key="dead",
        device_class=BinarySensorDeviceClass.PROBLEM,
        is_on_fn=lambda snapshot: snapshot.status is Status.DEAD,
    ),
)


MARKET_DATA: Final = BinarySensorEntityDescription(
    key="market_data",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
    entity_category=EntityCategory.DIAGNOSTIC,
)


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the follower's binary sensors."""
    remote = type_of(entry.data).remote
    async_add_entities(
        CalvalotBinarySensor(entry.runtime_data, description)
        for description in BINARY_SENSORS
        if remote or not description.of_address
    )
    async_add_entities([MarketDataSensor(entry.runtime_data, MARKET_DATA)])


class CalvalotBinarySensor(CalvalotEntity, BinarySensorEntity):
    """A fact that is so or not."""

    entity_description: CalvalotBinarySensorDescription

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether it is so."""
        return self.entity_description.is_on_fn(self.coordinator.data)


class MarketDataSensor(CalvalotEntity, BinarySensorEntity):
    """Whether the stream of the exchange is connected and without gaps; unknown while nobody needs it."""

    _unrecorded_attributes = frozenset({"as_of", "unlisted", *TimeFrame})

    @override
    async def async_added_to_hass(self) -> None:
        """Look at the stream when it comes or goes, not with each cycle."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.market.stream.listen(self.async_write_ha_state))
        self.async_on_remove(async_track_time_interval(self.hass, self._renew, RENEWED, cancel_on_shutdown=True))

    @property
    @override
    def available(self) -> bool:
        """Return that it does not depend on the cycles."""
        return True

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether it is connected and nothing is missing."""
        health = self.coordinator.market.health
        return None if health is None else health.sound

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return how each time frame was when this was written."""
        if (health := self.coordinator.market.health) is None:
            return {}
        now = dt_util.utcnow()
        shown = {"as_of": now.isoformat(timespec="seconds"), "unlisted": list(health.unlisted)}
        return shown | {
            frame: _told(frame, each, now)
            for frame, each in sorted(health.frames.items(), key=lambda item: item[0].seconds)
        }

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Write nothing: what a cycle publishes is not what this shows."""

    @callback
    def _renew(self, _now: datetime) -> None:
        if self.coordinator.market.health is not None:
            self.async_write_ha_state()


def _told(frame: TimeFrame, health: FrameHealth, now: datetime) -> dict[str, Any]:
    """The end of the last candle, how long ago that was (s), and how many were put right."""
    last = None if health.last is None else datetime.fromtimestamp(health.last + frame.seconds, UTC)
    return {
        "last_candle": last and last.isoformat(),
        "age": last and round((now - last).total_seconds()),
        "gaps_mended": health.mended,
        "behind": health.behind,
    }
