"""Stops and profits of strategies on the exchange: placed, moved, filled there, and known to the strategy, whatever comes between."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, OrderType, Side
from custom_components.calvalot.trading.exchanges.paper import PaperExchange
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.protection import HeldBy
from custom_components.calvalot.trading.protections import KEY as PROTECTING
from custom_components.calvalot.trading.sources.allocation import AllocationSource
from custom_components.calvalot.trading.sources.base import Source
from custom_components.calvalot.trading.sources.strategy_settings import NoCandles
from harness.engine import OpenEngine
from harness.orders import protect

from .rig import Rig
from .strategies import House, rules
from .test_resting_storm import own_shares

PRICE = Decimal(91250)
STOP, PROFIT = PRICE * Decimal("0.95"), PRICE * Decimal("1.1")


@pytest.fixture
def house(rig: Rig) -> House:
    """Where strategies read their candles."""
    return House(rig)


def protecting(owner: OpenEngine, coin: str = "BTC") -> dict[OrderType, Decimal]:
    """Prices of the orders that protect a coin."""
    resting = owner.ledger.resting()
    return {
        order.type: order.stop_price or order.limit_price or Decimal(0)
        for order in resting
        if (order.coin, order.signal_id) == (coin, "protection")
    }


def held(owner: OpenEngine, coin: str = "BTC") -> Decimal:
    """What is held of a coin; nothing where that is dust."""
    quantity = owner.ledger.book().portfolio.quantity(coin)
    return quantity if quantity > Decimal("0.00005") else Decimal(0)


def wanted(owner: OpenEngine, key: str = "strategy") -> Decimal:
    """The share of BTC that a strategy wants."""
    (source,) = (each.source for each in owner.members if each.key == key)
    return (source.targets or {}).get("BTC", Decimal(0))


async def dip(rig: Rig, to: Decimal, back: Decimal = PRICE) -> None:
    """The price comes to a level and goes back, while nobody looks."""
    rig.exchange.set_price("BTCUSDC", to)
    rig.exchange.set_price("BTCUSDC", back)


async def sold_unheard(rig: Rig, house: House, sources: Mapping[str, Source]) -> OpenEngine:
    """A portfolio whose coin its stop has sold while its strategy cannot be asked."""
    owner = await rig.start(sources=sources)
    await owner.cycle()
    await dip(rig, STOP)
    house.fault = NoCandles("none")
    await rig.cycle(owner, after=5)
    assert owner.snapshot.held_back == ("BTC",)
    return owner


BOTH = {OrderType.STOP_LOSS: STOP, OrderType.LIMIT: PROFIT}


@pytest.mark.parametrize("mode", Mode)
async def test_levels_rest(rig: Rig, house: House, mode: Mode) -> None:
    """From the cycle that buys, as a pair over all that is held; they say which strategy they are of."""
    owner = await rig.start(mode, sources=house.one())
    await owner.cycle()
    assert held(owner)
    assert protecting(owner) == BOTH
    assert owner.snapshot.protections["BTC"].sources == ("strategy",)
    assert owner.snapshot.protected_by["BTC"] is HeldBy.EXCHANGE
    (row,) = (await owner.queries.orders(owner.snapshot))["protections"]
    assert (row["sources"], row["held_by"]) == (["strategy"], "exchange")
    orders = owner.ledger.resting()
    await house.close(owner)
    assert owner.ledger.resting() == orders


@pytest.mark.parametrize(
    ("to", "reason"), [(STOP, "stop_loss"), (PROFIT + 100, "take_profit")], ids=["stop_loss", "take_profit"]
)
async def test_what_the_exchange_has_sold(rig: Rig, house: House, to: Decimal, reason: str) -> None:
    """Booked with the strategy's reason; the strategy is out, and goes in again with a later candle only."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    rig.events.clear()
    await dip(rig, to)
    await rig.cycle(owner, after=30)
    assert not held(owner)
    assert wanted(owner) == 0
    (trade, *_) = await owner.queries.trades(10)
    assert (trade["side"], trade["reasoning"]) == ("SELL", f"{reason}: BTC")
    (told,) = [event.data for event in rig.events if event.kind == "trade"]
    assert told["reasoning"] == f"{reason}: BTC"
    (signal, *_) = await owner.queries.signals(10)
    assert (signal["reasoning"], signal["result"]) == (f"{reason}: BTC", "executed")
    assert owner.snapshot.held_back == ()
    assert owner.snapshot.protections == {}
    for _ in range(3):  # the candle that runs has not closed
        await rig.cycle(owner, after=5)
        assert not held(owner)
    await house.close(owner)  # the candle in which it was sold
    assert not held(owner)
    await house.close(owner)
    assert held(owner)
    assert protecting(owner) == BOTH
    rig.agree(owner)


