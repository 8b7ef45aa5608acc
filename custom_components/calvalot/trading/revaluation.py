"""What a flow that is dated back changes: every value known after it, and the units that later flows minted.

A value is known at the end of each day (the closes) and at each flow. The unit price that the flow itself meets is the one of
the last known value before it; what the price did in between, and the drawdown within a day, is not known any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, localcontext

from .decimals import EXACT, ZERO
from .ledger.records import CashFlow
from .performance import Close, Drawdown, Units


class NotWorthThat(Exception):
    """More would have been taken out than there was at that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revaluation:
    """The flow with the value just before it, the flows and closes after it as they are now, units and drawdown at the end."""

    flow: CashFlow
    flows: tuple[CashFlow, ...]
    closes: tuple[Close, ...]
    units: Units
    drawdown: Drawdown


def end_of_day(close: Close) -> datetime:
    """The moment in which a close is the value."""
    return datetime.combine(close.day + timedelta(days=1), time(), UTC)


def revalue(flow: CashFlow, flows: Sequence[CashFlow], closes: Sequence[Close], *, leaves: bool = False) -> Revaluation:
    """Put a flow among others, each with the value before it, and between the closes, both oldest first.

    The value before the flow is the one it has, where that was known at its time. One that `leaves` is taken out of what came
    after it; it is not among the others. Raises NotWorthThat.
    """
    if leaves:
        flow = replace(flow, amount=-flow.amount, amount_quote=-flow.amount_quote)
    base = next((close for close in reversed(closes) if end_of_day(close) <= flow.time), None)
    units, drawdown = (base.units, base.drawdown) if base else (Units(), Drawdown())
    since = end_of_day(base) if base else None
    # A flow is part of the close at the end of its day.
    known: list[tuple[datetime, CashFlow | Close]] = [
        *(
            (each.time, each)
            for each in flows
            if each.value_before is not None and (since is None or each.time >= since)
        ),
        *((end_of_day(each), each) for each in closes if since is None or end_of_day(each) > since),
    ]
    known.sort(key=lambda each: each[0])
    placed: CashFlow | None = None
    later: list[CashFlow] = []
    changed: list[Close] = []

    def place(units: Units) -> tuple[CashFlow, Units]:
        if leaves:
            return flow, units
        value = units.outstanding * units.price if flow.value_before is None else flow.value_before
        if value + flow.amount < 0:
            raise NotWorthThat
        return replace(flow, value_before=value), units.with_flow(value, flow.amount)

    with localcontext(EXACT):
        for moment, each in known:
            if placed is None and moment > flow.time:
                placed, units = place(units)
            if isinstance(each, CashFlow):
                before = (each.value_before or ZERO) + (
                    _worth(flow, each.amount, each.amount_quote) if placed else ZERO
                )
                if before + each.amount < 0:
                    raise NotWorthThat
                units = units.with_flow(before, each.amount)
                if placed:
                    later.append(replace(each, value_before=before))
            else:  # a close: only those that end after the flow are known
                value = each.value + _worth(flow, each.value, each.value_quote)
                if value < 0:
                    raise NotWorthThat
                units = units.valued(value)
                drawdown = drawdown.seen(units.price)
                changed.append(
                    replace(
                        each,
                        value=value,
                        value_quote=each.value_quote + flow.amount_quote,
                        net_deposits=each.net_deposits + flow.amount,
                        units=units,
                        drawdown=drawdown,
                    )
                )
        if placed is None:
            placed, units = place(units)
    return Revaluation(flow=placed, flows=tuple(later), closes=tuple(changed), units=units, drawdown=drawdown)


def _worth(flow: CashFlow, amount: Decimal, quote: Decimal) -> Decimal:
    """What the flow's quote was worth in EUR when that quote was worth that amount."""
    return flow.amount_quote * amount / quote if quote else flow.amount
