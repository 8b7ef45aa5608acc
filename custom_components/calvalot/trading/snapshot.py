"""What a follower shows: one immutable snapshot of its book and its connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from .alert import AlertRecord
from .decimals import EXACT, HUNDRED, ZERO
from .errors import ExchangeError, SourceError
from .exchanges.base import KeyPermissions, Mode
from .ledger.records import Book, CashFlow, OrderRecord, Result, SignalRecord
from .market.coinmarketcap import RankError
from .market.ranks import Listed
from .performance import tracking_distance
from .portfolio import Position, Valuation
from .profit import Profit, profit
from .proposal import Proposal
from .protection import HeldBy, Protection
from .routes import Left
from .settings import Scope
from .signal import SourceKind


class Status(StrEnum):
    """State of a follower; dead wins over paused."""

    ACTIVE = "active"
    PAUSED = "paused"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionFigures:
    """One coin: quantity in the coin, prices and amounts in quote, weights as fractions; None = unknown.

    One that is set aside is not listed any more: its price is the last that was known, of the `price_day` (UTC). One that is
    `frozen` is not traded; `locked` is what orders have locked of it on the account, where that is a whole wallet.
    """

    coin: str
    symbol: str
    quantity: Decimal = ZERO
    entry_price: Decimal | None = None
    price: Decimal | None = None
    value: Decimal | None = None
    weight: Decimal | None = None
    target_weight: Decimal | None = None
    profit_loss: Decimal | None = None
    price_day: date | None = None
    frozen: bool = False
    locked: Decimal = ZERO

    @property
    def set_aside(self) -> bool:
        """Whether it is held and not listed any more."""
        return self.price_day is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Money at one moment: EUR unless quote is said; None = unknown."""

    as_of: datetime | None = None
    rate: Decimal | None = None
    total_value: Decimal | None = None
    total_value_quote: Decimal | None = None
    cash: Decimal | None = None
    positions_value: Decimal | None = None
    net_deposits: Decimal | None = None
    profit_loss: Decimal | None = None
    profit_loss_percent: Decimal | None = None
    profit: Profit | None = None
    realised: Decimal | None = None
    fees_paid: Decimal | None = None
    time_weighted_return: Decimal | None = None
    max_drawdown: Decimal | None = None
    tracking_distance: Decimal | None = None
    positions: Mapping[str, PositionFigures] = field(default_factory=dict[str, PositionFigures])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures:
    """One source: its weight and what it wants of its own part, as fractions; `connected` None where it is not asked.

    One that is `stale` was not heard for too long; one that is `lost` failed several times in a row.
    """

    key: str
    kind: SourceKind
    weight: Decimal
    paused: bool = False
    stale: bool = False
    connected: bool | None = None
    problem: SourceError | None = None
    lost: bool = False
    targets: Mapping[str, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Something that the account holds and that is in no book, for want of a pair or a price.

    `earning` is the coin that it stands for, where that is in flexible earn.
    """

    asset: str
    quantity: Decimal
    earning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Figures):
    """Everything the entities show. `leader_connected` and `exchange_connected` are None until first asked.

    `open_orders` are those whose end is not known, `resting` those that are on the exchange; `protections` are what is to protect
    coins, and `protected_by` who sees to that.
    `missing` is what the account has less of than the ledger, by asset; `short_of_quote` what the wallet has free where that
    is too little to begin with; `permissions` what the key may do, where that is known.
    `spare` is what may be paid in, in EUR, in live mode, `proposals` what came to the account or left it and may be booked. `fall` is how far the follower is from its stop loss's peak, in %, where it has a stop loss.
    `refused_by` is the key of the source that has the leader's problem, `held_back` are the coins that a stop sold
    and that are not bought again yet, `moves_in_blend` those of sources that say moves. `failing_alerts` is the last alert of sources
    of which the last ones all failed, `silent_alerts` are those of which none ever came.
    `due` is when the next cycle is wanted, where a signal waits for its turn.
    `exiting` is the sale of everything that is not done, `returned_signal` an older signal that the leader shows again.
    `book` is the number of the book in use. `ranks_at` is when the ranks were told last, `rank_problem` what went wrong with the
    last question, `ambiguous_coins` what may be meant by coins of whose symbol there are several.
    `profit_today` is the profit since midnight without corrections; `since` when the first money came.
    `returns` are the time-weighted ones (%) by period, of the periods that the book is long enough for.
    `revalued` is when a flow was last dated back: values that were seen earlier than that may lack it, the closes do not.
    `scope` is what belongs to the portfolio; of a whole wallet `apart` is what the account holds besides, `unexplained` what came
    or left and nothing explained, newest first.
    `conversion_left` is what a conversion has left half-way.
    `restored` names the copy that a broken ledger was restored from, empty for a new one; None where nothing broke.
    """

    mode: Mode
    status: Status
    book: int = 1
    scope: Scope = Scope.BUDGET
    apart: tuple[Apart, ...] = ()
    unexplained: tuple[CashFlow, ...] = ()
    paused: bool = False
    last_signal: datetime | None = None
    last_signal_id: str | None = None
    last_signal_result: Result | None = None
    last_signal_reason: str | None = None
    last_trade: datetime | None = None
    leader_connected: bool | None = None
    leader_problem: SourceError | None = None
    refused_by: str | None = None
    sources: tuple[SourceFigures, ...] = ()
    held_back: tuple[str, ...] = ()
    moves_in_blend: tuple[str, ...] = ()
    failing_alerts: Mapping[str, AlertRecord] = field(default_factory=dict[str, AlertRecord])
    silent_alerts: tuple[str, ...] = ()
    exchange_connected: bool | None = None
    exchange_problem: ExchangeError | None = None
    unknown_coins: tuple[str, ...] = ()
    update_required: str | None = None
    open_orders: tuple[OrderRecord, ...] = ()
    resting: tuple[OrderRecord, ...] = ()
    protections: Mapping[str, Protection] = field(default_factory=dict[str, Protection])
    protected_by: Mapping[str, HeldBy] = field(default_factory=dict[str, HeldBy])
    conversion_left: Left | None = None
    missing: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    short_of_quote: Decimal | None = None
    spare: Decimal | None = None
    proposals: tuple[Proposal, ...] = ()
    permissions: KeyPermissions | None = None
    storage_problem: str | None = None
    restored: str | None = None
    waiting_signal: str | None = None
    waiting_until: datetime | None = None
    due: datetime | None = None
    fall: Decimal | None = None
    exiting: SignalRecord | None = None
    returned_signal: str | None = None
    rank_problem: RankError | None = None
    ranks_at: datetime | None = None
    ambiguous_coins: Mapping[str, Sequence[Listed]] = field(default_factory=dict[str, Sequence[Listed]])
    profit_today: Decimal | None = None
    returns: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    since: datetime | None = None
    revalued: datetime | None = None

    @property
    def set_aside(self) -> tuple[PositionFigures, ...]:
        """What is held and not listed any more."""
        return tuple(position for position in self.positions.values() if position.set_aside)

    @property
    def ledger_problem(self) -> bool:
        """Whether the account holds less than the ledger."""
        return bool(self.missing)


def figures(
    book: Book,
    valuation: Valuation | None,
    rate: Decimal | None,
    prices: Mapping[str, Decimal],
    targets: Mapping[str, Decimal] | None,
    symbols: Mapping[str, str],
    as_of: datetime | None,
    aside: Mapping[str, date] | None = None,
    corrections: Decimal = ZERO,
) -> Figures:
    """Figures of a book; `prices` and `targets` by coin, `symbols` maps the coins to be shown to their symbols.

    `corrections` is the sum (EUR) by which the net deposits were corrected. Without a valuation or a rate whatever rests on it
    is None; what the book itself says stays.
    """
    portfolio = book.portfolio
    with localcontext(EXACT):
        value = valuation.total * rate if valuation and rate else None
        deposits = book.net_deposits
        parts = None
        if valuation and rate and deposits is not None:
            parts = profit(portfolio, valuation, rate, deposits, corrections)
        # A percentage of what was taken out, rather than paid in, would say nothing.
        percent = parts.total / deposits * HUNDRED if parts and deposits and deposits > 0 else None
        distance = None
        if valuation and valuation.total and targets is not None:
            own = {coin: valuation.weight(coin) for coin in valuation.values}
            distance = tracking_distance(own, targets)
        started = deposits is not None
        return Figures(
            as_of=as_of,
            rate=rate,
            total_value=value,
            total_value_quote=valuation.total if valuation else None,
            cash=portfolio.cash if started else None,
            positions_value=valuation.positions if valuation else None,
            net_deposits=deposits,
            profit_loss=parts.total if parts else None,
            profit_loss_percent=percent,
            profit=parts,
            realised=portfolio.realised if started else None,
            fees_paid=portfolio.fees if started else None,
            time_weighted_return=book.units.time_weighted_return if started else None,
            max_drawdown=book.drawdown.deepest if started else None,
            tracking_distance=distance,
            positions={
                coin: replace(
                    _position(coin, symbol, portfolio.position(coin), prices.get(coin), valuation, targets),
                    price_day=(aside or {}).get(coin) if coin in portfolio.positions else None,
                )
                for coin, symbol in symbols.items()
            },
        )


def _position(
    coin: str,
    symbol: str,
    position: Position,
    price: Decimal | None,
    valuation: Valuation | None,
    targets: Mapping[str, Decimal] | None,
) -> PositionFigures:
    value = position.quantity * price if price else (None if position.quantity else ZERO)
    return PositionFigures(
        coin=coin,
        symbol=symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        price=price,
        value=value,
        weight=valuation.weight(coin) if valuation else None,
        target_weight=None if targets is None else targets.get(coin, ZERO),
        profit_loss=None if value is None else value - position.cost,
    )
