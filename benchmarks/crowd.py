"""One leader and ten thousand followers: what the leader is asked, and what they pay when all of them buy.

The arrivals are drawn by the follower's own lot (`Settings.delay`) and by a seeded generator. The book is one that refills
(Obizhaeva & Wang, EventQueue of Financial Markets 16, 2013; general shapes: Alfonsi, Fruth & Schied, Quantitative Finance 10,
2010): whatever was taken from it comes back exponentially. Its shape is Binance's BTC/FDUSD book of July and August 2025
(Amberdata, "How liquidity really works in crypto markets"): 3.50 million USD within 10 basis points of the mid price
and 16.53 million within 100, here halved, one half a side. How fast it refills is not in that source: three half-lives stand side by
side. The square-root law (Tóth et al., Physical Review X 1, 2011; for Bitcoin Donier & Bonart, 2015) is reckoned beside it.
"""

import argparse
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
import json
import math
from random import Random
from statistics import fmean
from typing import Any

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.settings import Settings

from .figure import Figure

FOLLOWERS = 10_000
INTERVAL = 120
# A leader that pushes may ask its followers to poll once an hour only.
SLOWEST = 3600
# Seconds over which the answers to one event are spread by networks and machines.
SCATTER = 1.0
# Seconds from the price that an order is planned with to the order: two of the three round trips of 50 ms.
STALENESS = 0.1
# The follower's limit order for BTC and ETH, in basis points from the last price.
GUARD = 30.0
ALIGNED, SPREAD = "polling, all at the same moment", "polling, each from its own start"
JITTERS = (0, 10, 60, 300, 900)


@dataclass(frozen=True, slots=True)
class Book:
    """One side of an order book: `depth` (quote) lies within 10 basis points, the rest as a power of the distance.

    What is taken comes back with this half-life (seconds).
    """

    name: str
    depth: float
    half_life: float
    power: float = math.log10(16.53 / 3.50)

    def distance(self, taken: float) -> float:
        """Basis points from the undisturbed price at which the next order fills."""
        return 10.0 * math.pow(taken / self.depth, 1 / self.power)

    def price(self, taken: float, amount: float) -> float:
        """Average basis points that an order of an amount (quote) pays."""
        slope = 1 + 1 / self.power

        def whole(volume: float) -> float:
            return 10.0 * self.depth / slope * math.pow(volume / self.depth, slope)

        return (whole(taken + amount) - whole(taken)) / amount

    def left(self, taken: float, seconds: float) -> float:
        """What is still missing after some time."""
        return taken * math.pow(0.5, seconds / self.half_life)


DEEP, THIN = 1.75e6, 1.75e5


def busiest_second(times: Sequence[float]) -> int:
    """Most requests in any whole second."""
    return max(Counter(int(time) for time in times).values())


def requests(seed: int = 1, followers: int = FOLLOWERS, interval: float = INTERVAL) -> list[dict[str, Any]]:
    """What the leader is asked in an hour with one signal in its middle; delays in seconds from signal to poll."""
    random = Random(seed)

    def polls(phases: Sequence[float], every: float) -> list[float]:
        return [phase + number * every for phase in phases for number in range(int(SLOWEST / every))]

    def scattered(spread: float) -> list[float]:
        return [random.uniform(0, spread) for _ in range(followers)]

    def row(name: str, phases: Sequence[float], every: float, pushed: Sequence[float] = ()) -> dict[str, Any]:
        asked = polls(phases, every)
        middle = SLOWEST / 2
        if pushed:
            asked += [middle + delay for delay in pushed]
            delays = list(pushed)
        else:
            delays = [random.uniform(0, every) for _ in phases]  # a signal comes at any moment of the interval
        return {
            "case": name,
            "mean_per_second": len(asked) / SLOWEST,
            "busiest_second": busiest_second(asked),
            "mean_delay": fmean(delays),
            "longest_delay": max(delays),
        }

    spread = scattered(interval)
    return [
        row(ALIGNED, [17 + each for each in scattered(SCATTER)], interval),
        row(SPREAD, spread, interval),
        row("push to all at once", spread, interval, scattered(SCATTER)),
        row("push over 10 s", spread, interval, scattered(10)),
        row("push over 60 s", spread, interval, scattered(60)),
        row("push over 60 s, polling once an hour", scattered(SLOWEST), SLOWEST, scattered(60)),
    ]


def entries(jitter: float, seed: int = 1, followers: int = FOLLOWERS, polling: float = 0) -> list[float]:
    """When each follower's order arrives (seconds after the signal), in order; `polling` is the interval without push."""
    random = Random(seed)
    return sorted(
        Settings(
            entry_id=f"follower-{number}",
            mode=Mode.LIVE,
            quote="USDC",
            initial_budget=Decimal(1000),
            coins=(),
            entry_jitter=timedelta(seconds=jitter),
        )
        .delay("signal")
        .total_seconds()
        + random.uniform(0, polling or SCATTER)
        for number in range(followers)
    )


