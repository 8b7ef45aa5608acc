"""An exchange over a network, as the house uses it: beside what a portfolio needs, candles and prices that are known already."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from ..market.candles import Candle, TimeFrame
from .base import AccountId, Balance, Exchange
from .host import LivePrices
from .stream import StreamFormat


class Hint(StrEnum):
    """What happened: a subscription began, an order changed, a balance was changed from outside."""

    SUBSCRIBED = "subscribed"
    ORDER = "order"
    BALANCE = "balance"


# Called with the client order id, where it is about an order.
type OnHint = Callable[[Hint, str], None]


class AccountStream(Protocol):
    """What an exchange says of an account by itself."""

    @property
    def subscribed(self) -> bool:
        """Whether it tells what happens."""
        ...

    async def run(self) -> None:
        """Stay subscribed for ever."""
        ...


class RemoteExchange(Exchange, Protocol):
    """An exchange with or without a key.

    `stream_url` is where prices and candles come by themselves, `account_stream` makes what tells of the account by itself; None
    where there is no such thing: then candles are asked for. `live_prices` are prices that are known without a question.
    """

    time_frames: frozenset[TimeFrame]
    live_prices: LivePrices

    @property
    def host(self) -> str:
        """Which exchange it is: several addresses of one are one."""
        ...

    @property
    def stream_url(self) -> str | None:
        """Address of its streams."""
        ...

    @property
    def stream_format(self) -> StreamFormat:
        """What its streams are called, and what they say."""
        ...

    @property
    def account_stream(self) -> Callable[[OnHint], AccountStream] | None:
        """Makes what calls back with whatever happens to the account; nothing is connected yet."""
        ...

    @property
    def used_weight(self) -> int | None:
        """Request weight used in the current minute; None where the exchange does not say."""
        ...

    async def balances(self) -> dict[str, Balance]:
        """Balances of the account by asset."""
        ...

    async def account_id(self) -> AccountId:
        """Whose the account is."""
        ...

    async def candles(self, symbol: str, frame: TimeFrame, start: int, end: int) -> list[Candle]:
        """A page of candles that opened from `start` to before `end` (Unix seconds), oldest first."""
        ...
