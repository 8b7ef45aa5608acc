"""Backtests in a terminal and as a job, in processes where Home Assistant cannot be imported; what is kept of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
import importlib
import io
import json
import os
from pathlib import Path
import runpy
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from custom_components.calvalot.trading.apart import command, search_path
from custom_components.calvalot.trading.backtest import cli, job, kept
from custom_components.calvalot.trading.backtest.data import simulated
from custom_components.calvalot.trading.backtest.errors import IN_TERMINAL, WORDS, Aborted, BacktestError, time_text
from custom_components.calvalot.trading.backtest.fetch import store_at
from custom_components.calvalot.trading.backtest.kept import Kept, State, begun, summed_up, write_whole
from custom_components.calvalot.trading.backtest.perform import perform
from custom_components.calvalot.trading.backtest.spec import Spec
from custom_components.calvalot.trading.exchanges.binance_client import host_of
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.store import Series
from simulators.exchange import ExchangeSimulator

from .backtests import BEGIN, HOUR, spec_of

ROOT = Path(__file__).parents[2]
CROSSING = (
    "indicators:\n  fast: {type: sma, length: 5}\n  slow: {type: sma, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)
SPAN = ("--from", "2024-01-01", "--to", "2024-03-01")
NOW = datetime(2024, 3, 1, tzinfo=UTC)


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def told(*arguments: str, err: io.StringIO | None = None) -> tuple[int, str, str]:
    """What the command answers: its code, and both outputs."""
    out, errors = io.StringIO(), err or io.StringIO()
    code = cli.main(arguments, out, errors)
    return code, out.getvalue(), errors.getvalue()


def mine(folder: Path, text: str = f"name: Mine\ntime_frame: 1h\n{CROSSING}") -> Path:
    """A file of the owner's."""
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


# In a terminal


def test_simulated(tmp_path: Path) -> None:
    """A file of one's own on a random walk: the table, everything as JSON, and a page."""
    page, document = tmp_path / "page.html", tmp_path / "result.json"
    arguments = (f"{mine(tmp_path)}", "--simulated", "1", *SPAN, "--html", f"{page}", "--json", f"{document}")
    code, out, err = told(*arguments)
    assert (code, err) == (0, "")
    result = json.loads(document.read_text())
    assert out.startswith(result["verdict"])
    assert result["spec"]["name"] == "Mine"
    assert result["spec"]["coins"] == ["BTC"]
    assert page.read_text().startswith("<!doctype html>")
    code, out, _ = told(*arguments[:-4], "--json", "-")
    assert json.loads(out) == result


def test_ready_made_ones_and_what_may_be_said(tmp_path: Path) -> None:
    """Several coins, other numbers, costs, a shorter time frame inside; progress on a terminal."""
    err = Terminal()
    code, out, _ = told(
        "averages_crossing",
        *("--coin", "btc,ETH", "--coin", "SOL", "--simulated", "2", "--time-frame", "4h", *SPAN, "--set", "short=10"),
        *("--budget", "500", "--share", "50", "--fee", "0", "--slippage", "0", "--inside", "1h", "--quote", "eur"),
        err=err,
    )
    assert code == 0
    assert "500.00 EUR" not in out
    assert "EUR" in out
    assert "%" in err.getvalue()
    assert err.getvalue().endswith("\033[K")


def test_csv(tmp_path: Path) -> None:
    """Candles of a file, with the coin that they are of or without."""
    rows = [f"{BEGIN + number * HOUR},{p},{p},{p},{p},1" for number in range(400) for p in [10 + number % 30]]
    path = tmp_path / "c.csv"
    path.write_text("\n".join(rows))
    begin, end = (datetime.fromtimestamp(BEGIN + hours * HOUR, UTC).date().isoformat() for hours in (120, 390))
    for said in (f"{path}", f"sol={path}"):
        code, out, err = told(f"{mine(tmp_path)}", "--csv", said, "--from", begin, "--to", end)
        assert (code, err) == (0, ""), err
        assert ("SOL" if said.startswith("sol") else "BTC") in out


