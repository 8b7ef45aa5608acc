"""A portfolio that leads: after each cycle what is new is signed, written down, and handed to those who serve it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ..ledger.ledger import Ledger
from ..responses import Json
from ..signal import Signal
from ..snapshot import Snapshot, Status
from ..wants import Moves
from .decision import Seen, Upstream, decide
from .figures import signed_figures
from .publication import RENEWED_AFTER, Draft, Publication, issue, renew
from .store import PublicationStore

_SIGNAL = "seen_signal"
_FILL = "seen_fill"


class Leading:
    """The chain of one portfolio; `id` is what it is called there."""

    def __init__(self, leader: str, ledger: Ledger, store: PublicationStore, clock: Callable[[], datetime]) -> None:
        self.id = leader
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._lock = asyncio.Lock()

    @property
    def public_key(self) -> str:
        """The key that followers check with. Raises PublicationError where it is not open."""
        return self._store.public_key

    @property
    def last(self) -> Publication | None:
        """What was published last."""
        return self._store.last

    def signals_between(self, earlier: str, later: str) -> int | None:
        """How many signals were published after one, up to another; None where one of them never was."""
        return self._store.signals_between(earlier, later)

    async def open(self) -> None:
        """Read the chain, or begin one. Raises PublicationError."""
        async with self._lock:
            if self._store.key is None:
                await asyncio.to_thread(self._store.open)

    async def take(self, snapshot: Snapshot, heard: Iterable[Signal]) -> Publication | None:
        """Publish what is new in a snapshot; None where nothing is. `heard` is what the leaders that it follows said last.

        Raises PublicationError, LedgerError.
        """
        async with self._lock:
            return await asyncio.to_thread(self._take, snapshot, tuple(heard))

    async def issued(self, delay: timedelta) -> Publication | None:
        """What is to be seen by those who see everything so much later. Raises PublicationError."""
        if not delay:
            return self._store.last
        return await asyncio.to_thread(self._store.issued_by, self._clock() - delay)

    async def links(self, after: int, limit: int, delay: timedelta = timedelta()) -> tuple[Publication, ...]:
        """Links after a sequence number, oldest first, as far as they are to be seen. Raises PublicationError."""
        links = await asyncio.to_thread(self._store.links, after, limit)
        return tuple(link for link in links if link.issued <= self._clock() - delay)

    async def figures(self, statistics: Json, followers: Mapping[str, int | None], delay: timedelta) -> dict[str, str]:
        """Figures that a follower may read, signed; with a delay those of the chain as he sees it. Raises PublicationError."""

        def read() -> dict[str, str]:
            now = self._clock()
            links = [link for link in self._store.links() if link.issued <= now - delay]
            return signed_figures(self.id, self._store.signing_key, links, statistics, followers, now)

        return await asyncio.to_thread(read)

    # Inside

    def _take(self, snapshot: Snapshot, heard: tuple[Signal, ...]) -> Publication | None:
        signal, fill = self._store.fact(_SIGNAL), self._store.fact(_FILL)
        seen = None if signal is None or fill is None else Seen(signal, int(fill))
        last, now, key = self._store.last, self._clock(), self._store.signing_key
        draft, here = decide(self._ledger, seen, snapshot, last, self._upstream(heard), now)
        facts = {} if here is None or here == seen else {_SIGNAL: here.signal, _FILL: str(here.fill)}
        if draft is not None:
            draft = replace(draft, prices=_prices(snapshot, draft.shares, last))
            published = issue(self._told(draft, heard), key, self.id, snapshot.mode, self._ledger.quote, last, now)
        elif last and now - last.issued >= RENEWED_AFTER and snapshot.status is not Status.DEAD:
            published = renew(last, key, _prices(snapshot, last.shares, last), now)
        else:
            if facts:
                self._store.remember(facts)
            return None
        self._store.write(published, facts)
        return published

    def _told(self, draft: Draft, heard: tuple[Signal, ...]) -> Draft:
        """A draft without moves where the portfolio follows moves: those are not its own."""
        return replace(draft, moves=None) if any(isinstance(signal.wants, Moves) for signal in heard) else draft

    def _upstream(self, heard: tuple[Signal, ...]) -> Upstream:
        if not heard and (last := self._store.last):  # after a start, before they were asked
            return Upstream(last.origin[:-1], last.hops - 1)
        origin = dict.fromkeys(leader for signal in heard for leader in signal.origin if leader != self.id)
        return Upstream(tuple(origin), max((signal.hops for signal in heard), default=0))


def _prices(snapshot: Snapshot, shares: Mapping[str, Decimal], last: Publication | None) -> dict[str, Decimal]:
    """Prices of the coins that are published and of those that were, as far as they are known."""
    coins = {*shares, *(last.shares if last else ())}
    known = {coin: snapshot.positions[coin].price for coin in coins if coin in snapshot.positions}
    return {coin: price for coin, price in known.items() if price}
