"""What a benchmark tells: a figure beside its bound."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value and the bound it must not pass; without a bound it only informs.

    With `at_least` it must reach the bound. `by` says how it was measured.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False
    by: str = ""

    @property
    def held(self) -> bool:
        """Whether the bound holds."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def margin(self) -> float | None:
        """Distance from the bound as a fraction of it, negative where it is missed; None without one."""
        if not self.bound:
            return None
        return (self.value - self.bound if self.at_least else self.bound - self.value) / self.bound


def middle(values: Iterable[float]) -> float:
    """The median: other things run on this machine, too."""
    return median(values)
