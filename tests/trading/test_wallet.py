"""The whole account as one portfolio: taken in at the start, what comes and leaves booked in kind, what has no share left alone."""

from collections import Counter
from collections.abc import Collection, Coroutine
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.exchanges.paper import PaperExchange
from custom_components.calvalot.trading.explanation import Explanation
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind
from custom_components.calvalot.trading.reports.form_2086 import Start
from harness.engine import OpenEngine
from harness.orders import limit

from .rig import ZERO, Rig

type Said = set[tuple[str | None, Explanation | None]]


def mirrors(rig: Rig, follower: OpenEngine, *others: OpenEngine, apart: Collection[str] = ()) -> None:
    """All books together are the account, to the last digit, but for what has no pair; the ledger follows from its records."""
    books = [each.ledger.book().portfolio for each in (follower, *others)]
    held: dict[str, Decimal] = {"USDC": sum((book.cash for book in books), ZERO)}
    for book in books:
        for coin, position in book.positions.items():
            held[coin] = held.get(coin, ZERO) + position.quantity
    assert {coin: quantity for coin, quantity in held.items() if quantity} == {
        asset: quantity for asset, quantity in rig.exchange.balances().items() if asset not in apart
    }
    own = follower.ledger.book()
    assert follower.ledger.replay() == own.portfolio
    flows = follower.ledger.flows(None)
    assert sum((flow.amount for flow in flows), ZERO) == own.net_deposits
    assert sum((flow.amount_quote for flow in flows), ZERO) == own.portfolio.paid_in


def flows(follower: OpenEngine) -> list[CashFlow]:
    """What came and left after the start, oldest first."""
    return [flow for flow in reversed(follower.ledger.flows(None)) if flow.kind is not FlowKind.INITIAL]


def said(follower: OpenEngine) -> Said:
    """Assets that came or left after the start, each with why."""
    return {(flow.coin, flow.explanation) for flow in flows(follower)}


async def again(rig: Rig, *followers: OpenEngine, times: int = 2) -> None:
    """Some more cycles of each."""
    for _ in range(times):
        for follower in followers:
            await rig.cycle(follower)


async def refused(command: Coroutine[Any, Any, object]) -> str:
    """Why something cannot be done."""
    with pytest.raises(CommandError) as caught:
        await command
    return caught.value.key


# What is there, comes and leaves


async def test_what_is_there_is_taken_in(rig: Rig) -> None:
    """At the prices of the moment, in kind, with a return of nothing."""
    rig.exchange.set_balance("BTC", "0.5")
    rig.exchange.set_balance("ETH", "2.25")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    mirrors(rig, wallet)
    book = wallet.ledger.book()
    assert {flow.kind for flow in wallet.ledger.flows()} == {FlowKind.INITIAL}
    assert book.units.price == 1
    assert wallet.snapshot.total_value
    assert abs(wallet.snapshot.total_value - (book.net_deposits or 0)) < Decimal("1e-6")


async def test_it_comes_and_leaves(rig: Rig) -> None:
    """In kind, at the second reading that says the same, without moving the return."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    before = wallet.ledger.book()
    rig.exchange.set_balance("BTC", "0.75")
    rig.exchange.set_balance("SOL", "3")
    rig.exchange.set_balance("USDC", "1200")
    await rig.cycle(wallet)
    assert wallet.ledger.book() == before
    await rig.cycle(wallet)
    mirrors(rig, wallet)
    assert {flow.coin for flow in flows(wallet)} == {"BTC", "SOL", None}
    assert {flow.explanation for flow in flows(wallet)} == {Explanation.UNEXPLAINED}
    assert abs(wallet.ledger.book().units.price - before.units.price) < Decimal("1e-20")


async def test_a_budget_beside_it(rig: Rig) -> None:
    """What another portfolio of the account holds is not the wallet's; its trades are nothing that came."""
    rig.exchange.set_balance("BTC", "0.5")
    rig.leader.publish_v2({"BTC": ".4", "ETH": ".2"})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    mirrors(rig, wallet, budget)
    assert wallet.ledger.book().portfolio.quantity("BTC") == Decimal("0.5")
    rig.leader.publish_v2({"BTC": ".1", "SOL": ".5"})
    for _ in range(3):
        await rig.cycle(budget)
        await rig.cycle(wallet)
    mirrors(rig, wallet, budget)
    assert flows(wallet) == []


