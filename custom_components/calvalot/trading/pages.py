"""Pages of a ledger as plain JSON, the newest first: each says the `seq` that the next page comes before."""

from .ledger.ledger import Ledger
from .responses import Json, cash_flow, signal, trade


def signals(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Signals, each with what it traded. Raises LedgerError."""
    records = ledger.signals(limit, before=before)
    orders = ledger.orders_of([record.key for record in records])
    traded = ledger.trades_by_order([order.seq for each in orders.values() for order in each])
    return [
        {
            "seq": record.seq,
            **signal(record, orders[record.key]),
            "trades": [trade(traded[order.seq], ledger.mode) for order in orders[record.key] if order.seq in traded],
        }
        for record in records
    ]


def trades(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Orders that traded. Raises LedgerError."""
    return [{"seq": seq, **trade(each, ledger.mode)} for seq, each in ledger.trades_before(limit, before).items()]


def cash_flows(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Cash flows. Raises LedgerError."""
    return [{"seq": flow.seq, **cash_flow(flow)} for flow in ledger.flows(limit, before=before) if flow.is_shown]
