"""Where the candles of a backtest come from, and what is asked for as plain JSON."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.calvalot.trading.backtest.data import CHUNK, from_csv, from_store, simulated
from custom_components.calvalot.trading.backtest.errors import BacktestError
from custom_components.calvalot.trading.backtest.fetch import fetch, spans_of, store_at, symbols_of
from custom_components.calvalot.trading.backtest.perform import perform, run as run_spec
from custom_components.calvalot.trading.backtest.spec import Spec, prepare, rules_row, slots_of
from custom_components.calvalot.trading.backtest.walk import Inside, Slot, walk
from custom_components.calvalot.trading.exchanges.base import SymbolRules
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.market.store import Series

from .backtests import BEGIN, FRAME, HOUR, flat, spec_of

ABOVE = "enter: {value: price, above: 10}\nexit: {value: price, below: 8}\n"
DAY = 86_400


# Files


def write(folder: Path, *lines: str) -> Path:
    """A file of candles."""
    path = folder / "candles.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path, begin: int = 0, end: int = 10**11) -> list[Candle]:
    """Its candles of an hour."""
    return [*from_csv(path, FRAME, begin, end)]


@pytest.mark.parametrize(
    "time", [f"{BEGIN}", f"{BEGIN}000", f"{BEGIN}000000", "2023-11-14T00:00:00", "2023-11-14 01:00+01:00", f"{BEGIN}.0"]
)
def test_csv(time: str, tmp_path: Path) -> None:
    """Times in whatever form; titles, empty lines and more columns do not matter."""
    path = write(tmp_path, "time,open,high,low,close,volume", "", f"{time},1,3,0.5,2,7,more,columns")
    assert read(path) == [Candle(BEGIN, 1, 3, 0.5, 2, 7)]


def test_csv_of_a_span(tmp_path: Path) -> None:
    """What is outside is left out, and not even read."""
    rows = [f"{BEGIN + number * HOUR},1,1,1,1,1" for number in range(4)]
    path = write(tmp_path, *rows, "nonsense")
    assert [each.opened for each in read(path, BEGIN + HOUR, BEGIN + 3 * HOUR)] == [BEGIN + HOUR, BEGIN + 2 * HOUR]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"{BEGIN},1,1", "line 1"),
        (f"{BEGIN},1,1,1,one,1", "could not convert"),
        ("2023-14-14,1,1,1,1,1", "month"),
        (f"{BEGIN},1,1,2,1,1", "do not fit together"),
        (f"{BEGIN},1,1,0,1,1", "do not fit together"),
        (f"{BEGIN},nan,1,1,1,1", "do not fit together"),
        (f"{BEGIN},1,1,1,1,-1", "do not fit together"),
        (f"{BEGIN},1,inf,1,1,1", "do not fit together"),
        (f"{BEGIN + 60},1,1,1,1,1", "does not open at that time"),
        ("1e400,1,1,1,1,1", "cannot convert"),
    ],
)
def test_csv_that_is_wrong(row: str, words: str, tmp_path: Path) -> None:
    """The line is named, and nothing is guessed."""
    with pytest.raises(BacktestError, match=words):
        read(write(tmp_path, row))


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, or no text."""
    with pytest.raises(BacktestError, match="cannot be read"):
        read(tmp_path / "none.csv")
    path = tmp_path / "candles.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BacktestError, match="no text"):
        read(path)


# A random walk


def test_simulated() -> None:
    """The same seed gives the same candles; they make sense, and another seed gives others."""
    one, same, other = ([*simulated(seed, "BTC", FRAME, BEGIN, BEGIN + 50 * HOUR)] for seed in (1, 1, 2))
    assert one == same != other
    assert len(one) == 50
    assert all(each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high for each in one)
    assert [each.opened for each in one] == [*range(BEGIN, BEGIN + 50 * HOUR, HOUR)]


# The store


