"""Reports: the figures of a span, in words, as a page and as a PDF; what happened beside the trades."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from html.parser import HTMLParser
import json
from pathlib import Path
import re
import subprocess
import sys
from typing import Any, override

import pytest

from custom_components.calvalot.trading.alert_log import happened_in, logged
from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind
from custom_components.calvalot.trading.performance import Drawdown, Units
from custom_components.calvalot.trading.reports import files
from custom_components.calvalot.trading.reports.charts import curve
from custom_components.calvalot.trading.reports.document import Document, from_text, to_text
from custom_components.calvalot.trading.reports.job import main
from custom_components.calvalot.trading.reports.layout import lay_out
from custom_components.calvalot.trading.reports.page import page
from custom_components.calvalot.trading.reports.pdf import pdf
from custom_components.calvalot.trading.reports.report import LISTED, Report, read_report
from custom_components.calvalot.trading.reports.spans import Span, month_before, span_of
from custom_components.calvalot.trading.reports.styles import shade
from custom_components.calvalot.trading.reports.words import LANGUAGES, Words
from custom_components.calvalot.trading.statistics.distance_text import DAYS
from custom_components.calvalot.trading.statistics.figures import Statistics

from ..test_translations import load
from .builders import QUOTE, make_fill, make_order, make_report

DAY = timedelta(days=1)
START = datetime(2026, 1, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 4, 10, 13, tzinfo=UTC)
RATE = Decimal("0.9")


def named(name: str) -> Span:
    """A span that has a name."""
    span = span_of(name)
    assert span
    return span


def words(language: str = "en") -> Words:
    """The words of a report."""
    return Words(language, load(f"translations/{language}.json")["common"], UTC)


class Diary:
    """A book of EUR 900 at 0.9 EUR, of which 5 BTC were bought at 100 on the second day; a close a day."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.price = Decimal(100)
        self.units = Units().with_flow(ZERO, Decimal(900))
        self.drawdown = Drawdown()
        self.day = START
        with localcontext(EXACT):
            book = ledger.book()
            book = replace(
                book,
                portfolio=book.portfolio.with_flow(Decimal(1000)),
                net_deposits=Decimal(900),
                units=self.units,
            )
        self.flow(FlowKind.INITIAL, "900", book)

    def flow(self, kind: FlowKind, eur: str, book: Any, note: str = "") -> None:
        """Money in or out, at noon."""
        with localcontext(EXACT):
            amount = Decimal(eur)
            quote = (amount / RATE).quantize(Decimal("1e-8"))
            flow = CashFlow(
                kind=kind, amount=amount, amount_quote=quote, time=self.day, value_before=self.value, note=note
            )
        self.ledger.add_flow(flow, book)

    @property
    def value(self) -> Decimal:
        """Value in EUR."""
        with localcontext(EXACT):
            valued = self.ledger.book().portfolio.value({"BTC": self.price})
            return valued.total * RATE if valued else ZERO

    def trade(self, side: Side, quantity: str, count: int = 1, fee: str = "0.1") -> None:
        """Orders of one fill each."""
        first = self.ledger.last_fill()
        records = [
            make_order(side, quantity, client_order_id=f"cv-{first + each}", created_at=self.day)
            for each in range(count)
        ]
        for number, order in enumerate(self.ledger.add_orders(records)):
            fill = make_fill(quantity, f"{self.price}", fee, time=self.day, trade_id=f"{first + number}")
            self.ledger.book_order(order, make_report(order, fill), [fill], {QUOTE: ONE})

    def close(self, price: str) -> None:
        """The day ends at a price."""
        with localcontext(EXACT):
            self.price = Decimal(price)
            self.units = self.units.valued(self.value)
            self.drawdown = self.drawdown.seen(self.units.price)
            value = self.value
        prices = {"BTC": self.price}
        self.ledger.write_close(self.day, value, value / RATE, self.units, self.drawdown, prices)
        self.day += DAY


@pytest.fixture
def diary(ledger: Ledger) -> Diary:
    """From 20 January on: bought on the 21st, up to 110 in January, down to 88 on 15 February, 121 at the end of March."""
    diary = Diary(ledger)
    diary.close("100")
    diary.trade(Side.BUY, "5")
    while diary.day.date() < date(2026, 4, 1):
        day = diary.day.date()
        diary.close("110" if day < date(2026, 2, 15) else "88" if day < date(2026, 3, 1) else "121")
    return diary


