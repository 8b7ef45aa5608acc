"""Allocations to start from; pure. Shares are in % with one decimal, and never more than 100 in all."""

from collections.abc import Collection, Mapping
from decimal import ROUND_FLOOR, Decimal, localcontext

from .decimals import EXACT, HUNDRED, ONE, ZERO, round_down

STEP = Decimal("0.1")
# How much of 60/40 is in coins, in %.
IN_COINS = Decimal(60)
# Coins in circulation in the middle of 2025, rounded, in millions: what an exchange does not tell. They change by a few per cent a year.
CIRCULATING: Mapping[str, Decimal] = {
    coin: Decimal(millions)
    for coin, millions in {
        "BTC": "19.9",
        "ETH": "120.7",
        "BNB": "139",
        "SOL": "540",
        "XRP": "59500",
        "DOGE": "150500",
        "ADA": "35500",
        "TRX": "94700",
        "LINK": "678",
        "AVAX": "422",
        "XLM": "31600",
        "SUI": "3500",
        "BCH": "19.9",
        "LTC": "76.2",
        "DOT": "1520",
        "HBAR": "42400",
        "UNI": "600",
        "AAVE": "15.2",
        "NEAR": "1240",
        "ETC": "153",
        "TON": "2500",
        "FIL": "690",
        "ICP": "535",
        "APT": "660",
        "ALGO": "8700",
        "SHIB": "589000000",
        "PEPE": "420700000",
    }.items()
}

type Shares = Mapping[str, Decimal]


def equal_parts(coins: Collection[str]) -> Shares:
    """The whole in equal parts."""
    return _rounded(dict.fromkeys(coins, ONE), HUNDRED)


def by_market_cap(prices: Mapping[str, Decimal], cap: Decimal) -> Shares:
    """By price times coins in circulation, at most `cap` % for each; what the cap cuts off goes to the others.

    Coins of which no circulation is known are left out.
    """
    caps = {coin: price * CIRCULATING[coin] for coin, price in prices.items() if coin in CIRCULATING}
    capped: dict[str, Decimal] = {}
    with localcontext(EXACT):
        while rest := {coin: value for coin, value in caps.items() if coin not in capped}:
            left = HUNDRED - cap * len(capped)
            factor = left / sum(rest.values(), ZERO)
            over = [coin for coin, value in rest.items() if value * factor > cap]
            if not over:
                shares = {**capped, **{coin: value * factor for coin, value in rest.items()}}
                return _rounded(shares, HUNDRED)
            capped |= dict.fromkeys(over, cap)
    return _rounded(capped, sum(capped.values(), ZERO))


def sixty_forty(shares: Shares) -> Shares:
    """60 % in coins in the proportions of these shares, or in equal parts where there are none; the rest is cash."""
    return _rounded(shares if any(shares.values()) else dict.fromkeys(shares, ONE), IN_COINS)


def as_held(weights: Mapping[str, Decimal]) -> Shares:
    """What is held, by weights as fractions."""
    found = {coin: round_down(weight * HUNDRED, STEP) for coin, weight in weights.items()}
    return {coin: share for coin, share in found.items() if share}


def _rounded(parts: Shares, whole: Decimal) -> Shares:
    """Shares in proportion to parts that are `whole` % in all, to the step; the largest remainders are rounded up."""
    total = sum(parts.values(), ZERO)
    with localcontext(EXACT):
        exact = {coin: part / total * whole / STEP for coin, part in parts.items()}
    floors = {coin: share.to_integral_value(ROUND_FLOOR) for coin, share in exact.items()}
    missing = int(whole / STEP - sum(floors.values(), ZERO))
    first = sorted(exact, key=lambda coin: (floors[coin] - exact[coin], coin))[:missing]
    return {coin: (floor + (1 if coin in first else 0)) * STEP for coin, floor in floors.items()}
