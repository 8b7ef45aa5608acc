"""What an exchange can do: prices, rules, balances, place an order, look one up."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from ..decimals import ONE, ZERO, round_down, round_up
from ..explanation import Explanation, Movement
from .symbols import Pair

# What an exchange takes of an order where nothing else is known, as a fraction.
USUAL_FEE = Decimal("0.001")


class Mode(StrEnum):
    """Where orders go; anything that is not exactly one of the two is refused."""

    DRY_RUN = "dry_run"
    LIVE = "live"


class Side(StrEnum):
    """Side of an order."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How long an order lasts: what is left of one `at_once` ends with it, one to be filled as a whole or not at all is `fok`.

    The others stay until they are filled or cancelled: a limit waits in the book for its price, a stop loss sells for whatever
    the market gives once the stop price is reached, and the stop of a trailing one follows the price up at its distance.
    """

    AT_ONCE = "at_once"
    FILL_OR_KILL = "fok"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing"

    @property
    def rests(self) -> bool:
        """Whether it may stay on the exchange."""
        return self not in {OrderType.AT_ONCE, OrderType.FILL_OR_KILL}


class OrderStatus(StrEnum):
    """What has become of an order on the exchange."""

    NEW = "new"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def final(self) -> bool:
        """Whether it can change no more; what was filled before counts, whatever the end is called."""
        return self not in {OrderStatus.NEW, OrderStatus.PARTLY_FILLED}


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account has of one asset, in that asset."""

    free: Decimal
    locked: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountId:
    """Whose an account is: its number at a host, else the key (a hash of it) that opens it there."""

    host: str
    uid: str | None
    key: str

    def is_same(self, other: AccountId) -> bool:
        """Whether both are one account; two keys of one account are."""
        if self.host != other.host:
            return False
        return self.uid == other.uid if self.uid and other.uid else self.key == other.key


@dataclass(frozen=True, slots=True)
class KeyPermissions:
    """What an API key may do; `ip_restricted` is None where the exchange does not say."""

    can_trade: bool
    can_withdraw: bool
    ip_restricted: bool | None = None


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """Trading rules of one symbol, as the exchange lists them; a step or tick of 0 means none.

    `min_notional` binds every order of at least one of our kinds (LIMIT always, MARKET where the filter says so).
    `quote_step` is the step of what a MARKET order may cost; None where the symbol takes a quantity only. `closed` means that
    the pair was delisted, or is in a planned pause. `ranges` are how far the price of a limit or a stop may be from the
    market's, as factors, by side. `fee` is what the exchange takes of an order at most, as a fraction of its amount; with
    `fee_in_quote` always in the quote asset, beside what a purchase costs, else of what is received.
    """

    symbol: str
    base: str
    quote: str
    trading: bool = True
    step: Decimal = ZERO
    min_quantity: Decimal = ZERO
    max_quantity: Decimal | None = None
    tick: Decimal = ZERO
    min_price: Decimal = ZERO
    max_price: Decimal | None = None
    min_notional: Decimal = ZERO
    quote_step: Decimal | None = None
    closed: bool = False
    ranges: Mapping[Side, tuple[Decimal, Decimal]] = field(default_factory=dict[Side, tuple[Decimal, Decimal]])
    fee: Decimal = USUAL_FEE
    fee_in_quote: bool = False

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Round a quantity (base asset) down to the step; 0 where it is under the minimum."""
        if self.max_quantity is not None:
            quantity = min(quantity, self.max_quantity)
        rounded = round_down(quantity, self.step)
        return rounded if rounded > 0 and rounded >= self.min_quantity else ZERO

    def limit_price(self, side: Side, price: Decimal, slippage: Decimal) -> Decimal:
        """Worst price (quote per base) an order may fill at, on the tick and never beyond the slippage."""
        if side is Side.BUY:
            limit = round_down(price * (ONE + slippage), self.tick)
            return limit if self.max_price is None else min(limit, self.max_price)
        return max(round_up(price * (ONE - slippage), self.tick), self.min_price)

    def bounds(self, side: Side, price: Decimal) -> tuple[Decimal, Decimal] | None:
        """Between which prices a limit or a stop has to be, given the last price; None where that is not said."""
        if (factors := self.ranges.get(side)) is None:
            return None
        return round_up(price * factors[0], self.tick), round_down(price * factors[1], self.tick)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as it goes out: quantity in the base asset; one at once without a limit price is a MARKET order.

    With a `quote_amount` it buys what that much quote buys, whatever quantity that turns out to be. `trailing` is the distance
    of a trailing stop from the price, in basis points.
    """

    symbol: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    quote_amount: Decimal | None = None
    client_order_id: str
    type: OrderType = OrderType.AT_ONCE
    stop_price: Decimal | None = None
    trailing: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of an order: price in quote per base, quantity in base, amount in quote, fee in its own asset."""

    trade_id: str
    order_id: str
    price: Decimal
    quantity: Decimal
    amount: Decimal
    fee: Decimal
    fee_asset: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the exchange says of an order; `fills` is None where the answer carries none.

    `cursor` is where a search for orders that came after it begins; None where the exchange keeps none. `pair` names two
    orders of which one ends the other.
    """

    client_order_id: str
    order_id: str
    symbol: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    executed_quantity: Decimal
    executed_amount: Decimal
    time: datetime
    fills: tuple[Fill, ...] | None = None
    cursor: str | None = None
    type: OrderType = OrderType.AT_ONCE
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    pair: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing about it can change any more."""
        return self.status.final


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that rests: what was asked for, and what is known to have become of it."""

    request: OrderRequest
    report: OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """A page of a symbol's orders, oldest first: ours as they are, of the others no more than their ids.

    `cursor` is where the next page begins, None after an empty one; `more` says whether there is one now.
    """

    own: tuple[OrderReport, ...] = ()
    ids: frozenset[str] = frozenset()
    cursor: str | None = None
    more: bool = False


