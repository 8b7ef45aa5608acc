"""Strategies in Python: read without being run, run in a process that is bounded, and pinned by their hash."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
import json
import os
from pathlib import Path
from random import Random
import resource
import select
from typing import Any

import pytest

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies import script_job, template
from custom_components.calvalot.trading.strategies.document import InvalidStrategy
from custom_components.calvalot.trading.strategies.evaluator import Levels, State
from custom_components.calvalot.trading.strategies.script import (
    LARGEST,
    Script,
    read_file,
    read_script,
    script_path,
    sha256_of,
)
from custom_components.calvalot.trading.strategies.script_evaluator import ScriptEvaluator, StrategyFailed
from custom_components.calvalot.trading.strategies.script_run import Answer, Request, run, tried

from .random_strategies import BEGIN, random_candles

HOUR = 3600
TEMPLATE = Path(template.__file__).read_text(encoding="utf-8")
# Holds a coin after a candle that rose, and says so by what it is given.
RISING = """
class Rising:
    candles = 3
    parameters = {"size": 50}
    def decide(self, candles, position):
        assert all(len(rows) == 3 for rows in candles.values())
        return {coin: self.parameters["size"] if rows[-1].close > rows[-1].open else 0 for coin, rows in candles.items()}
"""


def script(body: str, head: str = "    candles = 1\n") -> Script:
    """One whose `decide` has this body."""
    return read_script(f"class It:\n{head}    def decide(self, candles, position):\n        {body}\n")


def request(made: Script, steps: int = 1, **position: float) -> Request:
    """Ask it about candles of BTC that rise, with a position."""
    rows = [Candle(BEGIN + number * HOUR, 10, 12, 9, 11 + number, 1) for number in range(steps + made.count - 1)]
    return Request(
        script=made,
        candles={"BTC": rows},
        steps=[{"BTC": number + made.count} for number in range(steps)],
        position={"BTC": 0.0, **position},
        parameters=made.parameters,
    )


def decided(body: str, **position: float) -> Any:
    """What the job says of one step, in this process."""
    (answer,) = script_job.decisions(as_json(request(script(body), **position)))
    return answer


def as_json(asked: Request) -> Mapping[str, Any]:
    """A request as the process hears it."""
    rows = {
        coin: [(each.opened, each.open, each.high, each.low, each.close, each.volume) for each in candles]
        for coin, candles in asked.candles.items()
    }
    return json.loads(
        json.dumps(
            {
                "text": asked.script.text,
                "class_name": asked.script.class_name,
                "count": asked.script.count,
                "candles": rows,
                "steps": asked.steps,
                "position": asked.position,
                "parameters": asked.parameters,
            }
        )
    )


# What it says of itself


def test_the_template_says_what_it_is() -> None:
    """It is read without being run, and decides as it says."""
    read = read_script(TEMPLATE)
    assert (read.class_name, read.name, read.time_frame, read.count) == (
        "AboveAverage",
        "Above its average",
        TimeFrame.H1,
        50,
    )
    assert read.values({}) == {"size": 100}
    assert read.values({"size": 40}) == {"size": 40}
    rows = [Candle(BEGIN, 1, 1, 1, price, 1) for price in (1, 2, 3)]
    strategy = template.AboveAverage()
    assert strategy.decide({"BTC": rows, "ETH": rows[::-1]}, {"BTC": 0, "ETH": 50}) == {"BTC": 50, "ETH": 0}
    assert strategy.decide({"ETH": rows[::-1]}, {"ETH": 0}) == {}


def test_what_is_left_out_has_a_default() -> None:
    """A class with nothing but `decide` is enough; names with a type count too."""
    read = read_script("class Bare:\n    def decide(self, candles, position): return None\n")
    assert (read.name, read.time_frame, read.count, read.parameters) == ("Bare", TimeFrame.H1, 200, {})
    typed = read_script("class It:\n    x: int\n    candles: int = 7\n    def decide(self, candles, position): ...\n")
    assert typed.count == 7


CLASS = "class It:\n    {}\n    def decide(self, candles, position): ...\n"


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("class It\n", "python_syntax", 1),
        ("x = '\0'\n", "python_syntax", 0),
        ("x = '\ud800'\n", "python_syntax", 0),
        ("x = 1\n", "python_no_class", 0),
        ("class It:\n    def other(self): ...\n", "python_no_class", 0),
        (CLASS.format("x = 1") + CLASS.format("x = 2"), "python_classes", 4),
        ("class It:\n    def decide(self, candles): ...\n", "python_decide", 2),
        ("class It:\n    async def decide(self, candles, position): ...\n", "python_decide", 2),
        (CLASS.format("candles = 0"), "python_value", 2),
        (CLASS.format("candles = 1001"), "python_value", 2),
        (CLASS.format("candles = True"), "python_value", 2),
        (CLASS.format("candles = int('5')"), "python_value", 2),
        (CLASS.format("time_frame = '7h'"), "python_value", 2),
        (CLASS.format("time_frame = 60"), "python_value", 2),
        (CLASS.format("name = ' '"), "python_value", 2),
        (CLASS.format("parameters = {'a': 'b'}"), "python_value", 2),
        (CLASS.format("parameters = {'a': 1e999}"), "python_value", 2),
        (CLASS.format("parameters = {'a': True}"), "python_value", 2),
        (CLASS.format("parameters = {1: 1}"), "python_value", 2),
        (CLASS.format("parameters = [1]"), "python_value", 2),
    ],
)
def test_what_is_refused(text: str, key: str, line: int) -> None:
    """With the line that it is about; nothing is guessed."""
    with pytest.raises(InvalidStrategy) as refused:
        read_script(text)
    assert (refused.value.key, refused.value.line) == (key, line)


def test_nothing_is_run_to_read_it(tmp_path: Path) -> None:
    """Not even what stands outside of the class."""
    read_script(f"open({str(tmp_path / 'trace')!r}, 'w')\n" + CLASS.format("x = print()"))
    assert not list(tmp_path.iterdir())


def test_files(tmp_path: Path) -> None:
    """One that is not there, too large, not text, or with a name that is none."""
    assert script_path("mine.py", tmp_path) == tmp_path / "mine.py"
    for name in ("../mine.py", "mine", "a/b.py", ".py", "mine.yaml"):
        with pytest.raises(InvalidStrategy, match="file_name"):
            script_path(name, tmp_path)
    path = tmp_path / "mine.py"
    with pytest.raises(InvalidStrategy, match="no_file"):
        read_file(path)
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(InvalidStrategy, match="too_large"):
        read_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidStrategy, match="python_syntax"):
        read_file(path)
    path.write_bytes(b"# \xc3\xa9")
    assert read_file(path) == "# é"
    assert sha256_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# What its process does


def test_decisions() -> None:
    """Shares, as before, and numbers of any kind; each step has an instance of its own, and the position of the one before."""
    assert decided("return {'BTC': 50}") == {"shares": {"BTC": 50.0}}
    assert decided("return None") == {"shares": None}
    assert decided("return {}") == {"shares": {}}
    assert decided("from decimal import Decimal; return {'BTC': Decimal(1)}") == {"shares": {"BTC": 1.0}}
    body = "self.seen = getattr(self, 'seen', 0) + 1; return {'BTC': position['BTC'] + self.seen}"
    answers = [*script_job.decisions(as_json(request(script(body), 3)))]
    assert answers == [{"shares": {"BTC": share}} for share in (1.0, 2.0, 3.0)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return 5", "int"),
        ("return {'ETH': 5}", "'ETH'"),
        ("return {'BTC': 'x'}", "BTC: str"),
        ("return {'BTC': '5'}", "BTC: '5'"),
        ("return {'BTC': True}", "BTC: True"),
        ("return {'BTC': -1}", "BTC: -1"),
        ("return {'BTC': 101}", "BTC: 101"),
        ("return {'BTC': float('nan')}", "BTC: nan"),
        ("return {'BTC': None}", "BTC: NoneType"),
    ],
)
def test_results_that_are_refused(body: str, text: str) -> None:
    """A share is a number from 0 to 100 of a coin of its own."""
    assert decided(body) == {"error": "result", "text": text, "line": 0}


def test_more_than_everything() -> None:
    """What is left as it is counts too."""
    assert decided("return {'BTC': 60}", ETH=50.0) == {"error": "result", "text": "110 %", "line": 0}
    assert decided("return {'BTC': 50}", ETH=50.0) == {"shares": {"BTC": 50.0}}


def test_failures_name_their_line() -> None:
    """Also those of a library, an exit, and what has no text."""
    assert decided("return 1 / 0") == {
        "error": "failed",
        "text": "ZeroDivisionError: division by zero",
        "line": 4,
    }
    assert decided("import json; json.loads('x')")["line"] == 4
    assert decided("raise SystemExit") == {"error": "failed", "text": "SystemExit", "line": 4}
    assert decided("raise MemoryError") == {"error": "memory", "text": "", "line": 4}
    assert len(decided("raise ValueError('x' * 1000)")["text"]) == script_job.LONGEST_ERROR
    broken = replace(script("return None"), text="import no_such_package\n")
    (answer,) = script_job.decisions(as_json(request(broken)))
    assert answer["line"] == 1
    assert "no_such_package" in answer["text"]
    lost = replace(script("return None"), class_name="Other")
    (answer,) = script_job.decisions(as_json(request(lost)))
    assert answer == {"error": "failed", "text": "KeyError: 'Other'", "line": 0}


def test_confined() -> None:
    """Before anything is run: time, memory, files, and an end where nobody waits any more."""
    limits: dict[int, tuple[int, int]] = {}
    alarms: list[int] = []
    script_job.confine(10, 1 << 20, limits.__setitem__, alarms.append)
    assert limits == {
        resource.RLIMIT_CPU: (10, 10),
        resource.RLIMIT_AS: (1 << 20, 1 << 20),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    assert alarms == [11]


def problem(body: str, seconds: float = 10) -> InvalidStrategy:
    """Why a strategy fails in a process of its own."""
    answer = run(request(script(body)), seconds)
    assert not answer.shares
    assert answer.problem
    return answer.problem


def test_run_in_a_process_of_its_own() -> None:
    """Several steps, and with another process id than ours."""
    assert run(request(script("return {'BTC': position['BTC'] + 1}"), 3)) == Answer(
        [{"BTC": each} for each in (1, 2, 3)]
    )
    told = problem("import os; raise ValueError(os.getpid())")
    assert told.placeholders["error"] != f"ValueError: {os.getpid()}"
    assert run(request(script("import os; return {'BTC': 5 if os.getppid() > 1 else 6}"))).problem is None


def test_what_it_decided_before_it_failed_counts() -> None:
    """The steps before the one that fails."""
    answer = run(request(script("return {'BTC': 1 / (2 - position['BTC'])} if position['BTC'] else {'BTC': 2}"), 3))
    assert [*answer.shares] == [{"BTC": 2}]
    assert answer.problem
    assert answer.problem.key == "python_failed"


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(600)", "import signal; signal.pause()"])
def test_one_that_never_ends_is_ended(body: str) -> None:
    """Whether it computes or waits."""
    answer = run(request(script(body)), 1.5)
    assert answer.is_late
    assert answer.problem
    assert answer.problem.key == "python_time"


def test_what_it_starts_ends_with_it(tmp_path: Path) -> None:
    """A process that it leaves behind does not hold anything up, and is gone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    start = f"import os, subprocess; subprocess.Popen(['sleep', '600'], stdin=os.open({str(pipe)!r}, os.O_RDWR)); return None"
    assert run(request(script(start))).problem is None
    # Nobody holds the other end any more once it reads the end of the file.
    assert select.select([reading], [], [], 60)[0]
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_one_that_eats_memory() -> None:
    """It is refused what is more than its own."""
    told = problem("x = bytearray(4 << 30); return None")
    assert (told.key, told.line, told.placeholders["size"]) == ("python_memory", 4, "512")


