"""Money that came and went, and the close of each day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
import json
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, delete, func, insert, select, tuple_, update

from ..decimals import ZERO
from ..explanation import Explanation
from ..performance import Close, Drawdown, Units
from .book import BookStorage, columns, of_book, performance_columns, without_key
from .records import Book, CashFlow, FlowKind, LastPrice
from .storage import insert_row, remembered, upsert_row
from .tables import books, cash_flows, closes, facts, fills, positions

# The fact that says what the last change of the cash flows was.
CHANGED = "flow_change"
# The fact that names the days whose close was filled.
FILLED = "filled"


class FlowTable(BookStorage):
    """Cash flows and daily closes of a book."""

    def add_flow(self, flow: CashFlow, book: Book, remember: Mapping[str, str] | None = None) -> CashFlow:
        """Write a cash flow and the book that results from it, and facts."""
        with self._transaction(cash_flows, books, positions, facts) as connection:
            self._write_facts(connection, remember or {})
            flow = self._add_flow(connection, flow)
            self._write_book(connection, book)
            if flow.kind in {FlowKind.DEPOSIT, FlowKind.WITHDRAWAL} and not flow.coin:
                self._write_facts(connection, {CHANGED: _change_text(None, flow)})
        return flow

    def add_flows(self, flows: Sequence[CashFlow], book: Book, remember: Mapping[str, str]) -> None:
        """Write cash flows, the book that results from all of them, and facts, all or nothing."""
        with self._transaction(cash_flows, books, positions, facts) as connection:
            for flow in flows:
                self._add_flow(connection, flow)
            self._write_book(connection, book)
            self._write_facts(connection, remember)

    def explain_flow(self, seq: int, explanation: Explanation) -> bool:
        """Say why something came or went that nothing explained; whether there is such a flow."""
        unexplained = [cash_flows.c.seq == seq, cash_flows.c.explanation == Explanation.UNEXPLAINED]
        with self._transaction(cash_flows) as connection:
            said = update(cash_flows).where(self._own(cash_flows), *unexplained).values(explanation=explanation)
            return connection.execute(said).rowcount > 0

    @remembered(cash_flows)
    def unexplained(self) -> tuple[CashFlow, ...]:
        """Flows that nothing explained, newest first."""
        query = select(cash_flows).where(self._own(cash_flows), cash_flows.c.explanation == Explanation.UNEXPLAINED)
        with self._reading() as connection:
            return tuple(flow_of(row) for row in connection.execute(query.order_by(cash_flows.c.seq.desc())).mappings())

    def swap_flow(
        self,
        old: CashFlow | None,
        new: CashFlow | None,
        book: Book,
        valued: Iterable[CashFlow],
        revalued: Iterable[Close],
        remembered_facts: Mapping[str, str],
    ) -> CashFlow | None:
        """Write a cash flow of an earlier time in the place of another, with what that changes: the book, other flows, closes, facts."""
        with self._transaction(cash_flows, books, positions, closes, facts) as connection:
            if old:
                connection.execute(delete(cash_flows).where(cash_flows.c.seq == old.seq))
            if new:
                new = replace(new, seq=insert_row(connection, cash_flows, {**self._key, **columns(new)}))
            for each in valued:
                connection.execute(
                    update(cash_flows).where(cash_flows.c.seq == each.seq).values(value_before=each.value_before)
                )
            for close in revalued:
                figures = {
                    "value": close.value,
                    "value_quote": close.value_quote,
                    "net_deposits": close.net_deposits,
                    **performance_columns(close),
                }
                connection.execute(
                    update(closes).where(self._own(closes), closes.c.day == close.day.isoformat()).values(figures)
                )
            self._write_book(connection, book)
            self._write_facts(connection, {**remembered_facts, CHANGED: _change_text(old, new)})
        return new

    def last_flow_change(self) -> tuple[int | None, CashFlow | None]:
        """The flow (its seq) that the last change of the cash flows wrote, and the one that it took away."""
        known = json.loads(self.fact(CHANGED) or "{}")
        removed = known.get("removed")
        return known.get("added"), removed and CashFlow(
            kind=FlowKind(removed["kind"]),
            amount=Decimal(removed["amount"]),
            amount_quote=Decimal(removed["amount_quote"]),
            time=datetime.fromisoformat(removed["time"]),
            note=removed["note"],
            value_before=Decimal(removed["value_before"]) if removed.get("value_before") else None,
        )

    def flows(
        self, limit: int | None = 100, since: datetime | None = None, before: int | None = None
    ) -> tuple[CashFlow, ...]:
        """Cash flows since a time and before the one with a seq, newest first."""
        order = tuple_(cash_flows.c.time, cash_flows.c.seq)
        query = select(cash_flows).where(self._own(cash_flows)).limit(limit)
        if since:
            query = query.where(cash_flows.c.time >= since)
        if before is not None:
            query = query.where(
                order < select(cash_flows.c.time, cash_flows.c.seq).where(cash_flows.c.seq == before).scalar_subquery()
            )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(cash_flows.c.time.desc(), cash_flows.c.seq.desc()))
            return tuple(flow_of(row) for row in rows.mappings())

    @remembered(cash_flows)
    def beginning(self) -> tuple[datetime | None, Decimal]:
        """When the first money came, and the sum (EUR) by which the net deposits were corrected."""
        with self._reading() as connection:
            found = connection.execute(
                select(cash_flows.c.kind, cash_flows.c.time, cash_flows.c.amount).where(
                    self._own(cash_flows),
                    cash_flows.c.kind.in_((FlowKind.INITIAL, FlowKind.CARRIED, FlowKind.CORRECTION)),
                )
            ).all()
        started = min((time for kind, time, _ in found if kind != FlowKind.CORRECTION), default=None)
        return started, sum((amount for kind, _, amount in found if kind == FlowKind.CORRECTION), ZERO)

    def write_close(
        self,
        at: datetime,
        value: Decimal,
        value_quote: Decimal,
        units: Units,
        drawdown: Drawdown,
        prices: Mapping[str, Decimal] | None = None,
        remember: Mapping[str, str] | None = None,
    ) -> None:
        """Write the day's last figures so far (value in EUR and quote, prices by coin) and take them into the book.

        In the same commit facts are remembered.
        """
        with self._transaction(closes, books, positions, *([facts] if remember else [])) as connection:
            self._write_facts(connection, remember or {})
            book = replace(self._book(connection), units=units, drawdown=drawdown)
            self._write_book(connection, book)
            row = {
                **self._key,
                "day": at.date().isoformat(),
                "valued_at": at,
                "value": value,
                "value_quote": value_quote,
                "net_deposits": book.net_deposits or ZERO,
                "prices": _prices_text(prices or {}),
                **performance_columns(book),
            }
            upsert_row(connection, closes, row)

    def fill_closes(self, rows: Sequence[tuple[Close, Mapping[str, Decimal]]], remember: Mapping[str, str]) -> None:
        """Write the closes of days that have none, with their prices by coin, and facts, all or nothing."""
        known = {close.day for close in self.closes()}
        new = [(close, prices) for close, prices in rows if close.day not in known]
        days = sorted({*self._filled(), *(close.day.isoformat() for close, _ in new)})
        with self._transaction(closes, facts) as connection:
            for close, prices in new:
                row = {
                    "day": close.day.isoformat(),
                    "value": close.value,
                    "value_quote": close.value_quote,
                    "net_deposits": close.net_deposits,
                    "prices": _prices_text(prices),
                }
                connection.execute(insert(closes), {**self._key, **row, **performance_columns(close)})
            self._write_facts(connection, {**remember, **({FILLED: json.dumps(days)} if new else {})})

    def closes(self) -> tuple[Close, ...]:
        """Daily closes, oldest first."""
        filled = self._filled()
        with self._reading() as connection:
            rows = connection.execute(select(closes).where(self._own(closes)).order_by(closes.c.day))
            return tuple(_close_of(row, filled) for row in rows.mappings())

    def closing_prices(self) -> dict[date, dict[str, Decimal]]:
        """Prices in quote by coin of each close that they are known of."""
        query = select(closes.c.day, closes.c.prices).where(self._own(closes), closes.c.prices.is_not(None))
        with self._reading() as connection:
            return {
                date.fromisoformat(day): {coin: Decimal(price) for coin, price in json.loads(prices).items()}
                for day, prices in connection.execute(query)
            }

    def closes_before(self, days: Sequence[date]) -> tuple[Close | None, ...]:
        """The last close of each day or of one before it."""
        named = {f"day_{number}": day.isoformat() for number, day in enumerate(days)}
        with self._reading() as connection:
            rows = connection.execute(_last_closes(len(days)), {**self._key, **named})
            found = [_close_of(row, ()) for row in rows.mappings()]
        return tuple(next((close for close in found if close.day <= day), None) for day in days)

    def last_valuation(self) -> tuple[datetime, Decimal] | None:
        """When the book was last valued, and the rate (EUR for one of the quote asset) of that time; None where neither is known."""
        valued = select(closes.c.valued_at, closes.c.value, closes.c.value_quote)
        newest = valued.where(self._own(closes)).order_by(closes.c.day.desc()).limit(1)
        with self._reading() as connection:
            found = connection.execute(newest).one_or_none()
        if found is None or found.valued_at is None or not found.value_quote:
            return None
        return found.valued_at, found.value / found.value_quote

    def last_prices(self, coins: Collection[str]) -> dict[str, LastPrice]:
        """Last known price of each coin: of a valuation, else of its last fill; missing where it has none."""
        fill = select(fills.c.price, fills.c.time)
        known: dict[str, LastPrice] = {}
        with self._reading() as connection:
            for coin in coins:
                price = func.json_extract(closes.c.prices, f'$."{coin}"')
                valued = select(price, closes.c.day).where(self._own(closes), price.is_not(None))
                filled = fill.where(self._own(fills), fills.c.base == coin, fills.c.quote == self.quote)
                if found := connection.execute(valued.order_by(closes.c.day.desc()).limit(1)).one_or_none():
                    known[coin] = LastPrice(Decimal(found[0]), date.fromisoformat(found[1]))
                elif found := connection.execute(filled.order_by(fills.c.seq.desc()).limit(1)).one_or_none():
                    known[coin] = LastPrice(found[0], found[1].date())
        return known

    # Inside

    def _filled(self) -> frozenset[str]:
        """The days whose close was filled."""
        return frozenset(json.loads(self.fact(FILLED) or "[]"))

    def _add_flow(self, connection: Connection, flow: CashFlow) -> CashFlow:
        if flow.coin:
            last = connection.execute(select(func.max(fills.c.seq)).where(self._own(fills))).scalar_one()
            flow = replace(flow, after_fill=last or 0)
        return replace(flow, seq=insert_row(connection, cash_flows, {**self._key, **columns(flow)}))


@cache
def _last_closes(count: int) -> Select[Any]:
    """The last closes of some days, `day_0` and so on, or of days before them, newest first."""
    days = [
        select(func.max(closes.c.day))
        .where(of_book(closes), closes.c.day <= bindparam(f"day_{number}"))
        .scalar_subquery()
        for number in range(count)
    ]
    return select(closes).where(of_book(closes), closes.c.day.in_(days)).order_by(closes.c.day.desc())


def _change_text(old: CashFlow | None, new: CashFlow | None) -> str:
    removed = old and {
        "kind": old.kind,
        "amount": f"{old.amount:f}",
        "amount_quote": f"{old.amount_quote:f}",
        "time": old.time.isoformat(),
        "note": old.note,
        "value_before": f"{old.value_before:f}",
    }
    return json.dumps({"added": new and new.seq, "removed": removed})


def _prices_text(prices: Mapping[str, Decimal]) -> str:
    return json.dumps({coin: f"{price:f}" for coin, price in prices.items()})


def _close_of(row: RowMapping, filled: Collection[str]) -> Close:
    return Close(
        day=date.fromisoformat(row["day"]),
        value=row["value"],
        value_quote=row["value_quote"],
        net_deposits=row["net_deposits"],
        units=Units(row["units"], row["unit_price"]),
        drawdown=Drawdown(row["peak"], row["deepest"]),
        filled=row["day"] in filled,
    )


def flow_of(row: RowMapping) -> CashFlow:
    why = row["explanation"]
    return CashFlow(
        **{**without_key(row), "kind": FlowKind(row["kind"]), "explanation": why and Explanation(why)},
    )
