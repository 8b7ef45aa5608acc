"""Words and figures of a report, in the language of who reads it."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from ..decimals import EXACT, ZERO
from .spans import Span

UNKNOWN = "–"
LANGUAGES = ("en", "fr")


class Words:
    """Looks texts up (`report_…` and those of the logbook) and writes figures; times are of a time zone."""

    def __init__(self, language: str, texts: Mapping[str, str], zone: tzinfo) -> None:
        """`texts` are those of the language, by key."""
        self.language = language
        self._texts = texts
        self._zone = zone
        french = language == "fr"
        self._marks = str.maketrans({",": "\u00a0", ".": ","}) if french else {}
        self._unit = "\u00a0{}" if french else " {}"
        self._percent = "{}\u00a0%" if french else "{}%"

    def __call__(self, key: str, **facts: str) -> str:
        """A text of the report."""
        return self._texts[f"report_{key}"].format_map(facts)

    def number(self, value: Decimal | float | None, places: int, *, signed: bool = False) -> str:
        """A number with so many decimals."""
        if value is None:
            return UNKNOWN
        with localcontext(EXACT):
            rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) + ZERO
        return f"{rounded:{'+' if signed and rounded else ''},f}".translate(self._marks)

    def quantity(self, value: Decimal) -> str:
        """A quantity of coins, all of its decimals up to eight."""
        text = f"{value.quantize(Decimal('1e-8'), context=EXACT):,f}"
        return text.rstrip("0").rstrip(".").translate(self._marks)

    def eur(self, value: Decimal | None, *, signed: bool = False) -> str:
        """An amount in EUR, to the cent."""
        return self.amount(value, "EUR", signed=signed)

    def amount(self, value: Decimal | None, asset: str, *, signed: bool = False) -> str:
        """An amount to the cent."""
        if value is None:
            return UNKNOWN
        return self.number(value, 2, signed=signed) + self._unit.format(asset)

    def percent(self, value: Decimal | float | None, *, signed: bool = False) -> str:
        """A percentage, to the hundredth."""
        return UNKNOWN if value is None else self._percent.format(self.number(value, 2, signed=signed))

    def day(self, day: date) -> str:
        """A day, as 31 Oct 2026."""
        return f"{day.day} {self(f'short_{day.month}')} {day.year}"

    def moment(self, at: datetime) -> str:
        """A time, in the time zone."""
        local = at.astimezone(self._zone)
        return f"{self.day(local.date())} {local:%H:%M}"

    def span(self, span: Span) -> str:
        """What a span is called: October 2026, third quarter of 2026, 2026."""
        year = f"{span.first.year}"
        match span.months:
            case 1:
                return self("month_of", month=self(f"month_{span.first.month}"), year=year)
            case 3:
                return self("quarter_of", quarter=self(f"quarter_{(span.first.month + 2) // 3}"), year=year)
        return year

    def happened(self, event: Mapping[str, Any], name: str) -> str:
        """A sentence on what happened, as the logbook has it."""
        kind = event["type"]
        text = self._texts.get(f"report_{kind}") or self._texts.get(f"logbook_alert_{kind}") or kind
        facts = defaultdict(lambda: UNKNOWN, {key: self._fact(value) for key, value in event.items()})
        return f"{name} {text.format_map(facts)}"

    def _fact(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{self._fact(quantity)} {asset}" for asset, quantity in value.items())
        return UNKNOWN if value is None else f"{value}".translate(self._marks)