@pytest.mark.parametrize("crash", ["before", "between", "both"])
async def test_sold_while_the_house_was_off(rig: Rig, house: House, crash: str) -> None:
    """It is known after the start that it was sold, also where the strategy could not be told before another crash."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    await dip(rig, STOP)
    if crash != "between":
        owner = await rig.restart(owner, sources=house.one())
    house.fault = NoCandles("none")
    if crash != "before":
        await rig.cycle(owner, after=5)
        assert not held(owner)
        assert owner.snapshot.held_back == ("BTC",)
        await rig.cycle(owner, after=5)
        assert not held(owner)
        owner = await rig.restart(owner, sources=house.one())
    house.fault = None
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner), owner.snapshot.held_back) == (0, 0, ())
    rig.agree(owner)


async def test_a_stop_of_the_past_ends_nothing(rig: Rig, house: House) -> None:
    """Out and in again by its candles before it is told: what it wants now is a new decision."""
    owner = await sold_unheard(rig, house, house.one(rules(leaves=80000)))
    house.fault = None
    house.add(70000)
    house.add(PRICE)
    await rig.cycle(owner, after=5)
    assert held(owner)
    assert wanted(owner)
    assert owner.snapshot.held_back == ()
    assert protecting(owner) == BOTH


async def test_a_trailing_stop_moves_with_the_candles(rig: Rig, house: House) -> None:
    """Up with each close that has seen a higher price, never down; in between it rests where it was."""
    owner = await rig.start(sources=house.one(rules(stop_loss=None, take_profit=None, trailing_stop=5)))
    await owner.cycle()
    assert protecting(owner) == {OrderType.STOP_LOSS: STOP}
    rig.exchange.set_price("BTCUSDC", Decimal(95000))
    await rig.cycle(owner, after=5)
    assert protecting(owner) == {OrderType.STOP_LOSS: STOP}
    await house.close(owner, 95000)
    assert protecting(owner) == {OrderType.STOP_LOSS: Decimal(90250)}
    rig.exchange.set_price("BTCUSDC", Decimal(93000))
    await house.close(owner, 93000)
    assert protecting(owner) == {OrderType.STOP_LOSS: Decimal(90250)}
    rig.exchange.set_price("BTCUSDC", Decimal(90000))
    await rig.cycle(owner, after=5)
    assert not held(owner)
    (trade, *_) = await owner.queries.trades(10)
    assert trade["reasoning"] == "trailing_stop: BTC"
    rig.agree(owner)


async def test_filled_while_it_is_moved(rig: Rig, house: House) -> None:
    """The stop that was to be ended has sold: that counts, and the strategy is out."""
    owner = await rig.start(sources=house.one(rules(stop_loss=None, take_profit=None, trailing_stop=5)))
    await owner.cycle()
    house.add(95000)
    rig.exchange.set_price("BTCUSDC", Decimal(95000))
    # The cycle does not see it fill, since what is still open is not told; ending it does.
    rig.exchange.fault("status", method="GET", path="/openOrders")
    await dip(rig, STOP, Decimal(95000))
    await rig.cycle(owner, after=5)
    for _ in range(2):
        await rig.cycle(owner, after=5)
    assert not held(owner)
    assert wanted(owner) == 0
    assert owner.snapshot.held_back == ()
    rig.agree(owner)


async def test_the_owner_comes_first(rig: Rig, house: House) -> None:
    """His own levels take the place of the strategy's, which come back when he takes his away."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    await protect(owner, "BTC", None, Decimal(80000))
    for _ in range(2):
        assert protecting(owner) == {OrderType.STOP_LOSS: 80000}
        assert owner.snapshot.protections["BTC"].sources == ()
        await house.close(owner)
    await protect(owner, "BTC", None, None)
    await rig.cycle(owner, after=5)
    assert protecting(owner) == BOTH
    assert owner.snapshot.protections["BTC"].sources == ("strategy",)


