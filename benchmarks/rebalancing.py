"""What the ways of keeping an allocation cost and bring, on random walks: the table of docs/rebalancing.md.

Prices are correlated geometric Brownian motions (one factor for the market, one for each coin), a price a day. What is decided and
ordered is what the integration decides and orders: the source of an own allocation, the planner and the book. Orders fill at the
price of the day, with the fee; a portfolio buys its allocation on the first day.

    python -m benchmarks.rebalancing --walks 1000
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from functools import partial
import itertools
import math
import os
from random import Random
from statistics import fmean, pstdev, quantiles

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Fill, Side, SymbolRules
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.planner import fund, plan
from custom_components.calvalot.trading.portfolio import Portfolio, Valuation
from custom_components.calvalot.trading.sizing import Market, PlannedOrder, smallest_order
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, TradeTo, wanted, whole
from custom_components.calvalot.trading.wants import Allocation

QUOTE = "USDC"
DAYS = 365
BUDGET = Decimal(1000)
FEE = Decimal("0.001")
# Share, first price, step, and volatility a year of each coin.
COINS = {
    "BTC": ("0.30", 90000, "0.00001", 0.45),
    "ETH": ("0.25", 3200, "0.0001", 0.65),
    "SOL": ("0.20", 150, "0.001", 0.80),
    "ADA": ("0.15", 0.6, "0.1", 0.80),
    "LINK": ("0.10", 16, "0.01", 0.85),
}
# Part of a coin's variance that all of them share.
COMMON = 0.6
# Deviation of the coins' yearly trends (as logarithms) in the world that has some.
TRENDS = 0.5
SHARES = {coin: Decimal(share) for coin, (share, *_) in COINS.items()}
RULES = {
    f"{coin}{QUOTE}": SymbolRules(
        symbol=f"{coin}{QUOTE}",
        base=coin,
        quote=QUOTE,
        step=Decimal(step),
        min_quantity=Decimal(step),
        min_notional=Decimal(5),
    )
    for coin, (_, _, step, _) in COINS.items()
}
LIMITS = Limits()
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What is decided on: which day it is, weights and smallest orders by coin as fractions of the portfolio."""

    number: int
    weights: Mapping[str, Decimal]
    smallest: Mapping[str, Decimal]


