"""A portfolio at work without Home Assistant: the engine itself between a leader and an exchange."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import ClientSession

from custom_components.calvalot.trading.accounts import Accounts
from custom_components.calvalot.trading.engine import Engine
from custom_components.calvalot.trading.events import Event
from custom_components.calvalot.trading.exchanges.base import Exchange, Mode
from custom_components.calvalot.trading.exchanges.host import LivePrices, no_live_prices
from custom_components.calvalot.trading.exchanges.paper import PaperExchange
from custom_components.calvalot.trading.exchanges.remote import RemoteExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.market.ranking import Ranking
from custom_components.calvalot.trading.settings import Settings
from custom_components.calvalot.trading.signal import SourceKind
from custom_components.calvalot.trading.snapshot import Snapshot
from custom_components.calvalot.trading.sources.base import Source
from custom_components.calvalot.trading.sources.leader import Leader, LeaderSource

from .portfolio import BUDGET, COINS, LeaderAddress

type Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)


def _ignore(_snapshot: Snapshot, _events: Sequence[Event]) -> None:
    """Publish nothing."""


def exchange_for(ledger: Ledger, market: RemoteExchange, clock: Clock = now) -> Exchange:
    """Return the exchange itself, or paper on its prices where the ledger is one of a dry run."""
    return market if ledger.mode is Mode.LIVE else PaperExchange(market, clock, market.live_prices)


class OpenEngine(Engine):
    """An engine that shows what it was made with."""

    def __init__(self, settings: Settings, *, exchange: Exchange, ledger: Ledger, **others: Any) -> None:
        """As for every engine."""
        super().__init__(settings, exchange=exchange, ledger=ledger, **others)
        self.exchange = exchange
        self.ledger = ledger


def make_engine(
    session: ClientSession,
    leader: LeaderAddress,
    exchange: Exchange,
    ledger: Ledger,
    *,
    entry_id: str,
    budget: str = BUDGET,
    clock: Clock = now,
    publish: Callable[[Snapshot, tuple[Event, ...]], None] = _ignore,
    accounts: Accounts | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ranking: Callable[[], Ranking | None] = lambda: None,
    live_prices: LivePrices = no_live_prices,
    sources: Mapping[str, Source] | None = None,
    **settings: Any,
) -> OpenEngine:
    """Return an engine that follows this leader, or other sources, not started yet; ``settings`` are further ones of `Settings`."""
    return OpenEngine(
        Settings(
            entry_id=entry_id,
            mode=ledger.mode,
            quote=ledger.quote,
            initial_budget=Decimal(budget),
            **{"coins": COINS, **settings},
        ),
        sources=sources or {SourceKind.LEADER: LeaderSource(Leader(session, leader.url, leader.secret, "1.2.3"))},
        exchange=exchange,
        ledger=ledger,
        clock=clock,
        publish=publish,
        accounts=accounts,
        sleep=sleep,
        ranking=ranking,
        live_prices=live_prices,
    )
