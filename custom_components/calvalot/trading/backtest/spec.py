"""What is to be tested, as it is handed to a process of its own and kept with the result: plain JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
import hashlib
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ..decimals import HUNDRED, ONE
from ..exchanges.base import SymbolRules
from ..exchanges.paper import Costs
from ..exchanges.symbols import symbol_of
from ..limits import Limits
from ..market.candles import Candle, TimeFrame
from ..market.store import CandleStore, Series
from ..responses import Json
from ..signal import Signal, SourceKind
from ..sources.allocation import AllocationSettings, AllocationSource, TradeTo, When
from ..strategies.evaluator import Evaluator, State
from ..strategies.reader import read_strategy
from ..strategies.script import read_script
from ..wants import Allocation, from_text
from .blend import BlendReplay
from .data import from_csv, from_store, simulated
from .errors import BacktestError
from .run import Setup
from .scripted import Scripted
from .sources import RecordedReplay, Replayed, SourceReplay, StrategyReplay
from .walk import Inside, Slot, walk

# With another way of reckoning what was kept is not the same run any more.
VERSION = 1
# The kind of a strategy in Python.
SCRIPT = "script"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One backtest; times are Unix seconds, amounts decimal text in quote, shares and weights decimal text in %.

    `sources` are one or more of `{"kind": "strategy", "text", "parameters", "share"}`, the same with `"kind": "script"` for one in Python,
    `{"kind": "allocation", "shares", …}` and `{"kind": "signals", "signals": [{"time", "shares" or "wants"}]}`, each with a `weight` where
    there are several and with `coins` where it has not all of them. `many` is what is tried beside (`many.Wanted`). `candles` is where they come from:
    `{"kind": "store", "path", "host", "frames"}`, `{"kind": "csv", "files"}` by coin or `{"kind": "simulated", "seed"}`. `rules` are those of symbols
    that the exchange has told. `inside` is a shorter time frame that is looked into.
    """

    sources: tuple[Json, ...]
    coins: tuple[str, ...]
    frame: TimeFrame
    begin: int
    end: int
    candles: Json
    name: str = ""
    quote: str = "USDC"
    budget: str = "10000"
    fee: str = "0.1"
    slippage: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict[str, Mapping[str, str | None]])
    fee_coin: str | None = None
    inside: TimeFrame | None = None
    many: Json = field(default_factory=dict[str, Any])

    @property
    def key(self) -> str:
        """What names the same run: a hash of everything but what it is called."""
        text = json.dumps({**self.to_json(), "name": "", "version": VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> Json:
        """As plain JSON."""
        document: Json = json.loads(json.dumps(asdict(self)))
        if not self.many:  # specs from before there was any have the same key
            del document["many"]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Spec:
        """What `to_json` gave. Raises KeyError, TypeError, ValueError."""
        known = {name: document[name] for name in (each.name for each in fields(cls)) if name in document}
        known |= {
            "frame": TimeFrame(known["frame"]),
            "coins": tuple(known["coins"]),
            "sources": tuple(known["sources"]),
        }
        known["inside"] = TimeFrame(known["inside"]) if known.get("inside") else None
        return cls(**known)

    def with_parameters(self, parameters: Mapping[str, float]) -> Spec:
        """The same with other numbers of its first strategy."""
        first, *rest = self.sources
        chosen = {**first.get("parameters", {}), **parameters}
        return replace(self, sources=({**first, "parameters": chosen}, *rest))

    def between(self, begin: int, end: int) -> Spec:
        """The same over another time."""
        return replace(self, begin=begin, end=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A backtest that is ready: what it is tested on, its source, and when the first candle opened that it needs."""

    setup: Setup
    source: Replayed
    first: int
    warm_up: int
    strategies: tuple[StrategyReplay, ...]


def prepare(spec: Spec, *, warm_up_factor: float = 1, keep: bool = False, until: int | None = None) -> Prepared:
    """Everything but the candles. `warm_up_factor` lengthens the time before the first decision; `keep` keeps decisions.

    A strategy in Python reads candles ahead of its decisions: to before `until` (Unix seconds) where that is not the end.

    Raises BacktestError, InvalidStrategy.
    """
    if spec.begin >= spec.end:
        raise BacktestError("backtest_range")
    seconds = spec.frame.seconds
    begin = -(-spec.begin // seconds) * seconds
    limits: dict[str, Any] = {name: Decimal(value) for name, value in spec.limits.items()}
    setup = Setup(
        coins=spec.coins,
        frame=spec.frame,
        begin=begin,
        end=spec.end,
        quote=spec.quote,
        budget=Decimal(spec.budget),
        limits=Limits(**limits),
        costs=Costs(
            fee=Decimal(spec.fee) / HUNDRED, slip=None if spec.slippage is None else Decimal(spec.slippage) / HUNDRED
        ),
        rules=rules_of(spec),
        fee_coin=spec.fee_coin,
    )
    first, longest = begin - seconds, 0
    members: list[Replayed] = []
    strategies: list[StrategyReplay] = []
    for number, each in enumerate(spec.sources):
        key, weight = f"{each['kind']}-{number}", Decimal(each.get("weight", 100)) / HUNDRED
        match each["kind"]:
            case kind if kind in _STRATEGIES:
                source, start, warm_up = _STRATEGIES[kind](spec, each, begin, until or spec.end, keep=keep)
                source.key, source.weight = key, weight
                strategies.append(source)
                members.append(source)
                first = min(first, begin - round((begin - start) * warm_up_factor) // seconds * seconds)
                longest = max(longest, warm_up)
            case SourceKind.ALLOCATION:
                zone = ZoneInfo(each["time_zone"]) if "time_zone" in each else UTC
                own = AllocationSource(_allocation(each), zone)
                members.append(SourceReplay(source=own, key=key, weight=weight))
            case _:
                members.append(RecordedReplay(signals=_signals(each["signals"]), key=key, weight=weight))
    whole = len(members) == 1 and members[0].weight == ONE
    source_of_all = members[0] if whole else BlendReplay(members)
    return Prepared(setup=setup, source=source_of_all, first=first, warm_up=longest, strategies=tuple(strategies))


def candles_of(spec: Spec, coin: str, frame: TimeFrame, begin: int, end: int) -> Iterator[Candle]:
    """The candles of a coin, from where the spec says they are."""
    match spec.candles["kind"]:
        case "store":
            series = Series(spec.candles["host"], symbol_of(coin, spec.quote), frame)
            basis = frame.basis([TimeFrame(each) for each in spec.candles["frames"]])
            return from_store(CandleStore(Path(spec.candles["path"])), series, basis, begin, end)
        case "csv":
            return from_csv(Path(spec.candles["files"][coin]), frame, begin, end)
        case _:
            # From one fixed time on, so that a longer warm-up is one of the same walk.
            origin = spec.candles["origin"]
            walked = simulated(spec.candles["seed"], coin, frame, origin, end)
            return (candle for candle in walked if candle.opened >= begin)


def slots_of(spec: Spec, first: int, end: int) -> Iterator[Slot]:
    """The candles of all coins, from the first that is needed on."""
    return walk({coin: candles_of(spec, coin, spec.frame, first, end) for coin in spec.coins})


def inside_of(spec: Spec, begin: int) -> Inside | None:
    """Shorter candles, where they are to be looked into."""
    if spec.inside is None:
        return None
    shorter = walk({coin: candles_of(spec, coin, spec.inside, begin, spec.end) for coin in spec.coins})
    return Inside(shorter, spec.inside.seconds)


def rules_of(spec: Spec) -> dict[str, SymbolRules]:
    """Trading rules by symbol; what nobody has told binds as little as can be."""
    found = {}
    for coin in spec.coins:
        symbol = symbol_of(coin, spec.quote)
        told = spec.rules.get(symbol)
        rows = (told or DEFAULT_RULES).items()
        amounts: dict[str, Any] = {name: None if value is None else Decimal(value) for name, value in rows}
        found[symbol] = SymbolRules(symbol=symbol, base=coin, quote=spec.quote, **amounts)
    return found


# Steps and minimums that are usual for coins against a dollar.
DEFAULT_RULES: Mapping[str, str | None] = {"step": "0.00001", "min_quantity": "0.00001", "min_notional": "5"}
_TOLD = ("step", "min_quantity", "max_quantity", "tick", "min_price", "max_price", "min_notional", "quote_step")


def rules_row(rules: SymbolRules) -> dict[str, str | None]:
    """What binds orders of a symbol, as it is kept in a spec."""
    told = {name: getattr(rules, name) for name in _TOLD}
    return {name: None if value is None else f"{value:f}" for name, value in told.items()}


# Inside


def _strategy(
    spec: Spec, said: Mapping[str, Any], begin: int, _until: int, *, keep: bool
) -> tuple[StrategyReplay, int, int]:
    """A strategy of rules, when the first candle opened that it needs, and how many it warms up on."""
    strategy = read_strategy(said["text"])
    chosen = _chosen(said, strategy.parameters)
    for name, value in chosen.items():
        if not (allowed := strategy.parameters[name]).allows(value):
            bounds = {"minimum": f"{allowed.minimum:g}", "maximum": f"{allowed.maximum:g}"}
            raise BacktestError("backtest_parameter_range", name=name, **bounds)
    coins = _coins(spec, said)
    return _replay(spec, said, Evaluator(strategy, coins, spec.frame, chosen, _before(spec, begin)), begin, keep=keep)


def _script(
    spec: Spec, said: Mapping[str, Any], begin: int, until: int, *, keep: bool
) -> tuple[StrategyReplay, int, int]:
    """A strategy in Python, likewise."""
    script = read_script(said["text"])
    chosen = _chosen(said, script.parameters)
    coins = _coins(spec, said)

    def slots(first: int) -> Iterator[Slot]:
        return slots_of(replace(spec, coins=coins), first, until)

    rules = Scripted(script, coins, spec.frame, chosen, _before(spec, begin), slots)
    return _replay(spec, said, rules, begin, keep=keep)


_STRATEGIES = {SourceKind.STRATEGY: _strategy, SCRIPT: _script}


def _replay(
    spec: Spec, said: Mapping[str, Any], rules: Evaluator | Scripted, begin: int, *, keep: bool
) -> tuple[StrategyReplay, int, int]:
    share, seconds = Decimal(said.get("share", 100)) / HUNDRED, spec.frame.seconds
    replay = StrategyReplay(rules=rules, coins=_coins(spec, said), seconds=seconds, share=share, keep=keep)
    return replay, rules.start(begin - seconds), rules.warm_up


def _before(spec: Spec, begin: int) -> State:
    """How a strategy stands so that the first candle that it decides on closes when the backtest begins."""
    return State(last=begin - 2 * spec.frame.seconds)


def _coins(spec: Spec, said: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(said.get("coins", spec.coins))


def _chosen(said: Mapping[str, Any], known: Mapping[str, object]) -> dict[str, float]:
    chosen = {name: float(value) for name, value in said.get("parameters", {}).items()}
    if unknown := chosen.keys() - known.keys():
        raise BacktestError("backtest_parameter", name=", ".join(sorted(unknown)))
    return chosen


def _allocation(said: Mapping[str, Any]) -> AllocationSettings:
    default = AllocationSettings(shares={})
    at = said.get("at")
    return AllocationSettings(
        shares={coin: Decimal(share) / HUNDRED for coin, share in said["shares"].items()},
        when=frozenset(When(each) for each in said.get("when", ["schedule"])),
        interval=timedelta(hours=float(said.get("interval", 24))),
        at=time.fromisoformat(at) if at else None,
        drift=Decimal(said["drift"]) / HUNDRED if "drift" in said else default.drift,
        trade_to=TradeTo(said.get("trade_to", default.trade_to)),
        cash_reserve=Decimal(said.get("cash_reserve", 0)) / HUNDRED,
        cooldown=timedelta(hours=float(said.get("cooldown", 1))),
    )


def _signals(rows: Iterable[Mapping[str, Any]]) -> list[tuple[int, Signal]]:
    found = []
    for number, row in enumerate(rows):
        wants = from_text(json.dumps(row["wants"])) if "wants" in row else _shares(row["shares"])
        at = int(row["time"])
        found.append(
            (
                at,
                Signal(
                    signal_id=f"{number}",
                    wants=wants,
                    targets=wants.shares if isinstance(wants, Allocation) else None,
                    created_at=datetime.fromtimestamp(at, UTC),
                    reasoning=str(row.get("reason", "")),
                ),
            )
        )
    return found


def _shares(shares: Mapping[str, Any]) -> Allocation:
    return Allocation(shares={coin: Decimal(share) / HUNDRED for coin, share in shares.items()})
