"""Which book is in use: the one of the account that the key opens. Another account begins a new book, the old one is kept."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
import logging

from .account import Claimed
from .accounts import Accounts
from .decimals import ZERO
from .errors import ExchangeError, Refused
from .exchanges.base import AccountId, Balance, Exchange, Mode
from .ledger.ledger import Ledger
from .portfolio import Portfolio

_LOGGER = logging.getLogger(__name__)
# Times, and for how long, an account has to miss an order of ours before it counts as another one.
ABSENT_AFTER = 3
ABSENT_FOR = timedelta(minutes=1)


class Books:
    """The books of one follower; on paper there is one.

    `known` is whether it is established whose the account is: before that nothing is settled, opened or traded.
    """

    def __init__(
        self, mode: Mode, exchange: Exchange, ledger: Ledger, clock: Callable[[], datetime], accounts: Accounts
    ) -> None:
        self._mode = mode
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock
        self._accounts = accounts
        self._account: AccountId | None = None
        self._absent: tuple[str, int, datetime] | None = None
        self._seen: Mapping[str, Decimal] | None = None
        self._before = Claimed()
        self.known = mode is Mode.DRY_RUN

    def forget(self) -> None:
        """Establish anew whose the account is: the ledger may be an older one."""
        self.known = self._mode is Mode.DRY_RUN
        self._seen = None

    async def establish(self) -> bool:
        """Use the book of the account that the key opens; whether that is another one than before.

        It stays unknown while the account may be another one. Raises LedgerError, ExchangeError.
        """
        account = self._account = await self._exchange.account_id()
        if account is None:  # pragma: no cover  # an exchange without accounts is for paper
            return False
        number = await self._number(account)
        if number is None:
            return False
        before = self._ledger.number
        await self._ledger.ask(self._ledger.use, number, account, self._clock())
        self.known = True
        if number == before:
            return False
        _LOGGER.warning("This is another account than that of book %d: book %d is used from here on", before, number)
        return True

    async def is_same(self, balances: Mapping[str, Balance], portfolio: Portfolio) -> bool:
        """Whether the account is still the one it was; looked at when it has changed beyond what the book says of it.

        Raises LedgerError.
        """
        beside = _beside(balances, portfolio, self._ledger.quote)
        if self._seen is not None and beside != self._seen:
            try:
                self.known = await self._has_newest(self._ledger.number)
            except ExchangeError:
                return True  # until it is proven that it is not
        self._seen = beside if self.known else None
        return self.known

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have the account to oneself: no other follower opens a book or sends an order on it meanwhile."""
        if self._account is None:
            yield
            return
        async with self._accounts.lock(self._account):
            yield

    async def count(self) -> None:
        """Take note of what the other books of the account claim, before its balances are asked for."""
        self._before = await self._claimed()

    async def claimed(self) -> Claimed:
        """What the other books of the account have claimed at most since it was counted."""
        return self._before.at_most(await self._claimed())

    # Inside

    async def _claimed(self) -> Claimed:
        return await self._accounts.claimed(self._account, self._ledger) if self._account else Claimed()

    async def _number(self, account: AccountId) -> int | None:
        """Number of the account's book; None while that is not sure."""
        accounts = await self._ledger.ask(self._ledger.account_ids)
        # One in another quote asset has ended, or is kept for that one.
        quotes = await self._ledger.ask(self._ledger.quotes)
        on_it = [
            number
            for number, known in accounts.items()
            if known.is_same(account) and quotes[number] == self._ledger.quote
        ]
        if not on_it and self._ledger.number in accounts:
            return await self._ledger.ask(self._ledger.next_number)
        # One of which no account was ever written down takes the first that it meets.
        number = max(on_it, default=self._ledger.number)
        if await self._has_newest(number):
            return number
        return await self._ledger.ask(self._ledger.next_number) if self._is_absent() else None

    async def _has_newest(self, number: int) -> bool:
        """Whether the account has the newest order of a book that traded; one that was wiped, or another one, has not."""
        for order in await self._ledger.ask(lambda: self._ledger.in_book(number).newest_traded()):
            try:
                found = await self._exchange.find(order.symbol, order.client_order_id)
            except Refused:
                continue  # the pair is not listed any more
            if found and found.order_id == order.order_id:
                break
            name, times, since = self._absent or ("", 0, self._clock())
            if name != order.client_order_id:
                times, since = 0, self._clock()
            self._absent = (order.client_order_id, times + 1, since)
            _LOGGER.warning("The account does not know order %s, nothing is traded", order.client_order_id)
            return False
        self._absent = None
        return True

    def _is_absent(self) -> bool:
        """Whether an order was missed so often that it is no hiccup of the exchange."""
        if self._absent is None:  # pragma: no cover
            return False
        _, times, since = self._absent
        return times >= ABSENT_AFTER and self._clock() - since >= ABSENT_FOR


def _beside(balances: Mapping[str, Balance], portfolio: Portfolio, quote: str) -> dict[str, Decimal]:
    """What the account has by asset, less what the book has traded there: the owner's own, as long as nobody else trades."""
    left = {asset: balance.free + balance.locked for asset, balance in balances.items()}
    left[quote] = left.get(quote, ZERO) - portfolio.cash + portfolio.paid_in
    for coin, position in portfolio.positions.items():
        left[coin] = left.get(coin, ZERO) - position.quantity
    return {asset: quantity for asset, quantity in left.items() if quantity}
