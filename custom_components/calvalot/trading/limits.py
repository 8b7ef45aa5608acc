"""What bounds orders."""

from dataclasses import dataclass
from decimal import Decimal

from .decimals import ONE

MAJORS = frozenset({"BTC", "ETH"})
MAJOR_SLIPPAGE = Decimal("0.003")
SLIPPAGE = Decimal("0.005")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds orders: quote amounts, and fractions of capital.

    `max_slippage` None means 0.3 % for BTC and ETH and 0.5 % for the others, 0 means plain MARKET orders. What is held besides
    `coins` is only sold; None means that anything may be bought.
    """

    coins: tuple[str, ...] | None = None
    min_order: Decimal = Decimal(5)
    rebalance_threshold: Decimal = Decimal("0.005")
    dust_threshold: Decimal = Decimal("2.5")
    max_slippage: Decimal | None = None
    max_order_share: Decimal = ONE

    def slippage(self, coin: str) -> Decimal:
        """Largest distance of a fill from the last price, as a fraction; 0 = MARKET."""
        if self.max_slippage is not None:
            return self.max_slippage
        return MAJOR_SLIPPAGE if coin in MAJORS else SLIPPAGE
