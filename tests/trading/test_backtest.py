"""Backtests: what is traded when and at which price, by hand; what is always true; and the same as a portfolio that lived."""

import asyncio
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
import os
from pathlib import Path
from random import Random

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.calvalot.trading.backtest.blend import BlendReplay
from custom_components.calvalot.trading.backtest.errors import BacktestError
from custom_components.calvalot.trading.backtest.run import Setup
from custom_components.calvalot.trading.backtest.sources import RecordedReplay, SourceReplay, StrategyReplay
from custom_components.calvalot.trading.backtest.walk import walk
from custom_components.calvalot.trading.errors import ExchangeUnavailable
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.exchanges.paper import Costs
from custom_components.calvalot.trading.exchanges.replay import ReplayExchange
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.signal import Signal
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When
from custom_components.calvalot.trading.strategies.evaluator import Evaluator, State
from custom_components.calvalot.trading.strategies.reader import read_strategy
from custom_components.calvalot.trading.strategies.tree import Strategy
from custom_components.calvalot.trading.strategies.writer import write_strategy
from custom_components.calvalot.trading.terms import Terms
from custom_components.calvalot.trading.wants import Allocation, Move, Moves

from .backtests import BEGIN, FRAME, HOUR, Living, fills, flat, made, outcome_of, replay, rules, run, setup_of
from .random_strategies import RandomStrategy, random_candles

WALKS = int(os.environ.get("CALVALOT_BACKTESTS", "10"))
ABOVE = "enter: {value: price, above: 10}\nexit: {value: price, below: 8}\n"
STOPS = "enter: {value: price, above: 10}\nstop_loss: 10\ntake_profit: 20\n"
BUY, SELL = Side.BUY, Side.SELL


async def test_by_hand() -> None:
    """A purchase and a sale at the opens after the closes that decided, to the last digit."""
    candles = made((9, 9, 9, 9), (9, 11, 9, 11), (12, 12, 12, 12), (12, 12, 7, 7), (6, 6, 6, 6))
    outcome = await run(ABOVE, *candles)
    # 1000 / (12 × 1.003 × 1.001) on the step, filled at 12 × 1.0002; the fee is taken from the coins.
    bought = Decimal("83.00108")
    amount = Decimal("996.21216259")
    # What is left of the coins is sold as a whole, on the step: 83.00108 × 0.999 = 82.91807892.
    sold = Decimal("82.91807")
    # At 6 × 0.9998.
    brought = Decimal("497.40891832")
    assert fills(outcome) == [("BTC", BUY, bought, amount), ("BTC", SELL, sold, brought)]
    assert [each.time for each in outcome.book.fills] == [BEGIN + 2 * HOUR + 2, BEGIN + 4 * HOUR + 2]
    fee = Decimal("0.49740891")
    assert outcome.book.portfolio.cash == 1000 - amount + brought - fee
    (trade,) = outcome.book.trades
    assert (trade.reason, trade.left_for, trade.closed) == ("enter", "exit", BEGIN + 4 * HOUR + 2)
    assert trade.result == outcome.book.portfolio.realised
    assert outcome.book.open == {}
    assert (outcome.slots, outcome.invested, outcome.missing) == (4, 2, 0)


async def test_what_the_last_close_decides_is_not_traded() -> None:
    """There is no open after it."""
    assert not fills(await run(ABOVE, *flat(9, 9, 11)))


async def test_before_the_beginning_nothing_is_decided() -> None:
    """What closed before only warms it up; the first decision is that of the close at the beginning."""
    candles = flat(11, 11, 11, 9, 9)
    assert [each.time for each in (await run(ABOVE, *candles, first=3)).book.fills] == [BEGIN + 3 * HOUR + 2]
    assert not fills(await run(ABOVE, *candles, first=4))


