"""How much may be asked: weights by the window, bans, and who went on asking though he had been told to wait."""

from collections import Counter
import math
import time

from .refusal import RefusalError

WINDOW = 60.0
STRIKES = 5
# A first ban lasts this many windows, each further one four times the one before: two minutes to three days.
BAN_WINDOWS = 2
BAN_GROWTH = 4
LONGEST_BAN = 3 * 24 * 3600.0
# Real seconds within which what comes over another connection may have been sent before.
GRACE = 10.0
WORDS = "Please use WebSocket Streams for live updates to avoid"


class Limits:
    """One IP address as the exchange counts it; times are ms of the server's clock where nothing else is said."""

    def __init__(self, limit: int | None) -> None:
        """Without a limit the weight is counted and nothing more."""
        self.limit = limit
        self.window = WINDOW
        self.bans = 0
        self._weights: Counter[int] = Counter()
        self._refused: Counter[int] = Counter()
        self._ban: tuple[int, int] = (0, 418)
        self._told_at = self._told_until = 0.0
        self._told: dict[object, float] = {}

    def used(self, now: int) -> int:
        """Weight used in this window."""
        return self._weights[self._window(now)]

    def weigh(self, weight: int, now: int) -> None:
        """Count the weight; over the limit, refuse, and ban who does not listen. Raises RefusalError."""
        window = self._window(now)
        self._weights[window] += weight
        if self.limit is None or weight < 0 or self._weights[window] <= self.limit:
            return
        self._refused[window] += 1
        if self._refused[window] > STRIKES:
            self.ban(min(self.window * BAN_WINDOWS * BAN_GROWTH**self.bans, LONGEST_BAN), 418, now)
            self.bans += 1
        words = f"current limit is {self.limit} request weight per 1 MINUTE."
        raise RefusalError(-1003, f"Too much request weight used; {words} {WORDS} polling the API.")

    def ban(self, seconds: float, status: int, now: int) -> None:
        """Refuse everything for a while."""
        self._ban = (now + math.ceil(seconds * 1000), status)

    def lift(self, now: int) -> None:
        """A ban that is over stays so, wherever the clock goes."""
        if self._ban[0] <= now:
            self._ban = (0, 418)

    def banned(self, now: int) -> tuple[int, int, str] | None:
        """Status, seconds to wait and words for whoever asks now; None where there is no ban."""
        until, status = self._ban
        if (left := until - now) <= 0:
            return None
        words = f"Way too much request weight used; IP banned until {until}."
        return status, math.ceil(left / 1000), f"{words} {WORDS} bans."

    def rest(self, now: int) -> int:
        """Seconds until the weight is counted anew."""
        return math.ceil(self.window - now / 1000 % self.window)

    # Who was told to wait, in real time

    def tell(self, connection: object, seconds: float) -> None:
        """Somebody is told to wait."""
        now = time.monotonic()
        if now >= self._told_until:
            self._told_at = now
        self._told_until = max(self._told_until, now + seconds)
        self._told = {each: until for each, until in self._told.items() if until > now}
        self._told[connection] = self._told_until

    def heard(self, connection: object) -> bool:
        """Whether who asks over this connection has been told to wait, and should be waiting still."""
        now = time.monotonic()
        if now >= self._told_until:
            return False
        return self._told.get(connection, 0) > now or now > self._told_at + GRACE

    def forget_all(self) -> None:
        """Whoever asks from now on was told nothing."""
        self._told.clear()
        self._told_at = self._told_until = 0.0

    def _window(self, now: int) -> int:
        return now // round(self.window * 1000)