class Exchange(Protocol):
    """An exchange as a portfolio uses it; symbols are those of `symbols.py`.

    `name` is what it is called in orders. `fee_coin` is the coin that it may take its fees in, whatever is traded; None where
    it has none. `types` are the kinds of order that it has, `pairs` is whether one of two orders can end the other.
    `visibility_lag` is how long after an order's time stamp it may still appear, `lookups` how many spread-out
    look-ups have to miss it before it counts as never placed. `keeps_orders`: an order lives there, whatever we write
    down; where it does not, one whose answer was not booked never was.
    """

    name: str
    fee_coin: str | None
    types: frozenset[OrderType]
    pairs: bool
    visibility_lag: timedelta
    lookups: int
    keeps_orders: bool

    @property
    def pause(self) -> float:
        """Seconds to wait before anything that nothing hurries; 0 where it may go on."""
        ...

    def timestamp(self) -> datetime:
        """Time stamp (UTC, the exchange's clock) that a request sent now carries."""
        ...

    def order_name(self, client_order_id: str) -> str:
        """What an order is called there: our own name, or what always becomes of it where the exchange takes no such name.

        The name of one that is called so already is the same.
        """
        ...

    def earning(self, asset: str) -> str | None:
        """Coin that an asset of the account stands for which earns interest and is listed like one of its own."""
        ...

    async def server_time(self) -> datetime:
        """Clock of the exchange (UTC)."""
        ...

    async def rules(self, symbols: Collection[str]) -> dict[str, SymbolRules]:
        """Trading rules by symbol; symbols that are not listed are missing."""
        ...

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Last prices (quote per base) by symbol; missing and zero ones are left out."""
        ...

    async def balances(self) -> dict[str, Balance] | None:
        """Balances by asset; None where there is no account (paper)."""
        ...

    async def account_id(self) -> AccountId | None:
        """Whose the account is; None where there is none (paper)."""
        ...

    async def holdings(self) -> tuple[AccountId, dict[str, Balance]]:
        """Whose account the key opens and its balances by asset, on paper those of the real one."""
        ...

    async def listed(self) -> frozenset[str]:
        """Every symbol that there is."""
        ...

    async def movements(
        self, kind: Explanation, pairs: Collection[Pair], since: datetime, until: datetime
    ) -> tuple[Movement, ...]:
        """Rows of one kind of the account's history in a span of time; trades are those of some pairs."""
        ...

    async def permissions(self) -> KeyPermissions | None:
        """What the key may do; None where there is none (paper)."""
        ...

    async def place(self, order: OrderRequest) -> OrderReport:
        """Send an order once. Raises Refused, NotSent, ClockSkew, InvalidKey, RateLimited or OutcomeUnknown."""
        ...

    async def place_pair(self, name: str, target: OrderRequest, stop: OrderRequest) -> tuple[OrderReport, OrderReport]:
        """Send two sales once, of which one ends the other: a limit above the price, a stop below. Raises as `place`."""
        ...

    async def cancel(self, order: RestingOrder) -> OrderReport | None:
        """Ask for an order's end, and that of the one it is paired with; what it came to, None where that is to be looked up.

        To ask again does no harm. Raises Refused where there is nothing to cancel (any more), or as `place`.
        """
        ...

    async def progress(self, orders: Sequence[RestingOrder]) -> dict[str, OrderReport]:
        """What has become of orders that rest, by client order id; what the exchange does not know (yet) is missing."""
        ...

    async def find(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Look an order up; None where the exchange does not know it (yet)."""
        ...

    async def fills(self, order: OrderReport) -> tuple[Fill, ...]:
        """The fills of one order that was executed."""
        ...

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """Orders of a symbol from a cursor on, None from the first; ours are those whose client order id starts with `prefix`.

        That is the tag of a follower, or a whole id. Ours are named as `order_name` says, the one of a whole id as we do.
        """
        ...

    async def traded_orders(self, symbol: str, since: datetime, cursor: str | None) -> frozenset[str]:
        """Ids of all orders of a symbol that traded since a time and were placed from a cursor on, whosever they are."""
        ...
