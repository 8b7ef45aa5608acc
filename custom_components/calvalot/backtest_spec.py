"""What a backtest is asked for, as a spec: strategies by name or text, sources of a portfolio, several with their weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from .const import CONF_SOURCE, CONF_WEIGHT, DOMAIN
from .coordinator import CalvalotConfigEntry
from .python_strategies import CONF_PARAMETERS, CONF_RULES, CONF_SHA256, CONF_STRATEGY, async_problem, strategies_folder
from .settings import further_sources, weights_of
from .trading.backtest.errors import BacktestError
from .trading.backtest.fetch import symbols_of
from .trading.backtest.many import Wanted
from .trading.backtest.recorded import coins_of, recorded
from .trading.backtest.spec import SCRIPT, Spec, rules_row
from .trading.backtest.sweep import grid, range_of
from .trading.decimals import HUNDRED
from .trading.errors import CommandError, ExchangeError
from .trading.exchanges.symbols import symbol_of
from .trading.market.candles import TimeFrame
from .trading.responses import Json
from .trading.signal import SourceKind
from .trading.sources.allocation import AllocationSettings, AllocationSource
from .trading.sources.state import SourceState
from .trading.sources.strategy import StrategySource
from .trading.strategies.document import InvalidStrategy
from .trading.strategies.library import strategy_text
from .trading.strategies.reader import read_strategy
from .trading.strategies.script import ENDING as SCRIPT_ENDING, read_file, read_script, script_path, sha256_of

ATTR_SOURCES: Final = "sources"
ATTR_ALLOCATION: Final = "allocation"
ATTR_COIN: Final = "coin"
ATTR_SHARE: Final = "share"
ATTR_SWEEP: Final = "sweep"
# All sources of a portfolio, with their weights.
ALL: Final = "all"
# Days that are tested where nothing is said.
USUAL_DAYS: Final = 365
USUAL_COINS: Final = ("BTC",)
WHAT: Final = (CONF_STRATEGY, CONF_RULES, ATTR_ALLOCATION, CONF_SOURCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One source as it stands in a spec, with its name, the coins that it names itself and its own time frame."""

    row: Json
    name: str
    coins: tuple[str, ...] = ()
    frame: TimeFrame | None = None
    weight: Decimal | None = None


