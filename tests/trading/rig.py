"""What the tests of the order path share: a follower on the two simulators, on a clock that the test moves."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
import math
from pathlib import Path
import time
from typing import Any

from aiohttp import ClientSession

from custom_components.calvalot.trading.accounts import Accounts
from custom_components.calvalot.trading.events import Event
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.host import HostLimits
from custom_components.calvalot.trading.exchanges.kraken import KrakenExchange
from custom_components.calvalot.trading.exchanges.remote import RemoteExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderRecord, Result
from custom_components.calvalot.trading.order_names import follower_tag
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.settings import Scope
from custom_components.calvalot.trading.snapshot import Snapshot
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When
from harness.database import rows
from harness.engine import OpenEngine, exchange_for, make_engine
from harness.portfolio import COINS
from simulators.exchange import ExchangeSimulator
from simulators.exchange.account import Order
from simulators.kraken import KrakenSimulator
from simulators.leader import LeaderSimulator

from .builders import key

ENTRY = "entry"
ALLOCATION = {"BTC": ".4", "ETH": ".2", "BNB": ".1", "SOL": ".1", "XRP": ".1"}
ZERO = Decimal(0)


class Clock:
    """The time of everything in a test: it runs, and pauses cost nothing of the real one."""

    def __init__(self) -> None:
        self._real = time.time
        self._ahead = 0.0
        self.pauses: list[float] = []

    def time(self) -> float:
        """Unix time."""
        return self._real() + self._ahead

    def now(self) -> datetime:
        """The same as a follower asks for it."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        self.pauses.append(seconds)
        self.advance(seconds)


