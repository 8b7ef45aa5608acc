"""Exports tell what the ledger tells: each file read back comes to the same sums, and gains by either method to the same book."""

from collections.abc import Iterable
import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from io import StringIO
import json
from typing import Any

from hypothesis import given, settings as examples
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ONE, ZERO
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import BookedFill, CashFlow, FlowKind
from custom_components.calvalot.trading.queries import Queries
from custom_components.calvalot.trading.reports.exports import gains_told
from custom_components.calvalot.trading.reports.form_2086 import Start, worksheet
from custom_components.calvalot.trading.reports.formats import FORMATS
from custom_components.calvalot.trading.reports.movements import Movement, movements
from custom_components.calvalot.trading.settings import Settings
from custom_components.calvalot.trading.statistics.figures import KEPT, KEPT_EVERY
from custom_components.calvalot.trading.statistics.gains import Fifo, Gain
from custom_components.calvalot.trading.statistics.trades import Traded

from .builders import NOW, QUOTE, Step, make_fill, make_order, make_report, steps
from .test_statistics import apply

DAY = timedelta(days=1)


def booked(
    seq: int, side: Side, quantity: str, price: str, fee: tuple[str, str] = ("0", QUOTE), day: int = 0, order: int = 0
) -> BookedFill:
    """A fill of BTC some days on; BNB is worth 500."""
    return BookedFill(
        seq=seq,
        order_seq=order or seq,
        symbol="BTCUSDC",
        coin="BTC",
        side=side,
        fee_price={QUOTE: ONE, "EUR": ONE, "BNB": Decimal(500)}.get(fee[1], Decimal(price)),
        fill=make_fill(quantity, price, *fee, time=NOW + day * DAY),
    )


def flow(seq: int, amount: str, day: int = 0, **changes: object) -> CashFlow:
    """Money in or out, a euro being worth one of the quote."""
    kind = FlowKind.DEPOSIT if Decimal(amount) > 0 else FlowKind.WITHDRAWAL
    known = {"time": NOW + day * DAY, "value_before": ZERO, "note": "", **changes}
    return CashFlow(seq=seq, kind=kind, amount=Decimal(amount), amount_quote=Decimal(amount), **known)  # type: ignore[arg-type]


FILLS = [
    booked(1, Side.BUY, "0.5", "60000", ("0.0005", "BTC"), 1),
    booked(2, Side.BUY, "0.1", "61000", ("0.01", "BNB"), 1, order=1),
    booked(3, Side.SELL, "0.2", "65000", ("13", QUOTE), 300),
]
FLOWS = [
    flow(1, "50000", note="=1+1"),
    flow(2, "-100", 2),
    flow(3, "-6000", 3, coin="BTC", quantity=Decimal("0.1"), after_fill=2),
    flow(4, "7", 4, value_before=None),
]
# What the account has of each coin in the end, fees of the owner's BNB included.
BALANCE = {"USDC": Decimal(26787), "BTC": Decimal("0.2995"), "BNB": Decimal("-0.01")}
ROWS = list(movements([FILLS[:2], FILLS[2:]], FLOWS, QUOTE, "binance"))


def add_up(changes: Iterable[tuple[str, str]]) -> dict[str, Decimal]:
    """Sums by asset of (amount, asset); what is empty counts nothing."""
    found: dict[str, Decimal] = {}
    for amount, asset in changes:
        if amount:
            found[asset] = found.get(asset, ZERO) + Decimal(amount)
    return found


def read_back(name: str, content: str) -> dict[str, Decimal]:
    """What a program that imports the file would come to, by asset."""
    if name == "json":
        rows = json.loads(content)
        return add_up(
            (("" if factor == 1 else "-") + each["amount"], each["asset"])
            for row in rows
            for factor, each in ((1, row["received"]), (-1, row["sent"]), *((-1, fee) for fee in row["fees"]))
            if each
        )
    received, sent, fee = {
        "koinly": (3, 1, 5),
        "cointracking": (1, 3, None),
        "blockpit": (6, 4, 8),
        "waltio": (3, 5, 7),
        "csv": (2, 4, 6),
    }[name]
    after = -1 if name == "blockpit" else 1
    changes = []
    for row in list(csv.reader(StringIO(content)))[1:]:
        for column, sign in ((received, ""), (sent, "-"), (fee, "-")):
            if column is not None and row[column]:
                changes.append((sign + row[column], row[column + after]))
    return add_up(changes)