async def test_from_an_exchange(exchange: ExchangeSimulator, tmp_path: Path) -> None:
    """Rules of the exchange, and candles that were asked for before from the store."""
    cache = tmp_path / "cache.db"
    now = int(time.time()) // 86_400 * 86_400
    candles = [*simulated(1, "BTC", TimeFrame.H1, now - 90 * 86_400, now)]
    series = Series(host_of(exchange.url), "BTCUSDC", TimeFrame.H1)
    store_at(cache).write([(series, candle) for candle in candles], now)
    begin, end = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (now - 60 * 86_400, now))

    def run(*more: str, err: io.StringIO | None = None) -> tuple[int, str, str]:
        span = ("--from", begin, "--to", end, "--cache", f"{cache}", "--json", "-")
        return told(f"{mine(tmp_path)}", "--exchange", exchange.url, *span, *more, err=err)

    code, out, err = await asyncio.to_thread(run, err=Terminal())
    assert code == 0, err
    assert "fetching candles" in err
    result = json.loads(out)
    assert Decimal(result["spec"]["rules"]["BTCUSDC"]["step"]) > 0
    assert result["figures"]["candles"] == 60 * 24
    assert result["orders"]
    code, _, err = await asyncio.to_thread(run, "--coin", "NONE")
    assert code == 1
    assert "NONEUSDC is not listed" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none", "--simulated", "1"), "no_file"),
        (
            ("averages_crossing", "--simulated", "1", "--from", "2024-02-01", "--to", "2024-01-01"),
            "begin before it ends",
        ),
        (("averages_crossing", "--simulated", "1", "--from", "2999-01-01"), "begin before it ends"),
        (("averages_crossing", "--simulated", "1", *SPAN, "--set", "short"), "NAME=NUMBER"),
        (("averages_crossing", "--simulated", "1", *SPAN, "--set", "other=1"), "no parameter other"),
        (("averages_crossing", "--csv", "none.csv", *SPAN), "cannot be read"),
        (("mine.py", "--simulated", "1", *SPAN), "no_file"),
        (("averages_crossing", "--coin", "BTC,ETH", "--csv", "none.csv", *SPAN), "no candles of ETH"),
        (
            ("averages_crossing", "--simulated", "1", *SPAN, "--walk-forward", "3"),
            "the numbers of a sweep: there are none",
        ),
        (("averages_crossing", "--simulated", "1", *SPAN, "--sweep", "short=1", "--jobs", "1"), "no combination"),
    ],
)
def test_refused(arguments: tuple[str, ...], words: str) -> None:
    """A plain reason, and nothing else."""
    code, out, err = told(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("no backtest: ")
    assert words in err


def test_without_an_exchange(socket_enabled: None, tmp_path: Path) -> None:
    """Nobody answers there."""
    code, _, err = told(
        f"{mine(tmp_path)}", "--exchange", "http://127.0.0.1:9", "--cache", f"{tmp_path / 'c.db'}", *SPAN
    )
    assert code == 1
    assert err.startswith("no backtest: ")


def test_aborted_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves nothing behind."""

    def abort(*_arguments: object, **_others: object) -> None:
        raise Aborted

    monkeypatch.setattr(cli, "perform", abort)
    code, out, err = told(f"{mine(tmp_path)}", "--simulated", "1", *SPAN)
    assert (code, out, err) == (130, "", "aborted\n")


def alone(code: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Python without Home Assistant, with the domain last on its path."""
    begin = (
        "import sys; sys.modules['homeassistant'] = None; sys.modules['custom_components'] = None; "
        f"sys.path.append({str(ROOT / 'custom_components/calvalot')!r}); "
    )
    command = [sys.executable, "-P", "-c", begin + code, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)


def test_without_home_assistant(tmp_path: Path) -> None:
    """The command runs where Home Assistant cannot be imported."""
    run = "from trading.backtest.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = alone(run, f"{mine(tmp_path)}", "--simulated", "1", *SPAN, "--no-checks")
    assert (done.returncode, done.stderr) == (0, "")
    assert "CAGR" in done.stdout


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is run as a module too, and only where it is asked to."""
    name = "custom_components.calvalot.trading.backtest.__main__"
    monkeypatch.setattr(sys, "argv", ["backtest", "none", "--simulated", "1"])
    assert importlib.import_module(name)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    assert ended.value.code == 1
    assert "no backtest" in capsys.readouterr().err


def test_a_long_warm_up_begins_the_walk_earlier(tmp_path: Path) -> None:
    """What needs more candles than usual has them."""
    slow = "enter: {value: a, above: 1}\nexit: {value: a, below: 0}\nindicators: {a: {type: adx, length: 400}}\n"
    path = mine(tmp_path, f"name: Slow\ntime_frame: 1h\n{slow}")
    for strategy, usual in ((f"{path}", False), ("averages_crossing", True)):
        asked = cli.parser().parse_args([strategy, "--simulated", "1", "--time-frame", "1h", *SPAN])
        spec = cli.spec_of(asked, NOW)
        assert (spec.candles["origin"] == spec.begin - cli.BEFORE * HOUR) is usual


# As a job

JOB = "from trading.backtest.job import main; main(sys.argv[1:], sys.stdin.read())"


def test_job(tmp_path: Path) -> None:
    """A spec comes in, lines go out, and the result is a file: the same as in this process."""
    spec = spec_of(CROSSING)
    path = tmp_path / "new" / "x.result.json"
    done = alone(JOB, f"{path}", stdin=json.dumps(spec.to_json()))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"done": True}, done.stderr
    assert json.loads(path.read_text()) == json.loads(json.dumps(perform(spec)))
    arguments, environment = command("backtest.job", str(path)), {**os.environ, **search_path()}
    assert arguments[0] == sys.executable
    assert environment["PYTHONPATH"].endswith("calvalot")


def run_job(spec: Spec | Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The last line that a job in this process tells."""
    out = io.StringIO()
    document = spec.to_json() if isinstance(spec, Spec) else spec
    job.main([str(path)], json.dumps(document), out)
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return found


def test_job_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain reason with its key, and no file."""
    monkeypatch.setattr(job.os, "nice", lambda _: 0)
    path = tmp_path / "x.result.json"
    assert run_job(spec_of(CROSSING, begin=BEGIN + 1, end=BEGIN), path)["problem"]["key"] == "backtest_range"
    assert run_job(spec_of("enter: 1\n"), path)["problem"]["key"].startswith("strategy_")
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = run_job(spec_of(CROSSING), blocked / "x.json")
    assert found["problem"]["key"] == "backtest_disk"

    def too_much(*_arguments: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(job, "perform", too_much)
    assert run_job(spec_of(CROSSING), path)["problem"]["key"] == "backtest_memory"
    assert not path.exists()


def test_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far it is, now and then, with the time that it may take yet."""
    monkeypatch.setattr(job.os, "nice", lambda _: 0)
    now = iter(range(100))
    monkeypatch.setattr(job.time, "monotonic", lambda: float(next(now)))

    def work(spec: Spec, report: Any, **_named: object) -> dict[str, Any]:
        report(0.0, 0)
        report(0.5, 3)
        monkeypatch.setattr(job.time, "monotonic", lambda: 2.1)
        report(0.6, 4)
        return {"spec": spec.to_json()}

    monkeypatch.setattr(job, "perform", work)
    out = io.StringIO()
    job.main([str(tmp_path / "x.json")], json.dumps(spec_of(CROSSING).to_json()), out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"progress": 0.0, "orders": 0, "left": None},
        {"progress": 0.5, "orders": 3, "left": 2.0},
        {"done": True},
    ]


