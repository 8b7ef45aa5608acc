"""How patient the stream of an exchange is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the stream waits for, and how long; all in seconds.

    `grace` is how long after its end a candle may still come by itself, `idle` how long the connection stays when nobody
    follows anything any more, `price_age` how old a price may be, `look` how often prices are told and gaps looked for,
    `unlisted` after how long a symbol is asked for again that the exchange does not know.
    """

    silence: float = 65.0
    lifetime: float = 23.5 * 3600
    first_pause: float = 1.0
    longest_pause: float = 60.0
    grace: float = 5.0
    idle: float = 30.0
    price_age: float = 30.0
    look: float = 1.0
    unlisted: float = 600.0

    def pause(self, failures: int) -> float:
        """How long to wait after so many failures."""
        return min(self.first_pause * 2.0 ** min(failures - 1, 16), self.longest_pause)
