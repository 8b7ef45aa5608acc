"""The distance to the source: its parts add up, and each is what it says."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
import os
from random import Random

import pytest

from custom_components.calvalot.trading.attribution import Valued
from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import Result, SignalRecord
from custom_components.calvalot.trading.performance import Units
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.responses import Json
from custom_components.calvalot.trading.signal import Kind
from custom_components.calvalot.trading.sizing import Reason
from custom_components.calvalot.trading.statistics.distance import (
    Distance,
    Part,
    Point,
    Wanted,
    begin,
    explained,
    reasons_for,
)
from custom_components.calvalot.trading.statistics.distance_text import DAYS, DISTANCE, days_of, from_text, to_facts
from harness.engine import OpenEngine
from simulators.leader import LeaderSimulator

from .builders import NOW, QUOTE, make_fill
from .rig import Rig

# All of them where somebody asks for them, a tenth in the ordinary run.
COUNT = int(os.environ.get("CALVALOT_STATISTICS", "100"))
COINS = ("BTC", "ETH", "BNB")
HOUR = timedelta(hours=1)
NOTHING = Decimal("1e-12")
# Cash has eight decimals, and there are some hundred of it.
CASH_DIGITS = Decimal("1e-10")


class Life:
    """A portfolio that trades, pays fees in quote, the coin or BNB, and moves money, at prices and a rate that move."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.book = Portfolio().with_flow(Decimal(1000))
        self.rate = Decimal("0.9")
        self.prices = {"BTC": Decimal(60_000), "ETH": Decimal(3000), "BNB": Decimal(600)}
        self.units = Units().with_flow(ZERO, Decimal(900))
        self.at = NOW
        self.slipped = self.paid = ZERO

    def valued(self) -> Valued:
        """The portfolio now."""
        with localcontext(EXACT):
            valuation = self.book.value(self.prices)
            assert valuation
            value = valuation.total * self.rate
            self.units = self.units.valued(value)
            return Valued(
                unit_price=self.units.price,
                value=value,
                cash=self.book.cash,
                rate=self.rate,
                prices={coin: price * self.rate for coin, price in self.prices.items()},
                quantities={coin: each.quantity for coin, each in self.book.positions.items()},
            )

    def move_prices(self) -> None:
        """Some time goes by."""
        dice = self.dice
        self.at += dice.choice((HOUR / 30, HOUR, 30 * HOUR))
        self.rate = (self.rate * Decimal(repr(dice.uniform(0.99, 1.01)))).quantize(Decimal("1e-6"))
        for coin, price in self.prices.items():
            self.prices[coin] = (price * Decimal(repr(dice.uniform(0.93, 1.075)))).quantize(Decimal("0.01"))

    def trade(self) -> None:
        """One fill near the price, or money that comes or goes; what it cost is remembered."""
        dice = self.dice
        if dice.random() < 0.2:
            amount = Decimal(dice.randrange(1, 300))
            amount = amount if dice.random() < 0.6 else -min(amount, (self.book.cash / 2).quantize(ONE))
            self.units = self.units.with_flow(self.valued().value, amount * self.rate)
            self.book = self.book.with_flow(amount)
            return
        coin = dice.choice(COINS)
        price = (self.prices[coin] * Decimal(repr(dice.uniform(0.997, 1.003)))).quantize(Decimal("0.01"))
        held = self.book.quantity(coin)
        side = Side.SELL if held and dice.random() < 0.5 else Side.BUY
        quantity = held / 2 if side is Side.SELL else self.book.cash * Decimal("0.4") / price
        quantity = quantity.quantize(Decimal("1e-6"))
        if not quantity:
            return
        asset = dice.choice((QUOTE, coin if side is Side.BUY else QUOTE, "BNB" if coin != "BNB" else QUOTE))
        fee_price = {QUOTE: ONE, **self.prices}[asset]
        fee = (quantity * price * Decimal("0.001") / fee_price).quantize(Decimal("1e-8"))
        fill = make_fill(f"{quantity:f}", f"{price:f}", f"{fee:f}", asset, time=self.at)
        fees = self.book.fees
        self.book = self.book.with_fill(fill, side, coin, QUOTE, fee_price, ZERO)
        worse = (price - self.prices[coin]) * quantity
        with localcontext(EXACT):
            self.slipped += worse if side is Side.BUY else -worse
            self.paid += self.book.fees - fees


def wish(life: Life, number: int) -> Wanted:
    """Something else that is wanted."""
    dice = life.dice
    shares = {coin: Decimal(dice.randrange(0, 33)) / 100 for coin in COINS}
    published = life.at - dice.choice((ZERO_TIME, 2 * HOUR))
    confidence = dice.choice((None, Decimal("0.3"), Decimal("0.9"), ONE))
    return Wanted(name=f"signal {number}", shares=shares, published=published, confidence=confidence)