def test_from_the_store(tmp_path: Path) -> None:
    """A part at a time, in order; longer candles are made from shorter ones."""
    store = store_at(tmp_path / "candles.db")
    series = Series("host", "BTCUSDC", TimeFrame.M5)
    count = CHUNK + 7
    candles = flat(*[float(number % 5 + 1) for number in range(count)], frame=TimeFrame.M5)
    store.write([(series, each) for each in candles], BEGIN + count * 300)
    end = BEGIN + count * 300
    assert [*from_store(store, series, TimeFrame.M5, BEGIN, end)] == candles
    longer = [*from_store(store, Series("host", "BTCUSDC", TimeFrame.M10), TimeFrame.M5, BEGIN, end)]
    assert len(longer) == count // 2
    assert longer[0].volume == 2


class Exchange:
    """An exchange with some candles."""

    time_frames = frozenset(TimeFrame) - {TimeFrame.M10}

    def __init__(self, candles: Mapping[str, list[Candle]], now: int) -> None:
        self.known = candles
        self.now = now
        self.asked = 0

    async def server_time(self) -> datetime:
        """Its clock."""
        return datetime.fromtimestamp(self.now, UTC)

    async def candles(self, symbol: str, _frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """A page."""
        self.asked += 1
        return [each for each in self.known.get(symbol, ()) if start <= each.opened < end][:1000]


async def test_fetch(tmp_path: Path) -> None:
    """What is missing is asked for, once; how far it is goes up to the whole."""
    store = store_at(tmp_path / "candles.db")
    candles = flat(*([10.0] * 1500))
    exchange = Exchange({"BTCUSDC": candles}, BEGIN + 1500 * HOUR)
    told: list[float] = []

    async def report(done: float) -> None:
        told.append(done)

    spans = spans_of(FRAME, BEGIN + 60, None, BEGIN, BEGIN + 1500 * HOUR)
    assert spans == [(FRAME, BEGIN, BEGIN + 1500 * HOUR)]
    await fetch(exchange, store, "host", symbols_of(["BTC"], "USDC"), spans, report)
    assert told[0] == 0
    assert told[-1] == 1
    asked = exchange.asked
    await fetch(exchange, store, "host", ["BTCUSDC"], spans, report)
    assert exchange.asked == asked
    assert len([*from_store(store, Series("host", "BTCUSDC", FRAME), FRAME, BEGIN, BEGIN + 1500 * HOUR)]) == 1500
    assert spans_of(FRAME, BEGIN, TimeFrame.M5, BEGIN, BEGIN + HOUR)[1:] == [(TimeFrame.M5, BEGIN, BEGIN + HOUR)]


async def test_fetch_without_candles(tmp_path: Path) -> None:
    """A coin without any in that time, as before it was listed."""

    async def report(done: float) -> None:
        """Nobody looks."""

    exchange = Exchange({}, BEGIN + DAY)
    with pytest.raises(BacktestError, match="no candles of BTCUSDC"):
        await fetch(
            exchange, store_at(tmp_path / "candles.db"), "host", ["BTCUSDC"], [(FRAME, BEGIN, BEGIN + DAY)], report
        )


# The walk


def test_walk_of_several_coins() -> None:
    """What opened together comes together; a coin without a candle is missing."""
    one, other = flat(1, 2, 3), flat(4, 5, 6)
    slots = [*walk({"BTC": one, "ETH": [other[0], other[2]]})]
    assert [sorted(slot.candles) for slot in slots] == [["BTC", "ETH"], ["BTC"], ["BTC", "ETH"]]
    assert [slot.opened for slot in slots] == [each.opened for each in one]


def test_inside() -> None:
    """Spans are handed out once; what lies before one is gone."""

    def slots() -> Iterator[Slot]:
        yield from (Slot(number, {}) for number in range(10))

    inside = Inside(slots(), 60)
    assert [slot.opened for slot in inside.between(2, 4)] == [2, 3]
    assert [slot.opened for slot in inside.between(2, 5)] == [4]
    assert [slot.opened for slot in inside.between(8, 20)] == [8, 9]
    assert [*inside.between(20, 30)] == []


# What is asked for


def test_spec_as_json() -> None:
    """It goes to another process and comes back the same; its key does not depend on its name."""
    spec = spec_of(ABOVE, inside=TimeFrame.M5, limits={"min_order": "10"}, slippage="0.2")
    text = json.dumps(spec.to_json())
    assert Spec.from_json(json.loads(text)) == spec
    assert spec_of(ABOVE, name="other").key == spec_of(ABOVE).key != spec.key
    assert spec.with_parameters({"a": 1}).sources[0]["parameters"] == {"a": 1}
    assert spec.between(1, 2).end == 2


def test_prepared() -> None:
    """Limits, costs and rules are those of the spec; the time begins with a candle."""
    rules = SymbolRules(symbol="BTCUSDC", base="BTC", quote="USDC", step=Decimal("0.01"), max_quantity=None)
    spec = spec_of(
        ABOVE,
        begin=BEGIN + 60,
        limits={"min_order": "10"},
        fee="0.2",
        slippage="0.3",
        rules={"BTCUSDC": rules_row(rules)},
    )
    prepared = prepare(spec)
    setup = prepared.setup
    assert setup.begin == BEGIN + HOUR
    assert setup.limits.min_order == 10
    assert (setup.costs.fee, setup.costs.slippage("BTC")) == (Decimal("0.002"), Decimal("0.003"))
    assert setup.rules["BTCUSDC"] == rules
    assert prepared.first < BEGIN
    assert prepared.warm_up == 1


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"begin": BEGIN, "end": BEGIN}, "begin before it ends"),
        ({"begin": BEGIN + 1, "end": BEGIN}, "begin before it ends"),
    ],
)
def test_a_time_that_is_wrong(others: dict[str, Any], words: str) -> None:
    """Backwards, or none at all."""
    with pytest.raises(BacktestError, match=words):
        prepare(spec_of(ABOVE, **others))


