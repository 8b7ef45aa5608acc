"""What is known of the prices and rules of a market, and how large an order may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from .decimals import ONE, ZERO, round_down, round_up
from .exchanges.base import USUAL_FEE, OrderType, Side, SymbolRules
from .exchanges.symbols import quote_of, symbol_of
from .limits import Limits

# An exchange checks a minimum against an average price; orders keep this much above it.
NOTIONAL_MARGIN = Decimal("1.05")
# Room between the last price and what the fills of a MARKET buy may cost, where its quantity is all that can be said.
MARKET_MARGIN = Decimal("0.06")
# Step of a quantity where a symbol names none.
FINEST = Decimal("1e-8")


class Reason(StrEnum):
    """Why something a signal asked for was left out."""

    BELOW_THRESHOLD = "below_threshold"
    BELOW_MINIMUM = "below_minimum"
    NO_POSITION = "no_position"
    NO_CASH = "no_cash"
    NOT_CHOSEN = "not_chosen"
    NOT_LISTED = "not_listed"
    NOT_TRADING = "not_trading"
    NO_PRICE = "no_price"
    ORDER_OPEN = "order_open"
    REFUSED = "refused"
    ALREADY_PLACED = "already_placed"
    UNFILLED = "unfilled"
    DUST = "dust"
    DAILY_LIMIT = "daily_limit"
    NOT_NEEDED = "not_needed"
    IN_BAND = "in_band"
    ONLY_BUY = "only_buy"
    ONLY_SELL = "only_sell"
    FROZEN = "frozen"
    LOCKED = "locked"
    HELD_BACK = "held_back"
    RANK = "rank"
    RANK_UNCLEAR = "rank_unclear"
    RESTING = "resting"
    LEVEL_PASSED = "level_passed"

    @property
    def passing(self) -> bool:
        """Whether the reason may go away while the signal is open."""
        return self in _PASSING

    @property
    def aligned(self) -> bool:
        """Whether it only says that there was nothing to do."""
        return self in _ALIGNED


_ALIGNED = frozenset({Reason.BELOW_THRESHOLD, Reason.ALREADY_PLACED, Reason.DUST, Reason.NOT_NEEDED, Reason.IN_BAND})
_PASSING = frozenset({Reason.NOT_TRADING, Reason.NO_PRICE, Reason.ORDER_OPEN, Reason.RESTING, Reason.DAILY_LIMIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What is known of the market: quote asset, prices by coin, rules by symbol.

    Coins set `aside` are held and no longer listed: their price is the last that was known, of the day that is given, and
    they are not traded.
    `rules_at` is when the rules were asked for.
    """

    quote: str
    prices: Mapping[str, Decimal]
    rules: Mapping[str, SymbolRules]
    aside: Mapping[str, date] = field(default_factory=dict[str, date])
    rules_at: datetime | None = None

    def symbol(self, coin: str) -> str:
        """Symbol a coin is traded as."""
        return symbol_of(coin, self.quote)

    def obstacle(self, coin: str) -> Reason | None:
        """Why a coin cannot be traded just now."""
        rules = self.rules.get(self.symbol(coin))
        if rules is None:
            return Reason.NOT_LISTED
        if not rules.trading:
            return Reason.NOT_TRADING
        return None if self.prices.get(coin) else Reason.NO_PRICE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """An order ready to be sent: quantity in the base asset, last price and the amount at it in quote.

    One with a `quote_amount` may cost that much and no more; its quantity is what that buys at the last price. `fee` is what
    the exchange takes of it at most, as a fraction of its amount. Price and amount of a conversion's are in the pair's own quote
    asset; where that is not the book's, `sold_price` is what one unit of what it sells is worth in the book's. `reason` is
    what a strategy says of one that its levels ask for.
    """

    coin: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    amount: Decimal
    limit_price: Decimal | None
    quote_amount: Decimal | None = None
    type: OrderType = OrderType.AT_ONCE
    stop_price: Decimal | None = None
    fee: Decimal = USUAL_FEE
    sold_price: Decimal | None = None
    reason: str = ""

    @property
    def brings(self) -> Decimal:
        """What a sale at the last price brings, less its fee."""
        return self.amount * (ONE - self.fee)

    @property
    def quote(self) -> str:
        """Asset that the coin is traded against."""
        return quote_of(self.symbol, self.coin)

    @property
    def sold(self) -> str:
        """Asset that it gives away."""
        return self.coin if self.side is Side.SELL else self.quote

    @property
    def bought(self) -> str:
        """Asset that it brings."""
        return self.quote if self.side is Side.SELL else self.coin


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was asked for and is not traded, with the reason."""

    coin: str
    symbol: str
    side: Side
    reason: Reason


def worst_factor(limits: Limits, coin: str, rules: SymbolRules | None = None) -> Decimal:
    """What a buy may cost at most, fee included, as a multiple of its amount at the last price."""
    slippage = limits.slippage(coin)
    if not slippage and (rules is None or rules.quote_step is None):
        slippage = MARKET_MARGIN
    return (ONE + slippage) * (ONE + (rules.fee if rules else USUAL_FEE))


def smallest_order(market: Market, limits: Limits, coin: str) -> Decimal:
    """Smallest amount that is sent: the owner's minimum and the symbol's own, with a margin.

    A guarded sell is checked at its limit price, which the slippage puts under the last one.
    """
    margin = NOTIONAL_MARGIN * (ONE + limits.slippage(coin))
    return max(limits.min_order, market.rules[market.symbol(coin)].min_notional * margin)


def least_quantity(market: Market, limits: Limits, coin: str) -> Decimal:
    """Smallest quantity that is sent, on the step."""
    rules = market.rules[market.symbol(coin)]
    quantity = max(smallest_order(market, limits, coin) / market.prices[coin], rules.min_quantity, rules.step or FINEST)
    return round_up(quantity, rules.step)


def make_order(market: Market, limits: Limits, coin: str, side: Side, quantity: Decimal) -> PlannedOrder | None:
    """An order for a quantity, with the price guard; None where nothing is left after rounding.

    A MARKET buy goes out as the amount that it may cost, where the symbol takes one.
    """
    rules = market.rules[market.symbol(coin)]
    if not (quantity := rules.round_quantity(quantity)):
        return None
    price = market.prices[coin]
    slippage = limits.slippage(coin)
    sized_in_quote = side is Side.BUY and not slippage and rules.quote_step is not None
    return PlannedOrder(
        coin=coin,
        symbol=rules.symbol,
        side=side,
        quantity=quantity,
        price=price,
        amount=quantity * price,
        limit_price=rules.limit_price(side, price, slippage) if slippage else None,
        quote_amount=round_down(quantity * price, rules.quote_step or ZERO) if sized_in_quote else None,
        fee=rules.fee,
    )