def test_killed(tmp_path: Path) -> None:
    """Whenever it is killed, there is no half a result."""
    path = tmp_path / "x.result.json"
    arguments, environment = command("backtest.job", str(path)), {**os.environ, **search_path()}
    spec = spec_of(CROSSING, end=BEGIN + 4000 * 86_400)
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(spec.to_json()))
        process.stdin.close()
        assert "progress" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [*tmp_path.iterdir()] == []


# What is kept


def test_kept(tmp_path: Path) -> None:
    """Written down, found again, renamed by writing, deleted; what is no run of ours is left out."""
    store = Kept(tmp_path / "backtests")
    assert store.runs() == []
    spec = spec_of(CROSSING, name="Mine")
    run = begun(spec, "", "entry", NOW)
    assert (run.name, run.state, run.id) == ("Mine", State.LOADING, spec.key)
    store.write(run)
    later = begun(spec_of(CROSSING, budget="5"), "Other", "entry", datetime(2024, 3, 2, tzinfo=UTC))
    store.write(later)
    assert [each.name for each in store.runs()] == ["Other", "Mine"]
    result = perform(spec, checked=False)
    write_whole(store.result_path(run.id), json.dumps(result))
    done = summed_up(run, result, NOW)
    store.close(done)
    assert store.run(run.id) == done
    assert store.result(run.id) == json.loads(json.dumps(result))
    assert done.figures
    assert done.figures["trades"] == len(result["trades"])
    assert "text" not in done.to_json()["spec"]["sources"][0]
    (tmp_path / "backtests" / "0000000000000000.run.json").write_text("{")
    (tmp_path / "backtests" / "1111111111111111.run.json").write_text(json.dumps({"state": "done"}))
    assert len(store.runs()) == 2
    assert store.delete(run.id)
    assert not store.delete(run.id)
    assert store.result(run.id) is None


