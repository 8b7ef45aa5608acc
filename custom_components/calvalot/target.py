"""What triggers, conditions and actions aim at: a follower, by whatever of it was picked."""

from decimal import Decimal, InvalidOperation
import math
from typing import Any, Final

from homeassistant.const import PERCENTAGE, Platform
from homeassistant.core import HomeAssistant, State, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids
import voluptuous as vol

from .const import DOMAIN
from .sensor import EUR

CONF_LEVEL: Final = "level"
CONF_UNIT: Final = "unit"

PROFIT_SENSORS: Final = {EUR: "profit_loss", PERCENTAGE: "profit_loss_percent"}


@callback
def async_owners(hass: HomeAssistant, selection: TargetSelection) -> set[str]:
    """Entry ids of the followers that a target picks: by their device, by an entity, by an area or a label."""
    entities, devices = er.async_get(hass), dr.async_get(hass)
    selected = async_extract_referenced_entity_ids(hass, selection, primary_entities_only=False)
    picked = [entities.async_get(entity_id) for entity_id in selected.referenced | selected.indirectly_referenced]
    owners = {entity.config_entry_id for entity in picked if entity and entity.platform == DOMAIN}
    found = [devices.async_get(device_id) for device_id in selected.referenced_devices]
    owners |= {entry_id for device in found if device for entry_id in device.config_entries}
    return {entry.entry_id for entry in hass.config_entries.async_entries(DOMAIN) if entry.entry_id in owners}


@callback
def async_entities_of(hass: HomeAssistant, targeted: set[str], platform: str, key: str) -> set[str]:
    """The entity with a key of each follower that one of the targeted entities belongs to."""
    registry = er.async_get(hass)
    owners = {entry.config_entry_id for entity_id in targeted if (entry := registry.async_get(entity_id))}
    found = (registry.async_get_entity_id(platform, DOMAIN, f"{owner}_{key}") for owner in owners)
    return {entity_id for entity_id in found if entity_id}


@callback
def async_profit_sensors_of(hass: HomeAssistant, targeted: set[str], unit: str) -> set[str]:
    """The sensors of profit and loss in a unit, of the targeted followers."""
    return async_entities_of(hass, targeted, Platform.SENSOR, PROFIT_SENSORS[unit])


def _level(value: Any) -> float:
    """Validate a level of profit (positive) or loss (negative)."""
    level: float = vol.Coerce(float)(value)
    if isinstance(value, bool) or not math.isfinite(level):
        raise vol.Invalid("expected a finite number")
    return level


PROFIT_LEVEL_FIELDS: Final[dict[vol.Marker, Any]] = {
    vol.Required(CONF_LEVEL): _level,
    vol.Optional(CONF_UNIT, default=EUR): vol.In(list(PROFIT_SENSORS)),
}


def figure(state: State | None) -> Decimal | None:
    """The number a state shows; None where it shows none."""
    try:
        number = Decimal(state.state) if state else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
