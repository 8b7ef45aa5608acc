"""Diagnostics: the shape of things, never a secret, an amount or the leader's address."""

from collections.abc import Awaitable
from dataclasses import asdict, fields
from typing import Any

import binance
from homeassistant.components.diagnostics import async_redact_data
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from yarl import URL

from .const import CONF_DUST_THRESHOLD, CONF_MIN_ORDER, CONF_RANK_KEY, CONF_SURVIVAL_FLOOR
from .coordinator import CalvalotConfigEntry
from .market import Market
from .publishers.publishers import Publishers
from .registry import type_of
from .settings import version
from .trading.errors import CommandError
from .trading.snapshot import Figures
from .trading.urls import is_private

REDACTED = (CONF_MIN_ORDER, CONF_DUST_THRESHOLD, CONF_SURVIVAL_FLOOR, CONF_RANK_KEY)


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: CalvalotConfigEntry) -> dict[str, Any]:
    """Return diagnostics for a follower."""
    coordinator = entry.runtime_data
    snapshot = coordinator.data
    health = coordinator.engine.health
    verifier = coordinator.verifier
    source = type_of(entry.data)
    address = source.address(entry.data)
    now = dt_util.utcnow()
    return {
        "version": await version(hass),
        "python_binance": binance.__version__,
        "mode": coordinator.settings.mode,
        "quote_asset": coordinator.settings.quote,
        "coins": list(coordinator.settings.coins),
        "options": async_redact_data(entry.options, REDACTED),
        "status": snapshot.status,
        "source": source.kind,
        "leader": address
        and {
            "scheme": URL(address).scheme,
            "private": is_private(address),
            "connected": snapshot.leader_connected,
            "problem": _kind(snapshot.leader_problem),
            "pushes": {"accepted": verifier.accepted, "refused": verifier.refused} if verifier else None,
        },
        "exchange": {
            "name": coordinator.exchange.name,
            "host": coordinator.exchange.host.partition(":")[0],
            "connected": snapshot.exchange_connected,
            "problem": _kind(snapshot.exchange_problem),
            "used_weight": coordinator.exchange.used_weight,
            "permissions": None if snapshot.permissions is None else asdict(snapshot.permissions),
            "account_stream": coordinator.hints.subscribed if coordinator.hints else None,
            "short_of_quote": snapshot.short_of_quote is not None,
        },
        "market": _market(coordinator.market),
        "alerts": [
            {"accepted": each.accepted, "refused": each.refused, "postponed": each.postponed}
            for each in coordinator.alert_webhooks.values()
        ],
        "publishers": _publishers(coordinator.publishers),
        "ranks": {"at": snapshot.ranks_at, "problem": _kind(snapshot.rank_problem)},
        "last_signal": {"time": snapshot.last_signal, "result": snapshot.last_signal_result},
        "last_trade": snapshot.last_trade,
        "as_of": snapshot.as_of,
        "known_figures": {item.name: getattr(snapshot, item.name) is not None for item in fields(Figures)},
        "positions": {
            "shown": len(snapshot.positions),
            "held": sum(view.quantity > 0 for view in snapshot.positions.values()),
            "priced": sum(view.price is not None for view in snapshot.positions.values()),
        },
        "open_orders": [
            {
                "symbol": order.symbol,
                "side": order.side,
                "state": order.state,
                "attempt": order.attempt,
                "age": (now - order.created_at).total_seconds(),
            }
            for order in snapshot.open_orders
        ],
        "unknown_coins": len(snapshot.unknown_coins),
        "waiting": snapshot.waiting_signal is not None,
        "ledger": {
            "mismatch": sorted(snapshot.missing),
            "failed": snapshot.storage_problem is not None,
            "restored": snapshot.restored is not None,
            "records": await _told(coordinator.engine.queries.counts()),
            "book": snapshot.book,
            "books": await _told(coordinator.engine.queries.books()),
        },
        "cycles": [{"started": cycle.started, "seconds": round(cycle.seconds, 3)} for cycle in health.cycles],
        "last_errors": [asdict(trouble) for trouble in health.troubles],
    }


def _publishers(publishers: Publishers | None) -> dict[str, Any] | None:
    """How publishing goes; None while nobody may follow. Neither names, addresses, topics nor anything of a key."""
    if publishers is None or publishers.leading is None or publishers.answers is None:
        return None
    last = publishers.leading.last
    return {
        "problem": _kind(publishers.problem),
        "sequence": last.sequence if last else None,
        "issued": last.issued if last else None,
        "hops": last.hops if last else None,
        "followers": len(publishers.answers.followers),
        "following": publishers.answers.following,
        "refused": publishers.answers.refused,
        "pushes": {"heard": publishers.pusher.heard, "missed": publishers.pusher.missed},
    }


def _market(market: Market) -> dict[str, Any] | None:
    """How the stream is; None while nobody needs it."""
    if (health := market.health) is None:
        return None
    return {
        "connected": health.connected,
        "problem": health.problem,
        "connections": market.stream.connections,
        "frames": {frame: asdict(each) for frame, each in health.frames.items()},
    }


async def _told[T](question: Awaitable[T]) -> T | None:
    try:
        return await question
    except CommandError:
        return None


def _kind(problem: Exception | None) -> str | None:
    return type(problem).__name__ if problem else None