async def test_history_explains(rig: Rig) -> None:
    """Each way in which something comes or leaves is read in the account's history."""
    rig.exchange.set_balance("BTC", "0.5")
    rig.exchange.set_balance("XRP", "10")
    rig.exchange.set_balance("BNB", "1")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    told: list[Said] = []
    for act in (
        lambda: rig.exchange.deposit("ETH", "1.5"),
        lambda: rig.exchange.withdraw("BTC", "0.1", fee="0.0001"),
        lambda: rig.exchange.convert("ETH", "0.5", "SOL", "7.25"),
        lambda: rig.exchange.sweep_dust("XRP", "0.003"),
        lambda: rig.exchange.reward("SOL", "0.01"),
        lambda: rig.exchange.trade_by_hand("BTCUSDC", "SELL", "0.1"),
    ):
        known = len(flows(wallet))
        act()
        await rig.cycle(wallet)
        await rig.cycle(wallet)
        mirrors(rig, wallet)
        told.append({(flow.coin, flow.explanation) for flow in flows(wallet)[known:]})
    assert told == [
        {("ETH", Explanation.DEPOSIT)},
        {("BTC", Explanation.WITHDRAWAL)},
        {("ETH", Explanation.CONVERSION), ("SOL", Explanation.CONVERSION)},
        {("XRP", Explanation.DUST), ("BNB", Explanation.DUST)},
        {("SOL", Explanation.REWARD)},
        {("BTC", Explanation.TRADE), (None, Explanation.TRADE)},
    ]


async def test_history_of_an_exchange_whose_clock_is_ahead(rig: Rig) -> None:
    """What came a moment ago bears a time that the house has not reached yet."""
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.advance(4000)
    rig.exchange.deposit("ETH", "0.5")
    await again(rig, wallet)
    assert [flow.explanation for flow in flows(wallet)] == [Explanation.DEPOSIT]


async def test_each_row_explains_once(rig: Rig) -> None:
    """A deposit that has explained something does not explain the next thing of the same size; no row is asked for twice."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.deposit("BTC", "0.25")
    await again(rig, wallet)
    rig.exchange.set_balance("BTC", "1")
    await again(rig, wallet)
    assert [flow.explanation for flow in flows(wallet)] == [Explanation.DEPOSIT, Explanation.UNEXPLAINED]
    asked = rig.exchange.count(path="hisrec")
    await again(rig, wallet, times=4)
    assert rig.exchange.count(path="hisrec") == asked == 2


async def test_what_several_rows_say(rig: Rig) -> None:
    """Together they explain it in parts; one that is credited late explains it alone; two kinds that say the same do not."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.deposit("SOL", "2")
    rig.exchange.reward("SOL", "0.5")
    await again(rig, wallet)
    assert said(wallet) == {("SOL", Explanation.DEPOSIT), ("SOL", Explanation.REWARD)}
    rig.exchange.deposit("ETH", "1", status=6)
    rig.exchange.deposit("ETH", "9", status=0)
    rig.exchange.set_balance("ETH", "0")
    await again(rig, wallet)
    rig.clock.advance(7200)
    await again(rig, wallet)
    rig.exchange.set_balance("ETH", "1")
    await again(rig, wallet)
    assert ("ETH", Explanation.DEPOSIT) in said(wallet)
    rig.exchange.reward("XRP", "3")
    rig.exchange.deposit("XRP", "3")
    rig.exchange.set_balance("XRP", "3")
    rig.exchange.set_balance("ETH", "4")  # so that all there is is asked
    await again(rig, wallet)
    assert ("XRP", Explanation.UNEXPLAINED) in said(wallet)
    mirrors(rig, wallet)


