"""One asset turned into another: shown, confirmed, placed once; whatever fails, the books equal the account."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
import itertools
import os
from random import Random
import shutil
from typing import Any

import pytest

from custom_components.calvalot.trading.bookings import Bookings
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, OrderType, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState, Result, SignalRecord
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.portfolio import Portfolio, halves
from custom_components.calvalot.trading.reports.form_2086 import Start
from custom_components.calvalot.trading.signal import RECOVERED
from harness.engine import OpenEngine
from harness.orders import protect
from harness.portfolio import COINS
from simulators.exchange.symbols import Symbol

from .builders import NOW, make_fill, make_order, make_report
from .faults import failing_commit
from .rig import ZERO, Rig

# Random markets; scripts/figures tries ten times as many.
MARKETS = int(os.environ.get("CALVALOT_CONVERSIONS", "100"))
TARGETS = {"BTC": ".4", "ETH": ".3"}
HALF = Decimal("0.0020")


def list_pair(rig: Rig, base: str, quote: str, tick: str = "0.000001", step: str = "0.0001") -> None:
    """List a pair of two coins at the price that their own pairs tell."""
    price = rig.exchange.price(f"{base}USDC") / rig.exchange.price(f"{quote}USDC")
    rig.exchange.list_symbol(
        Symbol(base, quote, Decimal(tick), Decimal(step), min_notional=Decimal("0.0001")), price.quantize(Decimal(tick))
    )


async def holding(rig: Rig, mode: Mode = Mode.LIVE, **options: Any) -> OpenEngine:
    """A portfolio that holds some BTC and ETH, and cash."""
    rig.leader.publish_v2(TARGETS)
    follower = await rig.start(mode, **options)
    await rig.cycle(follower)
    rig.events.clear()
    return follower


async def convert(
    follower: OpenEngine, start: str = "BTC", goal: str = "ETH", quantity: Decimal = HALF
) -> dict[str, Any]:
    """Have it shown, then traded as it was shown."""
    shown = await follower.conversions.convert(start, goal, quantity, confirm=False)
    assert not shown["confirmed"]
    return await follower.conversions.convert(start, goal, quantity, confirm=True, plan_id=shown["plan_id"])


def records(follower: OpenEngine) -> tuple[SignalRecord, ...]:
    """The conversions that are written down."""
    return follower.ledger.conversions()


async def test_a_direct_pair(rig: Rig) -> None:
    """One order: a sale and a purchase at one value, the fee with what came."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    before = follower.ledger.book().portfolio
    shown = await follower.conversions.convert("BTC", "ETH", HALF, confirm=False)
    assert shown["route"] == ["BTC", "ETH"]
    assert [order["symbol"] for order in shown["orders"]] == ["ETHBTC"]
    assert Decimal(shown["cost"]) < Decimal(shown["value"]) * Decimal("0.002")
    assert shown["left"] == []
    assert Decimal(shown["sold"]) + Decimal(shown["left_over"]) == HALF
    assert records(follower) == ()
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True, plan_id=shown["plan_id"])
    assert (done["confirmed"], done["result"], done["reason"], done["left"]) == (True, "executed", "", [])
    after = rig.agree(follower)
    assert before.quantity("BTC") - after.quantity("BTC") == Decimal(done["sold"])
    assert after.quantity("ETH") - before.quantity("ETH") == Decimal(done["received"])
    assert after.cash == before.cash
    # What was sold brought its price; that is what was bought cost.
    price = rig.exchange.price("BTCUSDC")
    cost = before.position("BTC").cost_of(Decimal(done["sold"]))
    assert after.realised - before.realised == Decimal(done["sold"]) * price - cost
    assert after.position("ETH").cost - before.position("ETH").cost == Decimal(done["sold"]) * price
    assert Decimal(done["received"]) == pytest.approx(Decimal(shown["expected"]), rel=Decimal("0.001"))
    (told,) = await follower.queries.conversions()
    assert told == done
    assert rig.types("signal") == ["received", "executed"]
    assert rig.types("trade") == ["buy"]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("start", "goal", "quantity", "route"),
    [
        ("BTC", "ETH", "0.002", ["BTC", "USDC", "ETH"]),
        ("ETH", "XRP", "0.05", ["ETH", "BTC", "XRP"]),
        ("USDC", "SOL", "100", ["USDC", "SOL"]),
        ("ETH", "USDC", "0.05", ["ETH", "USDC"]),
        ("BTC", "SOL", "0.001", ["BTC", "SOL"]),
    ],
)
async def test_every_way(rig: Rig, mode: Mode, start: str, goal: str, quantity: str, route: list[str]) -> None:
    """Over cash, over a coin, from cash, into cash, direct; live and dry run."""
    if "XRP" in route:
        list_pair(rig, "XRP", "BTC", "0.00000001", "0.1")
        list_pair(rig, "ETH", "BTC")
        rig.exchange.set_price("XRPUSDC", "2.5")  # the way over BTC is the better one for a moment
        rig.exchange.set_symbol_status("XRPUSDC", "BREAK")
        rig.exchange.set_symbol_status("XRPUSDC", "TRADING")
    if route == ["BTC", "SOL"]:
        list_pair(rig, "SOL", "BTC", "0.0000001", "0.01")
    follower = await holding(rig, mode)
    before = follower.ledger.book().portfolio
    if "XRP" in route:
        rig.exchange.set_symbol_status("ETHUSDC", "BREAK")
    done = await convert(follower, start, goal, Decimal(quantity))
    assert done["route"] == route
    shown = await follower.conversions.convert(start, goal, Decimal(quantity) / 2, confirm=False)
    # Fees and what fills lose, of each order; not what stays.
    assert ZERO < Decimal(shown["cost"]) < Decimal(shown["value"]) * Decimal("0.0017") * (len(route) - 1)
    assert done["result"] == "executed"
    after = follower.ledger.book().portfolio
    assert follower.ledger.replay() == after
    if mode is Mode.LIVE:
        rig.agree(follower)

    def held(portfolio: Any, asset: str) -> Decimal:
        return Decimal(portfolio.cash if asset == "USDC" else portfolio.quantity(asset))

    assert held(before, start) - held(after, start) == Decimal(done["sold"])
    assert held(after, goal) - held(before, goal) == Decimal(done["received"]) > 0