def test_one_that_writes_to_the_disk(tmp_path: Path) -> None:
    """A file that it opens stays empty."""
    told = problem(f"import pathlib; pathlib.Path({str(tmp_path / 'x')!r}).write_text('x' * 100_000)")
    assert told.key == "python_failed"
    assert "OSError" in told.placeholders["error"]
    assert (tmp_path / "x").stat().st_size == 0


def test_one_that_needs_a_package_that_is_not_there() -> None:
    """Its line and name."""
    told = problem("import no_such_package")
    assert (told.key, told.line) == ("python_failed", 4)
    assert "no_such_package" in told.placeholders["error"]


def test_one_that_returns_what_cannot_be_used() -> None:
    """What it was."""
    told = problem("return {'BTC': 150}")
    assert (told.key, told.placeholders["error"]) == ("python_result", "BTC: 150")


def test_one_that_leaves_without_a_word() -> None:
    """Or with too many of them: what it prints goes nowhere."""
    assert problem("import os; os._exit(0)").key == "python_ended"
    assert run(request(script("print('x' * 10_000_000); return None"))) == Answer([None])


def test_it_finds_no_secret_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Home Assistant was started with is not for it."""
    monkeypatch.setenv("SUPERVISOR_TOKEN", "secret")
    assert run(request(script("import os; return {'BTC': 7 if 'SUPERVISOR_TOKEN' in os.environ else 8}"))) == Answer(
        [{"BTC": 8}]
    )


def test_tried() -> None:
    """On made-up candles, with nothing held and with everything."""
    assert tried(read_script(TEMPLATE), ["BTC", "ETH"], TimeFrame.H1, {"size": 100}) is None
    refused = tried(script("return {'BTC': 1 / (1 - position['BTC'] / 100)}"), ["BTC"], TimeFrame.H1, {})
    assert refused
    assert refused.key == "python_failed"


# As what decides


class Runs:
    """Decides in this process, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answers: list[Answer] = []

    def __call__(self, asked: Request, seconds: float) -> Answer:
        assert 0 < seconds <= 10
        self.asked.append(asked)
        if self.answers:
            return self.answers.pop(0)
        said = [*script_job.decisions(as_json(asked))]
        failed = next((each for each in said if "error" in each), None)
        refused = failed and InvalidStrategy("python_failed", failed["line"], error=failed["text"])
        return Answer([each["shares"] for each in said if "shares" in each], refused or None)