@pytest.mark.parametrize(
    ("figures", "price", "reason"),
    [
        # Within the candle: at the stop.
        ((12, 12, 10, 12), "9.9", "stop_loss"),
        # It opens below: at the open.
        ((8, 9, 7, 9), "8", "stop_loss"),
        # Both were reached: the stop was first.
        ((12, 14, 9, 12), "9.9", "stop_loss"),
        ((12, 13.5, 11, 12), "13.2", "take_profit"),
        # It opens beyond the profit: at the open.
        ((14, 15, 13, 14), "14", "take_profit"),
    ],
)
async def test_stops_within_a_candle(figures: tuple[float, float, float, float], price: str, reason: str) -> None:
    """At the worse of stop and open, a stop before a profit; entered at a close of 11, the levels are 9.9 and 13.2."""
    low = figures[2]
    first = (11, 11, 11, 11)
    candles = made((9, 9, 9, 9), first, first, figures if low != 10 else (12, 12, 9.5, 12), (12, 12, 12, 12))
    outcome = await run(STOPS, *candles, costs=Costs(fee=Decimal(0), slip=Decimal(0)))
    sale = next(each for each in outcome.book.fills if each.side is SELL)
    assert (sale.price, sale.reason) == (Decimal(price), reason)
    at_the_open = price in {"8", "14"}
    assert sale.time == BEGIN + 3 * HOUR + 2 if at_the_open else BEGIN + 4 * HOUR - 1


async def test_a_shorter_time_frame_tells_the_order() -> None:
    """Inside the candle the profit came first; a gap within it fills at the shorter candle's open."""
    candles = made((9, 9, 9, 9), (11, 11, 11, 11), (11, 14, 9, 9), (9, 9, 9, 9))
    first = BEGIN + 2 * HOUR
    up = made((11, 14, 11, 14), (14, 14, 9, 9), begin=first, frame=TimeFrame.M15)
    free = Costs(fee=Decimal(0), slip=Decimal(0))
    sale = (await run(STOPS, *candles, inside=up, costs=free)).book.fills[1]
    assert (sale.price, sale.reason, sale.time) == (Decimal("13.2"), "take_profit", first + 899)
    down = made((11, 11, 10.5, 10.5), (9.5, 9.6, 9, 9), (9, 14, 9, 14), begin=first, frame=TimeFrame.M15)
    sale = (await run(STOPS, *candles, inside=down, costs=free)).book.fills[1]
    assert (sale.price, sale.reason, sale.time) == (Decimal("9.5"), "stop_loss", first + 1799)


async def test_what_is_open_in_the_end_is_told_apart() -> None:
    """It is no closed trade, and worth what the last close says."""
    outcome = await run(ABOVE, *flat(9, 9, 11, 11, 20))
    assert outcome.book.trades == []
    (trade,) = outcome.book.open.values()
    assert (trade.coin, trade.closed) == ("BTC", None)
    assert outcome.prices == {"BTC": Decimal("20.0")} or outcome.prices == {"BTC": Decimal(20)}
    assert outcome.value > Decimal(1500)


async def test_what_cannot_be_placed_is_told() -> None:
    """Too little money for the smallest order: the reason stands beside it."""
    outcome = await run(ABOVE, *flat(9, 9, 11, 11, 11), budget=Decimal(4))
    assert fills(outcome) == []
    (record,) = outcome.trader.failed
    assert (record.result, record.left_out[0].reason) == (Result.SKIPPED, "below_minimum")
    # Two coins for one purchase: the larger part is placed, the rest says why not.
    candles = {"BTC": flat(9, 9, 11, 11, 11), "ETH": flat(9, 9, 11, 11, 11)}
    setup = setup_of(candles, rules={**rules("BTC"), **rules("ETH", min_notional=Decimal(900))})
    outcome = await outcome_of(replay(ABOVE, setup), setup, candles)
    assert {each.coin for each in outcome.book.fills} == {"BTC"}
    assert [record.result for record in outcome.trader.failed] == [Result.PARTIAL]


async def test_a_price_guard_that_is_too_tight_fills_nothing() -> None:
    """The order expires as on paper; it is tried again at the next opens, until the signal is too old."""
    candles = flat(9, 9, *([11] * 12))
    outcome = await run(ABOVE, *candles, limits=Limits(max_slippage=Decimal("0.0001")))
    assert fills(outcome) == []
    (record,) = outcome.trader.failed
    assert record.result is Result.SKIPPED


async def test_a_gap_in_the_candles() -> None:
    """It is counted, and the next decision waits until the indicators are warm again."""
    candles = flat(*([9.0] * 10), 11, 11, 11)
    outcome = await run(ABOVE, *candles[:5], *candles[8:])
    assert outcome.missing == 3
    assert len(fills(outcome)) == 1


async def test_candles_out_of_order() -> None:
    """Nothing is guessed."""
    candles = flat(9, 9, 9)
    with pytest.raises(BacktestError, match="not in order"):
        list(walk({"BTC": reversed(candles)}))
    with pytest.raises(BacktestError, match="not in order"):
        list(walk({"BTC": candles, "ETH": [candles[0], candles[0]]}))