async def test_a_coin_that_nobody_chose(rig: Rig) -> None:
    """What a conversion brings is valued from that moment on."""
    follower = await holding(rig, coins=("BTC", "ETH"))
    before = follower.snapshot.total_value
    await convert(follower, "BTC", "SOL")
    assert before
    assert follower.snapshot.total_value == pytest.approx(before, rel=Decimal("0.01"))
    assert (await rig.cycle(follower)).total_value == pytest.approx(before, rel=Decimal("0.01"))
    rig.agree(follower)


async def test_fees_in_bnb(rig: Rig) -> None:
    """The owner's BNB pay the fee of a cross fill; it is a cost of what was bought."""
    rig.exchange.set_account(bnb_burn=True)
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    await convert(follower)
    book = follower.ledger.book().portfolio
    assert follower.ledger.replay() == book
    assert rig.exchange.balances()["ETH"] - (rig.before or {}).get("ETH", ZERO) == book.quantity("ETH")


async def test_what_is_left_out_of_the_tax_form(rig: Rig) -> None:
    """An export tells a coin into another one as one trade; the statistics add up."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    done = await convert(follower)
    exported = await follower.queries.export("koinly", None, Start(), {})
    assert done["sold"] in exported["content"]
    assert "BTC" in exported["content"].splitlines()[-1]
    assert "ETH" in exported["content"].splitlines()[-1]
    statistics = await follower.queries.statistics()
    assert statistics["trades"]["closed"] == 1


# What cannot be converted


async def refusal(follower: OpenEngine, start: str, goal: str, quantity: str = "0.002", **more: Any) -> str:
    """Why a conversion is refused."""
    with pytest.raises(CommandError) as caught:
        await follower.conversions.convert(start, goal, Decimal(quantity), **{"confirm": True, **more})
    return caught.value.key


async def test_refused(rig: Rig) -> None:
    """Only what the book holds, only what can be traded, only what a plan of now says."""
    follower = await holding(rig, frozen=frozenset({"SOL"}))
    assert await refusal(follower, "BTC", "BTC") == "conversion_same"
    assert await refusal(follower, "BTC", "ETH", "1") == "not_enough_free"
    assert await refusal(follower, "BTC", "ETH", "0") == "not_enough_free"
    assert await refusal(follower, "XRP", "ETH") == "not_enough_free"
    assert await refusal(follower, "BTC", "SOL") == "coin_not_tradable"
    assert await refusal(follower, "BTC", "NOPE") == "coin_not_tradable"
    assert await refusal(follower, "BTC", "ETH", "0.00001") == "no_way"
    assert await refusal(follower, "BTC", "ETH", plan_id="none") == "plan_unknown"
    plan = (await follower.conversions.convert("BTC", "ETH", HALF, confirm=False))["plan_id"]
    assert await refusal(follower, "BTC", "ETH", "0.001", plan_id=plan) == "plan_changed"
    plan = (await follower.conversions.convert("BTC", "ETH", HALF, confirm=False))["plan_id"]
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.01"))
    assert await refusal(follower, "BTC", "ETH", plan_id=plan) == "prices_moved"
    plan = (await follower.conversions.convert("BTC", "ETH", HALF, confirm=False))["plan_id"]
    rig.clock.advance(601)
    assert await refusal(follower, "BTC", "ETH", plan_id=plan) == "plan_expired"
    for _ in range(101):
        await follower.conversions.convert("BTC", "ETH", HALF, confirm=False)
    plan = (await follower.conversions.convert("BTC", "ETH", HALF, confirm=False))["plan_id"]
    rig.exchange.set_symbol_status("BTCUSDC", "BREAK")
    rig.clock.advance(86_400)
    with pytest.raises(CommandError):
        await follower.conversions.go_on()
    assert records(follower) == ()
    assert rig.agree(follower)
    await follower.commands.exit(confirm=True)
    if await follower.commands.pause(False) is None and follower.snapshot.exiting:
        assert await refusal(follower, "BTC", "ETH") == "exit_runs"


async def test_the_way_of_a_plan_is_gone_no_more(rig: Rig) -> None:
    """Another way is another plan."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    shown = await follower.conversions.convert("BTC", "ETH", HALF, confirm=False)
    rig.exchange.set_symbol_status("ETHBTC", "BREAK")
    assert await refusal(follower, "BTC", "ETH", plan_id=shown["plan_id"]) == "no_way"


