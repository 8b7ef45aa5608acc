"""Everything that can go wrong with a request: every kind at every point of every request, in an order of the seed's."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulators.exchange import FaultKind
from simulators.leader import FaultKind as LeaderFault

ORDER = "order"
# Name of a request: its method and how its path ends.
REQUESTS = {
    ORDER: ("POST", "/order"),
    "pair": ("POST", "/oco"),
    "cancel": ("DELETE", "/order"),
    "open": ("GET", "/openOrders"),
    "lookup": ("GET", "/order"),
    "fills": ("GET", "/myTrades"),
    "history": ("GET", "/allOrders"),
    "prices": ("GET", "/ticker/price"),
    "account": ("GET", "/account"),
    "rules": ("GET", "/exchangeInfo"),
    "time": ("GET", "/time"),
}
SHORT = 0.3
UNCLEAR_CODES = (-1000, -1006, -1007, -1008)
QUESTION_CODES = (*UNCLEAR_CODES, -1021, -2015)
REFUSALS = (-1013, -1021, -1111, -2010, -2015)
PLAIN: tuple[tuple[FaultKind, dict[str, Any]], ...] = (
    (FaultKind.DROP, {}),
    (FaultKind.HANG, {"seconds": SHORT}),
    (FaultKind.SLOW, {"seconds": SHORT}),
    (FaultKind.STATUS, {"status": 502}),
    (FaultKind.STATUS, {"status": 503}),
    (FaultKind.HTML, {}),
    (FaultKind.BROKEN_JSON, {}),
    (FaultKind.EMPTY_OBJECT, {}),
    (FaultKind.EMPTY_BODY, {}),
    (FaultKind.ERROR_LIST, {}),
    (FaultKind.RATE_LIMIT, {"seconds": 1}),
)
_LEADER_OPTIONS: dict[LeaderFault, dict[str, Any]] = {
    LeaderFault.HANG: {"seconds": SHORT},
    LeaderFault.SLOW: {"seconds": SHORT},
    LeaderFault.REDIRECT_LOOP: {"count": 5},
    LeaderFault.REDIRECT_AWAY: {"location": "http://127.0.0.2:9/"},
}
LEADER = tuple((kind, _LEADER_OPTIONS.get(kind, {})) for kind in LeaderFault)


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault for one request; `unsent` tells that an order struck by it is never executed and not refused either."""

    request: str
    kind: FaultKind
    when: str = "before"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def unsent(self) -> bool:
        """Whether only time can prove that an order struck by it was never placed."""
        refused = self.kind is FaultKind.ERROR and self.options["code"] not in UNCLEAR_CODES
        return (
            self.request in {ORDER, "pair"}
            and self.when == "before"
            and self.kind is not FaultKind.SLOW
            and not refused
        )

    def __str__(self) -> str:
        return " ".join([self.kind, self.when, self.request, *(f"{value}" for value in self.options.values())])


def blows() -> Iterator[Blow]:
    """All of them."""
    for request in REQUESTS:
        for when in ("before", "after"):
            for kind, options in PLAIN:
                yield Blow(request, kind, when, options)
        for code in UNCLEAR_CODES if request == ORDER else QUESTION_CODES:
            yield Blow(request, FaultKind.ERROR, "before", {"code": code})
    for code in REFUSALS:
        yield Blow(ORDER, FaultKind.ERROR, "before", {"code": code})
    for code in UNCLEAR_CODES:
        yield Blow(ORDER, FaultKind.ERROR, "after", {"code": code})
    for seconds in (1, 4, 12):
        yield Blow(ORDER, FaultKind.DELAYED, "before", {"seconds": seconds})
    for seconds in (1, 15):
        yield Blow(ORDER, FaultKind.LATE, "after", {"seconds": seconds})
    yield Blow(ORDER, FaultKind.WRONG_ID, "after")
    yield Blow(ORDER, FaultKind.STATUS_NEW, "after")


def for_ever[T](things: list[T], chance: Random) -> Iterator[T]:
    """All of them in a random order, again and again."""
    while True:
        chance.shuffle(things)
        yield from things
