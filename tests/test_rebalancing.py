"""What the ways of keeping an allocation cost, on a few of the walks that docs/rebalancing.md is made of."""

from pathlib import Path
from statistics import fmean

import pytest

from benchmarks.rebalancing import WAYS, Outcome, years

from .markdown import rows, section

PAGE = Path(__file__).parent.parent / "docs/rebalancing.md"
WALKS = 8


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    """Years of each way, on the same walks."""
    each = zip(*(years(seed, trends=False) for seed in range(1, WALKS + 1)), strict=True)
    return {name: list(outcomes) for name, outcomes in zip(WAYS, each, strict=True)}


@pytest.mark.parametrize("heading", ["Without trends", "With trends"])
def test_the_page_shows_every_way(heading: str) -> None:
    """In the order in which they are computed."""
    assert [row[0] for row in rows(section(PAGE, heading))][2:] == list(WAYS)


def test_turnover_falls_with_the_width_of_what_is_left_alone(outcomes: dict[str, list[Outcome]]) -> None:
    """From daily to the edge of a band; what is only held trades nothing."""
    turnover = {name: fmean(outcome.turnover for outcome in each) for name, each in outcomes.items()}
    ways = (
        "daily",
        "weekly",
        "monthly",
        "band of 20 %, to the target",
        "band of 20 %, half way",
        "band of 20 %, to the edge",
    )
    assert [turnover[way] for way in ways] == sorted((turnover[way] for way in ways), reverse=True)
    assert not turnover["hold"]


def test_half_way_lies_between(outcomes: dict[str, list[Outcome]]) -> None:
    """Farther from the allocation than to the target, nearer than to the edge; every way is nearer than holding."""
    distance = {name: fmean(outcome.distance for outcome in each) for name, each in outcomes.items()}
    target, half, edge = (distance[f"band of 20 %, {to}"] for to in ("to the target", "half way", "to the edge"))
    assert target < half < edge < distance["hold"]


def test_fees_are_what_was_traded(outcomes: dict[str, list[Outcome]]) -> None:
    """0.1 % of each order, both ways."""
    assert all(
        outcome.fees == pytest.approx(outcome.turnover * 2 * 0.001) for each in outcomes.values() for outcome in each
    )
