"""The exchange behind the wire: clock, market, accounts, and the matching of orders."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
import heapq
import itertools
import time

from .account import DISCOUNT, FEE, Account, Order, Trade
from .filters import OrderRequest, check, check_quantity
from .market import Level, Market
from .refusal import FilterFailureError, RefusalError
from .symbols import Symbol, down

FIRST_ORDER = 500_000
FIRST_TRADE = 90_000
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
    """All state, changed by whole and uninterrupted calls."""

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
        self._resting: list[tuple[Account, Order]] = []

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
        resting = [order for owner, order in self.resting(request.symbol) if owner is account]
        if len(resting) >= symbol.max_orders:
            raise FilterFailureError("MAX_NUM_ORDERS")
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
        client_order_id = request.client_order_id
        if client_order_id is not None and any(
            owner is account and order.client_order_id == client_order_id
            for owner, order in self.resting(request.symbol)
        ):
            raise RefusalError(-2010, "Duplicate order sent.")
        quantity = request.quantity or self._quantity_for(request, symbol)
        met = self._meet(request, quantity)
        self._check_funds(account, request, symbol, met)
        if request.type == "LIMIT_MAKER" and met:
            raise RefusalError(-2010, "Order would immediately match and take.")
        order = Order(
            symbol=request.symbol,
            id=next(self._order_ids[request.symbol]),
            client_order_id=client_order_id or f"x{next(self._numbers):021d}",
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            quantity=quantity,
            quote_quantity=request.quote_quantity,
            time=now,
            updated=now,
            visible_from=now + late if late else 0,
        )
        if request.time_in_force == "FOK" and sum(level.quantity for level in met) < quantity:
            met = []
        for level in met:
            self._fill(account, order, symbol, level, now, maker=False)
        self._close(order)
        if order.open:
            self._lock(account, order, symbol, order.locks)
            self._resting.append((account, order))
        account.orders.append(order)
        self.orders.append(order)
        account.updated = now
        return order

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
            account.trades.clear()

    def cancel(self, account: Account, order: Order) -> None:
        """Take a resting order from the book."""
        if not order.open:
            raise RefusalError(-2011)
        self._lock(account, order, self.market.symbol(order.symbol), -order.locks)
        order.status, order.updated = "CANCELED", self.now
        self._resting.remove((account, order))

    def resting(self, symbol: str) -> list[tuple[Account, Order]]:
        """The orders of this pair that are in the book, and whose they are."""
        return [(account, order) for account, order in self._resting if order.symbol == symbol]

    def match_resting(self) -> None:
        """Fill the resting orders that the price has walked through."""
        for account, order in list(self._resting):
            symbol = self.market.symbol(order.symbol)
            best = next(self.market.book(order.symbol, order.side), None)
            if symbol.status != "TRADING" or best is None or not _crosses(order.side, order.price, best.price):
                continue
            self._lock(account, order, symbol, -order.locks)
            level = Level(order.price, order.quantity - order.executed)
            self._fill(account, order, symbol, level, self.now, maker=True)
            order.status = "FILLED"
            self._resting.remove((account, order))

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
            if quantity == 0 or (request.price and not _crosses(request.side, request.price, level.price)):
                break
            taken = min(level.quantity, quantity)
            met.append(Level(level.price, taken))
            quantity -= taken
        return met

    def _check_funds(self, account: Account, request: OrderRequest, symbol: Symbol, met: list[Level]) -> None:
        if request.side == "SELL":
            asset, needed = symbol.base, request.quantity or sum((level.quantity for level in met), Decimal(0))
        elif request.price:
            asset, needed = symbol.quote, request.price * request.quantity
        else:
            cost = sum((level.price * level.quantity for level in met), Decimal(0))
            asset, needed = symbol.quote, max(request.quote_quantity, cost)
        if needed > account.balances[asset].free:
            raise RefusalError(-2010)

    def _fill(self, account: Account, order: Order, symbol: Symbol, level: Level, now: int, *, maker: bool) -> None:
        """Book one fill: what is paid, what is received, the fee."""
        buying = order.side == "BUY"
        amount = down(level.price * level.quantity)
        base, quote = account.balances[symbol.base], account.balances[symbol.quote]
        base.free += level.quantity if buying else -level.quantity
        quote.free += -amount if buying else amount
        asset, received = (symbol.base, level.quantity) if buying else (symbol.quote, amount)
        asset, fee = self._fee(account, asset, received)
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
        )
        order.trades.append(trade)
        order.executed += level.quantity
        order.executed_quote += amount
        order.updated = account.updated = now
        account.trades.append(trade)

    def _fee(self, account: Account, asset: str, received: Decimal) -> tuple[str, Decimal]:
        """In BNB with the discount where the account wants it and has it, else in what is received."""
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

    def _lock(self, account: Account, order: Order, symbol: Symbol, amount: Decimal) -> None:
        balance = account.balances[symbol.quote if order.side == "BUY" else symbol.base]
        balance.free -= amount
        balance.locked += amount


def _crosses(side: str, limit: Decimal, price: Decimal) -> bool:
    return price <= limit if side == "BUY" else price >= limit
