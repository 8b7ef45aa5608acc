"""Repair issues: a table of what can be wrong with a follower, raised and cleared with what it publishes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Any

from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry, ConfigFlowResult
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from yarl import URL

from .const import (
    CONF_LEADER_URL,
    CONF_QUOTE_ASSET,
    CONF_REFUSED_BY,
    CONF_REFUSED_SOURCE,
    DEFAULT_QUOTE_ASSET,
    DOMAIN,
    UNKNOWN_ORDER_GRACE,
)
from .trading.decimals import ZERO, decimal_text
from .trading.errors import InvalidKey, LeaderForbidden, LeaderSignalsOff, SourceError
from .trading.ledger.records import CashFlow, OrderRecord
from .trading.market.coinmarketcap import RankKeyRefused
from .trading.snapshot import Snapshot, Status
from .trading.sources.strategy_settings import NoCandles, StrategyChanged, StrategyInvalid
from .trading.strategies.script_evaluator import StrategyFailed
from .trading.urls import is_private

CENT = Decimal("0.01")
# The exchange's code for a key that it does not know or that may not come from this address.
KEY_OR_ADDRESS = -2015


# How long an address for alerts may stay without any before somebody is asked to look.
SILENT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of issue: `details` returns its placeholders while it is there, else None.

    One that is not `published` does not rest on what a portfolio publishes: it is raised and cleared where it is found.
    """

    key: str
    details: Callable[[Snapshot, ConfigEntry[Any]], Mapping[str, str] | None] = lambda _snapshot, _entry: None
    severity: ir.IssueSeverity = ir.IssueSeverity.ERROR
    fixable: bool = False
    persistent: bool = False
    published: bool = True


def _when(present: bool) -> Mapping[str, str] | None:
    """Nothing more to say of a problem than whether it is there."""
    return {} if present else None