ZERO_TIME = timedelta()
REASONS: tuple[Mapping[str, Part], ...] = ({}, {"": Part.DELAY}, {"": Part.LIMITS}, {"ETH": Part.LIMITS})


def lived(seed: int, steps: int = 40) -> list[tuple[datetime, Distance]]:
    """The distance after each step of a life, as it comes back from the ledger."""
    life = Life(seed)
    wanted = Wanted()
    distance = begin(life.valued(), life.book.fees, wanted, {}, life.at)
    path = [(life.at, distance)]
    for number in range(steps):
        life.move_prices()
        if life.dice.random() < 0.3:
            wanted = wish(life, number)
        for _ in range(life.dice.randrange(3)):
            life.trade()
        distance = from_text(
            to_facts(distance.valued(life.valued(), life.book.fees, wanted, life.dice.choice(REASONS), life.at))[
                DISTANCE
            ]
        )
        path.append((life.at, distance))
    return path


def test_the_parts_add_up_to_the_distance() -> None:
    """Over any range of random histories, far below 1e-9; each end of a day comes back from its fact."""
    for seed in range(COUNT):
        path = lived(seed)
        dice = Random(seed)
        facts = {name: text for _, each in path for name, text in to_facts(each).items() if name.startswith(DAYS)}
        points = list(days_of(facts).values())
        for _ in range(3):
            first, last = sorted(dice.sample(range(len(points)), 2))
            start, end = points[first], points[last]
            found = explained(start, end)
            assert abs(sum(found.parts.values()) - (found.own - found.record)) < NOTHING
            assert found.own == pytest.approx(end.own / start.own - 1)
            assert found.record == pytest.approx(end.record / start.record - 1)
        whole = path[-1][1]
        found = explained(Point(), Point(own=whole.own, record=whole.record, sums=whole.sums))
        assert abs(sum(found.parts.values()) - (found.own - found.record)) < NOTHING
        assert abs(found.own - (whole.last.unit_price / path[0][1].last.unit_price - 1)) < NOTHING


def test_fees_and_slippage_are_those_of_the_fills() -> None:
    """With nothing wanted these two are all; in one step they are what the fills cost, by the value."""
    for seed in range(COUNT):
        life = Life(seed)
        before = life.valued()
        distance = begin(before, ZERO, Wanted(), {}, life.at)
        life.move_prices()
        with localcontext(EXACT):
            life.valued()
            for _ in range(4):
                if life.dice.random() < 0.8:
                    life.trade()
            # Money that comes later dilutes what was lost before it.
            units = life.units.outstanding
            after = distance.valued(life.valued(), life.book.fees, Wanted(), {}, life.at)
            scale = life.rate / units / before.unit_price / after.record
            if units == Units().with_flow(ZERO, Decimal(900)).outstanding:
                assert abs(after.sums[Part.FEES] + life.paid * scale) < CASH_DIGITS
                assert abs(after.sums[Part.SLIPPAGE] + life.slipped * scale) < CASH_DIGITS
        assert {part for part, amount in after.sums.items() if amount} <= {Part.FEES, Part.SLIPPAGE}


def still(coins: Mapping[str, str], cash: str, prices: Mapping[str, str], units: str = "1000") -> Valued:
    """A portfolio with these quantities in a currency that stands still."""
    known = {coin: Decimal(price) for coin, price in prices.items()}
    held = {coin: Decimal(quantity) for coin, quantity in coins.items()}
    value = Decimal(cash) + sum((quantity * known[coin] for coin, quantity in held.items()), ZERO)
    return Valued(
        unit_price=value / Decimal(units),
        value=value,
        cash=Decimal(cash),
        rate=ONE,
        prices=known,
        quantities=held,
    )


BEFORE, AFTER = {"BTC": "100", "ETH": "10"}, {"BTC": "110", "ETH": "10"}


