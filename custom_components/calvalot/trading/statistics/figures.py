"""The statistics of a book: read from its ledger, answered as plain JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal, localcontext
from threading import RLock
from typing import Any

from ..decimals import EXACT, HUNDRED, ZERO
from ..ledger.ledger import Ledger
from ..ledger.records import Book, CashFlow
from ..responses import Json, figure, iso, text
from .gains import Gain
from .kept import from_text, to_text
from .leading import distance_of, signals_of
from .marks import Mark, marks, moved
from .ratios import DRAWDOWNS, Fall, falls, months, ratios, years
from .returns import Holding, Period, periods
from .trades import Traded, exposure, turnover

# Facts of the ledger: what was traded, added up, and up to which fill.
KEPT = "traded"
KEPT_UP_TO = "traded_up_to"
# It is kept after so many fills, and so many are added up with one cycle at most.
KEPT_EVERY = 250
AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The days of a book: marks and flows, oldest first; cash in quote by the day of a mark; what was held after the last trade of a day.

    `first` is what was held at the first close; None where that is not known.
    """

    marks: Sequence[Mark]
    flows: Sequence[CashFlow]
    cash: Mapping[date, Decimal]
    held: Mapping[date, Holding]
    first: Holding | None

    @property
    def paid(self) -> list[tuple[date, Decimal]]:
        """Day and EUR of each flow."""
        return [(flow.time.date(), flow.amount) for flow in self.flows]

    def holding(self, mark: Mark) -> Holding:
        """Cash and coins at a mark."""
        return Holding(cash=self.cash[mark.day], coins=coins_on(mark.day, self.held))


