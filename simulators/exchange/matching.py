"""The exchange behind the wire: clock, market, accounts, and the matching of orders."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
import heapq
import itertools
import time

from .account import DISCOUNT, FEE, Account, Order, OrderList, Trade
from .filters import ListRequest, OrderRequest, check, check_quantity
from .market import Level, Market
from .refusal import FilterFailureError, RefusalError
from .resting import Resting, crosses, triggers
from .symbols import ALGO_TYPES, Symbol, down

FIRST_ORDER = 500_000
FIRST_TRADE = 90_000
FIRST_LIST = 7_000
# More than a week of one-second steps at once teaches nothing.
MOST_STEPS = 5_000


@dataclass(frozen=True, slots=True, order=True)
class Delayed:
    """An order that reaches the matching later."""

    due: int
    number: int
    account: Account
    request: OrderRequest


class Exchange:
    """All state, changed by whole and uninterrupted calls.

    `fee_beside` is the fee (a fraction) that is locked beside what a resting purchase costs.
    """

    fee_beside = Decimal(0)

    def __init__(
        self, seed: int, volatility: Decimal, step: float | None, clock: Callable[[], float] | None = None
    ) -> None:
        """Open the exchange without accounts."""
        self.offset_ms = 0
        self.accounts: dict[str, Account] = {}
        self.orders: list[Order] = []
        self._clock = clock
        self._step_ms = None if step is None else max(1, round(step * 1000))
        self.market = Market(seed, volatility, self.now)
        self._stepped = self.now
        self._delayed: list[Delayed] = []
        self._numbers = itertools.count()
        self._order_ids: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(FIRST_ORDER))
        self._trade_ids: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(FIRST_TRADE))
        self._list_ids = itertools.count(FIRST_LIST)
        self._resting = Resting(self.market, self._fill_resting)

    @property
    def now(self) -> int:
        """Server time in ms."""
        return int((self._clock or time.time)() * 1000) + self.offset_ms

    def tick(self) -> None:
        """Let happen what was due by now: steps of the walk, delayed orders."""
        now = self.now
        if self._step_ms is not None and now - self._stepped >= self._step_ms:
            steps = (now - self._stepped) // self._step_ms
            self._stepped += steps * self._step_ms
            for number in range(min(steps, MOST_STEPS) - 1, -1, -1):
                self.market.walk(self._stepped - number * self._step_ms)
                self.match_resting()
        while self._delayed and self._delayed[0].due <= now:
            delayed = heapq.heappop(self._delayed)
            try:
                self.place(delayed.account, delayed.request, delayed.due)
            except RefusalError:
                continue  # nobody waits for the answer

    def delay(self, account: Account, request: OrderRequest, due: int) -> None:
        """Match the order when the server's clock has come to ``due``."""
        heapq.heappush(self._delayed, Delayed(due, next(self._numbers), account, request))

    def validate(self, account: Account, request: OrderRequest) -> Symbol:
        """Refuse what never reaches the matching."""
        symbol = self.market.symbol(request.symbol)
        check(request, symbol, self.market.average(request.symbol, self.now))
        resting = self._resting.owned(account, request.symbol)
        if len(resting) >= symbol.max_orders:
            raise FilterFailureError("MAX_NUM_ORDERS")
        if request.type in ALGO_TYPES and sum(order.type in ALGO_TYPES for order in resting) >= symbol.max_algo_orders:
            raise FilterFailureError("MAX_NUM_ALGO_ORDERS")
        if symbol.max_position is not None and request.side == "BUY":
            wanted = sum(
                (o.quantity - o.executed for o in resting if o.side == "BUY"),
                account.balances[symbol.base].total + request.quantity,
            )
            if wanted > symbol.max_position:
                raise FilterFailureError("MAX_POSITION")
        return symbol

    def place(self, account: Account, request: OrderRequest, now: int, *, late: int = 0) -> Order:
        """Match an order as far as it goes; ``late`` is for how many ms queries do not see it."""
        symbol = self.validate(account, request)
        if not account.can_trade:
            raise RefusalError(-2010, "This account may not place or cancel orders.")
        self._check_name(account, request)
        if request.stop_price and triggers(
            request.side, request.type, request.stop_price, self.market.price(request.symbol)
        ):
            raise RefusalError(-2010, "Stop price would trigger immediately.")
        quantity = request.quantity or self._quantity_for(request, symbol)
        met = [] if request.waits else self._meet(request, quantity)
        self._check_funds(account, request, symbol, met)
        if request.type == "LIMIT_MAKER" and met:
            raise RefusalError(-2010, "Order would immediately match and take.")
        order = self._order(request, quantity, now, late)
        if request.time_in_force == "FOK" and sum(level.quantity for level in met) < quantity:
            met = []
        for level in met:
            self._fill(account, order, symbol, level, now, maker=False)
        self._close(order)
        if order.open:
            self._resting.add(account, [order])
        self._keep(account, [order], now)
        return order

    def place_list(self, account: Account, request: ListRequest, now: int, *, late: int = 0) -> OrderList:
        """Put two orders into the book of which one ends the other; ``late`` is for how many ms queries do not see them."""
        legs = (request.above, request.below)
        name, side = request.above.symbol, request.above.side
        symbol = self.market.symbol(name)
        for leg in legs:
            self.validate(account, leg)
            self._check_name(account, leg)
        resting = self._resting.owned(account, name)
        if len({order.list_id for order in resting} - {-1}) >= symbol.max_lists:
            raise FilterFailureError("MAX_NUM_ORDER_LISTS")
        if not account.can_trade:
            raise RefusalError(-2010, "This account may not place or cancel orders.")
        if any(other.client_order_id == request.client_order_id for other in account.lists if other.orders[0].open):
            raise RefusalError(-2010, "Duplicate order sent.")
        price = self.market.price(name)
        above, below = (leg.stop_price or leg.price for leg in legs)  # 0 of one that trails below the price
        wrong = (
            side == "SELL" and request.above.type == "LIMIT_MAKER" and self._meet(request.above, request.above.quantity)
        )
        if not below < price < above or wrong:
            raise RefusalError(-2010, "The relationship of the prices for the orders is not correct.")
        for leg in legs:
            self._check_funds(account, leg, symbol, [])
        number = next(self._list_ids)
        orders = tuple(self._order(leg, leg.quantity, now, late) for leg in legs)
        for order in orders:
            order.list_id, order.twins = number, orders
        self._resting.add(account, orders)
        self._keep(account, orders, now)
        made = OrderList(name, number, request.client_order_id or f"l{number:021d}", now, orders)
        account.lists.append(made)
        return made

    def _check_name(self, account: Account, request: OrderRequest) -> None:
        name = request.client_order_id
        if name is not None and any(
            order.client_order_id == name for order in self._resting.owned(account, request.symbol)
        ):
            raise RefusalError(-2010, "Duplicate order sent.")

    def _order(self, request: OrderRequest, quantity: Decimal, now: int, late: int) -> Order:
        return Order(
            symbol=request.symbol,
            id=next(self._order_ids[request.symbol]),
            client_order_id=request.client_order_id or f"x{next(self._numbers):021d}",
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=quantity,
            quote_quantity=request.quote_quantity,
            stop_price=request.stop_price,
            trailing=request.trailing,
            highest=self.market.price(request.symbol),
            working=not request.waits,
            time=now,
            updated=now,
            visible_from=now + late if late else 0,
            fee_in_base=request.fee_in_base,
            fee_beside=self.fee_beside,
        )

    def _keep(self, account: Account, orders: Sequence[Order], now: int) -> None:
        account.orders += orders
        self.orders += orders
        account.updated = now

    def add_old_orders(self, account: Account, symbol: str, count: int, *, amount_unknown: bool) -> None:
        """Orders as somebody left them: cancelled, or filled for an amount that is not known any more."""
        rules, now = self.market.symbol(symbol), self.now
        price = self.market.price(symbol)
        for _ in range(count):
            number = next(self._order_ids[symbol])
            order = Order(
                symbol=symbol,
                id=number,
                client_order_id=f"old{number}",
                side="BUY",
                type="LIMIT",
                time_in_force="GTC",
                price=price,
                quantity=rules.step,
                quote_quantity=Decimal(0),
                time=now,
                updated=now,
                status="FILLED" if amount_unknown else "CANCELED",
            )
            if amount_unknown:
                order.executed, order.executed_quote = rules.step, Decimal(-1)
            account.orders.append(order)
            self.orders.append(order)

    def wipe(self) -> None:
        """No order and no trade was ever made; numbers begin anew."""
        for numbers in (self._order_ids, self._trade_ids, self._resting, self._delayed, self.orders):
            numbers.clear()
        for account in self.accounts.values():
            account.orders.clear()
            account.lists.clear()
            account.trades.clear()

    def cancel(self, account: Account, order: Order) -> None:
        """Take a resting order from the book, and the order that ends with it."""
        self._resting.cancel(account, order, self.now)

    def resting(self, symbol: str) -> list[tuple[Account, Order]]:
        """The orders of this pair that are in the book, and whose they are."""
        return self._resting.of(symbol)

    def trade_against(self, order: Order, quantity: Decimal) -> None:
        """Somebody takes so much of a resting order."""
        self._resting.trade_against(order, quantity, self.now)

    def match_resting(self) -> None:
        """Set off and fill the resting orders that the price has come to."""
        self._resting.match(self.now)

    def _quantity_for(self, request: OrderRequest, symbol: Symbol) -> Decimal:
        """The quantity that a MARKET order in the quote asset comes to."""
        left, quantity = request.quote_quantity, Decimal(0)
        step = max(symbol.step, symbol.market_step or symbol.step)
        levels = list(self.market.book(request.symbol, request.side))
        if not levels:
            raise RefusalError(-2010, "Order book liquidity is less than symbol minimum quantity.")
        for level in levels:
            taken = min(level.quantity, (left / level.price / step).to_integral_value(ROUND_FLOOR) * step)
            quantity += taken
            left -= taken * level.price
            if taken < level.quantity:
                break
        quantity = (quantity / step).to_integral_value(ROUND_FLOOR) * step
        check_quantity(quantity, symbol, market=True)
        return quantity

    def _meet(self, request: OrderRequest, quantity: Decimal) -> list[Level]:
        """The parts of the book that the order takes."""
        met: list[Level] = []
        for level in self.market.book(request.symbol, request.side):
            if quantity == 0 or (request.price and not crosses(request.side, request.price, level.price)):
                break
            taken = min(level.quantity, quantity)
            met.append(Level(level.price, taken))
            quantity -= taken
        return met

    def _check_funds(self, account: Account, request: OrderRequest, symbol: Symbol, met: list[Level]) -> None:
        if request.side == "SELL":
            asset, needed = symbol.base, request.quantity or sum((level.quantity for level in met), Decimal(0))
        elif request.price or request.waits:
            asset, needed = symbol.quote, (request.price or request.stop_price) * request.quantity
        else:
            cost = sum((level.price * level.quantity for level in met), Decimal(0))
            asset, needed = symbol.quote, max(request.quote_quantity, cost)
        if needed > account.balances[asset].free:
            raise RefusalError(-2010)

    def _fill_resting(self, account: Account, order: Order, symbol: Symbol, level: Level, maker: bool) -> None:
        self._fill(account, order, symbol, level, self.now, maker=maker)

    def _fill(self, account: Account, order: Order, symbol: Symbol, level: Level, now: int, *, maker: bool) -> None:
        """Book one fill: what is paid, what is received, the fee."""
        buying = order.side == "BUY"
        amount = down(level.price * level.quantity)
        base, quote = account.balances[symbol.base], account.balances[symbol.quote]
        base.free += level.quantity if buying else -level.quantity
        quote.free += -amount if buying else amount
        asset, fee = self._fee(account, order, symbol, level.quantity, amount, maker=maker)
        account.balances[asset].free -= fee
        trade = Trade(
            symbol=symbol.name,
            id=next(self._trade_ids[symbol.name]),
            order_id=order.id,
            price=level.price,
            quantity=level.quantity,
            commission=fee,
            commission_asset=asset,
            time=now,
            buyer=buying,
            maker=maker,
            list_id=order.list_id,
        )
        order.trades.append(trade)
        order.executed += level.quantity
        order.executed_quote += amount
        order.updated = account.updated = now
        account.trades.append(trade)

    def _fee(
        self, account: Account, order: Order, symbol: Symbol, quantity: Decimal, amount: Decimal, *, maker: bool
    ) -> tuple[str, Decimal]:
        """In BNB with the discount where the account wants it and has it, else in what is received."""
        asset, received = (symbol.base, quantity) if order.side == "BUY" else (symbol.quote, amount)
        if account.bnb_burn:
            worth, bnb = self.market.value(asset), self.market.value("BNB")
            if worth is not None and bnb is not None:
                fee = down(received * worth / bnb * FEE * (1 - DISCOUNT))
                if account.balances["BNB"].free >= fee:
                    return "BNB", fee
        return asset, down(received * FEE)

    def _close(self, order: Order) -> None:
        """Give a new order the status that its fills earn it."""
        if order.executed == order.quantity:
            order.status = "FILLED"
        elif order.type == "MARKET":
            order.status, order.expiry_reason = "EXPIRED", "INSUFFICIENT_LIQUIDITY"
        elif order.time_in_force == "IOC":
            order.status, order.expiry_reason = "EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED"
        elif order.time_in_force == "FOK":
            order.status, order.expiry_reason = "EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED"
        elif order.executed:
            order.status = "PARTIALLY_FILLED"
