"""What a portfolio has, tested on candles: a leader's recorded signals, strategies in Python, several at once."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import io
import json
import os
from pathlib import Path
from random import Random
import signal
import subprocess
import time
from typing import Any

from aiohttp import ClientSession
import pytest

from custom_components.calvalot.trading.apart import command, search_path
from custom_components.calvalot.trading.backtest import cli, job, scripted
from custom_components.calvalot.trading.backtest.errors import BacktestError
from custom_components.calvalot.trading.backtest.many import Wanted
from custom_components.calvalot.trading.backtest.perform import perform, run
from custom_components.calvalot.trading.backtest.recorded import coins_of, recorded
from custom_components.calvalot.trading.backtest.scripted import Scripted
from custom_components.calvalot.trading.backtest.spec import Spec, prepare
from custom_components.calvalot.trading.backtest.sweep import grid, measure, on_cores, sweep
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Result, SignalRecord
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.signal import Kind
from custom_components.calvalot.trading.sources.leader import Leader, LeaderSource
from custom_components.calvalot.trading.strategies.evaluator import Levels, State
from custom_components.calvalot.trading.strategies.script import read_script
from custom_components.calvalot.trading.wants import Allocation, Move, Moves
from simulators.leader import LeaderSimulator

from .backtests import BEGIN, FRAME, HOUR, Living, fills, flat, outcome_of, setup_of, spec_of
from .random_strategies import random_candles

DAY = 86_400
CROSSING = (
    "parameters:\n  short: {default: 5, minimum: 2, maximum: 20}\n"
    "indicators:\n  fast: {type: sma, length: short}\n  slow: {type: sma, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)
# The same crossing in Python.
SCRIPT = """
class Crossing:
    candles = 21
    parameters = {"short": 5}
    def decide(self, candles, position):
        wanted = {}
        for coin, rows in candles.items():
            closes = [row.close for row in rows]
            def mean(count, end):
                return sum(closes[end - count:end]) / count
            short, end = int(self.parameters["short"]), len(closes)
            now, before = mean(short, end) - mean(20, end), mean(short, end - 1) - mean(20, end - 1)
            if not position[coin] and before <= 0 < now:
                wanted[coin] = 100
            elif position[coin] and before >= 0 > now:
                wanted[coin] = 0
        return wanted
"""


def script_spec(text: str, **others: Any) -> Spec:
    """A spec of a strategy in Python, on a walk."""
    return spec_of("", sources=({"kind": "script", "text": text, **others.pop("said", {})},), **others)


# A leader's month


@pytest.fixture
async def leader(socket_enabled: None) -> AsyncGenerator[LeaderSimulator]:
    """A leader that has published nothing yet."""
    async with LeaderSimulator() as simulator:
        yield simulator


@pytest.mark.parametrize("version", [1, 2])
async def test_a_leaders_month_replayed(version: int, leader: LeaderSimulator, tmp_path: Path) -> None:
    """What a portfolio took up of its leader in a month, from its ledger: a backtest of it trades what the portfolio did."""
    random = Random(version)
    frame = TimeFrame.H4
    candles = {coin: random_candles(random, frame, 31 * 6) for coin in ("BTC", "SOL")}
    setup = setup_of(candles, frame, first=6)
    living = Living(setup, candles, tmp_path)

    def publish(at: int) -> None:
        if random.random() > 0.2:
            return
        said = {"created_at": datetime.fromtimestamp(at, UTC).isoformat()}
        share = round(random.uniform(0.05, 0.45), 2)
        if version == 2:
            leader.publish_v2({"BTC": share, "SOL": 0.5 - share}, **said)
        else:
            leader.publish_v1([("BTC", random.choice(["BUY", "SELL"]), share / 2)], **said)

    living.before = publish
    async with ClientSession() as session:
        source = LeaderSource(Leader(session, leader.url, leader.secret, "1.2.3"))
        traded = await living.live({"leader": source})
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (setup.begin, setup.end))
    living.ledger.open()
    rows = recorded(living.ledger, "leader", begin, end)
    living.ledger.close()
    assert len(rows) > 15
    assert json.loads(json.dumps(rows)) == rows
    spec = spec_of("", sources=({"kind": "signals", "signals": rows},), coins=setup.coins, frame=frame)
    outcome = await outcome_of(prepare(spec).source, setup, candles)
    assert fills(outcome) == traded
    assert living.portfolio == outcome.book.portfolio
    assert len(traded) > 15


def _record(number: int, **others: Any) -> SignalRecord:
    seen = datetime.fromtimestamp(BEGIN + number * HOUR, UTC)
    known = {"wants": Allocation(shares={"BTC": Decimal("0.5")}), "result": Result.EXECUTED, "reasoning": f"{number}"}
    return SignalRecord(signal_id=f"{number}", seen_at=seen, **{**known, **others})


def test_recorded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one source, oldest first: nothing refused, nothing that another record stands for, nothing of the portfolio's own."""
    monkeypatch.setattr("custom_components.calvalot.trading.backtest.recorded.PAGE", 2)
    moves = Moves((Move("ETH", Side.BUY, Decimal("0.1")),))
    for record in (
        _record(0),
        _record(1, wants=moves),
        _record(2, source="alerts"),
        _record(3, wants=None, result=Result.REJECTED),
        _record(4, result=Result.REJECTED),
        _record(5, reason="covered by initial_sync"),
        _record(6, kind=Kind.STOP_LOSS),
        _record(7, kind=Kind.JOINING),
        _record(9),
    ):
        ledger.write_signal(record)
    begin, end = (datetime.fromtimestamp(BEGIN + hours * HOUR, UTC) for hours in (0, 9))
    rows = recorded(ledger, "leader", begin, end)
    assert [row["reason"] for row in rows] == ["0", "1", "7"]
    assert rows[0]["time"] == BEGIN
    assert coins_of(rows) == ("BTC", "ETH")
    assert coins_of(recorded(ledger, "alerts", begin, end)) == ("BTC",)
    assert recorded(ledger, "leader", end + timedelta(hours=1), end + timedelta(hours=2)) == []
    monkeypatch.setattr("custom_components.calvalot.trading.backtest.recorded.MOST", 1)
    assert [row["reason"] for row in recorded(ledger, "leader", begin, end)] == ["7"]


