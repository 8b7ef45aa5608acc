"""What a price between two cycles has come to that only a cycle sees to; pure."""

from collections.abc import Mapping
from decimal import Decimal

from .exchanges.base import Mode
from .exchanges.paper import is_reached
from .exchanges.symbols import symbol_of
from .protection import HeldBy
from .snapshot import Snapshot


def reached(snapshot: Snapshot, prices: Mapping[str, Decimal], quote: str) -> frozenset[str]:
    """Coins whose protection no exchange holds, and orders that rest on paper, whose price has come (`prices` by symbol)."""
    watched = {
        coin: protection
        for coin, protection in snapshot.protections.items()
        if snapshot.protected_by.get(coin) is HeldBy.CYCLE
    }
    found = {
        coin
        for coin, protection in watched.items()
        if (price := prices.get(symbol_of(coin, quote))) and protection.is_reached(price)
    }
    resting = snapshot.resting if snapshot.mode is Mode.DRY_RUN else ()
    return frozenset(found).union(
        order.client_order_id
        for order in resting
        if (price := prices.get(order.symbol)) and is_reached(order.request, price)
    )