async def async_spec(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Spec:
    """What is to be tested. Raises CommandError."""
    coordinator = entry.runtime_data
    settings, market = coordinator.settings, coordinator.market
    members = await _async_members(hass, entry, data)
    frame = _frame(members, data.get("time_frame"))
    begin, end = _span(data, frame, dt_util.utcnow())
    named = data.get(ATTR_COIN) or [coin for member in members for coin in member.coins] or USUAL_COINS
    coins = tuple(dict.fromkeys(coin for coin in named if coin != settings.quote))
    try:
        rules = await market.exchange.rules(symbols_of(coins, settings.quote))
    except ExchangeError as err:
        raise CommandError("no_candles", coin=", ".join(coins), error=f"{err}") from err
    if unlisted := [coin for coin in coins if symbol_of(coin, settings.quote) not in rules]:
        raise CommandError("backtest_no_rules", symbol=", ".join(unlisted))
    limits = settings.limits
    bounds = ("min_order", "rebalance_threshold", "dust_threshold", "max_order_share", "max_slippage")
    amounts = {each: getattr(limits, each) for each in bounds}
    return Spec(
        name=" + ".join(member.name for member in members),
        sources=_weighted(members, coins),
        coins=coins,
        frame=frame,
        begin=begin,
        end=end,
        candles={
            "kind": "store",
            "path": hass.config.path(".cache", DOMAIN, "backtests.db"),
            "host": market.host,
            "frames": sorted(each.value for each in market.exchange.time_frames),
        },
        quote=settings.quote,
        budget=f"{data['budget']}",
        fee=f"{data['fee']}",
        slippage=f"{data['slippage']}" if "slippage" in data else None,
        limits={each: f"{amount:f}" for each, amount in amounts.items() if amount is not None},
        rules={symbol: rules_row(each) for symbol, each in rules.items()},
        fee_coin=market.exchange.fee_coin,
        inside=TimeFrame(data["inside"]) if "inside" in data else None,
        many=_many(data, members),
    )


# What decides


async def _async_members(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> list[Member]:
    """The sources that are to be tested, in order. Raises CommandError."""
    listed = data.get(ATTR_SOURCES) or [data]
    if any(sum(bool(said.get(each)) for each in WHAT) != 1 for said in listed) or (
        ATTR_SOURCES in data and any(data.get(each) for each in WHAT)
    ):
        raise CommandError("backtest_what")
    begin, end = _span(data, TimeFrame.M1, dt_util.utcnow())
    members: list[Member] = []
    for said in listed:
        if source := said.get(CONF_SOURCE):
            members += await _async_known(hass, entry, source, said, (begin, end))
        elif said.get(ATTR_ALLOCATION):
            shares = {coin: f"{share}" for coin, share in said[ATTR_ALLOCATION].items()}
            row: Json = {"kind": SourceKind.ALLOCATION.value, "shares": shares, "when": ["schedule", "drift"]}
            members.append(Member(row=row, name=", ".join(shares), coins=(*shares,), weight=_weight(said)))
        else:
            members.append(await _async_strategy(hass, said))
    return members


async def _async_strategy(hass: HomeAssistant, said: Mapping[str, Any]) -> Member:
    """A strategy by its name or text. Raises CommandError."""
    name, folder = said.get(CONF_STRATEGY, ""), strategies_folder(hass)
    usual = {CONF_PARAMETERS: dict(said.get(CONF_PARAMETERS) or {}), ATTR_SHARE: f"{said.get(ATTR_SHARE, 100)}"}
    coins = tuple(said.get(ATTR_COIN, ()))
    try:
        if name.endswith(SCRIPT_ENDING):
            text = await hass.async_add_executor_job(read_file, script_path(name, folder))
            if (name, sha256_of(text)) not in set(_allowed(hass)):
                raise CommandError("backtest_python_not_allowed", file=name)
            script = await hass.async_add_executor_job(read_script, text)
            row = {"kind": SCRIPT, "text": text, **usual}
            return Member(row=row, name=script.name, coins=coins, frame=script.time_frame, weight=_weight(said))
        text = said.get(CONF_RULES, "") or await hass.async_add_executor_job(strategy_text, name, folder)
        strategy = await hass.async_add_executor_job(read_strategy, text)
    except InvalidStrategy as err:
        raise CommandError("backtest_strategy", problem=await async_problem(hass, err)) from err
    row = {"kind": SourceKind.STRATEGY.value, "text": text, **usual}
    return Member(row=row, name=strategy.name, coins=coins, frame=strategy.time_frame, weight=_weight(said))


def _allowed(hass: HomeAssistant) -> Iterator[tuple[str, str]]:
    """Files with strategies in Python that administrators have allowed, with the SHA-256 (hex) of what they were then."""
    for entry in hass.config_entries.async_entries(DOMAIN):
        for stored in (entry.options, *(each.data for each in further_sources(entry).values())):
            if CONF_SHA256 in stored:
                yield stored[CONF_STRATEGY], stored[CONF_SHA256]


async def _async_known(
    hass: HomeAssistant, entry: CalvalotConfigEntry, source: str, said: Mapping[str, Any], span: tuple[int, int]
) -> list[Member]:
    """One source of a portfolio by its key, or all of them with their weights. Raises CommandError."""
    known = {state.key: state for state in entry.runtime_data.engine.members}
    if source != ALL and source not in known:
        raise CommandError("source_unknown", sources=", ".join([*known, ALL]))
    if source != ALL:
        return [await _async_source(hass, entry, known[source], _weight(said), span)]
    weights = weights_of(entry)
    return [await _async_source(hass, entry, state, weights.get(key), span) for key, state in known.items()]


async def _async_source(
    hass: HomeAssistant, entry: CalvalotConfigEntry, state: SourceState, weight: Decimal | None, span: tuple[int, int]
) -> Member:
    """A source of a portfolio as it is set; of one that speaks from outside what it has said. Raises CommandError."""
    match state.source:
        case StrategySource() as strategy:
            found = strategy.settings
            said: Json = {
                CONF_PARAMETERS: dict(found.parameters),
                ATTR_SHARE: f"{found.share * HUNDRED:f}",
                ATTR_COIN: found.coins,
                CONF_STRATEGY: found.pinned.path.name if found.pinned else "",
                CONF_RULES: found.text,
            }
            member = await _async_strategy(hass, said)
            return Member(row=member.row, name=member.name, coins=found.coins, frame=found.frame, weight=weight)
        case AllocationSource() as own:
            row = _allocation(own.settings, hass.config.time_zone)
            return Member(row=row, name=state.source.kind.value, coins=(*own.settings.shares,), weight=weight)
        case _:
            begin, end = (datetime.fromtimestamp(at, UTC) for at in span)
            queries = entry.runtime_data.engine.queries
            rows = await queries.page(lambda ledger, *_: recorded(ledger, state.key, begin, end), 0, None)
            if not rows:
                raise CommandError("backtest_no_signals", source=state.key)
            row = {"kind": "signals", "signals": rows}
            return Member(row=row, name=state.source.kind.value, coins=coins_of(rows), weight=weight)


def _allocation(own: AllocationSettings, time_zone: str) -> Json:
    hour = timedelta(hours=1)
    row: Json = {
        "kind": SourceKind.ALLOCATION.value,
        "shares": {coin: f"{share * HUNDRED:f}" for coin, share in own.shares.items()},
        "when": sorted(own.when),
        "drift": f"{own.drift * HUNDRED:f}",
        "trade_to": own.trade_to.value,
        "cash_reserve": f"{own.cash_reserve * HUNDRED:f}",
        "cooldown": own.cooldown / hour,
        "time_zone": time_zone,
    }
    if own.interval is not None:
        row["interval"] = own.interval / hour
    if own.at is not None:
        row["at"] = own.at.isoformat()
    return row


def _weight(said: Mapping[str, Any]) -> Decimal | None:
    return Decimal(str(said[CONF_WEIGHT])) if CONF_WEIGHT in said else None


def _weighted(members: list[Member], coins: tuple[str, ...]) -> tuple[Json, ...]:
    """The rows of a spec: those without a weight share evenly what the others leave. Raises CommandError."""
    said = [member.weight for member in members if member.weight is not None]
    left, without = HUNDRED - sum(said, Decimal(0)), len(members) - len(said)
    if left < 0 or (without and not left):
        raise CommandError("backtest_weights")
    even = left / without if without else left
    rows: list[Json] = []
    for member in members:
        row = dict(member.row)
        weight = even if member.weight is None else member.weight
        if len(members) > 1 or weight != HUNDRED:
            row[CONF_WEIGHT] = f"{weight:f}"
        if member.coins and member.row["kind"] in {SourceKind.STRATEGY, SCRIPT} and member.coins != coins:
            row["coins"] = [coin for coin in member.coins if coin in coins]
        rows.append(row)
    return tuple(rows)


# How and when


def _many(data: Mapping[str, Any], members: list[Member]) -> Json:
    """What is tried beside the run. Raises CommandError."""
    said: Mapping[str, Any] = data.get(ATTR_SWEEP) or {}
    try:
        ranges = dict(range_of(f"{name}={_numbers(values)}") for name, values in said.items())
        grid(ranges)
        steps = data.get("walk_forward")
        if steps and not ranges:
            raise BacktestError("backtest_no_sweep")
    except BacktestError as err:
        raise CommandError(err.key, **err.placeholders) from err
    if ranges and members[0].row["kind"] not in {SourceKind.STRATEGY, SCRIPT}:
        raise CommandError("backtest_sweep_strategy")
    return Wanted(ranges=ranges, by=data.get("by", "sharpe"), steps=steps, rounds=data.get("monte_carlo")).to_json()


def _numbers(values: Any) -> str:
    """Numbers as they are said in a terminal: a list of them, or a text that is so already."""
    return ",".join(f"{value}" for value in values) if isinstance(values, list) else f"{values}"


def _frame(members: list[Member], said: str | None) -> TimeFrame:
    """How long candles last. Raises CommandError where sources do not agree and nothing is said."""
    if said:
        return TimeFrame(said)
    frames = list(dict.fromkeys(member.frame for member in members if member.frame))
    if len(frames) > 1:
        raise CommandError("backtest_frames", frames=", ".join(frames))
    return frames[0] if frames else TimeFrame.H1


def _span(data: Mapping[str, Any], frame: TimeFrame, now: datetime) -> tuple[int, int]:
    """From when to when it is tested (Unix seconds): whole days at home. Raises CommandError."""
    last = int(now.timestamp()) // frame.seconds * frame.seconds
    until: date | None = data.get("until")
    end = min(_day(until + timedelta(days=1)), last) if until else last
    begin = _day(data["from"]) if "from" in data else end - USUAL_DAYS * 86_400
    if begin >= end:
        raise CommandError("backtest_range")
    return begin, end


def _day(day: date) -> int:
    return int(dt_util.start_of_local_day(day).timestamp())
