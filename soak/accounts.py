"""The accounts of the exchange, and which book of the live follower belongs to which of them."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from custom_components.calvalot.trading.order_names import follower_tag
from simulators.exchange import ExchangeSimulator

from .invariants import Account
from .stage import Stage


class Accounts:
    """What every account has to come to, those included that a wipe of the network ended."""

    def __init__(self, stage: Stage) -> None:
        self.current = stage.exchange.api_key
        self._exchange: ExchangeSimulator = stage.exchange
        self._tag = follower_tag(stage.live.entry_id)
        self._owners = {key: _amounts(balances) for key, balances in stage.owners.items()}
        # Books by their number: the key of an account that is there, or an account as it was in the end.
        self._books: dict[int, str | Account] = {}
        self._ended: list[Account] = []
        self._since = 0

    @property
    def owner(self) -> dict[str, Decimal]:
        """What is the owner's own on the account in use."""
        return self._owners[self.current]

    @property
    def others(self) -> list[str]:
        """Keys of the accounts that are not in use."""
        return [key for key in self._owners if key != self.current]

    @property
    def orders(self) -> int:
        """Orders of the follower on all of them."""
        return sum(len(account.own()) for account in (*self._ended, *map(self._account, self._owners)))

    def secret(self, key: str) -> str:
        """The secret of a key."""
        return self._exchange.account(key).api_secret

    def number(self, key: str) -> int | None:
        """The book of an account, where it has one."""
        return next((number for number, account in self._books.items() if account == key), None)

    def may_use(self, number: int, *, traded: bool) -> bool:
        """Whether a book can be that of the account in use: its own, a new one, or one that a wipe took nothing from."""
        account = self._books.get(number, self.current)
        return account == self.current or (isinstance(account, Account) and not traded)

    def use(self, number: int) -> None:
        """The account in use has this book."""
        self._books = {each: account for each, account in self._books.items() if account != self.current}
        self._books[number] = self.current

    def forget_books(self) -> None:
        """The ledger is lost with all its books."""
        self._books.clear()

    def wiped(self, balances: Mapping[str, str]) -> None:
        """To be called right before the network is wiped: what is there ends, and each account begins with these balances."""
        ended = {key: self._account(key) for key in self._owners}
        self._ended += ended.values()
        self._books = {
            number: ended[account] if isinstance(account, str) else account for number, account in self._books.items()
        }
        self._owners = {key: _amounts(balances) for key in self._owners}
        self._since = len(self._exchange.requests)

    def books(self) -> Iterator[tuple[int, Account]]:
        """Every book, and the account that it has to agree with."""
        for number, account in self._books.items():
            yield number, self._account(account) if isinstance(account, str) else account

    def _account(self, key: str) -> Account:
        sent = [
            request.params["newClientOrderId"]
            for request in self._exchange.requests[self._since :]
            if (request.method, request.path, request.api_key) == ("POST", "/api/v3/order", key)
        ]
        return Account(
            owner=dict(self._owners[key]),
            orders=tuple(self._exchange.account(key).orders),
            tag=self._tag,
            balances=self._exchange.balances(key),
            sent=sent,
        )


def _amounts(balances: Mapping[str, str]) -> dict[str, Decimal]:
    return {asset: Decimal(free) for asset, free in balances.items()}
