"""What a budget can hold, what of it is free, and what it buys first."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any

from homeassistant.core import HomeAssistant, callback

from .const import (
    CONF_API_KEY,
    CONF_EXCHANGE_URL,
    CONF_INITIAL_BUDGET,
    CONF_QUOTE_ASSET,
    CONF_TRADING_MODE,
    DEFAULT_QUOTE_ASSET,
    DOMAIN,
)
from .ledgers import async_accounts
from .settings import amount
from .trading.decimals import ZERO
from .trading.exchanges.base import USUAL_FEE, Balance, Exchange
from .trading.exchanges.remote import RemoteExchange
from .trading.exchanges.symbols import eur_rate, rate_symbols, symbol_of
from .trading.limits import Limits
from .trading.planner import fund, plan
from .trading.portfolio import Portfolio, Valuation
from .trading.signal import Signal
from .trading.sizing import Market, PlannedOrder, least_quantity, worst_factor
from .trading.wants import Allocation, Moves

LIMITS = Limits()
# What a move of a version 1 signal may be old by default.
MOVES_AGE = timedelta(hours=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the exchange says of a portfolio that is to be made: EUR per quote, what may be used in EUR (None on paper)."""

    market: Market
    rate: Decimal
    free: Decimal | None

    def least(self) -> Decimal | None:
        """Budget (EUR) that one order of some coin can be made with; None where no coin has a price."""
        return min(self._orders(), default=None)

    def for_all(self) -> Decimal | None:
        """Budget (EUR) that can hold all coins in equal parts; None where a price is missing."""
        orders = list(self._orders())
        return max(orders) * len(orders) if orders and len(orders) == len(self.market.rules) else None

    def first_orders(self, signal: Signal, budget: Decimal, now: datetime) -> tuple[PlannedOrder, ...]:
        """What a portfolio without positions buys of a leader's signal, with a budget in quote."""
        wants = signal.wants
        if isinstance(wants, Moves) and signal.targets:
            wants = Allocation(shares=signal.targets)
        if isinstance(wants, Moves) and now - (signal.created_at or now) > MOVES_AGE:
            return ()
        valuation = Valuation(total=budget, cash=budget, values={})
        planned = plan(wants, Portfolio(cash=budget), valuation, self.market, LIMITS, {})
        return fund(planned, budget, budget, self.market, LIMITS)[0]

    def _orders(self) -> Iterable[Decimal]:
        """Smallest order of each coin with a price, in EUR at the worst price that it may fill at."""
        for rules in self.market.rules.values():
            if price := self.market.prices.get(rules.base):
                quantity = least_quantity(self.market, LIMITS, rules.base)
                yield quantity * price * worst_factor(LIMITS, rules.base) * self.rate


def costs(orders: Iterable[PlannedOrder]) -> tuple[Decimal, Decimal]:
    """What orders cost in quote: the fees at the usual rate, and how much more at the worst prices they may fill at."""
    fees = worst = ZERO
    for order in orders:
        fees += order.amount * order.fee
        worst += order.amount * (worst_factor(LIMITS, order.coin) - 1 - USUAL_FEE)
    return fees, worst


def whole(amount: Decimal) -> Decimal:
    """An amount rounded up to whole units."""
    return amount.to_integral_value(ROUND_CEILING)


async def async_spare(
    hass: HomeAssistant, exchange: RemoteExchange, data: Mapping[str, Any], quotes: Iterable[tuple[str, Decimal]]
) -> dict[str, Decimal]:
    """What is free of quote assets (with EUR per one of each) in the Spot wallet, in EUR, less what is other followers'.

    One whose book has not begun yet counts with its budget. Raises ExchangeError.
    """
    balances = await exchange.balances()
    account = await exchange.account_id()
    spare = {}
    for quote, rate in quotes:
        taken = await async_accounts(hass).taken(account, quote)
        free = (balances.get(quote, Balance(ZERO)).free - taken) * rate - _still_to_begin(hass, data, quote)
        spare[quote] = max(free, ZERO)
    return spare


@callback
def _still_to_begin(hass: HomeAssistant, data: Mapping[str, Any], quote: str) -> Decimal:
    """Budgets (EUR) of live followers with the same key whose books have not begun."""
    return sum(
        (
            amount(entry.data.get(CONF_INITIAL_BUDGET, 0))
            for entry in hass.config_entries.async_entries(DOMAIN)
            if all(entry.data.get(key) == data.get(key) for key in (CONF_TRADING_MODE, CONF_EXCHANGE_URL, CONF_API_KEY))
            and entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET) == quote
            and (coordinator := getattr(entry, "runtime_data", None))
            and coordinator.data.net_deposits is None
        ),
        ZERO,
    )


async def market_of(exchange: Exchange, coins: Collection[str], quote: str) -> Market:
    """Rules and prices of coins. Raises ExchangeError."""
    rules = await exchange.rules([symbol_of(coin, quote) for coin in coins]) if coins else {}
    prices = await exchange.prices(rules) if rules else {}
    return Market(
        quote=quote, rules=rules, prices={rules[symbol].base: price for symbol, price in prices.items() if price}
    )


async def rates_of(exchange: Exchange, quotes: Collection[str]) -> dict[str, Decimal]:
    """EUR per one of each quote asset that a rate is known of. Raises ExchangeError."""
    rules = await exchange.rules({symbol for quote in quotes for symbol in rate_symbols(quote)})
    prices = await exchange.prices(rules) if rules else {}
    return {quote: rate for quote in quotes if (rate := eur_rate(quote, prices)) is not None}
