"""Accounts, what they own, and the orders and trades they made."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypedDict

from .history import History
from .symbols import down, text

DISCOUNT = Decimal("0.25")
FEE = Decimal("0.001")


@dataclass(slots=True)
class Balance:
    """What can be used, and what open orders have locked."""

    free: Decimal = Decimal(0)
    locked: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill; ``list_id`` is -1 where its order belongs to no list."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    buyer: bool
    maker: bool
    list_id: int = -1

    @property
    def quote_quantity(self) -> Decimal:
        """What was paid or received, before the fee."""
        return down(self.price * self.quantity)

    @property
    def fill(self) -> dict[str, object]:
        """The entry in the FULL answer to an order."""
        return {
            "price": text(self.price),
            "qty": text(self.quantity),
            "commission": text(self.commission),
            "commissionAsset": self.commission_asset,
            "tradeId": self.id,
        }

    @property
    def json(self) -> dict[str, object]:
        """The entry in myTrades."""
        return {
            "symbol": self.symbol,
            "id": self.id,
            "orderId": self.order_id,
            "orderListId": self.list_id,
            "price": text(self.price),
            "qty": text(self.quantity),
            "quoteQty": text(self.quote_quantity),
            "commission": text(self.commission),
            "commissionAsset": self.commission_asset,
            "time": self.time,
            "isBuyer": self.buyer,
            "isMaker": self.maker,
            "isBestMatch": True,
        }


@dataclass(slots=True, eq=False)
class Order:
    """An order and what became of it; ``visible_from`` (ms) is when queries begin to see it.

    ``working`` is whether it is in the book: one with a stop price waits for that first, and one that trails (in basis points) for
    a fall of that much from the ``highest`` price that it has seen. ``twins`` are the orders of its list,
    itself among them; ``locked`` is what it has locked.
    """

    symbol: str
    id: int
    client_order_id: str
    side: str
    type: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    time: int
    stop_price: Decimal = Decimal(0)
    trailing: int = 0
    highest: Decimal = Decimal(0)
    list_id: int = -1
    working: bool = True
    locked: Decimal = Decimal(0)
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    executed_quote: Decimal = Decimal(0)
    updated: int = 0
    expiry_reason: str | None = None
    visible_from: int = 0
    fee_in_base: bool = False
    fee_beside: Decimal = Decimal(0)
    trades: list[Trade] = field(default_factory=list)
    twins: tuple[Order, ...] = ()

    def __post_init__(self) -> None:
        """Be alone, until told otherwise."""
        self.twins = self.twins or (self,)

    @property
    def open(self) -> bool:
        """Whether it still rests in the book."""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def locks(self) -> Decimal:
        """What the rest of it locks: quote when buying, base when selling."""
        rest = self.quantity - self.executed
        if self.side == "SELL":
            return rest
        beside = 0 if self.fee_in_base else self.fee_beside
        return down(rest * (self.price or self.stop_price) * (1 + beside))

    @property
    def ack(self) -> dict[str, object]:
        """The ACK answer."""
        return {
            "symbol": self.symbol,
            "orderId": self.id,
            "orderListId": self.list_id,
            "clientOrderId": self.client_order_id,
            "transactTime": self.updated,
        }

    @property
    def result(self) -> dict[str, object]:
        """The RESULT answer."""
        return (
            self.ack
            | self._state
            | ({"stopPrice": text(self.stop_price)} if self.stop_price else {})
            | {"workingTime": self.time if self.working else -1, "selfTradePreventionMode": "EXPIRE_MAKER"}
        )

    @property
    def full(self) -> dict[str, object]:
        """The FULL answer."""
        return self.result | {"fills": [trade.fill for trade in self.trades]}

    @property
    def json(self) -> dict[str, object]:
        """The entry in order, openOrders and allOrders."""
        head = self.ack
        del head["transactTime"]
        return (
            head
            | self._state
            | {
                "stopPrice": text(self.stop_price),
                "icebergQty": text(Decimal(0)),
                "time": self.time,
                "updateTime": self.updated,
                "isWorking": self.working,
                "workingTime": self.time if self.working else -1,
                "selfTradePreventionMode": "EXPIRE_MAKER",
            }
        )

    @property
    def _state(self) -> dict[str, object]:
        state: dict[str, object] = {
            "price": text(self.price),
            "origQty": text(self.quantity),
            "executedQty": text(self.executed),
            "origQuoteOrderQty": text(self.quote_quantity),
            "cummulativeQuoteQty": text(self.executed_quote),
            "status": self.status,
            "timeInForce": self.time_in_force,
            "type": self.type,
            "side": self.side,
        }
        if self.trailing:
            state["trailingDelta"] = self.trailing
        if self.expiry_reason is not None:
            state["expiryReason"] = self.expiry_reason
        return state


@dataclass(frozen=True, slots=True)
class OrderList:
    """Two orders of which one ends the other."""

    symbol: str
    id: int
    client_order_id: str
    time: int
    orders: tuple[Order, ...]

    @property
    def json(self) -> dict[str, object]:
        """The entry in orderList."""
        over = not any(order.open for order in self.orders)
        return {
            "orderListId": self.id,
            "contingencyType": "OCO",
            "listStatusType": "ALL_DONE" if over else "EXEC_STARTED",
            "listOrderStatus": "ALL_DONE" if over else "EXECUTING",
            "listClientOrderId": self.client_order_id,
            "transactionTime": max(order.updated for order in self.orders),
            "symbol": self.symbol,
            "orders": [
                {"symbol": order.symbol, "orderId": order.id, "clientOrderId": order.client_order_id}
                for order in self.orders
            ],
        }

    @property
    def full(self) -> dict[str, object]:
        """The answer to placing and to cancelling it."""
        return self.json | {"orderReports": [order.result for order in self.orders]}


class Settings(TypedDict, total=False):
    """What may be switched on an account."""

    bnb_burn: bool
    can_trade: bool
    reading: bool
    spot_trading: bool
    withdrawals: bool
    ip_restrict: bool
    ip_allowed: bool


@dataclass(slots=True, eq=False)
class Account:
    """One account and its permissions; ``keys`` maps each of its keys to that key's secret."""

    keys: dict[str, str]
    uid: int
    bnb_burn: bool = False
    can_trade: bool = True
    reading: bool = True
    spot_trading: bool = True
    withdrawals: bool = False
    ip_restrict: bool = False
    ip_allowed: bool = True
    updated: int = 0
    balances: defaultdict[str, Balance] = field(default_factory=lambda: defaultdict(Balance))
    orders: list[Order] = field(default_factory=list)
    lists: list[OrderList] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    history: History = field(default_factory=History)

    @property
    def api_key(self) -> str:
        """Its first key."""
        return next(iter(self.keys))

    @property
    def api_secret(self) -> str:
        """The secret of its first key."""
        return self.keys[self.api_key]

    def json(self, *, omit_zero: bool, assets: list[str]) -> dict[str, object]:
        """The answer to account."""
        shown = {asset: self.balances.get(asset, Balance()) for asset in (*assets, *sorted(self.balances))}
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": text(FEE), "taker": text(FEE), "buyer": "0.00000000", "seller": "0.00000000"},
            "canTrade": self.can_trade,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.updated,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": text(balance.free), "locked": text(balance.locked)}
                for asset, balance in shown.items()
                if balance.total or not omit_zero
            ],
            "permissions": ["SPOT"],
            "uid": self.uid,
        }

    @property
    def restrictions(self) -> dict[str, object]:
        """The answer to apiRestrictions."""
        return {
            "ipRestrict": self.ip_restrict,
            "createTime": 1767225600000,
            "enableReading": self.reading,
            "enableWithdrawals": self.withdrawals,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": self.spot_trading,
            "enablePortfolioMarginTrading": False,
        }
