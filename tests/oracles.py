"""What others make of the same histories: run by the Python of `scripts/setup --oracles`, JSON in, JSON out."""

from collections.abc import Mapping, Sequence
from datetime import date
import json
from pathlib import Path
import subprocess
import sys
from typing import Any


def ask_oracles(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The oracles' figures: of histories (`returns` by day, fractions; `flows` as (day, EUR paid out)), or of `candles`.

    Candles are lists of figures by name; `indicators` are asked of TA-Lib by name as (function, numbers of the figures it takes and
    of its settings), and answered with one list per line, in which nothing stands where there is no value.
    """
    setup = Path(__file__).parents[1] / "scripts" / "setup"
    python = subprocess.run([setup, "--oracles"], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([python, __file__], input=json.dumps(cases), capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _indicators(case: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np
    import talib

    figures = {name: np.array(each, dtype=float) for name, each in case["candles"].items()}
    found = {}
    for name, (function, of, settings) in case["indicators"].items():
        lines = getattr(talib, function)(*(figures[each] for each in of), **settings)
        lines = lines if isinstance(lines, (tuple, list)) else (lines,)
        found[name] = [[None if np.isnan(each) else float(each) for each in line] for line in lines]
    return found


def _reckon(case: Mapping[str, Any]) -> dict[str, Any]:
    import empyrical
    import pandas as pd
    import pyxirr

    daily = pd.Series({pd.Timestamp(day): each for day, each in case["returns"].items()})
    monthly = empyrical.aggregate_returns(daily, "monthly")
    return {
        "xirr": pyxirr.xirr([date.fromisoformat(day) for day, _ in case["flows"]], [each for _, each in case["flows"]]),
        "volatility": empyrical.annual_volatility(daily, annualization=365),
        "sharpe": empyrical.sharpe_ratio(daily, annualization=365),
        "sortino": empyrical.sortino_ratio(daily, annualization=365),
        "calmar": empyrical.calmar_ratio(daily, annualization=365),
        "drawdown": -empyrical.max_drawdown(daily),
        "months": {f"{year}-{month:02}": each for (year, month), each in monthly.items()},
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([_indicators(each) if "candles" in each else _reckon(each) for each in asked], sys.stdout)
