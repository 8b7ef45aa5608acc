"""What one cycle learns of the world: the leader's signal, prices, rules and the account, all asked at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
import json

from .account import Account, Claimed, Held
from .decimals import ONE, ZERO
from .errors import ExchangeError, Refused
from .events import EventQueue
from .exchanges.base import AccountId, Balance, Exchange, KeyPermissions, Mode, SymbolRules
from .exchanges.host import LivePrices, no_live_prices
from .exchanges.symbols import eur_rate, rate_symbols, symbol_of
from .ledger.ledger import Ledger
from .ledger.records import LastPrice
from .rank_filter import RankFilter
from .settings import Scope, Settings
from .sizing import Market
from .sources.state import LOST_AFTER, SourceState

RULES_AGE = timedelta(days=1)
# While a symbol is halted, has no price, or is not listed though it is held.
HALTED_AGE = timedelta(minutes=10)
# A pair is closed for planned pauses, too: one that stays so was delisted.
DELISTED_AFTER = timedelta(days=1)
CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a cycle knows: prices by coin, EUR per quote, the balances; None where the exchange did not say.

    `account` holds the book of that moment against the balances; None until that is known. `claimed` is what other books of
    the account may count on, `locked` what orders of this one have locked there, by asset. `others` is what those books hold,
    and `listed` are all symbols that there are, where the portfolio is a whole wallet; `to_copy` is the real account and its
    balances, for one on paper that is still to begin.
    """

    market: Market
    rate: Decimal | None
    balances: Mapping[str, Balance] | None
    account: Account | None = None
    claimed: Claimed = field(default_factory=Claimed)
    locked: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    others: Held | None = None
    listed: frozenset[str] = frozenset()
    to_copy: tuple[AccountId, Mapping[str, Balance]] | None = None

    def free(self, quote: str) -> Decimal | None:
        """Quote that is free on the account and claimed by no other book, whatever its orders have brought in meanwhile.

        What the own book's orders have locked counts with its cash.
        """
        if self.balances is None:
            return None
        return self.claimed.left_of(self.balances.get(quote), self.locked.get(quote, ZERO)) - self.claimed.selling


