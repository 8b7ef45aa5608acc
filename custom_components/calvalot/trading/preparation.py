"""What has to be known before anything is traded: orders looked up, everything fetched, the account locked, the book begun."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from .account import Account, committed, sent_and_locking
from .books import Books
from .cash_flows import CashFlows
from .decimals import ZERO
from .exchanges.base import Balance, Mode
from .exchanges.symbols import symbol_of
from .executor import Executor
from .frozen import Frozen
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book, OrderRecord
from .protections import Protections
from .rebuild import Rebuild
from .risk import Risk
from .settings import Scope, Settings
from .signals import Signals
from .sources.state import SourceState
from .wallet import Wallet
from .weights import Weights, weights_of


class Preparation:
    """Brings a cycle, or what the owner asks for, to where it may trade. `inputs` are the last ones."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        books: Books,
        rebuild: Rebuild,
        cash_flows: CashFlows,
        risk: Risk,
        signals: Signals,
        wallet: Wallet,
        frozen: Frozen,
        protections: Protections,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._books = books
        self._rebuild = rebuild
        self._cash_flows = cash_flows
        self._risk = risk
        self._signals = signals
        self._wallet = wallet
        self._frozen = frozen
        self._protections = protections
        self.inputs: Inputs | None = None

    @property
    def is_account_known(self) -> bool:
        """Whether it is known whose the account is."""
        return self._books.known

    @property
    def is_whole(self) -> bool:
        """Whether the ledger has everything that the exchange knows of."""
        return self._rebuild.done

    def forget(self) -> None:
        """Look at the account anew: the ledger may be another one."""
        self._rebuild.begin()
        self._books.forget()

    async def fetch(self, sources: Sequence[SourceState] = ()) -> Inputs:
        """Settle what is in flight, then fetch everything."""
        problem = self._fetcher.exchange_problem = None
        if not self._books.known:
            if await self._fetcher.asked(self._books.establish()):
                await self._change_book()
            problem = self._fetcher.exchange_problem
        in_flight = await self._ledger.ask(self._ledger.in_flight)
        resting = await self._ledger.ask(self._ledger.resting)
        if self._books.known and (in_flight or resting):
            if self._fetcher.fee_coin not in {*self._fetcher.fee_prices, self._settings.quote, None}:
                self._fetcher.forget_rules()  # its pair may be listed again
                await self._fetcher.fetch()
            settled = await self._executor.settle(self._fetcher.fee_prices)
            await self._signals.outcomes.orders(settled)
            await self._protections.heed(settled)
            if self._settings.mode is Mode.LIVE:  # before the balances are asked for, which know it already
                await self._follow()
        await self._books.count()
        if self._is_wallet and self._books.known:
            await self._fetcher.asked(self._wallet.count())
            problem = problem or self._fetcher.exchange_problem
        self.inputs = await self._fetcher.fetch(sources)
        if self._settings.mode is Mode.DRY_RUN and resting:  # paper fills at the prices that it was asked for last
            await self._follow()
        self._fetcher.exchange_problem = self._fetcher.exchange_problem or problem
        return self.inputs

    async def is_still(self) -> bool:
        """Whether no order that rests has gone on since the balances were asked for. Raises LedgerError."""
        return not await self._follow()

    @asynccontextmanager
    async def ready(self, sources: Sequence[SourceState] = ()) -> AsyncIterator[Inputs]:
        """What is known now, with what the sources say, and the account locked meanwhile."""
        inputs = await self.fetch(sources)
        async with self._books.turn():
            inputs = self.inputs = await self._with_account(inputs)
            if sources:
                weights, smallest, capital = await self._weights(inputs)
                for source in sources:
                    await source.decide(inputs.market.prices, weights, smallest, capital)
            yield inputs

    async def value(self, inputs: Inputs) -> Decimal | None:
        """Value in EUR; None as soon as anything in it is unknown."""
        book = await self._ledger.ask(self._ledger.book)
        valuation = book.portfolio.value(inputs.market.prices)
        if book.net_deposits is None or valuation is None or inputs.rate is None or not self._rebuild.done:
            return None
        return valuation.total * inputs.rate

    # Inside

    @property
    def _is_wallet(self) -> bool:
        return self._settings.scope is Scope.WALLET

    async def _follow(self) -> tuple[OrderRecord, ...]:
        changed = await self._executor.follow(self._fetcher.fee_prices)
        await self._signals.outcomes.orders(changed)
        await self._protections.heed(changed)
        return changed

    async def _weights(self, inputs: Inputs) -> Weights:
        """The portfolio's own weights by coin, the least that can be traded of each, and its value in quote."""
        if inputs.account is None:
            return None, {}, None
        book = await self._ledger.ask(self._ledger.book)
        return weights_of(
            book.portfolio,
            inputs.market,
            self._settings.limits,
            apart={*inputs.market.aside, *self._settings.locked},
            frozen=self._frozen.of(book.portfolio.positions),
        )

    async def _with_account(self, inputs: Inputs) -> Inputs:
        """The inputs with the account: the book begun, and with what the exchange knows and the ledger did not."""
        book = await self._ledger.ask(self._ledger.book)
        if self._settings.mode is Mode.LIVE:
            if inputs.balances is None or not self._books.known:
                return inputs
            if not await self._books.is_same(inputs.balances, book.portfolio):
                return inputs
            inputs = replace(inputs, claimed=await self._books.claimed())
            if self._is_wallet:
                inputs = replace(inputs, others=await self._wallet.others())
        if not self._rebuild.done:
            if not await self._rebuilt(inputs, book):
                return inputs
            book = await self._ledger.ask(self._ledger.book)
        if book.net_deposits is None:
            if await self._ledger.ask(self._ledger.in_flight):
                return inputs
            opened = self._wallet.open(inputs, book) if self._is_wallet else self._cash_flows.open(inputs, book)
            book = await opened or book
        elif self._is_wallet:
            book = await self._wallet.reckon(inputs, book)
        if book.net_deposits is None:
            return inputs
        in_flight = await self._ledger.ask(self._ledger.in_flight)
        _, locking = sent_and_locking(in_flight, await self._ledger.ask(self._ledger.resting))
        locked = committed(locking, inputs.market)
        account = Account(book.portfolio, inputs.balances, self._settings.quote, inputs.claimed, locked, inputs.others)
        return replace(inputs, account=account, locked=locked)

    async def _rebuilt(self, inputs: Inputs, book: Book) -> bool:
        """Book what the exchange knows and the ledger does not; whether all of it is booked."""
        quote = self._settings.quote
        # Listed or not: rules that could not be had must not hide an order.
        chosen = {symbol_of(coin, quote): coin for coin in {*self._settings.coins, *book.portfolio.positions} - {quote}}
        there = inputs.balances or {}
        lacks = any(held.quantity > _total(there.get(coin)) for coin, held in book.portfolio.positions.items())
        found = await self._rebuild.go_on(chosen, there, self._fetcher.fee_prices, lacks=lacks)
        await self._signals.outcomes.orders(found)
        if found:
            self._fetcher.forget_rules()  # coins may be held now that nobody asked for
        return self._rebuild.done

    async def _change_book(self) -> None:
        """Go on in another book; what has stopped the follower still does."""
        self._rebuild.begin()
        self._risk.begin_anew()
        await self._signals.exits.open()
        self._fetcher.hold((await self._ledger.ask(self._ledger.book)).portfolio.positions)
        self._fetcher.forget_rules()


def _total(balance: Balance | None) -> Decimal:
    return balance.free + balance.locked if balance else ZERO