def report_of(diary: Diary, name: str) -> Report:
    """The report of a span."""
    found = read_report(diary.ledger, Statistics(diary.ledger), named(name), NOW)
    assert found
    return found


# Spans


@pytest.mark.parametrize(
    ("name", "first", "last", "months"),
    [
        ("2026-02", "2026-02-01", "2026-02-28", 1),
        ("2025-12", "2025-12-01", "2025-12-31", 1),
        ("2026-Q1", "2026-01-01", "2026-03-31", 3),
        ("2026-Q4", "2026-10-01", "2026-12-31", 3),
        ("2024", "2024-01-01", "2024-12-31", 12),
    ],
)
def test_spans(name: str, first: str, last: str, months: int) -> None:
    """A month, a quarter, a year, by name."""
    span = named(name)
    assert (span.first.isoformat(), span.last.isoformat(), span.months) == (first, last, months)


@pytest.mark.parametrize("name", ["", "2026-13", "2026-00", "2026-Q5", "26-01", "2026-1", "1999", "2026-02-01", "9999"])
def test_no_spans(name: str) -> None:
    """Whatever else is none."""
    assert span_of(name) is None


def test_the_month_before() -> None:
    """Over the turn of a year, too."""
    assert month_before(date(2026, 1, 31)) == named("2025-12")
    assert month_before(date(2026, 3, 1)) == named("2026-02")


# Figures


def test_a_month(diary: Diary) -> None:
    """From the last close before it to its last one; nothing of what came after it."""
    found = report_of(diary, "2026-02")
    assert (found.base.day, found.end.day) == (date(2026, 1, 31), date(2026, 2, 28))
    # 499.9 of cash and 5 BTC: 1,049.9 and 939.9 USDC.
    assert (found.base.value, found.end.value) == (Decimal("944.91"), Decimal("845.91"))
    assert (found.paid, found.result) == (0, Decimal(-99))
    assert found.whole.time_weighted is not None
    assert round(found.whole.time_weighted, 6) == round(Decimal(-9900) / Decimal("944.91"), 6)
    assert found.whole.btc == -20
    assert round(found.deepest, 6) == -round(found.whole.time_weighted, 6)
    assert {name for name, each in found.by_period.items() if each} == {"7d", "14d", "30d", "this_year", "since_start"}
    assert set(found.by_month) == {(2026, 1), (2026, 2)}
    assert [(each.coin, each.quantity, each.value) for each in found.at_start] == [
        ("BTC", 5, 495),
        ("", Decimal("499.9"), Decimal("449.91")),
    ]
    assert sum(each.share or ZERO for each in found.at_end).quantize(Decimal("1e-9")) == 100
    assert (found.orders, found.trades, found.flows, found.distance) == (0, (), [], None)


def test_the_first_month_begins_with_the_first_money(diary: Diary) -> None:
    """The budget is what was paid in, and there is no allocation before it."""
    found = report_of(diary, "2026-01")
    assert (found.base.value, found.paid, found.at_start) == (0, 900, [])
    assert found.result == found.end.value - 900 == Decimal("44.91")
    assert found.orders == 1
    assert found.fees == {"USDC": Decimal("0.1")}
    assert found.volumes["BTC"].bought == 500


def test_a_span_that_goes_on(diary: Diary) -> None:
    """Up to the last close there is."""
    assert report_of(diary, "2026").end.day == date(2026, 3, 31)
    assert report_of(diary, "2026-Q1").whole.days == 70


def test_nothing_to_report(diary: Diary, ledger: Ledger) -> None:
    """Before the first close, after the last one, and where all was lost."""
    statistics = Statistics(ledger)
    for name in ("2025-12", "2026-04"):
        assert read_report(ledger, statistics, named(name), NOW) is None
    diary.ledger.write_close(diary.day, ZERO, ZERO, Units(), Drawdown(), {})
    assert read_report(ledger, statistics, named("2026-04"), NOW) is None


