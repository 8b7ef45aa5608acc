"""What stops a bad day: survival, the stop on a fall from the peak, the ledger held against the account."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal

from . import responses
from .alert_log import PAUSED, RESUMED, logged
from .decimals import HUNDRED, ZERO
from .events import EventQueue
from .inputs import Inputs
from .ledger.ledger import Ledger
from .ledger.records import SignalRecord
from .performance import fall
from .settings import Scope, Settings
from .snapshot import Status

DEAD_AFTER = 3
MISMATCH_AFTER = 3
# The unit price that the stop loss counts from.
STOP_PEAK = "stop_peak"


class Risk:
    """State of one follower and what changes it.

    `fall` is how far the unit price is under the peak that the stop loss counts from, in %; None without a stop loss.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], datetime],
        events: EventQueue,
        fee_coin: str | None,
    ) -> None:
        """`fee_coin` is the coin that the exchange may take its fees in."""
        self._settings = settings
        self._fee_coin = fee_coin
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._paused = False
        self._dead = False
        self._strikes = 0
        self._mismatches = 0
        self._missing: Mapping[str, Decimal] = {}
        self.fall: Decimal | None = None

    async def load(self) -> None:
        """Take up what the ledger remembers."""
        self._paused = await self._ledger.ask(self._ledger.fact, "paused") is not None
        self._dead = await self._ledger.ask(self._ledger.fact, "dead") is not None
        await self.tuned()

    async def tuned(self) -> None:
        """A stop loss that was switched off begins anew when it is switched on. Raises LedgerError."""
        if self._settings.stop_loss_drawdown:
            return
        self.fall = None
        if await self._ledger.ask(self._ledger.fact, STOP_PEAK):
            await self._remember(STOP_PEAK, None)

    async def reload(self) -> None:
        """Take up what an older ledger remembers; what has stopped the follower since then still does."""
        for key, holds in (("paused", self._paused), ("dead", self._dead)):
            if holds and await self._ledger.ask(self._ledger.fact, key) is None:
                await self._remember(key, self._now())
        await self.load()

    @property
    def status(self) -> Status:
        """Dead wins over paused."""
        if self._dead:
            return Status.DEAD
        return Status.PAUSED if self._paused else Status.ACTIVE

    @property
    def paused(self) -> bool:
        """Whether the owner paused, dead or not."""
        return self._paused

    @property
    def missing(self) -> Mapping[str, Decimal]:
        """What the account has less of than the ledger, by asset, where it has been so for some cycles in a row."""
        return self._missing if self._mismatches >= MISMATCH_AFTER else {}

    async def pause(self, *, paused: bool) -> None:
        """Pause or resume; resuming starts the fall from the peak anew."""
        facts: dict[str, str | None] = {"paused": self._now()} if paused else {"paused": None, STOP_PEAK: None}
        if paused is not self._paused:
            facts |= logged(self._clock(), [{"type": PAUSED if paused else RESUMED}])
        await self._ledger.ask(self._ledger.remember_all, facts)
        self._paused = paused

    async def pause_for(self, record: SignalRecord, remember: Mapping[str, str]) -> SignalRecord:
        """Write a sale of everything down with some facts and pause, in one commit. Raises LedgerError."""
        pause = {} if self._paused else {"paused": self._now(), **logged(self._clock(), [{"type": PAUSED}])}
        facts = {**remember, **pause}
        record = await self._ledger.ask(self._ledger.write_signal, record, facts)
        self._paused = True
        return record

    async def revive(self) -> None:
        """End DEAD."""
        await self._remember("dead", None)
        self._dead = False
        self._strikes = 0
        self._events.alert("revived")

    async def survive(self, value: Decimal) -> None:
        """Three complete valuations (EUR) in a row under the floor are the end, written down for good."""
        floor = self._settings.survival_floor
        self._strikes = self._strikes + 1 if value < floor else 0
        if self._strikes >= DEAD_AFTER and not self._dead:
            await self._remember("dead", self._now())
            self._dead = True
            self._events.alert("dead", value=responses.text(value, 2), floor=responses.text(floor))

    async def stop_loss(self, price: Decimal, sell: Callable[[], Awaitable[object]] | None = None) -> bool:
        """Pause where the unit price fell too far from its peak since the last resume; whether it did just now.

        `sell` pauses and has everything sold.
        """
        limit = self._settings.stop_loss_drawdown
        if not limit or self.status is not Status.ACTIVE:
            return False
        known = await self._ledger.ask(self._ledger.fact, STOP_PEAK)
        peak = max(Decimal(known), price) if known else price
        if known is None or peak != Decimal(known):
            await self._remember(STOP_PEAK, f"{peak:f}")
        self.fall = drawdown = fall(peak, price)
        if drawdown < limit * HUNDRED:
            return False
        await (sell() if sell else self.pause(paused=True))
        self._events.alert("stop_loss", drawdown=responses.text(drawdown, 2), limit=responses.text(limit * HUNDRED))
        return True

    async def compare(self, view: Inputs) -> None:
        """Say so when the account holds less than the ledger in three cycles without an order in flight."""
        missing = await self.gap(view)
        if missing is None:
            return
        self._missing = missing
        self._mismatches = self._mismatches + 1 if missing else 0
        if self._mismatches == MISMATCH_AFTER:
            self._events.alert(
                "ledger_mismatch", missing={asset: responses.text(quantity) for asset, quantity in missing.items()}
            )

    async def gap(self, view: Inputs) -> Mapping[str, Decimal] | None:
        """What the account has less of than the ledger, by asset; None where that cannot be told."""
        if view.balances is None or view.account is None:
            return None
        if self._settings.scope is Scope.WALLET:
            return {}  # what is missing has left it
        if await self._ledger.ask(self._ledger.in_flight):
            return None
        book = await self._ledger.ask(self._ledger.book)
        held = {coin: position.quantity for coin, position in book.portfolio.positions.items()}
        held[self._settings.quote] = book.portfolio.cash
        there = {asset: balance.free + balance.locked for asset, balance in view.balances.items()}
        missing = {asset: quantity - there.get(asset, ZERO) for asset, quantity in held.items()}
        if (coin := self._fee_coin) in missing:
            missing[coin] -= await self._borrowed(missing[coin], view.claimed.lent)
        return {asset: quantity for asset, quantity in missing.items() if quantity > 0}

    async def _borrowed(self, missing: Decimal, lent: Decimal) -> Decimal:
        """How much of the fee coin is missing because fees of other books of the account took it.

        That is no more than what they were lent since the account last had all that this book holds, less what it had
        beyond that.
        """
        remembered = await self._ledger.ask(self._ledger.fact, "lent_before")
        known = Decimal(remembered or 0)
        if missing > 0:
            return max(min(missing, lent - known), ZERO)
        if lent and (before := lent + missing) != known:
            await self._remember("lent_before", f"{before:f}")
        return ZERO

    def begin_anew(self) -> None:
        """Another book is in use: what was seen of the last one says nothing about it."""
        self._strikes = self._mismatches = 0
        self._missing = {}
        self.fall = None

    def _now(self) -> str:
        return self._clock().isoformat()

    async def _remember(self, key: str, value: str | None) -> None:
        await self._ledger.ask(self._ledger.remember, key, value)
