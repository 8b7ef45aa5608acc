"""Every order done at most once: intent → sent → settled, across crashes.

sending → executed → booked, aside: rejected, unknown, not_placed; one that may rest is accepted and perhaps partly_filled in
between. Every state is on disk before the next step is taken, of all orders of a batch in one commit; a failed commit raises
LedgerError and nothing more is sent. An order is sent at most once under its client order id, whatever happens; what is unclear
is looked up. (Earlier versions wrote `planned` before `sending`.)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
import itertools
import logging

from .bookings import Bookings
from .errors import ClockSkew, ExchangeError, ExchangeUnavailable, InvalidKey, NotSent, RateLimited, Refused
from .exchanges.base import Exchange, OrderReport
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord, OrderState
from .order_names import OrderNames
from .settling import Outcome, Settling, accepted, ended, executed
from .signal import BY_HAND, SignalKey
from .sizing import PlannedOrder

_LOGGER = logging.getLogger(__name__)


class Executor(Settling):
    """Places and settles the orders of one portfolio."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        names: OrderNames,
        bookings: Bookings,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(exchange, ledger, bookings, clock, sleep)
        self._names = names

    async def execute(
        self,
        signal: SignalKey,
        planned: Sequence[PlannedOrder],
        prices: Mapping[str, Decimal],
        *,
        paired: bool = False,
    ) -> tuple[OrderRecord, ...]:
        """Send orders all at once and settle them; returns what became of each.

        `prices` by asset (quote per unit) value fees that are not taken from the coin. `paired`: they are a limit and a stop of
        which one ends the other, sent as one. Raises LedgerError; where the intent cannot be written, nothing is sent.
        """
        if self.stopping or not planned:
            return ()
        records = await self._ledger.ask(self._intend, signal, planned, paired=paired)
        return await self._finish(await self._send(records), prices)

    # Inside

    def _intend(self, signal: SignalKey, planned: Sequence[PlannedOrder], *, paired: bool) -> tuple[OrderRecord, ...]:
        """Write down what is going to be sent, all in one commit."""
        by_hand = signal.signal_id == BY_HAND
        once = not by_hand and any(not order.type.rests for order in planned)
        earlier = self._ledger.orders(signal) if once else ()
        now = self._clock()
        records: list[OrderRecord] = []
        for order in planned:
            same = [record for record in earlier if (record.symbol, record.side) == (order.symbol, order.side)]
            if by_hand or order.type.rests:  # several of a kind may be open at a time
                leg = self._ledger.next_leg(signal, order.symbol, order.side)
                leg += sum((record.symbol, record.side) == (order.symbol, order.side) for record in records)
            else:
                leg = 1 + max((record.leg for record in same if record.state is OrderState.BOOKED), default=-1)
            start = self._names.start(signal, order.symbol, order.side, leg)
            attempt = 1 + max((record.attempt for record in same if record.leg == leg), default=0)
            records.append(
                OrderRecord(
                    exchange=self._exchange.name,
                    source=signal.source,
                    signal_id=signal.signal_id,
                    coin=order.coin,
                    symbol=order.symbol,
                    side=order.side,
                    leg=leg,
                    attempt=attempt,
                    client_order_id=(client_order_id := f"{start}{attempt}"),
                    sent_as=self._names.sent_as(client_order_id),
                    quantity=order.quantity,
                    price=order.price,
                    limit_price=order.limit_price,
                    quote_amount=order.quote_amount,
                    type=order.type,
                    stop_price=order.stop_price,
                    sold_price=order.sold_price,
                    state=OrderState.SENDING,
                    created_at=now,
                    sent_at=self._exchange.timestamp(),
                )
            )
        if paired:
            name = f"{records[0].client_order_id}-p"
            records = [replace(record, pair=name) for record in records]
        return self._ledger.add_orders(records)

    async def _send(self, sending: Sequence[OrderRecord], *, again: bool = True) -> list[Outcome | BaseException]:
        """Send orders whose intent is on disk, write down what was answered, look up what is unclear.

        What was refused for its time stamp is sent once more, as another attempt.
        """
        found = await asyncio.gather(*(self._place(each) for each in _requests(sending)), return_exceptions=True)
        done: list[Outcome | BaseException] = [item for item in found if isinstance(item, BaseException)]
        answers = [answer for item in found if not isinstance(item, BaseException) for answer in item]
        await self._write([each.record for each in answers if each.record.state is not OrderState.SENDING])
        late = [each.record for each in answers if each.skewed and again and not self.stopping]
        done += await asyncio.gather(
            *(self._outcome(each) for each in answers if each.record not in late), return_exceptions=True
        )
        if late:
            sent_at = self._exchange.timestamp()
            fresh = [self._next_attempt(record, sent_at) for record in late]
            done += await self._send(await self._ledger.ask(self._ledger.add_orders, fresh), again=False)
        return done

    def _next_attempt(self, record: OrderRecord, sent_at: datetime) -> OrderRecord:
        """The same order to be sent once more, under a name of its own."""
        start = record.client_order_id.removesuffix(str(record.attempt))
        attempt = record.attempt + 1
        name = f"{start}{attempt}"
        return replace(
            record,
            attempt=attempt,
            client_order_id=name,
            sent_as=self._names.sent_as(name),
            state=OrderState.SENDING,
            reason="",
            sent_at=sent_at,
        )

    async def _place(self, records: tuple[OrderRecord, ...]) -> list[_Answer]:
        """Send one order, or two as a pair; nothing is written down yet."""
        reports: Mapping[str, OrderReport] = {}
        try:
            reports = {report.client_order_id: report for report in await self._ask(records)}
        except Refused as err:
            return [_Answer(ended(record, OrderState.REJECTED, str(err))) for record in records]
        except ClockSkew as err:
            return [_Answer(ended(record, OrderState.NOT_PLACED, str(err)), skewed=True) for record in records]
        except (NotSent, InvalidKey, RateLimited) as err:
            self.problem = err
            return [_Answer(ended(record, OrderState.NOT_PLACED, str(err))) for record in records]
        except Exception as err:  # noqa: BLE001  # whatever else happened, the order may have been executed
            names = ", ".join(record.client_order_id for record in records)
            _LOGGER.warning("Outcome of order %s is unknown (%s), looking it up", names, _words(err))
            self.problem = err if isinstance(err, ExchangeError) else ExchangeUnavailable(_words(err))
        return [self._answer(record, reports.get(record.client_order_id)) for record in records]

    async def _ask(self, records: tuple[OrderRecord, ...]) -> tuple[OrderReport, ...]:
        if len(records) == 1:
            return (await self._exchange.place(records[0].request),)
        target, stop = records
        return await self._exchange.place_pair(target.pair, target.request, stop.request)

    def _answer(self, record: OrderRecord, report: OrderReport | None) -> _Answer:
        if report and report.done:
            # Where nobody but us keeps an order, it is written down with its booking, in one commit.
            return _Answer(executed(record, report) if self._exchange.keeps_orders else record, report)
        if report and record.type.rests:
            return _Answer(accepted(record, report), report)
        # However long the request was on its way, it carries no later time stamp than this.
        return _Answer(replace(record, state=OrderState.UNKNOWN, sent_at=self._exchange.timestamp()))

    async def _outcome(self, answer: _Answer) -> Outcome:
        """What an answer that is written down comes to."""
        record, report = answer.record, answer.report
        if report:
            booked = report.done or report.executed_quantity
            return await self._with_fills(record, report) if booked else (record, None)
        return (record, None) if record.state.settled else await self._look_up(record)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An order as it is after it was sent, with the report where there is one; `skewed`: refused for its time stamp."""

    record: OrderRecord
    report: OrderReport | None = None
    skewed: bool = False


def _requests(records: Iterable[OrderRecord]) -> Iterable[tuple[OrderRecord, ...]]:
    """Orders as they are sent: those of a pair together."""
    for pair, group in itertools.groupby(records, key=lambda record: record.pair):
        if pair:
            yield tuple(group)
        else:
            yield from ((record,) for record in group)


def _words(err: BaseException) -> str:
    """What an error says: only our own words, a stranger's text may hold a URL with a signature."""
    return str(err) if isinstance(err, ExchangeError) else type(err).__name__