async def test_nothing_about_something_unreadable(rig: Rig) -> None:
    """A row that cannot be read, of a kind nobody knew, or of what came to nothing, is left out; the others are read."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    for kind in ("deposit", "withdrawal", "conversion", "dust", "reward"):
        rig.exchange.add_row(kind, {"status": "?", "userAssetDribbletDetails": [{}]})
    rig.exchange.add_row("withdrawal", {"status": 1})
    rig.exchange.add_row("conversion", {"orderStatus": "FAIL"})
    rig.exchange.deposit("ETH", "1")
    rig.exchange.withdraw("BTC", "0.25")
    await again(rig, wallet)
    assert said(wallet) == {("ETH", Explanation.DEPOSIT), ("BTC", Explanation.WITHDRAWAL)}


@pytest.mark.parametrize("why", ["no_sapi", "limited", "crowded"])
async def test_history_is_only_an_explanation(rig: Rig, why: str) -> None:
    """Where it is not there or does not answer, what came is booked all the same; in a crowded minute it waits."""
    rig.exchange.set_balance("BTC", "0.5")
    limits = rig.limits(crowded=0) if why == "crowded" else None
    wallet = await rig.wallet({"BTC": ".5"}, on=rig.binance(limits=limits))
    await rig.cycle(wallet)
    rig.exchange.set_sapi(why != "no_sapi")
    if why == "limited":
        rig.exchange.fault("status", status=429, path="hisrec", seconds=1)
    rig.exchange.deposit("ETH", "1")
    await again(rig, wallet)
    assert said(wallet) == (set() if why == "crowded" else {("ETH", Explanation.UNEXPLAINED)})
    await again(rig, wallet)
    assert rig.exchange.unheeded == 0


async def test_its_owner_says_why(rig: Rig) -> None:
    """What nothing explained is shown until he does; what is explained, or is no such flow, is not asked about."""
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.set_balance("BTC", "0.5")
    await again(rig, wallet)
    (flow,) = wallet.snapshot.unexplained
    assert flow.coin == "BTC"
    await wallet.commands.explain_cash_flow(flow.seq, Explanation.TRANSFER)
    assert wallet.snapshot.unexplained == ()
    assert await refused(wallet.commands.explain_cash_flow(flow.seq, Explanation.OTHER)) == "cash_flow_unknown"
    (told, *_) = await wallet.queries.cash_flows()
    assert (told["coin"], told["explanation"]) == ("BTC", "transfer")


# When it waits


async def test_two_readings_apart(rig: Rig) -> None:
    """They have to say the same, half a minute apart at least."""
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.set_balance("BTC", "0.5")
    await rig.cycle(wallet, after=5)
    await rig.cycle(wallet, after=5)
    rig.exchange.set_balance("BTC", "0.25")
    await rig.cycle(wallet, after=60)
    assert flows(wallet) == []
    await rig.cycle(wallet, after=60)
    assert [flow.quantity for flow in flows(wallet)] == [Decimal("0.25")]


@pytest.mark.parametrize("whose", ["wallet", "budget"])
async def test_while_an_order_is_unclear(rig: Rig, whose: str) -> None:
    """Nothing is booked, whosever it is; nor is one of its own fills ever taken for something that came."""
    rig.leader.publish_v2({})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.fault("drop", when="after", method="POST", path="/order")
    rig.exchange.fault("status", method="GET", path="/order", count=None)
    if whose == "wallet":
        await wallet.commands.sync()
    else:
        rig.leader.publish_v2({"ETH": ".5"})
        await rig.cycle(budget)
    rig.exchange.deposit("SOL", "1")
    await again(rig, wallet, times=4)
    assert flows(wallet) == []
    rig.exchange.clear_faults()
    await again(rig, budget, wallet, times=3)
    assert said(wallet) == {("SOL", Explanation.DEPOSIT)}
    mirrors(rig, wallet, budget)


async def test_while_an_order_goes_on(rig: Rig) -> None:
    """One that rests is looked at before anything is booked: what it was filled meanwhile came from nowhere else."""
    rig.leader.publish_v2({})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    price = rig.exchange.price("BTCUSDC")
    order = await budget.orders.place(limit("BTC", Side.BUY, Decimal("0.001"), price * Decimal("0.9")))
    rig.exchange.trade_against(order.client_order_id, "0.0005")
    await again(rig, wallet, times=4)  # the other one has not looked yet
    assert flows(wallet) == []
    rig.exchange.fault("status", path="/openOrders", count=None)
    rig.exchange.deposit("SOL", "1")
    await again(rig, wallet, times=3)
    assert flows(wallet) == []
    rig.exchange.clear_faults()
    await again(rig, budget, wallet, times=3)
    assert said(wallet) == {("SOL", Explanation.DEPOSIT)}
    mirrors(rig, wallet, budget)


async def test_it_begins_once_the_others_are_clear(rig: Rig) -> None:
    """What an order of another portfolio has filled and nobody booked yet is not the wallet's."""
    rig.leader.publish_v2({})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    price = rig.exchange.price("BTCUSDC")
    order = await budget.orders.place(limit("BTC", Side.BUY, Decimal("0.001"), price * Decimal("0.9")))
    rig.exchange.trade_against(order.client_order_id, "0.0005")
    wallet = await rig.wallet({"BTC": ".5"})
    await again(rig, wallet)
    assert wallet.ledger.book().net_deposits is None
    await again(rig, budget, wallet)
    mirrors(rig, wallet, budget)
    assert not wallet.ledger.book().portfolio.positions


