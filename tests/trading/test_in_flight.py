"""While it is not known what became of an order, its money is neither missing nor spent a second time."""

from collections.abc import Awaitable
from decimal import Decimal

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from harness.engine import OpenEngine
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .rig import Rig


@pytest.fixture
def sim(rig: Rig) -> ExchangeSimulator:
    """The exchange."""
    return rig.exchange


def hide_next_order(sim: ExchangeSimulator) -> None:
    """It is executed, not answered, and not seen for a while."""
    sim.fault("late", seconds=20, method="POST")
    sim.fault("drop", when="after", method="POST")


async def test_a_sale_in_flight_is_not_missing(rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator) -> None:
    """Its coins have left the account and its cash is not booked: the capital is what it was, nothing else is sold for it."""
    leader.publish_v2({"BTC": ".4", "ETH": ".4"})
    follower = await rig.start()
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".1", "ETH": ".4"})
    hide_next_order(sim)
    await rig.cycle(follower)
    await rig.cycle(follower, after=1)
    assert rig.in_flight(follower)
    picture = await rig.cycle(follower)
    assert picture.last_signal_result is Result.EXECUTED
    assert [(order.symbol, order.side) for order in rig.orders()[2:]] == [("BTCUSDC", Side.SELL)]
    rig.agree(follower)


async def test_a_purchase_in_flight_is_not_spent_twice(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """The next signal has what is left of the budget, though the owner's own cash lies beside it."""
    sim.set_balance("USDC", "10000")
    leader.publish_v2({})
    follower = await rig.start()
    await rig.cycle(follower)
    leader.publish_v2({"BTC": ".7"})
    hide_next_order(sim)
    await rig.cycle(follower)
    leader.publish_v2({"ETH": ".9"})
    await rig.cycle(follower, after=1)
    assert {order.symbol for order in rig.orders()} == {"BTCUSDC", "ETHUSDC"}
    await rig.cycle(follower)
    assert not rig.in_flight(follower)
    assert follower.ledger.replay().cash >= Decimal(0)
    rig.agree(follower)


async def test_fees_leave_what_a_sale_in_flight_has_sold(
    rig: Rig, leader: LeaderSimulator, sim: ExchangeSimulator
) -> None:
    """The coins of the sale are gone, whatever else pays its fees in them meanwhile."""
    sim.set_account(bnb_burn=True)
    sim.set_balance("BNB", "1")
    leader.publish_v2({"BNB": ".3", "ETH": ".3"})
    follower = await rig.start()
    await rig.cycle(follower)
    leader.publish_v2({"ETH": ".3"})
    hide_next_order(sim)
    await rig.cycle(follower)
    leader.publish_v2({"ETH": ".1", "BTC": ".3"})
    await rig.cycle(follower, after=1)
    assert {order.state for order in rig.in_flight(follower)} == {OrderState.UNKNOWN, OrderState.EXECUTED}
    await rig.cycle(follower)
    await rig.cycle(follower)
    assert not rig.in_flight(follower)
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    assert follower.ledger.book().portfolio.quantity("BNB") < Decimal("0.001")


async def unclear(rig: Rig, follower: OpenEngine, targets: dict[str, str]) -> None:
    """A cycle whose order was executed, and of which nothing can be learnt."""
    rig.exchange.fault("drop", when="after", method="POST")
    rig.exchange.fault("status", path="/order", method="GET", count=None)
    rig.leader.publish_v2(targets)
    await rig.cycle(follower)
    assert rig.in_flight(follower)


async def refused(work: Awaitable[object]) -> CommandError:
    """Why something is not done."""
    with pytest.raises(CommandError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize("max_slippage", [None, Decimal(0)])
async def test_what_an_unclear_purchase_may_cost_is_not_withdrawn(
    rig: Rig, sim: ExchangeSimulator, max_slippage: Decimal | None
) -> None:
    """The refusal names what can be; that much can, and the cash stays above nothing."""
    follower = await rig.following(max_slippage=max_slippage)
    await unclear(rig, follower, {"BTC": ".6"})
    error = await refused(follower.commands.withdraw(Decimal(800)))
    assert error.key == "order_unclear"
    amount = Decimal(error.placeholders["amount"])
    assert 390 < amount < 400
    assert (await refused(follower.commands.withdraw(Decimal(1001)))).placeholders == {"cash": f"{amount}"}
    await refused(follower.commands.withdraw(amount + 1))
    await follower.commands.withdraw(amount)
    sim.clear_faults()
    await rig.cycle(follower)
    assert not rig.in_flight(follower)
    assert follower.ledger.book().portfolio.cash >= 0
    assert [order.side for order in rig.orders()] == ["BUY", "SELL"]  # of the capital that is left, 60 % as well
    assert follower.ledger.replay() == follower.ledger.book().portfolio


async def test_the_proceeds_of_an_unclear_sale_are_not_deposited(rig: Rig, sim: ExchangeSimulator) -> None:
    """They are the book's own already; once they are booked, only what is the owner's can be paid in."""
    rig.leader.publish_v2({"BTC": ".9"})
    follower = await rig.start()
    await rig.cycle(follower)
    sim.set_balance("USDC", follower.ledger.book().portfolio.cash)
    await unclear(rig, follower, {})
    error = await refused(follower.commands.deposit(Decimal(700)))
    assert (error.key, error.placeholders) == ("order_unclear", {"amount": "0.00"})
    await follower.commands.withdraw(Decimal(10))
    sim.clear_faults()
    await rig.cycle(follower)
    assert (await refused(follower.commands.deposit(Decimal(700)))).key == "insufficient_free"
    sim.set_balance("USDC", sim.balance("USDC") + 1000)
    await follower.commands.deposit(Decimal(700))


async def test_a_purchase_in_flight_holds_no_deposit_up(rig: Rig, sim: ExchangeSimulator) -> None:
    """It only makes less of what is free."""
    sim.set_balance("USDC", "5000")
    follower = await rig.following()
    await unclear(rig, follower, {"BTC": ".6"})
    await follower.commands.deposit(Decimal(100))
    sim.clear_faults()
    await rig.cycle(follower)
    assert not rig.in_flight(follower)
