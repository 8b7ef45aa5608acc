"""A strategy at work: what it decides at each close, between two of them, and the same however its candles come."""

from collections.abc import Mapping, Sequence
import gc
import json
import os
from pathlib import Path
from random import Random
import time
import tracemalloc

import pytest

from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies.evaluator import Decision, Evaluator, Levels, State
from custom_components.calvalot.trading.strategies.library import READY_MADE, strategy_text
from custom_components.calvalot.trading.strategies.reader import read_strategy

from .random_strategies import BEGIN, random_candles, random_strategies

COUNT = int(os.environ.get("CALVALOT_STRATEGIES", "100"))
FRAME = TimeFrame.H1
HOUR = 3600
type Candles = Mapping[str, Sequence[Candle]]


def candle(number: int, close: float, low: float | None = None, high: float | None = None, opened: float = 0) -> Candle:
    """The candle of an hour, as flat as its close unless more is said."""
    start = opened or close
    least, most = min(start, close), max(start, close)
    return Candle(BEGIN + number * HOUR, start, most if high is None else high, least if low is None else low, close, 1)


class Run:
    """A strategy that is shown closes of BTC, hour by hour."""

    def __init__(self, text: str, coins: tuple[str, ...] = ("BTC",), **chosen: float) -> None:
        self.evaluator = Evaluator(read_strategy(f"name: x\n{text}"), coins, FRAME, chosen)
        self.number = 0
        self.decisions: list[Decision] = []

    def show(self, *closes: float | Candle | None) -> Decision | None:
        """Show closes (None: no candle) of BTC; returns the last decision, if it is of the last one."""
        for close in closes:
            made = candle(self.number, close) if isinstance(close, (int, float)) else close
            found = self.evaluator.step(BEGIN + self.number * HOUR, {"BTC": made} if made else {})
            self.decisions += [found] if found else []
            self.number += 1
        return found

    @property
    def share(self) -> float:
        """The share that is wanted of BTC."""
        return self.evaluator.shares["BTC"]


def walk(evaluator: Evaluator, candles: Candles, begin: int, end: int) -> list[Decision]:
    """Show a range of candles, numbered from `BEGIN`."""
    found = []
    for number in range(begin, end):
        shown = {coin: each[number] for coin, each in candles.items()}
        decision = evaluator.step(next(iter(shown.values())).opened, shown)
        found += [decision] if decision else []
    return found


ABOVE = "enter: {value: price, above: 10}\nexit: {value: price, below: 8}\n"


def test_in_and_out() -> None:
    """It goes in where the rule holds, stays where neither does, and says why."""
    run = Run(ABOVE)
    assert run.show(9, 10) is None
    decision = run.show(11)
    assert decision == Decision(
        at=BEGIN + 3 * HOUR, shares={"BTC": 100}, bought={}, reasons={"BTC": "enter"}, prices={}
    )
    assert run.show(9, 12, 8) is None
    decision = run.show(7)
    assert decision
    assert (decision.shares, decision.reasons) == ({"BTC": 0}, {"BTC": "exit"})
    # With the candle of its exit it does not go in again, with the next one it may.
    assert run.show(11)
    assert len(run.decisions) == 3


def test_sold_by_its_level() -> None:
    """It is out from then on, unless it was out by then or has gone in since; and in again with a candle that opens later."""
    run = Run("enter: {value: price, above: 10}\nstop_loss: 5\n")
    assert run.evaluator.sold("BTC", "stop_loss", BEGIN) is None
    run.show(11)
    assert run.evaluator.sold("BTC", "stop_loss", BEGIN + HOUR - 1) is None
    assert run.evaluator.sold("ETH", "stop_loss", BEGIN + HOUR) is None
    at = BEGIN + HOUR + 60
    assert run.evaluator.sold("BTC", "stop_loss", at) == Decision(
        at=at, shares={"BTC": 0}, bought={}, reasons={"BTC": "stop_loss"}, prices={}
    )
    assert run.show(12) is None
    assert run.show(12)
    # What an older version wrote down does not say since when it is in.
    run.evaluator.state = State.from_json(json.dumps({"last": BEGIN + HOUR, "stands": {"BTC": [100, 12, 12, None]}}))
    assert run.evaluator.sold("BTC", "take_profit", at)


