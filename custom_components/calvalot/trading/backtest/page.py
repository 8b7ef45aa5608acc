"""A result as one page of HTML with its curves: nothing is loaded, nothing is run."""

from datetime import date
from decimal import Decimal

from ..reports.charts import curve
from ..reports.document import Document, Figures, Section, Table
from ..reports.page import page
from ..responses import Json
from .many import sections as many_sections
from .spec import Spec
from .table import rows, short

# Return of a month (%) from which on its colour is the deepest, and height of the curve of falls.
DEEPEST_COLOUR = 20.0
FALL_HEIGHT = 90.0
# Trades that are listed.
LISTED = 1000


def html(result: Json, title: str) -> str:
    """The page of a result."""
    spec = Spec.from_json(result["spec"])
    figures = rows(result["figures"], spec.quote)
    facts = [(name, value) for name, value in figures if len(value) < 24]  # the widest that fits
    sections = [
        Section(
            title="What speaks against it",
            parts=[_findings(result)] if result["findings"] else [],
            note=result["verdict"],
        ),
        *([_curves(result, spec)] if result["equity"] else []),
        *many_sections(result),
        *([_months(result)] if result["months"] else []),
        *(
            Section(title=f"By {name[:-1]}", parts=[_groups(result[name], name[:-1])])
            for name in ("coins", "reasons")
            if result[name]
        ),
        *([_trades(result, spec)] if result["trades"] or result["open"] else []),
    ]
    document = Document(
        language="en",
        title=title,
        subtitle=f"{', '.join(spec.coins)} · {spec.frame}",
        mode="backtest",
        facts=facts,
        sections=sections,
        foot="Trades at the open after the close that decided, with fees and slippage. What earned in the past need not do so again.",
    )
    return page(document)


def _findings(result: Json) -> Table:
    return Table(head=["", ""], rows=[[each["weight"], each["text"]] for each in result["findings"]])


def _curves(result: Json, spec: Spec) -> Section:
    equity = result["equity"]
    days = [date.fromisoformat(each["day"]) for each in equity]
    parts = [
        _curve(days, [each[name] for each in equity], label)
        for name, label in (("value", f"Value ({spec.quote})"), ("hold", f"Bought and held ({spec.quote})"))
    ]
    fall = _curve(days, [each["drawdown"] for each in equity], "Fall from the highest value (%)", falling=True)
    return Section(title="Curves", parts=[*parts, fall])


def _curve(days: list[date], values: list[str], label: str, *, falling: bool = False) -> Figures:
    numbers = [Decimal(each) for each in values]
    drawn = curve(days, numbers, height=FALL_HEIGHT, from_zero=True) if falling else curve(days, numbers)
    return Figures(
        points=drawn.points,
        levels=[(y, f"{level:,.6g}") for y, level in drawn.levels],
        days=[(x, day.isoformat()) for x, day in drawn.days],
        floor=drawn.floor,
        height=drawn.height,
        falling=falling,
        label=label,
    )


def _months(result: Json) -> Section:
    rows_, heat = [], []
    for year in result["months"]:
        cells = [*year["months"].values()]
        rows_.append(
            [f"{year['year']}", *("" if each is None else short(each, 1) for each in cells), short(year["total"], 1)]
        )
        shades = [None if each is None else max(-1.0, min(1.0, float(each) / DEEPEST_COLOUR)) for each in cells]
        heat.append([None, *shades, None])
    return Section(
        title="Return by month (%)",
        parts=[Table(head=["", *(f"{n}" for n in range(1, 13)), "year"], rows=rows_, heat=heat)],
    )


def _groups(groups: list[Json], name: str) -> Table:
    return Table(
        head=[name, "trades", "won %", "result", "fees"],
        rows=[
            [each["name"], f"{each['trades']}", short(each["win_rate"], 0), short(each["result"]), short(each["fees"])]
            for each in groups
        ],
    )


def _trades(result: Json, spec: Spec) -> Section:
    listed = result["trades"][-LISTED:]
    closed = [
        [
            each["coin"],
            each["opened"][:16],
            each["closed"][:16],
            each["left_for"],
            short(each["entry_price"], 4),
            short(each["exit_price"], 4),
            short(each["return"]),
            short(each["result"]),
        ]
        for each in listed
    ]
    still = [
        [
            each["coin"],
            each["opened"][:16],
            "open",
            "",
            short(each["entry_price"], 4),
            short(each["price"], 4),
            "",
            short(each["result"]),
        ]
        for each in result["open"]
    ]
    head = ["coin", "from", "to", "left for", "entry", "exit", "return %", f"result ({spec.quote})"]
    note = "" if len(listed) == len(result["trades"]) else f"The last {LISTED} of {len(result['trades'])}."
    return Section(title="Trades", parts=[Table(head=head, rows=[*closed, *still])], note=note)
