"""What a backtest came to in figures: by hand, and what has to add up in all of them."""

from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import sqrt
from statistics import fmean, stdev

import pytest

from custom_components.calvalot.trading.backtest.book import Trade
from custom_components.calvalot.trading.backtest.page import html
from custom_components.calvalot.trading.backtest.perform import perform
from custom_components.calvalot.trading.backtest.results import days_of, growth_a_year, plain, result_of
from custom_components.calvalot.trading.backtest.table import lines
from custom_components.calvalot.trading.exchanges.paper import Costs
from custom_components.calvalot.trading.market.candles import TimeFrame

from .backtests import BEGIN, flat, run, spec_of

ABOVE = "enter: {value: price, above: 10}\nexit: {value: price, below: 8}\n"
CROSSING = (
    "indicators:\n  fast: {type: sma, length: 5}\n  slow: {type: sma, length: 20}\n"
    "enter: {value: fast, crosses_above: slow}\nexit: {value: fast, crosses_below: slow}\n"
)
FREE = Costs(fee=Decimal(0), slip=Decimal(0))
D1 = TimeFrame.D1


async def test_by_hand() -> None:
    """Daily candles: bought at 12, sold at 6; bought and held from the first open."""
    closes = (9.0, 9.0, 12.0, 12.0, 7.0, 6.0, 6.0)
    outcome = await run(ABOVE, *flat(*closes, frame=D1), frame=D1, costs=FREE)
    result = result_of(outcome)
    figures = result["figures"]
    bought = Decimal("83.00108")
    value = 1000 - bought * 12 + bought * 7
    assert Decimal(figures["value"]) == value
    assert figures["return"] == plain(float(value / 1000 - 1) * 100)
    assert figures["days"] == "6"
    assert (figures["trades"], figures["won"], figures["lost"]) == (1, 0, 1)
    assert figures["hold_return"] == plain((6 / 9 - 1) * 100)
    assert Decimal(figures["profit"]) == value - 1000 == Decimal(figures["realised"])
    assert figures["win_rate"] == "0"
    assert figures["profit_factor"] == "0"
    assert figures["sqn"] is None
    assert figures["longest_losses"] == 1
    (trade,) = result["trades"]
    assert (trade["entry_price"], trade["exit_price"], trade["left_for"]) == ("12", "7", "exit")
    assert trade["return"] == plain(float((bought * 7 - bought * 12) / (bought * 12)) * 100)
    # The peak is that of the day before it fell; the end has not made it up.
    assert figures["drawdown"]["recovered"] is None
    assert figures["drawdown"]["valley"] == "2023-11-18"
    values = [Decimal(day["value"]) for day in result["equity"]]
    assert values[:2] == [1000, 1000]
    assert [day["day"] for day in result["equity"]] == [f"2023-11-{day}" for day in range(15, 21)]


async def test_open_in_the_end() -> None:
    """It is no trade; what it is worth beyond its cost is unrealised."""
    result = result_of(await run(ABOVE, *flat(9, 9, 12, 12, 15, frame=D1), frame=D1, costs=FREE))
    figures = result["figures"]
    assert (figures["trades"], figures["open"]) == (0, 1)
    (still,) = result["open"]
    assert Decimal(still["result"]) == Decimal(figures["unrealised"]) == Decimal("83.00108") * 3
    assert Decimal(still["price"]) == 15
    assert figures["best_trade"] is None
    assert figures["max_drawdown"] == "0"
    assert figures["drawdown"] is None


