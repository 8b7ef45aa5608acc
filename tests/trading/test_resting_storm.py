"""Random orders that rest, ends of them, protections, rebalances, faults and crashes: the books are those of the account."""

import asyncio
from contextlib import suppress
from decimal import Decimal
import os
from random import Random

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.storage import LedgerError
from harness.database import rows
from harness.engine import OpenEngine
from harness.orders import limit, protect

from .rig import COINS, ZERO, Rig

STEPS = int(os.environ.get("CALVALOT_STORM", "60"))
FAULTS = ("drop", "status", "broken_json", "empty_object", "error_list", "late")
PATHS = (
    ("POST", "/order"),
    ("POST", "/oco"),
    ("DELETE", "/order"),
    ("GET", "/order"),
    ("GET", "/myTrades"),
    ("GET", "/openOrders"),
)


async def _act(rig: Rig, follower: OpenEngine, chance: Random) -> None:
    """Something that the owner, the leader or the market does."""
    coin = chance.choice(COINS)
    price = rig.exchange.price(f"{coin}USDC")
    tick = rig.exchange.symbol(f"{coin}USDC").tick
    near = Decimal(chance.randint(940, 1060)) / 1000
    resting = follower.ledger.resting()
    match chance.randrange(10):
        case 0 | 1 | 2:
            side, quantity = chance.choice(list(Side)), Decimal(chance.randint(8, 60)) / price
            await follower.orders.place(limit(coin, side, quantity, price * near // tick * tick))
        case 3 if resting:
            await follower.orders.cancel(chance.choice(resting).client_order_id)
        case 4 | 5:
            high = price * Decimal("1.03") if chance.random() < 0.8 else None
            low = price * Decimal("0.97") if chance.random() < 0.8 else None
            await protect(follower, coin, high, low)
        case 6 if resting:
            order = chance.choice(resting)
            with suppress(StopIteration):
                part = order.rest * Decimal(chance.randint(1, 10)) / 10
                step = rig.exchange.symbol(order.symbol).step
                if order.limit_price and part // step:
                    rig.exchange.trade_against(order.client_order_id, part // step * step)
        case 7:
            rig.leader.publish_v2({each: f"{chance.random() / 6:.3f}" for each in COINS})
        case 8 if resting:
            rig.exchange.cancel_order(chance.choice(resting).client_order_id)
        case _:
            rig.exchange.set_price(f"{coin}USDC", max(price * near // tick * tick, tick))


async def _step(rig: Rig, follower: OpenEngine, chance: Random) -> OpenEngine:
    """One thing, perhaps with a fault on its way, then a cycle, perhaps with a crash in the middle of either."""
    if chance.random() < 0.4:
        method, path = chance.choice(PATHS)
        when = chance.choice(("before", "after"))
        rig.exchange.fault(chance.choice(FAULTS), when=when, method=method, path=path, count=chance.choice((1, 1, 5)))
    crash = chance.random() < 0.15

    async def both() -> None:
        with suppress(CommandError):
            await _act(rig, follower, chance)
        await rig.cycle(follower, after=chance.choice((5, 30, 120)))

    working = asyncio.create_task(both())
    if not crash:
        await working
        return follower
    await asyncio.sleep(chance.random() / 20)
    rig.crash(follower)  # whatever it writes from now on is lost
    working.cancel()
    with suppress(asyncio.CancelledError, LedgerError):
        await working
    return await rig.start(follower.settings.mode, entry_id=follower.settings.entry_id)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
async def test_storm(rig: Rig, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """No fill twice, none lost, nothing locked for ever; ledger and account agree to the last digit."""
    chance = Random(seed)  # a storm that can be had again
    rig.exchange.set_account(bnb_burn=seed % 2 == 1)
    rig.leader.publish_v2(dict.fromkeys(COINS, ".12"))
    follower = await rig.start()
    await follower.cycle()
    for _ in range(STEPS):
        follower = await _step(rig, follower, chance)
    rig.exchange.clear_faults()
    for _ in range(6):
        await rig.cycle(follower)
    assert follower.ledger.in_flight() == ()
    open_orders = {order.client_order_id for order in rig.exchange.open_orders()}
    assert {order.client_order_id for order in follower.ledger.resting()} == open_orders
    await follower.orders.withdraw()
    assert not rig.exchange.open_orders()
    assert all(not balance.locked for balance in rig.exchange.account().balances.values())
    booked = rows(follower.ledger.path, "SELECT symbol, trade_id FROM fills")
    done = [(trade.symbol, str(trade.id)) for order in rig.orders() for trade in order.trades]
    assert sorted(booked) == sorted(done)
    if not seed % 2:
        rig.agree(follower)
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    fills, orders = len(done), len(rig.orders())
    with capsys.disabled():
        print(f"\nstorm {seed}: {STEPS} steps, {orders} orders, {fills} fills, {ZERO} differences")
