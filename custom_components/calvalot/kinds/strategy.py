"""A strategy on candles, a ready-made one or the owner's own file: which coins, how often, within what dates."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.selector import (
    DateSelector,
    ObjectSelector,
    ObjectSelectorConfig,
    SelectSelector,
    SelectSelectorConfig,
)
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util
import voluptuous as vol

from ..actions import Action, coin_code
from ..const import CONF_ALLOW_PYTHON, CONF_QUOTE_ASSET, DEFAULT_COINS, DEFAULT_QUOTE_ASSET, DOMAIN
from ..form_input import InvalidInput
from ..forms import Number, async_ranges, errors_of
from ..market import async_market
from ..python_strategies import (
    CONF_PARAMETERS,
    CONF_RULES,
    CONF_SHA256,
    CONF_STRATEGY,
    CONF_TIME_FRAME,
    async_pinned,
    async_problem,
    async_script,
    async_try,
    pinned_of,
    script_parameters,
    strategies_folder,
)
from ..selectors import choice, coin_list
from ..settings import amount, coin_codes
from ..texts import async_text, figure
from ..trading.decimals import HUNDRED
from ..trading.exchanges.symbols import symbol_of
from ..trading.market.candles import Candle, TimeFrame
from ..trading.market.history import closed_candles
from ..trading.protection import HeldBy
from ..trading.responses import Json, iso
from ..trading.signal import SourceKind
from ..trading.snapshot import Snapshot
from ..trading.sources.state import SourceState
from ..trading.sources.strategy import StrategySource
from ..trading.sources.strategy_settings import (
    ReadCandles,
    StrategyChanged,
    StrategyInvalid,
    StrategySettings,
    read_rules,
)
from ..trading.strategies.document import InvalidStrategy
from ..trading.strategies.evaluator import Evaluator
from ..trading.strategies.library import READY_MADE, own_files, strategy_text
from ..trading.strategies.reader import read_strategy
from ..trading.strategies.script import ENDING as SCRIPT_ENDING, Script, sha256_of
from ..trading.strategies.script_evaluator import StrategyFailed
from ..trading.strategies.sentence import Sentences
from ..trading.strategies.tree import Strategy
from .base import Fields, SourceType

CONF_COIN: Final = "coin"
CONF_SHARE: Final = "share"
CONF_FROM: Final = "from"
CONF_UNTIL: Final = "until"
ATTR_LANGUAGE: Final = "language"

# How many of the last trades are looked through for those of a strategy's coins, and how many of them are told.
TRADES_READ: Final = 200
TRADES_TOLD: Final = 10

NUMBERS: Final = (Number(key=CONF_SHARE, default=100, minimum=1, maximum=100, unit="%"),)


class _Names(SelectSelector):
    """Shows names; whether there still is such a file is seen when the form is checked, and said in words."""

    @override
    def __call__(self, data: Any) -> str:
        """Any name."""
        return str(data)


class StrategyType(SourceType):
    """The rules are read when they are chosen, and stored with the entry."""

    kind = SourceKind.STRATEGY
    hidden = frozenset({"entry_jitter", "silence_alert", "push", "push_url"})

    @override
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """The same whether it is stored or not."""
        strategies = _Names(SelectSelectorConfig(options=[*READY_MADE, *found], translation_key=CONF_STRATEGY))
        (share,) = NUMBERS
        return vol.Schema(
            {
                vol.Required(CONF_COIN, default=list(DEFAULT_COINS[:1])): coin_list(()),
                vol.Required(CONF_STRATEGY, default=READY_MADE[0]): strategies,
                vol.Optional(CONF_TIME_FRAME): choice(TimeFrame, CONF_TIME_FRAME),
                share.marker: share.selector(""),
                vol.Optional(CONF_FROM): DateSelector(),
                vol.Optional(CONF_UNTIL): DateSelector(),
                vol.Optional(CONF_PARAMETERS): ObjectSelector(ObjectSelectorConfig()),
            }
        )

    @override
    async def found(self, hass: HomeAssistant, options: Mapping[str, Any]) -> Collection[str]:
        """The owner's own files, and the one that is chosen."""
        files = await hass.async_add_executor_job(own_files, strategies_folder(hass))
        chosen = options.get(CONF_STRATEGY)
        return files if chosen is None or chosen in {*files, *READY_MADE} else (*files, chosen)

    @override
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """Read the rules, and see that what was chosen fits them. Raises InvalidInput."""
        coins = coin_codes(user_input[CONF_COIN])
        if not coins:
            raise InvalidInput({CONF_COIN: "no_coins"})
        if errors := errors_of(NUMBERS, user_input):
            raise InvalidInput(errors, fields=await async_ranges(hass, NUMBERS, "config", self.kind, ""))
        begin, end = user_input.get(CONF_FROM), user_input.get(CONF_UNTIL)
        if begin and end and end < begin:
            raise InvalidInput({CONF_UNTIL: "until_before_from"})
        name = str(user_input[CONF_STRATEGY]).strip()
        options = {
            CONF_COIN: [*coins],
            CONF_STRATEGY: name,
            CONF_SHARE: user_input[CONF_SHARE],
            CONF_FROM: begin,
            CONF_UNTIL: end,
        }
        if name.endswith(SCRIPT_ENDING):
            return Fields(options={**options, **await async_pinned(hass, name, coins, known.options, user_input)})
        text, strategy = await _read(hass, name)
        return Fields(
            options={
                **options,
                CONF_TIME_FRAME: user_input.get(CONF_TIME_FRAME) or strategy.time_frame.value,
                CONF_PARAMETERS: _parameters(hass, strategy, user_input.get(CONF_PARAMETERS)),
                CONF_RULES: text,
            }
        )

    @override
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> StrategySource:
        """The strategy that is stored."""
        options = stored.options
        begin, end = options.get(CONF_FROM), options.get(CONF_UNTIL)
        return StrategySource(
            StrategySettings(
                text=options[CONF_RULES],
                pinned=pinned_of(hass, options),
                coins=tuple(options[CONF_COIN]),
                frame=TimeFrame(options[CONF_TIME_FRAME]),
                share=amount(options[CONF_SHARE]) / HUNDRED,
                begin=_day(begin) if begin else None,
                # The last day belongs to it.
                end=_day(end, 1) if end else None,
                parameters=options.get(CONF_PARAMETERS) or {},
            ),
            _reading(hass, stored.portfolio),
            dt_util.utcnow,
        )

    @override
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """What the strategy is called, where that is known, with its coins."""
        if (name := data.get(CONF_STRATEGY)) is None:
            return await async_text(hass, "setup_strategy")
        known = await async_text(hass, f"rule_made_{name}") if name in READY_MADE else name
        return f"{known} {' '.join(data[CONF_COIN])}"

    @override
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> None:
        """None: nothing is bought before it has looked at the candles."""

    @override
    def coins(self, options: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Those that it trades."""
        return tuple(options.get(CONF_COIN, ()))

    @override
    def shown(self, stored: Fields) -> Mapping[str, Any]:
        """With the rules: other ones are another strategy, though the form shows their name only."""
        rules = {key: stored.options.get(key) for key in (CONF_RULES, CONF_SHA256)}
        return {**super().shown(stored), **rules}

    @override
    def actions(self) -> tuple[Action, ...]:
        """What looks at rules, and at the strategies of a portfolio."""
        return (
            Action(
                "check_strategy",
                _check_strategy,
                {
                    vol.Exclusive(CONF_RULES, CONF_STRATEGY): cv.string,
                    vol.Exclusive(CONF_STRATEGY, CONF_STRATEGY): cv.string,
                    vol.Optional(CONF_COIN, default=list): vol.All(cv.ensure_list, [coin_code]),
                    vol.Optional(CONF_TIME_FRAME): vol.In([frame.value for frame in TimeFrame]),
                    vol.Optional(CONF_PARAMETERS, default=dict): dict,
                    vol.Optional(CONF_ALLOW_PYTHON, default=False): cv.boolean,
                    vol.Optional(ATTR_LANGUAGE): cv.string,
                },
                admin=False,
                admin_with=CONF_ALLOW_PYTHON,
            ),
            Action("get_strategies", _get_strategies, {vol.Optional(ATTR_LANGUAGE): cv.string}, admin=False),
        )


async def async_sentences(hass: HomeAssistant, language: str | None = None) -> Sentences:
    """What says strategies in a language, else in Home Assistant's."""
    language = language or hass.config.language
    texts = await async_get_translations(hass, language, "common", {DOMAIN})
    start = f"component.{DOMAIN}.common."
    return Sentences(language, {key.removeprefix(start): text for key, text in texts.items()})


async def _check_strategy(hass: HomeAssistant, _entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    return await async_check(hass, data)


async def async_check(hass: HomeAssistant, data: Mapping[str, Any]) -> Json:
    """Whether rules, or a strategy by its name, can be used, and what they say; else why not, and where."""
    try:
        name, folder = data.get(CONF_STRATEGY, ""), strategies_folder(hass)
        if name.endswith(SCRIPT_ENDING):
            return await _check_script(hass, name, data)
        text: str = data.get(CONF_RULES, "") or await hass.async_add_executor_job(strategy_text, name, folder)
        strategy = await hass.async_add_executor_job(read_strategy, text)
        chosen = _parameters(hass, strategy, data[CONF_PARAMETERS])
    except InvalidStrategy as err:
        where = {"line": err.line or None, "column": err.column or None}
        return {"valid": False, "problem": await async_problem(hass, err, data.get(ATTR_LANGUAGE)), **where}
    except InvalidInput as err:
        language = data.get(ATTR_LANGUAGE) or hass.config.language
        texts = await async_get_translations(hass, language, "config", {DOMAIN})
        said = texts[f"component.{DOMAIN}.config.error.{err.errors[CONF_PARAMETERS]}"]
        return {"valid": False, "problem": said.format_map(err.placeholders), "line": None, "column": None}
    coins = tuple(data[CONF_COIN])
    frame = TimeFrame(data.get(CONF_TIME_FRAME, strategy.time_frame))
    evaluator = await hass.async_add_executor_job(Evaluator, strategy, coins or ("",), frame, chosen)
    return {
        "valid": True,
        "name": strategy.name,
        "sentence": (await async_sentences(hass, data.get(ATTR_LANGUAGE))).say(strategy, coins, frame, chosen),
        "time_frame": frame.value,
        "parameters": strategy.values(chosen),
        "warm_up": evaluator.warm_up,
        "rules": text,
    }


async def _check_script(hass: HomeAssistant, name: str, data: Mapping[str, Any]) -> Json:
    """The same of a file in Python, which is tried only where that is allowed. Raises InvalidStrategy, InvalidInput."""
    script = await async_script(hass, name)
    coins = tuple(data[CONF_COIN])
    frame = TimeFrame(data.get(CONF_TIME_FRAME, script.time_frame))
    chosen = script_parameters(script, data[CONF_PARAMETERS])
    if data[CONF_ALLOW_PYTHON]:
        await async_try(hass, script, coins or ("BTC",), frame, chosen)
    words = await async_sentences(hass, data.get(ATTR_LANGUAGE))
    return {
        "valid": True,
        "name": script.name,
        "sentence": words.script(name, coins, frame),
        "time_frame": frame.value,
        "parameters": script.values(chosen),
        "warm_up": script.count,
        "rules": script.text,
        CONF_SHA256: sha256_of(script.text),
        "tried": data[CONF_ALLOW_PYTHON],
    }


async def _get_strategies(hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Json:
    """The strategies of a portfolio: what each says, how far its indicators are, what it wants and why."""
    states = [
        (state, state.source) for state in entry.runtime_data.engine.members if isinstance(state.source, StrategySource)
    ]
    engine = entry.runtime_data.engine
    words = await async_sentences(hass, data.get(ATTR_LANGUAGE))
    paused, alone = engine.settings.paused_sources, len(engine.members) == 1
    trades = await engine.queries.trades(TRADES_READ) if states else []
    return {
        "strategies": [
            {
                **await hass.async_add_executor_job(_told, state, source, words),
                "levels": _levels(state.key, source, engine.snapshot),
                "failure": (
                    await async_problem(hass, state.problem.reason, data.get(ATTR_LANGUAGE))
                    if isinstance(state.problem, StrategyFailed)
                    else None
                ),
                "paused": state.key in paused or (alone and engine.snapshot.paused),
                "trades": [trade for trade in trades if trade["coin"] in source.settings.coins][:TRADES_TOLD],
            }
            for state, source in states
        ],
        "ready_made": [*READY_MADE],
    }


def _told(state: SourceState, source: StrategySource, words: Sentences) -> Json:
    """One strategy as it is now."""
    settings, progress, signal = source.settings, source.progress, source.signal
    told: Json = {"source": state.key, "name": None, "sentence": None}
    with suppress(StrategyInvalid, StrategyChanged):
        match read_rules(settings).read:
            case Script() as read:
                file = settings.pinned.path.name if settings.pinned else ""
                said = words.script(file, settings.coins, settings.frame)
            case read:
                said = words.say(read, settings.coins, settings.frame, settings.parameters)
        told |= {"name": read.name, "sentence": said}
    return told | {
        "coins": list(settings.coins),
        "time_frame": settings.frame.value,
        "warm_up": progress and {"count": progress.count, "needed": progress.needed},
        "shares": {coin: float(share * HUNDRED) for coin, share in (source.targets or {}).items()},
        "decided": iso(signal.created_at) if signal else None,
        "reason": signal.reasoning if signal else None,
        "problem": state.problem and state.problem.key,
    }


def _levels(key: str, source: StrategySource, snapshot: Snapshot) -> Json:
    """Where its coins are sold between two closes, and who sees to it: those of several strategies rest where all would sell."""
    resting = {coin for coin, each in snapshot.protections.items() if each.sources == (key,)}
    return {
        coin: {
            "stop": None if levels.stop is None else float(levels.stop),
            "profit": None if levels.profit is None else float(levels.profit),
            "held_by": (snapshot.protected_by.get(coin, HeldBy.CYCLE) if coin in resting else HeldBy.CYCLE).value,
        }
        for coin, levels in source.levels.items()
    }


async def _read(hass: HomeAssistant, name: str) -> tuple[str, Strategy]:
    """The text of a strategy, and what it says. Raises InvalidInput."""
    try:
        text = await hass.async_add_executor_job(strategy_text, name, strategies_folder(hass))
        return text, await hass.async_add_executor_job(read_strategy, text)
    except InvalidStrategy as err:
        raise InvalidInput({CONF_STRATEGY: "strategy_invalid"}, problem=await async_problem(hass, err)) from err


def _parameters(hass: HomeAssistant, strategy: Strategy, chosen: Any) -> dict[str, float]:
    """What was chosen for its parameters, as far as it was. Raises InvalidInput, naming what does not fit."""
    if not isinstance(chosen, Mapping | None):
        raise InvalidInput({CONF_PARAMETERS: "parameters_invalid"})
    found: dict[str, float] = {}
    for name, value in (chosen or {}).items():
        if (allowed := strategy.parameters.get(name)) is None:
            known = ", ".join(strategy.parameters) or "–"
            raise InvalidInput({CONF_PARAMETERS: "parameter_unknown"}, parameter=f"{name}", known=known)
        if isinstance(value, bool) or not isinstance(value, int | float) or not allowed.allows(value):
            bounds = {"minimum": figure(hass, allowed.minimum), "maximum": figure(hass, allowed.maximum)}
            raise InvalidInput({CONF_PARAMETERS: "parameter_range"}, parameter=f"{name}", **bounds)
        found[name] = float(value)
    return found


def _day(day: str, days: int = 0) -> datetime:
    """When a day begins at home, or one so many days later (UTC)."""
    return dt_util.start_of_local_day(date.fromisoformat(day) + timedelta(days=days)).astimezone(UTC)


def _reading(hass: HomeAssistant, portfolio: Mapping[str, Any]) -> ReadCandles:
    """What reads the candles of a portfolio's exchange, which all portfolios share."""
    quote = str(portfolio.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)).upper()

    async def read(coin: str, frame: TimeFrame, begin: int, end: int) -> Sequence[Candle]:
        market = async_market(hass, portfolio)
        series = market.series(symbol_of(coin, quote), frame)
        count = (end - begin) // frame.seconds
        history = await closed_candles(market.exchange, market.store, series, count, datetime.fromtimestamp(end, UTC))
        return history.candles

    return read
