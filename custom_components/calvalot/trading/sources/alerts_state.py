"""The alerts of a source as the portfolio knows them: read before it decides, and written down with what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast, override

from ..alert import AlertRecord, AlertState, Problem
from ..ledger.records import Result
from ..signal import Signal
from ..wants import Moves
from .alerts import AlertsSource, Verdict
from .state import SourceState

# Alerts in a row that are refused until that is a problem, and for what; the others are refused as things stand just now.
FAILING = 3
_FAILURES = frozenset(Problem) - {Problem.SHARE_REACHED, Problem.NOTHING_HELD, Problem.NO_PRICE, Problem.LEVELS}


class AlertsState(SourceState):
    """A source of alerts: one signal at a time, and none of them in two.

    `failing` is the alert that came last, where that and those before it were refused for what somebody has to put right;
    `is_silent` that none has ever come.
    """

    _has_more = False
    failing: AlertRecord | None = None
    is_silent = False

    @property
    def alerts(self) -> AlertsSource:
        """The source itself."""
        return cast("AlertsSource", self.source)

    @property
    @override
    def goes_stale(self) -> bool:
        return True

    @property
    @override
    def due(self) -> datetime | None:
        """At once, where more alerts wait for the one before them that was taken up."""
        return self._moment.now if self._has_more else super().due

    @override
    async def decide(
        self,
        prices: Mapping[str, Decimal],
        weights: Mapping[str, Decimal] | None,
        smallest: Mapping[str, Decimal],
        capital: Decimal | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        self._has_more = False
        source, waiting = self.alerts, await self._note_taken()
        source.waiting = [record for record in waiting if not record.is_test]
        source.resting = await self._ledger.ask(self._resting) if waiting else frozenset()
        unsent: Sequence[AlertRecord] = ()
        if source.waiting and capital is not None:
            unsent = await self._ledger.ask(self._unsent)
            source.waiting = [*source.waiting, *unsent]
        await super().decide(prices, weights, smallest, capital, is_open=is_open)
        changes = {seq: _written(verdict.state, verdict.reason) for seq, verdict in source.verdicts.items()}
        if isinstance(self.incoming, Signal):
            changes |= {record.seq: _in_signal(record, self.incoming) for record in source.offered}
        else:  # what is not sent yet goes on under the signal that it is in
            changes = {seq: change for seq, change in changes.items() if seq not in {each.seq for each in unsent}}
        tests = [record for record in waiting if record.is_test and weights is not None]
        changes |= {record.seq: _tested(source.judge(record, self._moment)) for record in tests}
        known = {record.seq: record for record in (*waiting, *unsent)}
        await self._settle([replace(known[seq], **change) for seq, change in changes.items() if seq in known])
        last = await self._ledger.ask(self._ledger.last_alerts, self.key, FAILING)
        self.heard_at = last[-1].received_at if last else None
        self.is_silent = not last
        self.failing = last[-1] if len(last) == FAILING and all(map(_fails, last)) else None

    @override
    async def taken_up(self, signal_id: str) -> None:
        await self._note_taken()
        self._has_more = self.alerts.has_more

    def drafted_alert(self, record: AlertRecord) -> tuple[Verdict, Signal | None]:
        """What would become of an alert by the figures of the last cycle, and the signal that it would be."""
        return self.alerts.draft(record, self._moment)

    # Inside

    async def _note_taken(self) -> list[AlertRecord]:
        """Take note of what was taken up since; returns what still waits. Raises LedgerError."""
        waiting = await self._ledger.ask(self._ledger.waiting_alerts, self.key)
        taken = await self._ledger.ask(self._taken, waiting)
        if taken:
            self.alerts.took(taken)
            await self._ledger.ask(self._ledger.remember, self._memory, self.source.memory)
            await self._settle([replace(record, state=AlertState.TAKEN) for record in taken])
        return [record for record in waiting if record not in taken]

    def _taken(self, waiting: Sequence[AlertRecord]) -> list[AlertRecord]:
        """Those whose signal was written down; synchronous."""
        known = {name: self._ledger.signal(self.named(name)) for name in {record.signal_id for record in waiting}}
        return [
            record
            for record in waiting
            if (signal := known[record.signal_id]) is not None and signal.result is not Result.REJECTED
        ]

    def _resting(self) -> frozenset[str]:
        """Coins in which orders of its own wait for their price, or may; synchronous."""
        orders = [*self._ledger.resting(), *self._ledger.in_flight()]
        return frozenset(order.coin for order in orders if order.source == self.key and order.type.rests)

    def _unsent(self) -> list[AlertRecord]:
        """Alerts in a signal that is not over, of coins for which it has sent nothing yet; synchronous."""
        signals = self._ledger.open_signals(Result.OPEN, Result.WAITING)
        keys = [each.key for each in signals if each.source == self.key and isinstance(each.wants, Moves)]
        sent = {key: {order.coin for order in self._ledger.orders(key)} for key in keys}
        return [
            record
            for key in keys
            for record in self._ledger.alerts_in(self.key, key.signal_id)
            if record.state is AlertState.TAKEN and record.coin not in sent[key]
        ]

    async def _settle(self, records: Sequence[AlertRecord]) -> None:
        """Write down what became of alerts, and report those that are done. Raises LedgerError."""
        if records:
            await self._ledger.ask(self._ledger.settle_alerts, records)
        for record in records:
            if record.state not in {AlertState.WAITING, AlertState.AGAIN}:
                self._events.outside_alert(record.state.value, record)


def _fails(record: AlertRecord) -> bool:
    """Whether an alert was refused for what somebody has to put right."""
    return record.state is AlertState.REFUSED and record.reason in _FAILURES


def _written(state: AlertState, reason: str = "") -> dict[str, Any]:
    return {"state": state, "reason": reason}


def _in_signal(record: AlertRecord, signal: Signal) -> dict[str, Any]:
    """That an alert is in a signal that is not taken up yet."""
    state = AlertState.WAITING if record.state is AlertState.WAITING else AlertState.AGAIN
    return {"state": state, "signal_id": signal.signal_id}


def _tested(verdict: Verdict) -> dict[str, Any]:
    """What would have become of a test."""
    return _written(AlertState.TESTED, verdict.reason or verdict.state.value)
