"""Buttons: poll now, approve or reject the signal that waits."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry, CalvalotCoordinator
from .entity import CalvalotEntity
from .errors import translated_errors
from .follower.settings import Approval

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class CalvalotButtonDescription(ButtonEntityDescription):
    """A button; `waits` says that it is there only while a signal waits."""

    press: Callable[[CalvalotCoordinator], Coroutine[Any, Any, object]]
    waits: bool = False


BUTTONS: Final = (
    CalvalotButtonDescription(
        key="poll", entity_category=EntityCategory.DIAGNOSTIC, press=lambda coordinator: coordinator.async_poll()
    ),
    CalvalotButtonDescription(key="approve", waits=True, press=lambda coordinator: coordinator.follower.approve()),
    CalvalotButtonDescription(key="reject", waits=True, press=lambda coordinator: coordinator.follower.reject()),
)


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the buttons; those for approval where the owner wants to be asked."""
    asks = entry.runtime_data.settings.approval is Approval.ASK
    async_add_entities(
        CalvalotButton(entry.runtime_data, description) for description in BUTTONS if asks or not description.waits
    )


class CalvalotButton(CalvalotEntity, ButtonEntity):
    """A button that returns when what it began is over."""

    entity_description: CalvalotButtonDescription

    @property
    @override
    def available(self) -> bool:
        """Return whether there is something to press for."""
        return super().available and (
            not self.entity_description.waits or self.coordinator.data.waiting_signal is not None
        )

    @override
    async def async_press(self) -> None:
        """Do what the button says."""
        with translated_errors():
            await self.coordinator.async_finish(self.entity_description.press(self.coordinator))
