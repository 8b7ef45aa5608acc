"""The owner's own allocation: bands, schedules, and when it speaks."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
import json
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.sources.allocation import (
    AllocationSettings,
    AllocationSource,
    TradeTo,
    When,
    next_run,
    outside,
    wanted,
    whole,
)
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.wants import Allocation

from .builders import decimals

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SMALLEST = decimals({"BTC": ".01", "ETH": ".01", "SOL": ".01"})
BOTH = frozenset(When)


def settings(shares: dict[str, str] | None = None, **changes: Any) -> AllocationSettings:
    """Half and half with 10 % of cash, kept by drift."""
    given_shares = {"BTC": ".5", "ETH": ".4"} if shares is None else shares
    return AllocationSettings(**{"shares": decimals(given_shares), "when": frozenset({When.DRIFT}), **changes})


def moment(weights: dict[str, str] | None, now: datetime = NOW, **changes: Any) -> Moment:
    """What the source may know."""
    held = None if weights is None else decimals(weights)
    return Moment(**{"now": now, "prices": {}, "weights": held, "smallest": SMALLEST, **changes})


# Bands


def test_targets_leave_room_for_the_reserve() -> None:
    """Shares are scaled alike where they and the reserve are more than the whole."""
    assert settings(cash_reserve=Decimal(".1")).targets == decimals({"BTC": ".5", "ETH": ".4"})
    assert settings(cash_reserve=Decimal(".28")).targets == decimals({"BTC": ".4", "ETH": ".32"})
    assert whole(settings()) == Allocation(shares=decimals({"BTC": ".5", "ETH": ".4"}), cash=Decimal(".1"))


def test_what_is_outside() -> None:
    """Off by more than the band, which is relative to the target; without a target by anything."""
    assert outside(settings(), decimals({"BTC": ".6", "ETH": ".32"})) == frozenset()
    assert outside(settings(), decimals({"BTC": ".601", "ETH": ".319"})) == {"BTC", "ETH"}
    assert outside(settings(), decimals({"BTC": ".5", "SOL": ".0001"})) == {"ETH", "SOL"}


@pytest.mark.parametrize(
    ("trade_to", "high", "low"), [("target", ".5", ".4"), ("half", ".55", ".36"), ("edge", ".595", ".324")]
)
def test_where_it_is_brought_back_to(trade_to: str, high: str, low: str) -> None:
    """The target, half way into the band, or just inside its edge; from either side."""
    asked = wanted(settings(trade_to=TradeTo(trade_to)), decimals({"BTC": ".7", "ETH": ".2"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": high, "ETH": low})
    assert asked.keep == frozenset()
    assert asked.cash == 1 - Decimal(high) - Decimal(low)


def test_inside_is_left_alone() -> None:
    """Only what is outside moves, where the cash allows it."""
    shares = {"BTC": ".4", "ETH": ".3", "SOL": ".2"}
    asked = wanted(settings(shares), decimals({"BTC": ".49", "ETH": ".29", "SOL": ".11"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": ".44", "SOL": ".18"})
    assert asked.keep == {"ETH"}


def test_too_much_cash_goes_to_the_most_underweight() -> None:
    """What a sale brings beyond the cash that is asked for is not left lying."""
    shares = {"BTC": ".5", "ETH": ".3", "SOL": ".2"}
    asked = wanted(settings(shares), decimals({"BTC": ".62", "ETH": ".25", "SOL": ".13"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": ".55", "ETH": ".27", "SOL": ".18"})
    assert (asked.keep, asked.cash) == (frozenset(), 0)


def test_a_purchase_without_cash_is_paid_by_the_most_overweight() -> None:
    """Down to its target, no further."""
    shares = {"BTC": ".5", "ETH": ".3", "SOL": ".2"}
    asked = wanted(settings(shares), decimals({"BTC": ".57", "ETH": ".33", "SOL": ".1"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": ".5", "ETH": ".32", "SOL": ".18"})


def test_less_than_an_order_is_left_alone() -> None:
    """Nothing is asked for that is too small to be traded, or of a coin that cannot be."""
    assert wanted(settings(), decimals({"BTC": ".5", "ETH": ".4", "SOL": ".009"}), SMALLEST) is None
    assert wanted(settings(), decimals({"BTC": ".5", "ETH": ".4", "NEW": ".1"}), SMALLEST) is None
    assert wanted(settings(), decimals({"BTC": ".5", "ETH": ".4"}), SMALLEST) is None


@given(
    st.dictionaries(st.sampled_from(["BTC", "ETH", "SOL"]), st.integers(0, 30), min_size=1),
    st.dictionaries(st.sampled_from(["BTC", "ETH", "SOL", "XRP"]), st.integers(0, 25)),
    st.sampled_from(TradeTo),
    st.integers(1, 100),
    st.integers(0, 30),
)
def test_what_is_asked_is_an_allocation(
    shares: dict[str, int], weights: dict[str, int], trade_to: TradeTo, drift: int, reserve: int
) -> None:
    """It adds up to the whole, moves each coin towards its target and never past it, and is within the bands afterwards."""
    chosen = AllocationSettings(
        shares={coin: Decimal(share) / 100 for coin, share in shares.items()},
        trade_to=trade_to,
        drift=Decimal(drift) / 100,
        cash_reserve=Decimal(reserve) / 100,
    )
    held = {coin: Decimal(weight) / 100 for coin, weight in weights.items()}
    free = dict.fromkeys(["BTC", "ETH", "SOL", "XRP"], Decimal(0))
    asked = wanted(chosen, held, free)
    if asked is None:
        assert not outside(chosen, held)
        return
    after = {**{coin: held.get(coin, Decimal(0)) for coin in asked.keep}, **asked.shares}
    assert asked.cash is not None
    assert abs(sum(after.values(), asked.cash) - 1) < Decimal("1e-20")
    assert not {
        coin for coin in outside(chosen, after) if abs(after[coin] - chosen.targets.get(coin, 0)) > Decimal("1e-20")
    }
    for coin, weight in after.items():
        target, before = chosen.targets.get(coin, Decimal(0)), held.get(coin, Decimal(0))
        assert min(before, target) - Decimal("1e-20") <= weight <= max(before, target) + Decimal("1e-20")


# Schedules


def test_the_first_run_is_due_at_once() -> None:
    """Nobody waits a week for the first purchase."""
    assert next_run(settings(interval=168 * HOUR), None, NOW, UTC) == NOW


def test_every_some_hours() -> None:
    """Counted from the last run; a missed one is made up for a day, then it waits for the next."""
    weekly = settings(interval=168 * HOUR)
    assert next_run(weekly, NOW, NOW + HOUR, UTC) == NOW + 168 * HOUR
    assert next_run(weekly, NOW, NOW + 190 * HOUR, UTC) == NOW + 168 * HOUR
    assert next_run(weekly, NOW, NOW + 193 * HOUR, UTC) == NOW + 336 * HOUR


def test_at_a_time_of_day() -> None:
    """Local time, over the change of the clocks too."""
    daily = settings(at=time(9))
    last = datetime(2026, 10, 24, 7, tzinfo=UTC)  # 9:00 in Paris, still summer
    assert next_run(daily, last, last + HOUR, PARIS) == datetime(2026, 10, 25, 8, tzinfo=UTC)
    assert next_run(daily, last, last + 26 * HOUR, PARIS) == datetime(2026, 10, 25, 8, tzinfo=UTC)
    assert next_run(daily, last - HOUR, last - HOUR / 2, PARIS) == last


def test_at_a_time_of_every_some_days() -> None:
    """The day on which the interval ends, whatever the minute of the last run."""
    weekly = settings(at=time(9), interval=168 * HOUR)
    last = datetime(2026, 11, 2, 8, 1, tzinfo=UTC)
    assert next_run(weekly, last, last + HOUR, PARIS) == datetime(2026, 11, 9, 8, tzinfo=UTC)


def test_every_some_hours_from_a_time_of_day() -> None:
    """Shorter intervals are counted from it."""
    often = settings(at=time(9), interval=6 * HOUR)
    last = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
    assert next_run(often, last, last, UTC) == datetime(2026, 11, 26, 15, tzinfo=UTC)
    assert next_run(often, last, last + 7 * HOUR, UTC) == datetime(2026, 11, 26, 15, tzinfo=UTC)


# When it speaks


def source(**changes: Any) -> AllocationSource:
    """One that has been running: its allocation is kept already."""
    made = AllocationSource(settings(**changes), UTC)
    made.memory = json.dumps({"checked": (NOW - HOUR).isoformat(), "kept": memory_of(made)})
    return made


def memory_of(made: AllocationSource) -> str:
    """What the source calls kept once it has looked."""
    fresh = AllocationSource(settings(), UTC)
    fresh.decide(moment({"BTC": ".5", "ETH": ".4"}))
    return str(json.loads(fresh.memory or "{}").get("kept"))


async def test_drift() -> None:
    """It speaks once a coin is outside, under one id until that is taken up, and rests afterwards."""
    own = source()
    await own.fetch(())
    assert own.decide(moment({"BTC": ".55", "ETH": ".38"})) is None
    first = own.decide(moment({"BTC": ".7", "ETH": ".2"}))
    assert first
    assert first.targets == own.targets
    again = own.decide(moment({"BTC": ".71", "ETH": ".19"}, NOW + HOUR / 2))
    assert again
    assert again.signal_id == first.signal_id
    assert own.decide(moment({"BTC": ".71", "ETH": ".19"}, NOW + HOUR, is_open=True)) is None
    taken = NOW + HOUR
    assert own.decide(moment({"BTC": ".71", "ETH": ".19"}, taken + HOUR / 2, last=taken)) is None
    later = own.decide(moment({"BTC": ".71", "ETH": ".19"}, taken + HOUR, last=taken))
    assert later
    assert later.signal_id != first.signal_id


def test_what_has_come_back_by_itself() -> None:
    """Nothing is left to say."""
    own = source()
    assert own.decide(moment({"BTC": ".7", "ETH": ".2"}))
    assert own.decide(moment({"BTC": ".5", "ETH": ".4"}, NOW + HOUR)) is None


def test_without_a_valuation() -> None:
    """It waits."""
    assert source().decide(moment(None)) is None


def test_another_allocation_is_taken_up_at_once() -> None:
    """Whatever rests; unless it is kept by hand only."""
    own = AllocationSource(settings(), UTC)
    assert own.decide(moment({"BTC": ".9"}, last=NOW))
    by_hand = AllocationSource(settings(when=frozenset()), UTC)
    assert by_hand.decide(moment({"BTC": ".9"}, last=NOW)) is None
    current = by_hand.current(moment({}))
    assert current.wants == whole(settings())


def test_schedule() -> None:
    """At its time every coin goes to its target; a check that wants nothing is remembered and says nothing."""
    own = source(when=frozenset({When.SCHEDULE}), interval=2 * HOUR)
    off = {"BTC": ".55", "ETH": ".38"}
    assert own.decide(moment(off)) is None
    assert own.next_due(moment(off)) == NOW + HOUR
    assert own.next_due(moment(off, NOW + HOUR)) is None
    signal = own.decide(moment(off, NOW + HOUR))
    assert signal
    assert signal.wants == whole(settings())
    assert own.decide(moment({"BTC": ".505", "ETH": ".4"}, NOW + 2 * HOUR)) is None
    assert own.decide(moment({"BTC": ".505", "ETH": ".4"}, NOW + 3 * HOUR)) is None
    assert json.loads(own.memory or "{}")["checked"] == (NOW + 3 * HOUR).isoformat()


def test_schedule_and_drift() -> None:
    """At its time, too, only what is outside moves."""
    own = source(when=BOTH, interval=2 * HOUR, cooldown=24 * HOUR)
    assert own.decide(moment({"BTC": ".55", "ETH": ".38"}, NOW + HOUR, last=NOW)) is None
    own = source(when=BOTH, interval=2 * HOUR, cooldown=24 * HOUR)
    assert own.decide(moment({"BTC": ".7", "ETH": ".2"}, NOW + 2 * HOUR, last=NOW))
    assert source().next_due(moment({})) is None


def test_a_coin_that_cannot_be_traded_takes_nothing_up() -> None:
    """What it would have taken goes to the next one, up to its target, else it stays cash."""
    shares = {"BTC": ".5", "NEW": ".3", "SOL": ".2"}
    asked = wanted(settings(shares), decimals({"BTC": ".62", "NEW": ".25", "SOL": ".13"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": ".55", "SOL": ".2"})
    assert (asked.keep, asked.cash) == ({"NEW"}, 0)
    asked = wanted(settings(shares), decimals({"BTC": ".62", "NEW": ".2", "SOL": ".13"}), SMALLEST)
    assert asked
    assert (asked.shares, asked.cash) == (decimals({"BTC": ".55", "SOL": ".2"}), Decimal(".05"))


def test_what_is_not_held_yet_is_bought_whole() -> None:
    """A first purchase is no drift: it is what the last page of the set-up said."""
    asked = wanted(settings(), {}, SMALLEST)
    assert asked
    assert asked == whole(settings())


def test_no_more_is_asked_for_than_there_is() -> None:
    """Where a coin above its band may stay half of it above, the purchase of another has to be paid all the same."""
    asked = wanted(settings({"BTC": ".88", "ETH": ".12"}, drift=Decimal(".05")), decimals({"BTC": "1"}), SMALLEST)
    assert asked
    assert asked.shares == decimals({"BTC": ".88", "ETH": ".12"})
    assert asked.cash == 0


def test_cash_has_a_band_too() -> None:
    """With one coin, what it is traded to is not undone by cash that is not exactly what is asked for."""
    asked = wanted(settings({"BTC": ".6"}), decimals({"BTC": ".45"}), SMALLEST)
    assert asked
    assert (asked.shares, asked.cash) == (decimals({"BTC": ".54"}), Decimal(".46"))
    asked = wanted(settings({"BTC": ".6"}, cash_reserve=Decimal(".4")), decimals({"BTC": ".75"}), SMALLEST)
    assert asked
    assert (asked.shares, asked.cash) == (decimals({"BTC": ".6"}), Decimal(".4"))


def test_what_is_traded_anyway_takes_the_smallest_rest() -> None:
    """Less than an order of another coin is not asked for; a coin that is traded can take any amount more."""
    shares = {"BTC": ".5", "ETH": ".3", "SOL": ".2"}
    smallest = decimals({"BTC": ".03", "ETH": ".03", "SOL": ".03"})
    asked = wanted(settings(shares), decimals({"BTC": ".61", "ETH": ".25", "SOL": ".14"}), smallest)
    assert asked
    assert (asked.shares, asked.keep, asked.cash) == (decimals({"BTC": ".55", "SOL": ".2"}), {"ETH"}, 0)