async def test_a_ledger_that_cannot_be_read(rig: Rig) -> None:
    """Another portfolio's: what it holds is known from before, whether it is still so is not."""
    rig.leader.publish_v2({"BTC": ".5"})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"ETH": ".5"})
    await rig.cycle(wallet)
    budget.ledger.close()
    rig.exchange.deposit("SOL", "1")
    await again(rig, wallet, times=3)
    assert flows(wallet) == []
    mirrored = wallet.ledger.book().portfolio
    assert not mirrored.positions


async def test_a_portfolio_that_is_not_loaded(rig: Rig) -> None:
    """It keeps what it holds; what of it cannot be read, or rests where nobody follows it, makes the wallet wait."""
    rig.leader.publish_v2({"BTC": ".5"})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"ETH": ".5"})
    await rig.cycle(wallet)
    await budget.stop()
    await again(rig, wallet, times=3)
    assert flows(wallet) == []
    assert not wallet.ledger.book().portfolio.positions
    (rig.folder / "other.db").write_text("no ledger")
    rig.exchange.deposit("SOL", "1")
    await again(rig, wallet, times=3)
    assert flows(wallet) == []
    (rig.folder / "other.db").unlink()
    await again(rig, wallet, times=3)
    assert said(wallet) == {("SOL", Explanation.DEPOSIT)}


async def test_between_portfolios(rig: Rig) -> None:
    """What goes to another portfolio of the account, or comes back from one, says so."""
    rig.exchange.set_balance("BTC", "0.5")
    rig.leader.publish_v2({})
    budget = await rig.start(budget="300")
    await rig.cycle(budget)
    wallet = await rig.wallet({"BTC": ".5"})
    await again(rig, wallet)
    await budget.commands.withdraw(Decimal(100))
    await again(rig, wallet)
    assert [(flow.coin, flow.explanation) for flow in flows(wallet)] == [(None, Explanation.PORTFOLIO)]
    mirrors(rig, wallet, budget)


# What is frozen


