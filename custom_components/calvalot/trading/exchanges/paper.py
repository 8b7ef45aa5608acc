"""Dry run: live prices and rules, fills simulated on paper. Nothing is ever sent."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from ..decimals import ONE, ZERO
from ..errors import ExchangeUnavailable, NotSent
from ..limits import MAJORS
from .base import (
    AccountId,
    Balance,
    Exchange,
    Fill,
    KeyPermissions,
    OrderPage,
    OrderReport,
    OrderRequest,
    OrderStatus,
    Side,
    SymbolRules,
)

FEE = Decimal("0.001")
SLIPPAGE_MAJORS = Decimal("0.0002")
SLIPPAGE = Decimal("0.0005")
SMALLEST = Decimal("1e-8")


class PaperExchange:
    """An exchange without an account: prices and rules come from a real one, orders fill at once against them.

    An order and its fill are named by the client order id. Figures of the simulated fills: slippage 0.02 % for BTC and ETH, 0.05 % for the others, fee 0.1 % of what is received.
    """

    visibility_lag = timedelta(0)
    lookups = 1
    keeps_orders = False

    def __init__(self, market: Exchange, clock: Callable[[], datetime]) -> None:
        self._market = market
        self.name = market.name
        self.fee_coin = market.fee_coin
        self._clock = clock
        self._rules: dict[str, SymbolRules] = {}
        self._prices: dict[str, Decimal] = {}

    @property
    def pause(self) -> float:
        """That of the real exchange."""
        return self._market.pause

    def timestamp(self) -> datetime:
        """Our own clock."""
        return self._clock()

    async def server_time(self) -> datetime:
        """Our own clock."""
        return self._clock()

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules of the real exchange."""
        self._rules = await self._market.rules(symbols)
        return self._rules

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Prices of the real exchange; orders fill at the last ones that were asked for."""
        self._prices = await self._market.prices(symbols)
        return self._prices

    async def permissions(self) -> KeyPermissions | None:
        """Paper needs no key."""
        return None

    async def account_id(self) -> AccountId | None:
        """None: paper has no account."""
        return None

    async def balances(self) -> dict[str, Balance] | None:
        """None: paper has no account."""
        return None

    async def place(self, order: OrderRequest) -> OrderReport:
        """Fill an order at the last price plus slippage, or up to its limit not at all. Raises NotSent without a price."""
        price = self._prices.get(order.symbol)
        rules = self._rules.get(order.symbol)
        if price is None or rules is None:
            raise NotSent(f"no price for {order.symbol}")
        slipped = slippage(rules.base)
        buys = order.side is Side.BUY
        price = price * (ONE + slipped if buys else ONE - slipped)
        now = self._clock()
        limit = order.limit_price
        quantity = order.quantity if order.quote_amount is None else rules.round_quantity(order.quote_amount / price)
        filled = bool(quantity) and (limit is None or (price <= limit if buys else price >= limit))
        report = OrderReport(
            client_order_id=order.client_order_id,
            order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            status=OrderStatus.FILLED if filled else OrderStatus.EXPIRED,
            quantity=quantity,
            executed_quantity=quantity if filled else ZERO,
            executed_amount=(price * quantity).quantize(SMALLEST) if filled else ZERO,
            time=now,
        )
        return replace(report, fills=(_fill(report, rules),) if filled else ())

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """None: an order on paper that was not written down never was."""
        return None

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The one fill of an order, as it was made. Raises ExchangeUnavailable while the symbol's rules are unknown."""
        if (rules := self._rules.get(order.symbol)) is None:
            raise ExchangeUnavailable(f"no rules for {order.symbol}")
        return (_fill(order, rules),)

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """None: paper keeps no orders."""
        return OrderPage()

    async def traded_orders(self, symbol: str, since: datetime, cursor: str | None) -> frozenset[str]:
        """None: paper keeps no orders."""
        return frozenset()


def slippage(coin: str) -> Decimal:
    """How much worse than the last price a fill of a coin is expected to be, as a fraction."""
    return SLIPPAGE_MAJORS if coin in MAJORS else SLIPPAGE


def _fill(order: OrderReport, rules: SymbolRules) -> Fill:
    """The fill of an order that was executed as a whole."""
    buys = order.side is Side.BUY
    received = order.executed_quantity if buys else order.executed_amount
    return Fill(
        trade_id=order.order_id,
        order_id=order.order_id,
        price=(order.executed_amount / order.executed_quantity).quantize(SMALLEST),
        quantity=order.executed_quantity,
        amount=order.executed_amount,
        fee=(received * FEE).quantize(SMALLEST, ROUND_DOWN),
        fee_asset=rules.base if buys else rules.quote,
        time=order.time,
    )
