"""Buttons: poll now, test an alert, approve or reject the signal that waits."""

from typing import Final, override

from homeassistant.components import persistent_notification
from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import ATTR_CONFIG_ENTRY_ID, EntityCategory, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .entity import CalvalotEntity
from .trading.settings import Approval
from .wording import async_tested

PARALLEL_UPDATES = 0

POLL: Final = ButtonEntityDescription(key="poll", entity_category=EntityCategory.DIAGNOSTIC)
TEST_ALERT: Final = ButtonEntityDescription(key="test_alert", entity_category=EntityCategory.DIAGNOSTIC)
# Each is pressed for the action of the same name.
APPROVAL: Final = (ButtonEntityDescription(key="approve"), ButtonEntityDescription(key="reject"))


async def async_setup_entry(
    hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the buttons; those for approval where the owner wants to be asked."""
    async_add_entities([PollButton(entry.runtime_data, POLL)])
    if entry.runtime_data.engine.alerts.keys:
        async_add_entities([TestAlertButton(entry.runtime_data, TEST_ALERT)])
    if entry.runtime_data.settings.approval is Approval.ASK:
        async_add_entities(ApprovalButton(entry.runtime_data, description) for description in APPROVAL)
        return
    registry = er.async_get(hass)
    for description in APPROVAL:
        if found := registry.async_get_entity_id(Platform.BUTTON, DOMAIN, f"{entry.entry_id}_{description.key}"):
            registry.async_remove(found)


class PollButton(CalvalotEntity, ButtonEntity):
    """Runs a cycle now."""

    @override
    async def async_press(self) -> None:
        """Return when the cycle is over."""
        await self.coordinator.async_poll()


class TestAlertButton(CalvalotEntity, ButtonEntity):
    """Sends an alert to the portfolio as a strategy that has just bought would, and shows what it would do."""

    @override
    async def async_press(self) -> None:
        """Perform the action in the name of who pressed, and notify with what it answers."""
        entry_id = self.coordinator.config_entry.entry_id
        told = await self.hass.services.async_call(
            DOMAIN,
            "test_alert",
            {ATTR_CONFIG_ENTRY_ID: entry_id},
            blocking=True,
            context=self._context,
            return_response=True,
        )
        persistent_notification.async_create(
            self.hass,
            async_tested(self.hass, told or {}),
            self.coordinator.config_entry.title,
            f"{DOMAIN}_{entry_id}_test",
        )


class ApprovalButton(CalvalotEntity, ButtonEntity):
    """Says yes or no to the signal that waits; whoever may not perform the action may not press the button."""

    @property
    @override
    def available(self) -> bool:
        """Return whether a signal waits."""
        return super().available and self.coordinator.data.waiting_signal is not None

    @override
    async def async_press(self) -> None:
        """Perform the action in the name of who pressed."""
        await self.hass.services.async_call(
            DOMAIN,
            self.entity_description.key,
            {ATTR_CONFIG_ENTRY_ID: self.coordinator.config_entry.entry_id},
            blocking=True,
            context=self._context,
        )
