"""What Kraken calls assets and pairs, and the pairs that are listed."""

from dataclasses import dataclass
from decimal import Decimal

from ..exchange.symbols import PRICES, Symbol

# Assets with another name than everywhere else, and those that have a letter before it since the first days.
NAMES = {"BTC": "XBT", "DOGE": "XDG"}
COINS = frozenset({"XBT", "XDG", "ETH", "XRP"})
MONEY = frozenset({"EUR", "USD"})

TAKER = Decimal("0.004")
MAKER = Decimal("0.0025")
LOT = Decimal("1e-8")


def alternative(asset: str) -> str:
    """An asset as it is written in the names of pairs."""
    return NAMES.get(asset, asset)


def code(asset: str) -> str:
    """An asset as balances have it; one that is staked, or earns, has a suffix and no letter before it."""
    coin, dot, suffix = asset.partition(".")
    if dot:
        return f"{alternative(coin)}.{suffix}"
    name = alternative(asset)
    return f"X{name}" if name in COINS else f"Z{name}" if name in MONEY else name


def _decimals(step: Decimal) -> int:
    return max(-int(step.normalize().as_tuple().exponent), 0)


@dataclass(slots=True)
class Pair(Symbol):
    """One pair; `least` is the smallest quantity of an order, `min_notional` what it has to cost at least."""

    least: Decimal = LOT

    @property
    def alternative(self) -> str:
        """Its name in requests."""
        return alternative(self.base) + alternative(self.quote)

    @property
    def key(self) -> str:
        """Its name in answers."""
        old = alternative(self.base) in COINS - {"XDG"} and self.quote in MONEY
        return code(self.base) + code(self.quote) if old else self.alternative

    @property
    def decimals(self) -> int:
        """Decimals of a price."""
        return _decimals(self.tick)

    @property
    def lot_decimals(self) -> int:
        """Decimals of a quantity."""
        return _decimals(self.step)

    @property
    def asset_pair(self) -> dict[str, object]:
        """The entry in AssetPairs."""
        return {
            "altname": self.alternative,
            "wsname": f"{alternative(self.base)}/{alternative(self.quote)}",
            "aclass_base": "currency",
            "base": code(self.base),
            "aclass_quote": "currency",
            "quote": code(self.quote),
            "lot": "unit",
            "cost_decimals": 8,
            "pair_decimals": self.decimals,
            "lot_decimals": self.lot_decimals,
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, float(TAKER * 100)], [10000, 0.35]],
            "fees_maker": [[0, float(MAKER * 100)], [10000, 0.2]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": f"{self.least:f}",
            "costmin": f"{self.min_notional:f}",
            "tick_size": f"{self.tick:f}",
            "status": "online" if self.status == "TRADING" else "cancel_only",
        }


def pairs() -> list[tuple[Pair, Decimal]]:
    """The usual coins against EUR and USDC with their prices at the start, and stablecoins against EUR."""

    def pair(base: str, quote: str, tick: str, least: str) -> tuple[Pair, Decimal]:
        rules = Pair(base, quote, Decimal(tick), LOT, min_notional=Decimal("0.5"), quote_order_quantity=False)
        rules.least = Decimal(least)
        return rules, PRICES[base] / PRICES[quote]

    return [
        *(pair("BTC", quote, tick, "0.00005") for quote, tick in (("EUR", "0.1"), ("USDC", "0.01"))),
        *(pair("ETH", quote, "0.01", "0.001") for quote in ("EUR", "USDC")),
        *(pair("BNB", quote, "0.01", "0.005") for quote in ("EUR", "USDC")),
        *(pair("SOL", quote, "0.01", "0.02") for quote in ("EUR", "USDC")),
        *(pair("XRP", quote, "0.00001", "1.65") for quote in ("EUR", "USDC")),
        pair("DOGE", "EUR", "0.0000001", "13"),
        pair("ADA", "EUR", "0.000001", "4.4"),
        pair("USDC", "EUR", "0.0001", "5"),
        pair("USDT", "EUR", "0.00001", "5"),
    ]
