"""Plans that were shown: what a rebalance would do, coin by coin, kept for a while so that exactly that can be done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
import secrets

from . import responses
from .decimals import EXACT, HUNDRED, ONE, ZERO
from .errors import CommandError
from .exchanges.base import Side
from .inputs import Inputs
from .ledger.ledger import Ledger
from .ledger.records import SignalRecord
from .plan_table import Table, table
from .portfolio import Portfolio
from .rebalance import OrderPlan
from .responses import Json
from .settings import Settings
from .signal import Signal
from .signals import Signals
from .sizing import PlannedOrder
from .sources.state import SourceState
from .wants import Moves, Orders, Wants, to_text

VALID = timedelta(minutes=10)
# How far a price may have moved since, as a fraction.
TOLERANCE = Decimal("0.005")
# Room for what the fills of sales and of the purchases that they pay for lose beside their fees, as a fraction of either.
ROOM = Decimal("0.001")
# Plans that are remembered, those that are not valid any more among them.
REMEMBERED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPlan:
    """A plan as it was shown, and what it was made from: what its source wanted, the book with its quantities, prices."""

    at: datetime
    source: str
    book: int
    wants: Wants
    holdings: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    orders: tuple[PlannedOrder, ...]


class Plans:
    """Shows what a source's wish would trade, and trades exactly what was shown, or says what has changed."""

    def __init__(self, settings: Settings, ledger: Ledger, signals: Signals, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._signals = signals
        self._clock = clock
        self._shown: dict[str, ShownPlan] = {}

    async def show(self, source: SourceState, inputs: Inputs, draft: Signal | None = None) -> Json:
        """What a source's signal, or a draft of one, would trade now, as plain JSON.

        Raises CommandError without a signal or a valuation.
        """
        record, order_plan = await self._signals.preview(source, inputs, draft)
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        shown = self._table(source, record, order_plan, portfolio, inputs)
        plan_id, now = secrets.token_hex(8), self._clock()
        if not isinstance(record.wants, Moves | None):
            self._shown[plan_id] = ShownPlan(
                at=now,
                source=source.key,
                book=self._ledger.number,
                wants=record.wants,
                holdings=self._holdings(portfolio),
                prices={
                    row.coin: inputs.market.prices[row.coin] for row in shown.rows if row.coin in inputs.market.prices
                },
                orders=order_plan.orders,
            )
            while len(self._shown) > REMEMBERED:
                del self._shown[next(iter(self._shown))]
        return {
            **responses.preview(order_plan.orders, order_plan.left_out),
            "plan_id": plan_id if plan_id in self._shown else None,
            "as_of": responses.iso(now),
            **responses.plan_table(shown),
        }

    def source_of(self, plan_id: str) -> str:
        """Key of the source whose plan this is. Raises CommandError where it is not known, or too old."""
        if (plan := self._shown.get(plan_id)) is None:
            raise CommandError("plan_unknown")
        if self._clock() - plan.at > VALID:
            raise CommandError("plan_expired", minutes=f"{VALID // timedelta(minutes=1)}")
        return plan.source

    async def trade(
        self, plan_id: str, source: SourceState, inputs: Inputs, draft: Signal | None = None
    ) -> SignalRecord:
        """Trade what a plan shows; it is good for one use. Raises CommandError, naming what has changed since."""
        plan = self._shown.pop(plan_id)
        record, _ = await self._signals.preview(source, inputs, draft)
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        now = self._holdings(portfolio) if plan.book == self._ledger.number else {}
        changed = _different(plan.holdings, now) | _different_wants(plan.wants, record.wants)
        if changed:
            raise _changed(changed)
        if moved := _moved(plan, portfolio.cash, inputs.market.prices):
            raise CommandError("prices_moved", coins=", ".join(moved), limit=f"{TOLERANCE * HUNDRED:.1f}")
        wants = Orders(plan.orders)
        again = await self._signals.order_plan(replace(record, signal_id=plan_id, wants=wants), inputs)
        before = {order.coin: (order.side, order.quantity) for order in plan.orders}
        if changed := _different(before, {order.coin: (order.side, order.quantity) for order in again.orders}):
            raise _changed(changed)
        return await self._signals.sync(source, inputs, wants, draft)

    # Inside

    def _holdings(self, portfolio: Portfolio) -> Mapping[str, Decimal]:
        """Quantities by coin, the cash under its own name."""
        held = {coin: position.quantity for coin, position in portfolio.positions.items()}
        return {**held, self._settings.quote: portfolio.cash}

    def _table(
        self, source: SourceState, record: SignalRecord, order_plan: OrderPlan, portfolio: Portfolio, inputs: Inputs
    ) -> Table:
        targets = source.source.targets if isinstance(record.wants, Moves) else getattr(record.wants, "shares", None)
        return table(
            portfolio=portfolio.without({*inputs.market.aside, *self._settings.locked}),
            targets=targets,
            band=source.source.band,
            threshold=self._settings.rebalance_threshold,
            orders=order_plan.orders,
            left_out=order_plan.left_out,
            market=inputs.market,
        )


def _changed(coins: set[str]) -> CommandError:
    return CommandError("plan_changed", coins=", ".join(sorted(coins)))


def _different(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    """Keys whose values are not the same any more."""
    return {key for key in {*before, *now} if before.get(key) != now.get(key)}


def _different_wants(before: Wants, now: Wants | None) -> set[str]:
    """Coins of which something else is wanted; all where only the way to it is another."""
    if now is not None and to_text(before) == to_text(now):
        return set()
    coins = now.coins if now else frozenset()
    return _different(getattr(before, "shares", {}), getattr(now, "shares", {})) or {*before.coins, *coins}


def _moved(plan: ShownPlan, cash: Decimal, prices: Mapping[str, Decimal]) -> list[str]:
    """Coins whose prices have moved too far, each with how far: beyond the tolerance, or beyond what can still be paid."""
    with localcontext(EXACT):
        changes = {coin: (prices.get(coin) or ZERO) / before - ONE for coin, before in plan.prices.items()}
        limits = {order.coin: order.limit_price for order in plan.orders if order.side is Side.BUY}
        too_far = {
            coin
            for coin, change in changes.items()
            if abs(change) > TOLERANCE or ((limit := limits.get(coin)) and prices[coin] > limit)
        }
        if not too_far and not _is_paid(plan, cash, prices):
            too_far = {order.coin for order in plan.orders if changes[order.coin]}
        return [f"{coin} {changes[coin] * HUNDRED:+.1f} %" for coin in sorted(too_far)]


def _is_paid(plan: ShownPlan, cash: Decimal, prices: Mapping[str, Decimal]) -> bool:
    """Whether cash and sales pay for the purchases at today's prices, with room for what the fills lose."""
    amounts = [(order, order.quantity * prices[order.coin]) for order in plan.orders]
    brought = [amount * (ONE - order.fee - ROOM) for order, amount in amounts if order.side is Side.SELL]
    needed = [amount * (ONE + order.fee + ROOM) for order, amount in amounts if order.side is Side.BUY]
    return not brought or sum(needed, ZERO) <= sum(brought, cash)
