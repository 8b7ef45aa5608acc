"""Strategies in Python: files that an administrator has allowed, tried before they count, and known by their hash."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from .const import CONF_ALLOW_PYTHON, DOMAIN
from .form_input import InvalidInput
from .trading.market.candles import TimeFrame
from .trading.strategies.document import InvalidStrategy
from .trading.strategies.script import ENDING, Pinned, Script, read_file, read_script, script_path, sha256_of
from .trading.strategies.script_run import tried

CONF_STRATEGY: Final = "strategy"
CONF_TIME_FRAME: Final = "time_frame"
CONF_PARAMETERS: Final = "parameters"
# The text as it was when its owner chose it: what happens to the file later changes nothing.
CONF_RULES: Final = "rules"
CONF_SHA256: Final = "sha256"


def strategies_folder(hass: HomeAssistant) -> Path:
    """Where the owner's own strategies lie."""
    return Path(hass.config.path(DOMAIN, "strategies"))


async def async_problem(hass: HomeAssistant, problem: InvalidStrategy, language: str | None = None) -> str:
    """Why a strategy is refused, in a language, else in Home Assistant's."""
    texts = await async_get_translations(hass, language or hass.config.language, "exceptions", {DOMAIN})
    key = f"component.{DOMAIN}.exceptions.strategy_{problem.key}.message"
    return texts[key].format_map(problem.placeholders)


def pinned_of(hass: HomeAssistant, options: Mapping[str, Any]) -> Pinned | None:
    """The file that a strategy is set to, as it was allowed; None where it is rules."""
    name: str = options[CONF_STRATEGY]
    return Pinned(strategies_folder(hass) / name, options[CONF_SHA256]) if name.endswith(ENDING) else None


async def async_script(hass: HomeAssistant, name: str) -> Script:
    """A file as it is now; nothing of it is run. Raises InvalidStrategy."""
    path = script_path(name, strategies_folder(hass))
    return await hass.async_add_executor_job(lambda: read_script(read_file(path)))


def script_parameters(script: Script, chosen: Any) -> dict[str, float]:
    """What was chosen for the parameters of a script, as far as it was. Raises InvalidInput, naming what does not fit."""
    if not isinstance(chosen, Mapping | None):
        raise InvalidInput({CONF_PARAMETERS: "parameters_invalid"})
    found: dict[str, float] = {}
    for name, value in (chosen or {}).items():
        if name not in script.parameters:
            raise InvalidInput(
                {CONF_PARAMETERS: "parameter_unknown"}, parameter=f"{name}", known=", ".join(script.parameters) or "–"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InvalidInput({CONF_PARAMETERS: "parameters_invalid"})
        found[name] = float(value)
    return found


async def async_try(
    hass: HomeAssistant, script: Script, coins: Sequence[str], frame: TimeFrame, chosen: Mapping[str, float]
) -> None:
    """Have a script decide on made-up candles. Raises InvalidStrategy."""
    problem = await hass.async_add_executor_job(tried, script, coins, frame, script.values(chosen))
    if problem:
        raise problem


async def async_pinned(
    hass: HomeAssistant, name: str, coins: Sequence[str], known: Mapping[str, Any], user_input: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What is stored of a script that its owner allows or, by what is `known`, has allowed as it is, and that can decide.

    Raises InvalidInput.
    """
    try:
        script = await async_script(hass, name)
        found = sha256_of(script.text)
        was_allowed = (known.get(CONF_STRATEGY), known.get(CONF_SHA256)) == (name, found)
        if not (was_allowed or user_input.get(CONF_ALLOW_PYTHON)):
            raise InvalidInput({CONF_STRATEGY: "python_not_allowed"}, file=name, sha256=found)
        frame = TimeFrame(user_input.get(CONF_TIME_FRAME) or script.time_frame)
        parameters = script_parameters(script, user_input.get(CONF_PARAMETERS))
        await async_try(hass, script, coins, frame, parameters)
    except InvalidStrategy as err:
        raise InvalidInput({CONF_STRATEGY: "strategy_invalid"}, problem=await async_problem(hass, err)) from err
    return {
        CONF_TIME_FRAME: frame.value,
        CONF_PARAMETERS: parameters,
        CONF_RULES: "",
        CONF_ALLOW_PYTHON: True,
        CONF_SHA256: found,
    }