class Statistics:
    """Answers for the statistics of the books of one ledger.

    What was traded is added up once and gone on with; from time to time it is kept in the ledger, for the next start.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._traded: dict[int, Traded] = {}
        self._adding = RLock()

    def read(self, now: datetime) -> Json:
        """Returns, risk and trades of the book in use; synchronous. Raises LedgerError."""
        with self._adding:
            book, (past, traded) = self._ledger.book(), self._past()
            known = past.marks
            by_period = periods(known, past.paid, past.first, now.date())
            return {
                "as_of": iso(now),
                "since": known[0].day.isoformat() if known else None,
                "periods": {name: each and _period(each) for name, each in by_period.items()},
                "risk": _risk(known) if known else None,
                "months": month_rows(known),
                "trades": _trades(traded, book, known, past.cash),
                "distance": distance_of(self._ledger, now.date()),
                "signals": signals_of(self._ledger, now),
            }

    def past(self) -> Past:
        """What the figures of the book in use are computed from; synchronous. Raises LedgerError."""
        with self._adding:
            return self._past()[0]

    def holdings(self, days: Sequence[date]) -> dict[date, Holding]:
        """What the book in use held at the end of some days, the oldest first; synchronous. Raises LedgerError."""
        with self._adding:
            traded, everything = self._go_on()
            cash = cash_by_day(days, [flow for flow in everything if moved(flow) or flow.is_earned], traded)
            return {day: Holding(cash=cash[day], coins=coins_on(day, traded.by_day)) for day in days}

    def gains(self) -> dict[int, Gain]:
        """Realised gains of the book in use by year; synchronous. Raises LedgerError."""
        with self._adding:
            traded, _ = self._go_on()
            return dict(traded.gains_by_year.years)

    def keep_up(self) -> None:
        """Add up what was traded since it was kept last, a part at a time; synchronous. Raises LedgerError."""
        kept = int(self._ledger.fact(KEPT_UP_TO) or 0)
        if self._ledger.last_fill() < kept + KEPT_EVERY:
            return
        with self._adding:
            traded, _ = self._go_on(AT_ONCE)
            self._ledger.remember_all({KEPT: to_text(traded), KEPT_UP_TO: f"{traded.last_fill}"})

    def _past(self) -> tuple[Past, Traded]:
        closes = self._ledger.closes()
        traded, everything = self._go_on()
        flows = [flow for flow in reversed(everything) if moved(flow)]
        known = marks(closes, self._ledger.closing_prices(), flows)
        earned = [flow for flow in everything if flow.is_earned]
        cash = cash_by_day([mark.day for mark in known], [*flows, *earned], traded)
        first = first_holding(known, cash, traded)
        return Past(marks=known, flows=flows, cash=cash, held=dict(traded.by_day), first=first), traded

    def _go_on(self, limit: int | None = None) -> tuple[Traded, Sequence[CashFlow]]:
        """What the book in use traded so far, so many fills more at most, and all that was paid in and out."""
        so_far = self._traded.get(self._ledger.number)
        if so_far is None or so_far.last_fill > self._ledger.last_fill():  # the ledger may be an older copy
            kept = self._ledger.fact(KEPT)
            so_far = self._traded[self._ledger.number] = from_text(kept) if kept else Traded()
        fills = self._ledger.fills_since(so_far.last_fill, limit)
        flows = self._ledger.flows(None)  # after the fills: one that came after others waits for them
        in_kind = sorted((flow for flow in flows if flow.coin), key=lambda flow: flow.seq)
        so_far.take(fills, in_kind, self._ledger.quote)
        return so_far, flows


def coins_on(day: date, held: Mapping[date, Holding]) -> Mapping[str, Decimal]:
    """Coins at the end of a day, given what was held after the last trade of each day that had one."""
    before = max((each for each in held if each <= day), default=None)
    return held[before].coins if before else {}


def cash_by_day(days: Sequence[date], flows: Sequence[CashFlow], traded: Traded) -> dict[date, Decimal]:
    """Cash in quote at the end of some days, the oldest first."""
    trades = sorted(traded.by_day.items(), key=lambda each: each[0])
    paid = sorted(((flow.time.date(), flow.amount_quote) for flow in flows if not flow.coin), key=lambda each: each[0])
    found: dict[date, Decimal] = {}
    from_trades = paid_in = ZERO
    with localcontext(EXACT):
        for day in days:
            while trades and trades[0][0] <= day:
                from_trades = trades.pop(0)[1].cash
            while paid and paid[0][0] <= day:
                paid_in += paid.pop(0)[1]
            found[day] = paid_in + from_trades
    return found


def first_holding(known: Sequence[Mark], cash: Mapping[date, Decimal], traded: Traded) -> Holding | None:
    """What was held at the first close; None where that is not known."""
    first = next((mark for mark in known if mark.rate is not None and mark.value), None)
    if first is None:
        return None
    return Holding(cash=cash[first.day], coins=coins_on(first.day, traded.by_day))


def _period(period: Period) -> Json:
    told: dict[str, Any] = {item.name: getattr(period, item.name) for item in fields(Period)}
    return {
        name: value.isoformat() if isinstance(value, date) else figure(value) if isinstance(value, Decimal) else value
        for name, value in told.items()
    }


def _risk(known: Sequence[Mark]) -> Json:
    found = ratios(known)
    by_month = months(known) if found.best_day else {}
    ranked = sorted(by_month.items(), key=lambda each: each[1])
    return {
        "days": found.days,
        "volatility": _plain(found.volatility),
        "sharpe": _plain(found.sharpe),
        "sortino": _plain(found.sortino),
        "calmar": _plain(found.calmar),
        "best_day": _day(found.best_day),
        "worst_day": _day(found.worst_day),
        "best_month": _month(ranked[-1]) if ranked else None,
        "worst_month": _month(ranked[0]) if ranked else None,
        "risk_class": found.risk_class,
        "risk_volatility": _plain(found.risk_volatility),
        "drawdowns": [fall_row(each) for each in falls(known)[:DRAWDOWNS]],
    }


def month_rows(known: Sequence[Mark]) -> list[Json]:
    """Returns (%) by year and month, with those of the years; none without a mark."""
    by_month = months(known) if known else {}
    return [
        {
            "year": year,
            "total": _plain(total),
            "months": {f"{month:02}": _plain(by_month.get((year, month))) for month in range(1, 13)},
        }
        for year, total in years(by_month).items()
    ]


def _trades(traded: Traded, book: Book, known: Sequence[Mark], cash: Mapping[date, Decimal]) -> Json:
    """What was traded and how much of it was invested; amounts in quote."""
    with localcontext(EXACT):
        values = {mark.day: mark.value / mark.rate for mark in known if mark.rate and mark.value}
        shares = [share for day, value in values.items() if (share := exposure(cash[day], value)) is not None]
        return {
            "closed": traded.won + traded.lost,
            "won": traded.won,
            "lost": traded.lost,
            "win_rate": _percent(traded.win_rate),
            "profit_factor": figure(traded.profit_factor),
            "gains": text(traded.gains),
            "losses": text(traded.losses),
            "realised": text(book.portfolio.realised),
            "unrealised": text(_unrealised(book, known)),
            "fees": text(book.portfolio.fees),
            "bought": text(traded.bought),
            "sold": text(traded.sold),
            "turnover": _percent(turnover(traded.bought, traded.sold, [*values.values()])),
            "holding_days": figure(traded.holding_days),
            "exposure": _percent(sum(shares, ZERO) / len(shares) if shares else None),
        }


def _percent(share: Decimal | None) -> str | None:
    return None if share is None else figure(share * HUNDRED)


def _plain(value: float | None) -> str | None:
    return None if value is None else figure(Decimal(value))


def _day(day: tuple[date, float] | None) -> Json | None:
    return day and {"day": day[0].isoformat(), "return": _plain(day[1] * 100)}


def _month(month: tuple[tuple[int, int], float]) -> Json:
    (year, number), earned = month
    return {"month": f"{year}-{number:02}", "return": _plain(earned)}


def _unrealised(book: Book, known: Sequence[Mark]) -> Decimal | None:
    """What is held is worth more or less than it cost, in quote, at the prices of the last mark; None where one is unknown."""
    valuation = book.portfolio.value(known[-1].prices) if known else None
    if valuation is None:
        return None
    return valuation.positions - sum((each.cost for each in book.portfolio.positions.values()), ZERO)


def fall_row(each: Fall) -> Json:
    """A fall from a peak as plain JSON; its depth in %."""
    return {
        "peak": each.peak.isoformat(),
        "valley": each.valley.isoformat(),
        "recovered": each.recovered and each.recovered.isoformat(),
        "depth": _plain(each.depth),
    }
