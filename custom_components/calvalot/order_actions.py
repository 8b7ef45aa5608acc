"""Actions of the owner's own hand: orders, their end, positions closed and protected."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
import voluptuous as vol

from .actions import ATTR_COIN, ATTR_CONFIRM, Action, coin_code, invalid_input, of_engine, positive_amount
from .trading import order_responses
from .trading.decimals import HUNDRED
from .trading.engine import Engine
from .trading.exchanges.base import Side
from .trading.order_entry import Ticket, TimeInForce
from .trading.responses import Json
from .trading.terms import Level

ATTR_SIDE: Final = "side"
ATTR_TYPE: Final = "type"
ATTR_AMOUNT: Final = "amount"
ATTR_QUANTITY: Final = "quantity"
ATTR_LIMIT_PRICE: Final = "limit_price"
ATTR_TIME_IN_FORCE: Final = "time_in_force"
ATTR_TAKE_PROFIT: Final = "take_profit"
ATTR_STOP_LOSS: Final = "stop_loss"
ATTR_TRAILING_STOP: Final = "trailing_stop"
ATTR_CLIENT_ORDER_ID: Final = "client_order_id"

MARKET: Final = "market"
LIMIT: Final = "limit"
MAX_NUMBER: Final = Decimal("1e15")
# Distances of a trailing stop in %, as Binance takes them, in steps of a basis point.
LEAST_TRAILING, MOST_TRAILING = Decimal("0.1"), Decimal(20)


def _number(value: Any) -> Decimal:
    """Validate a quantity or a price: finite, more than nothing."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as err:
        raise invalid_input("amount_invalid") from err
    if not number.is_finite() or not 0 < number <= MAX_NUMBER:
        raise invalid_input("amount_invalid")
    return number


def _level(value: Any) -> Level:
    """Validate a price, or a distance such as 5 %, whatever its sign: which side it lies on is known."""
    text = str(value).strip()
    if not text.endswith("%"):
        return Level(_number(text))
    distance = _number(text.removesuffix("%").strip().lstrip("+-"))
    if distance >= HUNDRED * 10:
        raise invalid_input("amount_invalid")
    return Level(distance, percent=True)


def _trailing(value: Any) -> int:
    """Validate the distance of a trailing stop in %; returns basis points."""
    distance = _number(str(value).strip().removesuffix("%"))
    points = distance * HUNDRED
    if not LEAST_TRAILING <= distance <= MOST_TRAILING or points % 1:
        raise invalid_input("trailing_range", least=f"{LEAST_TRAILING:f}", most=f"{MOST_TRAILING:f}")
    return int(points)


LEVELS: Final[VolDictType] = {
    vol.Optional(ATTR_TAKE_PROFIT): _level,
    vol.Optional(ATTR_STOP_LOSS): _level,
    vol.Optional(ATTR_TRAILING_STOP): _trailing,
}


def _ticket(data: Mapping[str, Any]) -> Ticket:
    """What is asked for; a market order has no limit and does not last."""
    limited = data[ATTR_TYPE] == LIMIT
    if limited != (ATTR_LIMIT_PRICE in data) or (ATTR_TIME_IN_FORCE in data and not limited):
        raise invalid_input("limit_price_needed")
    return Ticket(
        coin=data[ATTR_COIN],
        side=Side(data[ATTR_SIDE].upper()),
        amount=data.get(ATTR_AMOUNT),
        quantity=data.get(ATTR_QUANTITY),
        limit_price=data.get(ATTR_LIMIT_PRICE),
        time_in_force=TimeInForce(data.get(ATTR_TIME_IN_FORCE, TimeInForce.GTC)),
        take_profit=data.get(ATTR_TAKE_PROFIT),
        stop_loss=data.get(ATTR_STOP_LOSS),
        trailing=data.get(ATTR_TRAILING_STOP),
    )


async def _place(engine: Engine, data: Mapping[str, Any]) -> Json:
    ticket = _ticket(data)
    if not data[ATTR_CONFIRM]:
        return await engine.orders.preview(ticket)
    return {"confirmed": True, **order_responses.order(await engine.orders.place(ticket))}


async def _cancel(engine: Engine, data: Mapping[str, Any]) -> Json:
    done = await engine.orders.cancel(data[ATTR_CLIENT_ORDER_ID])
    return {"orders": [order_responses.order(record) for record in done]}


async def _close(engine: Engine, data: Mapping[str, Any]) -> Json:
    done = await engine.orders.close(data[ATTR_COIN])
    return {"orders": [order_responses.order(record) for record in done]}


async def _protect(engine: Engine, data: Mapping[str, Any]) -> Json:
    levels = (data.get(ATTR_TAKE_PROFIT), data.get(ATTR_STOP_LOSS), data.get(ATTR_TRAILING_STOP))
    return await engine.orders.protect(data[ATTR_COIN], *levels)


ORDER_ACTIONS: Final = (
    Action(
        "place_order",
        of_engine(_place),
        {
            vol.Required(ATTR_COIN): coin_code,
            vol.Required(ATTR_SIDE): vol.All(cv.string, vol.Lower, vol.In([side.lower() for side in Side])),
            vol.Optional(ATTR_TYPE, default=MARKET): vol.In([MARKET, LIMIT]),
            vol.Optional(ATTR_AMOUNT): positive_amount,
            vol.Optional(ATTR_QUANTITY): _number,
            vol.Optional(ATTR_LIMIT_PRICE): _number,
            vol.Optional(ATTR_TIME_IN_FORCE): vol.All(
                cv.string, vol.Lower, vol.In([each.value for each in TimeInForce])
            ),
            **LEVELS,
            vol.Optional(ATTR_CONFIRM, default=False): cv.boolean,
        },
        previews=True,
    ),
    Action("cancel_order", of_engine(_cancel), {vol.Required(ATTR_CLIENT_ORDER_ID): cv.string}, answers=True),
    Action("close_position", of_engine(_close), {vol.Required(ATTR_COIN): coin_code}, answers=True),
    Action("set_protection", of_engine(_protect), {vol.Required(ATTR_COIN): coin_code, **LEVELS}, answers=True),
)