async def test_dead_and_unknown(rig: Rig) -> None:
    """A portfolio that is dead converts nothing, nor does one that nothing is known of."""
    follower = await holding(rig)
    rig.exchange.fault("status", path="/ticker/price", count=None)
    rig.exchange.fault("status", path="/account", count=None)
    assert await refusal(follower, "BTC", "ETH") == "no_valuation"
    rig.exchange.clear_faults()
    follower.ledger.remember("dead", "now")
    follower = await rig.restart(follower)
    assert await refusal(follower, "BTC", "ETH") == "dead"


async def test_an_order_in_flight_comes_first(rig: Rig) -> None:
    """Nothing is converted while it is unclear what becomes of an order."""
    follower = await holding(rig)
    rig.exchange.fault("drop", when="after", method="POST", path="/order", count=None)
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    done = await follower.conversions.convert("BTC", "USDC", HALF, confirm=True)
    assert done["result"] == "open"
    assert await refusal(follower, "BTC", "ETH") == "order_unclear"
    rig.exchange.clear_faults()
    rig.exchange.fault("status", path="/account", count=None)
    await rig.cycle(follower)  # settled, and the account is not known
    assert records(follower)[0].result is Result.OPEN
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    (record,) = records(follower)
    assert record.result is Result.EXECUTED
    rig.agree(follower)


async def test_pairs_cannot_be_had(rig: Rig) -> None:
    """Where the exchange does not tell its pairs nothing is known."""
    follower = await holding(rig)
    rig.exchange.fault("status", path="/exchangeInfo", count=None)
    assert await refusal(follower, "BTC", "ETH") == "no_valuation"


async def test_too_little_at_the_worst_price(rig: Rig) -> None:
    """A pair that takes a quantity only needs room for what its fills may cost."""
    rig.exchange.symbol("ETHUSDC").quote_order_quantity = False
    follower = await holding(rig, max_slippage=Decimal(0))
    assert await refusal(follower, "USDC", "ETH", "5.4") == "no_way"


async def test_a_protected_coin(rig: Rig) -> None:
    """Its protection is ended before, and placed anew over what is left."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    price = rig.exchange.price("BTCUSDC")
    await protect(follower, "BTC", price * 2, price / 2)
    await convert(follower)
    (protecting, _) = follower.ledger.resting()
    held = follower.ledger.book().portfolio.quantity("BTC")
    assert held - protecting.quantity < Decimal("0.00001")
    rig.agree(follower)


async def test_a_protection_that_cannot_be_ended(rig: Rig) -> None:
    """Then nothing is converted."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    price = rig.exchange.price("BTCUSDC")
    await protect(follower, "BTC", price * 2, price / 2)
    rig.exchange.fault("status", method="DELETE", count=None)
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    assert await refusal(follower, "BTC", "ETH") == "order_unclear"
    assert records(follower) == ()


