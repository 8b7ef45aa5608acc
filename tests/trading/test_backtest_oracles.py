"""The same rules in backtesting.py: the same trades, and the same value at each close.

Fees and slippage are nothing, orders take the market and steps are of 1e-8, so that both models agree. What differs is explained:
our planner keeps 0.1 % of the cash back for the fee, so the other one spends as much less; it holds sizes in units of 1e-8, and
closes what is open with the last candle, which is left out here.
"""

from collections.abc import Mapping
from decimal import Decimal
import os
from random import Random
from typing import Any

import pytest

from custom_components.calvalot.trading.backtest.run import DAY, Outcome
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.exchanges.paper import Costs
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.market.candles import Candle

from ..rivals import ask_rivals
from .backtests import BEGIN, FRAME, HOUR, outcome_of, replay, rules, setup_of
from .random_strategies import random_candles

WALKS = int(os.environ.get("CALVALOT_ORACLE_WALKS", "2"))
COUNT = 5000 if WALKS > 2 else 1200
# Candles before the first decision, of which every indicator is warm.
WARM = 400
FINE = Decimal("1e-8")

_SMA = "indicators:\n  a: {type: sma, length: 5}\n  b: {type: sma, length: 20}\n"
STRATEGIES: Mapping[str, str] = {
    "price_sma": "indicators:\n  b: {type: sma, length: 20}\nenter: {value: price, above: b}\nexit: {value: price, below: b}\n",
    "sma_cross": f"{_SMA}enter: {{value: a, crosses_above: b}}\nexit: {{value: b, crosses_above: a}}\n",
    "wma_cross": "indicators:\n  a: {type: wma, length: 10}\n  b: {type: wma, length: 30}\n"
    "enter: {value: a, crosses_above: b}\nexit: {value: b, crosses_above: a}\n",
    "bollinger": "indicators:\n  b: {type: bollinger, length: 20}\n"
    "enter: {value: price, below: b.lower}\nexit: {value: price, above: b.middle}\n",
    "donchian": "indicators:\n  a: {type: donchian, length: 20, ago: 1}\n  b: {type: donchian, length: 10, ago: 1}\n"
    "enter: {value: price, above: a.upper}\nexit: {value: price, below: b.lower}\n",
    "change": "indicators:\n  a: {type: change, length: 10}\nenter: {value: a, above: 2}\nexit: {value: a, below: -2}\n",
    "williams": "indicators:\n  a: {type: williams, length: 14}\nenter: {value: a, below: -80}\nexit: {value: a, above: -20}\n",
    "stochastic": "indicators:\n  a: {type: stochastic, length: 14, smooth: 3}\n"
    "enter: {value: a.k, below: 20}\nexit: {value: a.k, above: 80}\n",
    "open_close": "enter: {value: price, above: {product: [open, 1.005]}}\nexit: {value: price, below: {product: [open, 0.99]}}\n",
    "stops": f"{_SMA}enter: {{value: a, crosses_above: b}}\nstop_loss: 3\ntake_profit: 5\n",
}


async def ours(text: str, candles: list[Candle]) -> Outcome:
    """Our run at no cost, with the finest steps."""
    setup = setup_of(
        {"BTC": candles},
        first=WARM,
        budget=Decimal(10_000),
        rules=rules("BTC", step=FINE, min_notional=Decimal(0), quote_step=FINE),
        limits=Limits(min_order=Decimal(0), dust_threshold=Decimal(0), max_slippage=Decimal(0)),
        costs=Costs(fee=Decimal(0), slip=Decimal(0)),
    )
    return await outcome_of(replay(text, setup), setup, {"BTC": candles})


type Told = list[tuple[list[Candle], dict[str, Any]]]


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """The walks of each strategy, with what the other one makes of them: all of them in one process."""
    walks = [
        (name, random_candles(Random(f"{name} {seed}"), FRAME, COUNT)) for name in STRATEGIES for seed in range(WALKS)
    ]
    cases = [
        {
            "rival": "backtesting",
            "rules": name,
            "warm": WARM,
            "stops": (0.03, 0.05) if name == "stops" else None,
            "candles": {each: [getattr(candle, each) for candle in walk] for each in Candle.__slots__},
        }
        for name, walk in walks
    ]
    found: dict[str, Told] = {}
    for (name, walk), theirs in zip(walks, ask_rivals(cases), strict=True):
        found.setdefault(name, []).append((walk, theirs))
    return found


@pytest.mark.parametrize("name", STRATEGIES)
async def test_same_trades(name: str, told: dict[str, Told]) -> None:
    """Candle by candle the same, and the value of each day within a millionth."""
    for walk, theirs in told[name]:
        outcome = await ours(STRATEGIES[name], walk)
        trades = [
            (
                trade.opened,
                trade.closed,
                float(trade.quantity),
                float(trade.entry_price or 0),
                float(trade.exit_price or 0),
            )
            for trade in outcome.book.trades
        ]
        assert len(trades) > 10
        others = theirs["trades"][: len(trades)]
        assert len(theirs["trades"]) - len(trades) <= len(outcome.book.open)
        for own, other in zip(trades, others, strict=True):
            numbers = [((own[place] or 0) - BEGIN) // HOUR for place in (0, 1)]
            assert numbers == [int(other[0]), int(other[1])]
            assert own[2:] == pytest.approx(other[2:], rel=1e-6)
        closes = theirs["equity"]
        for each in outcome.days[:-1]:
            number = ((each.number + 1) * DAY - BEGIN) // HOUR - 1
            assert each.value == pytest.approx(closes[number], rel=1e-6)
        assert all(fill.side in Side for fill in outcome.book.fills)
