"""What Kraken calls assets, pairs and orders, and what we call them."""

from collections.abc import Mapping
from hashlib import sha256
import re

# Its own letters, and a letter before the assets of the first days (support.kraken.com, Asset names).
_OWN = {"XBT": "BTC", "XDG": "DOGE"}
_WITH_LETTER = ("XBT", "XDG", "ETH", "ETC", "LTC", "XRP", "XLM", "XMR", "ZEC", "REP", "MLN")
_MONEY = ("EUR", "USD", "GBP", "CAD", "JPY", "AUD")
_CODES = {f"X{name}": name for name in _WITH_LETTER} | {f"Z{name}": name for name in _MONEY}
_LETTERS = {ours: theirs for theirs, ours in _OWN.items()}

_OURS = re.compile(r"(cv-[a-z0-9]{6}-)(.*)", re.DOTALL)
_THEIRS = re.compile(r"[0-9a-f]{32}")
TAG_DIGITS = 8
REWARDS = ".F"


def asset_of(code: str) -> str:
    """An asset of theirs as everybody else calls it: BTC for XXBT, EUR for ZEUR; what is staked keeps its suffix (ETH.S).

    What earns rewards by itself (XBT.F) is the asset: orders take from it as from the rest (docs.kraken.com, BalanceEx).
    """
    name, dot, suffix = code.removesuffix(REWARDS).partition(".")
    name = _CODES.get(name, name)
    return f"{_OWN.get(name, name)}{dot}{suffix}"


def earning(asset: str) -> str | None:
    """Coin that an asset stands for which is staked or bonded."""
    coin, dot, _ = asset.partition(".")
    return coin if coin and dot else None


def pair_name(symbol: str) -> str:
    """Name of a pair as they take it: XBTEUR for BTCEUR."""
    for ours, theirs in _LETTERS.items():
        if symbol.startswith(ours):
            symbol = theirs + symbol.removeprefix(ours)
        if symbol.endswith(ours):
            symbol = symbol.removesuffix(ours) + theirs
    return symbol


def turned_round(symbol: str) -> str:
    """EUR against something else the other way round; any other symbol as it is."""
    return f"{symbol.removeprefix('EUR')}EUR" if symbol.startswith("EUR") else symbol


def pair_of(item: Mapping[str, str]) -> tuple[str, str]:
    """Base and quote of an entry of AssetPairs. Raises ValueError, KeyError."""
    base, quote = item["wsname"].split("/")
    return asset_of(base), asset_of(quote)


def order_name(client_order_id: str) -> str:
    """`cl_ord_id` of an order, which takes 32 hex digits: 8 from the tag of the follower, 24 from the whole id.

    Those of a tag alone are the 8 with which all of the follower's begin; what is 32 hex digits already is left as it is.
    """
    if _THEIRS.fullmatch(client_order_id):
        return client_order_id
    found = _OURS.fullmatch(client_order_id)
    tag, rest = (found[1], found[2]) if found else (client_order_id, client_order_id)
    start = sha256(tag.encode()).hexdigest()[:TAG_DIGITS]
    return start + sha256(client_order_id.encode()).hexdigest()[: 32 - TAG_DIGITS] if rest else start
