"""An order request, and the rules of the symbol that it has to meet."""

from dataclasses import dataclass
from decimal import Decimal

from .params import CLIENT_ORDER_ID, SYMBOL, Params
from .refusal import FilterFailureError, RefusalError
from .symbols import ALGO_TYPES, ORDER_TYPES, Symbol

ORDER_PARAMS = {
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "stopPrice",
    "trailingDelta",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
}


# Bounds of a trailing stop's distance, in basis points.
LEAST_TRAILING, MOST_TRAILING = 10, 2000


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for; zero where a MARKET order has no price, or no quantity of one kind."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    client_order_id: str | None
    response: str
    stop_price: Decimal = Decimal(0)
    trailing: int = 0
    fee_in_base: bool = False

    @property
    def waits(self) -> bool:
        """Whether it waits for the price to set it off."""
        return bool(self.stop_price or self.trailing)

    @property
    def for_market(self) -> bool:
        """Whether it takes what the book has, now or once it is set off."""
        return self.type in ("MARKET", "STOP_LOSS", "TAKE_PROFIT")

    @classmethod
    def read(cls, params: Params) -> OrderRequest:
        """Read a POST order, refusing what does not go together."""
        symbol = params.required("symbol", SYMBOL)
        if (side := params.required("side")) not in ("BUY", "SELL"):
            raise RefusalError(-1117)
        if (kind := params.required("type")) not in ORDER_TYPES:
            raise RefusalError(-1116)
        price, quantity = params.decimal("price"), params.decimal("quantity")
        quote_quantity, time_in_force = params.decimal("quoteOrderQty"), params.values.get("timeInForce")
        client_order_id = params.optional("newClientOrderId", CLIENT_ORDER_ID)
        stop_price, trailing = params.decimal("stopPrice"), params.integer("trailingDelta")
        response = params.values.get("newOrderRespType", "FULL" if kind in ("LIMIT", "MARKET") else "ACK")
        if response not in ("ACK", "RESULT", "FULL"):
            raise RefusalError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        if kind == "MARKET":
            _unwanted(params, "timeInForce", "price")
            if quantity is None and quote_quantity is None:
                words = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
                raise RefusalError(-1102, words)
            if quantity is not None and quote_quantity is not None:
                raise RefusalError(-1128)
        else:
            _unwanted(params, "quoteOrderQty")
            params.required("quantity")
            _check_kind(params, kind)
        if kind not in ALGO_TYPES:
            _unwanted(params, "stopPrice", "trailingDelta")
        if trailing is not None and not LEAST_TRAILING <= trailing <= MOST_TRAILING:
            raise FilterFailureError("TRAILING_DELTA")
        amounts = {"quantity": quantity, "quoteOrderQty": quote_quantity, "price": price, "stopPrice": stop_price}
        for name, amount in amounts.items():
            if amount is not None and amount == 0:
                raise RefusalError(-1013, f"Invalid {name}.")
        zero = Decimal(0)
        return cls(
            symbol,
            side,
            kind,
            time_in_force or "GTC",
            price or zero,
            quantity or zero,
            quote_quantity or zero,
            client_order_id,
            response,
            stop_price or zero,
            trailing or 0,
        )


def _check_kind(params: Params, kind: str) -> None:
    """Price, stop price and time in force, as the type wants them."""
    if kind in ("STOP_LOSS", "TAKE_PROFIT"):
        _unwanted(params, "price", "timeInForce")
    else:
        params.required("price")
    if kind in ALGO_TYPES and "trailingDelta" not in params.values:
        params.required("stopPrice")
    if kind == "LIMIT_MAKER":
        _unwanted(params, "timeInForce")
    elif kind in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT") and params.required("timeInForce") not in (
        "GTC",
        "IOC",
        "FOK",
    ):
        raise RefusalError(-1115)


