"""What `scripts/backtest` does: reads what is asked for, has the candles fetched, runs, and shows what came of it."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
import json
import math
from pathlib import Path
import sys
import time
from typing import TextIO

from aiohttp import ClientSession

from ..errors import ExchangeError
from ..market.candles import TimeFrame
from ..responses import Json
from ..strategies.document import InvalidStrategy
from ..strategies.library import READY_MADE, strategy_text
from ..strategies.reader import read_strategy
from ..strategies.script import ENDING as SCRIPT_ENDING, read_file, read_script
from .errors import Aborted, BacktestError
from .fetch import fetch, spans_of, store_at, symbols_of
from .many import Wanted, add_arguments, lines as many_lines, run_of, shuffled, try_many
from .page import html
from .perform import perform
from .run import DAY
from .spec import SCRIPT, Spec, prepare, rules_row
from .table import lines

EXCHANGE = "https://data-api.binance.vision"
CACHE = Path("~/.cache/calvalot/backtests.db").expanduser()
# Where a simulated walk begins at the latest, in candles before the test: the same whatever needs less of a warm-up.
BEFORE = 3000
WIDTH = 30


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    found = argparse.ArgumentParser(prog="scripts/backtest", description="Test a strategy on the candles of the past.")
    add = found.add_argument
    add("strategy", help=f"a file, or one of: {', '.join(READY_MADE)}")
    add("--coin", action="append", default=[], help="coin to trade; several of them, or separated by commas")
    add("--time-frame", choices=[*TimeFrame], help="how long candles last (the strategy's own)")
    add("--from", dest="begin", type=_day, help="first day (UTC), as 2024-01-01 (a year before the end)")
    add("--to", dest="end", type=_day, help="the day after the last one (today)")
    add("--set", action="append", default=[], metavar="NAME=NUMBER", help="another number for a parameter")
    add("--quote", default="USDC", help="what coins are traded against (USDC)")
    add("--budget", default="10000", help="money to begin with, in that (10000)")
    add("--share", default="100", help="%% of it that the strategy may use (100)")
    add("--fee", default="0.1", help="fee in %% of what is received (0.1)")
    add("--slippage", help="in %% (0.02 for BTC and ETH, 0.05 for others)")
    add("--inside", choices=[*TimeFrame], help="shorter candles that tell in what order stops and profits were reached")
    source = found.add_mutually_exclusive_group()
    source.add_argument("--csv", action="append", default=[], metavar="[COIN=]FILE", help="candles from a file")
    source.add_argument("--simulated", type=int, metavar="SEED", help="candles of a random walk")
    source.add_argument("--exchange", default=EXCHANGE, metavar="URL", help=f"candles from there ({EXCHANGE})")
    add("--cache", type=Path, default=CACHE, help=f"where candles of the exchange are kept ({CACHE})")
    add_arguments(add)
    add("--no-checks", action="store_true", help="leave out what speaks against it; faster")
    add("--json", metavar="FILE", help="write everything there, - for the standard output")
    add("--html", type=Path, metavar="FILE", help="write a page with charts there")
    return found


def main(arguments: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Run it; 1 where it cannot be made, with the reason on `err`."""
    out, err = out or sys.stdout, err or sys.stderr
    asked = parser().parse_args(arguments)
    bar = Bar(err)
    try:
        spec = spec_of(asked, datetime.now(UTC))
        if spec.candles["kind"] == "store":
            spec = asyncio.run(_fetched(spec, asked, bar))
        wanted = Wanted.from_arguments(asked)
        many = try_many(spec, wanted, run_of(asked), bar.say)
        result = perform(many.spec, bar, checked=not asked.no_checks, known=many.findings) | many.told
        result |= shuffled(result, wanted.rounds)
    except KeyboardInterrupt, Aborted:
        bar.clear()
        print("aborted", file=err)
        return 130
    except (BacktestError, InvalidStrategy, ExchangeError) as error:
        bar.clear()
        print(f"no backtest: {error}", file=err)
        return 1
    bar.clear()
    _write(result, asked, out)
    return 0


