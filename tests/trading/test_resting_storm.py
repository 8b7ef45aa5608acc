"""Random orders by hand, alerts, protections, signals, allocations, strategies, faults and crashes: the books are those of the account."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from decimal import Decimal
import json
import os
from random import Random

import pytest

from custom_components.calvalot.trading.alert import Ask
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.held_back import HeldBack
from custom_components.calvalot.trading.ledger.storage import LedgerError
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.protection import HeldBy
from custom_components.calvalot.trading.signal import PROTECTION
from custom_components.calvalot.trading.sources.alerts import AlertSettings, AlertsSource
from custom_components.calvalot.trading.sources.allocation import AllocationSettings, AllocationSource, When
from custom_components.calvalot.trading.sources.base import Source
from custom_components.calvalot.trading.sources.strategy import StrategySource
from harness.database import rows
from harness.engine import OpenEngine
from harness.orders import limit, protect

from .rig import COINS, ZERO, Rig
from .strategies import House, HouseSource, rules

STEPS = int(os.environ.get("CALVALOT_STEPS", "60"))
SEEDS = int(os.environ.get("CALVALOT_SEEDS", "6"))
SEEDED = [(seed, ("leader", "alerts", "allocation", "strategy")[seed % 4]) for seed in range(SEEDS)]
FAULTS = ("drop", "status", "broken_json", "empty_object", "error_list", "late")
PATHS = {
    "binance": (
        ("POST", "/order"),
        ("POST", "/oco"),
        ("DELETE", "/order"),
        ("GET", "/order"),
        ("GET", "/myTrades"),
        ("GET", "/openOrders"),
    ),
    "kraken": tuple(
        ("POST", f"/{name}")
        for name in ("AddOrder", "CancelOrder", "QueryOrders", "QueryTrades", "OpenOrders", "ClosedOrders", "BalanceEx")
    ),
}


def own_shares(shares: Mapping[str, Decimal]) -> AllocationSource:
    """An own allocation that is kept whenever it drifts a little."""
    return AllocationSource(AllocationSettings(shares=shares, when=frozenset({When.DRIFT}), drift=Decimal("0.05")), UTC)


def on_candles(house: House, chance: Random) -> StrategySource:
    """A strategy that always wants to be in, out of each coin at its stop or profit, and in again with a later candle."""
    stop, profit, trailing = (chance.choice((None, 2, 3, 4)) for _ in range(3))
    return house.strategy(rules(stop, profit, trailing, leaves=1), COINS)


async def begin(rig: Rig, kind: str, house: House) -> OpenEngine:
    """A portfolio that a leader, an own allocation, alerts or a strategy lead, on the ledger that there may be already."""
    sources: dict[str, Source] = {}
    if kind == "allocation":
        sources = {"allocation": own_shares(dict.fromkeys(COINS, Decimal("0.12")))}
    elif kind == "alerts":
        sources = {"alerts": AlertsSource(AlertSettings(allow=frozenset(Ask), max_age=timedelta(hours=1)))}
    elif kind == "strategy":
        sources = {"strategy": house.strategy(rules(3, 4, 3), COINS)}
    return await rig.start(**({"sources": sources} if sources else {}))


def alert(rig: Rig, chance: Random) -> bytes:
    """What somebody sends: what is to be held, a trade, a limit, an end of one; with or without what protects it."""
    coin = chance.choice(COINS)
    fields: dict[str, object] = {"ticker": f"{coin}USDT", "timenow": rig.clock.now().isoformat(), "id": chance.random()}
    match chance.randrange(6):
        case 0 | 1:
            fields["market_position"] = chance.choice(("long", "long", "flat"))
        case 2:
            fields["target"] = chance.randint(0, 20)
        case 3:
            fields["action"] = "cancel"
        case _:
            fields |= {"action": chance.choice(("buy", "buy", "sell")), "amount": chance.randint(8, 60)}
            if chance.random() < 0.6:
                fields["limit_price"] = f"{chance.randint(1, 40) / 10} %"
    if chance.random() < 0.5:
        fields["stop_loss"] = f"{chance.randint(2, 6)} %"
    if chance.random() < 0.3:
        fields["take_profit"] = f"{chance.randint(2, 6)} %"
    return json.dumps(fields).encode()


async def say(rig: Rig, follower: OpenEngine, chance: Random) -> None:
    """What the source says: a signal, other shares, or some alerts."""
    shares = {each: Decimal(chance.randint(0, 16)) / 100 for each in COINS}
    match follower.sources[0].source:
        case AlertsSource():
            for _ in range(chance.randint(1, 3)):
                body = alert(rig, chance)
                for _ in range(chance.choice((1, 1, 2))):
                    await follower.alerts.receive("alerts", body)
        case HouseSource() as source if chance.random() < 0.3:
            source.leaves = True
        case HouseSource() as source:
            await follower.tune(follower.settings, {"strategy": on_candles(source.house, chance)})
        case AllocationSource():
            await follower.tune(follower.settings, {"allocation": own_shares(shares)})
        case _:
            rig.leader.publish_v2({coin: f"{share}" for coin, share in shares.items()})


async def _act(rig: Rig, follower: OpenEngine, chance: Random) -> None:
    """Something that the owner, the source or the market does."""
    coin = chance.choice(COINS)
    price = rig.exchange.price(f"{coin}{rig.quote}")
    tick = rig.exchange.symbol(f"{coin}{rig.quote}").tick
    near = Decimal(chance.randint(940, 1060)) / 1000
    resting = follower.ledger.resting()
    match chance.randrange(13):
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
                    rig.exchange.trade_against(order.sent_as or order.client_order_id, part // step * step)
        case 7:
            await follower.orders.close(coin)
        case 8 if resting:
            order = chance.choice(resting)
            rig.exchange.cancel_order(order.sent_as or order.client_order_id)
        case 9 | 10 | 11:
            await say(rig, follower, chance)
        case _:
            rig.exchange.set_price(f"{coin}{rig.quote}", max(price * near // tick * tick, tick))


def bare(rig: Rig, follower: OpenEngine) -> set[str]:
    """Coins whose protection is not there as it should be, though nothing of them is unclear."""
    held, found = follower.ledger.book().portfolio, set()
    unclear = {order.coin for order in follower.ledger.in_flight()}
    known = {order.client_order_id: order for order in rig.exchange.open_orders()}
    for coin, protection in follower.snapshot.protections.items():
        symbol, price = rig.exchange.symbol(f"{coin}{rig.quote}"), rig.exchange.price(f"{coin}{rig.quote}")
        resting = [order for order in follower.ledger.resting() if order.coin == coin]
        protects = [order for order in resting if order.signal_id == PROTECTION]
        others = sum((each.rest for each in resting if each.side is Side.SELL and each not in protects), ZERO)
        least = min(filter(None, (protection.take_profit, protection.stop, price)))
        step = max(symbol.step, symbol.market_step or symbol.step)
        quantity = (held.quantity(coin) - others) // step * step
        if coin in unclear or protection.close or quantity * least < symbol.min_notional:
            continue
        if follower.snapshot.protected_by.get(coin) is HeldBy.CYCLE:
            continue  # refused by the exchange, and watched
        there = [known[name] for each in protects if (name := each.sent_as or each.client_order_id) in known]
        if not there or any(order.quantity - order.executed < quantity for order in there):
            found.add(coin)
    return found


async def _step(rig: Rig, follower: OpenEngine, chance: Random, house: House) -> OpenEngine:
    """One thing, perhaps with a fault on its way, then a cycle, perhaps with a crash in the middle of either."""
    if chance.random() < 0.4:
        method, path = chance.choice(PATHS[rig.connect().name])
        when = chance.choice(("before", "after"))
        rig.exchange.fault(chance.choice(FAULTS), when=when, method=method, path=path, count=chance.choice((1, 1, 5)))
    crash = chance.random() < 0.15

    async def both() -> None:
        with suppress(CommandError):
            await _act(rig, follower, chance)
        await rig.cycle(follower, after=chance.choice((5, 30, 120)))

    kind = follower.sources[0].source.kind
    working = asyncio.create_task(both())
    if not crash:
        await working
        return follower
    await asyncio.sleep(chance.random() / 20)
    rig.crash(follower)  # whatever it writes from now on is lost
    working.cancel()
    with suppress(asyncio.CancelledError, LedgerError):
        await working
    return await begin(rig, kind, house)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("seed", "kind"), SEEDED)
async def test_storm(rig: Rig, seed: int, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No fill twice, none lost, nothing locked for ever, no coin without its protection for longer than a cycle; ledger and

    account agree to the last digit, and of each alert it is known what became of it.
    """
    await _storm(rig, seed, kind, capsys)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("seed", "kind"), SEEDED)
