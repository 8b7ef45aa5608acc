"""Alerts from outside as a source: what they want of each coin, one after the other, within what their owner allows.

An alert without a size says what is to be held of a coin: it is compared with what was said last, so that one that comes again
changes nothing. One with a size is a trade. What is not allowed is refused, what is larger than the largest share is cut.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
import hashlib
import json

from ..alert import CANCELS, AlertRecord, AlertState, Ask, Asked, Cancel, Hold, Problem, Trade, Unit, closes
from ..decimals import EXACT, ONE, ZERO
from ..exchanges.base import Side
from ..signal import Signal, SourceKind
from ..terms import Terms
from ..wants import Allocation, Move, Moves
from .base import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What an alert may do: `share` is how much of its source's part it may hold of a coin (a fraction), and holds where it does not say.

    Older than `max_age` it is too late, and what waits that long buys nothing any more.
    """

    share: Decimal = Decimal("0.25")
    max_age: timedelta = timedelta(minutes=5)
    allow: frozenset[Ask] = frozenset({Ask.CLOSE, Ask.REDUCE, Ask.OPEN})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an alert now: a state with its reason; the leg that it wants traded; the share that is held from now on.

    `target` None: what was said of the coin before holds no more.
    """

    state: AlertState
    reason: str = ""
    move: Move | None = None
    target: Decimal | None = None


@dataclass(slots=True)
class _Memory:
    """Shares by coin that alerts have asked for, and the order of the last one of each coin that was heard."""

    targets: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    last: dict[str, tuple[datetime, bool]] = field(default_factory=dict[str, tuple[datetime, bool]])


class AlertsSource:
    """The alerts that wait, as a source.

    `waiting` are those of this cycle, with those that were taken up and not sent yet. `memory` is JSON: what was asked for so far. After `decide`, `verdicts` says by seq what became
    of those that are done, `offered` which ones are in the signal that it gave, `has_more` whether some of the same coins are left.
    `resting` are the coins in which orders of its own wait for their price, or may.
    """

    kind = SourceKind.ALERTS
    remote = False
    jitter = False
    band: Decimal | None = None

    def __init__(self, settings: AlertSettings) -> None:
        self.settings = settings
        self.memory: str | None = None
        self.waiting: Sequence[AlertRecord] = ()
        self.verdicts: dict[int, Verdict] = {}
        self.offered: tuple[AlertRecord, ...] = ()
        self.has_more = False
        self.resting: frozenset[str] = frozenset()

    async def fetch(self, coins: Collection[str]) -> None:
        """Nothing has to be fetched: alerts come by themselves."""

    def decide(self, moment: Moment) -> Signal | None:
        """A signal of the first alert of each coin that wants something; the same one until it is taken up."""
        self.verdicts, self.offered, self.has_more = {}, (), False
        if moment.weights is None:
            return None
        memory = self._read()
        legs: list[Move] = []
        offered: list[AlertRecord] = []
        for queue in self._queues(memory, moment):
            for number, record in enumerate(queue):
                verdict = self.judge(record, moment, memory.targets)
                if verdict.state is AlertState.TAKEN:
                    offered.append(record)
                    legs += [verdict.move] if verdict.move else []
                    self._note(memory, record, verdict)
                    self.has_more |= number + 1 < len(queue)
                    break
                if verdict.state is AlertState.WAITING:
                    break
                self.verdicts[record.seq] = verdict
                if verdict.state is AlertState.UNCHANGED:
                    self._note(memory, record, verdict)
                    self.took([record])
        if all(record.state is AlertState.TAKEN for record in offered):
            return None  # nothing, or what goes on under the signal that it is in
        self.offered = tuple(offered)
        return self._signal(offered, legs, memory.targets, moment)

    def draft(self, record: AlertRecord, moment: Moment) -> tuple[Verdict, Signal | None]:
        """What an alert would come to if it were the only one, and the signal that it would be."""
        verdict, memory = self.judge(record, moment), self._read()
        if verdict.state is not AlertState.TAKEN:
            return verdict, None
        self._note(memory, record, verdict)
        legs = [verdict.move] if verdict.move else []
        return verdict, self._signal([record], legs, memory.targets, moment)

    def judge(self, record: AlertRecord, moment: Moment, targets: Mapping[str, Decimal] | None = None) -> Verdict:
        """What an alert would come to now, with these targets or those that are kept."""
        targets = self._read().targets if targets is None else targets
        wants, before = record.wants, targets.get(record.coin)
        if wants is None:  # pragma: no cover  # refused when it came, and never here
            return _refused(Problem.UNREADABLE)
        if problem := self._ruled_out(wants, moment):
            return _refused(problem)
        ends = record.coin in self.resting
        if isinstance(wants, Cancel):
            return Verdict(AlertState.TAKEN if ends else AlertState.UNCHANGED, CANCELS if ends else "", target=before)
        held = (moment.weights or {}).get(record.coin, ZERO)
        if isinstance(wants, Trade):
            return self._bound(self._traded(wants, record.coin, held, moment), wants.terms, held, moment)
        share = self._share(wants, record.coin, targets)
        limited = wants.terms is not None and wants.terms.limit is not None
        if record.state is AlertState.WAITING and share == before and not (ends or limited):
            return Verdict(AlertState.UNCHANGED, target=share)
        ask = Ask.CLOSE if not share else Ask.OPEN if share > held else Ask.REDUCE
        move = _move(record.coin, share, held)
        if moment.capital is not None and move is None:
            return Verdict(AlertState.TAKEN if ends else AlertState.UNCHANGED, CANCELS if ends else "", target=share)
        if ask not in self.settings.allow:
            return _refused(Problem.NOT_ALLOWED)
        # What waits for its price may never be held.
        verdict = Verdict(AlertState.TAKEN, ask, move, None if limited else share)
        return self._bound(verdict, wants.terms, held, moment)

    def took(self, records: Sequence[AlertRecord]) -> None:
        """Remember what alerts have asked for that were taken up."""
        memory = self._read()
        for record in sorted(records, key=lambda each: (*each.order, each.seq)):
            target = self._target(record.wants, record.coin, memory.targets)
            self._note(memory, record, Verdict(AlertState.TAKEN, target=target))
        self.memory = json.dumps(
            {
                "targets": {coin: f"{share:f}" for coin, share in sorted(memory.targets.items())},
                "last": {coin: [time.isoformat(), opens] for coin, (time, opens) in sorted(memory.last.items())},
            }
        )

    def current(self, moment: Moment) -> Signal | None:
        """All that was asked for so far; coins of which nothing was said stay as they are."""
        if (targets := self.targets) is None:
            return None
        return Signal(
            signal_id=f"{self.kind}-{moment.now.astimezone(UTC).isoformat(timespec='milliseconds')}",
            wants=self._allocation(targets, moment),
            targets=targets,
            created_at=moment.now,
        )

    @property
    def targets(self) -> Mapping[str, Decimal] | None:
        """Shares by coin that alerts have asked for; None before the first one."""
        return self._read().targets if self.memory else None

    def next_due(self, moment: Moment) -> datetime | None:  # noqa: ARG002
        """None: a cycle is begun when an alert comes."""
        return None

    # Inside

    def _read(self) -> _Memory:
        known = json.loads(self.memory) if self.memory else {"targets": {}, "last": {}}
        return _Memory(
            {coin: Decimal(share) for coin, share in known["targets"].items()},
            {coin: (datetime.fromisoformat(time), opens) for coin, (time, opens) in known["last"].items()},
        )

    def _queues(self, memory: _Memory, moment: Moment) -> list[list[AlertRecord]]:
        """What waits, coin by coin and in order; what comes too late and what a newer one has replaced is settled."""
        queues: dict[str, list[AlertRecord]] = {}
        for record in sorted(self.waiting, key=lambda each: (*each.order, each.seq)):
            verdict = self._left_behind(record, memory, moment)
            if verdict is None and isinstance(record.wants, Hold):
                judged = self.judge(record, moment, memory.targets)
                verdict = judged if judged.state is AlertState.REFUSED else None
            if verdict:
                self.verdicts[record.seq] = verdict
                continue
            queue = queues.setdefault(record.coin, [])
            if isinstance(record.wants, Hold):  # whatever was asked for before, this is what is to be held
                self.verdicts |= {each.seq: Verdict(AlertState.OVERTAKEN) for each in queue}
                queue.clear()
            queue.append(record)
        return sorted(queues.values(), key=lambda queue: (*queue[0].order, queue[0].seq))

    def _left_behind(self, record: AlertRecord, memory: _Memory, moment: Moment) -> Verdict | None:
        """Why an alert that was never taken up comes too late; None where it does not."""
        time, opens = record.order
        if record.state is not AlertState.WAITING:
            return None
        if (last := memory.last.get(record.coin)) is not None and record.order < last:
            return Verdict(AlertState.OVERTAKEN)
        if opens and moment.now - time > self.settings.max_age:
            return Verdict(AlertState.EXPIRED)
        return None

    def _share(self, wants: Hold, coin: str, targets: Mapping[str, Decimal]) -> Decimal:
        """The share that is to be held: no more than its owner has set, nor than the other coins leave."""
        most = self.settings.share
        others = sum((share for other, share in targets.items() if other != coin), ZERO)
        return max(min(most if wants.share is None else wants.share, most, ONE - others), ZERO)

    def _target(self, wants: Asked | None, coin: str, targets: Mapping[str, Decimal]) -> Decimal | None:
        """The share that is to be held once an alert was taken up; None where none is known."""
        if isinstance(wants, Cancel):
            return targets.get(coin)
        if not isinstance(wants, Hold) or (wants.terms is not None and wants.terms.limit is not None):
            return None
        return self._share(wants, coin, targets)

    def _ruled_out(self, wants: Asked, moment: Moment) -> Problem | None:
        """Why a limit, an end of one or what is to protect a coin cannot be had here."""
        if not (isinstance(wants, Cancel) or wants.terms):
            return None
        if moment.capital is None:
            return Problem.MOVES_IN_BLEND
        waits = wants.terms is None or wants.terms.limit is not None
        return Problem.NOT_ALLOWED if waits and Ask.ORDERS not in self.settings.allow else None

    def _bound(self, verdict: Verdict, terms: Terms | None, held: Decimal, moment: Moment) -> Verdict:
        """A verdict with its terms: what protects only a purchase, on its side of the price."""
        if terms is None or (move := verdict.move) is None:
            return verdict
        if move.side is Side.SELL:
            terms = replace(terms, take_profit=None, stop_loss=None, trailing=None)
        if not (last := moment.prices.get(move.coin)):
            return Verdict(AlertState.WAITING, Problem.NO_PRICE)
        price = terms.price(move.side, last)
        if price <= 0 or not terms.is_sensible(price, last if held else price):
            return _refused(Problem.LEVELS)
        return replace(verdict, move=replace(move, terms=terms if terms != Terms() else None))

    def _traded(self, wants: Trade, coin: str, held: Decimal, moment: Moment) -> Verdict:
        """What a trade of a size comes to: no more than is held, no more than may be."""
        if moment.capital is None:
            return _refused(Problem.MOVES_IN_BLEND)
        needed = {Ask.OPEN} if wants.side is Side.BUY else set[Ask]()
        if wants.side is Side.BUY and wants.unit is not Unit.SHARE:
            needed.add(Ask.ORDERS)
        if not needed <= self.settings.allow:
            return _refused(Problem.NOT_ALLOWED)
        price = moment.prices.get(coin)
        if not price or not moment.capital:
            return Verdict(AlertState.WAITING, Problem.NO_PRICE)
        with localcontext(EXACT):
            # An amount is what the limit makes of it, a share is one at the last price.
            paid = wants.terms.price(wants.side, price) if wants.terms else price
            amount = price / paid / moment.capital if paid else ZERO
            each = {Unit.SHARE: ONE, Unit.AMOUNT: amount, Unit.QUANTITY: price / moment.capital}
            share = wants.size * each[wants.unit]
            room = held if wants.side is Side.SELL else self.settings.share - held
        if room <= 0:
            return _refused(Problem.NOTHING_HELD if wants.side is Side.SELL else Problem.SHARE_REACHED)
        if wants.side is Side.BUY:
            return Verdict(AlertState.TAKEN, Ask.OPEN, Move(coin, Side.BUY, min(share, room)))
        ask = Ask.CLOSE if share >= held else Ask.REDUCE
        if ask not in self.settings.allow:
            return _refused(Problem.NOT_ALLOWED)
        return Verdict(AlertState.TAKEN, ask, Move(coin, Side.SELL, ONE if share >= held else share))

    def _signal(
        self, records: Sequence[AlertRecord], legs: Sequence[Move], targets: Mapping[str, Decimal], moment: Moment
    ) -> Signal:
        """What alerts want together: moves where the source decides on all of the portfolio, else what is to be held."""
        wants: Moves | Allocation = self._allocation(targets, moment)
        if moment.capital is not None:
            # What is to be held now, and an order to end them, end what earlier alerts left waiting.
            ending = (record.coin for record in records if not isinstance(record.wants, Trade))
            wants = Moves(tuple(legs), self.resting.intersection(ending))
        return Signal(
            signal_id=_name(records),
            wants=wants,
            # Moves are not joined by what else was asked for before.
            targets=None if isinstance(wants, Moves) else dict(targets),
            created_at=min(record.order[0] for record in records),
            reasoning=", ".join(f"{record.coin}: {_said(record)}" for record in records),
        )

    def _allocation(self, targets: Mapping[str, Decimal], moment: Moment) -> Allocation:
        others = (moment.weights or {}).keys() - targets.keys()
        return Allocation(shares=dict(targets), keep=frozenset(others))

    def _note(self, memory: _Memory, record: AlertRecord, verdict: Verdict) -> None:
        """Take note of what is held from now on, and of the last alert of the coin."""
        if verdict.target is None:
            memory.targets.pop(record.coin, None)
        else:
            memory.targets[record.coin] = verdict.target
        memory.last[record.coin] = max(record.order, memory.last.get(record.coin, record.order))


def _refused(problem: Problem) -> Verdict:
    return Verdict(AlertState.REFUSED, problem)


def _move(coin: str, share: Decimal, held: Decimal) -> Move | None:
    """What brings a coin to its share; all of it is sold where that is nothing."""
    if share > held:
        return Move(coin, Side.BUY, share - held)
    if share == held:
        return None
    return Move(coin, Side.SELL, held - share if share else ONE)


def _said(record: AlertRecord) -> str:
    """What an alert asks for, in a line."""
    wants = record.wants
    if isinstance(wants, Cancel):
        return "cancel"
    if isinstance(wants, Trade):
        return f"{wants.side.lower()} {wants.size.normalize():f} {wants.unit}"
    return "flat" if wants is None or closes(wants) else "long"


def _name(records: Sequence[AlertRecord]) -> str:
    """Id of the signal of these alerts, the same for the same ones."""
    said = json.dumps(sorted(record.seq for record in records))
    return f"{SourceKind.ALERTS}-{records[0].seq}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
