"""Dry run: live prices and rules, fills simulated on paper. Nothing is ever sent."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from ..decimals import ONE, ZERO
from ..errors import ExchangeUnavailable, NotSent, Refused
from ..explanation import Explanation, Movement
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
    OrderType,
    RestingOrder,
    Side,
    SymbolRules,
)
from .host import LivePrices, no_live_prices
from .symbols import Pair

SLIPPAGE_MAJORS = Decimal("0.0002")
SLIPPAGE = Decimal("0.0005")
SMALLEST = Decimal("1e-8")
# The code of a refusal on Binance that an order would trade where it must not.
WOULD_TRADE = -2010


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What simulated fills cost, as fractions: `fee` of what is received, `slip` from the last price.

    None: the fee of the symbol's rules, the slippage of the coin.
    """

    fee: Decimal | None = None
    slip: Decimal | None = None

    def fee_of(self, rules: SymbolRules) -> Decimal:
        """What a fill of a symbol costs."""
        return rules.fee if self.fee is None else self.fee

    def slippage(self, coin: str) -> Decimal:
        """How much worse than the last price a fill of a coin is."""
        return slippage(coin) if self.slip is None else self.slip


USUAL = Costs()


class PaperExchange:
    """An exchange without an account: prices and rules come from a real one, orders fill against them.

    An order and its fill are named by the client order id. Figures of the simulated fills: slippage 0.02 % for BTC and ETH,
    0.05 % for the others, the fee of the symbol's rules (0.1 % of what is received where these say nothing else).
    """

    # A trailing stop is watched by the cycle: here nobody sees more of the prices than it does.
    types = frozenset(OrderType) - {OrderType.TRAILING_STOP}
    pairs = True
    visibility_lag = timedelta(0)
    lookups = 1
    keeps_orders = False

    def __init__(
        self,
        market: Exchange,
        clock: Callable[[], datetime],
        live_prices: LivePrices = no_live_prices,
        costs: Costs = USUAL,
    ) -> None:
        """Orders fill at `live_prices` where there are some, else at the last ones that were asked for."""
        self._costs = costs
        self._market = market
        self.name = market.name
        self.fee_coin = market.fee_coin
        self._clock = clock
        self._rules: dict[str, SymbolRules] = {}
        self._prices: dict[str, Decimal] = {}
        self._live_prices = live_prices

    @property
    def pause(self) -> float:
        """That of the real exchange."""
        return self._market.pause

    def timestamp(self) -> datetime:
        """Our own clock."""
        return self._clock()

    def order_name(self, client_order_id: str) -> str:
        """Our own name."""
        return client_order_id

    def earning(self, asset: str) -> str | None:
        """As on the real exchange, of whose account a wallet is a copy."""
        return self._market.earning(asset)

    async def server_time(self) -> datetime:
        """Our own clock."""
        return self._clock()

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules of the real exchange."""
        self._rules = await self._market.rules(symbols)
        return self._rules

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Prices of the real exchange."""
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

    async def holdings(self) -> tuple[AccountId, dict[str, Balance]]:
        """What is really there, to begin with a copy of it."""
        return await self._market.holdings()

    async def listed(self) -> frozenset[str]:
        """Symbols of the real exchange."""
        return await self._market.listed()

    async def movements(
        self, kind: Explanation, pairs: Collection[Pair], since: datetime, until: datetime
    ) -> tuple[Movement, ...]:
        """None: nothing comes to paper or leaves it by itself."""
        return ()

    async def place(self, order: OrderRequest) -> OrderReport:
        """Fill an order at the last price plus slippage, or up to its limit not at all. Raises NotSent without a price."""
        price, rules = self._known(order)
        slipped = self._slipped(price, order.side, rules)
        buys = order.side is Side.BUY
        quantity = order.quantity if order.quote_amount is None else rules.round_quantity(order.quote_amount / slipped)
        if order.type is OrderType.STOP_LOSS and is_reached(order, price):
            raise Refused("the stop price is reached already", WOULD_TRADE)
        limit = order.limit_price
        meets = limit is None or (slipped <= limit if buys else slipped >= limit)
        report = self._report(order, quantity)
        if quantity and meets and order.type is not OrderType.STOP_LOSS:
            return self._filled(report, rules, slipped)
        return report if order.type.rests else replace(report, status=OrderStatus.EXPIRED, fills=())

    async def place_pair(self, name: str, target: OrderRequest, stop: OrderRequest) -> tuple[OrderReport, OrderReport]:
        """Two sales of which one ends the other, with the price between them."""
        price, _ = self._known(target)
        if is_reached(target, price) or is_reached(stop, price):
            raise Refused("the price is not between target and stop", WOULD_TRADE)
        first, second = (replace(self._report(each, each.quantity), pair=name) for each in (target, stop))
        return first, second

    async def cancel(self, order: RestingOrder) -> OrderReport | None:
        """The end of an order, as it was."""
        return replace(order.report, status=OrderStatus.CANCELLED, time=self._clock(), fills=None)

    async def progress(self, orders: Sequence[RestingOrder]) -> dict[str, OrderReport]:
        """Limits are filled at their price once the last one has come to it, stops at that one; a twin ends with it."""
        found = {order.report.client_order_id: order.report for order in orders}
        ended: set[str] = set()
        for order in orders:
            request, report = order.request, order.report
            price, rules = self._price(request.symbol), self._rules.get(request.symbol)
            if report.pair in ended or not price or not rules or not rules.trading or not is_reached(request, price):
                continue
            stops = request.type is OrderType.STOP_LOSS
            at = self._slipped(price, request.side, rules) if stops else request.limit_price or price
            found[report.client_order_id] = self._filled(report, rules, at)
            ended |= {report.pair} - {""}
        for name, report in found.items():
            if report.pair in ended and not report.done:
                found[name] = replace(report, status=OrderStatus.EXPIRED, time=self._clock())
        return found

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """None: an order on paper that was not written down never was."""
        return None

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The one fill of an order, as it was made. Raises ExchangeUnavailable while the symbol's rules are unknown."""
        if (rules := self._rules.get(order.symbol)) is None:
            raise ExchangeUnavailable(f"no rules for {order.symbol}")
        return (self._fill(order, rules),)

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """None: paper keeps no orders."""
        return OrderPage()

    async def traded_orders(self, symbol: str, since: datetime, cursor: str | None) -> frozenset[str]:
        """None: paper keeps no orders."""
        return frozenset()

    # Inside

    def _known(self, order: OrderRequest) -> tuple[Decimal, SymbolRules]:
        """Price and rules of an order's symbol. Raises NotSent without."""
        price, rules = self._price(order.symbol), self._rules.get(order.symbol)
        if price is None or rules is None:
            raise NotSent(f"no price for {order.symbol}")
        return price, rules

    def _price(self, symbol: str) -> Decimal | None:
        """The price that an order meets."""
        live = self._live_prices([symbol])
        return live[symbol] if live else self._prices.get(symbol)

    def _report(self, order: OrderRequest, quantity: Decimal) -> OrderReport:
        """An order of which nothing is filled yet."""
        return OrderReport(
            client_order_id=order.client_order_id,
            order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            status=OrderStatus.NEW,
            quantity=quantity,
            executed_quantity=ZERO,
            executed_amount=ZERO,
            time=self._clock(),
            type=order.type,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
        )

    def _filled(self, order: OrderReport, rules: SymbolRules, price: Decimal) -> OrderReport:
        """The same order, filled as a whole."""
        report = replace(
            order,
            status=OrderStatus.FILLED,
            executed_quantity=order.quantity,
            executed_amount=(price * order.quantity).quantize(SMALLEST),
            time=self._clock(),
        )
        return replace(report, fills=(self._fill(report, rules),))

    def _slipped(self, price: Decimal, side: Side, rules: SymbolRules) -> Decimal:
        """What an order that takes the market is filled at."""
        slipped = self._costs.slippage(rules.base)
        return price * (ONE + slipped if side is Side.BUY else ONE - slipped)

    def _fill(self, order: OrderReport, rules: SymbolRules) -> Fill:
        """The fill of an order that was executed as a whole."""
        in_coin = order.side is Side.BUY and not rules.fee_in_quote
        received = order.executed_quantity if in_coin else order.executed_amount
        return Fill(
            trade_id=order.order_id,
            order_id=order.order_id,
            price=(order.executed_amount / order.executed_quantity).quantize(SMALLEST),
            quantity=order.executed_quantity,
            amount=order.executed_amount,
            fee=(received * self._costs.fee_of(rules)).quantize(SMALLEST, ROUND_DOWN),
            fee_asset=rules.base if in_coin else rules.quote,
            time=order.time,
        )


def slippage(coin: str) -> Decimal:
    """How much worse than the last price a fill of a coin is expected to be, as a fraction."""
    return SLIPPAGE_MAJORS if coin in MAJORS else SLIPPAGE


def is_reached(order: OrderRequest, price: Decimal) -> bool:
    """Whether the price has come to the limit of an order, or to its stop."""
    if order.type is OrderType.STOP_LOSS:
        return price <= (order.stop_price or ZERO)
    limit = order.limit_price or ZERO
    return price <= limit if order.side is Side.BUY else price >= limit