class Rig:
    """Followers on one leader and one exchange, and what is true of their books."""

    def __init__(
        self,
        exchange: ExchangeSimulator,
        leader: LeaderSimulator,
        session: ClientSession,
        folder: Path,
        clock: Clock,
        quote: str = "USDC",
    ) -> None:
        self.exchange = exchange
        self.quote = quote
        self.leader = leader
        self.session = session
        self.folder = folder
        self.clock = clock
        self.events: list[Event] = []
        self.followers: list[OpenEngine] = []
        self.accounts = Accounts(lambda: [file for file in folder.glob("*.db") if "." not in file.stem])
        self.before: dict[str, Decimal] | None = None
        self._limits = self.limits()

    def limits(self, **options: Any) -> HostLimits:
        """Limits of a host that nothing is known of yet, on the clock of the test."""
        return HostLimits(clock=self.clock.time, wall_clock=self.clock.time, **options)

    def binance(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        session: ClientSession | None = None,
        limits: HostLimits | None = None,
        **options: Any,
    ) -> BinanceExchange:
        """The exchange as a follower knows it, with the limits that all of them share."""
        sim = self.exchange
        return BinanceExchange(
            session or self.session,
            sim.url,
            sim.api_key if api_key is None else api_key,
            sim.api_secret if api_secret is None else api_secret,
            limits=limits or self._limits,
            **options,
        )

    def kraken(
        self, api_key: str | None = None, api_secret: str | None = None, *, limits: HostLimits | None = None
    ) -> KrakenExchange:
        """The same where the exchange is Kraken; a counter that is not enforced is not waited for."""
        sim = self.exchange
        counted = isinstance(sim, KrakenSimulator) and sim.most is not None
        return KrakenExchange(
            self.session,
            sim.url,
            sim.api_key if api_key is None else api_key,
            sim.api_secret if api_secret is None else api_secret,
            limits=limits or self._limits,
            **({} if counted else {"most": math.inf}),
        )

    def connect(self, **options: Any) -> RemoteExchange:
        """The exchange as a follower knows it, whichever it is."""
        return self.kraken(**options) if isinstance(self.exchange, KrakenSimulator) else self.binance(**options)

    def ledger(self, name: str = ENTRY, mode: Mode = Mode.LIVE) -> Ledger:
        """A ledger file, not opened yet."""
        return Ledger(self.folder / f"{name}.db", mode, self.quote)

    async def start(
        self,
        mode: Mode = Mode.LIVE,
        *,
        entry_id: str = ENTRY,
        on: RemoteExchange | None = None,
        budget: str = "1000",
        **settings: object,
    ) -> OpenEngine:
        """A follower on its ledger file, a new one or the one that an earlier one of that name left behind."""
        if self.before is None:
            self.before = self.exchange.balances()
        ledger = self.ledger(entry_id, mode)
        exchange = on or self.connect()
        follower = make_engine(
            self.session,
            self.leader,
            exchange_for(ledger, exchange, self.clock.now),
            ledger,
            entry_id=entry_id,
            budget=budget,
            clock=self.clock.now,
            publish=self._publish,
            accounts=self.accounts,
            sleep=self.sleep,
            live_prices=exchange.live_prices,
            **settings,
        )
        await follower.start()
        self.followers.append(follower)
        return follower

    async def wallet(
        self,
        shares: Mapping[str, str] | None = None,
        mode: Mode = Mode.LIVE,
        *,
        entry_id: str = "wallet",
        **settings: Any,
    ) -> OpenEngine:
        """A portfolio that is the whole account; by hand only, unless its shares are said to be kept."""
        kept = settings.pop("kept", False)
        named = {coin: Decimal(share) for coin, share in (shares or {}).items()}
        when = frozenset({When.DRIFT}) if kept else frozenset[When]()
        source = AllocationSource(AllocationSettings(shares=named, when=when), UTC)
        settings = {"scope": Scope.WALLET, "coins": tuple(named), **settings}
        return await self.start(mode, entry_id=entry_id, budget="0", sources={"allocation": source}, **settings)

    async def following(self, mode: Mode = Mode.LIVE, **settings: object) -> OpenEngine:
        """A follower that has joined its leader already, both all in cash: what comes now is no initial sync."""
        self.leader.publish_v2({})
        follower = await self.start(mode, **settings)
        await follower.cycle()
        self.events.clear()
        return follower

    async def sleep(self, seconds: float) -> None:
        """Pause on the clock of the test."""
        await self.clock.sleep(seconds)

    def crash(self, follower: OpenEngine) -> None:
        """Nothing is left of a follower but its ledger file."""
        follower.ledger.close()

    async def restart(self, follower: OpenEngine, **settings: object) -> OpenEngine:
        """Crash, and start again."""
        self.crash(follower)
        return await self.start(follower.settings.mode, entry_id=follower.settings.entry_id, **settings)

    async def cycle(self, follower: OpenEngine, *, after: float = 120) -> Snapshot:
        """The next cycle."""
        self.clock.advance(after)
        return await follower.cycle()

    def types(self, kind: str) -> list[str]:
        """Types of the events of a kind since the last time."""
        told = [event.type for event in self.events if event.kind == kind]
        self.events = [event for event in self.events if event.kind != kind]
        return told

    def orders(self, entry_id: str = ENTRY, side: str | None = None) -> list[Order]:
        """A follower's orders as the exchange knows them."""
        tag = self.connect().order_name(follower_tag(entry_id))
        return [
            order
            for order in self.exchange.orders
            if order.client_order_id.startswith(tag) and side in {None, order.side}
        ]

    def agree(self, follower: OpenEngine, *, lent: Decimal = ZERO) -> Portfolio:
        """The ledger tells exactly what happened on the account; returns the book.

        `lent` is what the book paid in quote for fees that the owner lent it.
        """
        ledger = follower.ledger
        book = ledger.book().portfolio
        assert ledger.replay() == book
        booked = rows(ledger.path, "SELECT symbol, trade_id FROM fills")
        done = [
            (trade.symbol, self.exchange.trade_name(trade))
            for order in self.orders(follower.settings.entry_id)
            for trade in order.trades
        ]
        assert sorted(booked) == sorted(done)
        there, before = self.exchange.balances(), self.before or {}
        for coin in COINS:
            if coin != "BNB" or not self.exchange.account().bnb_burn:
                assert there.get(coin, ZERO) - before.get(coin, ZERO) == book.quantity(coin), coin
        assert there.get(self.quote, ZERO) - before.get(self.quote, ZERO) == book.cash - book.paid_in + lent
        return book

    def in_flight(self, follower: OpenEngine) -> tuple[OrderRecord, ...]:
        """Orders whose end is not known."""
        return follower.ledger.in_flight()

    def result(self, follower: OpenEngine, signal_id: str) -> Result | None:
        """What became of a signal."""
        record = follower.ledger.signal(key(signal_id))
        return record.result if record else None

    def weights(self, follower: OpenEngine) -> dict[str, float]:
        """Shares of capital as the follower sees them."""
        return {coin: float(view.weight or 0) for coin, view in follower.snapshot.positions.items()}

    def _publish(self, _: Snapshot, events: Sequence[Event]) -> None:
        self.events += events
