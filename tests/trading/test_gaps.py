"""Days without a close are filled from daily candles, as far as it is known what was held, and told apart."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from custom_components.calvalot.trading.errors import ExchangeError, Refused
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.gaps import Gaps, gaps
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind
from custom_components.calvalot.trading.performance import Close, Drawdown, Units
from custom_components.calvalot.trading.queries import Queries
from custom_components.calvalot.trading.settings import Scope, Settings

from .builders import NOW, QUOTE, make_fill, make_order, make_report

DAY = timedelta(days=1)
TODAY = NOW.date()
PRICES = {"EURUSDC": "1.25", "BTCUSDC": "100"}


class Book:
    """A ledger with 1,000 euro of which some went into BTC, valued on some days."""

    def __init__(self, ledger: Ledger, scope: Scope = Scope.BUDGET) -> None:
        self.ledger = ledger
        self.settings = Settings(entry_id="entry", mode=Mode.DRY_RUN, quote=QUOTE, coins=("BTC",), scope=scope)
        self.queries = Queries(self.settings, ledger, lambda: NOW, "binance")
        self.gaps = Gaps(self.settings, ledger, self.queries.figures, self.working)
        self.asked: list[tuple[str, date, date]] = []
        self.fault: dict[str, Exception] = {}
        self.unknown: set[tuple[str, date]] = set()
        self.pay("1000", -10, FlowKind.INITIAL)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Nobody else does anything."""
        yield

    def pay(self, amount: str, days: int, kind: FlowKind = FlowKind.DEPOSIT) -> None:
        """Pay euros in some days from now."""
        quote = Decimal(amount) * Decimal("1.25")
        flow = CashFlow(
            kind=kind, amount=Decimal(amount), amount_quote=quote, time=NOW + days * DAY, value_before=Decimal(0)
        )
        book = self.ledger.book()
        paid = (book.net_deposits or Decimal(0)) + Decimal(amount)
        units = Units(book.units.outstanding + Decimal(amount), Decimal(1))
        self.ledger.add_flow(
            flow, replace(book, portfolio=book.portfolio.with_flow(quote), net_deposits=paid, units=units)
        )

    def buy(self, quantity: str, days: int) -> None:
        """Buy BTC at 100 some days from now."""
        name = f"cv-{quantity}-{-days}"
        order = self.ledger.add_orders([make_order(quantity=quantity, client_order_id=name)])[0]
        fill = make_fill(quantity, "100", time=NOW + days * DAY, trade_id=name)
        self.ledger.book_order(order, replace(make_report(order, fill), time=fill.time), [fill], {QUOTE: Decimal(1)})

    def close(self, days: int) -> None:
        """Write the close of a day at a price of 100 of BTC."""
        book = self.ledger.book()
        quote = book.portfolio.cash + book.portfolio.quantity("BTC") * 100
        value = quote / Decimal("1.25")
        prices = {"BTC": Decimal(100), "ETH": Decimal(7)}
        units = book.units.valued(value)
        self.ledger.write_close(NOW + days * DAY, value, quote, units, book.drawdown.seen(units.price), prices)

    async def daily(self, symbol: str, first: date, last: date) -> Mapping[date, Decimal]:
        """Candles of an exchange that BTC gains 10 on each day before today."""
        self.asked.append((symbol, first, last))
        if symbol in self.fault:
            raise self.fault[symbol]
        if symbol not in PRICES:
            raise Refused("Invalid symbol.", -1121)
        days = [first + number * DAY for number in range((last - first).days + 1)]
        rise = 10 if symbol == "BTCUSDC" else 0
        return {
            day: Decimal(PRICES[symbol]) + rise * (10 - (TODAY - day).days)
            for day in days
            if (symbol, day) not in self.unknown
        }

    def filled(self) -> dict[int, Close]:
        """Closes that were filled, by days from now."""
        return {(close.day - TODAY).days: close for close in self.ledger.closes() if close.filled}


@pytest.fixture
def book(ledger: Ledger) -> Book:
    """A book that was off for three days, with 5 BTC from the first of them on and a close before and after."""
    book = Book(ledger)
    book.buy("5", -9)
    book.close(-9)
    book.close(-5)
    book.close(0)
    return book


