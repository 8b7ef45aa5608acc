"""What speaks against a result: each check with a case that it finds and one that it does not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from custom_components.calvalot.trading.backtest.checks import (
    CLEAN,
    WORDS,
    Finding,
    look_ahead,
    look_at,
    other_warm_up,
    verdict,
    warning,
)
from custom_components.calvalot.trading.backtest.errors import BacktestError
from custom_components.calvalot.trading.backtest.perform import perform
from custom_components.calvalot.trading.backtest.run import Outcome
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.strategies.evaluator import Decision

from .backtests import BEGIN, HOUR, flat, run, spec_of

ABOVE = "enter: {value: price, above: 10}\nexit: {value: price, below: 8}\n"
D1 = TimeFrame.D1


def keys(outcome: Outcome, warm: int = 1, needed: int = 1) -> set[str]:
    """Which findings there are."""
    return {each.key for each in look_at(outcome, warm=warm, needed=needed)}


EARNS = "enter: {value: price, below: 10}\nexit: {value: price, above: 10.5}\n"
LOSES = "enter: {value: price, below: 10}\nexit: {value: price, above: 20}\nstop_loss: 5\n"


async def trades(count: int, *last: float) -> Outcome:
    """So many round trips, each of which earns a little, and what comes then; a candle a day."""
    path = [10.2, *([9.9, 9.9, 10.6, 10.6, 10.2] * count), *last]
    return await run(EARNS, *flat(*path, frame=D1), frame=D1)


async def test_few_and_short() -> None:
    """Under 30 trades, under 180 days."""
    assert {"few_trades", "short_time"} <= keys(await trades(3))
    assert not {"few_trades", "short_time", "no_trades"} & keys(await trades(36))
    assert "no_trades" in keys(await run(ABOVE, *flat(9, 9, 9)))


async def test_one_trade_makes_it_all() -> None:
    """One large gain among small losses."""
    lone = await run(LOSES, *flat(15.0, *([9.9, 9.9, 9.0, 15.0] * 5), 9.9, 9.9, 21, 21, 15, frame=D1), frame=D1)
    assert lone.value > lone.setup.budget
    found = next(each for each in look_at(lone, warm=1, needed=1) if each.key == "one_trade")
    assert "BTC" in str(found)
    assert "one_trade" not in keys(await trades(5))


async def test_what_is_open_makes_it_all() -> None:
    """Sales lost; the profit is on paper."""
    outcome = await run(ABOVE, *flat(9, 11, 11, 7, 7, 11, 11, 40, frame=D1), frame=D1)
    sold = sum((trade.result for trade in outcome.book.trades), Decimal(0))
    assert outcome.value > outcome.setup.budget
    assert ("open_profit" in keys(outcome)) is (sold <= 0)
    assert sold <= 0


async def test_candles_and_warm_up() -> None:
    """Those that are missing or begin late, and indicators that were not warm."""
    outcome = await trades(3)
    assert "not_warm" in keys(outcome, 5, 20)
    assert "not_warm" not in keys(outcome, 20, 20)
    assert "late_candles" in keys(replace(outcome, began=(outcome.began or 0) + HOUR))
    assert "missing" in keys(replace(outcome, missing=5))
    assert not {"missing", "late_candles"} & keys(outcome)


async def test_signals_that_were_not_placed() -> None:
    """More than a tenth of them."""
    outcome = await run(ABOVE, *flat(9, 9, 11, 11, 11), budget=Decimal(4))
    assert "left_out" in keys(outcome)


async def test_buying_and_holding_was_better() -> None:
    """It is said beside the result."""
    assert "below_hold" in keys(await run(ABOVE, *flat(9, 9, 9, 100)))
    assert "below_hold" not in keys(await run(ABOVE, *flat(9, 9, 9, 1)))
    assert "below_hold" not in keys(await run(ABOVE, *flat(9, 9), first=2))


def test_first_line() -> None:
    """Warnings, else that there are none; a note is none."""
    assert verdict([]) == verdict([Finding("below_hold", "note", {"hold": "2", "own": "1"})]) == CLEAN
    found = warning("few_trades", count="3")
    assert verdict([found]) == "Only 3 closed trades: too few to tell skill from luck."
    assert found.to_json()["text"] == str(found)
    assert all(text.endswith(".") for text in WORDS.values())


# Looking ahead


class Peeks:
    """Rules that buy before a rise: they have all the candles, as a strategy may that reads a file beside it."""

    def __init__(self, candles: Sequence[Candle]) -> None:
        self.closes = {each.opened: each.close for each in candles}

    def decide(self) -> list[Decision]:
        """What it decides, looking one candle ahead."""
        found = []
        for opened, close in self.closes.items():
            if self.closes.get(opened + HOUR, 0.0) > close:
                found.append(_decision(opened + HOUR))
        return found


def _decision(at: int) -> Decision:
    return Decision(at=at, shares={"BTC": 100.0}, bought={}, reasons={"BTC": "enter"}, prices={})


def test_looks_ahead() -> None:
    """Once what came after is taken away its decision is gone: it is named and refused."""
    candles = flat(9, 10, 9, 10, 9, 10)
    decisions = Peeks(candles).decide()
    looked: list[int] = []

    def cut(end: int) -> Iterable[Decision]:
        return Peeks([each for each in candles if each.opened + HOUR <= end]).decide()

    with pytest.raises(BacktestError, match="looks ahead") as caught:
        look_ahead(decisions, cut, lambda: looked.append(1))
    assert caught.value.key == "backtest_looks_ahead"
    assert "2023-11-14" in caught.value.placeholders["time"]
    assert looked


def test_does_not_look_ahead() -> None:
    """One that only looks back; and one that never decided."""
    decisions = [_decision(BEGIN + number * HOUR) for number in range(40)]
    asked: list[int] = []

    def cut(end: int) -> Iterable[Decision]:
        asked.append(end)
        return [each for each in decisions if each.at <= end]

    look_ahead(decisions, cut, lambda: None)
    assert asked == [decisions[number].at for number in (0, 4, 10, 20, 39)]
    look_ahead([], cut, lambda: None)
    assert len(asked) == 5


def test_other_warm_up() -> None:
    """The first decisions have to be the same."""
    decisions = [_decision(BEGIN + number * HOUR) for number in range(5)]
    assert other_warm_up(decisions, [decisions[:3], decisions]) == []
    assert [each.key for each in other_warm_up(decisions, [decisions[1:], decisions])] == ["warm_up"]
    assert other_warm_up([], [[], []]) == []


CASES: Mapping[str, str] = {
    "averages": "indicators:\n  fast: {type: sma, length: 5}\n  slow: {type: ema, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n",
    "stops": "indicators:\n  fast: {type: sma, length: 5}\nenter: {value: price, above: fast}\n"
    "stop_loss: 1\ntake_profit: 1\ntrailing_stop: 0.8\n",
    "shares": "target:\n  shares:\n    - {share: 50, if: {value: price, above: 100}}\n    - {share: 20}\n",
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("inside", [None, TimeFrame.M15])
def test_rules_never_look_ahead(name: str, inside: TimeFrame | None) -> None:
    """Whatever rules say, with and without shorter candles inside; how far it is only goes up."""
    told: list[float] = []
    result = perform(spec_of(CASES[name], inside=inside), lambda done, _: told.append(done))
    assert "warm_up" not in {each["key"] for each in result["findings"]}
    assert told == sorted(told)
    assert result["orders"]


def test_what_is_known_already_comes_first() -> None:
    """What a sweep has found stands before the rest."""
    result = perform(spec_of(CASES["shares"]), known=[warning("sweep_luck", share="80")])
    assert result["verdict"].startswith("80 %")