class Bench:
    """A script on candles of some coins."""

    def __init__(self, text: str = RISING, coins: Sequence[str] = ("BTC",), state: State | None = None) -> None:
        self.runs = Runs()
        self.text = text
        self.coins = tuple(coins)
        self.made = self.begun(state)

    def begun(self, state: State | None = None) -> ScriptEvaluator:
        """Begin anew, with what was written down."""
        read = read_script(self.text)
        return ScriptEvaluator(read, self.coins, TimeFrame.H1, {}, state, self.runs)

    def show(self, *numbers: int, rises: bool = True, coins: Sequence[str] = ()) -> list[dict[str, float]]:
        """Shares after each decision on candles of some hours."""
        shown = {
            BEGIN + number * HOUR: {
                coin: Candle(BEGIN + number * HOUR, 10, 12, 8, 11 if rises else 9, 1) for coin in coins or self.coins
            }
            for number in numbers
        }
        return [dict(each.shares) for each in self.made.advance(shown)]


def test_decides_once_it_has_what_it_asks_for() -> None:
    """Not before; and only when something changes."""
    bench = Bench()
    assert bench.made.warm_up == 3
    assert bench.made.start(BEGIN + 5 * HOUR) == BEGIN + 3 * HOUR
    assert bench.show(0) == []
    assert bench.made.warmed == 1
    assert bench.show(1) == []
    assert not bench.runs.asked
    assert bench.show(2) == [{"BTC": 50}]
    assert bench.show(3) == []
    assert bench.show(4, rises=False) == [{"BTC": 0}]
    assert bench.made.warmed == 3
    assert bench.made.levels("BTC") == Levels(None, None)
    assert bench.made.watch({"BTC": 1}, BEGIN) is None
    assert bench.made.leave(BEGIN) is None


