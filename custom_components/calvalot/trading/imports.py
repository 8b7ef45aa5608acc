"""Takes the history of another tool in: a look first, then all of it or nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import tzinfo
from decimal import Decimal, localcontext
from pathlib import Path

from .decimals import EXACT, ZERO
from .errors import CommandError
from .exchanges.base import Side
from .ledger.ledger import Ledger
from .ledger.past import PastKind, PastRecord
from .predecessors import History, UnknownHistory, read
from .responses import Json, iso

SHOWN = 20


def import_history(ledger: Ledger, path: Path, zone: tzinfo, *, dry_run: bool, skip_unreadable: bool) -> Json:
    """Read a file and, unless it is a dry run, take in what it holds. Raises CommandError, LedgerError.

    A record that cannot be read keeps the others out as well, unless such are to be skipped.
    """
    try:
        history = read(path, zone)
    except UnknownHistory as err:
        raise CommandError("history_unknown", file=path.name) from err
    except OSError as err:
        raise CommandError("history_no_file", file=path.name) from err
    known = ledger.known_past(history.tool, history.records)
    if not dry_run:
        if history.unreadable and not skip_unreadable:
            raise CommandError("history_unreadable", count=f"{len(history.unreadable)}")
        ledger.add_past(history.tool, history.records)
    return _told(history, known, dry_run=dry_run)


def _told(history: History, known: Iterable[bool], *, dry_run: bool) -> Json:
    new = Counter(record.kind for record, there in zip(history.records, known, strict=True) if not there)
    times = [record.time for record in history.records]
    return {
        "tool": history.tool,
        "dry_run": dry_run,
        "found": dict(Counter(record.kind for record in history.records)),
        "new": dict(new),
        "unreadable": len(history.unreadable),
        "unreadable_first": [{"where": where, "reason": reason} for where, reason in history.unreadable[:SHOWN]],
        "left_out": dict(history.left_out),
        "since": iso(min(times)) if times else None,
        "until": iso(max(times)) if times else None,
        "sums": _sums(history.records),
    }


def _sums(records: Iterable[PastRecord]) -> Json:
    """Sums by currency, as the other tool shows them."""
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    with localcontext(EXACT):
        for record in records:
            amount = record.amount or ZERO
            match record.kind:
                case PastKind.CASH_FLOW:
                    sums["deposits" if amount > 0 else "withdrawals"][record.currency] += abs(amount)
                case PastKind.TRADE:
                    sums["bought" if record.side is Side.BUY else "sold"][record.currency] += amount
                    sums["fees"][record.currency] += record.fee or ZERO
                case PastKind.FEE:
                    sums["fees"][record.currency] += amount
                case _:
                    pass
    return {name: {currency: f"{total:f}" for currency, total in by.items()} for name, by in sums.items()}