async def test_a_protection_that_has_sold_meanwhile(rig: Rig) -> None:
    """What the book does not hold any more is not converted, whatever else is on the account."""
    list_pair(rig, "ETH", "BTC")
    rig.exchange.set_balance("BTC", "5")
    follower = await holding(rig)
    price, held = rig.exchange.price("BTCUSDC"), follower.ledger.book().portfolio.quantity("BTC")
    await protect(follower, "BTC", price * 2, price / 2)
    target = next(order for order in follower.ledger.resting() if order.type is OrderType.LIMIT)
    rig.exchange.trade_against(target.client_order_id, HALF)
    rig.exchange.fault("status", path="/openOrders", count=None)
    assert await refusal(follower, "BTC", "ETH", str(held)) == "not_enough_free"
    assert records(follower) == ()
    assert follower.ledger.book().portfolio.quantity("BTC") <= held - HALF
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    rig.agree(follower)


# The second order fails

SECOND = {"method": "POST", "path": "/order", "symbol": "ETHUSDC"}


def refused(rig: Rig) -> None:
    rig.exchange.fault("error", code=-2010, status=400, **SECOND)


def lost_before(rig: Rig) -> None:
    rig.exchange.fault("drop", **SECOND)


def lost_after(rig: Rig) -> None:
    rig.exchange.fault("drop", when="after", **SECOND)


def unanswered(rig: Rig) -> None:
    rig.exchange.fault("status", when="after", **SECOND)


def unread(rig: Rig) -> None:
    rig.exchange.fault("broken_json", when="after", **SECOND)


def limited(rig: Rig) -> None:
    rig.exchange.fault("rate_limit", **SECOND)


def clock(rig: Rig) -> None:
    rig.exchange.fault("error", code=-1021, status=400, count=2, **SECOND)


def jumps(rig: Rig) -> None:
    rig.exchange.fault("jump", percent=5, **SECOND)


def halted(rig: Rig) -> None:
    rig.exchange.fault("halt", **SECOND)


def unlisted(rig: Rig) -> None:
    rig.exchange.fault("delist", **SECOND)


FAULTS = [refused, lost_before, lost_after, unanswered, unread, limited, clock, jumps, halted, unlisted]


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_second_order_fails(rig: Rig, fault: Callable[[Rig], None]) -> None:
    """The books equal the account whatever happened; what the first one bought is told where it stays."""
    follower = await holding(rig)
    fault(rig)
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    for _ in range(6):
        if not rig.in_flight(follower):
            break
        await rig.cycle(follower)
    rig.exchange.clear_faults()
    if fault is not unlisted:
        await rig.cycle(follower)
    (record,) = records(follower)
    assert record.result is not Result.OPEN
    bought = [order for order in rig.orders(side="BUY") if order.symbol == "ETHUSDC"][1:]
    if fault is not unlisted:
        rig.agree(follower)
    left = follower.ledger.fact("conversion_left")
    if bought and bought[0].executed:
        assert (record.result, left) == (Result.EXECUTED, None)
    else:
        assert record.result is Result.PARTIAL
        assert left
        assert "conversion_stopped" in rig.types("alert")
        assert done["received"] == "0"


@pytest.mark.parametrize("pair", [False, True])
async def test_a_write_fails_at_every_step(rig: Rig, pair: bool) -> None:
    """Whichever of its commits the disk refuses: once it writes again the books equal the account, and nothing was sent twice."""
    if pair:
        list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    results = []
    for number in itertools.count(1):
        start, goal, quantity = ("BTC", "ETH", "0.0003") if number % 2 else ("ETH", "BTC", "0.01")
        before = len(rig.orders())
        with failing_commit(follower.ledger, number) as tried, suppress(CommandError):
            await follower.conversions.convert(start, goal, Decimal(quantity), confirm=True)
        await _settled(rig, follower)
        sent = len(rig.orders()) - before
        assert sent <= (1 if pair else 2), number
        result = records(follower)[0].result if sent else None
        results.append(result)
        assert bool(follower.snapshot.conversion_left) is (result is Result.PARTIAL), number
        await follower.conversions.keep()
        if len(tried) < number:
            break
    assert len(results) > (4 if pair else 6)
    assert {Result.EXECUTED, None} <= {*results}