def test_goes_not_in_where_it_would_leave() -> None:
    """An exit that holds as well comes first."""
    run = Run("enter: {value: price, above: 10}\nexit: {value: price, above: 20}\n")
    assert run.show(25) is None
    assert run.show(15)


def test_crossing_is_of_one_candle() -> None:
    """It is the candle with which it came to be above; equal before counts."""
    run = Run("enter: {value: price, crosses_above: 10}\nexit: {value: price, crosses_below: 10}\n")
    assert run.show(11, 12) is None
    assert run.show(10) is None
    assert run.show(11)
    assert run.show(12, 10) is None
    assert run.show(9)
    assert run.share == 0


def test_crossing_from_what_was_not_known() -> None:
    """It is none."""
    run = Run("enter: {value: {ratio: [1, {difference: [price, 10]}]}, crosses_above: 0}\nstop_loss: 5\n")
    assert run.show(9, 10, 12) is None
    assert run.show(9) is None
    assert run.show(12)


def test_holds_for_some_candles() -> None:
    """In a row: one that does not begins the count anew."""
    run = Run("enter: {value: price, above: 10, for: 3}\nexit: {and: [{value: price, below: 10}], for: 2}\n")
    assert run.show(11, 11, 9, 11, 11) is None
    assert run.show(11)
    assert run.show(9, 11, 9) is None
    assert run.show(9)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{and: [YES, YES]}", True),
        ("{and: [YES, NO]}", False),
        ("{and: [NO, MAYBE]}", False),
        ("{and: [YES, MAYBE]}", False),
        ("{or: [NO, YES]}", True),
        ("{or: [MAYBE, YES]}", True),
        ("{or: [NO, MAYBE]}", False),
        ("{or: [NO, NO]}", False),
        ("{not: [NO, NO]}", True),
        ("{not: [NO, YES]}", False),
        ("{not: [NO, MAYBE]}", False),
        ("{not: [MAYBE]}", False),
    ],
)
def test_junctions(condition: str, expected: bool) -> None:
    """What is not known is neither true nor false, and its opposite is no more known."""
    words = {"YES": "{value: 2, above: 1}", "NO": "{value: 1, above: 2}"}
    words["MAYBE"] = "{value: {ratio: [1, {difference: [price, price]}]}, above: 0}"
    for word, text in words.items():
        condition = condition.replace(word, text)
    run = Run(f"enter: {condition}\nstop_loss: 5\n")
    assert bool(run.show(5)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{sum: [price, 1, 2]}", 13),
        ("{difference: [price, 1]}", 9),
        ("{product: [price, 2]}", 20),
        ("{ratio: [price, 4]}", 2.5),
        ("{smallest: [price, 12, 11]}", 10),
        ("{largest: [price, 12, 11]}", 12),
        ("{product: [open, high, low, volume]}", 100.0),
        ("120", 100.0),
        ("{difference: [price, 12]}", 0),
        ("{product: [10000000000, {product: [price, 10000000000]}]}", 100),
    ],
)
def test_values(value: str, expected: float) -> None:
    """A share that is computed, within the whole."""
    run = Run(f"target: {{shares: [{{share: {value}}}], band: 0}}\n")
    run.show(10)
    assert run.share == pytest.approx(expected)


def test_a_value_that_is_no_number_changes_nothing() -> None:
    """Neither a division by nothing nor a number beyond all bounds."""
    ratio = "{ratio: [1, {difference: [price, 10]}]}"
    run = Run(f"target: {{shares: [{{share: {{product: [100, {ratio}]}}}}], band: 0}}\n")
    assert run.show(12)
    assert run.show(10) is None
    assert run.share == 50
    huge = "{product: [" + ", ".join(["1000000000000"] * 30) + ", price]}"
    assert Run(f"target: {{shares: [{{share: {huge}}}]}}\n").show(1) is None


