"""Actions of strategies on candles: sell what one holds, stop one and let it go on, draft one, add one by its rules."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import SOURCE_USER, ConfigEntry, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import slugify
import voluptuous as vol

from .actions import ATTR_CONFIRM, Action, coin_code, invalid_input
from .const import CONF_PAUSED, CONF_SOURCE, CONF_WEIGHT, DOMAIN
from .kinds.strategy import ATTR_LANGUAGE, CONF_COIN, CONF_SHARE, async_check
from .python_strategies import CONF_PARAMETERS, CONF_RULES, CONF_STRATEGY, CONF_TIME_FRAME, strategies_folder
from .registry import type_of
from .strategy_draft import AI_TASK, ATTR_DESCRIPTION, LONGEST_DESCRIPTION, async_draft
from .trading.engine import Engine
from .trading.errors import CommandError
from .trading.exchanges.base import Mode
from .trading.market.candles import TimeFrame
from .trading.responses import Json
from .trading.signal import SourceKind
from .trading.snapshot import Status
from .trading.sources.state import SourceState
from .trading.sources.strategy import StrategySource
from .trading.strategies.library import ENDING, READY_MADE

# As long as a file's name may be that a strategy is chosen by, with a number behind it.
LONGEST_NAME: Final = 50
PERCENT: Final = vol.All(vol.Coerce(float), vol.Range(1, 100))


def _chosen(engine: Engine, key: str | None) -> tuple[SourceState, StrategySource]:
    """The strategy with a key, or the only one. Raises ServiceValidationError."""
    known = {state.key: (state, state.source) for state in engine.members if isinstance(state.source, StrategySource)}
    if not known:
        raise invalid_input("no_strategy")
    if key is None and len(known) == 1:
        key = next(iter(known))
    if key not in known:
        raise invalid_input("source_unknown", sources=", ".join(known))
    return known[key]


async def _sell(_hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> None:
    await entry.runtime_data.async_finish(_leave(entry.runtime_data.engine, data.get(CONF_SOURCE)))


async def _leave(engine: Engine, key: str | None) -> None:
    """Have a strategy want nothing of its coins any more, and trade that. Raises CommandError, ServiceValidationError."""
    state, source = _chosen(engine, key)
    if (status := engine.snapshot.status) is not Status.ACTIVE:
        raise CommandError(status.value)
    if len(engine.members) > 1 and state.key in engine.settings.paused_sources:
        raise invalid_input("strategy_stopped")
    if not any((source.targets or {}).values()):
        raise invalid_input("strategy_holds_nothing")
    source.leaves = True
    try:
        await engine.cycle()
        heard = not source.leaves
    finally:
        # What is not sold now is not to be sold some other time.
        source.leaves = False
    if not heard:
        raise invalid_input("strategy_unheard")


async def _pause(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> None:
    """Stop a strategy or let it go on: the portfolio, where nothing else decides in it."""
    coordinator, paused = entry.runtime_data, data[CONF_PAUSED]
    state, _ = _chosen(coordinator.engine, data.get(CONF_SOURCE))
    if len(coordinator.engine.members) == 1:
        await coordinator.async_finish(coordinator.engine.commands.pause(paused=paused))
        return
    if subentry := entry.subentries.get(state.key):
        hass.config_entries.async_update_subentry(entry, subentry, data={**subentry.data, CONF_PAUSED: paused})
    else:
        hass.config_entries.async_update_entry(entry, options={**entry.options, CONF_PAUSED: paused})
    await coordinator.async_tune()


async def _draft(hass: HomeAssistant, _entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    return await async_draft(hass, data)


async def _set(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """What rules would do as a further strategy of a portfolio on paper; once confirmed they are one. Raises ServiceValidationError."""
    if type_of(entry.data).alone:
        raise invalid_input("strategy_beside_hand")
    if entry.runtime_data.settings.mode is not Mode.DRY_RUN:
        raise invalid_input("strategy_dry_run_first")
    told = await async_check(hass, data)
    if not told["valid"]:
        raise invalid_input("strategy_refused", problem=told["problem"])
    told = {"name": told["name"], "sentence": told["sentence"], CONF_TIME_FRAME: told[CONF_TIME_FRAME]}
    if not data[ATTR_CONFIRM]:
        return {**told, CONF_STRATEGY: None}
    path = await hass.async_add_executor_job(_keep, data[CONF_RULES], told["name"], strategies_folder(hass))
    problem = await _add(hass, entry, {**data, CONF_STRATEGY: path.stem})
    if problem:
        await hass.async_add_executor_job(path.unlink, True)
        raise invalid_input("strategy_refused", problem=problem)
    return {**told, CONF_STRATEGY: path.stem}


async def _add(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> str:
    """Add a strategy as its form does; why it is refused, nothing where it is there."""
    flows = hass.config_entries.subentries
    fields = (CONF_WEIGHT, CONF_COIN, CONF_STRATEGY, CONF_TIME_FRAME, CONF_SHARE, CONF_PARAMETERS)
    result = await flows.async_init((entry.entry_id, SourceKind.STRATEGY), context={"source": SOURCE_USER})
    if result["type"] is FlowResultType.FORM:
        filled = {key: data[key] for key in fields if key in data} | {CONF_PAUSED: False}
        result = await flows.async_configure(result["flow_id"], filled)
    if result["type"] is FlowResultType.FORM:
        flows.async_abort(result["flow_id"])
    return "" if result["type"] is FlowResultType.CREATE_ENTRY else await _problem(hass, result)


async def _problem(hass: HomeAssistant, result: SubentryFlowResult) -> str:
    """What a form says that refuses something."""
    kind = f"component.{DOMAIN}.config_subentries.{SourceKind.STRATEGY}"
    texts = await async_get_translations(hass, hass.config.language, "config_subentries", {DOMAIN})
    if result["type"] is FlowResultType.ABORT:
        return texts[f"{kind}.abort.{result['reason']}"]
    (key, *_) = (result["errors"] or {}).values()
    return texts[f"{kind}.error.{key}"].format_map(result["description_placeholders"] or {})


def _keep(text: str, name: str, folder: Path) -> Path:
    """Write rules into a new file, called after their name. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = slugify(name)[:LONGEST_NAME].strip("_")
    names = (f"{stem}_{number}" if number > 1 else stem for number in count(1))
    path = next(path for each in names if each not in READY_MADE and not (path := folder / f"{each}{ENDING}").exists())
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return path


