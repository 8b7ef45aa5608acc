"""What a portfolio trades without a source: written down, placed, and gone on with until nothing of it is in flight."""

from collections.abc import Callable
from datetime import datetime

from .events import EventQueue
from .inputs import Fetcher, Inputs
from .ledger.ledger import Ledger
from .ledger.records import Result, SignalRecord
from .outcomes import Outcomes
from .rebalance import Rebalancer
from .signal import PORTFOLIO, Kind
from .wants import Wants


class OwnSignals:
    """Signals of the portfolio's own that do not sell everything; each is placed once and not tried again."""

    def __init__(
        self,
        ledger: Ledger,
        fetcher: Fetcher,
        rebalancer: Rebalancer,
        events: EventQueue,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._fetcher = fetcher
        self._rebalancer = rebalancer
        self._events = events
        self._outcomes = outcomes
        self._clock = clock

    async def trade_once(
        self, kind: Kind, wants: Wants, inputs: Inputs, halted: Callable[[], bool], occasion: str
    ) -> SignalRecord | None:
        """Trade something now, where any of it can be traded; on the same occasion not again. Raises LedgerError."""
        if inputs.account is None or await self._ledger.ask(self._ledger.fact, f"occasion_{kind}") == occasion:
            return None
        now = self._clock()
        signal_id = kind.id_at(now)
        record = SignalRecord(
            source=PORTFOLIO, kind=kind, signal_id=signal_id, origin=signal_id, wants=wants, seen_at=now
        )
        order_plan = await self._rebalancer.order_plan(record, inputs.account, inputs.market, with_proceeds=False)
        if order_plan is None or not order_plan.orders:
            return None
        record = await self._ledger.ask(self._ledger.write_signal, record, {f"occasion_{kind}": occasion})
        self._events.received(record)
        return await self._pursue(record, inputs, halted)

    async def go_on(self, inputs: Inputs, halted: Callable[[], bool]) -> None:
        """Come to an end with what was in flight. Raises LedgerError."""
        for record in await self._ledger.ask(self._ledger.open_signals):
            if record.kind in {Kind.RANK, Kind.WITHDRAWAL}:
                await self._pursue(record, inputs, halted)

    async def _pursue(self, record: SignalRecord, inputs: Inputs, halted: Callable[[], bool]) -> SignalRecord:
        if inputs.account is None or self._fetcher.exchange_problem:
            return record  # pragma: no cover  # whoever pursues has seen the account
        record, orders = await self._rebalancer.pursue(
            record, inputs.account, inputs.market, self._fetcher.fee_prices, last_pass=True, halted=halted
        )
        await self._outcomes.orders(orders)
        if record.result is not Result.OPEN:
            await self._outcomes.signal(record)
        return record
