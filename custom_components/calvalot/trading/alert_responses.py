"""Alerts from outside as plain JSON."""

from datetime import datetime

from .alert import AlertRecord, Hold, Trade, Unit
from .decimals import HUNDRED, decimal_text
from .ledger.ledger import Ledger
from .ledger.records import Result
from .responses import Json, iso
from .signal import SignalKey, SourceKind


def outside_alert(record: AlertRecord, result: str = "") -> Json:
    """An alert as get_alerts and its event tell it; `result` is what became of the signal that it is in."""
    return {
        "id": record.seq,
        "time": iso(record.received_at),
        "sent": None if record.told_at is None else iso(record.told_at),
        "source": record.source,
        "format": record.format,
        "coin": record.coin,
        **wanted(record.wants),
        "test": record.is_test,
        "state": record.state.value,
        "reason": record.reason,
        "detail": record.detail,
        "signal_id": record.signal_id,
        "result": result,
        "repeats": record.repeats,
    }


def wanted(wants: Hold | Trade | None) -> Json:
    """What an alert asks for: to hold a share in % (None: as much as its source may), or a trade of a size."""
    if isinstance(wants, Trade):
        size = wants.size * HUNDRED if wants.unit is Unit.SHARE else wants.size
        return {"wants": wants.side.value.lower(), "size": decimal_text(size), "unit": wants.unit.value}
    share = None if wants is None or wants.share is None else decimal_text(wants.share * HUNDRED)
    return {"wants": "" if wants is None else "hold", "size": share, "unit": "" if wants is None else Unit.SHARE.value}


def alerts(ledger: Ledger, limit: int, before: int | None = None, since: datetime | None = None) -> list[Json]:
    """Alerts, newest first, each with what became of its signal. Raises LedgerError."""
    return [outside_alert(record, _result(ledger, record)) for record in ledger.alerts(limit, since, before)]


def _result(ledger: Ledger, record: AlertRecord) -> str:
    """What became of the signal that an alert is in, or of the blend that this is in."""
    signal = ledger.signal(SignalKey(record.source, record.signal_id)) if record.signal_id else None
    if signal and signal.result is Result.BLENDED:
        signal = ledger.signal(SignalKey(SourceKind.BLEND, signal.reason))
    return signal.result.value if signal else ""
