"""Money in and money out: the initial budget, deposits, withdrawals, corrections."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext

from .account import committed
from .decimals import EXACT, ONE, ZERO
from .errors import CommandError
from .exchanges.base import Mode, Side
from .inputs import Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book, CashFlow, FlowKind
from .replay import with_flow_in_kind
from .revaluation import NotWorthThat, revalue
from .risk import STOP_PEAK
from .settings import Scope, Settings
from .statistics.distance_text import DISTANCE, scaled

MAX_AMOUNT = Decimal(1_000_000)
SMALLEST = Decimal("1e-8")
# What is dated so little back is valued as what happens now.
LATELY = timedelta(minutes=5)
# Until when values were seen that lacked a flow that was dated back later on.
REVALUED = "revalued"


class CashFlows:
    """Writes the cash flows of one follower; amounts in EUR unless quote is said."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = clock

    async def open(self, view: Inputs, book: Book) -> Book | None:
        """Turn the initial budget into quote, once, at the rate of this moment; in live mode no more than is there.

        There is what is free in the wallet and what orders of an earlier, lost ledger have taken out of it: the book begins
        with those booked already. None while the rate is unknown, less than one order is there, or another book of the account
        is on the move: what is free is written down for good.
        """
        if view.rate is None or view.claimed.unclear:
            return None
        amount = self._settings.initial_budget
        quote = quote_of(amount, view.rate)
        if self._settings.mode is Mode.LIVE:
            free = view.free(self._settings.quote)
            if free is None or self.short(view, book) is not None:
                return None
            there = free - book.portfolio.cash
            if (bounded := max(min(quote, there), -book.portfolio.cash)) != quote:
                amount, quote = (bounded * view.rate).quantize(SMALLEST), bounded
        flow = CashFlow(kind=FlowKind.INITIAL, amount=amount, amount_quote=quote, time=self._clock(), value_before=ZERO)
        _, book = await self._write(flow, book, view.rate)
        return book

    def check_scope(self) -> None:
        """Raise CommandError where what is paid in or out is what the account says."""
        if self._settings.scope is Scope.WALLET:
            raise CommandError("wallet_scope")

    def short(self, view: Inputs, book: Book) -> Decimal | None:
        """Quote that the wallet has free for a book that is still to begin, where that is less than one order."""
        if (
            self._settings.mode is Mode.DRY_RUN
            or self._settings.scope is Scope.WALLET
            or book.net_deposits is not None
            or (free := view.free(self._settings.quote)) is None
        ):
            return None
        there = free - book.portfolio.cash
        return there if there < self._settings.min_order else None

    def spare(self, view: Inputs, book: Book) -> Decimal | None:
        """EUR that may be paid in: what the wallet has free beyond the cash of the book; None where unknown, and on paper."""
        if (
            self._settings.mode is Mode.DRY_RUN
            or self._settings.scope is Scope.WALLET
            or view.rate is None
            or (free := view.free(self._settings.quote)) is None
        ):
            return None
        return max(free - book.portfolio.cash, ZERO) * view.rate

    async def write_off(
        self, missing: Mapping[str, Decimal], view: Inputs, note: str, value: Decimal | None = None
    ) -> tuple[CashFlow, ...]:
        """Take something out of the book: a withdrawal for each asset, at what it is worth now.

        That is its price, or a `value` (EUR) that each has instead: the difference is profit or loss, as if the price had moved.
        Raises CommandError, LedgerError.
        """
        book = await self._ledger.ask(self._ledger.book)
        prices = view.market.prices
        flows = []
        for asset, quantity in missing.items():
            valuation = book.portfolio.value(prices)
            if valuation is None or view.rate is None:
                raise CommandError("no_valuation")
            in_kind = asset != self._settings.quote
            with localcontext(EXACT):
                priced = quantity * prices[asset] if in_kind else quantity  # a rest of rounding would move the return
                worth = priced if value is None else quote_of(value, view.rate)
                flow = CashFlow(
                    kind=FlowKind.WITHDRAWAL,
                    amount=-(worth * view.rate).quantize(SMALLEST) if value is None else -value,
                    amount_quote=-worth,
                    time=self._clock(),
                    note=note,
                    value_before=(valuation.total - priced + worth) * view.rate,
                    coin=asset if in_kind else None,
                    quantity=quantity if in_kind else None,
                )
            flow, book = await self._write(flow, book, view.rate)
            flows.append(flow)
        return tuple(flows)

    async def move(
        self,
        kind: FlowKind,
        amount: Decimal,
        view: Inputs,
        note: str,
        at: datetime | None,
        *,
        quote: Decimal | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> CashFlow:
        """Deposit or withdraw, at the value of this moment, as far as no order in flight can have a claim on it.

        `quote` is the amount where it is known in quote, to the last digit; facts are remembered in the same commit. Raises CommandError, LedgerError.
        """
        time = self._checked(amount, at)
        book = await self._ledger.ask(self._ledger.book)
        valuation = book.portfolio.value(view.market.prices)
        if book.net_deposits is None or valuation is None or view.rate is None:
            raise CommandError("no_valuation")
        started, _ = await self._ledger.ask(self._ledger.beginning)
        if at and (started is None or at < started.replace(second=0, microsecond=0)):
            raise CommandError("before_start", start=_minute(started) if started else "–")
        time = max(time, started) if started else time  # clocks in a form tell no seconds
        quote = quote_of(amount, view.rate) if quote is None else quote
        if kind is FlowKind.WITHDRAWAL:
            amount, quote = -amount, -quote
        await self._check_room(quote, book, view, view.rate)
        with localcontext(EXACT):
            value = valuation.total * view.rate
        flow = CashFlow(kind=kind, amount=amount, amount_quote=quote, time=time, note=note, value_before=value)
        if self._clock() - time > LATELY:
            past = replace(flow, value_before=None)
            return await self._swap(None, past, book, valuation.total, view.rate, facts) or flow
        flow, _ = await self._write(flow, book, view.rate, facts)
        return flow

    async def change(
        self, seq: int, view: Inputs, amount: Decimal | None, at: datetime | None, note: str | None
    ) -> CashFlow:
        """Change a deposit or withdrawal; its amount stays at the rate that it was booked at. Raises CommandError, LedgerError."""
        old = await self._own_flow(seq)
        if amount is not None and (not amount or (amount > 0) is not (old.amount > 0)):
            raise CommandError("cash_flow_sign")
        with localcontext(EXACT):
            changed = old.amount if amount is None else amount
            quote = (old.amount_quote * changed / old.amount).quantize(SMALLEST, ROUND_DOWN)
        time = self._checked(abs(changed), at or old.time)
        new = replace(
            old,
            amount=changed,
            amount_quote=quote,
            time=time,
            note=old.note if note is None else note,
            value_before=old.value_before if time == old.time else None,
        )
        return await self._swapped(old, new, view) or new

    async def delete(self, seq: int, view: Inputs) -> None:
        """Take a deposit or withdrawal out of the books, as if it had never been. Raises CommandError, LedgerError."""
        await self._swapped(await self._own_flow(seq), None, view)

    async def undo(self, view: Inputs) -> CashFlow | None:
        """Take the last deposit, withdrawal, change or deletion back, and return what is there instead; again: do it after all.

        Raises CommandError, LedgerError.
        """
        seq, removed = await self._ledger.ask(self._ledger.last_flow_change)
        if seq is None and removed is None:
            raise CommandError("nothing_to_undo")
        return await self._swapped(None if seq is None else await self._own_flow(seq), removed, view)

    async def _own_flow(self, seq: int) -> CashFlow:
        """A deposit or withdrawal of money; what began the book, corrections and coins stay. Raises CommandError."""
        flows = await self._ledger.ask(self._ledger.flows, None)
        found = next((flow for flow in flows if flow.seq == seq), None)
        if found is None or found.coin or found.kind not in {FlowKind.DEPOSIT, FlowKind.WITHDRAWAL}:
            raise CommandError("cash_flow_unknown", id=f"{seq}")
        return found

    async def _check_room(self, quote: Decimal, book: Book, view: Inputs, rate: Decimal) -> None:
        """Raise CommandError where the cash that no order has a claim on, or in live mode what is free, does not allow for a flow."""
        unclear = await self._ledger.ask(self._ledger.in_flight)
        if quote < 0:
            cash = book.portfolio.cash
            moving = (*unclear, *await self._ledger.ask(self._ledger.resting))
            left = cash - committed(moving, view.market).get(self._settings.quote, ZERO)
            if -quote > cash:
                raise CommandError("withdrawal_above_cash", cash=_cents(max(left, ZERO) * rate))
            if -quote > left:
                raise CommandError("order_unclear", amount=_cents(max(left, ZERO) * rate))
        elif quote and self._settings.mode is Mode.LIVE:
            if any(order.side is Side.SELL for order in unclear):
                # Nobody knows how much of what is free it has brought in.
                raise CommandError("order_unclear", amount=_cents(ZERO))
            free = view.free(self._settings.quote)
            if free is None:
                raise CommandError("no_valuation")
            if quote > (spare := free - book.portfolio.cash):
                raise CommandError("insufficient_free", free=_cents(max(spare, ZERO) * rate))

    async def _swapped(self, old: CashFlow | None, new: CashFlow | None, view: Inputs) -> CashFlow | None:
        """Put one flow in the place of another, where the book has room for the difference. Raises CommandError, LedgerError."""
        book = await self._ledger.ask(self._ledger.book)
        valuation = book.portfolio.value(view.market.prices)
        if valuation is None or view.rate is None:
            raise CommandError("no_valuation")
        started, _ = await self._ledger.ask(self._ledger.beginning)
        if new and started and new.time < started:
            raise CommandError("before_start", start=_minute(started))
        change = (new.amount_quote if new else ZERO) - (old.amount_quote if old else ZERO)
        await self._check_room(change, book, view, view.rate)
        return await self._swap(old, new, book, valuation.total, view.rate)

    async def _swap(
        self,
        old: CashFlow | None,
        new: CashFlow | None,
        book: Book,
        value: Decimal,
        rate: Decimal,
        remember: Mapping[str, str] | None = None,
    ) -> CashFlow | None:
        """Write one flow instead of another, and value again what came after them; `value` (quote) is the one of now.

        The stop loss keeps the distance to its peak: the peak moves with the unit price. Raises CommandError, LedgerError.
        """
        flows = {flow.seq: flow for flow in reversed(await self._ledger.ask(self._ledger.flows, None))}
        closes = {close.day: close for close in await self._ledger.ask(self._ledger.closes)}
        units, drawdown, amount, quote = book.units, book.drawdown, ZERO, ZERO
        for flow, leaves in ((old, True), (new, False)):
            if flow is None:
                continue
            if leaves:
                del flows[flow.seq]
            try:
                found = revalue(flow, [*flows.values()], [*closes.values()], leaves=leaves)
            except NotWorthThat as err:
                raise CommandError("withdrawal_above_value", at=_minute(flow.time)) from err
            flows |= {each.seq: each for each in found.flows}
            closes |= {each.day: each for each in found.closes}
            units, drawdown = found.units, found.drawdown
            sign = -1 if leaves else 1
            amount, quote = amount + sign * flow.amount, quote + sign * flow.amount_quote
            new = None if leaves else found.flow
        facts = {**(remember or {}), REVALUED: self._clock().isoformat()}
        with localcontext(EXACT):
            moved = replace(
                book,
                net_deposits=(book.net_deposits or ZERO) + amount,
                portfolio=book.portfolio.with_flow(quote),
                units=units.valued((value + quote) * rate),
                drawdown=drawdown,
            )
            before = book.units.valued(value * rate).price
            factor = moved.units.price / before if before else ONE
            if peak := await self._ledger.ask(self._ledger.fact, STOP_PEAK):
                facts[STOP_PEAK] = f"{Decimal(peak) * factor:f}"
            if distance := await self._ledger.ask(self._ledger.fact, DISTANCE):
                facts[DISTANCE] = scaled(distance, factor)
        return await self._ledger.ask(
            self._ledger.swap_flow, old, new, moved, tuple(flows.values()), tuple(closes.values()), facts
        )

    async def correct(self, amount: Decimal) -> CashFlow:
        """Set the sum paid in, for profit and loss only: no cash and no unit moves. Raises CommandError, LedgerError."""
        if not amount.is_finite() or amount < 0:
            raise CommandError("amount_not_positive")
        if amount > MAX_AMOUNT:
            raise CommandError("amount_too_large", limit=f"{MAX_AMOUNT}")
        book = await self._ledger.ask(self._ledger.book)
        if book.net_deposits is None:
            raise CommandError("no_valuation")
        flow = CashFlow(
            kind=FlowKind.CORRECTION, amount=amount - book.net_deposits, amount_quote=ZERO, time=self._clock()
        )
        flow, _ = await self._write(flow, book)
        return flow

    def _checked(self, amount: Decimal, at: datetime | None) -> datetime:
        if not amount.is_finite() or amount <= 0:
            raise CommandError("amount_not_positive")
        if amount > MAX_AMOUNT:
            raise CommandError("amount_too_large", limit=f"{MAX_AMOUNT}")
        now = self._clock()
        if at and at > now:
            raise CommandError("at_in_future")
        return at or now

    async def _write(
        self, flow: CashFlow, book: Book, rate: Decimal = ONE, facts: Mapping[str, str] | None = None
    ) -> tuple[CashFlow, Book]:
        """Write a flow at a rate (EUR per quote); one without a value before it moves neither cash nor units.

        The units follow what really moved, the quote: the rest that its rounding leaves would else move the unit price.
        """
        with localcontext(EXACT):
            moved = replace(book, net_deposits=(book.net_deposits or ZERO) + flow.amount)
            if flow.value_before is not None:
                portfolio = book.portfolio
                moved = replace(
                    moved,
                    portfolio=with_flow_in_kind(portfolio, flow)
                    if flow.coin
                    else portfolio.with_flow(flow.amount_quote),
                    units=book.units.with_flow(flow.value_before, flow.amount_quote * rate),
                )
        return await self._ledger.ask(self._ledger.add_flow, flow, moved, facts), moved


def quote_of(amount: Decimal, rate: Decimal) -> Decimal:
    """An amount in EUR in the quote asset, rounded down."""
    return (amount / rate).quantize(SMALLEST, ROUND_DOWN)


def _cents(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01'), ROUND_DOWN):f}"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