@pytest.mark.parametrize("name", FORMATS)
def test_read_back(name: str) -> None:
    """The sums of each coin are those of the account."""
    assert read_back(name, "".join(FORMATS[name](ROWS))) == BALANCE


GOLDEN = {
    "koinly": """\
Date,Sent Amount,Sent Currency,Received Amount,Received Currency,Fee Amount,Fee Currency,Net Worth Amount,Net Worth Currency,Label,Description,TxHash
2026-05-01 12:00 UTC,,,50000,USDC,,,,,,'=1+1,flow-1
2026-05-02 12:00 UTC,36100,USDC,0.6,BTC,0.0005,BTC,,,,,trade-1
2026-05-02 12:00 UTC,0.01,BNB,,,,,,,cost,,trade-1
2026-05-03 12:00 UTC,100,USDC,,,,,,,,,flow-2
2026-05-04 12:00 UTC,0.1,BTC,,,,,,,,,flow-3
2027-02-25 12:00 UTC,0.2,BTC,13000,USDC,13,USDC,,,,,trade-3
""",
    "cointracking": """\
"Type","Buy Amount","Buy Currency","Sell Amount","Sell Currency","Fee","Fee Currency","Exchange","Trade-Group","Comment","Date"
"Deposit","50000","USDC","","","","","Binance","","'=1+1","01.05.2026 12:00:00"
"Trade","0.5995","BTC","36100","USDC","0.0005","BTC","Binance","","trade-1","02.05.2026 12:00:00"
"Other Fee","","","0.01","BNB","","","Binance","","trade-1","02.05.2026 12:00:00"
"Withdrawal","","","100","USDC","","","Binance","","flow-2","03.05.2026 12:00:00"
"Withdrawal","","","0.1","BTC","","","Binance","","flow-3","04.05.2026 12:00:00"
"Trade","12987","USDC","0.2","BTC","13","USDC","Binance","","trade-3","25.02.2027 12:00:00"
""",
    "blockpit": """\
Date (UTC),Integration Name,Label,Outgoing Asset,Outgoing Amount,Incoming Asset,Incoming Amount,Fee Asset (optional),Fee Amount (optional),Comment (optional),Trx. ID (optional)
01.05.2026 12:00:00,Binance,Deposit,,,USDC,50000,,,'=1+1,flow-1
02.05.2026 12:00:00,Binance,Trade,USDC,36100,BTC,0.6,BTC,0.0005,,trade-1
02.05.2026 12:00:00,Binance,Fee,BNB,0.01,,,,,,trade-1-fee
03.05.2026 12:00:00,Binance,Withdrawal,USDC,100,,,,,,flow-2
04.05.2026 12:00:00,Binance,Withdrawal,BTC,0.1,,,,,,flow-3
25.02.2027 12:00:00,Binance,Trade,BTC,0.2,USDC,13000,USDC,13,,trade-3
""",
    "waltio": """\
Type,Date,Fuseau horaire,Montant reçu,Monnaie ou jeton reçu,Montant envoyé,Monnaie ou jeton envoyé,Frais,Monnaie ou jeton des frais,Exchange / Plateforme,Description,Label
Dépôt,01/05/2026 12:00:00,GMT,50000,USDC,,,,,Binance,'=1+1,
Échange,02/05/2026 12:00:00,GMT,0.6,BTC,36100,USDC,0.0005,BTC,Binance,trade-1,
Retrait,02/05/2026 12:00:00,GMT,,,0.01,BNB,,,Binance,trade-1,Frais
Retrait,03/05/2026 12:00:00,GMT,,,100,USDC,,,Binance,flow-2,
Retrait,04/05/2026 12:00:00,GMT,,,0.1,BTC,,,Binance,flow-3,
Échange,25/02/2027 12:00:00,GMT,13000,USDC,0.2,BTC,13,USDC,Binance,trade-3,
""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    """To the letter."""
    assert "".join(FORMATS[name](ROWS)) == GOLDEN[name]


@pytest.mark.parametrize("name", FORMATS)
def test_a_piece_at_a_time(name: str) -> None:
    """Before all rows are known, and each of them once."""
    asked = 0

    def rows() -> Iterable[Movement]:
        nonlocal asked
        for asked in range(1, 2001):
            yield replace(ROWS[1], id=f"trade-{asked}")

    pieces = FORMATS[name](rows())
    first = next(iter(pieces))
    assert asked < 1000
    content = first + "".join(pieces)
    told = [row["id"] for row in json.loads(content)] if name == "json" else content
    assert all(f"trade-{number}" in told for number in range(1, 2001))
    assert json.loads("".join(FORMATS["json"]([]))) == []


# Gains


def gains(fills: list[BookedFill], in_kind: list[CashFlow]) -> tuple[dict[int, Gain], Fifo]:
    """Gains by year, and what is still held."""
    traded = Traded()
    traded.take(fills, in_kind, QUOTE)
    return traded.gains_by_year.years, traded.gains_by_year.fifo


@examples(max_examples=50)
@given(steps())
def test_either_method_comes_to_the_same_book(happened: list[Step]) -> None:
    """What is realised and what the rest cost differ by the method; their difference does not, to the last digit."""
    book, fills, in_kind = apply(happened)
    found, fifo = gains(fills, in_kind)
    with localcontext(EXACT):
        assert sum((gain.average for gain in found.values()), ZERO) == book.realised
        realised = sum((gain.fifo for gain in found.values()), ZERO)
        cost = sum((position.cost for position in book.positions.values()), ZERO)
        assert fifo.cost - realised == cost - book.realised
        for coin, position in book.positions.items():
            assert fifo.held[coin] == position.quantity


def test_known_gains() -> None:
    """Bought at 100 and 200, one of them sold at 250 the year after: 150 first in first out, 100 at average cost."""
    fills = [
        booked(1, Side.BUY, "1", "100"),
        booked(2, Side.BUY, "1", "200"),
        booked(3, Side.SELL, "1", "250", day=300),
    ]
    found, fifo = gains(fills, [])
    assert {year: (gain.sold, gain.fifo, gain.average) for year, gain in found.items()} == {2027: (250, 150, 100)}
    assert fifo.cost == 200
    taken = flow(1, "-30", 301, coin="BTC", quantity=ONE, after_fill=3)
    found, fifo = gains(fills, [taken])
    assert (found[2027].sold, found[2027].fifo, found[2027].average) == (280, -20, -20)
    assert not fifo.cost
    found, fifo = gains([*fills, booked(4, Side.BUY, "1", "70", day=302)], [taken])
    assert (found[2027].fifo, fifo.cost) == (-20, 70)
    came = flow(1, "80", coin="BTC", quantity=ONE, after_fill=0)
    found, fifo = gains(fills, [came])
    assert (found[2027].fifo, fifo.cost) == (170, 300)


def test_a_fee_that_was_lent_is_had_back() -> None:
    """More is sold than is held: the rest costs what it brings."""
    found, fifo = gains([booked(1, Side.SELL, "1", "100")], [])
    assert (found[2026].fifo, found[2026].average, fifo.cost) == (0, 0, 0)


# The form 2086

YEAR = NOW.year
TOLD = Start(acquisition=Decimal(2000), fractions=ZERO, exchanges=ZERO)


def sale(seq: int, amount: str, fee: str = "0", day: int = 0) -> BookedFill:
    """A sale into euro."""
    return booked(seq, Side.SELL, "1", amount, (fee, "EUR"), day)


def test_form_of_two_sales() -> None:
    """Each uses up its part of what was paid; what was bought in between is added, fees of a sale come off."""
    fills = [sale(1, "1000"), booked(2, Side.BUY, "1", "600", ("1", "EUR"), 1), sale(3, "500", "2.5", 2)]
    found = worksheet(fills, "EUR", YEAR, TOLD, {"trade-1": Decimal(2500), "trade-3": Decimal(3000)})
    first, second = found["sales"]
    assert {line: first[line] for line in first if line not in {"id", "211"}} == {
        "212": "2500",
        "213": "1000",
        "214": "0",
        "215": "1000",
        "216": "0",
        "217": "1000",
        "218": "1000",
        "220": "2000",
        "221": "0",
        "222": "0",
        "223": "2000",
        "224": "200",
    }
    # 2,000 × 1,000 / 2,500 = 800 are used up: 497.50 − 1,800 × 500 / 3,000 = 197.50
    assert (second["214"], second["218"], second["220"], second["221"], second["223"]) == (
        "3",
        "498",
        "2600",
        "800",
        "1800",
    )
    assert second["224"] == "198"
    assert (found["missing"], found["result"], found["sum_of_sales"], found["exempt"]) == ([], "398", "1500", False)
    assert "no tax advice" in found["note"]


def test_form_leaves_out_a_coin_for_another() -> None:
    """It is neither a sale into euro nor a purchase with it."""
    one, other = booked(2, Side.SELL, "1", "600", order=7), booked(3, Side.BUY, "1", "600", order=7)
    with_it, without = ([sale(1, "1000"), *crossed] for crossed in ((one, replace(other, coin="ETH")), ()))
    told = {"trade-1": Decimal(2500)}
    assert worksheet(with_it, "EUR", YEAR, TOLD, told) == worksheet(without, "EUR", YEAR, TOLD, told)


def test_form_of_a_loss() -> None:
    """It counts against gains of the same year; up to 305 nothing is due."""
    found = worksheet([sale(1, "100")], "EUR", YEAR, TOLD, {"trade-1": Decimal(1000)})
    assert (found["sales"][0]["224"], found["result"], found["exempt"]) == ("-100", "-100", True)


def test_form_asks_for_what_is_missing() -> None:
    """Nothing is computed without it, and nothing after a sale whose part is not known."""
    fills = [sale(1, "1000"), sale(2, "500", day=1)]
    found = worksheet(fills, "EUR", YEAR, Start(), {"trade-2": Decimal(900)})
    assert found["missing"] == ["220", "221", "222", "trade-1"]
    assert found["result"] is None
    assert all("224" not in each for each in found["sales"])
    bought = booked(3, Side.BUY, "1", "5")
    found = worksheet([bought, *fills], "EUR", YEAR, Start(fractions=ZERO), {})
    assert found["missing"] == ["220", "222", "trade-1", "trade-2"]
    found = worksheet(fills, "EUR", YEAR, TOLD, {"trade-2": Decimal(900)})
    assert found["missing"] == ["trade-1"]
    assert ["224" in each for each in found["sales"]] == [False, False]


def test_stablecoins_are_no_sale() -> None:
    """Neither in another year."""
    assert worksheet(FILLS, QUOTE, 2027, Start(), {})["sales"] == []
    none = worksheet([sale(1, "1000")], "EUR", YEAR + 1, Start(), {})
    assert (none["sales"], none["missing"], none["result"]) == ([], [], "0")


# Of a ledger


def queries_of(ledger: Ledger, quote: str = QUOTE) -> Queries:
    """What is asked of a ledger."""
    settings = Settings(entry_id="entry", mode=ledger.mode, quote=quote, coins=("BTC",))
    return Queries(settings, ledger, lambda: NOW, "binance")


async def exported(ledger: Ledger, wanted: str, year: int | None = None) -> dict[str, Any]:
    """An export without anything that only its owner knows."""
    return await queries_of(ledger).export(wanted, year, Start(), {})


async def test_of_a_ledger(ledger: Ledger) -> None:
    """Name, content, rows; gains; the form; the same as a file."""
    ledger.add_flow(flow(0, "100"), ledger.book())
    told = await exported(ledger, "csv")
    assert (told["name"], told["rows"]) == ("calvalot-csv-dry_run-all.csv", 1)
    assert told["content"].splitlines()[1].endswith(",deposit,100,USDC,,,,,,flow-1")
    file = await queries_of(ledger).export_file("csv", None)
    assert (file.name, "".join(file.pieces)) == (told["name"], told["content"])
    assert (await exported(ledger, "json", 2020))["content"] == "[]"
    assert await exported(ledger, "gains") == {"quote": QUOTE, "years": []}
    assert (await exported(ledger, "form_2086", 2026))["sales"] == []
    with pytest.raises(CommandError) as refused:
        await exported(ledger, "form_2086")
    assert refused.value.key == "year_required"


async def test_a_year_of_a_ledger(ledger: Ledger) -> None:
    """To the second, by the time of the fills; an answer that came a moment later is of their year."""
    ledger.add_flow(flow(0, "1000"), ledger.book())
    turn = datetime(2026, 1, 1, tzinfo=UTC)
    for number, (seconds, answered) in enumerate([(-100_000_000, 0), (-1, 2), (0, 0), (100_000_000, 0)]):
        order = ledger.add_orders([make_order(quantity="1", client_order_id=f"cv-{number}")])[0]
        fill = make_fill("1", "100", time=turn + timedelta(seconds=seconds), trade_id=f"{number}")
        report = replace(make_report(order, fill), time=fill.time + timedelta(seconds=answered))
        ledger.book_order(order, report, [fill], {QUOTE: ONE})
    for year, ids in ((2025, ["trade-2"]), (2026, ["trade-3"]), (None, [f"trade-{seq}" for seq in range(1, 5)])):
        rows = json.loads((await exported(ledger, "json", year))["content"])
        assert [row["id"] for row in rows if row["type"] == "trade"] == ids
        assert [row["id"] for row in rows if row["type"] == "deposit"] == ["flow-1"] * (year != 2025)


async def test_gains_are_gone_on_with(ledger: Ledger) -> None:
    """Whether they were added up at once, bit by bit, or kept in the ledger meanwhile; a year alone as well."""
    ledger.add_flow(flow(0, "100000"), ledger.book())
    queries = queries_of(ledger)
    for number in range(3 * KEPT_EVERY):
        side = Side.SELL if number % 3 == 2 else Side.BUY
        order = ledger.add_orders([make_order(side=side, quantity="1", client_order_id=f"cv-{number}")])[0]
        time = NOW + timedelta(days=number)
        fill = make_fill("1", f"{100 + number}", fee="0.1", time=time, trade_id=f"{number}")
        ledger.book_order(order, replace(make_report(order, fill), time=time), [fill], {QUOTE: ONE})
        if not number % KEPT_EVERY:
            queries.keep_up()
            await queries.export("gains", None, Start(), {})
    queries.keep_up()
    wanted = await queries.export("gains", None, Start(), {})
    assert len(wanted["years"]) == 3
    traded = Traded()
    traded.take(ledger.fills_since(), [], QUOTE)
    assert wanted == gains_told(traded.gains_by_year.years, QUOTE, None)
    assert await exported(ledger, "gains") == wanted
    assert (await exported(ledger, "gains", 2027))["years"] == [wanted["years"][1]]
    known = json.loads(ledger.fact(KEPT) or "")
    del known["years"]  # as it was before there were gains among it
    ledger.remember(KEPT, json.dumps(known))
    assert await exported(ledger, "gains") == wanted


def test_movements_know_their_assets() -> None:
    """Whichever there are."""
    row = Movement(id="x", time=datetime(2026, 1, 1), exchange="Binance", received=(ONE, "BTC"), fees=((ONE, "BNB"),))  # noqa: DTZ001
    assert (row.assets, row.fee_in("BNB"), row.fee_in("BTC")) == (("BTC",), 1, 0)