class Breaks:
    """Rules that raise in the middle."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.shown = 0

    def step(self, _opened: int, _candles: object) -> None:
        """Fail with the third candle."""
        self.shown += 1
        if self.shown == 3:
            raise self.error

    def watch(self, _prices: object, _at: int) -> None:
        """Sell nothing."""

    def levels(self, _coin: str) -> None:
        """Know none."""


async def test_a_strategy_that_raises() -> None:
    """The candle is named; nothing else comes out."""
    candles = {"BTC": flat(9, 9, 9, 9)}
    setup = setup_of(candles)
    for error, words in ((ZeroDivisionError("by nothing"), "2023-11-14 02:00: ZeroDivisionError: by nothing"),):
        source = StrategyReplay(rules=Breaks(error), coins=("BTC",), seconds=HOUR)
        with pytest.raises(BacktestError, match=words):
            await outcome_of(source, setup, candles)
    ours = BacktestError("backtest_aborted")
    source = StrategyReplay(rules=Breaks(ours), coins=("BTC",), seconds=HOUR)
    with pytest.raises(BacktestError, match="aborted"):
        await outcome_of(source, setup, candles)


async def test_coins_of_others_are_not_its_own() -> None:
    """A strategy sees the candles of its own coins only."""
    candles = {"BTC": flat(9, 9, 11, 11), "ETH": flat(9, 9, 11, 11)}
    setup = setup_of(candles)
    state = State(last=setup.begin - 2 * HOUR)
    source = replay(ABOVE, setup)
    own = StrategyReplay(rules=Evaluator(_strategy(ABOVE), ("BTC",), FRAME, {}, state), coins=("BTC",), seconds=HOUR)
    assert {each.coin for each in (await outcome_of(source, setup, candles)).book.fills} == {"BTC", "ETH"}
    assert {each.coin for each in (await outcome_of(own, setup, candles)).book.fills} == {"BTC"}


def _strategy(text: str) -> Strategy:
    return read_strategy(f"name: x\n{text}")


async def test_buying_and_holding_costs_the_fee_of_the_symbol() -> None:
    """Where a test names none; the same that its orders pay."""
    candles = {"BTC": flat(*([10.0] * 30))}
    fee = Decimal("0.004")
    for costs, rate in ((Costs(slip=Decimal(0)), 0.004), (Costs(fee=Decimal(0), slip=Decimal(0)), 0)):
        setup = setup_of(candles, rules=rules("BTC", fee=fee), costs=costs)
        outcome = await outcome_of(RecordedReplay(signals=[]), setup, candles)
        assert outcome.days[-1].hold == pytest.approx(1000 * (1 - rate))


# Other sources


def _signal(number: int, wants: Allocation | Moves, targets: dict[str, Decimal] | None = None) -> Signal:
    return Signal(signal_id=f"{number}", wants=wants, targets=targets)


async def test_recorded_signals() -> None:
    """Each is traded at the first open after it came; what was overtaken by then is not."""
    candles = {"BTC": flat(*([10.0] * 8))}
    setup = setup_of(candles)
    half, none, whole = ({"BTC": Decimal(share)} for share in ("0.5", "0", "1"))
    rows = [
        (BEGIN + 3 * HOUR - 60, _signal(2, Allocation(shares=whole), whole)),
        (BEGIN + 2 * HOUR + 60, _signal(1, Allocation(shares=half), half)),
        (BEGIN + 5 * HOUR - 60, _signal(3, Allocation(), none)),
    ]
    source = RecordedReplay(signals=rows)
    outcome = await outcome_of(source, setup, candles)
    assert [(each.side, each.time) for each in outcome.book.fills] == [
        (BUY, BEGIN + 3 * HOUR + 2),
        (SELL, BEGIN + 5 * HOUR + 2),
    ]
    assert source.targets == none


async def test_moves_are_placed_once() -> None:
    """A move buys its share once; with terms of its own it cannot be outcome_of."""
    candles = {"BTC": flat(*([10.0] * 8))}
    setup = setup_of(candles)
    moves = Moves((Move("BTC", BUY, Decimal("0.5")),))
    outcome = await outcome_of(RecordedReplay(signals=[(BEGIN, _signal(1, moves))]), setup, candles)
    assert len(outcome.book.fills) == 1
    terms = Moves((Move("BTC", BUY, Decimal("0.5"), Terms(limit=Decimal(9))),))
    with pytest.raises(BacktestError, match="terms"):
        await outcome_of(RecordedReplay(signals=[(BEGIN, _signal(1, terms))]), setup, candles)


async def test_moves_that_are_too_old() -> None:
    """What could not be placed in time is not placed later."""
    candles = {"BTC": flat(*([10.0] * 8))}
    setup = setup_of(candles, limits=Limits(max_slippage=Decimal("0.0001")))
    moves = Moves((Move("BTC", BUY, Decimal("0.5")),))
    outcome = await outcome_of(RecordedReplay(signals=[(BEGIN, _signal(1, moves))]), setup, candles)
    assert [record.left_out[0].reason for record in outcome.trader.failed] == ["unfilled"]
    setup = setup_of(candles, rules=rules("BTC", trading=False))
    outcome = await outcome_of(RecordedReplay(signals=[(BEGIN, _signal(1, moves))]), setup, candles)
    assert [record.result for record in outcome.trader.failed] == [Result.SKIPPED]


def _kept(**shares: str) -> SourceReplay:
    targets = {coin: Decimal(share) for coin, share in shares.items()}
    source = AllocationSource(AllocationSettings(shares=targets, when=frozenset({When.DRIFT})), UTC)
    return SourceReplay(source=source, key="allocation")


async def test_an_allocation_of_the_owner() -> None:
    """It buys its shares at the first open, and trades again once a coin has left its band."""
    candles = {"BTC": flat(*([10.0] * 3), 10, 16, 16), "ETH": flat(*([10.0] * 6))}
    setup = setup_of(candles, limits=Limits(rebalance_threshold=Decimal(0)))
    outcome = await outcome_of(_kept(BTC="0.5", ETH="0.5"), setup, candles)
    sides = [(each.coin, each.side) for each in outcome.book.fills]
    assert sides[:2] == [("BTC", BUY), ("ETH", BUY)]
    assert ("BTC", SELL) in sides[2:]


async def test_a_blend() -> None:
    """Weights add up; a stop of one source leaves what another one wants of the coin; moves are refused."""
    candles = {"BTC": made(*[(11, 11, 11, 11)] * 3, (11, 11, 9, 9), (9, 9, 9, 9)), "ETH": flat(*([10.0] * 5))}
    setup = setup_of(candles, limits=Limits(rebalance_threshold=Decimal(0)))
    first = replay("enter: {value: price, above: 10}\nstop_loss: 10\n", setup)
    second = _kept(BTC="0.5", ETH="0.5")
    first.weight = second.weight = Decimal("0.5")
    blend = BlendReplay([first, second])
    assert blend.targets is None or blend.targets
    outcome = await outcome_of(blend, setup, candles)
    btc = [each for each in outcome.book.fills if each.coin == "BTC"]
    assert btc[0].amount > Decimal(400)
    stop = next(each for each in btc if each.reason == "stop_loss")
    assert stop.side is SELL
    assert outcome.book.portfolio.quantity("BTC") > 0
    moves = RecordedReplay(
        signals=[(BEGIN, _signal(1, Moves((Move("BTC", BUY, Decimal("0.5")),))))], weight=Decimal("0.5")
    )
    with pytest.raises(BacktestError, match="only allocations"):
        await outcome_of(BlendReplay([_kept(ETH="0.5"), moves]), setup, candles)


async def test_orders_that_are_bounded() -> None:
    """So many passes meet the price of a close; the rest of a large purchase waits for the next open."""
    outcome = await run(ABOVE, *flat(9, 9, 11, 11, 11, 11), limits=Limits(max_order_share=Decimal("0.1")))
    times = [each.time for each in outcome.book.fills]
    assert times[:5] == [BEGIN + 3 * HOUR + 2] * 5
    assert times[5] == BEGIN + 4 * HOUR + 2


async def test_a_coin_without_a_price_yet() -> None:
    """What is wanted of it waits until it has one; what comes after the end is not looked at."""
    candles = {"BTC": flat(*([10.0] * 8)), "ETH": flat(*([10.0] * 8))[4:]}
    setup = replace(setup_of(candles), end=BEGIN + 7 * HOUR)
    shares = {"BTC": Decimal("0.4"), "ETH": Decimal("0.4")}
    source = RecordedReplay(signals=[(BEGIN, _signal(1, Allocation(shares=shares), shares))])
    inside = {"BTC": flat(*([10.0] * 32), frame=TimeFrame.M15)}
    outcome = await outcome_of(source, setup, candles, inside)
    assert {(each.coin, each.time) for each in outcome.book.fills} == {
        ("BTC", BEGIN + 4 * HOUR + 2),
        ("ETH", BEGIN + 4 * HOUR + 2),
    }
    assert outcome.ended == BEGIN + 6 * HOUR
    assert (await outcome_of(_kept(BTC="0.5"), setup, {"BTC": candles["BTC"]}, inside)).book.fills


async def test_two_stops_of_a_blend_within_a_candle() -> None:
    """Of two sources that sell one coin, the stop at the higher price comes first, whichever is asked first."""
    candles = {"BTC": made((9, 9, 9, 9), (11, 11, 11, 11), (11, 11, 8, 8), (8, 8, 8, 8))}
    inside = {"BTC": made((11, 11, 8, 8), begin=BEGIN + 2 * HOUR, frame=TimeFrame.M15)}
    setup = setup_of(candles, costs=Costs(fee=Decimal(0), slip=Decimal(0)))
    for stops in ((5, 10), (10, 5)):
        members = [replay(f"enter: {{value: price, above: 10}}\nstop_loss: {stop}\n", setup) for stop in stops]
        for number, member in enumerate(members):
            member.key, member.weight = f"{number}", Decimal("0.5")
        outcome = await outcome_of(BlendReplay(members), setup, candles, inside)
        sale = next(each for each in outcome.book.fills if each.side is SELL)
        assert (sale.price, sale.time) == (Decimal("10.45"), BEGIN + 2 * HOUR + 899)


async def test_the_past_has_no_account() -> None:
    """An exchange of the past waits for nobody, lists what it has rules of, and holds nothing."""
    exchange = ReplayExchange(rules("BTC"))
    assert exchange.pause == 0
    assert await exchange.listed() == {"BTCUSDC"}
    assert await exchange.rules(["ETHUSDC"]) == {}
    assert await exchange.prices(["BTCUSDC"]) == {}
    with pytest.raises(ExchangeUnavailable):
        await exchange.holdings()


# What is always true


def _random(seed: int) -> tuple[str, Setup, dict[str, list]]:
    random = Random(seed)
    frame = random.choice([TimeFrame.M15, TimeFrame.H1, TimeFrame.D1])
    coins = ("BTC", "ETH", "SOL")[: random.randrange(1, 4)]
    candles = {coin: random_candles(random, frame, 260) for coin in coins}
    setup = setup_of(candles, frame, first=150, budget=Decimal(random.choice([60, 1000, 100_000])))
    text = write_strategy(replace(RandomStrategy(seed).make(), time_frame=frame))
    return text, setup, candles


@pytest.mark.parametrize("seed", range(WALKS))
async def test_always(seed: int) -> None:
    """The money adds up, no cash is lent, and nothing is filled outside of its candle."""
    text, setup, candles = _random(seed)
    strategy = read_strategy(text)
    state = State(last=setup.begin - 2 * setup.frame.seconds)
    rules_ = Evaluator(strategy, setup.coins, setup.frame, {}, state)
    source = StrategyReplay(rules=rules_, coins=setup.coins, seconds=setup.frame.seconds)
    outcome = await outcome_of(source, setup, candles)
    book, portfolio = outcome.book, outcome.book.portfolio
    cost = sum((held.cost for held in portfolio.positions.values()), Decimal(0))
    assert portfolio.cash + cost == setup.budget + portfolio.realised
    assert portfolio.cash >= 0
    assert sum((trade.result for trade in [*book.trades, *book.open.values()]), Decimal(0)) == portfolio.realised
    by_time = {coin: {each.opened: each for each in of} for coin, of in candles.items()}
    for fill in book.fills:
        candle = by_time[fill.coin][fill.time // setup.frame.seconds * setup.frame.seconds]
        assert setup.begin <= candle.opened
        slipped = float(setup.costs.slippage(fill.coin)) + 1e-9
        assert candle.low * (1 - slipped) <= float(fill.price) <= candle.high * (1 + slipped)


@given(st.lists(st.floats(0.5, 2.0), min_size=8, max_size=40), st.integers(0, 50))
@settings(max_examples=25)
def test_costs_never_help(path: list[float], fee: int) -> None:
    """The same decisions with dearer trades end with less, or the same."""
    price, closes = 10.0, []
    for factor in path:
        price = round(min(max(price * factor, 1.0), 1000.0), 4)
        closes.append(price)

    def value(costs: Costs) -> Decimal:
        return asyncio.run(run(ABOVE, *flat(9.0, *closes), costs=costs)).value

    free = value(Costs(fee=Decimal(0), slip=Decimal(0)))
    assert value(Costs(fee=Decimal(fee) / 1000, slip=Decimal("0.0005"))) <= free + Decimal("1e-6")


# Live is the same


LIVED = {
    "in and out": "indicators:\n  fast: {type: sma, length: 3}\n  slow: {type: sma, length: 8}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n",
    "stops": "indicators:\n  fast: {type: sma, length: 3}\nenter: {value: price, above: fast}\n"
    "stop_loss: 2\ntake_profit: 3\ntrailing_stop: 2.5\n",
    "shares": "indicators:\n  slow: {type: sma, length: 10}\ntarget:\n  shares:\n"
    "    - {share: 90, if: {value: price, above: slow}}\n    - {share: 30}\n",
    "purchases": "buy: [{size: 7, every: 6}]\n",
}


@pytest.mark.parametrize("name", LIVED)
async def test_live_is_backtest(name: str, tmp_path: Path) -> None:
    """A strategy on paper that lived through the candles has traded what a backtest over them trades, to the last digit."""
    coins = ("BTC",) if name == "stops" else ("BTC", "SOL")
    random = Random(name)
    candles = {coin: random_candles(random, FRAME, 160) for coin in coins}
    # With a tick: a limit at a level of floats would be a hair above what the same floats come to.
    setup = setup_of(candles, first=40, rules=rules(*coins, tick=Decimal("0.0001")))
    outcome = await outcome_of(replay(LIVED[name], setup), setup, candles)
    living = Living(setup, candles, tmp_path)
    assert await living.live({"strategy": living.strategy(LIVED[name])}) == fills(outcome)
    assert living.portfolio == outcome.book.portfolio
    assert len(outcome.book.fills) > 5


async def test_living_with_an_allocation(tmp_path: Path) -> None:
    """The owner's own allocation, and a blend of it with a strategy."""
    random = Random(7)
    candles = {coin: random_candles(random, FRAME, 120) for coin in ("BTC", "SOL")}
    setup = setup_of(candles, first=40)
    own = AllocationSettings(
        shares={"BTC": Decimal("0.5"), "SOL": Decimal("0.3")}, when=frozenset({When.DRIFT}), drift=Decimal("0.05")
    )
    outcome = await outcome_of(SourceReplay(source=AllocationSource(own, UTC), key="allocation"), setup, candles)
    living = Living(setup, candles, tmp_path)
    assert await living.live({"allocation": AllocationSource(own, UTC)}) == fills(outcome)
    assert living.portfolio == outcome.book.portfolio
    assert len(outcome.book.fills) > 5


