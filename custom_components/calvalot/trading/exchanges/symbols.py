"""Names of pairs, the same for every exchange: an adapter turns them into its own.

The one place that puts a symbol together or takes it apart.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from ..decimals import ONE


def symbol_of(base: str, quote: str) -> str:
    """Symbol that a coin is traded as against a quote asset."""
    return f"{base}{quote}"


class Pair(NamedTuple):
    """What is traded against what."""

    base: str
    quote: str

    @property
    def symbol(self) -> str:
        """Symbol that it is traded as."""
        return symbol_of(self.base, self.quote)


def base_of(symbol: str, quote: str) -> str:
    """Coin of a symbol against this quote asset."""
    return symbol.removesuffix(quote) or symbol


def quote_of(symbol: str, base: str) -> str:
    """Quote asset of a coin's symbol."""
    return symbol.removeprefix(base)


def rate_symbols(quote: str) -> tuple[str, ...]:
    """Symbols whose prices give the EUR value of a quote asset."""
    match quote:
        case "EUR":
            return ()
        case "USDT":
            return (symbol_of("EUR", "USDT"),)
    return (symbol_of("EUR", quote), symbol_of("EUR", "USDT"), symbol_of(quote, "USDT"))


def eur_rate(quote: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """EUR per one unit of quote: 1 / EUR<quote>, else over EURUSDT and <quote>USDT, else unknown."""
    if quote == "EUR":
        return ONE
    if direct := prices.get(symbol_of("EUR", quote)):
        return ONE / direct
    euro = prices.get(symbol_of("EUR", "USDT"))
    cross = prices.get(symbol_of(quote, "USDT"))
    return cross / euro if euro and cross else None