async def test_what_has_no_share_is_left_alone(rig: Rig) -> None:
    """Not by a rebalance, nor by a sale of everything; a share of nothing sells it."""
    rig.exchange.set_balance("BTC", "0.01")
    rig.exchange.set_balance("SOL", "10")
    rig.exchange.set_balance("XRP", "100")
    wallet = await rig.wallet({"BTC": ".5", "XRP": "0"})
    await rig.cycle(wallet)
    await wallet.commands.sync()
    assert {order.symbol for order in rig.orders("wallet", "SELL")} == {"XRPUSDC"}
    assert wallet.snapshot.positions["SOL"].frozen
    assert wallet.snapshot.positions["SOL"].target_weight is None
    await wallet.commands.exit(confirm=True)
    held = wallet.ledger.book().portfolio
    assert (held.quantity("SOL"), held.quantity("BTC")) == (Decimal(10), ZERO)
    mirrors(rig, wallet)


async def test_a_stop_loss_leaves_it_alone(rig: Rig) -> None:
    """It sells what has a share."""
    rig.exchange.set_balance("BTC", "0.05")
    rig.exchange.set_balance("SOL", "10")
    wallet = await rig.wallet({"BTC": ".5"}, stop_loss_drawdown=Decimal("0.1"), stop_loss_sell=True)
    await again(rig, wallet)
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") / 2)
    await again(rig, wallet)
    assert {order.symbol for order in rig.orders("wallet")} == {"BTCUSDC"}
    assert wallet.ledger.book().portfolio.quantity("SOL") == 10


async def test_coins_of_another_portfolio_are_not_sold(rig: Rig) -> None:
    """Not even where its own have left the account and nobody knows it yet."""
    rig.exchange.set_balance("BTC", "0.01")
    rig.leader.publish_v2({"BTC": "1"})
    budget = await rig.start(budget="500")
    await rig.cycle(budget)
    held = budget.ledger.book().portfolio.quantity("BTC")
    wallet = await rig.wallet({"BTC": "0"})
    await rig.cycle(wallet)
    rig.exchange.set_balance("BTC", held)
    await wallet.commands.sync()
    assert rig.orders("wallet") == []
    await again(rig, wallet)
    mirrors(rig, wallet, budget)


# What is shown, and what is not for a wallet


async def test_what_has_no_pair(rig: Rig) -> None:
    """It is counted apart and shown; what is in flexible earn says what it stands for; what is in orders is in the wallet."""
    rig.exchange.set_balance("BTC", "0.05")
    rig.exchange.set_balance("LDBTC", "0.5")
    rig.exchange.set_balance("NOPAIR", "7")
    rig.exchange.account().balances["BTC"].locked = Decimal("0.02")
    wallet = await rig.wallet({"BTC": ".5"})
    await again(rig, wallet)
    told = responses.portfolio(wallet.snapshot)
    assert told["apart"] == [
        {"asset": "LDBTC", "quantity": "0.50000000", "earning": "BTC"},
        {"asset": "NOPAIR", "quantity": "7.00000000", "earning": None},
    ]
    assert wallet.snapshot.positions["BTC"].locked == Decimal("0.02")
    assert wallet.snapshot.positions["BTC"].quantity == Decimal("0.07")
    assert told["scope"] == "wallet"


async def test_dry_run_copies_once(rig: Rig) -> None:
    """What the account holds beside other portfolios; from then on it goes its own way."""
    rig.exchange.set_balance("BTC", "0.05")
    rig.exchange.set_balance("SOL", "2")
    rig.exchange.set_balance("NOPAIR", "7")
    rig.exchange.fault("status", path="/account")
    wallet = await rig.wallet({"BTC": ".5"}, Mode.DRY_RUN)
    await rig.cycle(wallet)
    assert wallet.ledger.book().net_deposits is None
    await rig.cycle(wallet)
    held = wallet.ledger.book().portfolio
    assert (held.quantity("BTC"), held.quantity("SOL")) == (Decimal("0.05"), Decimal(2))
    rig.exchange.deposit("BTC", "1")
    await again(rig, wallet, times=3)
    assert flows(wallet) == []
    assert [each.asset for each in wallet.snapshot.apart] == ["NOPAIR"]
    await wallet.commands.sync()
    assert wallet.ledger.trades()
    assert rig.exchange.count("POST", "/order") == 0
    assert wallet.ledger.replay() == wallet.ledger.book().portfolio


