"""An alert from outside: what it asks for, and what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
import json

from .decimals import ZERO
from .exchanges.base import Side
from .terms import Terms, terms_of, terms_row


class Ask(StrEnum):
    """What an alert may be allowed to ask for.

    `close` sells all of a coin, `reduce` some of it, `open` buys it, `orders` buys a quantity or an amount that the alert names,
    names a limit, or ends one; `untimed` comes without the time at which it was sent.
    """

    CLOSE = "close"
    REDUCE = "reduce"
    OPEN = "open"
    ORDERS = "orders"
    UNTIMED = "untimed"


class Format(StrEnum):
    """How an alert is written."""

    OWN = "own"
    PLAIN = "plain"
    THREE_COMMAS = "three_commas"
    OCTOBOT = "octobot"


class Unit(StrEnum):
    """What the size of a trade is given in: coins, the quote asset, or a share of the portfolio."""

    QUANTITY = "quantity"
    AMOUNT = "amount"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Hold:
    """A share of its source's part (a fraction) that is to be held of a coin; None: as much as its owner has set."""

    share: Decimal | None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade of a size: coins, an amount in quote, or a share of the portfolio (a fraction)."""

    side: Side
    unit: Unit
    size: Decimal
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """The end of what earlier alerts left waiting for its price."""

    terms: Terms | None = None


type Asked = Hold | Trade | Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A valid alert: `told_at` is when it was sent (UTC), None where it does not say; `is_test`: nothing is to be traded.

    `has_id`: it says which one it is, so that the same text can be told from its repetition. `max_age` is what it allows itself.
    """

    coin: str
    wants: Asked
    format: Format
    told_at: datetime | None = None
    has_id: bool = False
    max_age: timedelta | None = None
    is_test: bool = False

    @property
    def closes(self) -> bool:
        """Whether it buys nothing, whatever is held: it goes before those that may."""
        return closes(self.wants)


def closes(wants: Asked) -> bool:
    """Whether something that is wanted buys nothing."""
    if isinstance(wants, Cancel):
        return True
    return wants.share == ZERO if isinstance(wants, Hold) else wants.side is Side.SELL


# Why an alert is taken up that trades nothing: it ends what waits for its price.
CANCELS = "cancel"


class AlertState(StrEnum):
    """What became of an alert: it waits for a cycle, is in a signal that was taken up, or never will be.

    It waits `again` where a newer signal came before anything of it was sent.
    """

    WAITING = "waiting"
    AGAIN = "again"
    TAKEN = "taken"
    UNCHANGED = "unchanged"
    OVERTAKEN = "overtaken"
    EXPIRED = "expired"
    REFUSED = "refused"
    TESTED = "tested"


class Problem(StrEnum):
    """Why an alert is refused."""

    UNREADABLE = "unreadable"
    UNKNOWN_COIN = "unknown_coin"
    UNSUPPORTED = "unsupported"
    LATE = "late"
    EARLY = "early"
    UNTIMED = "untimed"
    NOT_ALLOWED = "not_allowed"
    SHARE_REACHED = "share_reached"
    NOTHING_HELD = "nothing_held"
    NO_PRICE = "no_price"
    LEVELS = "levels"
    MOVES_IN_BLEND = "moves_in_blend"


class InvalidAlert(ValueError):
    """An alert that is refused; the text says what is wrong with it."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(detail or problem.value)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """An alert as it was written down: `digest` is a hash of its text, `repeats` how often that came again.

    Of one that was refused as a whole, coin and wants may be missing. `reason` is a `Problem` or, of a test, what would have
    become of it. `signal_id` is the signal of its source that it is in.
    """

    seq: int = 0
    source: str
    received_at: datetime
    told_at: datetime | None = None
    digest: str
    format: str = ""
    coin: str = ""
    wants: Asked | None = None
    is_test: bool = False
    state: AlertState = AlertState.WAITING
    reason: str = ""
    detail: str = ""
    signal_id: str = ""
    repeats: int = 0

    @property
    def order(self) -> tuple[datetime, bool]:
        """Its place in the queue of its coin: by when it was sent, closing before opening."""
        return self.told_at or self.received_at, self.wants is None or not closes(self.wants)


def wants_text(wants: Asked) -> str:
    """What an alert wants, as JSON."""
    terms = {"terms": terms_row(wants.terms)} if wants.terms else {}
    match wants:
        case Hold(share):
            return json.dumps({"hold": None if share is None else f"{share:f}", **terms})
        case Trade(side, unit, size):
            return json.dumps({"side": side.value, unit.value: f"{size:f}", **terms})
    return json.dumps({"cancel": True})


def wants_of(text: str) -> Asked:
    """What `wants_text` wrote. Raises ValueError."""
    document = json.loads(text)
    terms = terms_of(document.pop("terms", {}))
    if "cancel" in document:
        return Cancel()
    if "hold" in document:
        share = document["hold"]
        return Hold(None if share is None else Decimal(share), terms)
    side = Side(document.pop("side"))
    ((unit, size),) = document.items()
    return Trade(side, Unit(unit), Decimal(size), terms)