def prices_in(quote: str, rules: Mapping[str, SymbolRules], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Prices by coin in a quote asset, of pairs against it, else of the pairs in which it is the base."""
    priced = [(each, prices[symbol]) for symbol, each in rules.items() if symbol in prices]
    inverse = {each.quote: ONE / price for each, price in priced if each.base == quote}
    return inverse | {each.base: price for each, price in priced if each.quote == quote}


class Fetcher:
    """Asks the exchange and the sources; remembers what went wrong with the exchange."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        clock: Callable[[], datetime],
        events: EventQueue,
        ranks: RankFilter,
        live_prices: LivePrices = no_live_prices,
    ) -> None:
        self._settings = settings
        self.ranks = ranks
        self._exchange = exchange
        self.fee_coin = exchange.fee_coin
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._live_prices = live_prices
        self._coins: frozenset[str] = frozenset()
        self._rules: dict[str, SymbolRules] = {}
        self._rules_at: datetime | None = None
        self._aside: Mapping[str, LastPrice] = {}
        self._unpriced = False
        # Of a wallet: the assets of the account, and all symbols that there are.
        self._assets: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._permissions_at: datetime | None = None
        self._failed_cycles = 0
        self.exchange_problem: ExchangeError | None = None
        self.asked_exchange = False
        self.permissions: KeyPermissions | None = None
        self.fee_prices: Mapping[str, Decimal] = {}

    async def fetch(self, sources: Sequence[SourceState] = ()) -> Inputs:
        """Fetch prices, balances, ranks and what the sources need, all at the same time."""
        self.exchange_problem = None
        prices, balances, to_copy, _, _ = await asyncio.gather(
            self._prices(),
            self._balances(),
            self._to_copy(),
            self.ranks.refresh(),
            asyncio.gather(*(source.fetch(self._coins) for source in sources)),
        )
        self.asked_exchange = True
        if self._settings.scope is Scope.WALLET and self._is_news(to_copy[1] if to_copy else balances):
            prices = await self._prices()
        quote = self._settings.quote
        by_coin = {
            coin: price
            for coin, price in prices_in(quote, self._rules, prices or {}).items()
            if coin in self._coins or symbol_of(coin, quote) in self._rules
        }
        # Kept while prices are missing: a fee was taken at about the price of the last cycle.
        self.fee_prices = {**self.fee_prices, **by_coin}
        market = Market(
            quote=self._settings.quote,
            prices={**{coin: last.price for coin, last in self._aside.items()}, **by_coin},
            rules=self._rules,
            aside={coin: self._clock().date() if coin in by_coin else last.day for coin, last in self._aside.items()},
            rules_at=self._rules_at,
        )
        return Inputs(
            market=market,
            rate=eur_rate(self._settings.quote, prices or {}),
            balances=balances,
            listed=self._listed,
            to_copy=to_copy,
        )

    async def with_coins(self, market: Market, coins: Collection[str]) -> Market:
        """A market with coins besides those that are traded; what the exchange does not tell of them stays unknown."""
        symbols = {market.symbol(coin) for coin in coins}
        return market if symbols <= market.rules.keys() else (await self.pairs(market, symbols))[0]

    async def pairs(self, market: Market, symbols: Collection[str]) -> tuple[Market, Mapping[str, Decimal]]:
        """A market with pairs besides those that are traded, against whatever asset, and the prices of all pairs by symbol."""
        rules = await self.asked(self._exchange.rules(sorted({*symbols, *market.rules}))) or {}
        prices = (await self.asked(self._exchange.prices(rules)) if rules else None) or {}
        more = prices_in(market.quote, {symbol: each for symbol, each in rules.items() if symbol in symbols}, prices)
        market = replace(market, rules={**market.rules, **rules}, prices={**market.prices, **more})
        return market, prices

    def fresh(self, market: Market) -> Market:
        """The market at the prices of this moment, where all of them are known without a question."""
        symbols = {coin: market.symbol(coin) for coin in market.prices if coin not in market.aside}
        latest = self._live_prices(symbols.values())
        if latest is None:
            return market
        return replace(market, prices={**market.prices, **{coin: latest[symbol] for coin, symbol in symbols.items()}})

    @property
    def symbols(self) -> frozenset[str]:
        """Every symbol that prices are needed of."""
        return frozenset(self._rules)

    async def asked[T](self, question: Awaitable[T]) -> T | None:
        """The answer; None where the exchange gave none, which is remembered as its problem."""
        try:
            return await question
        except ExchangeError as err:
            self.exchange_problem = err
            if isinstance(err, Refused):  # a symbol may have gone
                self._rules_at = None
            return None

    async def ask_permissions(self) -> bool:
        """Look once a day at what the key may do; whether that has changed."""
        now = self._clock()
        if self.exchange_problem or (self._permissions_at and now - self._permissions_at < RULES_AGE):
            return False
        self._permissions_at = now
        known = self.permissions
        with suppress(ExchangeError):  # tomorrow, then: nothing of a cycle depends on it
            self.permissions = await self._exchange.permissions()
        return self.permissions != known

    def hold(self, coins: Collection[str]) -> None:
        """Know the coins that are held, wanted or not."""
        self._coins = frozenset({*self._settings.coins, *coins})

    def forget_rules(self) -> None:
        """Ask for the trading rules and the key's permissions again in the next look: something was refused."""
        self._rules_at = None
        self._permissions_at = None

    def watch_exchange(self, problem: ExchangeError | None) -> None:
        """Take note of how a cycle went with the exchange; say once that it failed in a row of them, once that it is back."""
        if problem is None:
            if self._failed_cycles >= LOST_AFTER:
                self._events.alert("exchange_back")
            self._failed_cycles = 0
            return
        self._failed_cycles += 1
        if self._failed_cycles == LOST_AFTER:
            self._events.alert("exchange_lost", reason=str(problem), cause=problem.key)

    # Inside

    def _is_news(self, balances: Mapping[str, Balance] | None) -> bool:
        """Whether the account holds assets that were not asked about yet; the rules have to be asked for then."""
        assets = self._assets | (balances or {}).keys()
        if assets == self._assets:
            return False
        self._assets = frozenset(assets)
        self._rules_at = None
        return True

    async def _balances(self) -> Mapping[str, Balance] | None:
        return await self.asked(self._exchange.balances())

    async def _to_copy(self) -> tuple[AccountId, Mapping[str, Balance]] | None:
        """What is really there, for a wallet on paper that is still to begin."""
        if self._settings.scope is Scope.BUDGET or self._settings.mode is Mode.LIVE:
            return None
        begun = (await self._ledger.ask(self._ledger.book)).net_deposits is not None
        return None if begun else await self.asked(self._exchange.holdings())

    async def _prices(self) -> Mapping[str, Decimal] | None:
        """Prices by symbol of every coin that matters, in one request; the rules first where they are old."""
        held = (await self._ledger.ask(self._ledger.book)).portfolio.positions
        if not held.keys() <= self._coins:  # a conversion has brought something that nobody asked for
            self.hold(held)
            self._rules_at = None
        halted = not all(rules.trading for rules in self._rules.values())
        age = HALTED_AGE if halted or self._unpriced or self._aside else RULES_AGE
        if self._rules_at is None or self._clock() - self._rules_at > age:
            quote = self._settings.quote
            self.hold(held)
            coins = {*self._coins, *filter(None, (self.fee_coin,))} - {quote}
            symbols = {*rate_symbols(quote), *(symbol_of(coin, quote) for coin in coins)}
            asked_at = self._clock()
            if self._settings.scope is Scope.WALLET:
                # One that is not listed has all of them asked for one by one.
                listed = await self.asked(self._exchange.listed())
                if listed is None:
                    return None
                self._listed = listed
                symbols &= listed
                symbols |= listed & {symbol_of(asset, quote) for asset in self._assets}
            rules = await self.asked(self._exchange.rules(sorted(symbols)))
            if rules is None:
                return None
            self._rules = rules
            self._rules_at = asked_at
            self._aside = await self._ledger.ask(self._delisted, held)
        prices = await self.asked(self._exchange.prices(self._rules)) if self._rules else {}
        self._unpriced = prices is not None and any(
            symbol not in prices and rules.base not in self._aside for symbol, rules in self._rules.items()
        )
        return prices

    def _delisted(self, held: Collection[str]) -> dict[str, LastPrice]:
        """Coins that are held and that the exchange says it does not list any more, with their last prices; synchronous."""
        quote, now = self._settings.quote, self._clock()
        listed = {rules.quote: rules for rules in self._rules.values() if rules.base == quote}
        listed |= {rules.base: rules for rules in self._rules.values() if rules.quote == quote}
        known = json.loads(self._ledger.fact(CLOSED) or "{}")
        closed = {coin: known.get(coin, now.isoformat()) for coin in held if coin in listed and listed[coin].closed}
        if closed != known:
            self._ledger.remember(CLOSED, json.dumps(closed) if closed else None)
        gone = [coin for coin, since in closed.items() if now - datetime.fromisoformat(since) >= DELISTED_AFTER]
        if self._rules:  # an exchange that lists nothing at all is not the one that the coins are on
            gone += [coin for coin in held if coin not in listed]
        return self._ledger.last_prices(gone) if gone else {}