def spec_of(asked: argparse.Namespace, now: datetime) -> Spec:
    """What is asked for. Raises BacktestError, InvalidStrategy."""
    name, own_frame, said = _strategy(asked.strategy)
    coins = tuple(
        dict.fromkeys(coin.strip().upper() for each in asked.coin for coin in each.split(",") if coin.strip())
    )
    files = dict(_file(each, coins) for each in asked.csv)
    coins = coins or tuple(files) or ("BTC",)
    frame = TimeFrame(asked.time_frame or own_frame)
    last = int(now.timestamp()) // frame.seconds * frame.seconds
    end = min(int(asked.end.timestamp()), last) if asked.end else last // DAY * DAY
    begin = int(asked.begin.timestamp()) if asked.begin else end - 365 * DAY
    if begin >= end:
        raise BacktestError("backtest_range")
    if missing := set(coins) - files.keys() if files else set[str]():
        raise BacktestError("backtest_no_candles", coin=", ".join(sorted(missing)))
    candles: Json = {"kind": "store", "path": f"{asked.cache}", "host": asked.exchange, "frames": [*TimeFrame]}
    if files:
        candles = {"kind": "csv", "files": files}
    elif asked.simulated is not None:
        candles = {"kind": "simulated", "seed": asked.simulated, "origin": begin - BEFORE * frame.seconds}
    parameters = dict(_number(each) for each in asked.set)
    spec = Spec(
        name=name,
        sources=({**said, "parameters": parameters, "share": asked.share},),
        coins=coins,
        frame=frame,
        begin=begin,
        end=end,
        candles=candles,
        quote=asked.quote.upper(),
        budget=asked.budget,
        fee=asked.fee,
        slippage=asked.slippage,
        inside=TimeFrame(asked.inside) if asked.inside else None,
    )
    first = prepare(spec, warm_up_factor=2).first
    if asked.simulated is not None and first < candles["origin"]:
        return replace(spec, candles={**candles, "origin": first})
    return spec


def _strategy(said: str) -> tuple[str, TimeFrame, Json]:
    """What a strategy by its name or file is called, its time frame, and how it stands in a spec. Raises InvalidStrategy."""
    path = Path(said)
    if path.suffix == SCRIPT_ENDING:
        text = read_file(path)
        script = read_script(text)
        return script.name, script.time_frame, {"kind": SCRIPT, "text": text}
    known = said in READY_MADE or not path.suffix
    text = strategy_text(said if known else path.stem, Path() if known else path.parent)
    strategy = read_strategy(text)
    return strategy.name, strategy.time_frame, {"kind": "strategy", "text": text}


class Bar:
    """How far it is, on one line of a terminal; elsewhere nothing."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown = file.isatty()
        self._began = time.monotonic()
        self.what = ""

    def __call__(self, done: float, count: int) -> None:
        """Show it: a fraction, and the orders so far."""
        if not self._shown:
            return
        full = math.floor(done * WIDTH)
        left = (time.monotonic() - self._began) * (1 - done) / done if done else 0.0
        line = f"\r{'█' * full}{'·' * (WIDTH - full)} {done * 100:3.0f} %  {self.what or f'{count} orders'}  {left:.0f} s left "
        print(line, end="", file=self._file, flush=True)

    def say(self, done: float, what: str) -> None:
        """Show how far something else is."""
        self.what = what
        self(done, 0)
        self.what = "" if done >= 1 else what

    def clear(self) -> None:
        """Leave nothing of it behind."""
        if self._shown:
            print("\r\033[K", end="", file=self._file, flush=True)


async def _fetched(spec: Spec, asked: argparse.Namespace, bar: Bar) -> Spec:
    """The spec with the rules of the exchange, whose candles are in the store. Raises ExchangeError, BacktestError."""
    # What nobody needs who has candles of his own.
    from ..exchanges.binance import BinanceExchange  # noqa: PLC0415
    from ..exchanges.binance_client import host_of  # noqa: PLC0415

    async with ClientSession() as session:
        exchange = BinanceExchange(session, asked.exchange)
        symbols = symbols_of(spec.coins, spec.quote)
        rules = await exchange.rules(symbols)
        if missing := sorted(set(symbols) - rules.keys()):
            raise BacktestError("backtest_no_rules", symbol=", ".join(missing))
        found = {symbol: rules_row(each) for symbol, each in rules.items()}
        frames = sorted(frame.value for frame in exchange.time_frames)
        candles = {**spec.candles, "host": host_of(asked.exchange), "frames": frames}
        spec = Spec.from_json({**spec.to_json(), "rules": found, "candles": candles, "fee_coin": exchange.fee_coin})

        async def report(done: float) -> None:
            bar.say(done, "fetching candles")

        prepared = prepare(spec, warm_up_factor=2)
        spans = spans_of(spec.frame, prepared.first, spec.inside, prepared.setup.begin, spec.end)
        store = store_at(Path(spec.candles["path"]))
        await fetch(exchange, store, spec.candles["host"], symbols, spans, report)
    return spec


def _write(result: Json, asked: argparse.Namespace, out: TextIO) -> None:
    if asked.json:
        text = json.dumps(result, indent=2, ensure_ascii=False)
        if asked.json == "-":
            print(text, file=out)
        else:
            Path(asked.json).write_text(f"{text}\n", encoding="utf-8")
    if asked.html:
        asked.html.write_text(html(result, result["spec"]["name"]), encoding="utf-8")
    if asked.json != "-":
        print("\n".join([*lines(result), *many_lines(result)]), file=out)


def _day(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _file(said: str, coins: Sequence[str]) -> tuple[str, str]:
    coin, equals, path = said.partition("=")
    if equals:
        return coin.strip().upper(), path
    return (coins[0] if coins else "BTC"), said


def _number(said: str) -> tuple[str, float]:
    name, _, value = said.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise BacktestError("backtest_number", said=said) from None
