"""What the account lacks is taken out of the book as a withdrawal at today's value."""

from decimal import Decimal

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import FlowKind
from harness.engine import OpenEngine

from .rig import ALLOCATION, COINS, Rig

ZERO = Decimal(0)


@pytest.fixture
async def follower(rig: Rig) -> OpenEngine:
    """One that holds its leader's allocation."""
    rig.leader.publish_v2(ALLOCATION)
    follower = await rig.start()
    await rig.cycle(follower)
    return follower


def lose(rig: Rig, asset: str, share: str) -> Decimal:
    """Take a share of an asset from the account; returns how much."""
    there = rig.exchange.balance(asset)
    taken = (there * Decimal(share)).quantize(Decimal("1e-8"))
    rig.exchange.set_balance(asset, there - taken)
    return taken


def balanced(follower: OpenEngine) -> None:
    """The book adds up, and follows from what is written down."""
    book = follower.ledger.book()
    portfolio = book.portfolio
    cost = sum((position.cost for position in portfolio.positions.values()), ZERO)
    assert portfolio.cash + cost == portfolio.paid_in + portfolio.realised
    assert follower.ledger.replay() == portfolio
    flows = follower.ledger.flows()
    assert sum((flow.amount_quote for flow in flows), ZERO) == portfolio.paid_in
    assert sum((flow.amount for flow in flows), ZERO) == book.net_deposits


async def until_noticed(rig: Rig, follower: OpenEngine) -> None:
    """Three cycles later it is a problem."""
    for _ in range(3):
        await rig.cycle(follower)
    assert follower.snapshot.ledger_problem


@pytest.mark.parametrize("share", ["0.3", "1"])
async def test_coins_and_cash(rig: Rig, follower: OpenEngine, share: str) -> None:
    """Book and account agree to the last digit afterwards, and neither profit nor return has moved."""
    rig.exchange.set_price("BTCUSDC", rig.exchange.price("BTCUSDC") * Decimal("1.2"), gap=True)
    rig.exchange.set_balance("USDC", follower.ledger.book().portfolio.cash)
    await rig.cycle(follower)
    cash = lose(rig, "USDC", ".5")
    coins = lose(rig, "BTC", share)
    await until_noticed(rig, follower)
    assert follower.snapshot.missing == {"BTC": coins, "USDC": cash}
    before = follower.snapshot

    in_kind, money = sorted(await follower.commands.accept_account(), key=lambda flow: flow.coin or "z")
    assert (in_kind.kind, in_kind.coin, in_kind.quantity) == (FlowKind.WITHDRAWAL, "BTC", coins)
    assert in_kind.amount_quote == -(coins * rig.exchange.price("BTCUSDC")).quantize(Decimal("1e-8"))
    assert (money.kind, money.coin, money.amount_quote) == (FlowKind.WITHDRAWAL, None, -cash)
    assert (money.value_before or 0) < (in_kind.value_before or 0)

    after = follower.snapshot
    assert after.missing == {}
    assert after.positions["BTC"].quantity == rig.exchange.balance("BTC")
    assert after.cash == rig.exchange.balance("USDC")
    assert (after.total_value or 0) < (before.total_value or 0)
    assert after.profit_loss == pytest.approx(before.profit_loss, abs=Decimal("1e-7"))
    assert after.time_weighted_return == pytest.approx(before.time_weighted_return, abs=Decimal("1e-7"))
    balanced(follower)
    shown = await follower.queries.cash_flows()
    assert [(flow.get("coin"), flow.get("quantity")) for flow in shown if "coin" in flow] == [("BTC", f"{coins:f}")]
    assert not (await rig.cycle(follower)).ledger_problem