def test_stop_loss_within_a_candle() -> None:
    """At the level, or at the open where that is below already; and not in again with the same candle."""
    run = Run("enter: {value: price, above: 10}\nstop_loss: 10\n")
    run.show(20)
    assert run.evaluator.levels("BTC") == Levels(18, None)
    decision = run.show(candle(1, 19, low=17.5, opened=20))
    assert decision
    assert (decision.reasons, decision.prices) == ({"BTC": "stop_loss"}, {"BTC": 18})
    assert run.evaluator.levels("BTC") == Levels(None, None)
    run.show(20)
    decision = run.show(candle(3, 16, opened=17))
    assert decision
    assert decision.prices == {"BTC": 17}


def test_take_profit_and_the_stop_before_it() -> None:
    """Where a candle has reached both, the stop counts."""
    run = Run("enter: {value: price, above: 10}\nstop_loss: 10\ntake_profit: 10\n")
    run.show(20)
    decision = run.show(candle(1, 21, high=22.5, opened=20))
    assert decision
    assert (decision.reasons, decision.prices) == ({"BTC": "take_profit"}, {"BTC": 22})
    run.show(20)
    decision = run.show(candle(3, 20, low=17, high=23))
    assert decision
    assert decision.reasons == {"BTC": "stop_loss"}
    run.show(20)
    decision = run.show(candle(5, 24, opened=23.5))  # a limit that rests there is not filled better
    assert decision
    assert decision.prices == {"BTC": 22}


def test_trailing_stop_follows_the_highest_price() -> None:
    """Of the candles before; it never goes down, and the higher stop counts."""
    run = Run("enter: {value: price, above: 10}\nstop_loss: 5\ntrailing_stop: 10\n")
    run.show(20)
    assert run.evaluator.levels("BTC") == Levels(19, None)
    run.show(candle(1, 29, low=20, high=30, opened=20))
    assert run.evaluator.levels("BTC") == Levels(27, None, "trailing_stop")
    run.show(28)
    assert run.evaluator.levels("BTC").stop == 27
    decision = run.show(candle(3, 26, opened=28))
    assert decision
    assert (decision.reasons, decision.prices) == ({"BTC": "trailing_stop"}, {"BTC": 27})


def test_watched_between_two_closes() -> None:
    """A price that has come to the level sells at once; the candle it was in does not buy again."""
    run = Run("enter: {value: price, above: 10}\nstop_loss: 10\n", ("BTC", "ETH"))
    run.show(20)
    within = BEGIN + HOUR + 60
    assert run.evaluator.watch({"BTC": 18.5, "ETH": 1}, within) is None
    decision = run.evaluator.watch({"BTC": 18}, within)
    assert decision
    assert (decision.at, decision.shares["BTC"], decision.reasons) == (within, 0, {"BTC": "stop_loss"})
    assert run.evaluator.watch({"BTC": 1}, within) is None
    assert run.show(20) is None
    assert run.show(20)


def test_sold_by_hand() -> None:
    """Everything; it goes on with the next candle."""
    run = Run(ABOVE)
    assert run.evaluator.leave(BEGIN) is None
    run.show(20)
    decision = run.evaluator.leave(BEGIN + HOUR + 1)
    assert decision
    assert decision.reasons == {"BTC": "by_hand"}
    assert run.show(20) is None
    assert run.show(20)


def test_targets() -> None:
    """The first that holds, nothing where none does; small differences are left alone, but for the way to nothing."""
    run = Run(
        "target:\n  shares:\n    - {if: {value: price, above: 20}, share: 90}\n"
        "    - {if: {value: price, above: 10}, share: {product: [price, 4]}}\n  band: 6\n"
    )
    assert run.show(5) is None
    for price, expected in ((25, 90), (11, 44), (12, 44), (13, 52), (9, 0), (11, 44)):
        run.show(price)
        assert run.share == expected
    assert {each.reasons["BTC"] for each in run.decisions} == {"target"}


