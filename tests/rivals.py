"""The same rules in backtesting.py and backtrader: run by the Python of `scripts/setup --oracles`, JSON in, JSON out.

A case has `candles` (a list of figures by name), `rules` by name, and `stops`: the fractions of stop and profit. With `time` it
is only measured how long the `rival` takes.
"""

from collections.abc import Callable, Mapping, Sequence
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

# So much of the cash is spent: what our planner keeps back for the fee.
SPENT = 1 / 1.001
UNIT = 1e-8


def ask_rivals(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What they make of these: trades as (candle of entry, candle of exit, size, prices), the value at each close."""
    setup = Path(__file__).parents[1] / "scripts" / "setup"
    python = subprocess.run([setup, "--oracles"], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([python, __file__], input=json.dumps(cases), capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-4000:])
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _conditions(name: str, frame: Any) -> tuple[Any, Any]:
    """Where a rule wants in and out, computed by TA-Lib and pandas."""
    import talib

    o, h, l, c = (frame[each].to_numpy(float) for each in ("Open", "High", "Low", "Close"))  # noqa: E741
    import pandas as pd

    def crosses(one: Any, other: Any) -> Any:
        one, other = pd.Series(one), pd.Series(other)
        return ((one.shift(1) <= other.shift(1)) & (one > other)).to_numpy()

    rules: dict[str, Callable[[], tuple[Any, Any]]] = {
        "price_sma": lambda: (c > talib.SMA(c, 20), c < talib.SMA(c, 20)),
        "sma_cross": lambda: (
            crosses(talib.SMA(c, 5), talib.SMA(c, 20)),
            crosses(talib.SMA(c, 20), talib.SMA(c, 5)),
        ),
        "wma_cross": lambda: (
            crosses(talib.WMA(c, 10), talib.WMA(c, 30)),
            crosses(talib.WMA(c, 30), talib.WMA(c, 10)),
        ),
        "bollinger": lambda: (c < talib.BBANDS(c, 20, 2, 2)[2], c > talib.BBANDS(c, 20, 2, 2)[1]),
        "donchian": lambda: (
            c > pd.Series(talib.MAX(h, 20)).shift(1).to_numpy(),
            c < pd.Series(talib.MIN(l, 10)).shift(1).to_numpy(),
        ),
        "change": lambda: (talib.ROC(c, 10) > 2, talib.ROC(c, 10) < -2),
        "williams": lambda: (talib.WILLR(h, l, c, 14) < -80, talib.WILLR(h, l, c, 14) > -20),
        "stochastic": lambda: (
            talib.STOCHF(h, l, c, 14, 3, 0)[0] < 20,
            talib.STOCHF(h, l, c, 14, 3, 0)[0] > 80,
        ),
        "open_close": lambda: (c > o * 1.005, c < o * 0.99),
        "stops": lambda: (crosses(talib.SMA(c, 5), talib.SMA(c, 20)), c < 0),
    }
    return rules[name]()


def _frame(case: Mapping[str, Any]) -> Any:
    import pandas as pd

    names = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    frame = pd.DataFrame({names[name]: case["candles"][name] for name in names})
    frame.index = pd.to_datetime(pd.Series(case["candles"]["opened"]), unit="s")
    return frame


def _by_backtesting(case: Mapping[str, Any]) -> dict[str, Any]:
    from backtesting import Strategy
    from backtesting.lib import FractionalBacktest

    frame = _frame(case)
    enter, leave = _conditions(case["rules"], frame)
    stop, profit = case.get("stops") or (None, None)
    warm = case["warm"]

    class Rules(Strategy):
        def init(self) -> None:
            self.closed, self.asked = 0, False

        def next(self) -> None:
            number = len(self.data) - 1
            # What it sold itself was sold at the open, before this candle: only after a stop it rests.
            left = len(self.closed_trades) > self.closed and not self.asked
            self.closed, self.asked = len(self.closed_trades), False
            if number < warm - 1:
                return
            if self.position:
                if leave[number]:
                    self.asked = True
                    self.position.close()
            elif enter[number] and not leave[number] and not left:
                close = frame["Close"].iloc[number] * UNIT
                levels = {"sl": close * (1 - stop), "tp": close * (1 + profit)} if stop else {}
                self.buy(size=SPENT, **levels)

    began = time.perf_counter()
    stats = FractionalBacktest(frame, Rules, cash=10_000, commission=0, fractional_unit=UNIT).run()
    seconds = time.perf_counter() - began
    trades = stats["_trades"]
    rows = trades[["EntryBar", "ExitBar", "Size", "EntryPrice", "ExitPrice"]].to_numpy().tolist()
    return {"trades": rows, "equity": stats["_equity_curve"]["Equity"].tolist(), "seconds": seconds}


def _by_backtrader(case: Mapping[str, Any]) -> dict[str, Any]:
    import backtrader as bt

    short, long = case["lengths"]

    class Rules(bt.Strategy):
        def __init__(self) -> None:
            self.cross = bt.indicators.CrossOver(
                bt.indicators.SMA(self.data.close, period=short), bt.indicators.SMA(self.data.close, period=long)
            )

        def next(self) -> None:
            if self.position:
                if self.cross < 0:
                    self.close()
            elif self.cross > 0:
                self.buy(size=self.broker.getcash() * 0.99 / self.data.close[0])

    began = time.perf_counter()
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=_frame(case)))
    cerebro.addstrategy(Rules)
    cerebro.broker.setcash(10_000)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.run()
    return {"equity": [cerebro.broker.getvalue()], "seconds": time.perf_counter() - began}


def _timed_backtesting(case: Mapping[str, Any]) -> dict[str, Any]:
    from backtesting import Strategy
    from backtesting.lib import FractionalBacktest, crossover
    import pandas as pd

    short, long = case["lengths"]

    def average(values: Any, length: int) -> Any:
        return pd.Series(values).rolling(length).mean()

    class Rules(Strategy):
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, short)
            self.slow = self.I(average, self.data.Close, long)

        def next(self) -> None:
            if self.position:
                if crossover(self.slow, self.fast):
                    self.position.close()
            elif crossover(self.fast, self.slow):
                self.buy(size=0.99)

    frame = _frame(case)
    began = time.perf_counter()
    stats = FractionalBacktest(frame, Rules, cash=10_000, commission=0.001, fractional_unit=UNIT).run()
    return {"equity": [stats["Equity Final [$]"]], "seconds": time.perf_counter() - began}


RIVALS = {"backtesting": _by_backtesting, "backtrader": _by_backtrader, "timed": _timed_backtesting}

if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    found = [RIVALS[case["rival"]](case) for case in asked]
    print(json.dumps(found))
