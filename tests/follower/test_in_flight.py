"""While it is not known what became of an order, its money is neither missing nor spent a second time."""

from decimal import Decimal

import pytest

from custom_components.calvalot.follower.exchange import Side
from custom_components.calvalot.follower.schema import OrderState, Result
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
    assert follower._ledger.replay().cash >= Decimal(0)
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
    assert follower._ledger.replay() == follower._ledger.book().portfolio
    assert follower._ledger.book().portfolio.quantity("BNB") < Decimal("0.001")
