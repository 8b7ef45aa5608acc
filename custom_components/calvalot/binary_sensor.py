"""What is connected, and whether the follower is dead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, override

from homeassistant.components.binary_sensor import BinarySensorEntity, BinarySensorEntityDescription
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .registry import type_of
from .trading.snapshot import Snapshot, Status

PARALLEL_UPDATES = 0


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


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the follower's binary sensors."""
    remote = type_of(entry.data).address(entry.data) is not None
    async_add_entities(
        CalvalotBinarySensor(entry.runtime_data, description)
        for description in BINARY_SENSORS
        if remote or not description.of_address
    )


class CalvalotBinarySensor(CalvalotEntity, BinarySensorEntity):
    """A fact that is so or not."""

    entity_description: CalvalotBinarySensorDescription

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether it is so."""
        return self.entity_description.is_on_fn(self.coordinator.data)
