"""Triggers: what happens to a follower, for automations without a template."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, cast, override

from homeassistant.components.event.const import EventEntityStateAttribute
from homeassistant.const import ATTR_ENTITY_ID, CONF_OPTIONS, CONF_TARGET, Platform
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, State, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.target import TargetStateChangedData, async_track_target_selector_state_change_event
from homeassistant.helpers.trigger import (
    NotTriggeredReasonReporter,
    StatelessEntityTriggerBase,
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .backtest_trigger import BacktestFinishedTrigger
from .candle_trigger import CandleClosedTrigger
from .target import CONF_LEVEL, CONF_UNIT, PROFIT_LEVEL_FIELDS, async_entities_of, async_profit_sensors_of, figure
from .trading.signal import BY_HAND, PROTECTION

CONF_DIRECTION: Final = "direction"
CONF_RESULT: Final = "result"
CONF_SIDE: Final = "side"

ABOVE: Final = "above"
BELOW: Final = "below"

SPECS: Final[dict[str, DomainSpec]] = {Platform.EVENT: DomainSpec()}


class FollowerEventTrigger(StatelessEntityTriggerBase):
    """Fires with an event of a follower; `_option` names the option that picks some of the `_types`."""

    _domain_specs = SPECS
    _event: ClassVar[str]
    _types: ClassVar[tuple[str, ...]]
    _option: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Let the option in, where there is one."""
        super().__init_subclass__()
        options: dict[vol.Marker, Any] = {}
        if cls._option:
            chosen = vol.All(cv.ensure_list, vol.Length(min=1), [vol.In(cls._types)])
            options = {vol.Optional(cls._option, default=list(cls._types)): chosen}
        cls._schema = vol.Schema(
            {vol.Required(CONF_TARGET): cv.TARGET_FIELDS, vol.Required(CONF_OPTIONS, default=dict): options}
        )

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the types that are wanted."""
        super().__init__(hass, config)
        self._wanted = self._options.get(self._option, self._types)

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Return the event entities of the targeted followers."""
        return async_entities_of(self._hass, entities, Platform.EVENT, self._event)

    @override
    def is_valid_state(self, state: State, report_not_triggered: NotTriggeredReasonReporter) -> bool:
        """Return whether the event is a wanted one."""
        return state.attributes.get(EventEntityStateAttribute.EVENT_TYPE) in self._wanted


class SignalReceivedTrigger(FollowerEventTrigger):
    """Fires when a signal was taken up."""

    _event = "signal"
    _types = ("received",)


class SignalExecutedTrigger(FollowerEventTrigger):
    """Fires when a signal was executed, wholly or in part."""

    _event = "signal"
    _types = ("executed", "partial")
    _option = CONF_RESULT


class ApprovalRequestedTrigger(FollowerEventTrigger):
    """Fires when a signal waits for its owner's approval."""

    _event = "signal"
    _types = ("waiting",)


class TradeExecutedTrigger(FollowerEventTrigger):
    """Fires with each order that traded."""

    _event = "trade"
    _types = ("buy", "sell")
    _option = CONF_SIDE


class OrderFilledTrigger(TradeExecutedTrigger):
    """Fires with each order of the owner's own hand, and each that protects a coin, that was filled."""

    @override
    def is_valid_state(self, state: State, report_not_triggered: NotTriggeredReasonReporter) -> bool:
        """Return whether the event is a wanted one, and no source's order."""
        own = state.attributes.get("signal_id") in {BY_HAND, PROTECTION}
        return own and super().is_valid_state(state, report_not_triggered)


class TradeFailedTrigger(FollowerEventTrigger):
    """Fires with each order that was refused."""

    _event = "trade"
    _types = ("failed",)


class LeaderLostTrigger(FollowerEventTrigger):
    """Fires when the leader has not answered for a while."""

    _event = "alert"
    _types = ("leader_lost",)


class LeaderBackTrigger(FollowerEventTrigger):
    """Fires when the leader answers again."""

    _event = "alert"
    _types = ("leader_back",)


class LeaderSilentTrigger(FollowerEventTrigger):
    """Fires when the leader has published no new signal for too long."""

    _event = "alert"
    _types = ("leader_silent",)