async def test_living_with_a_blend(tmp_path: Path) -> None:
    """Two sources, each with its weight."""
    random = Random(8)
    candles = {coin: random_candles(random, FRAME, 120) for coin in ("BTC", "SOL")}
    setup = setup_of(candles, first=40)
    own = AllocationSettings(
        shares={"BTC": Decimal("0.5"), "SOL": Decimal("0.3")}, when=frozenset({When.DRIFT}), drift=Decimal("0.1")
    )
    first = replay(LIVED["in and out"], setup)
    first.weight = Decimal("0.6")
    second = SourceReplay(source=AllocationSource(own, UTC), key="allocation", weight=Decimal("0.4"))
    outcome = await outcome_of(BlendReplay([first, second]), setup, candles)
    living = Living(setup, candles, tmp_path)
    sources = {"strategy": living.strategy(LIVED["in and out"]), "allocation": AllocationSource(own, UTC)}
    weights = {"strategy": Decimal("0.6"), "allocation": Decimal("0.4")}
    assert await living.live(sources, weights=weights) == fills(outcome)
    assert living.portfolio == outcome.book.portfolio
    assert len(outcome.book.fills) > 5


async def test_the_coin_that_pays_fees(tmp_path: Path) -> None:
    """BNB keeps its own fee back, as in a portfolio."""
    random = Random(9)
    candles = {coin: random_candles(random, FRAME, 120) for coin in ("BNB", "SOL")}
    setup = setup_of(candles, first=40, fee_coin="BNB")
    outcome = await outcome_of(replay(LIVED["in and out"], setup), setup, candles)
    living = Living(setup, candles, tmp_path)
    assert await living.live({"strategy": living.strategy(LIVED["in and out"])}) == fills(outcome)
    assert living.portfolio == outcome.book.portfolio