async def test_days_are_filled(book: Book) -> None:
    """At what was held and the day's closing prices; what was seen stays as it was, and each gap is asked for once."""
    before = book.ledger.closes()
    state = book.ledger.book()
    assert await book.gaps.fill(book.daily) == 7
    assert {*book.asked[:5]} == {
        (symbol, TODAY - 8 * DAY, TODAY - 6 * DAY)
        for symbol in ("EURUSDC", "EURUSDT", "USDCUSDT", "BTCUSDC", "ETHUSDC")
    }
    filled = book.filled()
    assert sorted(filled) == [-8, -7, -6, -4, -3, -2, -1]
    close = filled[-7]
    # 750 of cash and 5 BTC at 130 are 1,400, a euro being 1.25
    assert (close.value_quote, close.value, close.net_deposits) == (1400, 1120, 1000)
    assert (close.units.outstanding, close.units.price) == (1000, Decimal("1.12"))
    assert [each for each in book.ledger.closes() if not each.filled] == [*before]
    assert book.ledger.book() == state
    assert filled[-6].drawdown == Drawdown(Decimal("1.16"), Decimal(0))
    assert book.ledger.closing_prices()[TODAY - 7 * DAY] == {"BTC": 130}
    told = {row["day"]: row for row in await book.queries.curves()}
    assert told[f"{TODAY - 7 * DAY}"]["filled"]
    assert told[f"{TODAY - 7 * DAY}"]["btc"] == "104"
    assert not told[f"{TODAY}"]["filled"]
    performance = await book.queries.performance()
    assert [each["filled"] for each in performance["closes"]] == [False, True, True, True, False, *[True] * 4, False]
    book.asked.clear()
    assert await book.gaps.fill(book.daily) == 0
    assert not book.asked


async def test_a_gap_that_comes_later(book: Book) -> None:
    """Alone is asked for; an older one is done with."""
    await book.gaps.fill(book.daily)
    book.asked.clear()
    book.close(2)
    assert await book.gaps.fill(book.daily) == 1
    assert {first for _, first, _ in book.asked} == {TODAY + DAY}


@pytest.mark.parametrize("what", ["EURUSDC", "BTCUSDC"])
async def test_a_day_without_a_candle_stays_open(book: Book, what: str) -> None:
    """Neither a price nor a rate is made up."""
    book.unknown.add((what, TODAY - 7 * DAY))
    assert await book.gaps.fill(book.daily) == 6
    assert -7 not in book.filled()


async def test_an_exchange_that_does_not_answer(book: Book) -> None:
    """Is asked again the next time."""
    book.fault["BTCUSDC"] = ExchangeError("away")
    assert await book.gaps.fill(book.daily) == 0
    del book.fault["BTCUSDC"]
    assert await book.gaps.fill(book.daily) == 7


async def test_money_that_came_meanwhile(book: Book) -> None:
    """From that day on it is not known what the units were; up to then it is."""
    book.pay("100", -7)
    book.pay("100", -5)
    assert await book.gaps.fill(book.daily) == 5
    assert sorted(book.filled()) == [-8, -4, -3, -2, -1]


def test_a_wallet_whose_coins_came_meanwhile() -> None:
    """Nobody knows on which day what was found at the return had come."""
    closes = [
        Close(
            day=TODAY + number * DAY,
            value=Decimal(1),
            value_quote=Decimal(1),
            net_deposits=Decimal(1),
            units=Units(Decimal(1)),
            drawdown=Drawdown(),
        )
        for number in (0, 3, 5)
    ]
    came = CashFlow(
        kind=FlowKind.DEPOSIT,
        amount=Decimal(1),
        amount_quote=Decimal(1),
        time=datetime.combine(TODAY + 3 * DAY, NOW.timetz()),
        value_before=Decimal(1),
        coin="BTC",
        quantity=Decimal(1),
    )
    assert [len(gap.days) for gap in gaps(closes, [came], Scope.BUDGET)] == [2, 1]
    assert [len(gap.days) for gap in gaps(closes, [came], Scope.WALLET)] == [1]


async def test_a_day_is_written_once(book: Book) -> None:
    """What has a close by then keeps it."""
    await book.gaps.fill(book.daily)
    known = book.ledger.closes()
    close = replace(known[1], value=Decimal(7))
    book.ledger.fill_closes([(close, {})], {})
    assert book.ledger.closes() == known


async def test_holdings_of_a_day_with_trades(book: Book) -> None:
    """What was sold and bought meanwhile is held from its day on."""
    book.buy("1", -7)
    assert await book.gaps.fill(book.daily) == 7
    assert book.filled()[-8].value_quote == 750 + 5 * 120
    assert book.filled()[-7].value_quote == 650 + 6 * 130
