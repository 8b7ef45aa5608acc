"""How the stream of an exchange is."""

from collections.abc import Mapping
from dataclasses import dataclass

from .candles import TimeFrame


@dataclass(slots=True)
class FrameHealth:
    """How the candles of a time frame are: when the oldest of the last ones opened (Unix seconds), how many were put right.

    `mended` were missing and fetched, `corrected` had been told without their last trades, `absent` the exchange does not have;
    of `behind` symbols something is missing that could not be fetched yet.
    """

    last: int | None = None
    mended: int = 0
    corrected: int = 0
    absent: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the stream is connected, why not, and how each time frame is; `unlisted` are symbols that the exchange refuses."""

    connected: bool
    problem: str | None
    frames: Mapping[TimeFrame, FrameHealth]
    unlisted: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether it is connected and nothing is missing."""
        return self.connected and not any(frame.behind for frame in self.frames.values())
