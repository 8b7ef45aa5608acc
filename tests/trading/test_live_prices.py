"""Prices that are known without a question: nothing is asked then, the price guard looks at them, figures move with them."""

from collections.abc import Collection
from decimal import Decimal, localcontext

import pytest

from custom_components.calvalot.trading.decimals import EXACT
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange

from .rig import ALLOCATION, Rig

BTC = "BTCUSDC"
ALL = frozenset({"BTCUSDC", "ETHUSDC", "BNBUSDC", "SOLUSDC", "XRPUSDC", "EURUSDC"})


class Stream:
    """What a stream knows: prices by symbol, and when (monotonic) they came; at the first questions nothing yet."""

    def __init__(self, prices: dict[str, Decimal], came: float = float("inf"), late: int = 0) -> None:
        self.known = prices
        self.came = came
        self.late = late

    def prices(self, symbols: Collection[str], since: float = 0.0, /) -> dict[str, Decimal] | None:
        """All of them, or nothing."""
        self.late -= 1
        if self.late >= 0 or self.came < since or not {*symbols} <= self.known.keys():
            return None
        return {symbol: self.known[symbol] for symbol in symbols}


def with_stream(rig: Rig, stream: Stream) -> BinanceExchange:
    """The exchange with a stream beside it."""
    exchange = rig.binance()
    exchange.live_prices = stream.prices
    return exchange


def figure(known: Decimal | None) -> Decimal:
    """A figure that is known."""
    assert known is not None
    return known


def asked(rig: Rig) -> int:
    """How often prices were asked for."""
    return rig.exchange.count("GET", "/ticker/price")


@pytest.mark.parametrize("mode", Mode)
async def test_idle_cycle_asks_for_none(rig: Rig, mode: Mode) -> None:
    """With the stream's prices a cycle is complete and asks for none; without one of them it asks for all."""
    stream = Stream(rig.exchange.prices())
    rig.leader.publish_v2(ALLOCATION)
    follower = await rig.start(mode, on=with_stream(rig, stream))
    snapshot = await follower.cycle()
    assert asked(rig) == 0
    assert snapshot.total_value
    rig.exchange.forget_requests()
    await rig.cycle(follower)
    assert len(rig.exchange.requests) == (mode is Mode.LIVE)
    stream.known = {symbol: price for symbol, price in stream.known.items() if symbol != BTC}
    assert (await rig.cycle(follower)).total_value
    assert asked(rig) == 1


async def test_newer_each_time(rig: Rig) -> None:
    """No look has the prices of the look before: what the stream had then already is asked for."""
    exchange = with_stream(rig, stream := Stream(rig.exchange.prices(), came=0.0))
    await exchange.prices([BTC])
    await exchange.prices([BTC])
    assert asked(rig) == 1
    stream.came = float("inf")
    await exchange.prices([BTC])
    assert asked(rig) == 1


async def test_price_guard(rig: Rig) -> None:
    """The limit of an order lies where the market is when it is sent, not where it was when the cycle began."""
    stream = Stream(rig.exchange.prices(), late=1)
    stream.known[BTC] *= Decimal("1.002")
    rig.leader.publish_v2({"BTC": "0.5"})
    follower = await rig.start(on=with_stream(rig, stream))
    await follower.cycle()
    assert asked(rig) == 1
    (order,) = rig.orders()
    guard = stream.known[BTC] * Decimal("1.003")
    assert guard - order.price < Decimal("0.02")
    assert order.price <= guard
    rig.agree(follower)


async def test_only_all_together(rig: Rig) -> None:
    """Where one price is not known, all stay those of the cycle."""
    stream = Stream({BTC: rig.exchange.price(BTC) * Decimal("1.002")})
    rig.leader.publish_v2({"BTC": "0.5"})
    follower = await rig.start(on=with_stream(rig, stream))
    await follower.cycle()
    (order,) = rig.orders()
    assert order.price <= rig.exchange.price(BTC) * Decimal("1.003")


async def test_paper_fills_there(rig: Rig) -> None:
    """An order on paper meets the price of the moment."""
    stream = Stream(rig.exchange.prices())
    rig.leader.publish_v2({"BTC": "0.5"})
    stream.known[BTC] *= Decimal("1.1")
    follower = await rig.start(Mode.DRY_RUN, on=with_stream(rig, stream))
    await follower.cycle()
    (trade,) = follower.ledger.trades()
    assert abs(trade.price / stream.known[BTC] - 1) < Decimal("0.001")


async def test_revalued(rig: Rig) -> None:
    """At other prices value, weights and profit move, to the last digit; what only a cycle sees stays."""
    rig.leader.publish_v2({"BTC": "0.5"})
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    before = await rig.cycle(follower)
    prices = {symbol: price for symbol, price in rig.exchange.prices().items() if symbol in ALL}
    assert follower.publisher.at(prices) == before
    assert follower.publisher.at({}) == before
    quantity = before.positions["BTC"].quantity
    moved = follower.publisher.at({**prices, BTC: prices[BTC] * 2})
    assert before.total_value_quote is not None
    assert moved.total_value_quote == before.total_value_quote + quantity * prices[BTC]
    assert moved.positions["BTC"].price == prices[BTC] * 2
    assert moved.profit
    assert before.profit
    with localcontext(EXACT):
        assert moved.profit_loss == moved.profit.total == figure(moved.total_value) - figure(moved.net_deposits)
    assert figure(moved.time_weighted_return) > figure(before.time_weighted_return)
    assert (moved.as_of, moved.max_drawdown, moved.status) == (before.as_of, before.max_drawdown, before.status)
    gained = figure(moved.profit_today) - figure(before.profit_today)
    assert abs(gained - (moved.profit.total - before.profit.total)) < Decimal("1e-20")
    assert follower.snapshot == before
    # In euro at another rate, and no price of what is held.
    dearer = follower.publisher.at({**prices, "EURUSDC": prices["EURUSDC"] * 2})
    assert dearer.total_value_quote == before.total_value_quote
    assert figure(dearer.total_value) < figure(before.total_value)


async def test_today_is_not_known(rig: Rig) -> None:
    """Where the value at midnight is not known, today's profit is not known at other prices either."""
    rig.leader.publish_v2({"BTC": "0.5"})
    rig.clock.advance((36 - rig.clock.now().hour) % 24 * 3600)  # noon is far from midnight
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    before = await rig.cycle(follower, after=3 * 86400)
    assert before.profit_today is None
    assert follower.publisher.at({BTC: rig.exchange.price(BTC) * 2}).profit_today is None


async def test_nothing_to_revalue(rig: Rig) -> None:
    """Without a valuation there is nothing that could move."""
    follower = await rig.start(Mode.DRY_RUN)
    assert follower.publisher.at({BTC: Decimal(1)}) == follower.snapshot
    rig.leader.publish_v2({"BTC": "0.5"})
    await follower.cycle()
    rig.exchange.remove_price(BTC)
    without = await rig.cycle(follower)
    assert without.total_value is None
    assert follower.publisher.at({BTC: Decimal(1)}) == without
