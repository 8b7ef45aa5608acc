"""Another quote asset: the cash becomes it, the book ends at its value, and the next one runs on."""

from decimal import Decimal, localcontext
from typing import Any

import pytest

from custom_components.calvalot.trading.decimals import EXACT
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.copies import quote_in_use
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.performance import Units
from custom_components.calvalot.trading.portfolio import Portfolio, Position
from custom_components.calvalot.trading.quote_change import QuotePlan, beginning, ending
from custom_components.calvalot.trading.reports.form_2086 import Start
from harness.engine import OpenEngine
from harness.orders import limit, protect
from simulators.exchange.symbols import Symbol

from .builders import NOW
from .rig import Rig

TARGETS = {"BTC": ".4", "ETH": ".3"}
COINS = ("BTC", "ETH", "SOL")


def list_against(rig: Rig, quote: str) -> None:
    """List the coins against a quote asset, at the prices that their own pairs tell."""
    for coin in COINS:
        if f"{coin}{quote}" not in rig.exchange.prices():
            worth = {"EUR": rig.exchange.price("EURUSDC"), "USDT": 1 / rig.exchange.price("USDCUSDT")}[quote]
            price = (rig.exchange.price(f"{coin}USDC") / worth).quantize(Decimal("0.01"))
            rig.exchange.list_symbol(Symbol(coin, quote, Decimal("0.01"), Decimal("0.0001")), price)


async def holding(rig: Rig, mode: Mode = Mode.LIVE, **options: Any) -> OpenEngine:
    """A portfolio that holds two coins and cash, and has had a deposit and a correction."""
    rig.leader.publish_v2(TARGETS)
    follower = await rig.start(mode, coins=COINS, **options)
    await rig.cycle(follower)
    await follower.commands.deposit(Decimal(50), "more")
    await follower.commands.set_net_deposits(Decimal(1100))
    await rig.cycle(follower)
    return follower


async def changed(rig: Rig, follower: OpenEngine, quote: str, monkeypatch: pytest.MonkeyPatch) -> OpenEngine:
    """Have it shown and done, and start anew in the new quote asset."""
    shown = await follower.quote.change(quote, confirm=False)
    assert not shown["confirmed"]
    done = await follower.quote.change(quote, confirm=True, plan_id=shown["plan_id"])
    assert (done["changed"], done["quote_asset"]) == (True, quote)
    return await anew(rig, follower, quote, monkeypatch)


