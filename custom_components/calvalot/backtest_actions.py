"""Actions of backtests: begin one, end it, and what they came to."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.translation import async_get_translations
import voluptuous as vol

from .actions import ATTR_COIN, Action, coin_code
from .const import DOMAIN
from .trading.market.candles import TimeFrame
from .trading.responses import Json

if TYPE_CHECKING:
    from .backtests import Backtests
    from .trading.backtest.kept import Run

ATTR_BACKTEST: Final = "backtest"
ATTR_WHOLE: Final = "whole"
DEFAULT_BUDGET: Final = 10_000
MAX_NAME: Final = 100
FRAMES: Final = [frame.value for frame in TimeFrame]

# What the best numbers of a sweep may be chosen by.
CHOSEN_BY: Final = ["sharpe", "return", "calmar", "sortino", "profit_factor"]

_NUMBER = vol.All(vol.Coerce(float), vol.Range(min=0))
_PERCENT = vol.All(vol.Coerce(float), vol.Range(min=1, max=100))
_SOURCE: Final[dict[str | vol.Marker, Any]] = {
    vol.Optional("strategy"): cv.string,
    vol.Optional("rules"): cv.string,
    vol.Optional("source"): cv.string,
    vol.Optional("allocation"): {coin_code: _PERCENT},
    vol.Optional(ATTR_COIN): vol.All(cv.ensure_list, vol.Length(min=1, max=50), [coin_code]),
    vol.Optional("parameters"): {cv.string: vol.Coerce(float)},
    vol.Optional("share", default=100): _PERCENT,
}
_MEMBER: Final = vol.Schema({**_SOURCE, vol.Optional("weight"): _PERCENT})


def async_backtests(hass: HomeAssistant) -> Backtests:
    """The backtests; imported with the first one."""
    from . import backtests  # noqa: PLC0415

    return backtests.async_backtests(hass)


async def async_recover_backtests(hass: HomeAssistant) -> None:
    """Say of a backtest that was cut off with the last run of Home Assistant that it was."""
    if await hass.async_add_executor_job(Path(hass.config.path(DOMAIN, "backtests")).is_dir):
        await async_backtests(hass).async_recover()


async def _run_backtest(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """Begin a backtest; what it is called by, and how far it is. Raises CommandError."""
    return await _told(hass, await async_backtests(hass).async_begin(entry, data))


async def _abort_backtest(hass: HomeAssistant, _entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """End the backtest that runs. Raises CommandError."""
    return await _told(hass, await async_backtests(hass).async_abort(data.get(ATTR_BACKTEST)))


async def _get_backtests(hass: HomeAssistant, _entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """The backtests that were made, or one of them with its whole result. Raises CommandError."""
    backtests = async_backtests(hass)
    if run_id := data.get(ATTR_BACKTEST):
        runs = [await backtests.async_run(run_id)]
    else:
        runs = await backtests.async_runs()
    told = [await _told(hass, run) for run in runs]
    if data[ATTR_WHOLE]:
        for each in told:
            each["result"] = await hass.async_add_executor_job(backtests.kept.result, each["id"])
    return {"backtests": told}


async def _told(hass: HomeAssistant, run: Run) -> Json:
    """A run in Home Assistant's language."""
    told = run.to_json()
    if run.problem:
        texts = await async_get_translations(hass, hass.config.language, "exceptions", {DOMAIN})
        text = texts.get(f"component.{DOMAIN}.exceptions.{run.problem['key']}.message")
        told["problem"] = text.format_map(run.problem["placeholders"]) if text else run.problem["text"]
        told["problem_key"] = run.problem["key"]
    if run.verdict is not None:
        common = await async_get_translations(hass, hass.config.language, "common", {DOMAIN})
        said = [
            common[f"component.{DOMAIN}.common.backtest_{each['key']}"].format_map(each["placeholders"])
            for each in run.findings
        ]
        warnings = [text for each, text in zip(run.findings, said, strict=True) if each["weight"] == "warning"]
        told["findings"] = said
        told["clean"] = not warnings
        told["verdict"] = " ".join(warnings) or common[f"component.{DOMAIN}.common.backtest_clean"]
    return told


BACKTEST_ACTIONS: Final = (
    Action(
        "run_backtest",
        _run_backtest,
        {
            **_SOURCE,
            vol.Optional("sources"): vol.All(cv.ensure_list, vol.Length(min=1, max=10), [_MEMBER]),
            vol.Optional("time_frame"): vol.In(FRAMES),
            vol.Optional("from"): cv.date,
            vol.Optional("until"): cv.date,
            vol.Optional("sweep"): {cv.string: vol.Any(cv.string, vol.All([vol.Coerce(float)], vol.Length(min=1)))},
            vol.Optional("by", default="sharpe"): vol.In(CHOSEN_BY),
            vol.Optional("walk_forward"): vol.All(vol.Coerce(int), vol.Range(min=1, max=20)),
            vol.Optional("monte_carlo"): vol.All(vol.Coerce(int), vol.Range(min=10, max=100_000)),
            vol.Optional("budget", default=DEFAULT_BUDGET): vol.All(vol.Coerce(float), vol.Range(min=1)),
            vol.Optional("fee", default=0.1): _NUMBER,
            vol.Optional("slippage"): _NUMBER,
            vol.Optional("inside"): vol.In(FRAMES),
            vol.Optional("name"): vol.All(cv.string, vol.Length(max=MAX_NAME)),
        },
        answers=True,
    ),
    Action("abort_backtest", _abort_backtest, {vol.Optional(ATTR_BACKTEST): cv.string}, answers=True),
    Action(
        "get_backtests",
        _get_backtests,
        {vol.Optional(ATTR_BACKTEST): cv.string, vol.Optional(ATTR_WHOLE, default=False): cv.boolean},
        admin=False,
    ),
)
