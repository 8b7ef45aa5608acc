"""Settings bound orders as they were set."""

from dataclasses import fields
from decimal import Decimal

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.settings import Settings


def test_limits_are_those_of_the_settings() -> None:
    """Each of them, the defaults alike."""
    plain = Settings(entry_id="entry", mode=Mode.LIVE, quote="USDC", initial_budget=Decimal(100), coins=("BTC",))
    assert plain.limits == Limits(coins=("BTC",))
    own = {item.name: Decimal(number) for number, item in enumerate(fields(Limits), 1) if item.name != "coins"}
    tuned = Settings(entry_id="entry", mode=Mode.LIVE, quote="USDC", initial_budget=Decimal(100), coins=("BTC",), **own)
    assert tuned.limits == Limits(coins=("BTC",), **own)
