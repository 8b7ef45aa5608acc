"""The ledger: the only place where money is written down. SQLite, every commit on disk before the next step.

Its methods are synchronous and belong in a worker thread; the event loop asks them by `ask`. Amounts in a method's arguments are in the quote asset unless they
say EUR. Whatever the storage does wrong comes out as LedgerError, and nothing of the failed step is kept.
"""

from array import array
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from ..decimals import EXACT, ZERO
from ..exchanges.base import AccountId, Fill, Mode, Side
from ..portfolio import Half, Portfolio, halves
from ..replay import in_order, replayed
from ..signal import Kind
from . import claims
from .alerts import AlertTable
from .book import IN_USE, lying
from .fills import FillTable
from .past import PastTable
from .records import FIRST_BOOK, NO_BOOK, OVERTAKEN, BookedFill, Result, SignalRecord, Trade
from .signals import signal_of
from .storage import remembered, upsert_row
from .succession import QUOTE, Succession
from .tables import accounts, books, cash_flows, closes, facts, fills, orders, positions, signals

DAY = timedelta(days=1)
# What a booked fill is made of, in the order in which it is read.
_OF_FILL = (
    *(fills.c.seq, fills.c.order_seq, orders.c.exchange, fills.c.symbol, fills.c.fee_price),
    *(orders.c.side, fills.c.base, fills.c.quote, fills.c.value),
    *(fills.c.trade_id, orders.c.order_id, fills.c.price, fills.c.quantity, fills.c.amount),
    *(fills.c.fee, fills.c.fee_asset, fills.c.time),
)
_LATEST = (
    select(signals).where(lying(signals), signals.c.result != Result.BLENDED).order_by(signals.c.seq.desc()).limit(1)
)
_SIDES = {side.value: side for side in Side}


