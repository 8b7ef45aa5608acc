"""A strategy as a source: it looks at closed candles, wants an allocation, and goes on after a restart where it stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import ExchangeUnavailable
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.sources.strategy import LATE, MADE_UP, StrategySource
from custom_components.calvalot.trading.sources.strategy_settings import (
    NoCandles,
    Progress,
    StrategyChanged,
    StrategyInvalid,
    StrategySettings,
    read_rules,
)
from custom_components.calvalot.trading.strategies.evaluator import Levels
from custom_components.calvalot.trading.strategies.script import Pinned, sha256_of
from custom_components.calvalot.trading.strategies.script_evaluator import StrategyFailed
from custom_components.calvalot.trading.wants import Allocation

from .builders import decimals
from .random_strategies import BEGIN, random_candles

FRAME = TimeFrame.H1
HOUR = FRAME.seconds
START = datetime.fromtimestamp(BEGIN, UTC)
ABOVE = "name: x\nenter: {value: price, above: 10}\nexit: {value: price, below: 8}\nstop_loss: 10\n"
WEEKLY = "name: x\nbuy: {size: 10, every: 1}\nexit: {value: price, above: 100}\n"
HALF = "name: x\ntarget: {shares: {share: 50}}\n"


class House:
    """An exchange with the candles that have closed, a clock, and a source that is asked as in a cycle."""

    def __init__(self, text: str = ABOVE, coins: tuple[str, ...] = ("BTC",), **changes: Any) -> None:
        self.settings = StrategySettings(text=text, coins=coins, frame=FRAME, **changes)
        self.candles: dict[str, dict[int, Candle]] = {coin: {} for coin in coins}
        self.now = START
        self.asked: list[tuple[str, int, int]] = []
        self.fault: Exception | None = None
        self.source = self.made()

    def made(self, memory: str | None = None) -> StrategySource:
        """The source, begun with what it remembers."""
        source = StrategySource(self.settings, self.read, lambda: self.now)
        source.memory = memory
        return source

    def restart(self) -> None:
        """Begin anew with nothing but what was written down."""
        self.source = self.made(self.source.memory)

    async def read(self, coin: str, frame: TimeFrame, begin: int, end: int) -> Sequence[Candle]:
        """What the exchange has of a time."""
        assert frame is FRAME
        self.asked.append((coin, begin, end))
        if self.fault:
            raise self.fault
        return [candle for opened, candle in sorted(self.candles[coin].items()) if begin <= opened < end]

    def close(self, number: int, after: float = 2, **closes: float) -> None:
        """Let the candle of an hour close; it is some seconds later then."""
        opened = BEGIN + number * HOUR
        for coin, close in closes.items():
            self.candles[coin][opened] = Candle(opened, close, close, close, close, 1)
        self.now = START + timedelta(hours=number + 1, seconds=after)

    async def cycle(self, weights: Mapping[str, str] | None = None, **prices: str) -> Any:
        """What it says in a cycle now."""
        self.asked.clear()
        await self.source.fetch([])
        known = {} if weights is None else decimals(weights)
        return self.source.decide(Moment(now=self.now, prices=decimals(prices), weights=known))

    async def show(self, number: int, **closes: float) -> Any:
        """Let a candle close and ask."""
        self.close(number, **closes)
        return await self.cycle()


def shares(signal: Any) -> dict[str, str]:
    """What a signal wants, as text."""
    assert isinstance(signal.wants, Allocation)
    return {coin: f"{share.normalize():f}" for coin, share in signal.wants.shares.items()}


async def test_decides_on_closed_candles() -> None:
    """The same signal until it wants something else; what it is looks like a source that decides at once."""
    house = House()
    assert house.source.progress is None
    assert house.source.targets is None
    assert house.source.levels == {}
    assert await house.cycle() is None
    assert await house.show(0, BTC=9) is None
    signal = await house.show(1, BTC=11)
    assert shares(signal) == {"BTC": "1"}
    assert signal.signal_id == "strategy-2023-11-14T02:00:02.000+00:00"
    assert (signal.reasoning, signal.created_at, signal.targets) == ("enter: BTC", house.now, {"BTC": 1})
    assert await house.show(2, BTC=9.95) is signal
    assert house.source.current(Moment(now=house.now, prices={})) is signal
    assert house.source.targets == {"BTC": 1}
    assert house.source.progress == Progress(1, 1)
    assert house.source.signal is signal
    assert house.source.settings is house.settings
    out = await house.show(3, BTC=7)
    assert (out.wants, out.targets) == (Allocation(), {"BTC": 0})


async def test_begins_with_the_last_candle() -> None:
    """What closed before only warms it up."""
    house = House()
    for number, price in enumerate((11, 7, 9)):
        house.close(number, BTC=price)
    assert await house.cycle() is None
    house = House()
    for number, price in enumerate((9, 9, 11)):
        house.close(number, BTC=price)
    assert await house.cycle()


async def test_a_candle_is_asked_for_when_it_has_closed() -> None:
    """Two seconds later, once; the next cycle is wanted at the next close."""
    house = House()
    house.close(0, after=1.5, BTC=11)
    assert await house.cycle() is None
    now = Moment(now=house.now, prices={})
    assert house.source.next_due(now) == START + timedelta(hours=1, seconds=2)
    house.close(0, BTC=11)
    assert await house.cycle()
    assert house.source.next_due(Moment(now=house.now, prices={})) == START + timedelta(hours=2, seconds=2)
    assert house.asked
    await house.cycle()
    assert house.asked == []


async def test_waits_for_a_candle_that_is_late() -> None:
    """All coins are decided on together; one that does not come is left out at last."""
    house = House(coins=("BTC", "ETH"))
    await house.show(0, BTC=9, ETH=9)
    assert await house.show(1, BTC=11) is None
    assert house.source.next_due(Moment(now=house.now, prices={})) == house.now + timedelta(seconds=5)
    house.close(1, ETH=11)
    assert shares(await house.cycle()) == {"BTC": "0.5", "ETH": "0.5"}
    await house.show(2, BTC=11)
    house.close(2, after=LATE + 3, BTC=7)
    assert shares(await house.cycle()) == {"ETH": "0.5"}
    assert house.source.next_due(Moment(now=house.now, prices={})) == START + timedelta(hours=4, seconds=2)


async def test_without_candles() -> None:
    """Nothing is said, whether the exchange does not answer or has none."""
    house = House()
    house.fault = ExchangeUnavailable("away")
    house.close(0)
    with pytest.raises(NoCandles, match="away"):
        await house.cycle()
    house.fault = None
    assert await house.cycle() is None
    assert house.source.memory


@pytest.mark.parametrize("text", ["- a list", "name: x\nenter: {value: rsi, above: 1}\n", "x" * 100_000])
async def test_rules_that_cannot_be_read(text: str) -> None:
    """It says so, and nothing is traded."""
    house = House(text)
    house.close(0, BTC=11)
    with pytest.raises(StrategyInvalid):
        await house.cycle()
    assert house.source.decide(Moment(now=house.now, prices={})) is None


async def test_stop_between_two_closes() -> None:
    """The prices of a cycle are enough; the house need not wait for the close."""
    house = House()
    await house.show(0, BTC=20)
    assert house.source.levels == {"BTC": Levels(18, None)}
    house.now += timedelta(minutes=5)
    assert shares(await house.cycle(BTC="18.01")) == {"BTC": "1"}
    signal = await house.cycle(BTC="18")
    assert (shares(signal), signal.reasoning) == ({}, "stop_loss: BTC")
    assert house.source.levels == {}


async def test_sold_at_its_owners_word() -> None:
    """All that it holds, once; it decides anew with the next whole candle."""
    house = House()
    await house.show(0, BTC=11)
    house.source.leaves = True
    house.now += timedelta(minutes=1)
    signal = await house.cycle()
    assert (shares(signal), signal.reasoning, house.source.leaves) == ({}, "by_hand: BTC", False)
    assert await house.cycle() is signal
    assert shares(await house.show(1, BTC=11)) == {}
    assert shares(await house.show(2, BTC=11)) == {"BTC": "1"}


async def test_a_share_of_its_part() -> None:
    """Shares are of what its owner lets it use."""
    house = House(HALF, ("BTC", "ETH"), share=Decimal("0.6"))
    signal = await house.show(0, BTC=1, ETH=1)
    assert shares(signal) == {"BTC": "0.15", "ETH": "0.15"}


async def test_between_two_days() -> None:
    """It looks at nothing before the first, and sells at the end of the last."""
    house = House(begin=START + timedelta(hours=2), end=START + timedelta(hours=4))
    assert await house.show(0, BTC=20) is None
    assert house.asked == []
    assert house.source.next_due(Moment(now=house.now, prices={})) == START + timedelta(hours=2)
    assert await house.show(2, BTC=20)
    due = house.source.next_due(Moment(now=START + timedelta(hours=3, minutes=1), prices={}))
    assert due == START + timedelta(hours=4)
    signal = await house.show(3, BTC=21)
    assert (shares(signal), signal.reasoning) == ({}, "over: BTC")
    assert house.source.next_due(Moment(now=house.now, prices={})) is None
    assert await house.show(4, BTC=21) is signal
    assert house.asked == []


async def test_ends_while_the_house_is_off() -> None:
    """What it holds is sold with the start."""
    house = House(end=START + timedelta(hours=2))
    await house.show(0, BTC=20)
    house.close(5, BTC=20)
    house.restart()
    assert shares(await house.cycle()) == {}


async def test_purchases_add_to_what_is_held() -> None:
    """However that has moved; without a valuation it waits for one."""
    house = House(WEEKLY, ("BTC", "ETH"), share=Decimal("0.8"))
    house.close(0, BTC=20, ETH=1)
    await house.source.fetch([])
    assert house.source.decide(Moment(now=house.now, prices={})) is None
    assert house.source.memory is None
    signal = await house.cycle({"BTC": "0.5"})
    assert shares(signal) == {"BTC": "0.54", "ETH": "0.04"}
    assert (signal.targets, signal.reasoning) == (signal.wants.shares, "buy: BTC; buy: ETH")
    # One of them is sold, the other goes on.
    house.close(1, BTC=101, ETH=1)
    signal = await house.cycle({"BTC": "0.9", "ETH": "0.98"})
    assert shares(signal) == {"ETH": "1"}
    assert (signal.wants.keep, signal.targets) == (frozenset(), {"BTC": 0, "ETH": 1})


async def test_purchases_keep_what_is_not_bought() -> None:
    """What was bought before stays as it is, and what was missed is bought at once, but for what was sold since."""
    house = House("name: x\nbuy: {size: 10, every: 1, if: {value: price, below: 10}}\n", ("BTC", "ETH"))
    await house.show(0, BTC=5, ETH=5)
    house.close(1, BTC=20, ETH=5)
    signal = await house.cycle({"BTC": "0.3", "ETH": "0.05"})
    assert (shares(signal), signal.wants.keep) == ({"ETH": "0.1"}, {"BTC"})
    house = House(WEEKLY)
    await house.show(0, BTC=20)
    for number, price in enumerate((20, 20, 101, 20), 1):
        house.close(number, BTC=price)
    house.restart()
    assert shares(await house.cycle({"BTC": "0.2"})) == {"BTC": "0.3"}


async def test_goes_on_after_a_restart() -> None:
    """Decisions, signal and warm-up are those of a source that was never stopped; what it missed is made up."""
    text = (
        "name: x\nindicators: {fast: {type: ema, length: 3}, slow: {type: ema, length: 8}}\n"
        "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\ntrailing_stop: 6\n"
    )
    whole, stopped = House(text), House(text)
    candles = random_candles(Random(11), FRAME, 400)
    said: list[list[Any]] = [[], []]
    for number, candle in enumerate(candles):
        for house, found in zip((whole, stopped), said, strict=True):
            house.candles["BTC"][candle.opened] = candle
            house.now = START + timedelta(hours=number + 1, seconds=2)
            if house is stopped and number % 7 == 0:
                house.restart()
            signal = await house.cycle()
            if signal and signal not in found:
                found.append(signal)
    assert len(said[0]) > 20
    assert said[0] == said[1]
    before = stopped.source.progress
    stopped.restart()
    assert stopped.source.decide(Moment(now=stopped.now, prices={})) == said[0][-1]
    await stopped.cycle()
    assert stopped.source.progress == before


async def test_missed_candles_are_made_up() -> None:
    """In their order, as if the house had not been off; of a long time those that it can still know anything of."""
    house = House()
    await house.show(0, BTC=20)
    for number, price in enumerate((20, 7, 7, 12), 1):
        house.close(number, BTC=price)
    house.restart()
    signal = await house.cycle()
    assert shares(signal) == {"BTC": "1"}
    house.now += timedelta(hours=10 * MADE_UP)
    house.restart()
    await house.cycle()
    ((_, begin, end),) = house.asked
    assert MADE_UP < (end - begin) // HOUR < MADE_UP + 200


async def test_other_numbers_keep_what_it_holds() -> None:
    """Rules of the same kind go on with it, others sell it first."""
    house = House()
    await house.show(0, BTC=20)
    house.settings = replace(house.settings, text=ABOVE.replace("below: 8", "below: 19"))
    house.restart()
    assert shares(await house.show(1, BTC=19.5)) == {"BTC": "1"}
    house.settings = replace(house.settings, text=HALF.replace("50", "0"))
    house.restart()
    signal = await house.show(2, BTC=19.5)
    assert (shares(signal), signal.reasoning) == ({}, "replaced: BTC")
    house.settings = replace(house.settings, text=ABOVE)
    house.restart()
    assert shares(await house.cycle()) == {"BTC": "1"}


PYTHON = """
class It:
    candles = 2
    def decide(self, candles, position):
        if candles["BTC"][-1].close == 13:
            raise ValueError("unlucky")
        return {"BTC": 40 if candles["BTC"][-1].close > candles["BTC"][0].close else 0}