def test_begins_with_the_last_candle() -> None:
    """What closed before is only shown."""
    bench = Bench()
    assert bench.show(0, 1, 2, 3) == [{"BTC": 50}]
    assert len(bench.runs.asked[0].steps) == 1


def test_shown_twice() -> None:
    """A candle that it has is not another one."""
    bench = Bench()
    bench.show(0, 1, 2)
    assert bench.show(1, 2) == []
    assert bench.made.warmed == 3
    assert len(bench.runs.asked) == 1


def test_after_a_gap() -> None:
    """It waits until it has all candles again."""
    bench = Bench()
    bench.show(0, 1, 2)
    assert bench.show(4, 5, rises=False) == []
    assert bench.made.warmed == 2
    assert bench.show(6, rises=False) == [{"BTC": 0}]


def test_coins_are_decided_on_together() -> None:
    """A close that one of them lacks is left out."""
    bench = Bench(coins=("BTC", "ETH"))
    assert bench.show(0, 1, 2) == [{"BTC": 50, "ETH": 50}]
    assert bench.show(3, rises=False, coins=("BTC",)) == []
    assert bench.show(4, rises=False) == []
    assert bench.made.warmed == 1


def test_sold_by_hand() -> None:
    """Everything; the next candle may have it buy again."""
    bench = Bench()
    bench.show(0, 1, 2)
    left = bench.made.leave(BEGIN + 3 * HOUR + 7)
    assert left
    assert (left.shares, left.reasons, left.at) == ({"BTC": 0}, {"BTC": "by_hand"}, BEGIN + 3 * HOUR + 7)
    assert bench.show(3) == [{"BTC": 50}]


