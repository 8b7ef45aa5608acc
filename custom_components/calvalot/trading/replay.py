"""A book computed again from what was written down: fills and flows in kind, in the order in which they were booked."""

from collections.abc import Iterable, Iterator, Sequence

from .decimals import ZERO
from .ledger.records import BookedFill, CashFlow, FlowKind
from .portfolio import Portfolio


def in_order(fills: Iterable[BookedFill], in_kind: Sequence[CashFlow]) -> Iterator[BookedFill | CashFlow]:
    """Fills and flows in kind, both in the order of booking, as one row."""
    waiting = list(in_kind)
    for fill in fills:
        while waiting and (waiting[0].after_fill or 0) < fill.seq:
            yield waiting.pop(0)
        yield fill
    yield from waiting


def with_flow_in_kind(portfolio: Portfolio, flow: CashFlow) -> Portfolio:
    """The portfolio after coins came or left, at what they were worth. Raises BookError."""
    coin, quantity = flow.coin or "", flow.quantity or ZERO
    if flow.kind is FlowKind.CARRIED and flow.arrives:
        return portfolio.with_carried(coin, quantity, flow.amount_quote)
    if flow.arrives:
        return portfolio.with_deposit(coin, quantity, flow.amount_quote)
    return portfolio.with_withdrawal(coin, quantity, -flow.amount_quote)


def replayed(portfolio: Portfolio, step: BookedFill | CashFlow, quote: str) -> Portfolio:
    """The portfolio after one of them. Raises BookError."""
    if isinstance(step, CashFlow):
        return with_flow_in_kind(portfolio, step)
    fill = step.fill
    return portfolio.with_fill(fill, step.side, step.coin, quote, step.fee_price, lendable=fill.quantity)
