"""What can go wrong with an exchange, a source or a command; the texts never hold a secret."""


class ExchangeError(Exception):
    """Something the exchange did not do; `key` says why for machines, the text for the log. Neither ever holds a secret."""

    key = "no_answer"


class ExchangeUnavailable(ExchangeError):
    """The exchange did not give what was asked: 5xx, drop, time-out, firewall, unreadable answer."""


class NotThere(ExchangeUnavailable):
    """The host does not have what was asked (404)."""


class NotSent(ExchangeUnavailable):
    """The connection was never made: the request cannot have been executed."""


class InvalidKey(ExchangeError):
    """The exchange refuses the key, its signature or this address, with its code where it gave one."""

    key = "key_refused"

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ClockSkew(ExchangeError):
    """The exchange refused the time stamp; the clock offset was taken again."""

    key = "clocks_differ"


class RateLimited(ExchangeError):
    """Too many requests: nothing may be sent before `retry_at` (seconds of the monotonic clock)."""

    key = "pause_asked"

    def __init__(self, retry_at: float) -> None:
        super().__init__("the exchange asked for a pause")
        self.retry_at = retry_at


class Refused(ExchangeError):
    """A definite refusal, with the exchange's code: nothing was traded and nothing will be."""

    key = "refused"

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class OutcomeUnknown(ExchangeError):
    """An order was sent and may have been executed: look it up, never send it again."""


# Clocks further apart than this (seconds) explain a refused signature.
MAX_CLOCK_SKEW = 30.0


class SourceError(Exception):
    """A source gave no signal; `key` says why for machines, the text for the log. Neither ever holds a secret."""

    key = "no_answer"


class SourceFailed(SourceError):
    """A source raised what it should not have; `SourceState` logs it."""


class LeaderError(SourceError):
    """A leader gave no signal."""


class LeaderUnreachable(LeaderError):
    """No answer, or a status that says nothing about the signal."""


class LeaderForbidden(LeaderError):
    """The leader refused the signature.

    `clock_skew` is how many seconds its clock is ahead of ours; None where it does not tell.
    """

    def __init__(self, clock_skew: float | None) -> None:
        self.clock_skew = clock_skew
        self.key = "clocks_differ" if self.clocks_differ else "wrong_secret"
        text = f"the clocks are {abs(clock_skew or 0):.0f} s apart" if self.clocks_differ else "wrong secret"
        super().__init__(f"the leader refused the signature: {text}")

    @property
    def clocks_differ(self) -> bool:
        """Whether the clocks, not the secret, explain the refusal."""
        return self.clock_skew is not None and abs(self.clock_skew) > MAX_CLOCK_SKEW


class LeaderSignalsOff(LeaderError):
    """Signals are switched off on the leader, or the URL is wrong."""

    key = "signals_off"


class LeaderInvalidResponse(LeaderError):
    """An answer that is not to be trusted or not to be read."""

    key = "invalid_answer"


class CommandError(Exception):
    """Something the owner asked for cannot be done; nothing was changed. `key` names the message."""

    def __init__(self, key: str, **placeholders: str) -> None:
        super().__init__(key)
        self.key = key
        self.placeholders = placeholders
