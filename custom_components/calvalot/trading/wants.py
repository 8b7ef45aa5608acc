"""What a signal wants: an allocation, moves, or orders. It is stored with the signal, so that nothing has to be said twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
import json
from typing import Any

from .exchanges.base import Side
from .sizing import PlannedOrder
from .terms import Terms, terms_of, terms_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Shares of the capital by coin (fractions from 0 to 1): what is not named is sold, the rest is cash.

    Coins to `keep` are left as they are. With a share of `cash` (a fraction) nothing is sold beyond what the purchases and
    that cash need; None: everything above its share is sold.
    """

    shares: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    keep: frozenset[str] = frozenset()
    cash: Decimal | None = None

    @property
    def coins(self) -> frozenset[str]:
        """Coins that are to be held."""
        return frozenset(coin for coin, share in self.shares.items() if share)


@dataclass(frozen=True, slots=True)
class Move:
    """Buy or sell a share of the capital (a fraction from 0 to 1, for sells too) of a coin, at once or as its terms say."""

    coin: str
    side: Side
    share: Decimal
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves, each placed at most once; before them end the orders that earlier signals of their source left in coins to `cancel`."""

    moves: tuple[Move, ...] = ()
    cancel: frozenset[str] = frozenset()

    @property
    def coins(self) -> frozenset[str]:
        """Coins that are to be traded."""
        return frozenset(move.coin for move in self.moves)

    @property
    def legs(self) -> frozenset[tuple[str, Side]]:
        """What is to be traded, by coin and side."""
        return frozenset((move.coin, move.side) for move in self.moves)


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders as they were planned, each placed at most once: quantities as they are, purchases for no more than they say."""

    orders: tuple[PlannedOrder, ...] = ()

    @property
    def coins(self) -> frozenset[str]:
        """Coins that are to be traded."""
        return frozenset(order.coin for order in self.orders)

    @property
    def legs(self) -> frozenset[tuple[str, Side]]:
        """What is to be traded, by coin and side."""
        return frozenset((order.coin, order.side) for order in self.orders)


type Wants = Allocation | Moves | Orders

EVERYTHING_SOLD = Allocation()


def to_text(wants: Wants) -> str:
    """What is wanted as JSON, the same text for the same content."""
    if isinstance(wants, Moves):
        rows = sorted((_move_row(move) for move in wants.moves), key=lambda row: row[:3])
        return json.dumps({"moves": rows} | ({"cancel": sorted(wants.cancel)} if wants.cancel else {}))
    if isinstance(wants, Orders):
        return json.dumps({"orders": [_order_text(order) for order in wants.orders]})
    document: dict[str, object] = {"allocation": {coin: f"{wants.shares[coin]:f}" for coin in sorted(wants.coins)}}
    if wants.keep:
        document["keep"] = sorted(wants.keep)
    if wants.cash is not None:
        document["cash"] = f"{wants.cash:f}"
    return json.dumps(document)


def from_text(text: str) -> Wants:
    """What `to_text` wrote. Raises ValueError."""
    document = json.loads(text)
    if "moves" in document:
        return Moves(tuple(_move(*row) for row in document["moves"]), frozenset(document.get("cancel", ())))
    if "orders" in document:
        return Orders(tuple(_order(row) for row in document["orders"]))
    cash = document.get("cash")
    return Allocation(
        shares={coin: Decimal(share) for coin, share in document["allocation"].items()},
        keep=frozenset(document.get("keep", ())),
        cash=None if cash is None else Decimal(cash),
    )


def _move_row(move: Move) -> list[Any]:
    terms = terms_row(move.terms)
    return [move.coin, move.side.value, f"{move.share:f}", *([terms] if terms else [])]


def _move(coin: str, side: str, share: str, terms: Mapping[str, Any] | None = None) -> Move:
    return Move(coin, Side(side), Decimal(share), terms_of(terms or {}))


_AMOUNTS = ("quantity", "price", "amount", "limit_price", "quote_amount")


def _order_text(order: PlannedOrder) -> dict[str, str | None]:
    amounts = {name: getattr(order, name) for name in _AMOUNTS}
    return {
        "coin": order.coin,
        "symbol": order.symbol,
        "side": order.side.value,
        **{name: None if amount is None else f"{amount:f}" for name, amount in amounts.items()},
    }


def _order(row: Mapping[str, Any]) -> PlannedOrder:
    amounts: dict[str, Any] = {name: None if row[name] is None else Decimal(row[name]) for name in _AMOUNTS}
    return PlannedOrder(coin=row["coin"], symbol=row["symbol"], side=Side(row["side"]), **amounts)