def test_money_in_and_out_is_no_result(diary: Diary, ledger: Ledger) -> None:
    """A deposit in the span counts as paid in."""
    book = ledger.book()
    moved = replace(book, portfolio=book.portfolio.with_flow(Decimal(100)))
    diary.flow(FlowKind.DEPOSIT, "90", moved, "rent")
    diary.units = diary.units.with_flow(diary.value - 90, Decimal(90))
    diary.close("121")
    found = report_of(diary, "2026-04")
    assert (found.paid, found.result) == (90, 0)
    assert [flow.note for flow in found.flows] == ["rent"]


def test_what_was_sold_into_euro(diary: Diary) -> None:
    """It is said where it may be taxed: with real money, in euro, where something was sold."""

    def note(found: Report) -> str:
        return "".join(section.note for section in lay_out(found, "Mine", words()).sections)

    diary.trade(Side.SELL, "1", 3)
    diary.close("121")
    found = replace(report_of(diary, "2026-04"), quote="EUR", mode=Mode.LIVE)
    assert found.sold == 3 * 121
    assert "Sold into euro: 363.00 EUR. In France such sales are taxed" in note(found)
    bought = replace(report_of(diary, "2026-01"), quote="EUR", mode=Mode.LIVE)
    for other in (replace(found, quote="USDC"), replace(found, mode=Mode.DRY_RUN), bought):
        assert "euro" not in note(other)


def test_the_latest_trades_are_listed(diary: Diary) -> None:
    """The sums are those of all."""
    diary.trade(Side.SELL, "0.001", LISTED + 5, "0")
    diary.close("121")
    found = report_of(diary, "2026-04")
    assert (len(found.trades), found.orders) == (LISTED, LISTED + 5)
    assert found.volumes["BTC"].sold == (LISTED + 5) * Decimal("0.121")
    assert found.fees == {}
    told = lay_out(found, "Mine", words())
    assert len(re.findall(rb"/Type /Page\b", pdf(told))) > 10
    text = "".join(section.note for section in told.sections)
    assert "Fees as they were taken: –. Listed are the latest 1000 of 1005 orders" in text


def test_a_coin_without_a_price_has_no_value(diary: Diary, ledger: Ledger) -> None:
    """It is unknown, not nothing."""
    ledger.write_close(diary.day, Decimal(900), Decimal(1000), diary.units, diary.drawdown, {})
    assert report_of(diary, "2026-04").at_end[0].value is None


def distance_fact(own: str, record: str, fees: str) -> str:
    """The end of a day as the ledger remembers it."""
    return json.dumps({"own": own, "record": record, "sums": {"fees": fees}})


def test_the_distance_of_a_span(diary: Diary, ledger: Ledger) -> None:
    """From the last day before it that is known, else from the beginning."""
    ledger.remember_all(
        {
            f"{DAYS}2026-01-31": distance_fact("1.02", "1.03", "-0.01"),
            f"{DAYS}2026-02-20": distance_fact("1.1", "1.2", "-0.03"),
        }
    )
    whole, part = report_of(diary, "2026-01").distance, report_of(diary, "2026-02").distance
    assert whole
    assert part
    assert whole.own == Decimal("0.02")
    assert round(part.own, 20) == round(Decimal("1.1") / Decimal("1.02") - 1, 20)
    assert report_of(diary, "2026-03").distance is None
    (section,) = [
        each for each in lay_out(report_of(diary, "2026-02"), "Mine", words()).sections if "Distance" in each.title
    ]
    assert section.note


# What happened


def test_what_happened_is_kept(ledger: Ledger) -> None:
    """By day, oldest first; nothing is written of nothing."""
    late, early = START + DAY, START
    ledger.remember_all(logged(late, [{"type": "paused"}]) | logged(early, [{"type": "dead"}, {"type": "revived"}]))
    assert logged(START, []) == {}
    day = START.date()
    assert [each["type"] for _, each in happened_in(ledger, day, day + DAY)] == ["dead", "revived", "paused"]
    assert [at for at, _ in happened_in(ledger, day + DAY, day + DAY)] == [late]