def check(request: OrderRequest, symbol: Symbol, average: Decimal) -> None:
    """Refuse an order that the symbol's filters forbid."""
    if symbol.status != "TRADING":
        raise RefusalError(-1013, "Market is closed.")
    market = request.for_market
    if request.quote_quantity and not symbol.quote_order_quantity:
        raise RefusalError(-2010, "Quote order qty market orders are not support for this symbol.")
    for price in filter(None, (request.price, request.stop_price)):
        _check_price(price, symbol, average)
    if request.quantity:
        check_quantity(request.quantity, symbol, market=market)
    notional = request.quote_quantity or request.quantity * (request.price or request.stop_price or average)
    if notional < symbol.min_notional:
        raise FilterFailureError("MIN_NOTIONAL" if symbol.old_notional else "NOTIONAL")
    if not symbol.old_notional and not market and notional > symbol.max_notional:
        raise FilterFailureError("NOTIONAL")


def check_quantity(quantity: Decimal, symbol: Symbol, *, market: bool) -> None:
    """LOT_SIZE, and MARKET_LOT_SIZE for a MARKET order."""
    if not symbol.step <= quantity <= symbol.max_quantity or quantity % symbol.step:
        raise FilterFailureError("LOT_SIZE")
    if market and symbol.market_step is not None:
        broken = symbol.market_step and quantity % symbol.market_step
        if not symbol.market_step <= quantity <= symbol.market_max or broken:
            raise FilterFailureError("MARKET_LOT_SIZE")


def _check_price(price: Decimal, symbol: Symbol, average: Decimal) -> None:
    if price < symbol.tick or price > 1000000 or price % symbol.tick:
        raise FilterFailureError("PRICE_FILTER")
    if not average * symbol.multiplier_down <= price <= average * symbol.multiplier_up:
        raise FilterFailureError("PERCENT_PRICE_BY_SIDE")


def _unwanted(params: Params, *names: str) -> None:
    for name in names:
        if name in params.values:
            raise RefusalError(-1106, f"Parameter '{name}' sent when not required.")


LEG_PARAMS = ("Type", "ClientOrderId", "Price", "StopPrice", "TrailingDelta", "TimeInForce")
LIST_PARAMS = {
    "symbol",
    "listClientOrderId",
    "side",
    "quantity",
    "newOrderRespType",
    "selfTradePreventionMode",
    *(f"{leg}{name}" for leg in ("above", "below") for name in LEG_PARAMS),
}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Two orders of which one ends the other: one above the price, one below it."""

    client_order_id: str | None
    above: OrderRequest
    below: OrderRequest

    @classmethod
    def read(cls, params: Params) -> ListRequest:
        """Read a POST orderList/oco, refusing what does not go together."""
        above, below = (_leg(params, leg) for leg in ("above", "below"))
        kinds = {"above": above.type, "below": below.type}
        algos = [leg for leg, kind in kinds.items() if kind in ALGO_TYPES]
        known = ("LIMIT_MAKER", *ALGO_TYPES)
        if (
            not algos
            or any(kind not in known for kind in kinds.values())
            or (len(algos) == 1 and "LIMIT_MAKER" not in kinds.values())
        ):
            raise RefusalError(-1158)
        return cls(params.optional("listClientOrderId", CLIENT_ORDER_ID), above, below)


def _leg(params: Params, leg: str) -> OrderRequest:
    """One of the two, read as if it were sent alone."""
    params.required(f"{leg}Type")
    names = {
        "Type": "type",
        "ClientOrderId": "newClientOrderId",
        "Price": "price",
        "StopPrice": "stopPrice",
        "TrailingDelta": "trailingDelta",
        "TimeInForce": "timeInForce",
    }
    own = Params("", "")
    own.values = {name: params.values[name] for name in ("symbol", "side", "quantity") if name in params.values}
    own.values |= {
        plain: params.values[f"{leg}{name}"] for name, plain in names.items() if f"{leg}{name}" in params.values
    }
    return OrderRequest.read(own)
