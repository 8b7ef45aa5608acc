"""Everything that came and went, in the order of time, as any export tells it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from heapq import merge

from ..decimals import ZERO
from ..exchanges.base import Side
from ..ledger.records import BookedFill, CashFlow, FlowKind

type Amount = tuple[Decimal, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A trade (received and sent), a deposit (received) or a withdrawal (sent), gross, with the fees that came on top of it.

    `exchange` is where that was, as the tax programs write it.
    """

    id: str
    time: datetime
    exchange: str
    received: Amount | None = None
    sent: Amount | None = None
    fees: tuple[Amount, ...] = ()
    note: str = ""

    def fee_in(self, asset: str) -> Decimal:
        """Fee that was taken in an asset."""
        return sum((amount for amount, of in self.fees if of == asset), ZERO)

    @property
    def assets(self) -> tuple[str, ...]:
        """What is received or sent."""
        return tuple(asset for _, asset in filter(None, (self.received, self.sent)))


def movements(
    orders: Iterable[Sequence[BookedFill]], flows: Iterable[CashFlow], quote: str, exchange: str
) -> Iterator[Movement]:
    """What came and went, oldest first, of the fills of each order and of flows, both in that order.

    The fills of one order are one trade, of a coin into another too, at the time of its last one; money came to `exchange`.
    """
    trades = (_trade(each, quote) for each in orders)
    moved = (
        _flow(flow, quote, exchange)
        for flow in flows
        if flow.value_before is not None and flow.kind is not FlowKind.CARRIED
    )
    return merge(moved, trades, key=lambda movement: movement.time)


def _trade(fills: Sequence[BookedFill], quote: str) -> Movement:
    first = fills[0]
    fees: dict[str, Decimal] = {}
    for each in fills:
        fees[each.fill.fee_asset] = fees.get(each.fill.fee_asset, ZERO) + each.fill.fee
    bought, sold = ([each for each in fills if each.side is side] for side in (Side.BUY, Side.SELL))
    received, sent = _coins(bought) or _money(sold, quote), _coins(sold) or _money(bought, quote)
    return Movement(
        id=f"trade-{first.order_seq}",
        time=max(each.fill.time for each in fills),
        received=received,
        sent=sent,
        fees=tuple((fee, asset) for asset, fee in fees.items() if fee),
        exchange=first.exchange.capitalize(),
    )


def _coins(fills: Sequence[BookedFill]) -> Amount | None:
    return (sum((each.fill.quantity for each in fills), ZERO), fills[0].coin) if fills else None


def _money(fills: Sequence[BookedFill], quote: str) -> Amount:
    return sum((each.fill.amount for each in fills), ZERO), quote


def _flow(flow: CashFlow, quote: str, exchange: str) -> Movement:
    amount = (flow.quantity or ZERO, flow.coin) if flow.coin else (abs(flow.amount_quote), quote)
    return Movement(
        id=f"flow-{flow.seq}",
        time=flow.time,
        received=amount if flow.arrives else None,
        sent=None if flow.arrives else amount,
        note=flow.note,
        exchange=exchange.capitalize(),
    )
