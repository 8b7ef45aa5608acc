"""What orders are called: client order ids, and which signal placed an order by its name."""

from base64 import b32encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from hashlib import sha256

from .exchanges.base import Side
from .ledger.ledger import Ledger
from .ledger.records import FIRST_BOOK, OrderRecord
from .signal import FIRST_SOURCES, PORTFOLIO, RECOVERED, SignalKey

# Attempts at a leg that an order may be of whose name does not say so.
MOST_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the orders that a signal places on a symbol and side, one after the other; of one of its attempts the name."""

    signal: SignalKey
    number: int
    client_order_id: str

    @property
    def attempt(self) -> int:
        """Which attempt at it that was; 1 of an order that has another name."""
        text = self.client_order_id.rpartition("-")[2]
        return int(text) if "-" in self.client_order_id and text.isdecimal() else 1


class OrderNames:
    """Client order ids of one portfolio; `tag` is the start of all of them.

    `cv-` + tag, a hash of what the order is for, the attempt: unique for each attempt at each leg of each signal.
    """

    def __init__(self, ledger: Ledger, entry_id: str, order_name: Callable[[str], str] = str) -> None:
        """`order_name` says what the exchange calls an order."""
        self._ledger = ledger
        self._order_name = order_name
        self.tag = follower_tag(entry_id)

    def sent_as(self, client_order_id: str) -> str:
        """What the exchange calls an order; empty where that is the same."""
        name = self._order_name(client_order_id)
        return "" if name == client_order_id else name

    def start(self, signal: SignalKey, symbol: str, side: Side, leg: int) -> str:
        """Client order ids of a leg, all but the attempt."""
        parts = [self._ledger.mode, signal.signal_id, symbol, side, str(leg)]
        if self._ledger.number != FIRST_BOOK:  # whose names stay as they were before books had numbers
            parts.append(str(self._ledger.number))
        if signal.source not in FIRST_SOURCES:
            parts.append(signal.source)
        return f"{self.tag}{_short('\n'.join(parts), 18)}-"

    def explain(self, signal: SignalKey, symbol: str, names: Collection[str]) -> dict[str, Leg]:
        """Which of some orders of a symbol, as the exchange calls them, a signal has placed, and for which leg; synchronous.

        Raises LedgerError.

        Legs follow each other: each has orders that the ledger knows already, or one of these.
        """
        by_start: dict[str, dict[str, str]] = {}
        for each in names:
            by_start.setdefault(_start(each), {})[each] = each
        known = {(order.side, order.leg) for order in self._ledger.orders(signal) if order.symbol == symbol}
        found: dict[str, Leg] = {}
        for side in Side:
            leg = 0
            while True:
                start = self.start(signal, symbol, side, leg)
                attempts = by_start.get(start) or self._attempts(start, names)
                if not attempts and (side, leg) not in known:
                    break
                found |= {name: Leg(signal, leg, own) for name, own in attempts.items()}
                leg += 1
        return found

    def _attempts(self, start: str, names: Collection[str]) -> dict[str, str]:
        """Client order ids of a leg by what the exchange calls them, where it calls them otherwise."""
        attempts = (f"{start}{number}" for number in range(1, MOST_ATTEMPTS + 1))
        return {name: own for own in attempts if (name := self.sent_as(own)) in names and name}

    def adopt(self, signal: SignalKey) -> tuple[OrderRecord, ...]:
        """Give recovered orders back to the signal that placed them, now that it is known again; synchronous.

        Returns those. Raises LedgerError.
        """
        recovered = self._ledger.orders(SignalKey(PORTFOLIO, RECOVERED))
        legs: dict[str, Leg] = {}
        for symbol in {record.symbol for record in recovered}:
            names = [record.client_order_id for record in recovered if record.symbol == symbol]
            legs |= self.explain(signal, symbol, names)
        adopted = tuple(
            replace(
                record,
                source=leg.signal.source,
                signal_id=leg.signal.signal_id,
                leg=leg.number,
                attempt=leg.attempt,
                client_order_id=leg.client_order_id,
                sent_as=self.sent_as(leg.client_order_id),
            )
            for record in recovered
            if (leg := legs.get(record.client_order_id))
        )
        if adopted:
            self._ledger.update_orders(adopted)
        return adopted


def follower_tag(entry_id: str) -> str:
    """Start of every client order id of a follower: `cv-` and six characters of its entry's hash."""
    return f"cv-{_short(entry_id, 6)}-"


def _short(text: str, length: int) -> str:
    return b32encode(sha256(text.encode()).digest()).decode().lower()[:length]


def _start(client_order_id: str) -> str:
    """A client order id without its attempt."""
    return client_order_id.rpartition("-")[0] + "-"
