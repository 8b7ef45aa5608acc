"""Pages of the ledger as plain JSON, newest first; the next page holds what lies before the last `seq`."""

from . import views
from .ledger import Ledger
from .views import Json


def signals(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Signals, each with what it traded. Raises LedgerError."""
    page = []
    for record in ledger.signals(limit, before=before):
        orders = ledger.orders(record.signal_id)
        trades = ledger.trades_of([order.seq for order in orders])
        told = [views.trade(trade, ledger.mode) for trade in trades]
        page.append({"seq": record.seq, **views.signal(record, orders), "trades": told})
    return page


def trades(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Orders that traded. Raises LedgerError."""
    return [
        {"seq": seq, **views.trade(trade, ledger.mode)} for seq, trade in ledger.trades_before(limit, before).items()
    ]


def cash_flows(ledger: Ledger, limit: int, before: int | None) -> list[Json]:
    """Cash flows. Raises LedgerError."""
    return [{"seq": flow.seq, **views.cash_flow(flow)} for flow in ledger.flows(limit, before=before)]
