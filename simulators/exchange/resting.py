"""Orders that stay in the book: what they lock, when they trigger, what fills them, and the twin that ends with them."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from .account import Account, Order
from .market import Level, Market
from .refusal import RefusalError
from .symbols import ALGO_TYPES, Symbol

type Fill = Callable[[Account, Order, Symbol, Level, bool], None]

ZERO = Decimal(0)


class Resting:
    """The orders in the book; `fill` books one fill (the last argument: as a maker)."""

    def __init__(self, market: Market, fill: Fill) -> None:
        """Begin with an empty book."""
        self._market = market
        self._fill = fill
        self._all: list[tuple[Account, Order]] = []

    def clear(self) -> None:
        """Forget them, locks and all."""
        self._all.clear()

    def of(self, symbol: str) -> list[tuple[Account, Order]]:
        """The orders of a pair, and whose they are."""
        return [(account, order) for account, order in self._all if order.symbol == symbol]

    def owned(self, account: Account, symbol: str) -> list[Order]:
        """The orders of a pair that an account has there."""
        return [order for owner, order in self.of(symbol) if owner is account]

    def add(self, account: Account, orders: Iterable[Order]) -> None:
        """Put orders there, two of them as twins that lock what one of them needs."""
        orders = tuple(orders)
        self._all += [(account, order) for order in orders]
        self._relock(account, orders)

    def cancel(self, account: Account, order: Order, now: int) -> None:
        """Take an order from the book, its twin with it. Raises RefusalError."""
        if not order.open:
            raise RefusalError(-2011)
        for each in order.twins:
            if each.open:
                each.status, each.updated = "CANCELED", now
        self._settle(account, order)

    def match(self, now: int) -> None:
        """Trigger and fill what the price has come to."""
        for account, order in list(self._all):
            if not order.open or self._market.symbol(order.symbol).status != "TRADING":
                continue
            price = self._market.price(order.symbol)
            order.highest = max(order.highest, price)
            stop = order.stop_price or order.highest * (1 - Decimal(order.trailing) / 10000)
            if not order.working and triggers(order.side, order.type, stop, price):
                order.working, order.updated = True, now
                self._end_twin(account, order, now)
                self._take(account, order, now, maker=False)
            elif order.working and order.price:
                self._take(account, order, now, maker=True)

    def trade_against(self, order: Order, quantity: Decimal, now: int) -> None:
        """Somebody takes so much of a limit order, at its price."""
        account = next(owner for owner, each in self._all if each is order)
        self._fill_some(account, order, [Level(order.price, min(quantity, order.quantity - order.executed))], now, True)

    # Inside

    def _take(self, account: Account, order: Order, now: int, *, maker: bool) -> None:
        """Fill an order as far as the book goes: a maker at its own price; one for the market ends with it."""
        rest, met = order.quantity - order.executed, []
        for level in self._market.book(order.symbol, order.side):
            if not rest or (order.price and not crosses(order.side, order.price, level.price)):
                break
            taken = min(level.quantity, rest)
            met.append(Level(order.price if maker else level.price, taken))
            rest -= taken
        self._fill_some(account, order, met, now, maker)
        if not order.price and order.open:
            order.status, order.expiry_reason, order.updated = "EXPIRED", "INSUFFICIENT_LIQUIDITY", now
            self._settle(account, order)

    def _fill_some(self, account: Account, order: Order, met: list[Level], now: int, maker: bool) -> None:
        """Book fills out of what is locked, and lock what is left."""
        if not met:
            return
        self._end_twin(account, order, now)
        if maker:
            met = [Level(met[0].price, sum((level.quantity for level in met), ZERO))]
        self._unlock(account, order.twins)
        for level in met:
            self._fill(account, order, self._market.symbol(order.symbol), level, maker)
        order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        self._settle(account, order)

    def _end_twin(self, account: Account, order: Order, now: int) -> None:
        for twin in order.twins:
            if twin is not order and twin.open:
                twin.status, twin.expiry_reason, twin.updated = "EXPIRED", "OCO_TRIGGER", now
        self._settle(account, order)

    def _settle(self, account: Account, order: Order) -> None:
        """Lock what these still need, and take out of the book what has ended."""
        self._relock(account, order.twins)
        self._all = [item for item in self._all if item[1].open]

    def _relock(self, account: Account, orders: tuple[Order, ...]) -> None:
        self._unlock(account, orders)
        orders[0].locked = needed = max((order.locks for order in orders if order.open), default=ZERO)
        self._move(account, orders[0], needed)

    def _unlock(self, account: Account, orders: tuple[Order, ...]) -> None:
        for order in orders:
            self._move(account, order, -order.locked)
            order.locked = ZERO

    def _move(self, account: Account, order: Order, amount: Decimal) -> None:
        symbol = self._market.symbol(order.symbol)
        balance = account.balances[symbol.quote if order.side == "BUY" else symbol.base]
        balance.free -= amount
        balance.locked += amount


def crosses(side: str, limit: Decimal, price: Decimal) -> bool:
    """Whether an order with this limit trades at a price."""
    return price <= limit if side == "BUY" else price >= limit


def triggers(side: str, kind: str, stop: Decimal, price: Decimal) -> bool:
    """Whether a price sets a stop or a take profit off."""
    if kind not in ALGO_TYPES:
        return False
    falling = (side == "SELL") == kind.startswith("STOP_LOSS")
    return price <= stop if falling else price >= stop
