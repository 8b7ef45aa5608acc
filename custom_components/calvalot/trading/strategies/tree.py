"""What a strategy says, as a tree: parameters, indicators, conditions, and what is wanted of its coins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..market.candles import TimeFrame


class Field(StrEnum):
    """A figure of the candle itself."""

    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    CLOSE = "close"
    VOLUME = "volume"


class How(StrEnum):
    """How a value is computed from others."""

    SUM = "sum"
    DIFFERENCE = "difference"
    PRODUCT = "product"
    RATIO = "ratio"
    SMALLEST = "smallest"
    LARGEST = "largest"


class Comparison(StrEnum):
    """How two values are compared: as they are, or as they have become with this candle."""

    ABOVE = "above"
    BELOW = "below"
    CROSSES_ABOVE = "crosses_above"
    CROSSES_BELOW = "crosses_below"

    @property
    def is_crossing(self) -> bool:
        """Whether it holds for one candle only."""
        return self in {Comparison.CROSSES_ABOVE, Comparison.CROSSES_BELOW}


class Junction(StrEnum):
    """How conditions are put together; `not` is that none of them holds."""

    AND = "and"
    OR = "or"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands."""

    value: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that its owner may choose."""

    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """An indicator, or one line of an indicator that has several."""

    indicator: str
    line: str = ""


@dataclass(frozen=True, slots=True)
class Calculation:
    """A value made of two or more others."""

    how: How
    values: tuple[Value, ...]


type Amount = Number | Parameter
type Value = Amount | Field | Line | Calculation


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of two values, that has to hold at `candles` closes in a row."""

    value: Value
    how: Comparison
    other: Value
    candles: Amount | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions put together."""

    how: Junction
    parts: tuple[Condition, ...]
    candles: Amount | None = None


type Condition = Compare | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a parameter may be; whole numbers only where all of these are."""

    default: float
    minimum: float
    maximum: float

    def allows(self, value: float) -> bool:
        """Whether it may be that."""
        is_whole = not (self.default % 1 or self.minimum % 1 or self.maximum % 1)
        return self.minimum <= value <= self.maximum and not (is_whole and value % 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """An indicator of a kind, with its numbers by name; it is computed of a figure and read as it was `ago` candles before."""

    kind: str
    numbers: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    of: Field = Field.CLOSE
    ago: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """In or out: `size`, the stops and the profit are in %, of the strategy's own part and of the price it went in at."""

    enter: Condition
    exit: Condition | None = None
    size: Amount = Number(100)
    stop_loss: Amount | None = None
    take_profit: Amount | None = None
    trailing_stop: Amount | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A share (%) that is wanted where a condition holds, or else."""

    share: Value
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Shares: the first whose condition holds, none where none does. One that differs by less than `band` (points) stays."""

    shares: tuple[Share, ...]
    band: Amount = Number(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Of several coins those with the largest values are held, with `size` % in all; looked at `every` so many candles."""

    by: Value
    hold: Amount = Number(1)
    condition: Condition | None = None
    every: Amount = Number(1)
    size: Amount = Number(100)


@dataclass(frozen=True, slots=True)
class Purchase:
    """`size` % of the strategy's part is bought `every` so many candles, where a condition holds then."""

    size: Amount
    every: Amount
    condition: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """Bought bit by bit, and sold as a whole."""

    purchases: tuple[Purchase, ...]
    exit: Condition | None = None


type Manner = Trades | Targets | Rotation | Purchases


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy with the time frame it is meant for; idea, source and weaknesses are for its reader."""

    name: str
    manner: Manner
    time_frame: TimeFrame = TimeFrame.H1
    parameters: Mapping[str, Range] = field(default_factory=dict[str, Range])
    indicators: Mapping[str, Indicator] = field(default_factory=dict[str, Indicator])
    idea: str = ""
    source: str = ""
    weaknesses: str = ""

    @property
    def defaults(self) -> dict[str, float]:
        """What its parameters are where nobody has chosen."""
        return {name: each.default for name, each in self.parameters.items()}

    def values(self, chosen: Mapping[str, float]) -> dict[str, float]:
        """What its parameters are, as far as they were chosen."""
        return {name: chosen.get(name, default) for name, default in self.defaults.items()}


def conditions_of(manner: Manner) -> tuple[Condition, ...]:
    """The conditions that stand for themselves."""
    found: tuple[Condition | None, ...]
    match manner:
        case Trades():
            found = (manner.enter, manner.exit)
        case Targets(shares=shares):
            found = tuple(share.condition for share in shares)
        case Rotation():
            found = (manner.condition,)
        case purchases:
            found = (*(each.condition for each in purchases.purchases), purchases.exit)
    return tuple(each for each in found if each is not None)


def parts_of(condition: Condition) -> Iterator[Condition]:
    """A condition and all it is made of, the outer ones first."""
    yield condition
    if isinstance(condition, Group):
        for part in condition.parts:
            yield from parts_of(part)


def number_of(amount: Amount, values: Mapping[str, float]) -> float:
    """A number, or what a parameter is."""
    return amount.value if isinstance(amount, Number) else values[amount.name]