class Ledger(Succession, FillTable, PastTable, AlertTable):
    """The book in use of one mode, among others in one SQLite file; books have numbers."""

    # Books and the accounts they belong to

    @remembered(accounts)
    def quotes(self) -> Mapping[int, str]:
        """The quote asset of each live book that an account is known of, by the book's number."""
        with self._reading() as connection:
            rows = connection.execute(select(accounts.c.book, accounts.c.quote).where(accounts.c.mode == self.mode))
            return dict(rows.tuples().all())

    @remembered(accounts)
    def account_ids(self) -> Mapping[int, AccountId]:
        """The account of each live book that it is known of, by the book's number."""
        with self._reading() as connection:
            rows = connection.execute(select(accounts).where(accounts.c.mode == self.mode)).mappings()
            return {row["book"]: AccountId(host=row["host"], uid=row["uid"], key=row["key"]) for row in rows}

    def use(self, number: int, account: AccountId, now: datetime) -> None:
        """Use a book from here on, a new one or one that was in use before; it belongs to this account."""
        if number == self.number and self.account_ids().get(number) == account:
            return
        row = {"host": account.host, "uid": account.uid, "key": account.key, "quote": self.quote, "begun_at": now}
        with self._transaction() as connection:
            kept = [accounts.c.mode == self.mode, accounts.c.book == number]
            if connection.execute(update(accounts).where(*kept).values(uid=account.uid, key=account.key)).rowcount == 0:
                connection.execute(insert(accounts), {**self._key, "book": number, **row})
            upsert_row(connection, facts, {**self._key, "book": NO_BOOK, "key": IN_USE, "value": str(number)})
        self.number = number

    def next_number(self) -> int:
        """Number of a book that is still to begin."""
        with self._reading() as connection:
            last = [
                connection.execute(select(func.max(table.c.book)).where(table.c.mode == self.mode)).scalar_one() or 0
                for table in (accounts, books)
            ]
        return 1 + max(FIRST_BOOK, *last)

    @remembered(accounts, books, positions, orders, facts)
    def claims(self) -> tuple[claims.Claim, ...]:
        """What each live book may count on of its account, whatever the mode is now."""
        with self._reading() as connection:
            return claims.read(lambda statement: connection.exec_driver_sql(statement).fetchall(), self._unclaimed)

    def placed(self) -> frozenset[tuple[str, str]]:
        """Symbol and id of each order that live books know on the exchange."""
        with self._reading() as connection:
            return claims.placed(lambda statement: connection.exec_driver_sql(statement).fetchall())

    @property
    def _unclaimed(self) -> str | None:
        """The quote of a live book of which no account is known."""
        return self.quote if self.mode is Mode.LIVE else None

    def in_book(self, number: int) -> Ledger:
        """The same open file, to read another book of this mode, in the quote asset that it was kept in."""
        other = copy(self)
        other.number = number
        other.quote = other.fact(QUOTE) or self.quote
        return other

    # What several tables tell together

    @remembered(signals, orders)
    def has_joined(self) -> bool:
        """Whether the book follows its leader: something was traded, or a signal came to an end of its own.

        Not one that failed, that a newer one overtook before anything was traded, or that sold everything.
        """
        followed = select(signals.c.seq).where(
            self._own(signals),
            signals.c.result.not_in((Result.REJECTED, Result.ERROR)),
            signals.c.reason != OVERTAKEN,
            signals.c.kind.not_in([kind for kind in Kind if kind.is_own]),
        )
        with self._reading() as connection:
            return any(connection.execute(query.limit(1)).first() for query in (self._traded(), followed))

    @remembered(signals, orders, fills)
    def latest(self) -> tuple[SignalRecord | None, Trade | None]:
        """The latest signal and the latest trade."""
        # What was blended says nothing of its own: the blend does.
        with self._reading() as connection:
            signal = next((signal_of(row) for row in connection.execute(_LATEST, self._key).mappings()), None)
        return signal, self.last_trade()

    def counts(self) -> dict[str, int]:
        """Number of records of each kind."""
        with self._reading() as connection:
            return {
                table.name: connection.execute(
                    select(func.count()).select_from(table).where(self._own(table))
                ).scalar_one()
                for table in (signals, orders, fills, cash_flows, closes)
            }

    def fills_since(self, seq: int = 0, limit: int | None = None) -> tuple[BookedFill, ...]:
        """Fills booked after the one with a seq, in the order of booking."""
        return self._fills(self._with_orders().where(fills.c.seq > seq).limit(limit))

    def fills_between(self, start: datetime, end: datetime) -> tuple[BookedFill, ...]:
        """Fills of the orders that were executed from a time on and before another, in the order of booking."""
        within = self._own(orders), orders.c.executed_at >= start, orders.c.executed_at < end
        return self._fills(self._with_orders().where(*within))

    def fills_of(self, order_seqs: Sequence[int]) -> tuple[BookedFill, ...]:
        """Fills of some orders, in the order of booking."""
        return self._fills(self._with_orders().where(fills.c.order_seq.in_(order_seqs)))

    def filled_orders(self, start: datetime | None = None, end: datetime | None = None) -> Sequence[int]:
        """Seqs of the orders that traded, those whose last fill was from a time on and before another, in the order of those fills."""
        last = func.max(fills.c.time)
        query = select(fills.c.order_seq).where(self._lying(fills)).group_by(fills.c.order_seq)
        if start and end:
            # An answer may be a moment away from its fills.
            around = orders.c.executed_at >= start - DAY, orders.c.executed_at < end + DAY
            query = query.where(fills.c.order_seq.in_(select(orders.c.seq).where(self._own(orders), *around)))
            query = query.having(last >= start, last < end)
        with self._reading() as connection:
            return array("q", connection.execute(query.order_by(last, fills.c.order_seq)).scalars())

    def _with_orders(self) -> Select[Any]:
        return (
            select(*_OF_FILL)
            .join(orders, orders.c.seq == fills.c.order_seq)
            .where(self._lying(fills))
            .order_by(fills.c.seq)
        )

    def _fills(self, query: Select[Any]) -> tuple[BookedFill, ...]:
        with self._reading() as connection:
            return tuple(
                BookedFill(
                    seq=seq,
                    order_seq=order_seq,
                    exchange=exchange,
                    symbol=symbol,
                    coin=half.coin,
                    side=half.side,
                    fee_price=fee_price,
                    fill=half.fill,
                )
                for seq, order_seq, exchange, symbol, fee_price, *of_fill in connection.execute(query)
                for half in self._halves(*of_fill)
            )

    def _halves(self, side: str, base: str, quote: str, value: Decimal, *of_fill: Any) -> tuple[Half, ...]:
        trade_id, order_id, price, quantity, amount, fee, fee_asset, time = of_fill
        fill = Fill(
            trade_id=trade_id,
            order_id=order_id,
            price=price,
            quantity=quantity,
            amount=amount,
            fee=fee,
            fee_asset=fee_asset,
            time=time,
        )
        return halves(fill, _SIDES[side], base, quote, self.quote, value)

    def replay(self) -> Portfolio:
        """Compute the portfolio again from every flow and fill; it must equal the book's."""
        flows = sorted(self.flows(None), key=lambda flow: flow.seq)
        with localcontext(EXACT):
            earned = sum((flow.amount_quote for flow in flows if flow.is_earned), ZERO)
            paid_in = sum((flow.amount_quote for flow in flows if not flow.coin and not flow.is_earned), ZERO)
            portfolio = Portfolio(cash=paid_in + earned, paid_in=paid_in, realised=earned)
        for step in in_order(self.fills_since(), [flow for flow in flows if flow.coin]):
            portfolio = replayed(portfolio, step, self.quote)
        return portfolio
