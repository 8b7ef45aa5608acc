"""How tests and the demo look into the exchange and change it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Unpack

from .account import Account, Balance, Order, Settings, Trade
from .account_streams import AccountStreams
from .faults import ALTERING, MOVING, Fault, FaultKind, Faults, When
from .limits import WINDOW, Limits
from .matching import Exchange
from .streams import Streams
from .symbols import Number, Symbol

DEFAULT_KEY = "simulatedKey".ljust(64, "0")
DEFAULT_SECRET = "simulatedSecret".ljust(64, "0")
FIRST_UID = 354_000_000
STATUSES = ("TRADING", "HALT", "BREAK")


@dataclass(slots=True)
class Request:
    """One request as it arrived; ``status`` stays None where no answer was given.

    ``unheeded``: it was sent though its sender had been told to wait.
    """

    method: str
    path: str
    params: dict[str, str]
    api_key: str | None
    time: int
    weight: int = 0
    uid_weight: int = 0
    status: int | None = None
    faults: tuple[str, ...] = ()
    unheeded: bool = False


class Control:
    """The typed switches; the package's docstring lists them."""

    exchange_type: type[Exchange] = Exchange

    def __init__(
        self,
        *,
        seed: int = 0,
        balances: Mapping[str, Number] | None = None,
        api_key: str = DEFAULT_KEY,
        api_secret: str = DEFAULT_SECRET,
        bnb_burn: bool = False,
        volatility: Number = "0.0005",
        step: float | None = None,
        latency: float = 0,
        weight_limit: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Open the exchange with one account."""
        self.api_key = api_key
        self.api_secret = api_secret
        self.latency = latency
        self.sapi = True
        self.requests: list[Request] = []
        self._exchange = self.exchange_type(seed, Decimal(volatility), step, clock)
        self.streams: Streams = Streams(self._exchange)
        self.account_streams: AccountStreams = AccountStreams(self._exchange)
        self._faults = Faults(seed)
        self._limits = Limits(weight_limit)
        self._delisted: dict[str, tuple[Symbol, Decimal]] = {}
        self.add_account(api_key, api_secret, balances, bnb_burn=bnb_burn)

    # Market

    def set_price(self, symbol: str, price: Number, *, gap: bool = False) -> None:
        """Move a price, and with it the resting orders it walks through."""
        exchange = self._ticked()
        exchange.market.set_price(symbol, Decimal(price), exchange.now, gap=gap)
        exchange.match_resting()

    def walk(self, steps: int = 1) -> None:
        """Let the prices walk."""
        exchange = self._ticked()
        for _ in range(steps):
            exchange.market.walk(exchange.now)
            exchange.match_resting()

    def hold(self, symbol: str) -> None:
        """Keep a price where it is."""
        self._ticked().market.hold(symbol)

    def release(self, symbol: str) -> None:
        """Let a price walk again."""
        self._ticked().market.release(symbol)

    def set_volatility(self, volatility: Number) -> None:
        """Change the size of a step."""
        self._ticked().market.volatility = Decimal(volatility)

    def remove_price(self, symbol: str, *, zero: bool = False) -> None:
        """Leave a price out of the ticker, or show zero."""
        self._exchange.market.remove_price(symbol, zero=zero)

    def restore_price(self, symbol: str) -> None:
        """Show a price again."""
        self._exchange.market.restore_price(symbol)

    def set_symbol_status(self, symbol: str, status: str) -> None:
        """Open or halt a pair."""
        if status not in STATUSES:
            raise ValueError(f"status is one of {', '.join(STATUSES)}")
        self._exchange.market.symbol(symbol).status = status

    def set_depth(self, symbol: str, quote: Number | None) -> None:
        """Limit what the book holds on each side."""
        self._exchange.market.set_depth(symbol, None if quote is None else Decimal(quote))

    def price(self, symbol: str) -> Decimal:
        """The last price."""
        return self._ticked().market.price(symbol)

    def prices(self) -> dict[str, Decimal]:
        """All last prices."""
        market = self._ticked().market
        return {name: market.price(name) for name in market.symbols}

    def list_symbol(self, rules: Symbol, price: Number) -> None:
        """List another pair."""
        self._exchange.market.add(rules, Decimal(price), self._exchange.now)

    def delist(self, symbol: str) -> None:
        """Take a pair off the list, its resting orders with it."""
        exchange = self._ticked()
        for account, order in exchange.resting(symbol):
            if order.open:
                exchange.cancel(account, order)
        self._delisted[symbol] = self.symbol(symbol), self.price(symbol)
        exchange.market.remove(symbol)

    def relist(self, symbol: str) -> None:
        """List a pair again as it was."""
        self.list_symbol(*self._delisted.pop(symbol))

    def symbol(self, name: str) -> Symbol:
        """The rules of a pair, to read or to change."""
        return self._exchange.market.symbol(name)

    # Accounts

    def account(self, api_key: str | None = None) -> Account:
        """The account of a key."""
        return self._ticked().accounts[api_key or self.api_key]

    def add_account(
        self, api_key: str, api_secret: str, balances: Mapping[str, Number] | None = None, **settings: Unpack[Settings]
    ) -> None:
        """Open an account."""
        accounts = self._exchange.accounts
        account = Account({api_key: api_secret}, FIRST_UID + len({*accounts.values()}), **settings)
        for asset, free in (balances or {}).items():
            account.balances[asset].free = Decimal(free)
        accounts[api_key] = account

    def add_key(self, api_key: str, api_secret: str, to: str | None = None) -> None:
        """Give the account of a key another key."""
        account = self.account(to)
        account.keys[api_key] = api_secret
        self._exchange.accounts[api_key] = account

    def add_old_orders(
        self, symbol: str, count: int, *, amount_unknown: bool = False, api_key: str | None = None
    ) -> None:
        """Give an account orders of its own from before: cancelled ones, or filled ones whose amount nobody knows any more."""
        self._ticked().add_old_orders(self.account(api_key), symbol, count, amount_unknown=amount_unknown)

    def wipe(self, balances: Mapping[str, Number] | None = None) -> None:
        """Begin anew, as the test network does each month: orders and trades are gone, keys stay, all get these balances."""
        self._ticked().wipe()
        for account in self.accounts.values():
            account.balances.clear()
            for asset, free in (balances or {}).items():
                account.balances[asset].free = Decimal(free)

    def set_account(self, api_key: str | None = None, **settings: Unpack[Settings]) -> None:
        """Change permissions or the fee asset."""
        if unknown := settings.keys() - Settings.__optional_keys__:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        account = self.account(api_key)
        for name, value in settings.items():
            setattr(account, name, value)

    def set_balance(self, asset: str, free: Number, api_key: str | None = None) -> None:
        """Set what is free of an asset."""
        self.account(api_key).balances[asset].free = Decimal(free)

    def balance(self, asset: str, api_key: str | None = None) -> Decimal:
        """Free and locked of an asset."""
        return self.account(api_key).balances.get(asset, Balance()).total

    def balances(self, api_key: str | None = None) -> dict[str, Decimal]:
        """Free and locked of each asset that is there."""
        return {asset: balance.total for asset, balance in self.account(api_key).balances.items() if balance.total}

    @property
    def accounts(self) -> dict[str, Account]:
        """All accounts by their key."""
        return self._ticked().accounts

    @property
    def orders(self) -> list[Order]:
        """Every order that was accepted, oldest first."""
        return self._ticked().orders

    def open_orders(self, api_key: str | None = None) -> list[Order]:
        """The orders that rest in the book."""
        return [order for order in self.account(api_key).orders if order.open]

    def trade_name(self, trade: Trade) -> str:
        """What a fill is called in answers."""
        return str(trade.id)

    def trade_against(self, client_order_id: str, quantity: Number) -> None:
        """Let somebody take so much of a resting order, at its price."""
        order = next(each for each in reversed(self.orders) if each.client_order_id == client_order_id and each.open)
        self._exchange.trade_against(order, Decimal(quantity))

    def cancel_order(self, client_order_id: str) -> None:
        """Cancel a resting order as its owner does on the exchange's own page."""
        for account in {*self.accounts.values()}:
            for order in account.orders:
                if order.client_order_id == client_order_id and order.open:
                    self._exchange.cancel(account, order)

    def trades(self, api_key: str | None = None) -> list[Trade]:
        """Every fill, oldest first."""
        return self.account(api_key).trades

    # Server

    @property
    def server_time(self) -> int:
        """Server time in ms."""
        return self._exchange.now

    def advance(self, seconds: float) -> None:
        """Set the server's clock ahead (or back)."""
        self._limits.lift(self.server_time)
        self._exchange.offset_ms += round(seconds * 1000)
        self._ticked()

    def set_latency(self, seconds: float) -> None:
        """Make every request take that long."""
        self.latency = float(seconds)

    def set_weight_limit(self, weight: int | None, seconds: float = WINDOW) -> None:
        """Enforce a limit of weight in each window of so many seconds, or none."""
        self._limits.limit = weight
        self._limits.window = float(seconds)

    def set_sapi(self, available: bool) -> None:
        """Take /sapi away, as on the test networks."""
        self.sapi = available

    def ban(self, seconds: float, status: int = 418) -> None:
        """Refuse everything for a while."""
        self._limits.ban(seconds, status, self.server_time)

    @property
    def bans(self) -> int:
        """How often somebody who did not listen was banned."""
        return self._limits.bans

    @property
    def unheeded(self) -> int:
        """How many requests were sent by who had been told to wait."""
        return sum(request.unheeded for request in self.requests)

    def new_client(self) -> None:
        """Whoever asks from now on was told nothing: a process was started anew."""
        self._limits.forget_all()

    @property
    def used_weight(self) -> int:
        """Weight used in this window, a minute of server time."""
        return self._limits.used(self.server_time)

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many requests of this kind arrived."""
        return sum(
            method in (None, request.method) and (path is None or request.path.endswith(path))
            for request in self.requests
        )

    def forget_requests(self) -> None:
        """Empty the request log."""
        self.requests.clear()

    # Faults

    def fault(
        self,
        kind: str,
        *,
        when: str = "before",
        method: str | None = None,
        path: str | None = None,
        symbol: str | None = None,
        side: str | None = None,
        api_key: str | None = None,
        count: int | None = 1,
        skip: int = 0,
        probability: float = 1,
        seconds: float | None = None,
        code: int | None = None,
        status: int | None = None,
        message: str | None = None,
        percent: float | None = None,
    ) -> Fault:
        """Let the next matching request fail."""
        fault = Fault(
            FaultKind(kind),
            When(when),
            method,
            path,
            symbol,
            side,
            api_key,
            count,
            skip,
            probability,
            None if seconds is None else float(seconds),
            code,
            status,
            message,
            None if percent is None else float(percent),
        )
        if fault.kind in ALTERING:
            fault.when = When.AFTER
        elif fault.kind in {FaultKind.DELAYED, *MOVING}:
            fault.when = When.BEFORE
        self._faults.waiting.append(fault)
        return fault

    def cancel_fault(self, fault: Fault) -> None:
        """Let one fault strike no more."""
        if fault in self._faults.waiting:
            self._faults.waiting.remove(fault)

    def clear_faults(self) -> None:
        """Let everything work again."""
        self._faults.waiting.clear()

    @property
    def faults_waiting(self) -> list[Fault]:
        """The faults that have not struck as often as they should."""
        return self._faults.waiting

    @property
    def faults_injected(self) -> Counter[str]:
        """How often each kind struck."""
        return self._faults.injected

    def _ticked(self) -> Exchange:
        self._exchange.tick()
        return self._exchange