def _clock_skew(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    match snapshot.leader_problem:
        case LeaderForbidden(clocks_differ=True, clock_skew=float(skew)):
            return {"seconds": f"{abs(skew):.0f}"}
    return None


def unknown_orders(snapshot: Snapshot) -> list[OrderRecord]:
    """Orders of which the exchange has not told for too long what became of them."""
    now = dt_util.utcnow()
    return [order for order in snapshot.open_orders if order.sent_at and now - order.sent_at > UNKNOWN_ORDER_GRACE]


def order_text(order: OrderRecord) -> str:
    """An order in the words of the exchange."""
    size = f"{order.quantity:f}"
    if order.quote_amount is not None:
        size = f"{order.quote_amount.normalize():f} {order.symbol.removeprefix(order.coin)}"
    return f"{order.side} {size} {order.symbol} ({order.client_order_id})"


def movement_text(flow: CashFlow | None, entry: ConfigEntry[Any]) -> str:
    """What came (+) or left (−), and when in UTC."""
    if flow is None:
        return "–"
    asset = flow.coin or entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
    quantity = flow.quantity or abs(flow.amount_quote)
    return f"{'+' if flow.arrives else '−'}{decimal_text(quantity)} {asset}, {flow.time:%Y-%m-%d %H:%M} UTC"


def _order_unknown(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    orders = unknown_orders(snapshot)
    return {"orders": "\n".join(f"- {order_text(order)}" for order in orders)} if orders else None


def _key_refused(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    match snapshot.exchange_problem:
        case InvalidKey(code=code) if code == KEY_OR_ADDRESS:
            return {"code": str(code)}
    return None


def _no_quote(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    if snapshot.short_of_quote is None:
        return None
    free = max(snapshot.short_of_quote, ZERO).quantize(CENT, ROUND_DOWN)
    return {"quote": entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET), "free": f"{free:f}"}


def source_name(entry: ConfigEntry[Any], key: str) -> str:
    """What a source of an entry is called: a further one by its title, the first one by its address, or as the entry."""
    if (subentry := entry.subentries.get(key)) is not None:
        return subentry.title
    return URL(entry.data.get(CONF_LEADER_URL, "")).host or entry.title


def coins_text(quantities: Mapping[str, Decimal]) -> str:
    """Quantities by asset, in one line."""
    return ", ".join(f"{quantity.normalize():f} {asset}" for asset, quantity in quantities.items())


def _ledger_mismatch(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    return {"missing": coins_text(snapshot.missing)} if snapshot.missing else None


def _conversion_stopped(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    if (left := snapshot.conversion_left) is None:
        return None
    return {"left": coins_text({left.asset: left.quantity}), "asset": left.asset, "goal": left.goal}


def _coin_set_aside(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    if not (aside := snapshot.set_aside):
        return None
    value = sum((position.value or ZERO for position in aside), ZERO).quantize(CENT, ROUND_DOWN)
    quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
    return {"coins": ", ".join(position.coin for position in aside), "value": f"{value:f} {quote}"}


def _movement_unexplained(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    return {"count": f"{len(snapshot.unexplained)}"} if snapshot.unexplained else None


def _ranks_unavailable(snapshot: Snapshot, _entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    problem = snapshot.rank_problem
    if problem is None or isinstance(problem, RankKeyRefused):
        return None
    return {"error": str(problem), "day": f"{snapshot.ranks_at:%Y-%m-%d}" if snapshot.ranks_at else "–"}


def _alerts_refused(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    if not (failing := snapshot.failing_alerts):
        return None
    said = (
        f"- {source_name(entry, key)}: `{alert.reason}`" + (f" – {alert.detail}" if alert.detail else "")
        for key, alert in failing.items()
    )
    return {"alerts": "\n".join(said)}


def _alerts_silent(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    since = max(entry.created_at, entry.modified_at)
    if not (silent := snapshot.silent_alerts) or dt_util.utcnow() - since < SILENT:
        return None
    return {"sources": ", ".join(source_name(entry, key) for key in silent)}


def _undecided(kind: type[SourceError], snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    """The sources that cannot decide for one reason, time and again."""
    keys = [source.key for source in snapshot.sources if source.lost and isinstance(source.problem, kind)]
    return {"sources": ", ".join(source_name(entry, key) for key in keys)} if keys else None


def _strategy_changed(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    """The first source whose file is another one than was allowed."""
    for source in snapshot.sources:
        if isinstance(changed := source.problem, StrategyChanged):
            hashes = {"allowed": changed.allowed, "found": changed.found}
            return {"source": source.key, "sources": source_name(entry, source.key), "file": changed.file, **hashes}
    return None


def _strategy_failed(snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    """What the strategies in Python failed for, time and again."""
    said = [
        f"- {source_name(entry, source.key)}: `{source.problem.told}`"
        for source in snapshot.sources
        if source.lost and isinstance(source.problem, StrategyFailed)
    ]
    return {"failures": "\n".join(said)} if said else None


def _plain_http(_snapshot: Snapshot, entry: ConfigEntry[Any]) -> Mapping[str, str] | None:
    url = URL(entry.data.get(CONF_LEADER_URL, ""))
    return {"host": url.host or ""} if url.scheme == "http" and not is_private(str(url)) else None


# Found while setting up, when nothing is published yet.
LEDGER_UNREADABLE = Problem(key="ledger_unreadable", severity=ir.IssueSeverity.CRITICAL)
LEDGER_NEWER = Problem(key="ledger_newer", severity=ir.IssueSeverity.CRITICAL)

# Raised when a follower is removed, and kept until it was read.
COINS_LEFT = Problem(key="coins_left", severity=ir.IssueSeverity.WARNING, fixable=True, persistent=True)
ORDERS_LEFT = Problem(key="orders_left", severity=ir.IssueSeverity.ERROR, fixable=True, persistent=True)

# Found by the stream, which portfolios share.
MARKET_DATA_BROKEN = Problem(key="market_data_broken", severity=ir.IssueSeverity.WARNING, published=False)

# Found by the address that alerts arrive on.
ALERTS_WITHOUT_TOKEN = Problem(key="alerts_without_token", severity=ir.IssueSeverity.WARNING, published=False)

# Found where publications are written down.
NOTHING_PUBLISHED = Problem(key="nothing_published", published=False)

PROBLEMS = (
    COINS_LEFT,
    MARKET_DATA_BROKEN,
    NOTHING_PUBLISHED,
    ORDERS_LEFT,
    LEDGER_NEWER,
    LEDGER_UNREADABLE,
    Problem(key="clock_skew", details=_clock_skew),
    Problem(
        key="signals_off",
        details=lambda snapshot, _: _when(isinstance(snapshot.leader_problem, LeaderSignalsOff)),
    ),
    Problem(key="plain_http", details=_plain_http, severity=ir.IssueSeverity.WARNING),
    Problem(key="key_refused", details=_key_refused),
    Problem(
        key="key_cannot_trade",
        details=lambda snapshot, _: _when(bool(snapshot.permissions and not snapshot.permissions.can_trade)),
    ),
    Problem(
        key="key_can_withdraw",
        details=lambda snapshot, _: _when(bool(snapshot.permissions and snapshot.permissions.can_withdraw)),
        severity=ir.IssueSeverity.WARNING,
    ),
    Problem(key="no_quote", details=_no_quote),
    Problem(
        key="unknown_coin",
        details=lambda snapshot, _: {"coins": ", ".join(snapshot.unknown_coins)} if snapshot.unknown_coins else None,
        fixable=True,
    ),
    Problem(
        key="moves_in_blend",
        details=lambda snapshot, entry: (
            {"sources": ", ".join(source_name(entry, key) for key in snapshot.moves_in_blend)}
            if snapshot.moves_in_blend
            else None
        ),
        severity=ir.IssueSeverity.WARNING,
    ),
    ALERTS_WITHOUT_TOKEN,
    Problem(key="alerts_refused", details=_alerts_refused, severity=ir.IssueSeverity.WARNING),
    Problem(key="alerts_silent", details=_alerts_silent, severity=ir.IssueSeverity.WARNING),
    Problem(key="strategy_invalid", details=partial(_undecided, StrategyInvalid), severity=ir.IssueSeverity.WARNING),
    Problem(key="strategy_changed", details=_strategy_changed, severity=ir.IssueSeverity.WARNING, fixable=True),
    Problem(key="strategy_failed", details=_strategy_failed, severity=ir.IssueSeverity.WARNING),
    Problem(key="strategy_no_candles", details=partial(_undecided, NoCandles), severity=ir.IssueSeverity.WARNING),
    Problem(
        key="rank_key_refused",
        details=lambda snapshot, _: _when(isinstance(snapshot.rank_problem, RankKeyRefused)),
    ),
    Problem(key="ranks_unavailable", details=_ranks_unavailable, severity=ir.IssueSeverity.WARNING),
    Problem(
        key="rank_ambiguous",
        details=lambda snapshot, _: (
            {"coins": ", ".join(snapshot.ambiguous_coins)} if snapshot.ambiguous_coins else None
        ),
        severity=ir.IssueSeverity.WARNING,
        fixable=True,
    ),
    Problem(key="order_unknown", details=_order_unknown, fixable=True),
    Problem(
        key="dead",
        details=lambda snapshot, _: _when(snapshot.status is Status.DEAD),
        severity=ir.IssueSeverity.CRITICAL,
        fixable=True,
    ),
    Problem(
        key="ledger_failed",
        details=lambda snapshot, _: {"error": snapshot.storage_problem} if snapshot.storage_problem else None,
        severity=ir.IssueSeverity.CRITICAL,
    ),
    Problem(
        key="ledger_restored",
        details=lambda snapshot, _: None if snapshot.restored is None else {"copy": snapshot.restored or "–"},
        severity=ir.IssueSeverity.WARNING,
        fixable=True,
    ),
    Problem(key="coin_set_aside", details=_coin_set_aside, severity=ir.IssueSeverity.WARNING, fixable=True),
    Problem(key="movement_unexplained", details=_movement_unexplained, severity=ir.IssueSeverity.WARNING, fixable=True),
    Problem(
        key="conversion_stopped",
        details=_conversion_stopped,
        severity=ir.IssueSeverity.WARNING,
        fixable=True,
    ),
    Problem(key="ledger_mismatch", details=_ledger_mismatch, fixable=True),
    Problem(
        key="signal_returned",
        details=lambda snapshot, _: {"signal_id": snapshot.returned_signal} if snapshot.returned_signal else None,
        severity=ir.IssueSeverity.WARNING,
    ),
    Problem(
        key="update_required",
        details=lambda snapshot, _: {"version": snapshot.update_required} if snapshot.update_required else None,
        severity=ir.IssueSeverity.WARNING,
    ),
)


def issue_id(problem: str, entry_id: str) -> str:
    """Id of an issue: each follower has its own."""
    return f"{problem}_{entry_id}"


@callback
def async_raise_issue(
    hass: HomeAssistant, entry: ConfigEntry[Any], problem: Problem, details: Mapping[str, str]
) -> None:
    """Raise an issue, or bring it up to date."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id(problem.key, entry.entry_id),
        data={"entry_id": entry.entry_id, "problem": problem.key, **details},
        is_fixable=problem.fixable,
        is_persistent=problem.persistent,
        severity=problem.severity,
        translation_key=problem.key,
        translation_placeholders={"name": entry.title, **details},
    )


@callback
def async_sync_issues(hass: HomeAssistant, entry: ConfigEntry[Any], snapshot: Snapshot) -> None:
    """Raise the issues that are there and clear the others."""
    for problem in (each for each in PROBLEMS if each.published):
        if (details := problem.details(snapshot, entry)) is None:
            ir.async_delete_issue(hass, DOMAIN, issue_id(problem.key, entry.entry_id))
        else:
            async_raise_issue(hass, entry, problem, details)


@callback
def async_clear_issue(hass: HomeAssistant, problem: Problem, entry_id: str) -> None:
    """Clear one issue of a follower."""
    ir.async_delete_issue(hass, DOMAIN, issue_id(problem.key, entry_id))


@callback
def async_clear_issues(hass: HomeAssistant, entry_id: str) -> None:
    """Clear all issues of a follower."""
    for problem in PROBLEMS:
        async_clear_issue(hass, problem, entry_id)


class Reauthentication:
    """Asks the owner for a refused secret: once it was shown, not again, and one secret at a time."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        """Start with nothing asked."""
        self._hass = hass
        self._entry = entry
        self._asked: set[str] = set()

    @callback
    def async_sync(self, snapshot: Snapshot) -> None:
        """Ask for what is refused; take back a question that has answered itself."""
        flows = self._flows()
        connected = {"leader": snapshot.leader_connected, "exchange": snapshot.exchange_connected}
        if any(connected[who] for who in self._asked):
            self._asked.clear()
            while flows:
                self._hass.config_entries.flow.async_abort(flows.pop()["flow_id"])
        new = [who for who in _refused(snapshot) if who not in self._asked]
        if new and not flows:
            source = {CONF_REFUSED_SOURCE: snapshot.refused_by} if new[0] == "leader" else {}
            self._entry.async_start_reauth(self._hass, data={CONF_REFUSED_BY: new[0], **source})
            # Home Assistant shows none while a reconfiguration is open.
            if self._flows():
                self._asked.add(new[0])

    def _flows(self) -> list[ConfigFlowResult]:
        """The questions that are open."""
        return list(self._entry.async_get_active_flows(self._hass, {SOURCE_REAUTH}))


def _refused(snapshot: Snapshot) -> Iterator[str]:
    """Who refuses a secret; a leader whose clock differs may not mean it."""
    problem = snapshot.leader_problem
    if isinstance(problem, LeaderForbidden) and not problem.clocks_differ:
        yield "leader"
    if isinstance(snapshot.exchange_problem, InvalidKey):
        yield "exchange"