def test_targets_while_something_is_not_known() -> None:
    """What was wanted stays: an unknown condition is not one that does not hold."""
    run = Run(
        "indicators: {average: {type: sma, length: 3}}\n"
        "target:\n  shares:\n    - {if: {value: price, above: average}, share: 80}\n"
    )
    assert run.show(1, 2) is None
    assert run.evaluator.warmed == 2
    assert run.show(3)
    assert run.show(None, 9) is None  # a gap: the warm-up begins anew
    assert (run.evaluator.warmed, run.evaluator.warm_up, run.share) == (1, 3, 80)
    run.show(8, 7)
    assert run.share == 0


def test_unknown_condition_of_a_target_that_is_warm() -> None:
    """It leaves what is held alone, too."""
    unknown = "{value: {ratio: [1, {difference: [price, 5]}]}, above: 0}"
    run = Run(f"target:\n  shares:\n    - {{if: {unknown}, share: 80}}\n")
    run.show(6)
    assert run.show(5) is None
    assert run.share == 80


def test_rotation() -> None:
    """The best of them, chosen anew at its time only; what is not known stays as it is."""
    text = "name: x\nrotate:\n  by: price\n  hold: 2\n  if: {value: price, above: 5}\n  every: 2\n  size: 80\n"
    evaluator = Evaluator(read_strategy(text), ("A", "B", "C"), FRAME)
    hours = iter(range(100))

    def show(**closes: float) -> Mapping[str, float] | None:
        number = next(hours)
        shown = {coin: candle(number, close) for coin, close in closes.items()}
        decision = evaluator.step(BEGIN + number * HOUR, shown)
        return decision.shares if decision else None

    assert show(A=6, B=7, C=8) is None
    assert show(A=6, B=7, C=8) == {"A": 0, "B": 40, "C": 40}
    assert show(A=9, B=7, C=8) is None
    assert show(A=9, B=7, C=8) == {"A": 40, "B": 0, "C": 40}
    show(A=1, B=1, C=1)
    assert show(A=6, B=7) == {"A": 0, "B": 40, "C": 40}
    show()
    assert show(A=4, B=4, C=4) == {"A": 0, "B": 0, "C": 0}


def test_rotation_without_a_condition() -> None:
    """One of two, and the first by name where they are alike."""
    evaluator = Evaluator(read_strategy("name: x\nrotate: {by: price}\n"), ("B", "A"), FRAME)
    decision = evaluator.step(BEGIN, {"A": candle(0, 5), "B": candle(0, 5)})
    assert decision
    assert decision.shares == {"B": 0, "A": 100}


def test_purchases() -> None:
    """Bit by bit at their times, more where the dip is, never beyond the whole, and sold at once."""
    run = Run(
        "buy:\n  - {size: 30, every: 2}\n  - {size: 25, every: 2, if: {value: price, below: 5}}\n"
        "exit: {value: price, above: 100}\n"
    )
    assert run.show(10) is None
    decision = run.show(10)
    assert decision
    assert (decision.bought, decision.shares, decision.reasons) == ({"BTC": 30}, {"BTC": 30}, {"BTC": "buy"})
    assert run.show(4) is None
    decision = run.show(4)
    assert decision
    assert (decision.bought, decision.shares) == ({"BTC": 55}, {"BTC": 85})
    run.show(10)
    decision = run.show(10)
    assert decision
    assert decision.bought == {"BTC": 15}
    assert run.show(10, 10) is None
    decision = run.show(101)
    assert decision
    assert (decision.shares, decision.bought, decision.reasons) == ({"BTC": 0}, {}, {"BTC": "exit"})
    assert run.show(101) is None


def test_weekly_purchases_are_on_mondays() -> None:
    """With the daily candle that ends when Monday begins."""
    evaluator = Evaluator(read_strategy("name: x\nbuy: {size: 1, every: 7}\n"), ("BTC",), TimeFrame.D1)
    days = random_candles(Random(1), TimeFrame.D1, 30)
    found = walk(evaluator, {"BTC": days}, 0, 30)
    assert len(found) in {4, 5}
    assert {time.gmtime(each.at).tm_wday for each in found} == {0}


