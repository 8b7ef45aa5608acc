"""What the trades of a book came to, as JSON for its ledger."""

from collections import deque
from datetime import date, datetime
from decimal import Decimal, localcontext
import json
from typing import Any

from ..attribution import decimals, texts
from ..decimals import EXACT, ZERO
from ..portfolio import Portfolio, Position
from .gains import BoughtLot, Fifo, Gain, Gains
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
            "years": {
                year: [f"{each.sold:f}", f"{each.fifo:f}", f"{each.average:f}"]
                for year, each in traded.gains_by_year.years.items()
            },
            "bought_lots": {
                coin: [[f"{lot.quantity:f}", f"{lot.cost:f}"] for lot in lots]
                for coin, lots in traded.gains_by_year.fifo.lots.items()
            },
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> Traded:
    """What `to_text` wrote; nothing yet where that was before gains by year were among it."""
    known: dict[str, Any] = json.loads(text)
    if "years" not in known:
        return Traded()
    lots = {
        coin: deque(BoughtLot(Decimal(quantity), Decimal(cost)) for quantity, cost in each)
        for coin, each in known["bought_lots"].items()
    }
    with localcontext(EXACT):
        held = {coin: sum((lot.quantity for lot in each), ZERO) for coin, each in lots.items()}
    years = {int(year): Gain(*map(Decimal, each)) for year, each in known["years"].items()}
    gains = Gains(years=years, fifo=Fifo(lots, held))
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
        gains_by_year=gains,
    )