async def test_conversions_since(rig: Rig) -> None:
    """Those of a time and later are told, the newest first."""
    follower = await holding(rig)
    for _ in range(2):
        shown = await follower.conversions.convert("BTC", "USDC", Decimal("0.0005"), confirm=False)
        await follower.conversions.convert("BTC", "USDC", Decimal("0.0005"), confirm=True, plan_id=shown["plan_id"])
        rig.clock.advance(3600)
    told = await follower.queries.conversions()
    assert len(told) == 2
    assert await follower.queries.conversions(since=rig.clock.now() - timedelta(minutes=90)) == told[:1]
    assert await follower.queries.conversions(since=rig.clock.now()) == []


async def test_a_way_that_misses_a_minimum(rig: Rig) -> None:
    """The best one is not gone where the price guard leaves its second order below the least value: the next one is."""
    for base in ("ETH", "SOL"):
        list_pair(rig, base, "BTC", "0.0000001", "0.001")
    prices = {"ETHUSDC": "3242.25", "SOLUSDC": "140.45", "ETHBTC": "0.0353161", "SOLBTC": "0.0015299"}
    for symbol, price in prices.items():
        rig.exchange.set_price(symbol, price)
    rig.leader.publish_v2({"ETH": ".25"})
    follower = await rig.start()
    await rig.cycle(follower)
    shown = await follower.conversions.convert("ETH", "SOL", Decimal("0.00307"), confirm=False)
    assert shown["route"] == ["ETH", "USDC", "SOL"]
    shown = await follower.conversions.convert("ETH", "SOL", Decimal("0.05"), confirm=False)
    assert shown["route"] == ["ETH", "BTC", "SOL"]


async def test_random_markets(rig: Rig) -> None:
    """In each of many markets something is converted as it was shown, or one of its orders fails: the books equal the account."""
    random = Random(15)
    for base, quote in CROSSES:
        list_pair(rig, base, quote, "0.0000001", "0.001")
    rig.leader.publish_v2({"BTC": ".25", "ETH": ".25", "SOL": ".25"})
    follower = await rig.start()
    await rig.cycle(follower)
    first = {coin: rig.exchange.price(f"{coin}USDC") for coin in COINS}
    results: Counter[tuple[int, bool, Result]] = Counter()
    for _ in range(MARKETS):
        worth = _moved(rig, random, first)
        portfolio = follower.ledger.book().portfolio
        held = {coin: position.quantity for coin, position in portfolio.positions.items()} | {"USDC": portfolio.cash}
        start = random.choice([asset for asset, quantity in held.items() if quantity * worth[asset] > 30])
        goal = random.choice([asset for asset in worth if asset != start])
        quantity = (Decimal(str(random.uniform(8, 25))) / worth[start]).quantize(Decimal("0.00001"))
        shown = await follower.conversions.convert(start, goal, quantity, confirm=False)
        known, length = len(rig.orders()), len(shown["route"]) - 1
        if fails := random.random() < 0.7:
            kind, options = random.choice(FAILURES)
            rig.exchange.fault(kind, method="POST", path="/order", skip=random.randrange(length), **options)
        await follower.conversions.convert(start, goal, quantity, confirm=True, plan_id=shown["plan_id"])
        rig.exchange.clear_faults()
        for symbol in rig.exchange.prices():
            rig.exchange.set_symbol_status(symbol, "TRADING")
        await _settled(rig, follower)
        record = records(follower)[0]
        traded = [order.symbol for order in rig.orders()[known:] if order.executed]
        assert len(traded) == len({*traded}) <= length
        assert fails or record.result is Result.EXECUTED
        left = follower.snapshot.conversion_left
        assert bool(left) is (length == 2 and record.result is Result.PARTIAL)
        results[length, fails, record.result] += 1
        if left and random.random() < 0.5:
            await follower.conversions.go_on()
            await _settled(rig, follower)
        await follower.conversions.keep()
    assert results[1, False, Result.EXECUTED]
    assert results[2, False, Result.EXECUTED]
    assert results[2, True, Result.PARTIAL] > MARKETS / 20
    assert results[2, True, Result.ERROR]