# However the candles come


def _start(evaluator: Evaluator, candles: Candles, number: int) -> int:
    """The number of the first candle that one depends on, as far as there are such."""
    first = next(iter(candles.values()))
    length = first[1].opened - first[0].opened
    return max((evaluator.start(first[number].opened) - first[0].opened) // length, 0)


def test_one_by_one_in_bulk_and_across_restarts() -> None:
    """Every decision and what is remembered at the end are the same: for random strategies and the ready-made ones."""
    random = Random(7)
    ready = [read_strategy(strategy_text(name, Path())) for name in READY_MADE]
    decided = 0
    for number, strategy in enumerate([*ready, *random_strategies(COUNT // 2, 7)]):
        coins = ("BTC", "ETH", "SOL")[: 1 + number % 3]
        whole = 500 + 20 * (number % 10)
        candles = {coin: random_candles(random, strategy.time_frame, whole) for coin in coins}
        if number % 4 == 3:
            # An exchange that was away: all of its candles are missing for a while.
            candles = {coin: [*each[:200], *each[220:]] for coin, each in candles.items()}
            whole -= 20
        bulk = Evaluator(strategy, coins, strategy.time_frame)
        expected = walk(bulk, candles, 0, whole)
        decided += len(expected)
        state, found, at = State(), [], 0
        while at < whole:
            # Stopped, and begun anew from what was written down and the candles that the store has.
            restarted = Evaluator(
                strategy, coins, strategy.time_frame, None, State.from_json(json.dumps(state.to_json()))
            )
            assert walk(restarted, candles, _start(restarted, candles, max(at - 1, 0)), at) == []
            until = min(at + random.randrange(1, 400), whole)
            found += walk(restarted, candles, at, until)
            state, at = restarted.state, until
        assert found == expected, number
        assert state == bulk.state
    assert decided > 5 * COUNT


def test_state_of_before_its_coins() -> None:
    """A coin that was added stands apart, one that was taken away is no more looked at."""
    evaluator = Evaluator(read_strategy(f"name: x\n{ABOVE}"), ("BTC", "ETH"), FRAME)
    evaluator.step(BEGIN, {"BTC": candle(0, 20), "ETH": candle(0, 20)})
    state = State.from_json(json.dumps(evaluator.state.to_json()))
    again = Evaluator(read_strategy(f"name: x\n{ABOVE}"), ("ETH", "SOL"), FRAME, None, state)
    assert again.shares == {"ETH": 50, "SOL": 0}


def test_memory_is_flat() -> None:
    """A strategy on five coins keeps no more after 9,000 candles than after 1,000."""
    coins = ("A", "B", "C", "D", "E")
    evaluator = Evaluator(read_strategy(strategy_text("averages_crossing", Path())), coins, FRAME)
    random = Random(9)

    def feed(begin: int, count: int) -> int:
        candles = {coin: random_candles(random, FRAME, count, BEGIN + begin * HOUR) for coin in coins}
        walk(evaluator, candles, 0, count)
        del candles
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = feed(0, 1130)
        assert feed(1130, 2260) - first < 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["macd", "momentum_rotation"])
def test_memory_over_a_year(name: str) -> None:
    """A year of hours takes no more than its first weeks did: what indicators are computed of is forgotten."""
    strategy, frame = read_strategy(strategy_text(name, Path())), TimeFrame.H1
    coins = ("BTC", "ETH")
    evaluator = Evaluator(strategy, coins, frame)
    weeks = random_candles(Random(3), frame, 8760)
    peaks = []
    tracemalloc.start()
    try:
        for part in (weeks[:2920], weeks[2920:5840], weeks[5840:]):
            tracemalloc.reset_peak()
            for candle in part:
                evaluator.step(candle.opened, dict.fromkeys(coins, candle))
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks[1:]) < peaks[0] * 1.1