def test_adds_up() -> None:
    """Of a walk with many trades: money, parts by coin and reason, and ratios from the curve itself."""
    result = perform(spec_of(CROSSING, coins=("BTC", "SOL"), end=BEGIN + 120 * 86_400), checked=False)
    figures, trades = result["figures"], result["trades"]
    assert len(trades) > 30
    profit = Decimal(figures["profit"])
    assert abs(profit - Decimal(figures["realised"]) - Decimal(figures["unrealised"])) < Decimal("1e-7")
    results = [Decimal(trade["result"]) for trade in trades]
    for name in ("coins", "reasons"):
        assert abs(sum(Decimal(each["result"]) for each in result[name]) - sum(results)) < Decimal("1e-6")
        assert sum(each["trades"] for each in result[name]) == len(trades)
    days = [float(day["value"]) for day in result["equity"]]
    returns = [after / before - 1 for before, after in pairwise([10_000.0, *days])]
    assert float(figures["volatility"]) == pytest.approx(stdev(returns) * sqrt(365) * 100)
    assert float(figures["sharpe"]) == pytest.approx(fmean(returns) / stdev(returns) * sqrt(365))
    downside = sqrt(fmean(min(each, 0) ** 2 for each in returns))
    assert float(figures["sortino"]) == pytest.approx(fmean(returns) / downside * sqrt(365))
    peak = deepest = 0.0
    for value in [10_000.0, *days]:
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
    assert float(figures["max_drawdown"]) == pytest.approx(deepest * 100)
    assert max(float(day["drawdown"]) for day in result["equity"]) == pytest.approx(deepest * 100)
    cagr = (days[-1] / 10_000) ** (365 / 120) - 1
    assert float(figures["cagr"]) == pytest.approx(cagr * 100)
    assert float(figures["calmar"]) == pytest.approx(cagr / deepest)
    floats = [float(each) for each in results]
    assert float(figures["sqn"]) == pytest.approx(sqrt(len(floats)) * fmean(floats) / stdev(floats))
    assert float(figures["expectancy"]) == pytest.approx(fmean(floats))
    won, lost = [each for each in floats if each > 0], [each for each in floats if each < 0]
    assert float(figures["profit_factor"]) == pytest.approx(sum(won) / -sum(lost))
    fees = sum(Decimal(order["fee"]) for order in result["orders"])
    assert abs(fees - Decimal(figures["fees"])) < Decimal("1e-5")
    whole = 1.0
    for year in result["months"]:
        whole *= 1 + float(year["total"]) / 100
    assert (whole - 1) * 100 == pytest.approx(float(figures["return"]))
    assert 0 < float(figures["exposure"]) < 100
    assert 0 < float(figures["time_invested"]) < 100


def test_shown() -> None:
    """As lines and as a page, which holds every section and no word of the file unescaped."""
    spec = spec_of(CROSSING, name="<b>mine</b>", end=BEGIN + 60 * 86_400)
    result = perform(spec)
    text = "\n".join(lines(result))
    assert text.startswith(result["verdict"])
    for words in ("CAGR", "buy and hold", "profit factor", "year", "coins", "reasons", "the last trades"):
        assert words in text, words
    page = html(result, spec.name)
    assert "<b>mine" not in page
    assert page.count("<svg") == 3
    for words in ("What speaks against it", "Return by month", "By coin", "By reason", "Trades"):
        assert words in page, words
    assert "http" not in page


def test_shown_without_anything() -> None:
    """No trade at all, and one that is still open."""
    spec = spec_of("enter: {value: price, above: 1000000}\nstop_loss: 5\n", end=BEGIN + 3 * 86_400)
    result = perform(spec)
    text = "\n".join(lines(result))
    assert "never traded" in text
    for words in ("best trade", "worst trade", "from, to, made up", "the last trades", "reasons"):
        assert words not in text, words
    assert html(result, "x")
    still = perform(spec_of("enter: {value: price, above: 1}\nstop_loss: 90\n", end=BEGIN + 3 * 86_400))
    assert "still open" in "\n".join(lines(still))
    assert ">open<" in html(still, "x")


async def test_without_a_candle() -> None:
    """There is nothing to say, and nothing breaks."""
    outcome = await run(ABOVE, *flat(9, 9), first=2)
    assert outcome.ended is None
    assert days_of(outcome) == 0
    figures = result_of(outcome)["figures"]
    assert (figures["begin"], figures["end"], figures["exposure"], figures["time_invested"]) == (None,) * 4


@pytest.mark.parametrize(("whole", "days", "expected"), [(0, 10, None), (1.1, 0, None), (10.0**300, 0.01, None)])
def test_growth_beyond_bounds(whole: float, days: float, expected: None) -> None:
    """A yearly return that cannot be reckoned is none."""
    assert growth_a_year(whole, days) is expected


def test_a_rest_of_an_earlier_trade() -> None:
    """What is sold without having been bought in that trade has no price of entry."""
    trade = Trade(coin="BTC", opened=0, reason="exit")
    assert (trade.entry_price, trade.exit_price, trade.share) == (None, None, 0.0)
    assert plain(float("nan")) is None
    assert date(2023, 11, 14).isoformat() == "2023-11-14"
