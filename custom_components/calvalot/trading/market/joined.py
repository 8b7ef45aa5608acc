"""One series of closed candles as they come: each once, in order, joined to the one before. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .candles import Candle, TimeFrame

# Candles that are remembered, and answers without a candle after which the exchange has none.
RECENT = 60
MISSES = 2


@dataclass(frozen=True, slots=True)
class Joined:
    """A closed candle; `joins` is False where the exchange itself has none before it, so that what was computed begins anew."""

    candle: Candle
    joins: bool = True


class JoinedCandles:
    """What has been seen of a series, what waits for one before it, and what has to be fetched.

    A candle of the stream waits while the one before is missing, or while the numbers of the trades say that the one before
    was told without its last ones. `first` (Unix seconds) is where it begins.
    """

    def __init__(self, frame: TimeFrame, first: int) -> None:
        self.frame = frame
        self.next = first
        self.recent: deque[Candle] = deque(maxlen=RECENT)
        self.mended = 0
        self.corrected = 0
        self.absent = 0
        self._waiting: dict[int, tuple[Candle, int, int]] = {}
        self._last_trade: int | None = None
        self._doubtful: set[int] = set()
        self._misses = 0
        self._joins = True

    def take(self, candle: Candle, first_trade: int, last_trade: int) -> list[Joined]:
        """Take a closed candle of the stream; returns those that can be seen now."""
        if candle.opened >= self.next:
            self._waiting[candle.opened] = candle, first_trade, last_trade
            return self._join()
        if any(known.opened == candle.opened and known != candle for known in self.recent):
            self._doubtful.add(candle.opened)
        return []

    def begun(self, opened: int, first_trade: int) -> None:
        """Take note of a candle that is open: the number of its first trade tells whether the one before was whole."""
        if opened == self.next:
            self._check(first_trade)

    def wanted(self, now: float) -> tuple[int, int] | None:
        """From when to when (Unix seconds) candles have to be fetched at a time; None where nothing is missing."""
        until = min(self._waiting, default=int(now) // self.frame.seconds * self.frame.seconds)
        if until > self.next:
            # The last one that was seen too: after a gap its trades cannot be held against those of the next one.
            return min((self.next, *self._doubtful, *(each.opened for each in [*self.recent][-1:]))), until
        return (min(self._doubtful), max(self._doubtful) + self.frame.seconds) if self._doubtful else None

    def fetched(self, candles: Iterable[Candle], asked: tuple[int, int]) -> tuple[list[Joined], list[Candle]]:
        """Take what the exchange has of the time that was asked for: what can be seen now, and what was seen differently."""
        found = {candle.opened: candle for candle in candles if asked[0] <= candle.opened < asked[1]}
        corrected = []
        for number, known in enumerate(self.recent):
            if found.get(known.opened, known) != known:
                self.recent[number] = found[known.opened]
                corrected.append(found[known.opened])
        self.corrected += len(corrected)
        self._doubtful = {opened for opened in self._doubtful if not asked[0] <= opened < asked[1]}
        missing = {opened: (candle, -1, -1) for opened, candle in found.items() if opened >= self.next}
        self._waiting |= missing
        self.mended += len(missing)
        seen = self._join()
        if asked[1] <= self.next or not self._waiting or self.next in self._waiting:
            self._misses = 0
        else:
            self._misses += 1
            if self._misses >= MISSES:
                seen += self._skip()
        return seen, corrected

    def _skip(self) -> list[Joined]:
        """Go on with the next candle there is: the exchange has none before it."""
        following = min(self._waiting)
        self.absent += (following - self.next) // self.frame.seconds
        self.next, self._last_trade, self._joins, self._misses = following, None, False, 0
        return self._join()

    def _join(self) -> list[Joined]:
        seen: list[Joined] = []
        while not self._doubtful and (waiting := self._waiting.get(self.next)):
            candle, first_trade, last_trade = waiting
            if self._check(first_trade):
                break
            del self._waiting[self.next]
            self.recent.append(candle)
            seen.append(Joined(candle, self._joins))
            self._joins = True
            if last_trade >= 0 or candle.volume:
                self._last_trade = last_trade if last_trade >= 0 else None
            self.next += self.frame.seconds
        return seen

    def _check(self, first_trade: int) -> bool:
        """Whether trades are missing between the last candle and the next one; asked once."""
        if self._last_trade is None or first_trade in (-1, self._last_trade + 1):
            return False
        self._doubtful.add(self.recent[-1].opened)
        self._last_trade = None
        return True