@pytest.mark.parametrize("how", ["cancel", "protect", "elsewhere"])
async def test_taken_away_by_hand(rig: Rig, house: House, how: str) -> None:
    """The strategy watches it from then on, until it moves."""
    owner = await rig.start(sources=house.one(rules(trailing_stop=4)))
    await owner.cycle()
    assert protecting(owner)
    if how == "cancel":
        await owner.orders.cancel(owner.ledger.resting()[0].client_order_id)
    elif how == "protect":
        await protect(owner, "BTC", None, None)
    else:
        rig.exchange.cancel_order(rig.exchange.open_orders()[0].client_order_id)
    for _ in range(3):
        await rig.cycle(owner, after=5)
        assert protecting(owner) == {}
        assert owner.snapshot.protected_by["BTC"] is HeldBy.CYCLE
    rig.exchange.set_price("BTCUSDC", Decimal(92000))
    await house.close(owner, 92000)
    assert protecting(owner)[OrderType.STOP_LOSS] == Decimal(92000) * Decimal("0.96")
    await owner.orders.cancel(owner.ledger.resting()[0].client_order_id)
    rig.exchange.set_price("BTCUSDC", Decimal(80000))
    await rig.cycle(owner, after=5)
    assert not held(owner)
    assert wanted(owner) == 0
    rig.agree(owner)


def two(house: House, **other: Any) -> dict[str, Source]:
    """Two strategies on the same coin, or a strategy beside something else."""
    first = house.strategy(rules(stop_loss=5, take_profit=10))
    return {"strategy": first, "other": house.strategy(rules(**{"stop_loss": 8, "take_profit": 6, **other}))}


HALVES = {"strategy": Decimal("0.4"), "other": Decimal("0.4")}


async def test_several_on_one_coin(rig: Rig, house: House) -> None:
    """What rests is where both would have sold; what is nearer is watched, and sells the part of the one it is of."""
    owner = await rig.start(sources=two(house), weights=HALVES)
    await owner.cycle()
    before = held(owner)
    assert protecting(owner) == {OrderType.STOP_LOSS: PRICE * Decimal("0.92"), OrderType.LIMIT: PROFIT}
    assert owner.snapshot.protections["BTC"].sources == ("other", "strategy")
    rig.exchange.set_price("BTCUSDC", STOP - 10)
    await rig.cycle(owner, after=5)
    assert before * Decimal("0.4") < held(owner) < before * Decimal("0.6")
    assert (wanted(owner), wanted(owner, "other")) == (0, 1)
    assert protecting(owner) == {
        OrderType.STOP_LOSS: PRICE * Decimal("0.92"),
        OrderType.LIMIT: PRICE * Decimal("1.06"),
    }
    assert owner.snapshot.protections["BTC"].sources == ("other",)
    await dip(rig, Decimal(83000), STOP)
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner, "other"), owner.snapshot.held_back) == (0, 0, ())
    rig.agree(owner)


async def test_one_without_a_profit(rig: Rig, house: House) -> None:
    """What only one of them has is watched."""
    owner = await rig.start(sources=two(house, take_profit=None), weights=HALVES)
    await owner.cycle()
    assert protecting(owner) == {OrderType.STOP_LOSS: PRICE * Decimal("0.92")}


async def test_one_that_is_stopped_meanwhile(rig: Rig, house: House) -> None:
    """What was sold is not bought back for the one that could not be told, before it knows."""
    owner = await rig.start(sources=two(house), weights=HALVES)
    await owner.cycle()
    owner.settings.paused_sources = frozenset({"other"})
    await dip(rig, Decimal(83000))
    for _ in range(2):
        await rig.cycle(owner, after=5)
        assert (held(owner), wanted(owner), wanted(owner, "other")) == (0, 0, 1)
        assert owner.snapshot.held_back == ("BTC",)
    owner.settings.paused_sources = frozenset()
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner, "other"), owner.snapshot.held_back) == (0, 0, ())
    await house.close(owner)
    await house.close(owner)
    assert held(owner)
    rig.agree(owner)


