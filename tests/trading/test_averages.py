"""Averages of our own: the same as those of talipp, bit by bit, whenever they are purged."""

from random import Random

import pytest
from talipp.indicators import EMA, SMA

from custom_components.calvalot.trading.strategies.averages import ExponentialAverage, SimpleAverage


@pytest.mark.parametrize(("own", "theirs"), [(SimpleAverage, SMA), (ExponentialAverage, EMA)])
@pytest.mark.parametrize("period", [1, 2, 7, 50])
def test_bit_by_bit(own: type[SimpleAverage], theirs: type, period: int) -> None:
    """Values of all sizes, and nothing but what is needed kept."""
    random = Random(period)
    ours, other = own(period), theirs(period)
    for number in range(500):
        value = random.choice([random.uniform(0.001, 100_000), 10.0**-8, 3.0])
        ours.add(value)
        other.add(value)
        assert ours.output_values[-1] == other.output_values[-1]
        if number % 100 == 99:
            for each in (ours, other):
                each.purge_oldest(len(each.input_values) - period - 5)
            assert len(ours.input_values) == len(ours.output_values) == period + 5