async def test_storm_on_kraken(kraken_rig: Rig, seed: int, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same in EUR, where pairs of protections are watched by the cycle and fees come beside what is bought."""
    kraken_rig.exchange.set_counter(None)  # its clock is the machine's, and the storm's goes on by minutes
    await _storm(kraken_rig, seed, kind, capsys)


async def _storm(rig: Rig, seed: int, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    chance = Random(seed)  # a storm that can be had again
    lent = rig.connect().fee_coin is not None and seed % 4 == 1
    rig.exchange.set_account(bnb_burn=lent)
    rig.leader.publish_v2(dict.fromkeys(COINS, ".12"))
    house = House(rig, TimeFrame.M1)
    follower = await begin(rig, kind, house)
    await follower.cycle()
    missing: set[str] = set()
    longest = 0
    for _ in range(STEPS):
        struck = rig.exchange.faults_injected.total()
        before = follower
        follower = await _step(rig, follower, chance, house)
        whole = before is follower and struck == rig.exchange.faults_injected.total()
        bared = bare(rig, follower) if whole else set[str]()
        assert not missing & bared, f"{missing & bared} were not protected for longer than a cycle"
        longest = max(longest, len(bared))
        missing = bared
    rig.exchange.clear_faults()
    for _ in range(6):
        await rig.cycle(follower)
    assert follower.ledger.in_flight() == ()
    assert bare(rig, follower) == set()
    open_orders = {order.client_order_id for order in rig.exchange.open_orders()}
    assert {order.sent_as or order.client_order_id for order in follower.ledger.resting()} == open_orders
    await follower.orders.withdraw()
    assert not rig.exchange.open_orders()
    assert all(not balance.locked for balance in rig.exchange.account().balances.values())
    booked = rows(follower.ledger.path, "SELECT symbol, trade_id FROM fills")
    done = [(trade.symbol, rig.exchange.trade_name(trade)) for order in rig.orders() for trade in order.trades]
    assert sorted(booked) == sorted(done)
    if not lent:
        rig.agree(follower)
    assert follower.ledger.replay() == follower.ledger.book().portfolio
    sent = [order.client_order_id for order in rig.orders()]
    assert len(sent) == len(set(sent))
    if kind == "strategy":  # its levels have sold some, and it knows
        ((sold,),) = rows(
            follower.ledger.path, "SELECT count(*) FROM orders WHERE signal_id = 'protection' AND reason <> ''"
        )
        assert sold
        assert not await HeldBack(follower.settings, follower.sources, follower.ledger, rig.clock.now).untold()
    if kind == "alerts":
        assert follower.ledger.waiting_alerts("alerts") == ()
    alerts = rows(follower.ledger.path, "SELECT count(*) FROM alerts")[0][0]
    with capsys.disabled():
        print(
            f"\nstorm {seed} ({kind}) on {rig.connect().name}: {STEPS} steps, {len(sent)} orders, {len(done)} fills, "
            f"{alerts} alerts, {rig.exchange.faults_injected.total()} faults, {ZERO} differences"
        )