def trade(book: Book, times: Sequence[float], amount: float) -> dict[str, float]:
    """Equal buy orders (quote) against a book: what they pay in basis points above the price before the signal.

    An order whose fill would lie further than the guard from the price it was planned with is not filled.
    """
    moments, states = [-math.inf], [0.0]
    taken, last = 0.0, 0.0
    paid: list[float] = []
    for time in times:
        taken = book.left(taken, time - last)
        last = time
        known = bisect_right(moments, time - STALENESS) - 1
        seen = book.left(states[known], time - STALENESS - moments[known]) if known else 0.0
        if book.distance(taken + amount) <= book.distance(seen) + GUARD:
            paid.append(book.price(taken, amount))
            taken += amount
        moments.append(time)
        states.append(taken)
    return {
        "mean": fmean(paid),
        "worst": max(paid),
        "unfilled": 1 - len(paid) / len(times),
        "peak": max(map(book.distance, states)),
        "cost_each": fmean(paid) / 1e4 * amount,
    }


def square_root(volume: float, daily_volume: float, volatility: float) -> float:
    """Average basis points paid for a volume by the square-root law with factor 1, whatever the time it takes."""
    return 2 / 3 * volatility * math.sqrt(volume / daily_volume) * 1e4


def impact(seed: int = 1, followers: int = FOLLOWERS) -> list[dict[str, Any]]:
    """What followers pay, by book, amount and spread."""
    books = [(Book("deep", DEEP, half_life), amount) for half_life in (1, 5, 30) for amount in (100.0, 1000.0)]
    books.append((Book("thin", THIN, 5), 100.0))
    cases: list[tuple[str, float, float]] = [(f"push, entry_jitter {jitter} s", jitter, 0) for jitter in JITTERS]
    cases.insert(1, (f"polling every {INTERVAL} s, no jitter", 0, INTERVAL))
    arrivals = [(name, entries(jitter, seed, followers, polling)) for name, jitter, polling in cases]
    return [
        {"book": book.name, "half_life": book.half_life, "amount": amount, "case": name} | trade(book, times, amount)
        for book, amount in books
        for name, times in arrivals
    ]


def run(seed: int = 1, followers: int = FOLLOWERS) -> dict[str, Any]:
    """All figures of the crowd."""
    total = followers * 100.0
    return {
        "seed": seed,
        "followers": followers,
        "requests": requests(seed, followers),
        "impact": impact(seed, followers),
        "square_root": [
            {"pair": pair, "volume": volume, "mean": square_root(volume, daily_volume, volatility)}
            for pair, volume, daily_volume, volatility in (
                ("deep", total, 3e9, 0.025),
                ("deep", 10 * total, 3e9, 0.025),
                ("thin", total, 3e8, 0.04),
            )
        ],
    }


async def measure(*, quick: bool) -> list[Figure]:
    """The most telling of them for the table of all benchmarks."""
    followers = 1000 if quick else FOLLOWERS
    asked = {row["case"]: row for row in requests(followers=followers)}
    paid = {jitter: trade(Book("deep", DEEP, 5), entries(jitter), 1000)["mean"] for jitter in (0, 60)}
    how = f"simulated, {followers:,} followers"
    return [
        Figure(
            name="leader: busiest second, polling at one moment",
            value=asked[ALIGNED]["busiest_second"],
            unit="requests",
            by=how,
        ),
        Figure(name="… each from its own start", value=asked[SPREAD]["busiest_second"], unit="requests", by=how),
        Figure(name="10,000 orders of 1,000 USDC within a second", value=paid[0], unit="bp paid", by="simulated"),
        Figure(name="… entry_jitter 60 s", value=paid[60], unit="bp paid", by="simulated"),
    ]


def report(figures: dict[str, Any]) -> str:
    """The figures as tables in Markdown."""
    lines = ["| at the leader | requests a second | busiest second | delay, mean | longest |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {row['case']} | {row['mean_per_second']:.1f} | {row['busiest_second']:,} | {row['mean_delay']:.1f} s"
        f" | {row['longest_delay']:.0f} s |"
        for row in figures["requests"]
    ]
    columns = dict.fromkeys((row["amount"], row["book"], row["half_life"]) for row in figures["impact"])
    heads = (f"{amount:,.0f} USDC, {book}, {half_life} s" for amount, book, half_life in columns)
    lines += ["", f"| paid on average | {' | '.join(heads)} |", f"|---|{'--:|' * len(columns)}"]
    for case in dict.fromkeys(row["case"] for row in figures["impact"]):
        paid = [f"{row['mean']:.2f} bp" for row in figures["impact"] if row["case"] == case]
        lines.append(f"| {case} | {' | '.join(paid)} |")
    lines += ["", "| square-root law | volume | paid, mean |", "|---|--:|--:|"]
    lines += [f"| {row['pair']} | {row['volume']:,.0f} USDC | {row['mean']:.1f} bp |" for row in figures["square_root"]]
    return "\n".join(lines)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--json", action="store_true", help="all figures as JSON instead of tables")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--followers", type=int, default=FOLLOWERS)
    arguments = parser.parse_args()
    figures = run(arguments.seed, arguments.followers)
    print(json.dumps(figures, indent=1) if arguments.json else report(figures))


if __name__ == "__main__":
    main()
