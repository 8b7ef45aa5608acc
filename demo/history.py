"""A history: the follower itself, run over simulated time against both simulators."""

import asyncio
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
import math
from pathlib import Path
import random

from aiohttp import ClientSession
from homeassistant.components.sensor import SensorStateClass

from custom_components.calvalot.sensor import SENSORS
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.snapshot import Snapshot
from harness.engine import exchange_for, make_engine
from harness.forms import wait_for_follower
from harness.home import Home
from harness.portfolio import COINS, QUOTE
from harness.simulated import Simulator
from harness.waiting import wait_for
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator
from simulators.leader.signals import Strategist

# How far from the end a cycle may be at most to be followed by the next one after this time.
STEPS = ((timedelta(days=2), timedelta(hours=1)), (timedelta(days=31), timedelta(hours=3)))
YEAR = timedelta(days=365.25)
VOLATILITY = 0.5
SEED = 1
# Day, amount in EUR (a negative one is taken out), note.
type Flow = tuple[int, str, str]
FLOWS: tuple[Flow, ...] = (
    (58, "250", "Savings"),
    (149, "400", "Bonus"),
    (236, "-150", "Holidays"),
    (318, "100", "Savings"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """How long it is, from when to when a signal follows another one, and how far apart cycles are at most.

    Every fourth signal is an allocation, the others are single actions.
    """

    days: int = 365
    signal_days: tuple[float, float] = (1, 5)
    step: timedelta = timedelta(days=1)
    flows: tuple[Flow, ...] = FLOWS


@dataclass(slots=True)
class Clock:
    """The simulated time."""

    now: datetime

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def seconds(self) -> float:
        """Return the same in Unix seconds."""
        return self.now.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a story ends: what the follower published and when, prices by symbol, the leader's latest signal and weights."""

    snapshots: list[tuple[datetime, Snapshot]]
    prices: dict[str, Decimal]
    signal: dict[str, object]
    weights: dict[str, Decimal]


def seed_history(
    home: Home,
    leader: Simulator,
    exchange: Simulator,
    entry_id: str,
    ids: dict[str, str],
    *,
    language: str,
    story: Story = Story(),
) -> None:
    """Let a follower have lived through a story, a year by default: its ledger, and the recorder's statistics.

    Prices and leader go on from where they were at its end.
    """
    home.commands({"type": "config_entries/disable", "entry_id": entry_id, "disabled_by": "user"})
    home.action("recorder.purge_entities", entity_id=list(ids.values()), keep_days=0)
    ledger = home.folder / "calvalot" / f"{entry_id}.db"
    for file in ledger.parent.glob(f"{entry_id}.*"):
        file.unlink()
    ending = asyncio.run(_live(ledger, entry_id, language, story))
    for symbol, price in ending.prices.items():
        exchange.control("set_price", symbol=symbol, price=str(price))
    weights = {coin: str(weight) for coin, weight in ending.weights.items()}
    leader.control("take_over", document=ending.signal, weights=weights)
    home.commands(
        *_statistics(ending.snapshots, ids),
        {"type": "config_entries/disable", "entry_id": entry_id, "disabled_by": None},
    )
    wait_for_follower(home, entry_id)
    wait_for(lambda: not home.commands({"type": "recorder/info"})[0]["backlog"], "the recorder")


def _times(start: datetime, end: datetime, longest: timedelta) -> Iterator[datetime]:
    """Return when the cycles are."""
    now = start
    while now < end:
        yield now
        now += min(longest, next((step for distance, step in STEPS if end - now <= distance), longest))


async def _live(path: Path, entry_id: str, language: str, story: Story) -> Ending:
    """Run a follower through the story."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(days=story.days)
    clock = Clock(start)
    snapshots: list[tuple[datetime, Snapshot]] = []
    mind = Strategist(SEED, COINS, language)
    ledger = Ledger(path, Mode.DRY_RUN, QUOTE)
    async with (
        ExchangeSimulator(seed=SEED, clock=clock.seconds) as market,
        LeaderSimulator() as leader,
        ClientSession() as session,
    ):
        paper = exchange_for(ledger, BinanceExchange(session, market.url), clock)
        follower = make_engine(session, leader, paper, ledger, entry_id=entry_id, clock=clock)
        await follower.start()
        signals = _signals(leader, mind, start, story)
        flows = [(start + timedelta(days=day), Decimal(amount), note) for day, amount, note in story.flows]
        before = start
        for clock.now in _times(start, end, story.step):
            market.set_volatility(f"{VOLATILITY * math.sqrt((clock.now - before) / YEAR):.9f}")
            market.walk()
            before = clock.now
            signals.send(clock.now)
            while flows and flows[0][0] <= clock.now:
                _, amount, note = flows.pop(0)
                await (follower.commands.deposit if amount > 0 else follower.commands.withdraw)(abs(amount), note)
            snapshots.append((clock.now, await follower.cycle()))
        prices = {symbol: market.price(symbol) for symbol in (*(f"{coin}{QUOTE}" for coin in COINS), f"EUR{QUOTE}")}
        await follower.stop()
        return Ending(snapshots=snapshots, prices=prices, signal=leader.latest or {}, weights=mind.weights)


def _signals(leader: LeaderSimulator, mind: Strategist, start: datetime, story: Story) -> Generator[None, datetime]:
    """Publish what a leader thinks every few days, dated in the simulated time."""

    def publish() -> Generator[None, datetime]:
        dice = random.Random(SEED)  # noqa: S311 - a story, not a secret
        due, number = start, 0
        while True:
            now = yield
            if now < due:
                continue
            number += 1
            due = now + timedelta(days=dice.uniform(*story.signal_days))
            dated = {"created_at": now.isoformat(), "signal_id": f"{now:%Y-%m-%dT%H:%M:%S}-{number:04d}"}
            if number % 4 == 1:
                leader.publish_v2(mind.decide(), **mind.words(), **dated)
            else:
                actions = mind.act()
                leader.publish_v1(actions, mind.weights, **mind.words(), **dated)

    generator = publish()
    next(generator)
    return generator


def _statistics(snapshots: Iterable[tuple[datetime, Snapshot]], ids: dict[str, str]) -> Iterator[dict[str, object]]:
    """Tell the recorder, hour by hour, what the sensors would have shown."""
    seen = list(snapshots)
    for sensor in SENSORS:
        if sensor.state_class is not SensorStateClass.MEASUREMENT or sensor.key not in ids:
            continue
        rows = []
        for moment, snapshot in seen:
            if isinstance(value := sensor.value_fn(snapshot), Decimal):
                figure = round(float(value), 2)
                rows.append({"start": moment.isoformat(), "mean": figure, "min": figure, "max": figure})
        metadata = {
            "has_sum": False,
            "mean_type": 1,
            "name": None,
            "source": "recorder",
            "statistic_id": ids[sensor.key],
            "unit_class": None,
            "unit_of_measurement": QUOTE if sensor.in_quote else sensor.native_unit_of_measurement,
        }
        yield {"type": "recorder/import_statistics", "metadata": metadata, "stats": rows}