def test_the_same_one_by_one_in_bulk_and_after_a_restart() -> None:
    """With a strategy that looks at its position."""
    text = RISING.replace("return {", "return {coin: 10 for coin in position} if not any(position.values()) else {", 1)
    candles = {each.opened: each for each in random_candles(Random(5), TimeFrame.H1, 120)}
    shown = {opened: {"BTC": candle} for opened, candle in candles.items()}
    begin = State(last=BEGIN + 3 * HOUR)
    bulk = Bench(text, state=State.from_json(json.dumps(begin.to_json()))).made.advance(shown)
    assert len(bulk) > 5
    bench = Bench(text, state=State.from_json(json.dumps(begin.to_json())))
    single = [each for opened in shown for each in bench.made.advance({opened: shown[opened]})]
    assert single == bulk
    bench = Bench(text, state=State.from_json(json.dumps(begin.to_json())))
    found = bench.made.advance(dict([*shown.items()][:60]))
    state = State.from_json(json.dumps(bench.made.state.to_json()))
    bench.made = bench.begun(state)
    first = bench.made.start(state.last or 0)
    found += bench.made.advance({opened: each for opened, each in shown.items() if opened >= first})
    assert found == bulk


def test_a_failure_is_left_out() -> None:
    """It stays what is wrong until the next close, which is tried anew."""
    bench = Bench()
    bench.show(0, 1)
    bench.runs.answers = [Answer([], InvalidStrategy("python_failed", 3, error="ValueError: x"))]
    with pytest.raises(StrategyFailed, match="python_failed") as failed:
        bench.show(2)
    assert failed.value.told == "ValueError: x (3)"
    assert bench.made.problem is failed.value
    assert not bench.made.is_behind
    assert bench.show(3) == [{"BTC": 50}]
    assert bench.made.problem is None


def test_what_was_decided_beside_a_failure_counts() -> None:
    """Before and after it."""
    bench = Bench(state=State(last=BEGIN + 2 * HOUR))
    bench.runs.answers = [Answer([{"BTC": 20}], InvalidStrategy("python_ended"))]
    assert bench.show(0, 1, 2, 3, 4, 5) == [{"BTC": 20}, {"BTC": 50}]
    assert bench.made.problem
    assert bench.made.problem.told == "–"
    assert [len(each.steps) for each in bench.runs.asked] == [3, 1]


def test_one_that_is_late_goes_on_where_it_was() -> None:
    """With the next cycle, where it came to something; else that candle is left out."""
    bench = Bench(state=State(last=BEGIN + 2 * HOUR))
    late = InvalidStrategy("python_time", seconds="10")
    bench.runs.answers = [Answer([{"BTC": 20}], late, is_late=True)]
    assert bench.show(0, 1, 2, 3, 4) == [{"BTC": 20}]
    assert bench.made.is_behind
    assert bench.made.problem is None
    assert bench.show() == [{"BTC": 50}]
    assert not bench.made.is_behind
    bench.runs.answers = [Answer([], late, is_late=True)]
    with pytest.raises(StrategyFailed) as failed:
        bench.show(5)
    assert failed.value.told == "> 10 s"


def test_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is for the next cycle, and no fault of the candle that time was over at."""
    bench = Bench(state=State(last=BEGIN + 2 * HOUR))
    times = iter([0.0, 0.0, 9.0, 0.0, 0.0, 11.0])
    monkeypatch.setattr("custom_components.calvalot.trading.strategies.script_evaluator.monotonic", lambda: next(times))
    failed = InvalidStrategy("python_memory", 2, size="512")
    late = InvalidStrategy("python_time", seconds="1")
    bench.runs.answers = [Answer([], failed), Answer([], late, is_late=True)]
    with pytest.raises(StrategyFailed) as told:
        bench.show(0, 1, 2, 3, 4, 5)
    assert told.value.told == "> 512 MiB"
    assert bench.made.is_behind
    bench.runs.answers = [Answer([], failed)]
    with pytest.raises(StrategyFailed):
        bench.show()
    assert bench.made.is_behind


def test_kept_candles_are_bounded() -> None:
    """No more than it is shown, over a year of them."""
    bench = Bench()
    for number in range(0, 8760, 24):
        bench.show(*range(number, number + 24))
    assert max(len(rows) for asked in bench.runs.asked for rows in asked.candles.values()) <= 3 + 24
    assert bench.made.warmed == 3
