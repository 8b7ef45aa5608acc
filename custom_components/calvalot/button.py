"""The button that polls now."""

from typing import Final, override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity

PARALLEL_UPDATES = 0

POLL: Final = ButtonEntityDescription(key="poll", entity_category=EntityCategory.DIAGNOSTIC)


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the poll button."""
    async_add_entities([PollButton(entry.runtime_data, POLL)])


class PollButton(CalvalotEntity, ButtonEntity):
    """Runs a cycle now."""

    @override
    async def async_press(self) -> None:
        """Run a cycle; return when it is over."""
        await self.coordinator.async_poll()