def test_numbers_that_do_not_fit() -> None:
    """A parameter that is not there, or out of its range."""
    text = "parameters: {level: {default: 10, minimum: 1, maximum: 20}}\n" + ABOVE.replace("above: 10", "above: level")
    with pytest.raises(BacktestError, match="no parameter other"):
        prepare(spec_of(text).with_parameters({"other": 1}))
    with pytest.raises(BacktestError, match="between 1 and 20"):
        prepare(spec_of(text).with_parameters({"level": 21}))
    assert prepare(spec_of(text).with_parameters({"level": 11}))


def test_no_candles_at_all(tmp_path: Path) -> None:
    """A time before the first candle."""
    path = write(tmp_path, f"{BEGIN + 10 * DAY},1,1,1,1,1")
    spec = spec_of(ABOVE, candles={"kind": "csv", "files": {"BTC": f"{path}"}}, end=BEGIN + DAY)
    with pytest.raises(BacktestError, match="no candles of BTC"):
        perform(spec)


async def test_every_kind_of_source(tmp_path: Path) -> None:
    """A strategy, an own allocation and signals of a leader, blended; and each alone."""
    allocation = {
        "kind": "allocation",
        "shares": {"BTC": "50"},
        "when": ["schedule", "drift"],
        "interval": 24,
        "at": "08:00",
        "drift": "10",
        "trade_to": "target",
        "cash_reserve": "5",
        "cooldown": 2,
    }
    signals = {"kind": "signals", "signals": [{"time": BEGIN + 60, "shares": {"BTC": "80"}, "reason": "up"}]}
    strategy = spec_of("enter: {value: price, above: 1}\nstop_loss: 50\n").sources[0]
    weights = ("40", "40", "20")
    sources = tuple(
        {**each, "weight": weight} for each, weight in zip((strategy, allocation, signals), weights, strict=True)
    )
    blended, prepared, _ = await run_spec(spec_of(ABOVE, sources=sources))
    assert len(prepared.strategies) == 1
    assert blended.book.fills
    for source in (allocation, signals):
        outcome, prepared, warm = await run_spec(spec_of(ABOVE, sources=(source,)))
        assert outcome.book.fills
        assert prepared.strategies == ()
        assert (prepared.warm_up, warm) == (0, 1)
    assert outcome.book.fills[0].reason == "up"


def test_simulated_walk_is_one(tmp_path: Path) -> None:
    """However early it is looked at, a candle is the same."""
    spec = spec_of(ABOVE)
    early = {slot.opened: slot for slot in slots_of(spec, BEGIN - DAY, BEGIN + DAY)}
    late = {slot.opened: slot for slot in slots_of(spec, BEGIN, BEGIN + DAY)}
    assert late.items() <= early.items()
