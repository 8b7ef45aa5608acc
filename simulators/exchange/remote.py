"""The same switches over HTTP: commands in, state out, as plain JSON."""

from collections import Counter
from dataclasses import asdict
from decimal import Decimal

from .faults import Fault
from .outside import OutsideControl
from .refusal import RefusalError
from .symbols import text

COMMANDS = {
    "set_price",
    "walk",
    "hold",
    "release",
    "set_volatility",
    "remove_price",
    "restore_price",
    "set_symbol_status",
    "set_depth",
    "delist",
    "relist",
    "price",
    "prices",
    "set_balance",
    "balance",
    "balances",
    "add_account",
    "add_key",
    "add_old_orders",
    "wipe",
    "set_account",
    "trade_against",
    "cancel_order",
    "deposit",
    "withdraw",
    "convert",
    "sweep_dust",
    "reward",
    "trade_by_hand",
    "advance",
    "set_latency",
    "set_weight_limit",
    "set_sapi",
    "ban",
    "new_client",
    "count",
    "forget_requests",
    "fault",
    "clear_faults",
}
WRONG = (TypeError, ValueError, ArithmeticError, LookupError, RefusalError)


def perform(control: OutsideControl, command: dict[str, object]) -> object:
    """Carry out ``{"do": name, **arguments}``."""
    arguments = dict(command)
    name = str(arguments.pop("do", ""))
    if name not in COMMANDS:
        raise ValueError(f"do is one of {', '.join(sorted(COMMANDS))}")
    method = getattr(control, name)
    return plain(method(**arguments))


def state(control: OutsideControl, *, log: bool = False) -> dict[str, object]:
    """Everything that can be shown, as JSON."""
    counts = Counter(f"{request.method} {request.path}" for request in control.requests)
    shown: dict[str, object] = {
        "server_time": control.server_time,
        "prices": plain(control.prices()),
        "accounts": {
            key: {
                "bnb_burn": account.bnb_burn,
                "balances": {
                    asset: {"free": text(balance.free), "locked": text(balance.locked)}
                    for asset, balance in account.balances.items()
                    if balance.total
                },
                "orders": [order.json for order in account.orders],
                "trades": [trade.json for trade in account.trades],
            }
            for key, account in control.accounts.items()
        },
        "streams": {"opened": control.streams.opened, "connections": len(control.streams.connections)},
        "requests": {
            "total": len(control.requests),
            "used_weight": control.used_weight,
            "bans": control.bans,
            "unheeded": control.unheeded,
            "counts": dict(counts),
        },
        "faults": {"waiting": len(control.faults_waiting), "injected": dict(control.faults_injected)},
    }
    if log:
        shown["log"] = [asdict(request) for request in control.requests]
    return shown


def plain(value: object) -> object:
    """Amounts as text, a fault by its kind, the rest as it is."""
    match value:
        case Decimal():
            return text(value)
        case Fault():
            return {"kind": value.kind, "hits": value.hits}
        case dict():
            return {key: plain(item) for key, item in value.items()}
    return value
