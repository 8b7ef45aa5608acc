"""An order request, and the rules of the symbol that it has to meet."""

from dataclasses import dataclass
from decimal import Decimal

from .params import CLIENT_ORDER_ID, SYMBOL, Params
from .refusal import FilterFailureError, RefusalError
from .symbols import ORDER_TYPES, Symbol

ORDER_PARAMS = {
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "quoteOrderQty",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
}


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
        response = params.values.get("newOrderRespType", "ACK" if kind == "LIMIT_MAKER" else "FULL")
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
            for name in ("quantity", "price"):
                params.required(name)
        if kind == "LIMIT_MAKER":
            _unwanted(params, "timeInForce")
        if kind == "LIMIT" and params.required("timeInForce") not in ("GTC", "IOC", "FOK"):
            raise RefusalError(-1115)
        for name, amount in (("quantity", quantity), ("quoteOrderQty", quote_quantity), ("price", price)):
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
        )


def check(request: OrderRequest, symbol: Symbol, average: Decimal) -> None:
    """Refuse an order that the symbol's filters forbid."""
    if symbol.status != "TRADING":
        raise RefusalError(-1013, "Market is closed.")
    market = request.type == "MARKET"
    if request.quote_quantity and not symbol.quote_order_quantity:
        raise RefusalError(-2010, "Quote order qty market orders are not support for this symbol.")
    if not market:
        _check_price(request, symbol, average)
    if request.quantity:
        check_quantity(request.quantity, symbol, market=market)
    notional = request.quote_quantity or request.quantity * (average if market else request.price)
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


def _check_price(request: OrderRequest, symbol: Symbol, average: Decimal) -> None:
    if request.price < symbol.tick or request.price > 1000000 or request.price % symbol.tick:
        raise FilterFailureError("PRICE_FILTER")
    if not average * symbol.multiplier_down <= request.price <= average * symbol.multiplier_up:
        raise FilterFailureError("PERCENT_PRICE_BY_SIDE")


def _unwanted(params: Params, *names: str) -> None:
    for name in names:
        if name in params.values:
            raise RefusalError(-1106, f"Parameter '{name}' sent when not required.")
