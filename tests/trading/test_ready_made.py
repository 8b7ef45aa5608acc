"""Allocations to start from."""

from decimal import Decimal

from hypothesis import given, strategies as st

from custom_components.calvalot.trading.decimals import HUNDRED
from custom_components.calvalot.trading.ready_made import (
    CIRCULATING,
    STEP,
    as_held,
    by_market_cap,
    equal_parts,
    sixty_forty,
)

D = Decimal
COINS = sorted(CIRCULATING)
prices = st.dictionaries(st.sampled_from(COINS), st.decimals("0.0001", "200000", allow_nan=False, places=4), min_size=1)


def test_equal_parts() -> None:
    """All of it, to the last tenth."""
    assert equal_parts(["BTC", "ETH", "SOL"]) == {"BTC": D("33.4"), "ETH": D("33.3"), "SOL": D("33.3")}


def test_market_cap() -> None:
    """In proportion; a cap hands what it cuts off to the others."""
    market = {"BTC": D(100_000), "ETH": D(4_000), "XRP": D(2)}
    # 1,990,000, 482,800 and 119,000 millions
    assert by_market_cap(market, HUNDRED) == {"BTC": D("76.8"), "ETH": D("18.6"), "XRP": D("4.6")}
    assert by_market_cap(market, D(50)) == {"BTC": D(50), "ETH": D("40.1"), "XRP": D("9.9")}
    assert by_market_cap(market, D(40)) == {"BTC": D(40), "ETH": D(40), "XRP": D(20)}
    assert by_market_cap(market, D(30)) == {"BTC": D(30), "ETH": D(30), "XRP": D(30)}
    assert by_market_cap({"BTC": D(1), "NOSUCH": D(1)}, HUNDRED) == {"BTC": HUNDRED}
    assert by_market_cap({"NOSUCH": D(1)}, HUNDRED) == {}


def test_sixty_forty() -> None:
    """In the proportions that are there."""
    assert sixty_forty({"BTC": D(30), "ETH": D(10)}) == {"BTC": 45, "ETH": 15}
    assert sixty_forty({"BTC": D(0), "ETH": D(0)}) == {"BTC": 30, "ETH": 30}


def test_as_held() -> None:
    """Rounded down, without dust."""
    assert as_held({"BTC": D("0.33349"), "ETH": D("0.0004")}) == {"BTC": D("33.3")}


@given(prices, st.decimals(1, 100, places=0))
def test_never_more_than_the_whole(market: dict[str, D], cap: D) -> None:
    """Neither is a coin above its cap, and only a cap leaves cash."""
    for shares in (equal_parts(market), by_market_cap(market, cap)):
        assert all(share >= 0 and share % STEP == 0 for share in shares.values())
    assert sum(equal_parts(market).values()) == HUNDRED
    capped = by_market_cap(market, cap)
    assert max(capped.values()) <= cap
    assert sum(capped.values()) == min(HUNDRED, cap * len(market))
    assert sum(sixty_forty(capped).values()) == 60