# Strategies in Python


async def test_python_trades_as_rules_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same crossing written in both ways trades the same, also where it decides on short stretches."""
    rules, _, _ = await run(spec_of(CROSSING, end=BEGIN + 20 * DAY))
    assert len(rules.book.fills) > 5
    monkeypatch.setattr(scripted, "STRETCH", 150)
    python, prepared, _ = await run(script_spec(SCRIPT, end=BEGIN + 20 * DAY))
    assert fills(python) == fills(rules)
    assert prepared.warm_up == 21


def test_python_is_checked_and_swept() -> None:
    """It never looks ahead; its number may be another one, and two sources may be blended, one with coins of its own."""
    spec = script_spec(SCRIPT, said={"parameters": {"short": 3}}, end=BEGIN + 10 * DAY)
    result = perform(spec)
    assert {each["key"] for each in result["findings"]} >= {"few_trades", "short_time"}
    assert "warm_up" not in {each["key"] for each in result["findings"]}
    assert result["figures"]["trades"] > 1
    points = sweep(spec, grid({"short": [3.0, 8.0]}), on_cores(1), lambda _: None)
    assert points[0].figures["value"] == result["figures"]["value"]
    assert points[1].figures["value"] != points[0].figures["value"]
    assert "other" in (measure(spec.with_parameters({"other": 1.0}).to_json())["problem"] or "")
    both = script_spec(SCRIPT, end=BEGIN + 10 * DAY, coins=("BTC", "SOL"))
    first = {**both.sources[0], "weight": "60", "coins": ["SOL"]}
    second = {"kind": "strategy", "text": f"name: x\n{CROSSING}", "weight": "40", "coins": ["BTC"]}
    blended = perform(Spec.from_json({**both.to_json(), "sources": [first, second]}))
    assert {each["name"] for each in blended["coins"]} == {"BTC", "SOL"}


PEEKING = """
import gc
class Peeking:
    candles = 2
    def decide(self, candles, position):
        rows = candles["BTC"]
        known = [each for each in gc.get_objects() if isinstance(each, list) and each and type(each[0]) is Candle]
        whole = max(known, key=len)
        later = [row for row in whole if row.opened > rows[-1].opened]
        return {"BTC": 100 if later and later[0].close > rows[-1].close else 0}
