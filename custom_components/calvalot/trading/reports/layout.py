"""What stands in a report, section by section, in words: the page and the PDF show the same."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby

from ..decimals import HUNDRED, ZERO
from ..exchanges.base import Mode, Side
from ..statistics.distance import Part
from ..statistics.marks import PERIODS, SINCE_START, THIS_YEAR
from .charts import Curve, curve
from .document import Document, Figures, Section, Table
from .form_2086 import EURO
from .report import LISTED, Report, Share
from .words import UNKNOWN, Words

FALL_HEIGHT = 80.0
# Up to so much of a return in a month (%) its colour deepens.
DEEPEST_COLOUR = 10.0


def lay_out(report: Report, name: str, words: Words) -> Document:
    """A report of a portfolio with a name."""
    sections = [
        _curves(report, words),
        _periods(report, words),
        _months(report, words),
        _allocation(report, words),
        _distance(report, words),
        _trades(report, words),
        _flows(report, words),
        _happened(report, name, words),
    ]
    return Document(
        language=words.language,
        title=name,
        subtitle=words.span(report.span),
        mode=words("live" if report.mode is Mode.LIVE else "dry_run"),
        facts=_facts(report, words),
        sections=[section for section in sections if section],
        foot=words("foot", created=words.moment(report.created)),
    )


def _facts(report: Report, words: Words) -> list[tuple[str, str]]:
    whole = report.whole
    return [
        (words("value_at_end"), words.eur(report.end.value)),
        (words("result"), words.eur(report.result, signed=True)),
        (words("return"), words.percent(whole.time_weighted, signed=True)),
        (words("value_at_start"), words.eur(report.base.value)),
        (words("paid_in"), words.eur(report.paid, signed=True)),
        (words("money_weighted"), words.percent(whole.money_weighted, signed=True)),
        (words("btc"), words.percent(whole.btc, signed=True)),
        (words("first_allocation"), words.percent(whole.first_allocation, signed=True)),
        (words("drawdown"), words.percent(report.deepest)),
    ]


def _curves(report: Report, words: Words) -> Section:
    seen = [(mark, fall) for mark, fall in zip(report.marks, report.falls, strict=True) if mark.value]
    days = [mark.day for mark, _ in seen]
    values = curve(days, [mark.value for mark, _ in seen])
    falls = curve(days, [fall for _, fall in seen], height=FALL_HEIGHT, from_zero=True)
    step = values.levels[1][1] - values.levels[0][1]
    places = 0 if step >= 1 else 2
    in_words = [
        words.day(day).rsplit(" ", 1)[0] if report.span.months < 12 else words.day(day) for _, day in values.days
    ]
    return Section(
        title=words("curves"),
        parts=[
            _figures(
                values, [words.number(value, places) for _, value in values.levels], in_words, words("value_curve")
            ),
            _figures(
                falls,
                [words.percent(-value if value else ZERO) for _, value in falls.levels],
                in_words,
                words("drawdown_curve"),
                falling=True,
            ),
        ],
        note=words("drawdown_of_whole"),
    )


def _figures(drawn: Curve, levels: Sequence[str], days: Sequence[str], label: str, *, falling: bool = False) -> Figures:
    """A curve with what stands beside and below it."""
    return Figures(
        points=drawn.points,
        levels=[(y, text) for (y, _), text in zip(drawn.levels, levels, strict=True)],
        days=[(x, text) for (x, _), text in zip(drawn.days, days, strict=True)],
        floor=drawn.floor,
        height=drawn.height,
        falling=falling,
        label=label,
    )


def _periods(report: Report, words: Words) -> Section:
    names = [*PERIODS, THIS_YEAR, SINCE_START]
    rows = [
        [
            words(f"period_{name}"),
            words.percent(each.time_weighted, signed=True),
            words.percent(each.money_weighted, signed=True),
            words.percent(each.btc, signed=True),
            words.percent(each.first_allocation, signed=True),
        ]
        for name in names
        if (each := report.by_period.get(name))
    ]
    head = [words(key) for key in ("period", "return", "money_weighted", "btc", "first_allocation")]
    return Section(
        title=words("periods", day=words.day(report.end.day)),
        parts=[Table(head=head, rows=rows)],
        note=words("periods_explained"),
    )


def _months(report: Report, words: Words) -> Section | None:
    found = report.by_month
    rows, heat = [], []
    for year, months in groupby(sorted(found), key=lambda each: each[0]):
        known = {month for _, month in months}
        cells = [found[year, month] if month in known else None for month in range(1, 13)]
        rows.append([f"{year}", *(words.number(cell, 1, signed=True) if cell is not None else "" for cell in cells)])
        heat.append([None, *(None if cell is None else max(-1.0, min(1.0, cell / DEEPEST_COLOUR)) for cell in cells)])
    head = [words("year"), *(words(f"short_{month}") for month in range(1, 13))]
    return Section(title=words("months"), parts=[Table(head=head, rows=rows, heat=heat)]) if rows else None


def _allocation(report: Report, words: Words) -> Section:
    def rows(shares: Sequence[Share]) -> list[list[str]]:
        return [
            [
                each.coin or words("cash"),
                words.quantity(each.quantity) if each.coin else words.amount(each.quantity, report.quote),
                words.eur(each.value),
                words.percent(each.share),
            ]
            for each in shares
        ]

    head = [words("quantity"), words("value"), words("share")]
    parts = [
        Table(head=[words(key), *head], rows=rows(shares))
        for key, shares in (("at_start", report.at_start), ("at_end", report.at_end))
        if shares
    ]
    return Section(title=words("allocation"), parts=parts)


def _distance(report: Report, words: Words) -> Section | None:
    found = report.distance
    if found is None:
        return None

    def points(fraction: Decimal) -> str:
        return words.percent(fraction * HUNDRED, signed=True)

    rows = [
        [words("own"), points(found.own)],
        [words("source"), points(found.record)],
        [words("difference"), points(found.own - found.record)],
        *([words(f"part_{part.value}"), points(found.parts[part])] for part in Part),
    ]
    return Section(
        title=words("distance"),
        parts=[Table(head=["", words("points")], rows=rows)],
        note=words("distance_explained"),
    )


def _trades(report: Report, words: Words) -> Section:
    if not report.orders:
        return Section(title=words("trades"), note=words("no_trades"))
    sums = Table(
        head=[words("coin"), *(words(key, quote=report.quote) for key in ("orders", "bought", "sold", "fees_worth"))],
        rows=[
            [coin, f"{len(each.orders)}", *(words.number(value, 2) for value in (each.bought, each.sold, each.fees))]
            for coin, each in report.volumes.items()
        ],
    )
    trades = Table(
        head=[words(key, quote=report.quote) for key in ("time", "order", "quantity", "price", "amount")],
        rows=[
            [
                words.moment(trade.time),
                words("buy" if trade.side is Side.BUY else "sell", coin=trade.coin),
                words.quantity(trade.quantity),
                words.quantity(round(trade.price, 8)),
                words.number(trade.amount, 2),
            ]
            for trade in report.trades
        ],
    )
    paid = ", ".join(f"{words.quantity(fee)} {asset}" for asset, fee in report.fees.items()) or UNKNOWN
    notes = [words("fees_taken", fees=paid)]
    if report.sold and report.quote == EURO and report.mode is Mode.LIVE:
        notes.append(words("sold_into_euro", amount=words.eur(report.sold)))
    if report.orders > LISTED:
        notes.append(words("latest_of", listed=f"{LISTED}", count=f"{report.orders}"))
    return Section(title=words("trades"), parts=[sums, trades], note=" ".join(notes))


def _flows(report: Report, words: Words) -> Section | None:
    rows = [
        [
            words.moment(flow.time),
            words(f"flow_{flow.kind.value}"),
            words.eur(flow.amount, signed=True),
            flow.note,
        ]
        for flow in report.flows
    ]
    head = [words("time"), words("flow"), words("amount_eur"), words("note")]
    return Section(title=words("flows"), parts=[Table(head=head, rows=rows)]) if rows else None


def _happened(report: Report, name: str, words: Words) -> Section | None:
    rows = [[words.moment(at), words.happened(event, name)] for at, event in report.happened]
    return Section(title=words("happened"), parts=[Table(head=[words("time"), ""], rows=rows)]) if rows else None
