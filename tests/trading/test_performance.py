"""Returns leave flows out, drawdown is the deepest fall, and the distance of allocations counts cash."""

from datetime import date, timedelta
from decimal import Decimal, localcontext
from itertools import accumulate

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.performance import (
    Close,
    Drawdown,
    Units,
    fall,
    period_return,
    tracking_distance,
)

from .builders import amounts, decimals

# What a division leaves when its quotient is kept to 60 digits.
NOTHING = Decimal("1e-40")
FACTORS = st.decimals("0.01", "10", places=4)
WEIGHTS = st.dictionaries(st.sampled_from("ABCDE"), st.decimals("0", "0.2", places=6))


# Time-weighted return


@given(
    amounts("100000", smallest="5"), st.lists(st.tuples(FACTORS, amounts("100000", smallest="-100000")), max_size=30)
)
def test_the_return_is_the_product_of_what_the_market_did(
    budget: Decimal, periods: list[tuple[Decimal, Decimal]]
) -> None:
    """Whatever is paid in or out between the periods, the unit price is the product of their growth."""
    with localcontext(EXACT):
        units, value, growth = Units().with_flow(ZERO, budget), budget, ONE
        for factor, flow in periods:
            value *= factor
            growth *= factor
            flow = max(flow, -value * Decimal("0.9"))  # noqa: PLW2901  # something stays
            units = units.with_flow(value, flow)
            value += flow
            units = units.valued(value)
            assert abs(units.price / growth - 1) < NOTHING
            assert abs(units.time_weighted_return - (growth - 1) * 100) < growth * NOTHING * 100
            assert abs(units.outstanding * units.price / value - 1) < NOTHING


@given(amounts("100000", smallest="5"), FACTORS, amounts("100000", smallest="-4"))
def test_a_flow_does_not_move_the_price(budget: Decimal, factor: Decimal, flow: Decimal) -> None:
    """The price just before a flow and just after it are the same."""
    with localcontext(EXACT):
        value = budget * factor + 5
        units = Units().with_flow(ZERO, budget)
        after = units.with_flow(value, flow)
        assert after.price == value / units.outstanding
        assert abs(after.valued(value + flow).price / after.price - 1) < NOTHING
        assert (after.outstanding > units.outstanding) == (flow > 0)


def test_a_book_starts_at_one() -> None:
    """The first money buys units at 1; before it there is nothing to value."""
    assert Units().valued(Decimal(5)) == Units() == Units(ZERO, ONE)
    units = Units().with_flow(ZERO, Decimal(1000))
    assert units == Units(Decimal(1000), ONE)
    assert units.time_weighted_return == 0
    assert units.valued(Decimal(1100)).time_weighted_return == 10


def test_a_book_that_was_emptied_goes_on_from_its_last_price() -> None:
    """Without units the index stands still; new money buys at where it stood."""
    units = Units(Decimal(100), ONE).with_flow(Decimal(200), Decimal(-200))
    assert units == Units(ZERO, Decimal(2))
    assert units.valued(ZERO) == units
    assert units.with_flow(ZERO, Decimal(50)) == Units(Decimal(25), Decimal(2))
    # A price of a third has no exact inverse; nothing of a unit is left all the same.
    assert Units(Decimal(3), ONE).with_flow(ONE, -ONE).outstanding == 0


def test_a_book_that_fell_to_nothing_starts_a_new_index() -> None:
    """No number of units at a price of 0 is worth anything."""
    assert Units(Decimal(100), ONE).valued(ZERO).time_weighted_return == -100
    assert Units(Decimal(100), ONE).with_flow(ZERO, Decimal(50)) == Units(Decimal(50), ONE)


# Drawdown


@given(st.lists(amounts("10", smallest="0.0001"), min_size=1))
def test_the_drawdown_is_the_deepest_fall_from_any_earlier_price(prices: list[Decimal]) -> None:
    """The same as comparing each price with every one before it, the start at 1 included."""
    seen = list(accumulate(prices, Drawdown.seen, initial=Drawdown()))[-1]
    path = [ONE, *prices]
    assert seen.peak == max(path)
    assert seen.deepest == max(fall(before, after) for i, after in enumerate(path) for before in path[: i + 1])


@pytest.mark.parametrize(
    ("peak", "price", "expected"), [("2", "1", "50"), ("2", "3", "0"), ("1", "0", "100"), ("0", "0", "0")]
)
def test_a_fall_is_in_per_cent_of_the_peak(peak: str, price: str, expected: str) -> None:
    """Above the peak there is none."""
    assert fall(Decimal(peak), Decimal(price)) == Decimal(expected)


# Tracking distance


@given(WEIGHTS, WEIGHTS)
def test_the_distance_is_half_of_all_differences(own: dict[str, Decimal], leader: dict[str, Decimal]) -> None:
    """Cash is one more asset; the distance is between 0 and 100 and the same both ways."""
    distance = tracking_distance(own, leader)
    with_cash = [{**each, "cash": ONE - sum(each.values())} for each in (own, leader)]
    differences = [abs(with_cash[0].get(coin, ZERO) - with_cash[1].get(coin, ZERO)) for coin in ("cash", *"ABCDE")]
    assert distance == sum(differences) * 50
    assert distance == tracking_distance(leader, own)
    assert 0 <= distance <= 100
    assert tracking_distance(own, own) == 0


@pytest.mark.parametrize(
    ("own", "leader", "distance"),
    [
        ({"BTC": "1"}, {"ETH": "1"}, "100"),
        ({"BTC": "0.4"}, {}, "40"),
        ({"BTC": "0.5"}, {"BTC": "0.3", "ETH": "0.2"}, "20"),
    ],
)
def test_known_distances(own: dict[str, str], leader: dict[str, str], distance: str) -> None:
    """Nothing in common is 100 %."""
    assert tracking_distance(decimals(own), decimals(leader)) == Decimal(distance)


# Periods


def close(day: date, price: str) -> Close:
    """A day's close at a unit price."""
    units = Units(ONE, Decimal(price))
    return Close(day=day, value=ONE, value_quote=ONE, net_deposits=ONE, units=units, drawdown=Drawdown())


@pytest.mark.parametrize(
    ("days_ago", "expected"), [(0, "50"), (1, "100"), (3, "100"), (4, "200"), (5, None), (365, None)]
)
def test_a_period_starts_at_the_last_close_before_it(days_ago: int, expected: str | None) -> None:
    """A day without a close counts from the one before; a period longer than the book is unknown."""
    today = date(2026, 5, 1)
    closes = [close(today - timedelta(days=ago), price) for ago, price in ((4, "1"), (3, "1.5"), (0, "2"))]
    result = period_return(closes, today - timedelta(days=days_ago), Decimal(3))
    assert result == (None if expected is None else Decimal(expected))


def test_no_return_since_a_price_of_nothing() -> None:
    """Unknown, where a division would be by 0."""
    assert period_return([close(date(2026, 5, 1), "0")], date(2026, 5, 1), ONE) is None