"""


def test_python_that_looks_ahead() -> None:
    """One that finds the later candles in the memory of its process is named, and refused."""
    with pytest.raises(BacktestError) as caught:
        perform(script_spec(PEEKING, end=BEGIN + 4 * DAY))
    assert caught.value.key == "backtest_looks_ahead"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("1 / (rows[-1].opened % 180_000)", "ZeroDivisionError"),
        ("return {'BTC': 200}", "200"),
        ("import os; os._exit(3)", "–"),
        ("return {'BTC': 50} if rows[-1].opened % 86_400 != 43_200 else 1 / 0", "ZeroDivisionError"),
    ],
)
def test_python_that_raises(body: str, words: str, tmp_path: Path) -> None:
    """In the middle: a plain reason with the time, and no result."""
    text = f"class It:\n    candles = 1\n    def decide(self, candles, position):\n        rows = candles['BTC']\n        {body}\n"
    out = io.StringIO()
    path = tmp_path / "x.result.json"
    job.main([f"{path}"], json.dumps(script_spec(text).to_json()), out)
    problem = json.loads(out.getvalue().splitlines()[-1])["problem"]
    assert problem["key"] == "backtest_strategy_failed"
    assert words in problem["placeholders"]["error"]
    assert not path.exists()


def test_scripted_beyond_its_candles() -> None:
    """Where the candles end it decides nothing more; between closes it has nothing to say."""
    script = read_script(
        "class It:\n    candles = 1\n    def decide(self, candles, position):\n        return {'BTC': 50}\n"
    )
    rows = flat(10.0, 11.0)
    made = Scripted(script, ("BTC",), FRAME, {}, State(last=BEGIN - 2 * HOUR), lambda _: [])
    assert made.step(BEGIN, {"BTC": rows[0]}) is None
    assert made.watch({"BTC": 1.0}, BEGIN) is None
    assert made.levels("BTC") == Levels(None, None)


def test_python_in_a_terminal(tmp_path: Path) -> None:
    """A file of one's own is run as it is."""
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT)
    out, err = io.StringIO(), io.StringIO()
    arguments = [
        f"{path}",
        "--simulated",
        "1",
        "--from",
        "2024-01-01",
        "--to",
        "2024-01-10",
        "--set",
        "short=4",
        "--json",
        "-",
    ]
    assert cli.main(arguments, out, err) == 0, err.getvalue()
    result = json.loads(out.getvalue())
    assert result["spec"]["sources"][0]["kind"] == "script"
    assert result["spec"]["name"] == "Crossing"
    assert cli.main([f"{tmp_path / 'none.py'}", "--simulated", "1"], out, err) == 1


# Many, in a job


def wanted(**said: Any) -> dict[str, Any]:
    """What is tried beside a run."""
    return Wanted(**said).to_json()


def test_wanted() -> None:
    """As plain JSON and back; where nothing is wanted there is nothing, and the key of a spec is what it was."""
    assert wanted() == {}
    full = Wanted(ranges={"short": [3.0, 6.0]}, by="return", steps=2, rounds=50)
    assert Wanted.from_json(json.loads(json.dumps(full.to_json()))) == full
    assert Wanted.from_json({}) == Wanted()
    assert "many" not in spec_of(CROSSING).to_json()
    spec = spec_of(CROSSING, many=full.to_json())
    assert Spec.from_json(spec.to_json()) == spec
    assert spec.key != spec_of(CROSSING).key


def test_sweep_in_a_job(socket_enabled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of a sweep with all combinations, steps and other orders; how far it is only goes up."""
    monkeypatch.setattr(job.os, "nice", lambda _: 0)
    monkeypatch.setattr(job, "EVERY", 0.0)
    ranges = {"short": [3.0, 6.0]}
    spec = spec_of(CROSSING, many=wanted(ranges=ranges, by="return", steps=2, rounds=50))
    path, out = tmp_path / "x.result.json", io.StringIO()
    job.main([f"{path}"], json.dumps(spec.to_json()), out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[-1] == {"done": True}
    told = [line["progress"] for line in lines[:-1]]
    assert told == sorted(told)
    assert told[-1] <= 1
    result = json.loads(path.read_text())
    assert len(result["sweep"]["points"]) == 2
    assert result["spec"]["sources"][0]["parameters"] == result["sweep"]["best"]["parameters"]
    assert len(result["walk_forward"]) == 2
    assert result["monte_carlo"]["rounds"] == 50


def children_of(pid: int) -> list[int]:
    """Processes that one has started, and those that these have."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            number = int(status.parent.name)
            found += [number, *children_of(number)]
    return found


def is_there(pid: int) -> bool:
    """Whether a process is at work."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_that_ends_takes_its_processes_with_it(how: signal.Signals, tmp_path: Path) -> None:
    """A sweep over the cores is asked to end, or killed: nothing of it works on, and there is no result."""
    path = tmp_path / "x.result.json"
    ranges = {"short": [float(number) for number in range(2, 20)]}
    spec = spec_of(CROSSING, end=BEGIN + 4000 * DAY, many=wanted(ranges=ranges))
    environment = {**os.environ, **search_path()}
    with subprocess.Popen(
        command("backtest.job", f"{path}"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin
        process.stdin.write(json.dumps(spec.to_json()))
        process.stdin.close()
        started: list[int] = []
        for _ in range(1200):
            started = children_of(process.pid)
            if started:
                break
            time.sleep(0.05)
        assert started
        process.send_signal(how)
        process.wait(60)
    for _ in range(1200):
        if not any(is_there(each) for each in started):
            break
        time.sleep(0.05)
    assert not [each for each in started if is_there(each)]
    assert not path.exists()
