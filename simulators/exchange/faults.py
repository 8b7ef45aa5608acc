"""What can go wrong with a request, on demand."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
import random


class FaultKind(StrEnum):
    """The ways to fail; the package's docstring says what each does."""

    DROP = "drop"
    HANG = "hang"
    SLOW = "slow"
    LATE = "late"
    DELAYED = "delayed"
    ERROR = "error"
    STATUS = "status"
    HTML = "html"
    BROKEN_JSON = "broken_json"
    EMPTY_OBJECT = "empty_object"
    EMPTY_BODY = "empty_body"
    EMPTY_LIST = "empty_list"
    ERROR_LIST = "error_list"
    RATE_LIMIT = "rate_limit"
    WRONG_ID = "wrong_id"
    STATUS_NEW = "status_new"
    HALT = "halt"
    DELIST = "delist"
    JUMP = "jump"


class When(StrEnum):
    """Before or after the request was processed."""

    BEFORE = "before"
    AFTER = "after"


# These change an answer, so there has to be one.
ALTERING = {FaultKind.WRONG_ID, FaultKind.STATUS_NEW}
# These change the market just before the request is processed.
MOVING = {FaultKind.HALT, FaultKind.DELIST, FaultKind.JUMP}
# These go along with others; every other kind is the end of its request.
ACCOMPANYING = {FaultKind.SLOW, FaultKind.LATE, *ALTERING, *MOVING}
SECONDS = {
    FaultKind.HANG: 60.0,
    FaultKind.SLOW: 1.0,
    FaultKind.LATE: 10.0,
    FaultKind.DELAYED: 5.0,
    FaultKind.RATE_LIMIT: 5.0,
}
STATUS = {
    FaultKind.STATUS: 502,
    FaultKind.HTML: 403,
    FaultKind.ERROR_LIST: 400,
    FaultKind.RATE_LIMIT: 429,
}
PERCENT = 5.0


@dataclass(slots=True, eq=False)
class Fault:
    """One fault, the requests it is for and how often it strikes."""

    kind: FaultKind
    when: When = When.BEFORE
    method: str | None = None
    path: str | None = None
    symbol: str | None = None
    side: str | None = None
    api_key: str | None = None
    count: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seconds: float | None = None
    code: int | None = None
    status: int | None = None
    message: str | None = None
    percent: float | None = None
    hits: int = 0

    @property
    def lasting(self) -> float:
        """Its seconds, or what is usual for its kind."""
        return SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds

    @property
    def http_status(self) -> int:
        """Its HTTP status, or what is usual for its kind."""
        return self.status or STATUS.get(self.kind, 200)

    @property
    def factor(self) -> Decimal:
        """What a jump multiplies the price by."""
        return 1 + Decimal(str(PERCENT if self.percent is None else self.percent)) / 100

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it should."""
        return self.count is not None and self.hits >= self.count

    def matches(self, method: str, path: str, params: dict[str, str], api_key: str | None) -> bool:
        """Whether it is meant for this request."""
        return (
            self.method in (None, method)
            and (self.path is None or path.endswith(self.path))
            and self.symbol in (None, params.get("symbol"))
            and self.side in (None, params.get("side"))
            and self.api_key in (None, api_key)
        )


class Faults:
    """The faults that wait for their requests."""

    def __init__(self, seed: int) -> None:
        """Start without any."""
        self.waiting: list[Fault] = []
        self.injected: Counter[str] = Counter()
        self._random = random.Random(f"faults {seed}")

    def take(self, method: str, path: str, params: dict[str, str], api_key: str | None) -> list[Fault]:
        """The faults that strike this request."""
        struck: list[Fault] = []
        for fault in self.waiting:
            if not fault.matches(method, path, params, api_key):
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            self.injected[fault.kind] += 1
            struck.append(fault)
        self.waiting = [fault for fault in self.waiting if not fault.spent]
        return struck