async def anew(rig: Rig, follower: OpenEngine, quote: str, monkeypatch: pytest.MonkeyPatch) -> OpenEngine:
    """Start in another quote asset."""

    def ledger(name: str = "entry", mode: Mode = Mode.LIVE) -> Ledger:
        return Ledger(rig.folder / f"{name}.db", mode, quote)

    monkeypatch.setattr(rig, "ledger", ledger)
    follower = await rig.restart(follower, coins=COINS)
    await rig.cycle(follower)
    return follower


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("quote", ["EUR", "USDT"])
async def test_the_book_runs_on(rig: Rig, mode: Mode, quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coins, value, units, deposits and the return are what they were; nothing else is bought or sold."""
    list_against(rig, quote)
    follower = await holding(rig, mode)
    before, snapshot = follower.ledger.book(), follower.snapshot
    closes = follower.ledger.closes()
    started, corrections = follower.ledger.beginning()
    old_number = follower.ledger.number
    orders = len(rig.orders())
    follower = await changed(rig, follower, quote, monkeypatch)
    after = follower.ledger.book()
    assert (follower.ledger.number, quote_in_use(follower.ledger.path, mode)) == (old_number + 1, quote)
    assert follower.ledger.replay() == after.portfolio
    for coin in ("BTC", "ETH"):
        assert after.portfolio.quantity(coin) == before.portfolio.quantity(coin)
    assert after.portfolio.positions.keys() == before.portfolio.positions.keys()
    assert after.portfolio.cash > 200
    new = follower.snapshot
    assert new.total_value
    assert snapshot.total_value
    assert new.total_value == pytest.approx(snapshot.total_value, rel=Decimal("0.004"))
    assert after.units.price == pytest.approx(before.units.price, rel=Decimal("0.004"))
    assert after.net_deposits == pytest.approx(before.net_deposits, abs=Decimal(2))
    assert new.profit_loss == pytest.approx(snapshot.profit_loss, abs=Decimal(3))
    assert new.profit
    parts = new.profit
    with localcontext(EXACT):
        assert parts.total == parts.realised + parts.unrealised + parts.currency_effect + parts.corrections
    assert abs(parts.currency_effect) < Decimal("0.01")
    assert follower.ledger.beginning() == (started, corrections)
    assert [close.day for close in follower.ledger.closes()] == [close.day for close in closes]
    # Only the cash has become the other one.
    assert len(rig.orders()) - orders == (1 if mode is Mode.LIVE else 0)
    await rig.cycle(follower)
    await rig.cycle(follower)
    assert len(rig.orders()) - orders == (1 if mode is Mode.LIVE else 0)
    # The book before has ended at its value.
    old = follower.ledger.in_book(old_number)
    assert old.quote == "USDC"
    assert old.replay() == old.book().portfolio
    assert (old.book().portfolio.cash, old.book().portfolio.positions) == (0, {})
    if mode is Mode.LIVE:
        there, owner = rig.exchange.balances(), rig.before or {}
        assert there[quote] - owner.get(quote, Decimal(0)) == after.portfolio.cash
        for coin in COINS:
            assert there.get(coin, 0) - owner.get(coin, 0) == after.portfolio.quantity(coin)


async def test_what_is_read_of_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics, exports, gains and flows go on; nothing is paid in a second time."""
    list_against(rig, "EUR")
    follower = await holding(rig)
    flows = await follower.queries.cash_flows()
    follower = await changed(rig, follower, "EUR", monkeypatch)
    told = await follower.queries.cash_flows()
    assert [(flow["amount"], flow["note"]) for flow in told if flow["kind"] == "carried"][-1] == (
        flows[-1]["amount"],
        flows[-1]["note"],
    )
    assert len(told) in {len(flows), len(flows) + 1}
    assert (await follower.queries.export("csv", None, Start(), {}))["rows"] == 0
    statistics = await follower.queries.statistics()
    assert statistics["trades"]["closed"] == 0
    rig.leader.publish_v2({"BTC": ".1", "ETH": ".36"})
    await rig.cycle(follower)
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    gains = await follower.queries.export("gains", None, Start(), {})
    (year,) = gains["years"]
    assert gains["quote"] == "EUR"
    former = await follower.queries.export("csv", None, Start(), {}, book=1)
    assert former["rows"] >= 3
    assert abs(Decimal(year["average"])) < 5
    assert Decimal(year["fifo"]) == pytest.approx(Decimal(year["average"]), abs=Decimal("0.01"))
    assert (await follower.queries.statistics())["trades"]["closed"] >= 1


async def test_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """There and back: each change is a book of its own."""
    list_against(rig, "USDT")
    follower = await holding(rig)
    value = follower.snapshot.total_value
    assert value
    follower = await changed(rig, follower, "USDT", monkeypatch)
    follower = await changed(rig, follower, "USDC", monkeypatch)
    assert follower.ledger.number == 3
    # What the first book traded is not booked again: these coins are those of the account.
    there, owner = rig.exchange.balances(), rig.before or {}
    for coin in COINS:
        assert there.get(coin, 0) - owner.get(coin, 0) == follower.ledger.book().portfolio.quantity(coin)
    assert await follower.queries.trades() == []
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    assert follower.snapshot.total_value == pytest.approx(value, rel=Decimal("0.006"))
    assert sum(Decimal(flow["amount"]) for flow in await follower.queries.cash_flows()) == (
        follower.ledger.book().net_deposits
    )


async def test_a_portfolio_without_cash(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is converted, what little there is is left out."""
    list_against(rig, "USDT")
    rig.leader.publish_v2({"BTC": ".5", "ETH": ".5"})
    follower = await rig.start(Mode.LIVE, coins=COINS)
    await rig.cycle(follower)
    shown = await follower.quote.change("USDT", confirm=False)
    follower = await changed(rig, follower, "USDT", monkeypatch)
    assert (shown["conversion"] is None) is (Decimal(shown["left_over"]) > 0 and not shown["conversion"])
    assert follower.ledger.replay() == follower.ledger.book().portfolio


async def test_a_whole_wallet(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came in kind is carried as money, and what comes afterwards is booked in the new quote asset."""
    list_against(rig, "USDT")
    rig.exchange.set_balance("BTC", "0.01")
    rig.exchange.set_balance("ETH", "0.25")
    rig.exchange.set_balance("USDC", "500.123")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.set_balance("ETH", "0.2")
    rig.exchange.deposit("SOL", "1")
    await rig.cycle(wallet)
    await rig.cycle(wallet)
    before, number = wallet.ledger.book(), wallet.ledger.number
    value = wallet.snapshot.total_value
    assert value
    (unexplained,) = wallet.snapshot.unexplained
    shown = await wallet.quote.change("USDT", confirm=False)
    assert (await wallet.quote.change("USDT", confirm=True, plan_id=shown["plan_id"]))["changed"]

    def ledger(name: str = "wallet", mode: Mode = Mode.LIVE) -> Ledger:
        return Ledger(rig.folder / f"{name}.db", mode, "USDT")

    monkeypatch.setattr(rig, "ledger", ledger)
    rig.crash(wallet)
    wallet = await rig.wallet({"BTC": ".5"})
    for _ in range(3):
        await rig.cycle(wallet)
    after, old = wallet.ledger.book(), wallet.ledger.in_book(number)
    assert wallet.snapshot.total_value == pytest.approx(value, rel=Decimal("0.004"))
    assert after.units.price == pytest.approx(before.units.price, rel=Decimal("0.004"))
    for each in (wallet.ledger, old):
        assert each.replay() == each.book().portfolio
        assert sum(flow.amount for flow in each.flows(None)) == each.book().net_deposits
    assert (old.book().portfolio.cash, old.book().portfolio.positions) == (0, {})
    assert wallet.ledger.beginning()[0] == old.beginning()[0]
    kept = [flow for flow in wallet.snapshot.unexplained if flow.kind is FlowKind.CARRIED]
    assert [(flow.amount, flow.time) for flow in kept] == [(unexplained.amount, unexplained.time)]
    # The rest of the former quote asset is on the account, and the wallet is the account.
    held = {coin: position.quantity for coin, position in after.portfolio.positions.items()}
    there = {asset: quantity for asset, quantity in rig.exchange.balances().items() if quantity}
    assert {**held, "USDT": after.portfolio.cash} == there
    gains = await wallet.queries.export("gains", None, Start(), {})
    assert gains["quote"] == "USDT"
    assert (await wallet.queries.statistics())["trades"]["closed"] == 0
    price, prices = after.units.price, {coin: view.price for coin, view in wallet.snapshot.positions.items()}
    rig.exchange.deposit("ETH", "0.5")
    await rig.cycle(wallet)
    await rig.cycle(wallet)
    new = wallet.ledger.book()
    assert new.portfolio.quantity("ETH") == after.portfolio.quantity("ETH") + Decimal("0.5")
    assert {coin: view.price for coin, view in wallet.snapshot.positions.items()} == prices
    assert abs(new.units.price - price) < Decimal("1e-20")
    assert wallet.ledger.replay() == new.portfolio


async def refusal(follower: OpenEngine, quote: str = "USDT", **more: Any) -> str:
    """Why it is refused."""
    with pytest.raises(CommandError) as caught:
        await follower.quote.change(quote, **{"confirm": True, **more})
    return caught.value.key


async def test_refused(rig: Rig) -> None:
    """Not while anything rests, is unclear, sold or unknown; not where a coin would have no price."""
    follower = await holding(rig)
    assert await refusal(follower, "USDC") == "quote_same"
    assert await refusal(follower, "EUR") == "quote_without"
    assert await refusal(follower, plan_id="none") == "plan_unknown"
    for _ in range(101):
        await follower.quote.change("USDT", confirm=False)
    plan = (await follower.quote.change("USDT", confirm=False))["plan_id"]
    rig.clock.advance(601)
    assert await refusal(follower, plan_id=plan) == "plan_expired"
    plan = (await follower.quote.change("USDT", confirm=False))["plan_id"]
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.01"))
    assert await refusal(follower, plan_id=plan) == "prices_moved"
    order = await follower.orders.place(limit("BTC", Side.BUY, Decimal("0.0002"), Decimal(50000)))
    assert await refusal(follower) == "orders_rest"
    await follower.orders.cancel(order.client_order_id)
    await protect(follower, "BTC", Decimal(200000), None)
    assert await refusal(follower) == "orders_rest"
    await protect(follower, "BTC", None, None)
    rig.exchange.fault("status", path="/account", count=None)
    assert await refusal(follower) == "no_valuation"
    rig.exchange.clear_faults()
    assert follower.ledger.number == 1


async def test_the_cash_cannot_be_changed(rig: Rig) -> None:
    """Then the book goes on as it is, and it can be tried again."""
    follower = await holding(rig)
    rig.exchange.fault("error", code=-2010, status=400, method="POST", path="/order")
    done = await follower.quote.change("USDT", confirm=True)
    assert (done["changed"], done["conversion"]["result"]) == (False, "error")
    assert follower.ledger.number == 1
    rig.agree(follower)
    assert (await rig.cycle(follower)).total_value


async def test_a_crash_between_cash_and_book(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is converted already is valued, and the change goes on from there."""
    follower = await holding(rig)
    value = follower.snapshot.total_value
    assert value
    real = follower.ledger.succeed

    def fails(*_: Any) -> None:
        raise LedgerError("disk")

    monkeypatch.setattr(follower.ledger, "succeed", fails)
    assert await refusal(follower) == "ledger_unavailable"
    monkeypatch.setattr(follower.ledger, "succeed", real)
    assert follower.ledger.book().portfolio.quantity("USDT") > 200
    snapshot = await rig.cycle(follower)
    assert snapshot.total_value == pytest.approx(value, rel=Decimal("0.004"))
    follower = await changed(rig, follower, "USDT", monkeypatch)
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    assert follower.snapshot.total_value == pytest.approx(value, rel=Decimal("0.004"))


async def test_refused_while_something_goes_on(rig: Rig) -> None:
    """Nothing is unclear, everything is not being sold, the portfolio lives, and the new quote asset has a rate."""
    follower = await holding(rig)
    rig.exchange.remove_price("EURUSDT")
    assert await refusal(follower) == "no_valuation"
    rig.exchange.restore_price("EURUSDT")
    rig.exchange.set_symbol_status("USDCUSDT", "BREAK")
    assert await refusal(follower) == "no_way"
    rig.exchange.set_symbol_status("USDCUSDT", "TRADING")
    rig.exchange.fault("drop", when="after", method="POST", path="/order", count=None)
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    await follower.conversions.convert("USDC", "ETH", Decimal(20), confirm=True)
    assert await refusal(follower) == "order_unclear"
    await follower.commands.exit(confirm=True)
    assert await refusal(follower) == "exit_runs"
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    await rig.cycle(follower)
    follower.ledger.remember("dead", "now")
    follower = await rig.restart(follower, coins=COINS)
    assert await refusal(follower) == "dead"


def test_what_leaves_and_what_is_carried() -> None:
    """Without cash only coins leave; without a profit none is carried."""
    held = Portfolio(paid_in=Decimal(100), positions={"BTC": Position(Decimal(1), Decimal(100))})
    book = Book(portfolio=held, net_deposits=Decimal(100), units=Units(Decimal(100)))
    prices = {"BTC": Decimal(100)}
    flows, empty = ending(book, prices, Decimal(1), NOW, 7)
    assert [(flow.coin, flow.amount, flow.after_fill) for flow in flows] == [("BTC", -100, 7)]
    assert (empty.portfolio.positions, empty.net_deposits, empty.units.outstanding) == ({}, 0, 0)
    first = CashFlow(
        kind=FlowKind.INITIAL, amount=Decimal(100), amount_quote=Decimal(100), time=NOW, value_before=Decimal(0)
    )
    plan = QuotePlan(at=NOW, quote="EUR", conversion=None, prices=prices, rate=Decimal(1))
    carried, next_book = beginning(book, [first], plan, Decimal(1), NOW)
    assert [(flow.coin, flow.amount, flow.amount_quote) for flow in carried] == [(None, 100, 100), ("BTC", 0, 100)]
    assert next_book == book
