"""The trigger for a candle that has closed: straight from the stream, without a state and without a row in the recorder."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
import math
from typing import Any, Final, cast, override

from homeassistant.const import ATTR_ENTITY_ID, CONF_OPTIONS, CONF_TARGET, Platform
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, State, callback
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.target import async_track_target_selector_state_change_event
from homeassistant.helpers.trigger import Trigger, TriggerActionRunner, TriggerConfig, TriggerNotTriggeredReporter
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .market import async_follow_candles
from .target import async_entities_of
from .trading.market.candles import TimeFrame
from .trading.market.followers import Closed

CONF_COIN: Final = "coin"
CONF_TIME_FRAME: Final = "time_frame"
CONF_CHANGE_ABOVE: Final = "change_above"
CONF_CHANGE_BELOW: Final = "change_below"
CONF_VOLUME_ABOVE: Final = "volume_above"


def _finite(value: Any) -> float:
    """Validate a number."""
    number: float = vol.Coerce(float)(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise vol.Invalid("expected a finite number")
    return number


def _code(value: Any) -> str:
    """Validate the code of a coin, in capitals."""
    if not (code := cv.string(value).strip().upper()).isalnum():
        raise vol.Invalid("expected the code of a coin")
    return code


def figures(coin: str, closed: Closed) -> dict[str, Any]:
    """A closed candle as automations see it: prices in quote per coin, volume in coins, change from open to close in %."""
    candle, frame = closed.candle, closed.frame
    began, ended = (
        datetime.fromtimestamp(time, UTC).isoformat() for time in (candle.opened, candle.opened + frame.seconds)
    )
    return {
        "coin": coin,
        "symbol": closed.symbol,
        "time_frame": frame.value,
        "opened": began,
        "closed": ended,
        **{name: getattr(candle, name) for name in ("open", "high", "low", "close", "volume")},
        "change": round((candle.close / candle.open - 1) * 100, 4) if candle.open else 0.0,
    }


class CandleClosedTrigger(Trigger):
    """Fires with each candle of a coin that closes, where it moved or was traded enough."""

    FIELDS: Final[dict[vol.Marker, Any]] = {
        vol.Required(CONF_COIN): _code,
        vol.Optional(CONF_TIME_FRAME, default=TimeFrame.H1.value): vol.In([frame.value for frame in TimeFrame]),
        vol.Optional(CONF_CHANGE_ABOVE): _finite,
        vol.Optional(CONF_CHANGE_BELOW): _finite,
        vol.Optional(CONF_VOLUME_ABOVE): _finite,
    }
    _schema = vol.Schema({vol.Required(CONF_TARGET): cv.TARGET_FIELDS, vol.Required(CONF_OPTIONS): FIELDS})

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate config."""
        return cast("ConfigType", cls._schema(config))

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the coin, the time frame and what the candle has to be."""
        super().__init__(hass, config)
        options = config.options or {}
        self._target = config.target or {}
        self._coin: str = options[CONF_COIN]
        self._frame = TimeFrame(options[CONF_TIME_FRAME])
        self._above: float | None = options.get(CONF_CHANGE_ABOVE)
        self._below: float | None = options.get(CONF_CHANGE_BELOW)
        self._volume: float | None = options.get(CONF_VOLUME_ABOVE)

    def _is_wanted(self, candle: Mapping[str, Any]) -> bool:
        if self._volume is not None and not candle["volume"] > self._volume:
            return False
        if self._above is None and self._below is None:
            return True
        rose = self._above is not None and candle["change"] > self._above
        return rose or (self._below is not None and candle["change"] < self._below)

    @override
    async def async_attach_runner(
        self, run_action: TriggerActionRunner, did_not_trigger: TriggerNotTriggeredReporter | None = None
    ) -> CALLBACK_TYPE:
        """Follow the candles for each of the targeted portfolios."""
        ends: dict[str, CALLBACK_TYPE] = {}

        def hear(entity_id: str) -> Callable[[Closed], None]:
            @callback
            def on_candle(closed: Closed) -> None:
                candle = figures(self._coin, closed)
                if self._is_wanted(candle):
                    run_action({ATTR_ENTITY_ID: entity_id, **candle}, f"candle of {self._coin}, {self._frame}")

            return on_candle

        @callback
        def on_entities(added: set[str], removed: set[str], _states: Mapping[str, State | None]) -> None:
            for entity_id in removed & ends.keys():
                ends.pop(entity_id)()
            registry = er.async_get(self._hass)
            for entity_id in added - ends.keys():
                entity = registry.async_get(entity_id)
                if entity and entity.config_entry_id:
                    ends[entity_id] = async_follow_candles(
                        self._hass, entity.config_entry_id, self._coin, self._frame, hear(entity_id)
                    )

        # Its states are of no interest: an entity stands for its portfolio.
        leave = await async_track_target_selector_state_change_event(
            self._hass,
            self._target,
            lambda _change: None,
            lambda entities: async_entities_of(self._hass, entities, Platform.BINARY_SENSOR, "market_data"),
            on_entities,
        )

        @callback
        def end() -> None:
            leave()
            while ends:
                ends.popitem()[1]()

        return end