async def test_beside_a_source_without_a_stop(rig: Rig, house: House) -> None:
    """Nothing rests: the exchange would sell what the other one holds, too; the strategy's own part is watched."""
    sources: dict[str, Source] = {"strategy": house.strategy(), "other": own_shares({"ETH": Decimal(1)})}
    owner = await rig.start(sources=sources, weights=HALVES)
    await owner.cycle()
    assert protecting(owner) == BOTH
    other: AllocationSource = own_shares({"BTC": Decimal(1)})
    await owner.tune(owner.settings, {"other": other})
    for _ in range(2):
        await rig.cycle(owner, after=5)
    assert protecting(owner) == {}
    assert owner.snapshot.protections == {}
    before = held(owner)
    rig.exchange.set_price("BTCUSDC", STOP - 10)
    await rig.cycle(owner, after=5)
    assert before * Decimal("0.4") < held(owner) < before * Decimal("0.7")
    rig.agree(owner)


@pytest.mark.parametrize("why", ["removed", "only", "locked", "frozen", "no stop"])
async def test_what_does_not_rest_any_more(rig: Rig, house: House, why: str) -> None:
    """Ended once the strategy is gone or has no stop, and where its owner wants nothing of the coin sold."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    assert protecting(owner) == BOTH
    changes: Mapping[str, Any] = {
        "only": {"only": Side.BUY},
        "locked": {"locked": frozenset({"BTC"})},
        "frozen": {"frozen": frozenset({"BTC"})},
    }.get(why, {})
    sources = house.one(rules(stop_loss=None, take_profit=None, leaves=10)) if why == "no stop" else house.one()
    if why == "removed":
        sources = {"allocation": own_shares({"BTC": Decimal("0.5")})}
    owner = await rig.restart(owner, sources=sources, **changes)
    await rig.cycle(owner, after=5)
    assert held(owner)
    assert protecting(owner) == {}
    assert owner.snapshot.protections == {}
    assert not rig.exchange.open_orders()


async def test_filled_while_it_is_ended(rig: Rig, house: House) -> None:
    """A stop that has sold what it was for has acted, though it was to be ended."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    owner = await rig.restart(owner, sources=house.one(), only=Side.BUY)
    await dip(rig, STOP)
    rig.exchange.fault("status", method="GET", path="/openOrders", count=2)
    for _ in range(3):
        await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner)) == (0, 0)
    rig.agree(owner)


async def test_an_unclear_end(rig: Rig, house: House) -> None:
    """It is not asked for again before it is known what has become of it."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    owner.settings.only = Side.BUY
    rig.exchange.fault("status", method="DELETE", path="/order", count=None)
    for _ in range(2):
        await rig.cycle(owner, after=5)
        assert owner.ledger.in_flight()
    rig.exchange.clear_faults()
    for _ in range(2):
        await rig.cycle(owner, after=5)
    assert owner.snapshot.protections == {}
    assert not rig.exchange.open_orders()
    assert held(owner)


async def test_not_heard_since_the_start(rig: Rig, house: House) -> None:
    """What rests stays, until it is known what the strategy wants."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    house.fault = NoCandles("none")
    owner = await rig.restart(owner, sources=house.one())
    await rig.cycle(owner, after=5)
    assert protecting(owner) == BOTH


async def test_a_pause_ends_nothing(rig: Rig, house: House) -> None:
    """What rests sells also while the portfolio trades nothing; the strategy knows."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    await owner.commands.pause(paused=True)
    await rig.cycle(owner, after=5)
    assert protecting(owner) == BOTH
    await dip(rig, STOP)
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner)) == (0, 0)
    await owner.commands.pause(paused=False)
    await rig.cycle(owner, after=5)
    assert not held(owner)
    rig.agree(owner)


async def test_sold_by_its_rule(rig: Rig, house: House) -> None:
    """The pair makes room, and is wanted no more once the coin is sold; while that cannot be it stays."""
    owner = await rig.start(sources=house.one(rules(leaves=90000)))
    await owner.cycle()
    assert protecting(owner) == BOTH
    await owner.commands.pause(paused=True)
    await house.close(owner, 89000)
    assert wanted(owner) == 0
    assert protecting(owner) == BOTH
    await owner.commands.pause(paused=False)
    await rig.cycle(owner, after=5)
    assert not held(owner)
    assert owner.snapshot.protections == {}
    assert not rig.exchange.open_orders()
    rig.agree(owner)


FAR: list[tuple[dict[str, Any], dict[OrderType, Decimal]]] = [
    ({"take_profit": 60}, {OrderType.STOP_LOSS: STOP}),
    ({"stop_loss": 90}, {OrderType.LIMIT: PROFIT}),
    ({"stop_loss": 100}, {OrderType.LIMIT: PROFIT}),
    ({"stop_loss": 90, "take_profit": 60}, {}),
]


@pytest.mark.parametrize(("levels", "rests"), FAR)
async def test_too_far_for_the_exchange(
    rig: Rig, house: House, levels: dict[str, Any], rests: dict[OrderType, Decimal]
) -> None:
    """A level that the exchange would refuse is watched; the other one rests."""
    rig.exchange.symbol("BTCUSDC").multiplier_up = Decimal("1.5")
    owner = await rig.start(sources=house.one(rules(**levels)))
    await owner.cycle()
    await rig.cycle(owner, after=5)
    assert held(owner)
    assert protecting(owner) == rests
    assert not [order for order in owner.ledger.orders(PROTECTING) if order.state.settled]


async def test_an_exchange_without_stops(rig: Rig, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is watched as ever."""
    monkeypatch.setattr(PaperExchange, "types", frozenset({OrderType.AT_ONCE}))
    owner = await rig.start(Mode.DRY_RUN, sources=house.one())
    await owner.cycle()
    assert owner.snapshot.protections == {}
    rig.exchange.set_price("BTCUSDC", STOP)
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner)) == (0, 0)


