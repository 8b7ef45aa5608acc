"""When not to trade: quiet hours, one side only, coins that are frozen or locked."""

from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import Result
from custom_components.calvalot.trading.settings import QuietHours, Settings
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When, wanted
from custom_components.calvalot.trading.sources.base import Moment
from simulators.leader import LeaderSimulator

from .builders import decimals
from .rig import Rig

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        ("22:00", "07:00", "2026-05-01T21:59+02:00", None),
        ("22:00", "07:00", "2026-05-01T22:00+02:00", "2026-05-02T07:00+02:00"),
        ("22:00", "07:00", "2026-05-02T06:59+02:00", "2026-05-02T07:00+02:00"),
        ("22:00", "07:00", "2026-05-02T07:00+02:00", None),
        ("12:00", "14:00", "2026-05-02T13:00+02:00", "2026-05-02T14:00+02:00"),
        ("12:00", "14:00", "2026-05-02T11:00+02:00", None),
        ("12:00", "14:00", "2026-05-02T14:00+02:00", None),
        # The night in which the clocks go forward.
        ("22:00", "07:00", "2026-03-28T23:00+01:00", "2026-03-29T07:00+02:00"),
    ],
)
def test_quiet_hours(start: str, end: str, now: str, until: str | None) -> None:
    """They are hours of the local day, and may go over midnight."""
    hours = QuietHours(time.fromisoformat(start), time.fromisoformat(end), PARIS)
    assert hours.until(datetime.fromisoformat(now)) == (until and datetime.fromisoformat(until))


async def test_signals_wait(rig: Rig, leader: LeaderSimulator) -> None:
    """A signal of the quiet hours is traded after them, once; what the owner orders is traded at once."""
    now = rig.clock.now()
    hours = QuietHours((now - timedelta(hours=1)).time(), (now + timedelta(hours=2)).time(), UTC)
    follower = await rig.following(Mode.DRY_RUN)
    await follower.tune(replaced(follower.settings, quiet_hours=hours), {})
    leader.publish_v2({"BTC": ".5"})
    snapshot = await rig.cycle(follower)
    assert await follower.queries.trades() == []
    assert snapshot.due == hours.until(rig.clock.now())
    assert snapshot.due is not None
    await follower.commands.sync()
    assert len(await follower.queries.trades()) == 1
    leader.publish_v2({"ETH": ".5"})
    await rig.cycle(follower)
    assert len(await follower.queries.trades()) == 1
    snapshot = await rig.cycle(follower, after=2 * 3600)
    assert len(await follower.queries.trades()) == 3
    assert (snapshot.due, snapshot.last_signal_result) == (None, Result.EXECUTED)


def replaced(settings: Settings, **changes: Any) -> Settings:
    """Settings with some of them changed."""
    return Settings(**{each.name: changes.get(each.name, getattr(settings, each.name)) for each in fields(Settings)})


def left_out(signal: dict[str, Any]) -> list[tuple[str, str]]:
    """What of a signal was left out, and why."""
    return [(leg["symbol"], leg["reason"]) for leg in signal["legs"] if leg["result"] == "left_out"]


async def test_only_purchases(rig: Rig, leader: LeaderSimulator) -> None:
    """What is paid in goes to what is short; nothing is sold."""
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    follower = await rig.start(Mode.LIVE, only=Side.BUY)
    await follower.cycle()
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * 2)
    held = follower.ledger.book().portfolio.quantity("BTC")
    await follower.commands.deposit(Decimal(400))
    leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    await rig.cycle(follower)
    assert follower.ledger.book().portfolio.quantity("BTC") == held
    first, *_ = await follower.queries.trades()
    assert (first["coin"], first["side"]) == ("ETH", "BUY")
    signal, *_ = await follower.queries.signals()
    assert left_out(signal) == [("BTCUSDC", "only_buy"), ("ETHUSDC", "no_cash")]


