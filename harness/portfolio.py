"""What a portfolio is set up with: the data of its entry, on these simulators."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
QUOTE = "USDC"
# In EUR.
BUDGET = "1000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An exchange to trade on: its stand-in, what a portfolio keeps its cash in, what is taken of a trade, what the owner has there.

    `patience` is how many seconds to leave between two cycles that nothing but impatience asks for.
    """

    simulator: str
    quote: str
    fee: Decimal
    fee_in_quote: bool
    patience: float
    balances: tuple[str, ...]


PLACES: Final[Mapping[str, Place]] = {
    "binance": Place(
        simulator="exchange",
        quote=QUOTE,
        fee=Decimal("0.001"),
        fee_in_quote=False,
        patience=0.1,
        # A portfolio gets 1,000 EUR of these; the rest is its owner's own and not to be touched.
        balances=("USDC=2000", "BTC=0.5", "BNB=1"),
    ),
    "kraken": Place(
        simulator="kraken",
        quote="EUR",
        fee=Decimal("0.004"),
        fee_in_quote=True,
        patience=6,
        balances=("EUR=2000", "BTC=0.5", "BNB=1"),
    ),
}


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