@pytest.mark.parametrize("wrong", ["../../secrets", "", "0" * 17, "ABCDEF0123456789"])
def test_ids_that_are_none(wrong: str, tmp_path: Path) -> None:
    """Nothing outside of the folder is touched."""
    store = Kept(tmp_path)
    assert store.run(wrong) is None
    assert store.result(wrong) is None
    assert not store.delete(wrong)


def test_recovered(tmp_path: Path) -> None:
    """What was cut off is interrupted; half a file goes."""
    store = Kept(tmp_path)
    run = begun(spec_of(CROSSING), "x", "entry", NOW)
    store.write(replace(run, state=State.RUNNING))
    (tmp_path / "y.result.part").write_text("half")
    (found,) = store.recover("2024-03-02T00:00:00.000+00:00")
    assert (found.state, found.ended) == (State.INTERRUPTED, "2024-03-02T00:00:00.000+00:00")
    assert store.run(run.id) == found
    assert store.recover("later") == []
    assert not [*tmp_path.glob("*.part")]


def test_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go."""
    monkeypatch.setattr(kept, "MOST", 2)
    store = Kept(tmp_path)
    for number in range(4):
        when = datetime(2024, 3, 1 + number, tzinfo=UTC)
        run = begun(spec_of(CROSSING, budget=f"{number + 5}"), f"{number}", "entry", when)
        write_whole(store.result_path(run.id), "{}")
        store.close(replace(run, state=State.ABORTED))
        assert store.result(run.id) is None
    assert [each.name for each in store.runs()] == ["3", "2"]


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half written stays, and what was there before does."""
    path = tmp_path / "x.json"
    write_whole(path, "before")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_errors_in_words() -> None:
    """Each key has a text in English with its placeholders."""
    err = BacktestError("backtest_no_candles", coin="BTC")
    assert f"{err}" == "there are no candles of BTC in that time"
    assert Aborted().key in IN_TERMINAL
    assert not IN_TERMINAL.keys() & WORDS.keys()
    assert time_text(BEGIN) == "2023-11-14 00:00"