# Pairs of two coins, and what can happen to an order of a conversion.
CROSSES = (("ETH", "BTC"), ("SOL", "BTC"), ("XRP", "ETH"), ("BNB", "BTC"))
FAILURES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("error", {"code": -2010, "status": 400}),
    ("drop", {}),
    ("drop", {"when": "after"}),
    ("status", {"when": "after"}),
    ("broken_json", {"when": "after"}),
    ("rate_limit", {}),
    ("jump", {"percent": 5}),
    ("jump", {"percent": -5}),
    ("halt", {}),
)


def _moved(rig: Rig, random: Random, first: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Other prices of everything, those of two coins at nearly what their own tell; what each asset is worth."""
    worth = {coin: price * Decimal(str(round(random.uniform(0.95, 1.05), 4))) for coin, price in first.items()}
    for coin, price in worth.items():
        rig.exchange.set_price(f"{coin}USDC", price)
    for base, quote in CROSSES:
        off = Decimal(str(round(random.uniform(0.995, 1.005), 5)))
        rig.exchange.set_price(f"{base}{quote}", worth[base] / worth[quote] * off)
    return {**worth, "USDC": Decimal(1)}


async def _settled(rig: Rig, follower: OpenEngine) -> None:
    """Cycle until a conversion has come to its end, and look at the books."""
    for _ in range(8):
        await rig.cycle(follower)
        if not rig.in_flight(follower) and not follower.ledger.open_signals():
            break
    assert not follower.ledger.open_signals()
    rig.agree(follower)


async def stopped(rig: Rig, **options: Any) -> OpenEngine:
    """A portfolio with a conversion that stopped half-way."""
    follower = await holding(rig, **options)
    refused(rig)
    done = await convert(follower)
    assert (done["result"], done["received"]) == ("partial", "0")
    assert done["left"] == [{"asset": "USDC", "quantity": done["left"][0]["quantity"]}]
    assert follower.snapshot.conversion_left
    return follower


async def test_what_is_left_is_gone_on_with(rig: Rig) -> None:
    """By a conversion of its own, once."""
    follower = await stopped(rig)
    done = await follower.conversions.go_on()
    assert (done["result"], done["from_asset"], done["to_asset"]) == ("executed", "USDC", "ETH")
    assert follower.snapshot.conversion_left is None
    with pytest.raises(CommandError, match="nothing_left"):
        await follower.conversions.go_on()
    assert [record.result for record in records(follower)] == [Result.EXECUTED, Result.PARTIAL]
    rig.agree(follower)


async def test_what_is_left_is_kept(rig: Rig) -> None:
    """Its owner has seen it."""
    follower = await stopped(rig)
    await follower.conversions.keep()
    assert follower.snapshot.conversion_left is None


async def test_what_is_left_has_gone(rig: Rig) -> None:
    """What is not there any more is not told any more."""
    follower = await stopped(rig)
    await rig.cycle(follower)
    assert follower.snapshot.conversion_left
    rig.leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    await rig.cycle(follower)
    await rig.cycle(follower)
    assert follower.snapshot.conversion_left is None


async def test_the_first_order_fails(rig: Rig) -> None:
    """Nothing was traded, nothing is left."""
    follower = await holding(rig)
    rig.exchange.fault("error", code=-2010, status=400, method="POST", path="/order")
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    assert (done["result"], done["left"], done["sold"]) == ("error", [], "0")
    assert follower.ledger.fact("conversion_left") is None
    rig.agree(follower)


async def test_a_first_order_that_finds_no_taker(rig: Rig) -> None:
    """It ends without a fill."""
    follower = await holding(rig)
    rig.exchange.fault("jump", percent=-5, method="POST", path="/order")
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    assert (done["result"], done["reason"]) == ("error", "unfilled")
    rig.agree(follower)


async def test_a_thin_book(rig: Rig) -> None:
    """What is filled of the second order is had, the rest is told."""
    follower = await holding(rig)
    rig.exchange.set_depth("ETHUSDC", "60")
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    assert (done["result"], done["reason"]) == ("partial", "unfilled")
    assert Decimal(done["received"]) > 0
    assert follower.snapshot.conversion_left
    rig.agree(follower)


@pytest.mark.parametrize(("start", "goal"), [("BTC", "ETH"), ("BTC", "SOL"), ("SOL", "XRP")])
async def test_a_lost_ledger(rig: Rig, start: str, goal: str) -> None:
    """Conversions are found again, by whichever pair, and what they sold is worth its price of now."""
    list_pair(rig, "ETH", "BTC")
    list_pair(rig, "SOL", "ETH", "0.0000001", "0.001")
    list_pair(rig, "XRP", "ETH", "0.00000001", "0.1")
    rig.leader.publish_v2({**TARGETS, "SOL": ".2"})
    follower = await rig.start()
    await rig.cycle(follower)
    rig.exchange.set_price("XRPETH", rig.exchange.price("XRPETH") * Decimal("0.97"))
    quantity = HALF if start == "BTC" else Decimal("0.5")
    done = await convert(follower, start, goal, quantity)
    assert done["result"] == "executed"
    rig.crash(follower)
    for file in rig.folder.rglob("entry*"):
        if file.is_file():
            file.unlink()
    follower = await rig.start()
    for _ in range(8):
        if (await rig.cycle(follower, after=61)).net_deposits is not None:
            break
    rig.agree(follower)
    found = {each["symbol"] for each in await follower.queries.trades() if each["signal_id"] == RECOVERED}
    assert {each["symbol"] for each in done["trades"]} <= found


async def test_an_older_ledger(rig: Rig) -> None:
    """A pair that the ledger never knew is looked at where the account has less than the book."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    follower = await rig.restart(follower)
    rig.crash(follower)
    path, copy = follower.ledger.path, rig.folder / "copy"
    shutil.copy(path, copy)
    follower = await rig.start()
    assert (await convert(follower))["result"] == "executed"
    rig.crash(follower)
    for file in rig.folder.rglob("entry*"):
        if file.is_file():
            file.unlink()
    shutil.copy(copy, path)
    follower = await rig.start()
    await rig.cycle(follower)
    rig.agree(follower)
    assert (await follower.queries.trades())[0]["symbol"] == "ETHBTC"


# Between the two orders


@pytest.mark.parametrize(("after", "result"), [(60, Result.EXECUTED), (3600, Result.PARTIAL)])
async def test_after_a_crash(rig: Rig, after: float, result: Result) -> None:
    """The second order is placed after the start while its owner's word is fresh; later it is told."""
    follower = await holding(rig)
    rig.exchange.fault("drop", when="after", method="POST", path="/order", symbol="BTCUSDC")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    rig.exchange.clear_faults()
    follower = await rig.restart(follower)
    await rig.cycle(follower, after=after)
    (record,) = records(follower)
    assert record.result is result
    assert bool(follower.snapshot.conversion_left) is (result is Result.PARTIAL)
    rig.agree(follower)


@pytest.mark.parametrize("closed", ["XRPBTC", "BTCUSDC"])
async def test_nothing_can_be_placed_any_more(rig: Rig, closed: str) -> None:
    """The second pair is closed meanwhile, or what was bought has no price: it is told."""
    list_pair(rig, "XRP", "BTC", "0.00000001", "0.1")
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    rig.exchange.set_symbol_status("ETHUSDC", "BREAK")
    rig.exchange.fault("drop", when="after", method="POST", path="/order", symbol="ETHBTC")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    await follower.conversions.convert("ETH", "XRP", Decimal("0.05"), confirm=True)
    rig.exchange.clear_faults()
    rig.exchange.set_symbol_status(closed, "BREAK")
    await rig.cycle(follower)
    (record,) = records(follower)
    assert (record.result, record.reason) == (Result.PARTIAL, "not_placed")
    left = follower.snapshot.conversion_left
    assert left
    assert (left.asset, left.goal) == ("BTC", "XRP")
    rig.agree(follower)


async def test_begun_and_nothing_sent(rig: Rig) -> None:
    """What was written down without an order comes to nothing; it is not placed later."""
    follower = await holding(rig)
    real = follower.ledger.add_orders
    follower.ledger.add_orders = _fails  # type: ignore[method-assign]
    with pytest.raises(CommandError, match="ledger_unavailable"):
        await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    follower.ledger.add_orders = real  # type: ignore[method-assign]
    await rig.cycle(follower)
    (record,) = records(follower)
    assert (record.result, record.reason) == (Result.ERROR, "not_placed")
    rig.agree(follower)


def _fails(*_: Any) -> Any:

    raise LedgerError("disk")


async def test_a_stop_between_the_orders(rig: Rig) -> None:
    """Nothing new is sent while the portfolio stops; the rest waits for the start."""
    follower = await holding(rig)
    place = follower.exchange.place

    async def stopping(order: Any) -> Any:
        follower._executor.stopping = True  # noqa: SLF001
        return await place(order)

    follower.exchange.place = stopping  # type: ignore[method-assign]
    done = await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    assert done["result"] == "open"
    follower.exchange.place = place  # type: ignore[method-assign]
    follower = await rig.restart(follower)
    await rig.cycle(follower)
    (record,) = records(follower)
    assert record.result is Result.EXECUTED
    rig.agree(follower)


async def test_everything_is_sold_meanwhile(rig: Rig) -> None:
    """Then the second order is not placed."""
    follower = await holding(rig)
    rig.exchange.fault("drop", when="after", method="POST", path="/order", symbol="BTCUSDC")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    await follower.conversions.convert("BTC", "ETH", HALF, confirm=True)
    rig.exchange.clear_faults()
    await follower.commands.exit(confirm=True)
    await rig.cycle(follower)
    (record,) = records(follower)
    assert record.result is Result.PARTIAL
    rig.agree(follower)


# Fills of two coins


def test_halves() -> None:
    """A fill against the book's quote is what it is; of two coins it is two trades; of the inverse pair it is turned round."""
    fill = make_fill("2", "0.05", "0.002", "ETH")
    assert [each[:2] for each in halves(fill, Side.BUY, "ETH", "USDC", "USDC", fill.amount)] == [("ETH", Side.BUY)]
    sold, bought = halves(fill, Side.BUY, "ETH", "BTC", "USDC", Decimal(9000))
    assert (sold.coin, sold.side, sold.fill.quantity, sold.fill.amount) == ("BTC", Side.SELL, Decimal("0.1"), 9000)
    assert (sold.fill.fee, bought.fill.fee, bought.coin) == (0, Decimal("0.002"), "ETH")
    sold, bought = halves(fill, Side.SELL, "ETH", "BTC", "USDC", Decimal(9000))
    assert (sold.coin, bought.coin, bought.fill.price) == ("ETH", "BTC", 90000)
    (turned,) = halves(make_fill("10", "1.25"), Side.SELL, "EUR", "USDC", "EUR", Decimal(10))
    assert (turned.coin, turned.side, turned.fill.quantity, turned.fill.amount) == (
        "USDC",
        Side.BUY,
        Decimal("12.5"),
        10,
    )
    (turned,) = halves(make_fill("10", "1.25"), Side.BUY, "EUR", "USDC", "EUR", Decimal(10))
    assert turned.side is Side.SELL


async def test_an_unknown_price_waits(ledger: Ledger) -> None:
    """A cross fill is booked once what was sold has a price; that of the moment, where none was written down."""
    cash = Decimal(100)
    flow = CashFlow(kind=FlowKind.INITIAL, amount=cash, amount_quote=cash, time=NOW, value_before=ZERO)
    ledger.add_flow(flow, Book(portfolio=Portfolio(cash=cash, paid_in=cash), net_deposits=cash))
    (bought, cross) = ledger.add_orders(
        [
            make_order(quantity="0.001", state=OrderState.EXECUTED),
            make_order(coin="ETH", symbol="ETHBTC", quantity="0.02", state=OrderState.EXECUTED),
        ]
    )
    bookings = Bookings(ledger, None, lambda: NOW)
    await bookings.book([(bought, make_report(bought, make_fill("0.001", "90000", trade_id="1")))], {})
    report = make_report(cross, make_fill("0.02", "0.05", "0.00002", "ETH", trade_id="2"))
    waiting = (await bookings.book([(cross, report)], {}))[cross.seq]
    assert waiting.state is OrderState.EXECUTED
    done = (await bookings.book([(cross, report)], {"BTC": Decimal(91000)}))[cross.seq]
    assert (done.state, done.sold_price) == (OrderState.BOOKED, 91000)
    assert ledger.book().portfolio.position("ETH").cost == 91
    assert ledger.replay() == ledger.book().portfolio


async def test_what_is_written_down_of_a_cross_order(rig: Rig) -> None:
    """What was sold is worth its price when the order was planned."""
    list_pair(rig, "ETH", "BTC")
    follower = await holding(rig)
    await convert(follower)
    order = follower.ledger.orders(records(follower)[0].key)[0]
    assert order.sold_price == rig.exchange.price("BTCUSDC")
    assert order.state is OrderState.BOOKED
    assert order.assets == {"ETH", "BTC"}
    assert rig.clock.now() - order.created_at < timedelta(hours=1)
