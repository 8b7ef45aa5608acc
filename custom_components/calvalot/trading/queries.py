"""What the owner can read, as plain JSON."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from . import alert_responses, order_responses, responses
from .attribution import ATTRIBUTION, from_text
from .conversion_text import told
from .errors import CommandError
from .ledger.ledger import Ledger
from .ledger.storage import LedgerError
from .reports.exports import FORM_2086, GAINS, File, file, form, gains_told, whole
from .reports.form_2086 import Start
from .reports.report import Report, read_report
from .reports.spans import Span
from .responses import Json
from .settings import Settings
from .snapshot import Snapshot, SourceFigures
from .statistics.curves import curves
from .statistics.distance_text import DAYS, days_of
from .statistics.figures import Statistics


class Queries:
    """Answers questions out of one portfolio's ledger; every one raises CommandError. `figures` are what it adds up as it goes."""

    def __init__(self, settings: Settings, ledger: Ledger, clock: Callable[[], datetime], exchange: str) -> None:
        """`exchange` is the name of that which the portfolio is on."""
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._exchange = exchange
        self.figures = Statistics(ledger)

    def keep_up(self) -> None:
        """Add up what was traded, so that no question waits for it; synchronous. Raises LedgerError."""
        self.figures.keep_up()

    async def trades(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Trades of the book in use or another one, newest first. Raises CommandError."""
        trades = await guarded(self._ledger.ask((await self._book(book)).trades, limit, since))
        return [responses.trade(trade, self._settings.mode) for trade in trades]

    async def signals(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Signals of the book in use or another one with their legs, newest first. Raises CommandError."""
        ledger = await self._book(book)

        def read() -> list[Json]:
            records = ledger.signals(limit, since)
            orders = ledger.orders_of([record.key for record in records])
            return [responses.signal(record, orders[record.key]) for record in records]

        return await guarded(self._ledger.ask(read))

    async def alerts(self, limit: int = 100, since: datetime | None = None) -> list[Json]:
        """Alerts from outside and what became of them, newest first. Raises CommandError."""
        return await guarded(self._ledger.ask(alert_responses.alerts, self._ledger, limit, None, since))

    async def cash_flows(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Cash flows of the book in use or another one, newest first. Raises CommandError."""
        flows = await guarded(self._ledger.ask((await self._book(book)).flows, limit, since))
        return [responses.cash_flow(flow) for flow in flows if flow.is_shown]

    async def conversions(self, limit: int = 100, since: datetime | None = None, book: int | None = None) -> list[Json]:
        """Conversions of the book in use or another one, newest first. Raises CommandError."""
        ledger = await self._book(book)

        def read() -> list[Json]:
            return [told(ledger, record) for record in ledger.conversions(limit, since)]

        return await guarded(self._ledger.ask(read))

    async def history(self, limit: int = 100, since: datetime | None = None) -> list[Json]:
        """What was imported from other tools, newest first. Raises CommandError."""
        records = await guarded(self._ledger.ask(self._ledger.past, limit, since))
        return [responses.past(tool, record) for tool, record in records]

    async def page(
        self, read: Callable[[Ledger, int, int | None], list[Json]], limit: int, before: int | None
    ) -> list[Json]:
        """A page of the ledger, as one of `responses` reads it; `before` is the last `seq` of the page before. Raises CommandError."""
        return await guarded(self._ledger.ask(read, self._ledger, limit, before))

    async def books(self) -> list[Json]:
        """The books of this mode that an account is known of. Raises CommandError."""
        accounts = await guarded(self._ledger.ask(self._ledger.account_ids))
        return [
            {"book": number, "host": account.host, "in_use": number == self._ledger.number}
            for number, account in sorted(accounts.items())
        ]

    async def counts(self) -> dict[str, int]:
        """How much of everything is written down. Raises CommandError."""
        return await guarded(self._ledger.ask(self._ledger.counts))

    async def orders(self, snapshot: Snapshot, limit: int = 100, since: datetime | None = None) -> Json:
        """Orders that are open and those that have ended, newest first, and what protects which coin. Raises CommandError."""
        ended = await guarded(self._ledger.ask(self._ledger.ended_orders, limit, since))
        return {
            **order_responses.open_orders(snapshot),
            "done": [order_responses.order(record) for record in ended],
        }

    async def performance(self) -> Json:
        """Returns by period. Raises CommandError."""
        book = await guarded(self._ledger.ask(self._ledger.book))
        closes = await guarded(self._ledger.ask(self._ledger.closes))
        return responses.performance(book, closes, self._clock())

    async def export(
        self, wanted: str, year: int | None, start: Start, values: Mapping[str, Decimal], book: int | None = None
    ) -> Json:
        """An export of a book, of a year (UTC) or of all; `start` and `values` are for the form 2086. Raises CommandError."""
        ledger = await self._book(book)
        if wanted == FORM_2086:
            if year is None:
                raise CommandError("year_required")
            return await guarded(self._ledger.ask(form, ledger, year, start, values))
        if wanted == GAINS:
            figures = self.figures if book is None else Statistics(ledger)
            return gains_told(await guarded(self._ledger.ask(figures.gains)), ledger.quote, year)
        return await guarded(self._ledger.ask(whole, ledger, self._exchange, wanted, year))

    async def export_file(self, wanted: str, year: int | None) -> File:
        """An export as a file, whose pieces are to be read in a worker thread. Raises CommandError, its pieces LedgerError."""
        return await guarded(self._ledger.ask(file, self._ledger, self._exchange, wanted, year))

    async def report(self, span: Span) -> Report:
        """The figures of a report. Raises CommandError where nothing is known of that span."""
        found = await guarded(self._ledger.ask(read_report, self._ledger, self.figures, span, self._clock()))
        if found is None:
            raise CommandError("report_empty", period=span.name)
        return found

    async def statistics(self, sources: Sequence[SourceFigures] = ()) -> Json:
        """Returns, risk, what the trades came to, and what each source has contributed. Raises CommandError."""
        found = await guarded(self._ledger.ask(self.figures.read, self._clock()))
        return {**found, "by_source": await self.contributions(sources)}

    async def curves(self) -> list[Json]:
        """Value, unit price, BTC and the source's record day by day. Raises CommandError."""

        def read() -> list[Json]:
            return curves(self.figures.past().marks, days_of(self._ledger.facts_from(DAYS)))

        return await guarded(self._ledger.ask(read))

    async def contributions(self, sources: Sequence[SourceFigures]) -> Json:
        """What each source has contributed to the return, and what it would have come to alone. Raises CommandError."""
        known = await guarded(self._ledger.ask(self._ledger.fact, ATTRIBUTION))
        return responses.contributions(from_text(known) if known else None, sources, self._settings.names)

    # Inside

    async def _book(self, number: int | None) -> Ledger:
        """The ledger, to read one of its books. Raises CommandError."""
        if number is None:
            return self._ledger
        last = await guarded(self._ledger.ask(self._ledger.next_number)) - 1
        if not 1 <= number <= last:
            raise CommandError("book_unknown", last=f"{last}")
        return await guarded(self._ledger.ask(self._ledger.in_book, number))


async def guarded[T](work: Awaitable[T]) -> T:
    """What a question to the ledger comes to; trouble with it in the owner's words. Raises CommandError."""
    try:
        return await work
    except LedgerError as err:
        raise CommandError("ledger_unavailable") from err
