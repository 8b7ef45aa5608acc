"""Conditions: how a follower is, for automations without a template."""

from decimal import Decimal
from typing import ClassVar, Final, override

from homeassistant.const import CONF_OPTIONS, STATE_ON, Platform
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import (
    ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL,
    Condition,
    ConditionConfig,
    EntityConditionBase,
)
import voluptuous as vol

from .target import CONF_LEVEL, CONF_UNIT, PROFIT_LEVEL_FIELDS, async_entities_of, async_profit_sensors_of, figure
from .trading.snapshot import Status

SPECS: Final[dict[str, DomainSpec]] = {Platform.SENSOR: DomainSpec(), Platform.BINARY_SENSOR: DomainSpec()}


class FollowerCondition(EntityConditionBase):
    """A condition on the followers that the target belongs to."""

    _domain_specs = SPECS

    @property
    @override
    def needs_polling(self) -> bool:
        """Any entity of a follower may be the target, and not only the one whose changes count."""
        return True


class FollowerStateCondition(FollowerCondition):
    """Tests the state of one of a follower's entities."""

    _platform: ClassVar[Platform]
    _key: ClassVar[str]
    _state: ClassVar[str]

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Return the entities of the targeted followers that count."""
        return async_entities_of(self._hass, entities, self._platform, self._key)

    @override
    def is_valid_state(self, entity_state: State) -> bool:
        """Return whether the entity is in the state."""
        return entity_state.state == self._state


class IsPausedCondition(FollowerStateCondition):
    """Tests whether a follower is paused."""

    _platform, _key, _state = Platform.SENSOR, "status", Status.PAUSED


class IsDeadCondition(FollowerStateCondition):
    """Tests whether a follower is dead."""

    _platform, _key, _state = Platform.SENSOR, "status", Status.DEAD


class LeaderConnectedCondition(FollowerStateCondition):
    """Tests whether the leader of a follower answers."""

    _platform, _key, _state = Platform.BINARY_SENSOR, "leader_connected", STATE_ON


class ProfitAboveCondition(FollowerCondition):
    """Tests whether the profit of a follower is above a level."""

    _schema = ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL.extend({vol.Required(CONF_OPTIONS): PROFIT_LEVEL_FIELDS})

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        """Take the level."""
        super().__init__(hass, config)
        options = config.options or {}
        self._unit: str = options[CONF_UNIT]
        self._level = Decimal(str(options[CONF_LEVEL]))

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Return the sensors of profit and loss of the targeted followers."""
        return async_profit_sensors_of(self._hass, entities, self._unit)

    @override
    def is_valid_state(self, entity_state: State) -> bool:
        """Return whether the profit is above the level."""
        value = figure(entity_state)
        return value is not None and value > self._level


CONDITIONS: Final[dict[str, type[Condition]]] = {
    "is_paused": IsPausedCondition,
    "is_dead": IsDeadCondition,
    "leader_connected": LeaderConnectedCondition,
    "profit_above": ProfitAboveCondition,
}


async def async_get_conditions(_hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions of followers."""
    return CONDITIONS
