"""Selling everything: a stop loss that sells, or the owner's exit. It ends only when nothing is left to sell."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from . import responses
from .decimals import ZERO
from .errors import CommandError
from .events import EventQueue
from .exchanges.symbols import base_of
from .funding import proceeds
from .held_back import HeldBack
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import OrderState, Result, SignalRecord
from .ledger.storage import LedgerError
from .outcomes import Outcomes
from .portfolio import Portfolio
from .rebalance import Rebalancer
from .responses import Json
from .risk import Risk
from .signal import PORTFOLIO, Kind, SignalKey
from .sizing import Reason
from .snapshot import Snapshot
from .wants import EVERYTHING_SOLD


class Cause(StrEnum):
    """Why everything is sold."""

    STOP_LOSS = "stop_loss"
    OWNER = "owner"


_KINDS = {Cause.STOP_LOSS: Kind.STOP_LOSS, Cause.OWNER: Kind.EXIT}


class Exits:
    """The sale of all that the portfolio bought: written down before it begins, pursued until it is done."""

    def __init__(
        self,
        ledger: Ledger,
        fetcher: Fetcher,
        rebalancer: Rebalancer,
        risk: Risk,
        events: EventQueue,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
        held_back: HeldBack,
    ) -> None:
        self._ledger = ledger
        self._fetcher = fetcher
        self._rebalancer = rebalancer
        self._risk = risk
        self._events = events
        self._outcomes = outcomes
        self._clock = clock
        self._held_back = held_back
        self._beginning = asyncio.Lock()
        self._known: SignalRecord | None = None

    async def open(self) -> SignalRecord | None:
        """The one that is not done."""
        records = await self._ledger.ask(self._ledger.open_signals)
        self._known = next((record for record in records if record.kind.sells_out), None)
        return self._known

    async def begin(self, cause: Cause) -> SignalRecord:
        """Write down that everything is to be sold, in one commit with the pause; one that is open goes on.

        What a stop loss sells is held back in the same commit.

        Raises LedgerError.
        """
        async with self._beginning:
            known, now = await self.open(), self._clock()
            record = known or _everything(_KINDS[cause], now)
            facts: Mapping[str, str] = {}
            if known is None and cause is Cause.STOP_LOSS:
                book = await self._ledger.ask(self._ledger.book)
                facts = await self._held_back.facts(book.portfolio.positions, cause)
            self._known = record = await self._risk.pause_for(record, facts)
            if known is None:
                self._fetcher.forget_rules()  # it does not end on what was not listed before it
                self._events.received(record)
            return record

    async def reload(self) -> None:
        """Go on where the ledger came back older than what was begun. Raises LedgerError."""
        known = self._known
        if known and await self._ledger.ask(self._ledger.signal, known.key) is None:
            self._known = await self._ledger.ask(self._ledger.write_signal, replace(known, seq=0))

    async def pursue(self, view: Inputs) -> SignalRecord | None:
        """Sell what can be sold now; the record, None where nothing is to be sold. Raises LedgerError."""
        record = await self.open()
        if record is None or view.account is None or self._fetcher.exchange_problem:
            return record
        record, orders = await self._rebalancer.pursue(
            record, view.account, view.market, self._fetcher.fee_prices, last_pass=False
        )
        await self._outcomes.orders(orders)
        if record.result is not Result.OPEN:
            await self.end(record, view)
        return record

    async def end(self, record: SignalRecord, view: Inputs) -> None:
        """Report that it is over, and what it brought."""
        self._known = None
        await self._outcomes.signal(record)
        summary = await self.summary(record.signal_id, view)
        self._events.alert(
            "exit",
            cause=summary["cause"],
            signal_id=summary["signal_id"],
            result=summary["result"],
            reason=summary["reason"],
            quote=summary["quote"],
            proceeds=summary["proceeds"],
            proceeds_eur=summary["proceeds_eur"],
            remaining=summary["remaining"],
        )

    async def preview(self, view: Inputs) -> Json:
        """What would be sold now, what it would bring and what stays, as plain JSON. Raises CommandError."""
        if view.account is None or self._fetcher.exchange_problem:
            raise CommandError("no_valuation")
        record = _everything(Kind.EXIT, self._clock())
        order_plan = await self._rebalancer.order_plan(record, view.account, view.market, with_proceeds=False)
        if order_plan is None:
            raise CommandError("no_valuation")
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        sold = {order.coin: order.quantity for order in order_plan.sells}
        brings = proceeds(order_plan.sells)
        return {
            "confirmed": False,
            **responses.preview(order_plan.sells, order_plan.left_out),
            **_proceeds(brings, view),
            "remaining": _remaining(portfolio, sold, {item.coin: item.reason for item in order_plan.left_out}, view),
        }

    async def summary(self, signal_id: str, view: Inputs) -> Json:
        """What was sold so far, what it brought and what is still held, as plain JSON. Raises LedgerError."""
        record = await self._ledger.ask(self._ledger.signal, SignalKey(PORTFOLIO, signal_id))
        if record is None:
            raise LedgerError("the sale of everything is not written down")  # pragma: no cover
        orders = await self._ledger.ask(self._ledger.orders, record.key)
        traded = [order.seq for order in orders if order.state is OrderState.BOOKED]
        brought = ZERO
        for trade in await self._ledger.ask(self._ledger.trades_of, traded):
            brought += trade.amount - sum((fee for asset, fee in trade.fees if asset == view.market.quote), ZERO)
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        finished = record.result is not Result.OPEN
        reasons = dict.fromkeys(portfolio.positions, Reason.DUST) if finished else {}
        reasons |= {base_of(symbol, view.market.quote): Reason(reason) for symbol, _, reason in record.left_out}
        return {
            "confirmed": True,
            "cause": cause_of(record).value,
            **responses.signal(record, orders),
            "finished": finished,
            **_proceeds(brought, view),
            "remaining": _remaining(portfolio, {}, reasons, view),
        }


def cause_of(record: SignalRecord) -> Cause:
    """Why everything is sold under this record."""
    return Cause.STOP_LOSS if record.kind is Kind.STOP_LOSS else Cause.OWNER


def _proceeds(amount: Decimal, view: Inputs) -> Json:
    return {
        "quote": view.market.quote,
        "proceeds": responses.figure(amount),
        "proceeds_eur": None if view.rate is None else responses.text(amount * view.rate, 2),
    }


def exiting(snapshot: Snapshot) -> Json | None:
    """The sale of everything that goes on, as plain JSON."""
    record = snapshot.exiting
    if record is None:
        return None
    return {
        "signal_id": record.signal_id,
        "cause": cause_of(record).value,
        "since": responses.iso(record.seen_at),
        "reason": record.reason,
    }


def _remaining(
    portfolio: Portfolio, sold: Mapping[str, Decimal], reasons: Mapping[str, Reason], view: Inputs
) -> list[Json]:
    """Coins that stay in the book, their value in quote, and why where that is known."""
    rest = {coin: held.quantity - sold.get(coin, ZERO) for coin, held in portfolio.positions.items()}
    return [
        {
            "coin": coin,
            "quantity": responses.text(quantity),
            "value": responses.figure(quantity * price) if (price := view.market.prices.get(coin)) else None,
            "reason": reasons.get(coin),
        }
        for coin, quantity in sorted(rest.items())
        if quantity
    ]


def _everything(kind: Kind, now: datetime) -> SignalRecord:
    """A signal of the portfolio's own that wants nothing but cash."""
    signal_id = kind.id_at(now)
    return SignalRecord(
        source=PORTFOLIO, kind=kind, signal_id=signal_id, origin=signal_id, wants=EVERYTHING_SOLD, seen_at=now
    )
