"""What orders are called: client order ids, and which signal placed an order by its name."""

from base64 import b32encode
from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256

from .exchanges.base import Side
from .ledger.ledger import Ledger
from .ledger.records import FIRST_BOOK, OrderRecord
from .signal import FIRST_SOURCES, PORTFOLIO, RECOVERED, SignalKey


@dataclass(frozen=True, slots=True)
class Leg:
    """One of the orders that a signal places on a symbol and side, one after the other."""

    signal: SignalKey
    number: int


class OrderNames:
    """Client order ids of one portfolio; `tag` is the start of all of them.

    `cv-` + tag, a hash of what the order is for, the attempt: unique for each attempt at each leg of each signal.
    """

    def __init__(self, ledger: Ledger, entry_id: str) -> None:
        self._ledger = ledger
        self.tag = follower_tag(entry_id)

    def start(self, signal: SignalKey, symbol: str, side: Side, leg: int) -> str:
        """Client order ids of a leg, all but the attempt."""
        parts = [self._ledger.mode, signal.signal_id, symbol, side, str(leg)]
        if self._ledger.number != FIRST_BOOK:  # whose names stay as they were before books had numbers
            parts.append(str(self._ledger.number))
        if signal.source not in FIRST_SOURCES:
            parts.append(signal.source)
        return f"{self.tag}{_short('\n'.join(parts), 18)}-"

    def explain(self, signal: SignalKey, symbol: str, client_order_ids: Collection[str]) -> dict[str, Leg]:
        """Which of some orders of a symbol a signal has placed, and for which leg; synchronous. Raises LedgerError.

        Legs follow each other: each has orders that the ledger knows already, or one of these.
        """
        by_start: dict[str, list[str]] = {}
        for each in client_order_ids:
            by_start.setdefault(_start(each), []).append(each)
        known = {(order.side, order.leg) for order in self._ledger.orders(signal) if order.symbol == symbol}
        found: dict[str, Leg] = {}
        for side in Side:
            leg = 0
            while (names := by_start.get(self.start(signal, symbol, side, leg))) or (side, leg) in known:
                found |= dict.fromkeys(names or (), Leg(signal, leg))
                leg += 1
        return found

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
            replace(record, source=leg.signal.source, signal_id=leg.signal.signal_id, leg=leg.number)
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
