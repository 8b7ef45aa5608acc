"""Device triggers: the same triggers, for the older editor."""

from typing import Any, Final

from homeassistant.components.device_automation import DEVICE_TRIGGER_BASE_SCHEMA
from homeassistant.const import CONF_DEVICE_ID, CONF_DOMAIN, CONF_PLATFORM, CONF_TYPE, PERCENTAGE
from homeassistant.core import CALLBACK_TYPE, Context, HassJob, HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.trigger import TriggerActionType, TriggerConfig, TriggerInfo
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .candle_trigger import (
    CONF_CHANGE_ABOVE,
    CONF_CHANGE_BELOW,
    CONF_COIN,
    CONF_TIME_FRAME,
    CONF_VOLUME_ABOVE,
    CandleClosedTrigger,
)
from .const import DOMAIN
from .sensor import EUR
from .target import CONF_LEVEL, CONF_UNIT
from .trading.market.candles import TimeFrame
from .trigger import ABOVE, BELOW, CONF_DIRECTION, TRIGGERS, ProfitLossCrossedTrigger

FIELDS: Final[dict[str, dict[vol.Marker, Any]]] = {
    "profit_loss_crossed": ProfitLossCrossedTrigger.FIELDS,
    "candle_closed": CandleClosedTrigger.FIELDS,
}

TRIGGER_SCHEMA = cv.key_value_schemas(
    CONF_TYPE,
    {
        name: DEVICE_TRIGGER_BASE_SCHEMA.extend({vol.Required(CONF_TYPE): name, **FIELDS.get(name, {})})
        for name in TRIGGERS
    },
)

CROSSED_CAPABILITIES: Final = vol.Schema(
    {
        vol.Required(CONF_LEVEL, default=0): vol.Coerce(float),
        vol.Required(CONF_UNIT, default=EUR): vol.In([EUR, PERCENTAGE]),
        vol.Required(CONF_DIRECTION, default=ABOVE): vol.In([ABOVE, BELOW]),
    }
)


CANDLE_CAPABILITIES: Final = vol.Schema(
    {
        vol.Required(CONF_COIN): str,
        vol.Required(CONF_TIME_FRAME, default=TimeFrame.H1.value): vol.In([frame.value for frame in TimeFrame]),
        vol.Optional(CONF_CHANGE_ABOVE): vol.Coerce(float),
        vol.Optional(CONF_CHANGE_BELOW): vol.Coerce(float),
        vol.Optional(CONF_VOLUME_ABOVE): vol.Coerce(float),
    }
)

CAPABILITIES: Final = {"profit_loss_crossed": CROSSED_CAPABILITIES, "candle_closed": CANDLE_CAPABILITIES}


async def async_get_triggers(_hass: HomeAssistant, device_id: str) -> list[dict[str, str]]:
    """Return the triggers of a follower's device."""
    return [
        {CONF_PLATFORM: "device", CONF_DOMAIN: DOMAIN, CONF_DEVICE_ID: device_id, CONF_TYPE: name} for name in TRIGGERS
    ]


async def async_get_trigger_capabilities(_hass: HomeAssistant, config: ConfigType) -> dict[str, vol.Schema]:
    """Return the fields of a trigger that has some."""
    fields = CAPABILITIES.get(config[CONF_TYPE])
    return {"extra_fields": fields} if fields else {}


async def async_attach_trigger(
    hass: HomeAssistant, config: ConfigType, action: TriggerActionType, trigger_info: TriggerInfo
) -> CALLBACK_TYPE:
    """Attach the trigger of that name, aimed at the device."""
    name = config[CONF_TYPE]
    options = {str(field): config[str(field)] for field in FIELDS.get(name, ()) if str(field) in config}
    target = {CONF_DEVICE_ID: [config[CONF_DEVICE_ID]]}
    trigger = TRIGGERS[name](hass, TriggerConfig(f"{DOMAIN}.{name}", target, options))
    job = HassJob(action)

    async def act(run_variables: dict[str, Any], context: Context | None = None) -> None:
        if task := hass.async_run_hass_job(job, run_variables, context):
            await task

    def payload(extra_trigger_payload: dict[str, Any], description: str) -> dict[str, Any]:
        data = {**trigger_info["trigger_data"], CONF_PLATFORM: "device", "description": description}
        return {"trigger": {**data, **extra_trigger_payload}}

    return await trigger.async_attach_action(act, payload)
