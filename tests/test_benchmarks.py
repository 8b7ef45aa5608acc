"""The benchmarks' own arithmetic; what they measure is no matter of tests."""

from itertools import pairwise

from hypothesis import given, strategies as st
import pytest

from benchmarks import crowd
from benchmarks.figure import Figure


@pytest.mark.parametrize(
    ("value", "bound", "at_least", "held", "margin"),
    [
        (1, None, False, True, None),
        (3, 4, False, True, 0.25),
        (4, 4, False, True, 0),
        (5, 4, False, False, -0.25),
        (5, 4, True, True, 0.25),
        (3, 4, True, False, -0.25),
        (0, 0, False, True, None),
        (1, 0, False, False, None),
    ],
)
def test_figures(value: float, bound: float | None, at_least: bool, held: bool, margin: float | None) -> None:
    """On which side of its bound a figure lies, and how far from it."""
    figure = Figure(name="", value=value, unit="", bound=bound, at_least=at_least)
    assert figure.held is held
    assert figure.margin == margin


@given(
    depth=st.floats(1e4, 1e7),
    half_life=st.floats(0.1, 100),
    taken=st.floats(0, 1e7),
    amount=st.floats(1, 1e5),
    seconds=st.floats(0, 1000),
)
def test_book(depth: float, half_life: float, taken: float, amount: float, seconds: float) -> None:
    """An order pays between the best price and the one that it leaves; what was taken comes back, half of it in a half-life."""
    book = crowd.Book("", depth, half_life)
    assert book.distance(depth) == pytest.approx(10)
    best, left = book.distance(taken), book.distance(taken + amount)
    assert best * (1 - 1e-6) <= book.price(taken, amount) <= left * (1 + 1e-6)
    assert 0 <= book.left(taken, seconds) <= taken
    assert book.left(taken, half_life) == pytest.approx(taken / 2)


def test_entries() -> None:
    """Orders arrive within the jitter, spread over all of it."""
    arrived = crowd.entries(60, followers=2000)
    assert all(one <= other for one, other in pairwise(arrived))
    assert 0 <= arrived[0] < arrived[-1] <= 60 + crowd.SCATTER
    thirds = [sum(20 * third <= moment < 20 * (third + 1) for moment in arrived) for third in range(3)]
    assert all(550 < count < 800 for count in thirds)


def test_spreading_pays() -> None:
    """The longer the same orders are spread, the less they pay; the more there are, the more."""
    book = crowd.Book("", crowd.DEEP, 5)
    paid = [crowd.trade(book, crowd.entries(jitter, followers=2000), 1000)["mean"] for jitter in crowd.JITTERS]
    assert all(later < sooner for sooner, later in pairwise(paid))
    assert crowd.trade(book, crowd.entries(0, followers=4000), 1000)["mean"] > paid[0]


def test_requests() -> None:
    """A leader is asked as often whether or not its followers are spread; the busiest second is what changes."""
    cases = {row["case"]: row for row in crowd.requests(followers=1200)}
    aligned, spread = cases[crowd.ALIGNED], cases[crowd.SPREAD]
    assert aligned["mean_per_second"] == spread["mean_per_second"] == 10
    assert aligned["busiest_second"] == 1200
    assert spread["busiest_second"] < 40
