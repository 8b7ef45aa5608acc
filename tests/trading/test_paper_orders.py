"""Orders on paper: booked with their answer or never made, so that none blocks its coin."""

from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderState, Result
from custom_components.calvalot.trading.ledger.storage import LedgerError
from simulators.leader import LeaderSimulator

from .builders import make_order
from .rig import Rig


async def test_a_booking_that_fails(rig: Rig, leader: LeaderSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is lost with it: the order never was, and its leg is placed again."""
    follower = await rig.following(Mode.DRY_RUN)
    book_orders, failed = Ledger.book_orders, []

    def fail_once(self: Ledger, *args: Any) -> Any:
        if not failed:
            failed.append(args)
            raise LedgerError("the disk is full")
        return book_orders(self, *args)

    monkeypatch.setattr(Ledger, "book_orders", fail_once)
    signal_id = leader.publish_v2({"BTC": ".3"})
    picture = await rig.cycle(follower)
    assert picture.storage_problem
    assert [order.state for order in rig.in_flight(follower)] == [OrderState.SENDING]
    picture = await rig.cycle(follower)
    assert (picture.storage_problem, picture.last_signal_id, picture.last_signal_result) == (
        None,
        signal_id,
        Result.EXECUTED,
    )
    assert (await follower.queries.counts())["fills"] == 1
    assert not rig.in_flight(follower)
    assert rig.weights(follower)["BTC"] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("side", Side)
async def test_one_that_an_older_version_left(rig: Rig, leader: LeaderSimulator, side: Side) -> None:
    """It wrote down that an order was executed, and could not book it: it is booked now, at what was written down."""
    leader.publish_v2({"BTC": ".3"})
    follower = await rig.start(Mode.DRY_RUN)
    before = await rig.cycle(follower)
    rig.crash(follower)
    ledger = rig.ledger(mode=Mode.DRY_RUN)
    ledger.open()
    left = make_order(
        side,
        "0.001",
        state=OrderState.EXECUTED,
        created_at=rig.clock.now(),
        order_id="99",
        executed_quantity=Decimal("0.001"),
        executed_amount=Decimal("91.2"),
        executed_at=rig.clock.now(),
    )
    ledger.add_orders([left])
    ledger.close()
    follower = await rig.start(Mode.DRY_RUN)
    picture = await rig.cycle(follower)
    assert not picture.open_orders
    bought = Decimal("0.000999") if side is Side.BUY else -Decimal("0.001")
    paid = Decimal("91.2") if side is Side.BUY else -Decimal("91.1088")
    assert picture.positions["BTC"].quantity == before.positions["BTC"].quantity + bought
    assert before.cash is not None
    assert picture.cash == before.cash - paid