def test_what_happened_is_said(diary: Diary, ledger: Ledger) -> None:
    """In the logbook's words, with the figures of the language; what has no words by its name."""
    told = [
        {"type": "stop_loss", "drawdown": "12.5", "limit": "12"},
        {"type": "ledger_mismatch", "missing": {"BTC": "0.1"}},
        {"type": "paused"},
        {"type": "exit", "proceeds": None},
        {"type": "another"},
    ]
    ledger.remember_all(logged(datetime(2026, 2, 3, tzinfo=UTC), told))
    found = lay_out(report_of(diary, "2026-02"), "Mien", words("fr"))
    assert [row[1] for row in found.sections[-1].parts[0].rows] == [  # type: ignore[union-attr]
        "Mien s'est mis en pause\u00a0: il est 12,5\u00a0% sous son plus haut, la limite est de 12\u00a0%",
        "Mien ne retrouve pas tout sur le compte\u00a0: 0,1 BTC",
        "Mien a été mis en pause",
        "Mien a tout vendu pour – –",
        "Mien another",
    ]


# Words, page, PDF


def test_figures_in_words() -> None:
    """As the language writes them; unknown is a dash, and nothing has no sign."""
    english, french = words(), words("fr")
    assert (english.eur(Decimal("-1234.567")), english.percent(12.345, signed=True)) == ("-1,234.57 EUR", "+12.35%")
    assert (french.eur(Decimal("-1234.567")), french.percent(12.345)) == ("-1\u00a0234,57\u00a0EUR", "12,35\u00a0%")
    assert (english.eur(None), english.percent(None), english.number(None, 2)) == ("–", "–", "–")
    assert english.number(Decimal("-0.001"), 2, signed=True) == "0.00"
    assert (english.quantity(Decimal("1200.50")), english.quantity(Decimal(100))) == ("1,200.5", "100")
    assert (french.span(named("2026-02")), french.span(named("2026-Q3")), french.span(named("2026"))) == (
        "Février 2026",
        "Troisième trimestre 2026",
        "2026",
    )


class Tags(HTMLParser):
    """Checks that what is opened is closed again; collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def document(diary: Diary, language: str, name: str = "Mine") -> Document:
    """A year with everything in it."""
    diary.ledger.remember_all(logged(NOW - 60 * DAY, [{"type": "paused"}]))
    return lay_out(report_of(diary, "2026"), name, words(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page(diary: Diary, language: str) -> None:
    """Well-formed; it runs nothing and fetches nothing, and a name is text whatever it is."""
    name = '<script>alert("1")</script> & Co'
    found = Tags()
    found.feed(html := page(document(diary, language, name)))
    assert found.open == []
    assert found.tags.isdisjoint({"script", "img", "link", "iframe", "a", "object"})
    assert not {each for each in found.attributes if each.startswith("on")} | {"src", "href"} & found.attributes
    assert "url(" not in html
    assert name in found.text
    for section in document(diary, language).sections:
        assert section.title in found.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf(diary: Diary, language: str) -> None:
    """One with pages; what its fonts cannot write is a question mark, and markup is text."""
    found = pdf(document(diary, language, "Портфель <b> & Co"))
    assert found.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", found)) >= 2
    assert b"(???????? <b> & Co" in found


def test_the_same_in_both(diary: Diary) -> None:
    """Every word of the report's texts is used by one of them, and by nothing else."""
    english = {key for key in load("translations/en.json")["common"] if key.startswith("report_")}
    used: set[str] = set()

    class Spy(dict[str, str]):
        @override
        def __getitem__(self, key: str) -> str:
            used.add(key)
            return super().__getitem__(key)

        @override
        def get(self, key: str, default: Any = None) -> Any:
            used.add(key)
            return super().get(key, default)

    ledger = diary.ledger
    ledger.remember_all(
        logged(START, [{"type": "paused"}, {"type": "resumed"}]) | {f"{DAYS}2026-01-31": distance_fact("1", "1", "0")}
    )
    diary.day = START + 30 * DAY
    diary.trade(Side.SELL, "0.001")
    for kind in (FlowKind.DEPOSIT, FlowKind.WITHDRAWAL):
        diary.flow(kind, "0", ledger.book())
    spy = Words("en", Spy(load("translations/en.json")["common"]), UTC)
    found = report_of(diary, "2026-Q1")
    whole = next(iter(each for each in found.by_period.values() if each))
    found = replace(found, by_period=dict.fromkeys(found.by_period, whole), orders=LISTED + 1)
    lay_out(found, "Mine", spy)
    lay_out(replace(found, quote="EUR", mode=Mode.LIVE), "Mine", spy)
    lay_out(replace(report_of(diary, "2026-02"), mode=Mode.LIVE, orders=0), "Mine", spy)
    for month in range(1, 13):
        spy.span(named(f"2026-{month:02}"))
    for quarter in range(1, 5):
        spy.span(named(f"2026-Q{quarter}"))
    assert {key for key in used if key.startswith("report_")} == english


