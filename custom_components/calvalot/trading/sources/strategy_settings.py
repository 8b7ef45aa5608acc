"""What a strategy is set to, and what decides by that: rules as text, or a strategy in Python that its owner has allowed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ..decimals import ONE
from ..errors import SourceError
from ..market.candles import Candle, TimeFrame
from ..strategies.document import InvalidStrategy
from ..strategies.evaluator import Decider, Evaluator, State
from ..strategies.reader import read_strategy
from ..strategies.script import Pinned, Script, read_file, read_script, sha256_of
from ..strategies.script_evaluator import ScriptEvaluator
from ..strategies.tree import Strategy

# Closed candles of a coin that opened from one time to before another (Unix seconds), oldest first. Raises ExchangeError.
type ReadCandles = Callable[[str, TimeFrame, int, int], Awaitable[Sequence[Candle]]]


class StrategyInvalid(SourceError):
    """The rules cannot be read, or not with these parameters."""

    key = "strategy_invalid"


class StrategyChanged(SourceError):
    """The file of a strategy is another one than its owner has allowed; both by their SHA-256 (hex)."""

    key = "strategy_changed"

    def __init__(self, file: str, allowed: str, found: str) -> None:
        self.file = file
        self.allowed = allowed
        self.found = found
        super().__init__(f"the file {file} has changed")


class NoCandles(SourceError):
    """The exchange does not give the candles that are needed."""

    key = "no_candles"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """A strategy's `text`, or its `pinned` file, with what was chosen for its parameters; `share` is the part of what its source
    decides on (a fraction).

    It decides from `begin` to before `end` (UTC), where such are given, and sells what it holds at the end.
    """

    text: str
    coins: tuple[str, ...]
    frame: TimeFrame
    pinned: Pinned | None = None
    share: Decimal = ONE
    begin: datetime | None = None
    end: datetime | None = None
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far its indicators are: so many candles of those that are needed."""

    count: int
    needed: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What was read: rules, or a script."""

    read: Strategy | Script

    @property
    def name(self) -> str:
        """What it is called."""
        return self.read.name

    @property
    def manner(self) -> str:
        """What has to be the same where another one goes on with how the coins stand."""
        return "Script" if isinstance(self.read, Script) else type(self.read.manner).__name__

    def decider(self, settings: StrategySettings, state: State) -> Decider:
        """What decides for the coins of the settings."""
        coins, frame, chosen = settings.coins, settings.frame, settings.parameters
        if isinstance(self.read, Script):
            return ScriptEvaluator(self.read, coins, frame, chosen, state)
        return Evaluator(self.read, coins, frame, chosen, state)


def read_rules(settings: StrategySettings) -> Rules:
    """Read what a strategy is set to; synchronous. Raises StrategyInvalid, StrategyChanged."""
    try:
        pinned = settings.pinned
        return Rules(read_script(_allowed(pinned)) if pinned else read_strategy(settings.text))
    except InvalidStrategy as err:
        raise StrategyInvalid(f"the strategy cannot be read: {err}") from err


def see_that_it_is(pinned: Pinned) -> None:
    """See that a file is what its owner has allowed; synchronous. Raises StrategyInvalid, StrategyChanged."""
    try:
        _allowed(pinned)
    except InvalidStrategy as err:
        raise StrategyInvalid(f"the strategy cannot be read: {err}") from err


def _allowed(pinned: Pinned) -> str:
    """The text of a file. Raises InvalidStrategy, StrategyChanged."""
    text = read_file(pinned.path)
    if (found := sha256_of(text)) != pinned.sha256:
        raise StrategyChanged(pinned.path.name, pinned.sha256, found)
    return text
