"""The pause switch."""

from typing import Any, Final, override

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .errors import translated_errors

PARALLEL_UPDATES = 0

PAUSE: Final = SwitchEntityDescription(key="pause")


async def async_setup_entry(
    _hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the pause switch."""
    async_add_entities([PauseSwitch(entry.runtime_data, PAUSE)])


class PauseSwitch(CalvalotEntity, SwitchEntity):
    """On while the follower is paused: it takes no new signal up."""

    @property
    @override
    def is_on(self) -> bool:
        """Return whether the follower is paused."""
        return self.coordinator.data.paused

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Pause."""
        with translated_errors():
            await self.coordinator.engine.commands.pause(paused=True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Resume; the latest signal counts. Pausing is for everybody, this for administrators and automations."""
        if (context := self._context) and context.user_id:
            user = await self.hass.auth.async_get_user(context.user_id)
            if user is None or not user.is_admin:
                raise Unauthorized(context=context, entity_id=self.entity_id, permission=POLICY_CONTROL)
        with translated_errors():
            await self.coordinator.engine.commands.pause(paused=False)