def test_curves() -> None:
    """Within their picture; a flat one too, and one of a single day."""
    days = [date(2026, 1, 1) + each * DAY for each in range(1000)]
    for values in ([Decimal(each % 7) for each in range(1000)], [Decimal(5)] * 1000, [Decimal("0.001")]):
        for from_zero in (False, True):
            found = curve(days[: len(values)], values, from_zero=from_zero)
            assert len(found.points) <= 402
            assert all(0 <= x <= 500 and 0 <= y <= found.height for x, y in found.points)
            assert [value for _, value in found.levels] == sorted(value for _, value in found.levels)
    assert curve(days[:2], [Decimal(0), Decimal(3)], from_zero=True).points[0][1] == 4


def test_colours() -> None:
    """White for nothing, deeper for more."""
    assert shade(0.0) == "#ffffff"
    assert shade(1.0) < shade(0.1)
    assert shade(-1.0) != shade(1.0)


# Files


def test_files(diary: Diary, tmp_path: Path) -> None:
    """A page and a PDF, listed with the latest span first, made anew in their place, and deleted."""
    folder = tmp_path / "reports"
    assert files.filed(folder) == []
    for name in ("2026-01", "2026-Q1", "2026-02"):
        for language in LANGUAGES:
            files.write(folder, named(name), lay_out(report_of(diary, name), "Mine", words(language)))
    files.write(folder, named("2026-01"), lay_out(report_of(diary, "2026-01"), "Mine", words()))
    (folder / "notes.pdf").write_text("mine")
    (folder / "calvalot-2026-13-en.pdf").write_text("mine")
    assert [(each.span.name, each.language) for each in files.filed(folder)] == [
        *(("2026-Q1", "fr"), ("2026-Q1", "en")),
        *(("2026-02", "fr"), ("2026-02", "en")),
        *(("2026-01", "fr"), ("2026-01", "en")),
    ]
    assert {path.suffix for path in folder.iterdir()} == {".pdf", ".html"}
    files.delete(folder, named("2026-02"), "fr")
    assert len(files.filed(folder)) == 5
    files.delete_all(folder)
    assert {path.name for path in folder.iterdir()} == {"notes.pdf", "calvalot-2026-13-en.pdf"}
    for path in folder.iterdir():
        path.unlink()
    files.delete_all(folder)
    assert not folder.exists()
    files.delete_all(folder)


def test_files_of_another_process(diary: Diary, tmp_path: Path) -> None:
    """The same page and a PDF; what goes wrong there is told here."""
    written = lay_out(report_of(diary, "2026-02"), "Møn", words("fr"))
    files.write(tmp_path / "here", named("2026-02"), written)
    files.write_apart(tmp_path / "there", named("2026-02"), written)
    here, there = ((tmp_path / place / "calvalot-2026-02-fr.html").read_bytes() for place in ("here", "there"))
    assert here == there
    assert (tmp_path / "there" / "calvalot-2026-02-fr.pdf").read_bytes().startswith(b"%PDF-")
    assert from_text(to_text(written)) == from_text(to_text(from_text(to_text(written))))
    main([str(tmp_path / "mine"), "2026-02"], to_text(written))
    assert (tmp_path / "mine" / "calvalot-2026-02-fr.html").read_bytes() == here
    main([str(tmp_path / "mine"), "never"], to_text(written))
    assert len(files.filed(tmp_path / "mine")) == 1
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        files.write_apart(tmp_path / "taken", named("2026-02"), written)


@pytest.mark.parametrize(
    "name", ["../x.pdf", "calvalot-2026-01-de.pdf", "calvalot-2026-01-en.db", "calvalot-2026-01-en.pdf\n"]
)
def test_no_other_file(name: str) -> None:
    """Whatever else lies there is none of ours."""
    assert not files.is_file_name(name)
    assert files.is_file_name("calvalot-2026-Q1-en.pdf")


def test_reportlab_is_imported_only_for_a_file() -> None:
    """Whoever wants no report pays nothing for it."""
    code = "import custom_components.calvalot.services, sys; sys.exit('reportlab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