async def test_too_little_is_not_taken_in(rig: Rig) -> None:
    """A wallet that is worth less than it needs to live on has not begun."""
    rig.exchange.set_balance("USDC", "3")
    wallet = await rig.wallet({"BTC": ".5"})
    await again(rig, wallet)
    assert wallet.ledger.book().net_deposits is None
    rig.exchange.set_balance("USDC", "300")
    await again(rig, wallet)
    mirrors(rig, wallet)


async def test_money_is_moved_on_the_account(rig: Rig) -> None:
    """Not by a command."""
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    assert await refused(wallet.commands.deposit(Decimal(1))) == "wallet_scope"
    assert await refused(wallet.commands.withdraw(Decimal(1))) == "wallet_scope"
    assert await refused(wallet.commands.set_net_deposits(Decimal(1))) == "wallet_scope"


async def test_no_coin_is_missing_from_a_wallet(rig: Rig) -> None:
    """What has gone has left it: nobody is asked to look for it."""
    rig.exchange.set_balance("BTC", "0.05")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.withdraw("BTC", "0.05")
    rig.exchange.ban(600)
    await again(rig, wallet, times=5)
    assert not wallet.snapshot.missing
    rig.exchange.advance(700)
    rig.clock.advance(700)
    await again(rig, wallet, times=3)
    mirrors(rig, wallet)


async def test_a_lost_ledger(rig: Rig) -> None:
    """Its orders are found and booked; what the account holds beyond them is taken in."""
    rig.exchange.set_balance("BTC", "0.05")
    wallet = await rig.wallet({"BTC": ".1", "ETH": ".3"})
    await rig.cycle(wallet)
    await wallet.commands.sync()
    wallet.ledger.close()
    for file in rig.folder.glob("wallet.db*"):
        file.unlink()
    wallet = await rig.wallet({"BTC": ".1", "ETH": ".3"})
    await again(rig, wallet, times=4)
    mirrors(rig, wallet)
    assert flows(wallet) == []


async def test_statistics_and_exports(rig: Rig) -> None:
    """What came in kind counts as bought for what it was worth, what left as sold for that."""
    rig.exchange.set_balance("BTC", "0.05")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.deposit("ETH", "1")
    await again(rig, wallet)
    rig.exchange.withdraw("ETH", "0.5")
    await again(rig, wallet)
    figures = await wallet.queries.statistics()
    assert figures
    exported = await wallet.queries.export("json", None, Start(), {})
    assert exported["rows"] == len([flow for flow in wallet.ledger.flows(None) if flow.value_before is not None])
    (year,) = (await wallet.queries.export("gains", None, Start(), {}))["years"]
    assert Decimal(year["sold"]) > 0
    assert abs(Decimal(year["fifo"])) < 1


async def test_many_assets(rig: Rig) -> None:
    """Hundreds of them, most without a pair, are asked about in a few requests."""
    for number in range(130):
        rules = replace(rig.exchange.symbol("SOLUSDC"), base=f"C{number}")
        rig.exchange.list_symbol(rules, Decimal(1 + number))
        rig.exchange.set_balance(f"C{number}", "2")
        rig.exchange.set_balance(f"N{number}", "2")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    assert len(wallet.ledger.book().portfolio.positions) == 130
    assert len(wallet.snapshot.apart) == 130
    assert rig.exchange.count(path="exchangeInfo") <= 6


async def test_what_the_exchange_lists_is_not_known(rig: Rig) -> None:
    """Then nothing is taken in yet."""
    rig.exchange.fault("status", path="/ticker/price", count=2)
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    assert wallet.ledger.book().net_deposits is None
    await rig.cycle(wallet)
    mirrors(rig, wallet)


