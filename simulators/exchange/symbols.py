"""The pairs that are listed and their trading rules, as exchangeInfo tells them."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

type Number = Decimal | str | int

EIGHT = Decimal("0.00000001")
# Orders that wait for a price before they are in the book.
ALGO_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", *ALGO_TYPES)


def down(value: Decimal) -> Decimal:
    """Truncate to eight decimals, as the exchange does with every amount."""
    return value.quantize(EIGHT, rounding=ROUND_DOWN)


def text(value: Decimal) -> str:
    """Write an amount as the exchange prints it, with eight decimals."""
    return f"{down(value):f}"


@dataclass(slots=True)
class Symbol:
    """One pair and its filters; ``market_step`` None means that there is no MARKET_LOT_SIZE."""

    base: str
    quote: str
    tick: Decimal
    step: Decimal
    max_quantity: Decimal = Decimal(9000000)
    market_step: Decimal | None = Decimal(0)
    market_max: Decimal = Decimal(100000)
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9000000)
    old_notional: bool = False
    multiplier_up: Decimal = Decimal(5)
    multiplier_down: Decimal = Decimal("0.2")
    max_orders: int = 200
    max_algo_orders: int = 5
    max_lists: int = 20
    max_position: Decimal | None = None
    quote_order_quantity: bool = True
    status: str = "TRADING"

    @property
    def name(self) -> str:
        """The symbol, base and quote in one word."""
        return self.base + self.quote

    @property
    def filters(self) -> list[dict[str, object]]:
        """The filters in the exchange's words."""
        filters: list[dict[str, object]] = [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text(self.tick),
                "maxPrice": text(Decimal(1000000)),
                "tickSize": text(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": text(self.step),
                "maxQty": text(self.max_quantity),
                "stepSize": text(self.step),
            },
            {"filterType": "ICEBERG_PARTS", "limit": 100},
        ]
        if self.market_step is not None:
            filters.append(
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": text(self.market_step),
                    "maxQty": text(self.market_max),
                    "stepSize": text(self.market_step),
                }
            )
        filters.append(
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": f"{self.multiplier_up:f}",
                "bidMultiplierDown": f"{self.multiplier_down:f}",
                "askMultiplierUp": f"{self.multiplier_up:f}",
                "askMultiplierDown": f"{self.multiplier_down:f}",
                "avgPriceMins": 5,
            }
        )
        if self.old_notional:
            filters.append(
                {
                    "filterType": "MIN_NOTIONAL",
                    "minNotional": text(self.min_notional),
                    "applyToMarket": True,
                    "avgPriceMins": 5,
                }
            )
        else:
            filters.append(
                {
                    "filterType": "NOTIONAL",
                    "minNotional": text(self.min_notional),
                    "applyMinToMarket": True,
                    "maxNotional": text(self.max_notional),
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                }
            )
        filters.append({"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.max_orders})
        if self.max_position is not None:
            filters.append({"filterType": "MAX_POSITION", "maxPosition": text(self.max_position)})
        filters.append({"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.max_algo_orders})
        filters.append({"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": self.max_lists})
        return filters

    @property
    def info(self) -> dict[str, object]:
        """The symbol's entry in exchangeInfo."""
        return {
            "symbol": self.name,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": True,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": self.quote_order_quantity,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "amendAllowed": False,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters,
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
        }


# Value of one unit in USDC at the start.
PRICES = {
    "BTC": Decimal(91250),
    "ETH": Decimal("3118.40"),
    "BNB": Decimal("896.30"),
    "SOL": Decimal("141.62"),
    "XRP": Decimal("2.2148"),
    "DOGE": Decimal("0.16243"),
    "ADA": Decimal("0.5127"),
    "EUR": Decimal("1.1614"),
    "USDT": Decimal("0.9998"),
    "USDC": Decimal(1),
}

# How much of the walk's volatility an asset takes; coins take all of it.
CALM = {"EUR": Decimal("0.1"), "USDT": Decimal("0.01"), "USDC": Decimal(0)}


def default_symbols() -> list[Symbol]:
    """The usual coins against USDC and USDT, each with rules of its own."""

    def pairs(base: str, tick: str, step: str, market_step: str | None = "0", *, old: bool = False) -> list[Symbol]:
        market = None if market_step is None else Decimal(market_step)
        return [
            Symbol(base, quote, Decimal(tick), Decimal(step), market_step=market, old_notional=old)
            for quote in ("USDC", "USDT")
        ]

    return [
        *pairs("BTC", "0.01", "0.00001"),
        *pairs("ETH", "0.01", "0.0001"),
        *pairs("BNB", "0.01", "0.001"),
        *pairs("SOL", "0.01", "0.001", "0.01"),
        *pairs("XRP", "0.0001", "0.1"),
        *pairs("DOGE", "0.00001", "1", old=True),
        *pairs("ADA", "0.0001", "0.1", None),
        *pairs("EUR", "0.0001", "0.1"),
        Symbol("USDC", "USDT", Decimal("0.0001"), Decimal(1)),
    ]