type Decide = Callable[[Day], Allocation | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A year of one portfolio: return and volatility (fractions), turnover and fees (of the mean value), orders, distance.

    `distance` is the mean over the days of ½ Σ|weight − target|.
    """

    gain: float
    volatility: float
    turnover: float
    orders: int
    fees: float
    distance: float


def walk(seed: int, *, trends: bool) -> list[dict[str, Decimal]]:
    """Prices by coin of each day; without trends their expected value is that of the first day."""
    random = Random(seed)
    drifts = {coin: random.gauss(0, TRENDS) if trends else 0.0 for coin in COINS}
    logs = dict.fromkeys(COINS, 0.0)
    days = [{coin: Decimal(str(first)) for coin, (_, first, _, _) in COINS.items()}]
    for _ in range(DAYS):
        market = random.gauss(0, 1)
        for coin, (_, _, _, volatility) in COINS.items():
            shock = math.sqrt(COMMON) * market + math.sqrt(1 - COMMON) * random.gauss(0, 1)
            logs[coin] += (drifts[coin] - volatility**2 / 2) / DAYS + volatility / math.sqrt(DAYS) * shock
        days.append({coin: Decimal(f"{COINS[coin][1] * math.exp(logs[coin]):.8g}") for coin in COINS})
    return days


def every(days: int) -> Decide:
    """To the targets every so many days."""
    return lambda day: whole(AllocationSettings(shares=SHARES)) if day.number % days == 0 else None


def absolute(points: Decimal) -> Decide:
    """To the targets as soon as a coin is off by more than some points of the portfolio."""

    def decide(day: Day) -> Allocation | None:
        off = max(abs(day.weights[coin] - share) for coin, share in SHARES.items())
        return whole(AllocationSettings(shares=SHARES)) if off > points else None

    return decide


def relative(trade_to: TradeTo) -> Decide:
    """What is outside its band of 20 % of the target, back to where it is to be traded to."""
    settings = AllocationSettings(shares=SHARES, trade_to=trade_to)
    return lambda day: wanted(settings, day.weights, day.smallest)


WAYS: Mapping[str, Decide] = {
    "hold": lambda _: None,
    "daily": every(1),
    "weekly": every(7),
    "monthly": every(30),
    "band of 5 points": absolute(Decimal("0.05")),
    "band of 20 %, to the target": relative(TradeTo.TARGET),
    "band of 20 %, half way": relative(TradeTo.HALF),
    "band of 20 %, to the edge": relative(TradeTo.EDGE),
}


class Account:
    """A book on paper whose orders fill at once."""

    def __init__(self) -> None:
        self.book = Portfolio().with_flow(BUDGET)
        self.orders = 0
        self.traded = ZERO
        self._trades = itertools.count(1)

    def rebalance(self, wants: Allocation, market: Market) -> None:
        """Sell, then buy from the cash that is really there."""
        planned = plan(wants, self.book, self.value(market), market, LIMITS, {})
        for order in planned.sells:
            self._fill(order)
        planned = plan(wants, self.book, self.value(market), market, LIMITS, {})
        for order in fund(planned, self.book.cash, self.value(market).total, market, LIMITS)[0]:
            self._fill(order)

    def value(self, market: Market) -> Valuation:
        """Value at these prices."""
        valuation = self.book.value(market.prices)
        assert valuation
        return valuation

    def _fill(self, order: PlannedOrder) -> None:
        bought = order.side is Side.BUY
        number = next(self._trades)
        fill = Fill(
            trade_id=str(number),
            order_id=str(number),
            price=order.price,
            quantity=order.quantity,
            amount=order.amount,
            fee=(order.quantity if bought else order.amount) * FEE,
            fee_asset=order.coin if bought else QUOTE,
            time=EPOCH,
        )
        self.book = self.book.with_fill(fill, order.side, order.coin, QUOTE, order.price if bought else ONE)
        self.orders += 1
        self.traded += order.amount


def year(decide: Decide, days: Sequence[Mapping[str, Decimal]]) -> Outcome:
    """A year in which the bands are looked at once a day."""
    account, values, distances = Account(), list[float](), list[float]()
    for number, prices in enumerate(days):
        market = Market(quote=QUOTE, prices=prices, rules=RULES)
        with localcontext(EXACT):
            valuation = account.value(market)
            day = Day(
                number=number,
                weights={coin: valuation.weight(coin) for coin in COINS},
                smallest={coin: smallest_order(market, LIMITS, coin) / valuation.total for coin in COINS},
            )
            wants = decide(day) if number else whole(AllocationSettings(shares=SHARES))
        if wants:
            account.rebalance(wants, market)
        if not number:
            account.orders, account.traded = 0, ZERO
        valuation = account.value(market)
        values.append(float(valuation.total))
        distances.append(sum(abs(float(valuation.weight(coin) - share)) for coin, share in SHARES.items()) / 2)
    logs = [math.log(after / before) for before, after in itertools.pairwise(values)]
    mean = fmean(values)
    return Outcome(
        gain=values[-1] / values[0] - 1,
        volatility=pstdev(logs) * math.sqrt(DAYS),
        turnover=float(account.traded) / 2 / mean,
        orders=account.orders,
        fees=float(account.traded * FEE) / mean,
        distance=fmean(distances),
    )


def years(seed: int, *, trends: bool) -> list[Outcome]:
    """The same walk for each of the ways."""
    days = walk(seed, trends=trends)
    return [year(decide, days) for decide in WAYS.values()]


def rows(walks: int, *, trends: bool) -> Iterator[str]:
    """The table in Markdown, a row for each way, on the walks of seeds 1, 2, 3 …"""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(partial(years, trends=trends), range(1, walks + 1), chunksize=5))
    yield "| way | mean return | middle half | volatility | turnover a year | orders | fees | distance |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, each in zip(WAYS, zip(*outcomes, strict=True), strict=True):
        low, _, high = quantiles((outcome.gain for outcome in each), n=4)
        yield (
            f"| {name} | {fmean(outcome.gain for outcome in each):+.1%} | {low:+.0%} to {high:+.0%} "
            f"| {fmean(outcome.volatility for outcome in each):.1%} | {fmean(outcome.turnover for outcome in each):.0%} "
            f"| {fmean(outcome.orders for outcome in each):.0f} | {fmean(outcome.fees for outcome in each):.2%} "
            f"| {fmean(outcome.distance for outcome in each):.1%} |"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebalancing", description=__doc__)
    parser.add_argument("--walks", type=int, default=1000, help="random walks of a year (1000)")
    walks = parser.parse_args().walks
    for title, trends in (("Without trends", False), ("With trends", True)):
        print(f"\n{title}, {walks} walks:\n")
        print(*rows(walks, trends=trends), sep="\n", flush=True)


if __name__ == "__main__":
    main()
