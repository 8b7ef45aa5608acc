"""Orders by hand, as tests ask for them."""

from decimal import Decimal
from typing import Any

from custom_components.calvalot.trading.engine import Engine
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.order_entry import Ticket
from custom_components.calvalot.trading.responses import Json
from custom_components.calvalot.trading.terms import Level


def limit(coin: str, side: Side, quantity: Decimal, price: Decimal, **more: Any) -> Ticket:
    """A limit order that stays until it is filled or cancelled."""
    return Ticket(coin=coin, side=side, quantity=quantity, limit_price=price, **more)


async def protect(follower: Engine, coin: str, target: Decimal | None, stop: Decimal | None) -> Json:
    """Have a coin protected at two prices, or one of them."""
    target_level, stop_level = (None if price is None else Level(price) for price in (target, stop))
    return await follower.orders.protect(coin, target_level, stop_level)