async def test_nothing_comes_to_paper(rig: Rig) -> None:
    """It has no history."""
    now = rig.clock.now()
    assert await PaperExchange(rig.binance(), rig.clock.now).movements(Explanation.DEPOSIT, (), now, now) == ()


async def test_conversions_are_asked_for_in_windows(rig: Rig) -> None:
    """Of thirty days each, over ninety at most."""
    now = rig.clock.now()
    await rig.binance().movements(Explanation.CONVERSION, (), now - timedelta(days=400), now)
    spans = [request for request in rig.exchange.requests if request.path.endswith("tradeFlow")]
    assert len(spans) == 3
    assert all(request.status == 200 for request in spans)
    first = min(int(request.params["startTime"]) for request in spans)
    assert abs(first / 1000 - (now - timedelta(days=90)).timestamp()) < 1


@pytest.mark.parametrize(
    ("came", "requests", "weight", "uid_weight"),
    [
        ("nothing", [], 0, 0),
        ("deposit", ["hisrec"], 1, 0),
        ("reward", ["hisrec", "assetDividend"], 11, 0),
        ("withdrawal", ["dribblet", "tradeFlow", "history"], 1, 21_000),
        ("arrival", ["hisrec", "assetDividend", "dribblet", "tradeFlow"], 12, 3_000),
        ("trade", ["hisrec", "assetDividend", "dribblet", "myTrades"], 32, 0),
    ],
)
async def test_what_a_difference_costs(rig: Rig, came: str, requests: list[str], weight: int, uid_weight: int) -> None:
    """The questions about each, with their weights; without a difference there are none, however many cycles there are."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.forget_requests()
    match came:
        case "deposit":
            rig.exchange.deposit("ETH", "1")
        case "reward":
            rig.exchange.reward("ETH", "1")
        case "withdrawal":
            rig.exchange.withdraw("BTC", "0.1")
        case "arrival":
            rig.exchange.set_balance("ETH", "1")
        case "trade":
            rig.exchange.trade_by_hand("BTCUSDC", "SELL", "0.1")
    await again(rig, wallet, times=5)
    asked = [each for each in rig.exchange.requests if "/sapi/" in each.path or each.path.endswith("myTrades")]
    asked = [each for each in asked if not each.path.endswith("apiRestrictions")]
    assert [each.path.rpartition("/")[2] for each in asked] == requests
    assert (sum(each.weight for each in asked), sum(each.uid_weight for each in asked)) == (weight, uid_weight)


async def test_what_a_day_costs(rig: Rig) -> None:
    """A day of cycles with a difference each hour, of each kind in turns: what each costs by itself, and nothing beside it."""
    rig.exchange.set_balance("BTC", "0.5")
    wallet = await rig.wallet({"BTC": ".5"})
    await rig.cycle(wallet)
    rig.exchange.forget_requests()
    for hour in range(24):
        match hour % 5:
            case 0:
                rig.exchange.deposit("ETH", "0.01")
            case 1:
                rig.exchange.reward("ETH", "0.01")
            case 2:
                rig.exchange.withdraw("BTC", "0.01")
            case 3:
                rig.exchange.set_balance("ETH", rig.exchange.balances()["ETH"] + Decimal("0.01"))
            case 4:
                rig.exchange.trade_by_hand("BTCUSDC", "SELL", "0.01")
        await again(rig, wallet, times=30)
    mirrors(rig, wallet)
    asked = [each for each in rig.exchange.requests if "/sapi/" in each.path or each.path.endswith("myTrades")]
    asked = [each for each in asked if not each.path.endswith("apiRestrictions")]
    assert all(each.status == 200 for each in asked)
    counted = len(asked), sum(each.weight for each in asked), sum(each.uid_weight for each in asked)
    assert counted == (66, 253, 120_000)
    minutes: Counter[int] = Counter()
    for each in asked:
        minutes[int(each.params["timestamp"]) // 60_000] += each.uid_weight
    assert max(minutes.values()) == 21_000
