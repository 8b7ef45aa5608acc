"""What the trades of a book came to, as JSON for its ledger."""

from collections import deque
from datetime import date, datetime
from decimal import Decimal
import json
from typing import Any

from ..attribution import decimals, texts
from ..portfolio import Portfolio, Position
from .returns import Holding
from .trades import Lot, Traded

_COUNTS = ("last_fill", "last_flow", "won", "lost")
_SUMS = ("gains", "losses", "bought", "sold", "held")
_BOOK = ("cash", "paid_in", "realised", "fees")


def to_text(traded: Traded) -> str:
    """The sums so far as JSON."""
    book = traded.portfolio
    return json.dumps(
        {
            **{name: getattr(traded, name) for name in _COUNTS},
            **{name: f"{getattr(traded, name):f}" for name in _SUMS},
            "book": {name: f"{getattr(book, name):f}" for name in _BOOK},
            "positions": {coin: [f"{each.quantity:f}", f"{each.cost:f}"] for coin, each in book.positions.items()},
            "days": {day.isoformat(): [f"{each.cash:f}", texts(each.coins)] for day, each in traded.by_day.items()},
            "lots": {
                coin: [[f"{lot.quantity:f}", lot.time.isoformat()] for lot in lots]
                for coin, lots in traded.lots.items()
            },
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> Traded:
    """What `to_text` wrote."""
    known: dict[str, Any] = json.loads(text)
    figures: dict[str, Any] = {name: known[name] for name in _COUNTS}
    return Traded(
        **figures | {name: Decimal(known[name]) for name in _SUMS},
        portfolio=Portfolio(
            **{name: Decimal(amount) for name, amount in known["book"].items()},
            positions={
                coin: Position(Decimal(quantity), Decimal(cost))
                for coin, (quantity, cost) in known["positions"].items()
            },
        ),
        by_day={
            date.fromisoformat(day): Holding(cash=Decimal(cash), coins=decimals(coins))
            for day, (cash, coins) in known["days"].items()
        },
        lots={
            coin: deque(Lot(Decimal(quantity), datetime.fromisoformat(time)) for quantity, time in lots)
            for coin, lots in known["lots"].items()
        },
    )
