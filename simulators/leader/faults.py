"""How a leader can misbehave."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """One kind of misbehaviour; the value is its name over HTTP."""

    NO_SIGNAL = "no_signal"  # 204
    FORBIDDEN = "forbidden"  # 403, clocks agreeing
    SIGNALS_OFF = "signals_off"  # 404
    STATUS = "status"  # `status`, 503 unless told
    HANG = "hang"  # silent for `seconds` (60), then closed
    SLOW = "slow"  # answers as usual after `seconds` (1)
    DROP = "drop"  # closed without an answer
    CUT = "cut"  # closed in the middle of the body
    REDIRECT = "redirect"  # once, to the same host; `status`, 302 unless told
    REDIRECT_LOOP = "redirect_loop"  # to itself; each hop counts
    REDIRECT_AWAY = "redirect_away"  # to `location`, another host
    HTML = "html"
    LIST = "list"
    BROKEN_JSON = "broken_json"
    EMPTY = "empty"
    NO_SIGNAL_ID = "no_signal_id"
    OVERSIZE = "oversize"  # a valid signal of more than 256 KiB
    GZIP_BOMB = "gzip_bomb"  # 32 MiB in 32 KiB, whatever the request accepts
    BAD_SIGNATURE = "bad_signature"  # of the answer
    CLOCK_SKEW = "clock_skew"  # the clock is `seconds` (3600) ahead for this answer


@dataclass(slots=True)
class Fault:
    """A fault that waits for requests; `count` None is for ever."""

    kind: FaultKind
    count: int | None = 1
    status: int | None = None
    seconds: float | None = None
    location: str | None = None