STRATEGY_ACTIONS: Final = (
    Action("sell_strategy", _sell, {vol.Optional(CONF_SOURCE): cv.string}),
    Action(
        "pause_strategy",
        _pause,
        {vol.Optional(CONF_SOURCE): cv.string, vol.Optional(CONF_PAUSED, default=True): cv.boolean},
    ),
    Action(
        "draft_strategy",
        _draft,
        {
            vol.Required(ATTR_DESCRIPTION): vol.All(cv.string, vol.Length(1, LONGEST_DESCRIPTION)),
            vol.Optional(CONF_COIN, default=list): vol.All(cv.ensure_list, [coin_code]),
            vol.Optional(AI_TASK): cv.entity_id,
            vol.Optional(ATTR_LANGUAGE): cv.string,
        },
        answers=True,
    ),
    Action(
        "set_strategy",
        _set,
        {
            vol.Required(CONF_RULES): cv.string,
            vol.Required(CONF_COIN): vol.All(cv.ensure_list, [coin_code]),
            vol.Required(CONF_WEIGHT): PERCENT,
            vol.Optional(CONF_SHARE, default=100): PERCENT,
            vol.Optional(CONF_TIME_FRAME): vol.In([frame.value for frame in TimeFrame]),
            vol.Optional(CONF_PARAMETERS, default=dict): dict,
            vol.Optional(ATTR_LANGUAGE): cv.string,
            vol.Optional(ATTR_CONFIRM, default=False): cv.boolean,
        },
        previews=True,
    ),
)