async def test_only_sales(rig: Rig, leader: LeaderSimulator) -> None:
    """Nothing is bought any more."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    await follower.tune(replaced(follower.settings, only=Side.SELL), {})
    leader.publish_v2({"BTC": ".2", "ETH": ".5"})
    await rig.cycle(follower)
    assert [each["side"] for each in await follower.queries.trades()] == ["SELL", "BUY"]
    shown = await follower.commands.preview()
    assert {row["coin"]: row["reason"] for row in shown["table"]} == {"BTC": "below_threshold", "ETH": "only_sell"}


async def test_frozen(rig: Rig, leader: LeaderSimulator) -> None:
    """A frozen coin counts and stays; a sale of everything leaves it alone and ends."""
    leader.publish_v2({"BTC": ".5", "ETH": ".2"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    await follower.tune(replaced(follower.settings, frozen=frozenset({"BTC"})), {})
    held = follower.ledger.book().portfolio.quantity("BTC")
    leader.publish_v2({"ETH": ".4"})
    await rig.cycle(follower)
    assert follower.ledger.book().portfolio.quantity("BTC") == held
    assert abs(rig.weights(follower)["ETH"] - 0.4) < 0.005
    sale = await follower.commands.exit(confirm=True)
    assert sale["finished"]
    assert [(each["coin"], each["reason"]) for each in sale["remaining"]] == [("BTC", "frozen"), ("ETH", "dust")]
    assert follower.ledger.book().portfolio.positions.keys() == {"BTC", "ETH"}


async def test_locked(rig: Rig, leader: LeaderSimulator) -> None:
    """A locked coin is set apart: the others' shares are shares of the rest, and nothing sells it."""
    leader.publish_v2({"BTC": ".5"})
    follower = await rig.start(Mode.DRY_RUN)
    await follower.cycle()
    await follower.tune(replaced(follower.settings, locked=frozenset({"BTC"})), {})
    held = follower.ledger.book().portfolio.quantity("BTC")
    leader.publish_v2({"ETH": ".5"})
    await rig.cycle(follower)
    assert follower.ledger.book().portfolio.quantity("BTC") == held
    weights = rig.weights(follower)
    assert abs(weights["ETH"] / (1 - weights["BTC"]) - 0.5) < 0.005
    leader.publish_v2({"ETH": ".5", "BTC": ".5"})
    await rig.cycle(follower)
    signal, *_ = await follower.queries.signals()
    assert ("BTCUSDC", "locked") in left_out(signal)
    sale = await follower.commands.exit(confirm=True)
    assert [(each["coin"], each["reason"]) for each in sale["remaining"]] == [("BTC", "locked"), ("ETH", "dust")]


SHARES = decimals({"BTC": "0.5", "ETH": "0.3"})
SMALLEST = decimals({"BTC": "0.01", "ETH": "0.01"})


def test_own_allocation_on_one_side() -> None:
    """It asks for nothing that would not be traded, so that no signal says again and again that it was not."""
    settings = AllocationSettings(shares=SHARES, when=frozenset({When.DRIFT}))
    over = decimals({"BTC": "0.7", "ETH": "0.3"})
    assert wanted(settings, over, SMALLEST, Side.BUY) is None
    assert wanted(settings, over, SMALLEST, Side.SELL) is not None
    under = decimals({"BTC": "0.3", "ETH": "0.3"})
    assert wanted(settings, under, SMALLEST, Side.SELL) is None
    bought = wanted(settings, under, SMALLEST, Side.BUY)
    assert bought
    assert bought.shares["BTC"] > Decimal("0.3")
    short = wanted(settings, decimals({"BTC": "0.3", "ETH": "0.9"}), SMALLEST, Side.BUY)
    assert short
    assert "ETH" not in short.shares


@pytest.mark.parametrize(("only", "spoken"), [(None, True), (Side.SELL, True), (Side.BUY, False)])
def test_own_schedule_on_one_side(only: Side | None, spoken: bool) -> None:
    """The same holds for a run by schedule."""
    settings = AllocationSettings(shares=SHARES, when=frozenset({When.SCHEDULE}), interval=timedelta(hours=1))
    source = AllocationSource(settings, UTC)
    moment = Moment(
        now=datetime(2026, 5, 1, tzinfo=UTC),
        prices={},
        weights=decimals({"BTC": "0.7", "ETH": "0.3"}),
        smallest=SMALLEST,
        only=only,
    )
    assert (source.decide(moment) is not None) is spoken
