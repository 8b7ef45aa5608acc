"""The trigger for a backtest that is over."""

from typing import Any, Final, cast, override

from homeassistant.const import CONF_OPTIONS, CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.target import TargetSelection
from homeassistant.helpers.trigger import Trigger, TriggerActionRunner, TriggerConfig, TriggerNotTriggeredReporter
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .const import BACKTEST_FINISHED
from .target import async_owners

SCHEMA: Final = vol.Schema({vol.Required(CONF_TARGET): cv.TARGET_FIELDS, vol.Required(CONF_OPTIONS, default=dict): {}})


class BacktestFinishedTrigger(Trigger):
    """Fires when a backtest of a portfolio is over, with how it ended and its most important figures."""

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate config."""
        return cast("ConfigType", SCHEMA(config))

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the portfolios."""
        super().__init__(hass, config)
        self._target = config.target or {}

    @override
    async def async_attach_runner(
        self, run_action: TriggerActionRunner, did_not_trigger: TriggerNotTriggeredReporter | None = None
    ) -> CALLBACK_TYPE:
        """Listen for what ends."""

        @callback
        def on_end(run: Any) -> None:
            if run.portfolio in async_owners(self._hass, TargetSelection(self._target)):
                payload = {
                    "backtest": run.id,
                    "name": run.name,
                    "result": run.state.value,
                    "verdict": run.verdict,
                    "figures": dict(run.figures or {}),
                }
                run_action(payload, f"backtest {run.name}")

        return async_dispatcher_connect(self._hass, BACKTEST_FINISHED, on_end)
