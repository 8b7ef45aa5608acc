"""What every entity of a follower has in common."""

from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .coordinator import CalvalotCoordinator


class CalvalotEntity(CoordinatorEntity[CalvalotCoordinator]):
    """An entity of the follower's service device; its description's key names it."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: CalvalotCoordinator, description: EntityDescription) -> None:
        """Bind the entity to its follower."""
        super().__init__(coordinator)
        entry = coordinator.config_entry
        self.entity_description = description
        self._attr_unique_id = f"{entry.entry_id}_{description.key}"
        self._attr_translation_key = description.translation_key or description.key
        self._attr_device_info = coordinator.device
