"""What a portfolio is set up with: the data of its entry, on these simulators."""

from typing import Any, Protocol

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
QUOTE = "USDC"
# In EUR.
BUDGET = "1000"


class LeaderAddress(Protocol):
    """A leader, in this process or in another one."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def secret(self) -> str:
        """What its signals are signed with."""


class ExchangeAddress(Protocol):
    """An exchange with an account, in this process or in another one."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def api_key(self) -> str:
        """The key of the account."""

    @property
    def api_secret(self) -> str:
        """The secret of that key."""


def keys(exchange: ExchangeAddress) -> dict[str, str]:
    """Return what an account is asked with, as the config flow names it."""
    return {"api_key": exchange.api_key, "api_secret": exchange.api_secret}


def entry_data(leader: LeaderAddress, exchange: ExchangeAddress, *, live: bool) -> dict[str, Any]:
    """Return the data of an entry that follows this leader, as the config flow stores them."""
    return {
        "leader_url": leader.url,
        "signal_secret": leader.secret,
        "trading_mode": "live" if live else "dry_run",
        "exchange_url": exchange.url,
        "initial_budget": float(BUDGET),
        "quote_asset": QUOTE,
        **(keys(exchange) if live else {}),
    }
