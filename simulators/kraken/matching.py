"""Kraken's rules of an order, and its fees: in the quote asset beside what an order costs, unless the order wants them in the base."""

from decimal import Decimal
from typing import override

from ..exchange.account import Account, Order
from ..exchange.filters import OrderRequest
from ..exchange.market import Level
from ..exchange.matching import Exchange
from ..exchange.symbols import Symbol, down
from .pairs import LOT, MAKER, TAKER, Pair, pairs
from .refusal import KrakenRefusalError

MOST_ORDERS = 60


class Matching(Exchange):
    """Accounts, market and matching of Kraken."""

    fee_beside = TAKER

    def list_pairs(self) -> None:
        """Have Kraken's pairs on the list and no others."""
        # What GetApiKeyInfo answers otherwise than usual.
        self.key_info: dict[str, object] = {}
        # Of streams of accounts, and whose they are.
        self.tokens: dict[str, str] = {}
        for name in [*self.market.symbols]:
            self.market.remove(name)
        for pair, price in pairs():
            self.market.add(pair, price, self.now)

    def pair(self, name: str) -> Pair:
        """The pair of a name, which may be any that it has. Raises KrakenRefusalError."""
        for symbol in self.market.symbols.values():
            if isinstance(symbol, Pair) and name.replace("/", "") in (symbol.alternative, symbol.key):
                return symbol
        raise KrakenRefusalError("EQuery:Unknown asset pair")

    @override
    def validate(self, account: Account, request: OrderRequest) -> Symbol:
        """Refuse what never reaches the matching."""
        symbol = self.market.symbol(request.symbol)
        if not isinstance(symbol, Pair):
            raise KrakenRefusalError("EQuery:Unknown asset pair")
        if symbol.status != "TRADING":
            raise KrakenRefusalError("EService:Market in cancel_only mode")
        if request.quantity % LOT:
            raise KrakenRefusalError("EGeneral:Invalid arguments:volume")
        if request.quantity < symbol.least:
            raise KrakenRefusalError("EOrder:Order minimum not met")
        for price in filter(None, (request.price, request.stop_price)):
            if price % symbol.tick:
                words = f"{symbol.alternative} price can only be specified up to {symbol.decimals} decimals."
                raise KrakenRefusalError(f"EOrder:Invalid price:{words}")
        price = request.price or request.stop_price or self.market.price(symbol.name)
        if request.quantity * price < symbol.min_notional:
            raise KrakenRefusalError("EOrder:Cost minimum not met")
        if len(self._resting.owned(account, symbol.name)) >= MOST_ORDERS:
            raise KrakenRefusalError("EOrder:Orders limit exceeded")
        return symbol

    @override
    def _check_funds(self, account: Account, request: OrderRequest, symbol: Symbol, met: list[Level]) -> None:
        if request.side == "SELL":
            asset, needed = symbol.base, request.quantity
        else:
            cost = sum((level.price * level.quantity for level in met), Decimal(0))
            if request.price or request.waits:
                cost = (request.price or request.stop_price) * request.quantity
            asset, needed = symbol.quote, cost * (1 if request.fee_in_base else 1 + self.fee_beside)
        if needed > account.balances[asset].free:
            raise KrakenRefusalError("EOrder:Insufficient funds")

    @override
    def _fee(
        self, account: Account, order: Order, symbol: Symbol, quantity: Decimal, amount: Decimal, *, maker: bool
    ) -> tuple[str, Decimal]:
        rate = min(MAKER, self.fee_beside) if maker else self.fee_beside
        return (symbol.base, down(quantity * rate)) if order.fee_in_base else (symbol.quote, down(amount * rate))