@pytest.mark.parametrize(
    ("held", "cash", "reasons", "expected"),
    [
        # All in cash, since the signal is not executed yet, or must not be.
        ({}, "1000", {"": Part.DELAY}, {Part.DELAY: "-0.05"}),
        ({}, "1000", {"": Part.LIMITS}, {Part.LIMITS: "-0.05"}),
        # Half of each is bought: less is invested than wanted.
        ({"BTC": "2.5", "ETH": "25"}, "500", {}, {Part.CASH: "-0.025"}),
        # All is invested, but not as wanted.
        ({"BTC": "4", "ETH": "60"}, "0", {}, {Part.MINIMUMS: "-0.01"}),
        # BTC is not to be bought; of the rest all is there.
        ({"ETH": "50"}, "500", {"BTC": Part.LIMITS}, {Part.LIMITS: "-0.05"}),
    ],
)
def test_why_it_is_not_held(
    held: dict[str, str], cash: str, reasons: dict[str, Part], expected: dict[Part, str]
) -> None:
    """BTC and ETH are wanted in equal parts, BTC rises by a tenth."""
    wanted = Wanted(name="one", shares={"BTC": Decimal("0.5"), "ETH": Decimal("0.5")})
    distance = begin(still(held, cash, BEFORE), ZERO, wanted, reasons, NOW)
    distance = distance.valued(still(held, cash, AFTER), ZERO, wanted, reasons, NOW + HOUR)
    found = explained(Point(), Point(own=distance.own, record=distance.record, sums=distance.sums))
    assert found.record == Decimal("0.05")
    assert {part: round(amount, 12) for part, amount in found.parts.items() if round(amount, 12)} == {
        part: Decimal(amount) for part, amount in expected.items()
    }


def test_what_was_published_before_counts_from_then() -> None:
    """Where it was said before the last valuation, what was missed since is a delay; else it counts from now on."""
    old = Wanted(name="old", shares={})
    new = {"name": "new", "shares": {"BTC": ONE}}
    start = begin(still({}, "1000", BEFORE), ZERO, old, {"": Part.DELAY}, NOW)
    now = still({}, "1000", AFTER)
    late = start.valued(now, ZERO, Wanted(**new, published=NOW - HOUR), {}, NOW + HOUR)  # type: ignore[arg-type]
    assert round(late.record, 12) == Decimal("1.1")
    assert late.sums[Part.DELAY] < 0
    soon = start.valued(now, ZERO, Wanted(**new, published=NOW + HOUR), {}, NOW + HOUR)  # type: ignore[arg-type]
    assert (soon.record, soon.shares) == (1, {"BTC": ONE})


def test_nothing_is_measured_of_nothing() -> None:
    """Without money there is no return; money that comes back goes on from there."""
    wanted = Wanted(name="one", shares={"BTC": ONE})
    empty = Valued(unit_price=ONE, value=ZERO, cash=ZERO, rate=ONE, prices={"BTC": ONE}, quantities={})
    distance = begin(empty, ZERO, wanted, {}, NOW)
    assert distance.valued(still({}, "1000", AFTER), ZERO, wanted, {}, NOW + HOUR).record == 1
    assert begin(empty, ZERO, Wanted(), {}, NOW).shares == {}
    gone = begin(still({}, "1000", BEFORE), ZERO, wanted, {}, NOW)
    gone = gone.valued(
        Valued(unit_price=ONE, value=ZERO, cash=ZERO, rate=ONE, prices={}, quantities={}), ZERO, wanted, {}, NOW
    )
    assert gone.record == 1
    # A record that comes to nothing stays what it was.
    worthless = still({}, "1000", {"BTC": "0"})
    assert begin(still({}, "1000", BEFORE), ZERO, wanted, {}, NOW).valued(worthless, ZERO, wanted, {}, NOW).record == 1


def test_outcomes_by_confidence() -> None:
    """What the record did until the next signal, by fifth of confidence; a signal that did not say is left out."""
    shares = {"BTC": ONE}
    first = Wanted(name="1", shares=shares, confidence=Decimal("0.85"))
    second = Wanted(name="2", shares=shares, confidence=ONE)
    third = Wanted(name="3", shares=shares)
    distance = begin(still({"BTC": "10"}, "0", BEFORE), ZERO, first, {}, NOW)
    distance = distance.valued(still({"BTC": "10"}, "0", AFTER), ZERO, second, {}, NOW)
    distance = distance.valued(still({"BTC": "10"}, "0", {"BTC": "99"}), ZERO, third, {}, NOW)
    distance = distance.valued(still({"BTC": "10"}, "0", BEFORE), ZERO, Wanted(name="4"), {}, NOW)
    ((fifth, found),) = distance.outcomes.items()
    assert (fifth, found.signals, found.won, found.total) == (4, 2, 1, ZERO)


def test_is_written_down_when_something_changes() -> None:
    """What is held, what is wanted, why; else once an hour, and with each day."""
    now = still({"BTC": "1"}, "900", BEFORE)
    wanted = Wanted(name="1", shares={"BTC": ONE})
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    distance = begin(now, ZERO, wanted, {}, at)
    later = still({"BTC": "1"}, "900", AFTER)
    assert not distance.is_due(later, ZERO, wanted, {}, at + HOUR / 2)
    assert distance.is_due(later, ZERO, wanted, {}, at + HOUR)
    assert distance.is_due(later, ONE, wanted, {}, at)
    assert distance.is_due(later, ZERO, Wanted(), {}, at)
    assert distance.is_due(later, ZERO, wanted, {"": Part.DELAY}, at)
    assert distance.is_due(still({"BTC": "1"}, "800", BEFORE), ZERO, wanted, {}, at)
    midnight = begin(now, ZERO, wanted, {}, at + 11.9 * HOUR)
    assert midnight.is_due(later, ZERO, wanted, {}, at + 12 * HOUR)


