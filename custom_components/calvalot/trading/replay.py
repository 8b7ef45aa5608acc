"""A book computed again from what was written down: fills and withdrawals in kind, in the order in which they were booked."""

from collections.abc import Iterable, Iterator, Sequence

from .decimals import ZERO
from .ledger.records import BookedFill, CashFlow
from .portfolio import Portfolio


def in_order(fills: Iterable[BookedFill], in_kind: Sequence[CashFlow]) -> Iterator[BookedFill | CashFlow]:
    """Fills and withdrawals in kind, both in the order of booking, as one row."""
    waiting = list(in_kind)
    for fill in fills:
        while waiting and (waiting[0].after_fill or 0) < fill.seq:
            yield waiting.pop(0)
        yield fill
    yield from waiting


def replayed(portfolio: Portfolio, step: BookedFill | CashFlow, quote: str) -> Portfolio:
    """The portfolio after one of them. Raises BookError."""
    if isinstance(step, CashFlow):
        return portfolio.with_withdrawal(step.coin or "", step.quantity or ZERO, -step.amount_quote)
    fill = step.fill
    return portfolio.with_fill(fill, step.side, step.coin, quote, step.fee_price, lendable=fill.quantity)