async def test_on_kraken(kraken_rig: Rig) -> None:
    """Where no order ends another one the stop rests, and the profit is watched."""
    house = House(kraken_rig)
    price = kraken_rig.exchange.price("BTCEUR")
    owner = await kraken_rig.start(sources=house.one())
    await owner.cycle()
    (level,) = protecting(owner).values()
    assert abs(level - price * Decimal("0.95")) < 1
    kraken_rig.exchange.set_price("BTCEUR", price * Decimal("1.11") // 1)
    await kraken_rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner)) == (0, 0)
    assert not kraken_rig.exchange.open_orders()
    kraken_rig.agree(owner)


async def test_an_owner_who_releases_it(rig: Rig, house: House) -> None:
    """A coin that was sold and released is what its owner says, whether its strategy knows or not."""
    owner = await sold_unheard(rig, house, house.one())
    await owner.commands.release("BTC")
    house.fault = None
    await rig.cycle(owner, after=5)
    assert owner.snapshot.held_back == ()


async def test_another_quote_asset(rig: Rig, house: House) -> None:
    """What rests for strategies is in nobody's way: it is ended once the change is confirmed, and placed anew where that fails."""
    owner = await rig.start(sources=house.one())
    await owner.cycle()
    shown = await owner.quote.change("USDT", confirm=False)
    assert protecting(owner) == BOTH
    with pytest.raises(CommandError, match="plan_unknown"):
        await owner.quote.change("USDT", confirm=True, plan_id="none")
    assert protecting(owner) == BOTH
    rig.exchange.fault("status", method="GET", path="/exchangeInfo", count=None)
    with pytest.raises(CommandError):
        await owner.quote.change("USDT", confirm=True, plan_id=shown["plan_id"])
    assert protecting(owner) == {}
    rig.exchange.clear_faults()
    await rig.cycle(owner, after=5)
    assert protecting(owner) == BOTH
    await protect(owner, "BTC", None, Decimal(80000))
    with pytest.raises(CommandError, match="orders_rest"):
        await owner.quote.change("USDT", confirm=False)


async def test_refused_by_the_exchange(rig: Rig, house: House) -> None:
    """It is watched; a level that moves is tried again after a minute, then after twice as long each time."""
    rig.exchange.symbol("BTCUSDC").max_algo_orders = 0
    house.frame = TimeFrame.M1
    owner = await rig.start(sources=house.one(rules(stop_loss=None, take_profit=None, trailing_stop=5)))
    await owner.cycle()
    asked = []
    for number in range(8):
        assert protecting(owner) == {}
        assert owner.snapshot.protected_by["BTC"] is HeldBy.CYCLE
        asked.append(len(owner.ledger.orders(PROTECTING)))
        rig.exchange.set_price("BTCUSDC", PRICE + 100 * number)
        await house.close(owner, PRICE + 100 * number)
    assert asked[0] == 1
    assert 2 <= asked[-1] <= 4
    rig.exchange.symbol("BTCUSDC").max_algo_orders = 5
    for number in range(8, 20):
        rig.exchange.set_price("BTCUSDC", PRICE + 100 * number)
        await house.close(owner, PRICE + 100 * number)
    assert protecting(owner)


WRITES = ("remember", "remember_all", "add_orders", "update_orders", "book_orders", "write_signal")