class ExchangeLostTrigger(FollowerEventTrigger):
    """Fires when the exchange could not be used for a while."""

    _event = "alert"
    _types = ("exchange_lost",)


class ExchangeBackTrigger(FollowerEventTrigger):
    """Fires when the exchange can be used again."""

    _event = "alert"
    _types = ("exchange_back",)


class AlertReceivedTrigger(FollowerEventTrigger):
    """Fires when an alert from outside has come and was written down."""

    _event = "outside_alert"
    _types = ("received",)


class StopLossReachedTrigger(FollowerEventTrigger):
    """Fires when the stop loss pauses a follower."""

    _event = "alert"
    _types = ("stop_loss",)


class BecameDeadTrigger(FollowerEventTrigger):
    """Fires when a follower dies."""

    _event = "alert"
    _types = ("dead",)


class ProfitLossCrossedTrigger(Trigger):
    """Fires when profit or loss crosses a level; a gap in the figures neither is a crossing nor hides one."""

    FIELDS: Final[dict[vol.Marker, Any]] = {
        **PROFIT_LEVEL_FIELDS,
        vol.Required(CONF_DIRECTION): vol.In([ABOVE, BELOW]),
    }
    _schema = vol.Schema({vol.Required(CONF_TARGET): cv.TARGET_FIELDS, vol.Required(CONF_OPTIONS): FIELDS})

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate config."""
        return cast("ConfigType", cls._schema(config))

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the level and where its other side is."""
        super().__init__(hass, config)
        options = config.options or {}
        self._target = config.target or {}
        self._unit: str = options[CONF_UNIT]
        self._level = Decimal(str(options[CONF_LEVEL]))
        self._above = options[CONF_DIRECTION] == ABOVE

    def _is_beyond(self, state: State | None) -> bool | None:
        if (value := figure(state)) is None:
            return None
        return value > self._level if self._above else value < self._level

    @override
    async def async_attach_runner(
        self, run_action: TriggerActionRunner, did_not_trigger: TriggerNotTriggeredReporter | None = None
    ) -> CALLBACK_TYPE:
        """Watch the sensors of the targeted followers, remembering on which side each was last."""
        beyond: dict[str, bool | None] = {}

        @callback
        def on_entities(added: set[str], _removed: set[str], states: Mapping[str, State | None]) -> None:
            beyond.update({entity_id: self._is_beyond(states[entity_id]) for entity_id in added})

        @callback
        def on_change(change: TargetStateChangedData) -> None:
            event = change.state_change_event
            entity_id = event.data["entity_id"]
            if (now := self._is_beyond(event.data["new_state"])) is None:
                return
            before, beyond[entity_id] = beyond[entity_id], now
            if now and before is False:
                payload = {
                    ATTR_ENTITY_ID: entity_id,
                    "from_state": event.data["old_state"],
                    "to_state": event.data["new_state"],
                }
                run_action(payload, f"profit or loss of {entity_id}", event.context)

        return await async_track_target_selector_state_change_event(
            self._hass,
            self._target,
            on_change,
            lambda entities: async_profit_sensors_of(self._hass, entities, self._unit),
            on_entities,
        )


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "signal_received": SignalReceivedTrigger,
    "signal_executed": SignalExecutedTrigger,
    "approval_requested": ApprovalRequestedTrigger,
    "alert_received": AlertReceivedTrigger,
    "trade_executed": TradeExecutedTrigger,
    "order_filled": OrderFilledTrigger,
    "trade_failed": TradeFailedTrigger,
    "profit_loss_crossed": ProfitLossCrossedTrigger,
    "stop_loss_reached": StopLossReachedTrigger,
    "leader_lost": LeaderLostTrigger,
    "leader_back": LeaderBackTrigger,
    "leader_silent": LeaderSilentTrigger,
    "exchange_lost": ExchangeLostTrigger,
    "exchange_back": ExchangeBackTrigger,
    "became_dead": BecameDeadTrigger,
    "candle_closed": CandleClosedTrigger,
    "backtest_finished": BacktestFinishedTrigger,
}


async def async_get_triggers(_hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers of followers."""
    return TRIGGERS