"""


def in_python(path: Path, text: str = PYTHON, allowed: str | None = None) -> House:
    """A source that decides by a file, which was allowed as it is."""
    path.write_text(text, encoding="utf-8")
    return House("", pinned=Pinned(path, allowed or sha256_of(text)))


async def test_a_file_in_python(tmp_path: Path) -> None:
    """It decides like rules, goes on after a restart, and is sold from when its owner says so."""
    house = in_python(tmp_path / "mine.py")
    assert await house.show(0, BTC=9) is None
    assert house.source.progress == Progress(1, 2)
    signal = await house.show(1, BTC=11)
    assert shares(signal) == {"BTC": "0.4"}
    assert signal.reasoning == "target: BTC"
    assert house.source.levels == {}
    house.restart()
    assert (await house.show(2, BTC=12)).signal_id == signal.signal_id
    house.source.leaves = True
    house.now += timedelta(minutes=5)
    out = await house.cycle()
    assert (out.targets, out.reasoning) == ({"BTC": 0}, "by_hand: BTC")


async def test_a_file_that_is_another_one(tmp_path: Path) -> None:
    """Nothing is decided by it, in every cycle, until it is the old one again; a file that is gone says so."""
    path = tmp_path / "mine.py"
    house = in_python(path)
    await house.show(0, BTC=9)
    path.write_text(PYTHON + "# more\n", encoding="utf-8")
    for number in (1, 2):
        house.close(number, BTC=11 + number)
        with pytest.raises(StrategyChanged) as changed:
            await house.source.fetch([])
        assert (changed.value.file, changed.value.allowed) == ("mine.py", sha256_of(PYTHON))
        assert changed.value.found == sha256_of(PYTHON + "# more\n")
    path.unlink()
    with pytest.raises(StrategyInvalid, match="no_file"):
        await house.source.fetch([])
    path.write_text(PYTHON, encoding="utf-8")
    assert shares(await house.cycle()) == {"BTC": "0.4"}


async def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """What is read to decide by is looked at too; what was allowed but is no strategy is refused."""
    path = tmp_path / "mine.py"
    house = in_python(path, "x = 1\n")
    house.close(0, BTC=9)
    with pytest.raises(StrategyInvalid, match="python_no_class"):
        await house.source.fetch([])
    with pytest.raises(StrategyChanged):
        read_rules(replace(house.settings, pinned=Pinned(path, "other")))


async def test_a_failure_stays_until_the_next_close(tmp_path: Path) -> None:
    """It is not run again for the same candle, and what is wanted stays."""
    house = in_python(tmp_path / "mine.py")
    await house.show(0, BTC=9)
    signal = await house.show(1, BTC=11)
    house.close(2, BTC=13)
    problems = []
    for _ in range(2):
        with pytest.raises(StrategyFailed) as failed:
            await house.source.fetch([])
        problems.append(failed.value)
    assert problems[0] is problems[1]
    assert "unlucky" in problems[0].told
    assert house.source.signal is signal
    assert (await house.show(3, BTC=12)).targets == {"BTC": 0}


async def test_other_rules_than_python(tmp_path: Path) -> None:
    """What they know nothing of is sold first."""
    house = in_python(tmp_path / "mine.py")
    await house.show(0, BTC=9)
    await house.show(1, BTC=11)
    house.settings = replace(house.settings, text=ABOVE, pinned=None)
    house.restart()
    out = await house.show(2, BTC=9)
    assert (out.targets, out.reasoning) == ({"BTC": 0}, "replaced: BTC")
    assert read_rules(house.settings).name == "x"
    assert read_rules(replace(house.settings, pinned=Pinned(tmp_path / "mine.py", sha256_of(PYTHON)))).name == "It"