class Fuse:
    """Counts what is written to a ledger; with a number the process is no more after so many of them."""

    def __init__(self, owner: OpenEngine, last: int = -1) -> None:
        self.count = 0
        self._last = last
        for name in WRITES:
            setattr(owner.ledger, name, self._watched(getattr(owner.ledger, name)))

    def _watched(self, call: Any) -> Any:
        def watched(*arguments: Any) -> Any:
            if self.count == self._last:
                raise Gone
            result = call(*arguments)
            self.count += 1
            if self.count == self._last:
                raise Gone
            return result

        return watched


class Gone(Exception):
    """The process is no more."""


@pytest.mark.parametrize("step", ["placed", "moved", "sold"])
async def test_a_crash_after_everything_that_is_written(rig: Rig, house: House, step: str) -> None:
    """After the next start it is as if there had been none: what should rest does, once, and the strategy knows what was sold."""
    text = rules(stop_loss=None, take_profit=10, trailing_stop=5)
    rig.exchange.set_balance("USDC", 20000)
    points, number = 1, -1
    while number < points:
        rig.exchange.set_price("BTCUSDC", PRICE)
        name, after = f"crash{number}", 5
        owner = await rig.start(entry_id=name, budget="300", sources=house.one(text))
        if step != "placed":
            await owner.cycle()
            assert protecting(owner) == BOTH
        if step == "moved":
            rig.exchange.set_price("BTCUSDC", Decimal(95000))
            house.add(95000)
        if step == "sold":
            await dip(rig, STOP)
        fuse = Fuse(owner, number)
        with suppress(Gone):
            await rig.cycle(owner, after=after)
        points = fuse.count if number < 0 else points
        owner = await rig.restart(owner, sources=house.one(text), budget="300")
        for _ in range(3):
            await rig.cycle(owner, after=after)
        assert owner.ledger.in_flight() == ()
        assert owner.snapshot.held_back == ()
        if step == "sold":
            assert (held(owner), wanted(owner), protecting(owner)) == (0, 0, {})
        else:
            assert held(owner)
            assert protecting(owner) == (BOTH if step == "placed" else {**BOTH, OrderType.STOP_LOSS: Decimal(90250)})
        assert len(owner.ledger.resting()) == len(protecting(owner))
        await owner.commands.exit(confirm=True)
        assert not [order for order in rig.exchange.open_orders() if order in rig.orders(name)]
        rig.crash(owner)
        house.candles.clear()
        number += 1
    assert points > 3


async def test_several_not_heard_since_the_start(rig: Rig, house: House) -> None:
    """What both of them wanted before the start is known, their levels are not: what rests stays."""
    owner = await rig.start(sources=two(house), weights=HALVES)
    await owner.cycle()
    before = protecting(owner)
    assert len(before) == 2
    house.fault = NoCandles("none")
    owner = await rig.restart(owner, sources=two(house), weights=HALVES)
    await rig.cycle(owner, after=5)
    assert protecting(owner) == before


async def test_watched_for_one_that_is_stopped(rig: Rig, house: House) -> None:
    """A level that does not rest sells in a cycle, though its strategy is not asked."""
    sources: dict[str, Source] = {"strategy": house.strategy(), "other": own_shares({"ETH": Decimal(1)})}
    owner = await rig.start(sources=sources, weights=HALVES)
    await owner.cycle()
    owner.settings.paused_sources = frozenset({"strategy"})
    await owner.orders.cancel(owner.ledger.resting()[0].client_order_id)
    rig.exchange.set_price("BTCUSDC", STOP - 10)
    await rig.cycle(owner, after=5)
    assert (held(owner), wanted(owner), owner.snapshot.held_back) == (0, 1, ("BTC",))
    (trade, *_) = await owner.queries.trades(10)
    assert trade["reasoning"] == "stop_loss: BTC"
    owner.settings.paused_sources = frozenset()
    await rig.cycle(owner, after=5)
    assert (wanted(owner), owner.snapshot.held_back) == (0, ())
    rig.agree(owner)


async def test_another_kind_of_source_in_its_place(rig: Rig, house: House) -> None:
    """It has no use for what a strategy before it was to know."""
    owner = await sold_unheard(rig, house, house.one())
    owner = await rig.restart(owner, sources={"strategy": own_shares({"BTC": Decimal("0.5")})})
    await rig.cycle(owner, after=5)
    assert owner.snapshot.held_back == ()
    assert held(owner)