def record(result: Result, kind: Kind = Kind.SIGNAL, left_out: tuple[tuple[str, str, str], ...] = ()) -> SignalRecord:
    """What became of a signal."""
    return SignalRecord(signal_id="1", seen_at=NOW, result=result, kind=kind, left_out=left_out)


@pytest.mark.parametrize(
    ("signal", "held_up", "expected"),
    [
        (None, False, {"": Part.DELAY}),
        (None, True, {"": Part.LIMITS}),
        (record(Result.EXECUTED), False, {}),
        (record(Result.EXECUTED), True, {"": Part.LIMITS}),
        (record(Result.EXECUTED, Kind.EXIT), False, {"": Part.LIMITS}),
        (record(Result.WAITING), False, {"": Part.LIMITS}),
        (record(Result.REJECTED), False, {"": Part.LIMITS}),
        (record(Result.SKIPPED), False, {"": Part.LIMITS}),
        (record(Result.OPEN), False, {"": Part.DELAY}),
        (record(Result.ERROR), False, {"": Part.DELAY}),
        (
            record(
                Result.PARTIAL,
                left_out=(
                    ("BTCUSDC", "BUY", Reason.FROZEN),
                    ("ETHUSDC", "BUY", Reason.BELOW_MINIMUM),
                    ("XYZUSDC", "BUY", Reason.NOT_LISTED),
                ),
            ),
            False,
            {"BTC": Part.LIMITS, "XYZUSDC": Part.LIMITS},
        ),
    ],
)
def test_reasons(signal: SignalRecord | None, held_up: bool, expected: dict[str, Part]) -> None:
    """What keeps a portfolio from what is wanted, coin by coin where the signal says so."""
    assert reasons_for(signal, held_up=held_up, coin_of={"BTCUSDC": "BTC", "ETHUSDC": "ETH"}) == expected


# A portfolio at work


async def told(follower: OpenEngine) -> Json:
    """The distance as the statistics tell it, the parts of each period adding up."""
    statistics = await follower.queries.statistics()
    for period in filter(None, statistics["distance"]["periods"].values()):
        own, source, parts = Decimal(period["own"]), Decimal(period["source"]), period["parts"]
        assert abs(sum(map(Decimal, parts.values()), ZERO) - (own - source)) < Decimal("1e-9")
    found: Json = statistics["distance"]
    return found


async def test_of_a_follower(rig: Rig, leader: LeaderSimulator) -> None:
    """Fees of what it traded, what a pause cost, and days that begin periods; money dated back moves nothing."""
    leader.publish_v2({"BTC": "1"}, confidence="0.7")
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    joined = (await told(follower))["periods"]
    assert Decimal(joined["since_start"]["parts"]["fees"]) < 0
    assert joined["this_year"] == joined["since_start"]
    assert joined["7d"] is None

    await follower.commands.pause(paused=True)
    leader.publish_v2({"ETH": "1"}, confidence="0.9")
    rig.clock.advance(60)
    await follower.cycle()
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * 2)
    rig.clock.advance(7 * 86_400)
    await follower.cycle()
    week = await told(follower)
    assert round(Decimal(week["periods"]["7d"]["source"])) == 100
    assert round(Decimal(week["periods"]["7d"]["parts"]["limits"])) == -100
    assert [each["signals"] for each in week["confidence"]] == []

    await follower.commands.deposit(Decimal(500), at=rig.clock.now() - 3 * 24 * HOUR)
    await follower.commands.pause(paused=False)
    leader.publish_v2({})
    await follower.cycle()
    after = await told(follower)
    before, now = week["periods"]["since_start"], after["periods"]["since_start"]
    assert abs(Decimal(now["source"]) - Decimal(before["source"])) < 1
    assert abs(Decimal(now["parts"]["limits"]) - Decimal(before["parts"]["limits"])) < 1
    signals = (await follower.queries.statistics())["signals"]
    assert signals["count"] == sum(signals["results"].values())
    assert signals["executed"] is not None
    assert Decimal(signals["a_day"]) < 1

    # A ledger of an earlier version has none: it begins with the next valuation.
    follower.ledger.remember("distance", None)
    rig.clock.advance(60)
    await follower.cycle()
    begun = (await told(follower))["periods"]["since_start"]
    assert (Decimal(begun["own"]), Decimal(begun["source"])) == (0, 0)