async def test_trades_before_and_after(rig: Rig, follower: OpenEngine) -> None:
    """The book can be computed again from what is written down, trades and withdrawals in their order."""
    lose(rig, "ETH", ".4")
    await follower.commands.accept_account()
    rig.exchange.set_price("ETHUSDC", rig.exchange.price("ETHUSDC") * Decimal("1.5"), gap=True)
    rig.leader.publish_v2({"ETH": ".5", "SOL": ".2"})
    await rig.cycle(follower)
    balanced(follower)
    lose(rig, "ETH", ".1")
    lose(rig, "SOL", "1")
    assert len(await follower.commands.accept_account()) == 2
    rig.leader.publish_v2({"XRP": ".5"})
    await rig.cycle(follower)
    balanced(follower)
    follower = await rig.restart(follower)
    balanced(follower)
    snapshot = await rig.cycle(follower)
    for coin in COINS:
        assert snapshot.positions[coin].quantity == rig.exchange.balance(coin)


async def test_everything(rig: Rig, follower: OpenEngine) -> None:
    """Nothing is left, and a deposit begins anew."""
    for asset in (*COINS, "USDC"):
        rig.exchange.set_balance(asset, "0")
    await follower.commands.accept_account()
    assert follower.snapshot.total_value == 0
    assert follower.ledger.book().portfolio.positions == {}
    balanced(follower)
    rig.exchange.set_balance("USDC", "500")
    await follower.commands.deposit(Decimal(100))
    assert follower.snapshot.total_value == pytest.approx(100, abs=Decimal("0.01"))
    balanced(follower)


async def test_put_back_meanwhile(rig: Rig, follower: OpenEngine) -> None:
    """What is there again is not withdrawn."""
    coins = lose(rig, "BTC", ".5")
    await until_noticed(rig, follower)
    rig.exchange.set_balance("BTC", rig.exchange.balance("BTC") + coins)
    assert await follower.commands.accept_account() == ()
    assert not follower.snapshot.ledger_problem
    assert [flow.kind for flow in follower.ledger.flows()] == [FlowKind.INITIAL]


async def test_not_listed_any_more(rig: Rig, follower: OpenEngine) -> None:
    """What is missing of it left at its last price, and what is missing beside it at today's."""
    price = follower.snapshot.positions["ETH"].price
    rig.exchange.delist("ETHUSDC")
    coins = lose(rig, "ETH", ".5")
    lose(rig, "BTC", ".5")
    await until_noticed(rig, follower)
    await follower.commands.accept_account()
    assert not follower.snapshot.ledger_problem
    (flow,) = [flow for flow in follower.ledger.flows() if flow.coin == "ETH"]
    assert price
    assert (flow.quantity, flow.amount_quote) == (coins, -coins * price)
    assert follower.snapshot.set_aside[0].quantity == rig.exchange.balance("ETH")
    balanced(follower)


async def test_price_unknown(rig: Rig, follower: OpenEngine) -> None:
    """Without a price of what is listed nothing can be said of its worth, and nothing is written."""
    lose(rig, "BTC", ".5")
    lose(rig, "ETH", ".5")
    rig.exchange.remove_price("ETHUSDC")
    with pytest.raises(CommandError, match="no_valuation"):
        await follower.commands.accept_account()
    assert len(follower.ledger.flows()) == 1


async def test_account_unknown(rig: Rig, follower: OpenEngine) -> None:
    """An account that does not answer lacks nothing."""
    rig.exchange.fault("status", path="/account", count=None)
    with pytest.raises(CommandError, match="account_unknown"):
        await follower.commands.accept_account()
    assert len(follower.ledger.flows()) == 1


async def test_order_in_flight(rig: Rig, follower: OpenEngine) -> None:
    """While it is not known what an order did, a gap may be its doing."""
    rig.exchange.fault("drop", when="after", path="/order", method="POST", count=None)
    rig.exchange.fault("status", path="/order", method="GET", count=None)
    rig.leader.publish_v2({"BTC": ".1"})
    await rig.cycle(follower)
    assert rig.in_flight(follower)
    with pytest.raises(CommandError, match="account_unknown"):
        await follower.commands.accept_account()
    rig.exchange.clear_faults()


async def test_on_paper(rig: Rig) -> None:
    """There is no account to agree with."""
    rig.leader.publish_v2(ALLOCATION)
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    with pytest.raises(CommandError, match="account_unknown"):
        await follower.commands.accept_account()
