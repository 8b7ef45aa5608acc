"""Where alerts arrive: proven by a token, read strictly, written down in groups before they are answered."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
import hashlib
import hmac
import re
import secrets

from ..alert import Alert, AlertRecord, AlertState, Ask, InvalidAlert, Problem
from ..events import EventQueue
from ..ledger.ledger import Ledger
from ..ledger.storage import LedgerError
from ..settings import Settings
from ..signal import Signal
from .alert_format import parse_alert
from .alerts import AlertSettings, Verdict
from .alerts_state import AlertsState

# Bytes of a token before they are written as text, and how it looks then.
TOKEN_BYTES = 32
_TOKENS = re.compile(rb"[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
# How far a sender's clock may be ahead.
AHEAD = timedelta(minutes=1)
MAX_DETAIL = 200


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def has_token(body: bytes, kept: str) -> bool:
    """Whether the token that a hash is kept of stands in a text, wherever its format has a place for it."""
    return any(hmac.compare_digest(hashlib.sha256(each).hexdigest(), kept) for each in set(_TOKENS.findall(body)))


class _Group:
    """Alerts that are written down in one commit."""

    def __init__(self) -> None:
        self.records: list[tuple[AlertRecord, bool]] = []
        self.written: list[AlertRecord | None] | None = None
        self.error: LedgerError | None = None


class AlertInbox:
    """Takes in the alerts of one portfolio."""

    def __init__(
        self,
        states: Iterable[AlertsState],
        settings: Settings,
        ledger: Ledger,
        clock: Callable[[], datetime],
        events: EventQueue,
    ) -> None:
        self._states: Mapping[str, AlertsState] = {state.key: state for state in states}
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._events = events
        self._writing = asyncio.Lock()
        self._group = _Group()

    async def receive(self, key: str, body: bytes) -> AlertRecord | None:
        """Write an alert for a source down; None where too many wait already. Raises LedgerError."""
        record, is_named = self.read(key, body)
        group, place = self._group, len(self._group.records)
        group.records.append((record, is_named))
        async with self._writing:
            if group.written is None and group.error is None:  # by the first one of those that came meanwhile
                self._group = _Group()
                await self._write(group)
        if group.written is None:
            raise group.error or LedgerError("the alert was not written down")
        written = group.written[place]
        if written:
            self._events.outside_alert("repeated" if written.repeats else "received", written)
        return written

    def read(self, key: str, body: bytes) -> tuple[AlertRecord, bool]:
        """An alert as it is to be written down, and whether its text names its time or an id."""
        now = self._clock()
        record = AlertRecord(source=key, received_at=now, digest=hashlib.sha256(body).hexdigest())
        settings = self._states[key].alerts.settings
        try:
            alert = parse_alert(body, self._settings.coins)
        except InvalidAlert as err:
            return _refused(record, err.problem, err.detail), False
        record = replace(
            record,
            told_at=alert.told_at,
            format=alert.format,
            coin=alert.coin,
            wants=alert.wants,
            is_test=alert.is_test,
        )
        if problem := _problem(alert, settings, now):
            record = _refused(record, problem)
        return record, alert.told_at is not None or alert.has_id

    def draft(self, key: str, body: bytes) -> tuple[AlertRecord, Verdict, Signal | None]:
        """What an alert would come to by the figures of the last cycle; nothing is written down."""
        record, _ = self.read(key, body)
        if record.wants is None or record.state is AlertState.REFUSED:
            return record, Verdict(AlertState.REFUSED, record.reason), None
        return record, *self._states[key].drafted_alert(record)

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the sources that take alerts."""
        return frozenset(self._states)

    # Inside

    async def _write(self, group: _Group) -> None:
        try:
            group.written = await self._ledger.ask(self._ledger.add_alerts, group.records)
        except LedgerError as err:
            group.error = err


def _problem(alert: Alert, settings: AlertSettings, now: datetime) -> Problem | None:
    """Why an alert is refused when it comes."""
    if alert.told_at is None:
        return None if Ask.UNTIMED in settings.allow else Problem.UNTIMED
    if alert.told_at > now + AHEAD:
        return Problem.EARLY
    longest = settings.max_age if alert.max_age is None else min(alert.max_age, settings.max_age)
    return Problem.LATE if now - alert.told_at > longest else None


def _refused(record: AlertRecord, problem: Problem, detail: str = "") -> AlertRecord:
    return replace(record, state=AlertState.REFUSED, reason=problem, detail=detail[:MAX_DETAIL])
