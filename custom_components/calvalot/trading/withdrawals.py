"""Cash for a withdrawal: what lacks is sold of everything alike, no more than is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, localcontext

from . import responses
from .account import committed
from .cash_flows import quote_of
from .decimals import EXACT, ONE, ZERO, round_up
from .errors import CommandError
from .events import EventQueue
from .exchanges.base import Side
from .funding import proceeds
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import SignalRecord
from .limits import Limits
from .outcomes import Outcomes
from .rebalance import Rebalancer
from .responses import Json
from .settings import Settings
from .signal import PORTFOLIO, Kind
from .sizing import LeftOut, Market, PlannedOrder, least_quantity, make_order
from .wants import EVERYTHING_SOLD, Orders, Wants

# Room for what fills are worse than the last price, as a fraction.
ROOM = Decimal("0.002")
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raising:
    """What a withdrawal takes: amount, free cash and what everything that can be sold would bring, in quote; what is to be sold."""

    amount: Decimal
    cash: Decimal
    most: Decimal
    orders: tuple[PlannedOrder, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def brings(self) -> Decimal:
        """What the sales bring, fees taken off."""
        return proceeds(self.orders)

    @property
    def enough(self) -> bool:
        """Whether that, or the cash that is there, is enough."""
        return self.cash + self.brings >= self.amount


class Withdrawals:
    """Shows what a withdrawal would sell, and sells it; the withdrawal itself is for the cash flows."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        fetcher: Fetcher,
        rebalancer: Rebalancer,
        events: EventQueue,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._fetcher = fetcher
        self._rebalancer = rebalancer
        self._events = events
        self._outcomes = outcomes
        self._clock = clock

    async def preview(self, amount: Decimal, inputs: Inputs) -> Json:
        """What a withdrawal of an amount (EUR) would sell now, as plain JSON. Raises CommandError."""
        found = await self._plan(amount, inputs)
        rate = inputs.rate or ZERO
        return {
            **responses.preview(found.orders, found.left_out),
            "quote": inputs.market.quote,
            "cash_eur": _cents(found.cash * rate),
            "proceeds": responses.figure(found.brings),
            "proceeds_eur": _cents(found.brings * rate),
            "most_eur": _cents((found.cash + found.most) * rate),
            "enough": found.enough,
        }

    async def raise_cash(self, amount: Decimal, inputs: Inputs) -> SignalRecord | None:
        """Sell what lacks of an amount (EUR); None where nothing lacks. Raises CommandError, LedgerError.

        What is to be sold is written down first; it is placed once.
        """
        found = await self._plan(amount, inputs)
        if not found.enough:
            raise CommandError("not_enough_to_sell", most=_cents((found.cash + found.most) * (inputs.rate or ZERO)))
        account = inputs.account
        if not found.orders or account is None:
            return None
        record = await self._ledger.ask(self._ledger.write_signal, self._record(Orders(found.orders)))
        self._events.received(record)
        record, orders = await self._rebalancer.pursue(
            record, account, inputs.market, self._fetcher.fee_prices, last_pass=True
        )
        await self._outcomes.orders(orders)
        await self._outcomes.signal(record)
        return record

    # Inside

    def _record(self, wants: Wants) -> SignalRecord:
        now = self._clock()
        signal_id = Kind.WITHDRAWAL.id_at(now)
        return SignalRecord(
            source=PORTFOLIO, kind=Kind.WITHDRAWAL, signal_id=signal_id, origin=signal_id, wants=wants, seen_at=now
        )

    async def _plan(self, amount: Decimal, inputs: Inputs) -> Raising:
        account = None if self._fetcher.exchange_problem else inputs.account
        # Whatever may be sold at all, by every rule that holds for a sale.
        everything = self._record(EVERYTHING_SOLD)
        whole = (
            await self._rebalancer.order_plan(everything, account, inputs.market, with_proceeds=False)
            if account
            else None
        )
        if whole is None or inputs.rate is None:
            raise CommandError("no_valuation")
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        moving = (*await self._ledger.ask(self._ledger.in_flight), *await self._ledger.ask(self._ledger.resting))
        with localcontext(EXACT):
            wanted = quote_of(amount, inputs.rate)
            cash = max(portfolio.cash - committed(moving, inputs.market).get(inputs.market.quote, ZERO), ZERO)
            most = proceeds(whole.sells)
            fee = max((order.fee for order in whole.sells), default=ZERO)
            lacks = wanted - cash
            orders = (
                in_proportion(whole.sells, lacks / (ONE - fee), inputs.market, self._settings.limits)
                if lacks > 0
                else ()
            )
        left_out = whole.left_out if lacks > 0 else ()
        return Raising(amount=wanted, cash=cash, most=most, orders=orders, left_out=left_out)


def in_proportion(
    sells: Sequence[PlannedOrder], need: Decimal, market: Market, limits: Limits
) -> tuple[PlannedOrder, ...]:
    """Of each sale the same part, so that all bring an amount (quote, at the last prices) and a little more for the fills.

    What would be too small to be sold is left to the others, the smallest first; of a single one the least that can be sold.
    """
    chosen = sorted(sells, key=lambda order: (-order.amount, order.coin))
    need *= ONE + ROOM
    with localcontext(EXACT):
        while chosen:
            total = sum((order.amount for order in chosen), ZERO)
            part = min(ONE, need / total)
            quantities = {
                order.coin: round_up(order.quantity * part, market.rules[order.symbol].step) for order in chosen
            }
            small = [each for each in chosen if quantities[each.coin] < least_quantity(market, limits, each.coin)]
            if not small or len(chosen) == 1:
                break
            chosen.remove(small[-1])
        for order in chosen:
            least = least_quantity(market, limits, order.coin)
            quantity = min(max(quantities[order.coin], least), order.quantity)
            # A rest that could not be sold later goes with it.
            if (order.quantity - quantity) * order.price < max(limits.dust_threshold, least * order.price):
                quantity = order.quantity
            quantities[order.coin] = quantity
        made = [make_order(market, limits, each.coin, Side.SELL, quantities[each.coin]) for each in chosen]
        return tuple(sorted((order for order in made if order), key=lambda order: order.coin))


def _cents(amount: Decimal) -> str:
    return f"{amount.quantize(CENT, ROUND_DOWN, EXACT):f}"
