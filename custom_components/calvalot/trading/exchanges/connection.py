"""What the connections to all exchanges share: whose they are, prices that are known already, what a failure of aiohttp means."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from decimal import Decimal
import hashlib
import time

from aiohttp import ClientConnectorError, ClientError, ClientSession, ConnectionTimeoutError

from ..errors import ExchangeError, NotSent
from .base import AccountId
from .host import HOSTS, HostLimits, LivePrices, no_live_prices

# Seconds for an answer.
TIMEOUT = 10.0
# What an answer raises that is another one than was asked for, and all that a request may raise of itself.
UNREADABLE = (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError)
FAILURES = (ClientError, OSError, *UNREADABLE)


def failure(err: BaseException, otherwise: type[ExchangeError]) -> ExchangeError:
    """What one of `FAILURES` means; `otherwise` is for a request that may have arrived.

    To be raised outside of the handler, so that no answer, address or header hangs on it as its context.
    """
    match err:
        case ConnectionTimeoutError() | ClientConnectorError():
            return NotSent("no connection to the exchange")
        case TimeoutError():
            return otherwise("the exchange did not answer in time")
        case ClientError() | OSError():
            return otherwise("the connection to the exchange broke")
    return otherwise("the exchange's answer cannot be read")


class Connection(ABC):
    """All requests of one key on one host, or of nobody. The constructor does no I/O."""

    def __init__(
        self, session: ClientSession, base_url: str, host: str, api_key: str, api_secret: str, limits: HostLimits | None
    ) -> None:
        """`host` is what all addresses of the exchange have in common; `limits` are those that all portfolios share."""
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._host = host
        self._key = api_key.strip()
        self._secret = api_secret.strip()
        self._limits = limits or HOSTS.limits(base_url)
        self._account_id: AccountId | None = None
        self._looked_at = 0.0
        self.live_prices: LivePrices = no_live_prices

    @property
    def host(self) -> str:
        """Which exchange it is: several addresses of one are one."""
        return self._host

    async def prices(self, symbols: Collection[str]) -> dict[str, Decimal]:
        """Last prices (quote per base) by symbol, shared with others on this host; missing and zero ones are left out.

        Where the stream has them all, newer than those of the look before, nothing is asked.
        """
        began = time.monotonic()
        known = self.live_prices(symbols, self._looked_at)
        self._looked_at = began
        return await self._limits.shared_prices.prices(self, symbols, self._prices) if known is None else {**known}

    # Inside

    @abstractmethod
    async def _prices(self, symbols: Collection[str]) -> Mapping[str, Decimal]:
        """Ask for prices. Raises ExchangeError."""

    def _identify(self, uid: object) -> AccountId:
        """Whose the account is: by what the exchange calls it, where that is known, else by the key."""
        key = hashlib.sha256(self._key.encode()).hexdigest()[:16]
        return AccountId(host=self._host, uid=None if uid is None else str(uid), key=key)
