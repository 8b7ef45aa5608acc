"""Alerts from outside as plain JSON."""

from datetime import datetime

from .alert import AlertRecord, Asked, Cancel, Hold, Trade, Unit
from .decimals import HUNDRED, decimal_text
from .ledger.ledger import Ledger
from .ledger.records import Result
from .responses import Json, iso
from .signal import SignalKey, SourceKind
from .terms import Terms


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


def wanted(wants: Asked | None) -> Json:
    """What an alert asks for: to hold a share in % (None: as much as its source may), a trade of a size, or an end of limits.

    Its terms are prices, or distances in %.
    """
    match wants:
        case Trade(side, unit, size):
            told: Json = {
                "wants": side.value.lower(),
                "size": size * HUNDRED if unit is Unit.SHARE else size,
                "unit": unit,
            }
        case Hold(share):
            told = {"wants": "hold", "size": None if share is None else share * HUNDRED, "unit": Unit.SHARE}
        case Cancel():
            told = {"wants": "cancel", "size": None, "unit": ""}
        case _:
            told = {"wants": "", "size": None, "unit": ""}
    size, unit = told["size"], told["unit"]
    return {**told, "size": None if size is None else decimal_text(size), "unit": str(unit), **_terms(wants)}


def _terms(wants: Asked | None) -> Json:
    """Limit, take profit, stop loss and trailing stop, as actions take them."""
    terms = (wants and wants.terms) or Terms()
    levels = {"limit_price": terms.limit, "take_profit": terms.take_profit, "stop_loss": terms.stop_loss}
    trailing = None if terms.trailing is None else f"{decimal_text(terms.trailing / HUNDRED)} %"
    return {name: level and level.text for name, level in levels.items()} | {"trailing_stop": trailing}


def alerts(ledger: Ledger, limit: int, before: int | None = None, since: datetime | None = None) -> list[Json]:
    """Alerts, newest first, each with what became of its signal. Raises LedgerError."""
    return [outside_alert(record, _result(ledger, record)) for record in ledger.alerts(limit, since, before)]


def _result(ledger: Ledger, record: AlertRecord) -> str:
    """What became of the signal that an alert is in, or of the blend that this is in."""
    signal = ledger.signal(SignalKey(record.source, record.signal_id)) if record.signal_id else None
    if signal and signal.result is Result.BLENDED:
        signal = ledger.signal(SignalKey(SourceKind.BLEND, signal.reason))
    return signal.result.value if signal else ""
