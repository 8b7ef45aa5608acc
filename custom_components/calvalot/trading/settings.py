"""What one follower is set to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
import hashlib

from .decimals import ONE, ZERO
from .exchanges.base import Mode, Side
from .limits import Limits


class Approval(StrEnum):
    """Whether a new signal is traded by itself or waits for its owner's word."""

    AUTOMATIC = "automatic"
    ASK = "ask"


class Scope(StrEnum):
    """What belongs to a portfolio: a budget and what was bought with it, or all that the account holds beside such ones."""

    BUDGET = "budget"
    WALLET = "wallet"


class DroppedOut(StrEnum):
    """What becomes of a coin that does not rank within the limit any more."""

    KEEP = "keep"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day, in local time, in which no signal is traded; they may go over midnight."""

    start: time
    end: time
    zone: tzinfo

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that a time lies in are over (UTC); None outside of them."""
        local = now.astimezone(self.zone)
        overnight = self.end <= self.start
        late = local.time() >= self.start
        early = local.time() < self.end
        if not (late or early if overnight else late and early):
            return None
        day = local.date() + timedelta(days=overnight and late)
        return datetime.combine(day, self.end, self.zone).astimezone(UTC)


# What a portfolio is: never tuned.
_FOR_GOOD = frozenset({"entry_id", "mode", "quote", "scope", "initial_budget"})


@dataclass(slots=True, kw_only=True)
class Settings:
    """Settings of one follower: budget and floor in EUR, orders in quote, shares and thresholds as fractions.

    With `only` a side no signal is traded on the other one. Coins that are `frozen` count and are never traded; what is held of
    those that are `locked` is set apart, as if the portfolio did not hold it. `weights` are the shares of the portfolio that each of
    several sources decides on, by their keys, `names` what their owner calls them; one that was not heard for `max_source_age` has nothing bought any more.

    A wallet has no budget, and what no source gives a share is frozen there, too.

    Coins that rank beyond `max_rank` by market capitalisation are not bought; `rank_ids` are what coins are called by the service
    that ranks them, as far as their owner has said.

    With `tell_leader` each leader is told over HTTP which of its signals was done with last.

    `entry_id` names it for good: its orders carry a tag made from it. All parts of a portfolio share one object, and what may be
    tuned changes in it between two cycles.
    """

    entry_id: str
    mode: Mode
    quote: str
    scope: Scope = Scope.BUDGET
    initial_budget: Decimal = ZERO
    coins: tuple[str, ...]
    min_order: Decimal = Decimal(5)
    rebalance_threshold: Decimal = Decimal("0.005")
    dust_threshold: Decimal = Decimal("2.5")
    survival_floor: Decimal = Decimal(5)
    max_signal_age: timedelta = timedelta(hours=4)
    silence_alert: timedelta = timedelta(hours=4)
    max_slippage: Decimal | None = None
    max_order_share: Decimal = ONE
    stop_loss_drawdown: Decimal | None = None
    stop_loss_sell: bool = False
    max_trades_per_day: int | None = None
    approval: Approval = Approval.AUTOMATIC
    approval_timeout: timedelta = timedelta(minutes=30)
    entry_jitter: timedelta = timedelta()
    only: Side | None = None
    frozen: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    quiet_hours: QuietHours | None = None
    weights: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    paused_sources: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    max_source_age: timedelta = timedelta(days=7)
    max_rank: int | None = None
    rank_ids: Mapping[str, int] = field(default_factory=dict[str, int])
    dropped_out: DroppedOut = DroppedOut.KEEP
    tell_leader: bool = False

    def tune(self, settings: Settings) -> None:
        """Take over what may be tuned."""
        for item in fields(Settings):
            if item.name not in _FOR_GOOD:
                setattr(self, item.name, getattr(settings, item.name))

    @property
    def limits(self) -> Limits:
        """What bounds orders."""
        return Limits(**{item.name: getattr(self, item.name) for item in fields(Limits)})

    def delay(self, signal_id: str) -> timedelta:
        """How long this follower waits before it first trades a leader's signal, the same however often it is asked.

        Spread evenly over `entry_jitter`, so that the followers of one leader do not all buy in the same second.
        """
        drawn = hashlib.sha256(f"{self.entry_id}\n{signal_id}".encode()).digest()[:8]
        return self.entry_jitter * (int.from_bytes(drawn) / 2**64)
