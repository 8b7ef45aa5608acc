"""Withdrawals that raise their cash first: shown, in proportion, no more than is needed, by every rule of a sale."""

from decimal import Decimal
from typing import Any

from hypothesis import example, given, strategies as st
import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import USUAL_FEE, Mode, Side
from custom_components.calvalot.trading.limits import Limits
from custom_components.calvalot.trading.sizing import PlannedOrder, least_quantity, make_order
from custom_components.calvalot.trading.withdrawals import ROOM, in_proportion
from harness.engine import OpenEngine

from .builders import make_market
from .rig import Rig

PRICES = {"BTC": "60000", "ETH": "2500", "SOL": "150", "XRP": "0.5"}
MARKET = make_market(PRICES)
LIMITS = Limits(coins=None)
TARGETS = {"BTC": ".5", "ETH": ".3", "SOL": ".15"}


def whole(**amounts: Decimal | str) -> list[PlannedOrder]:
    """All that can be sold, for some amounts."""
    orders = [
        make_order(MARKET, LIMITS, coin, Side.SELL, Decimal(amount) / Decimal(PRICES[coin]))
        for coin, amount in amounts.items()
    ]
    return [order for order in orders if order]


def brings(orders: tuple[PlannedOrder, ...] | list[PlannedOrder]) -> Decimal:
    """What orders come to."""
    return sum((order.amount for order in orders), Decimal(0))


# In proportion


@given(
    st.dictionaries(st.sampled_from(sorted(PRICES)), st.decimals("6", "50000", places=2), min_size=1),
    st.decimals("0.0001", "1.2", places=4),
)
@example({"BTC": Decimal(6), "ETH": Decimal(6)}, Decimal("0.5001"))  # each half is too small, and one is not enough
def test_enough_and_no_more(amounts: dict[str, Decimal], part: Decimal) -> None:
    """It brings what is needed, beyond that a step or the least that can be sold; nothing is sold that is not there."""
    sells = whole(**amounts)
    need = brings(sells) * part
    found = in_proportion(sells, need, MARKET, LIMITS)
    there = {order.coin: order.quantity for order in sells}
    assert all(order.quantity <= there[order.coin] for order in found)
    if need * (1 + ROOM) <= brings(sells):
        assert brings(found) >= need
    else:
        assert brings(found) == brings(sells)
    # Of each a step, a rest that goes with it, or of a single one the least.
    least = {coin: least_quantity(MARKET, LIMITS, coin) * Decimal(PRICES[coin]) for coin in PRICES}
    over = sum(2 * least[order.coin] + Decimal("0.6") for order in found)
    assert brings(found) <= need * (1 + ROOM) + over


def test_of_each_the_same_part() -> None:
    """A tenth of all is a tenth of each."""
    sells = whole(BTC="30000", ETH="15000", SOL="3000")
    found = in_proportion(sells, brings(sells) / 10, MARKET, LIMITS)
    there = {order.coin: order.quantity for order in sells}
    assert [round(float(order.quantity / there[order.coin]), 2) for order in found] == [0.1, 0.1, 0.1]


def test_what_is_too_small_is_left_to_the_others() -> None:
    """A tenth of SOL would be no order."""
    found = in_proportion(whole(BTC="30000", SOL="40"), Decimal(3000), MARKET, LIMITS)
    assert [order.coin for order in found] == ["BTC"]


def test_of_one_the_least() -> None:
    """A cent is raised by the smallest order there is."""
    (found,) = in_proportion(whole(BTC="30000", ETH="100"), Decimal("0.01"), MARKET, LIMITS)
    assert (found.coin, found.quantity) == ("BTC", least_quantity(MARKET, LIMITS, "BTC"))


def test_a_rest_goes_with_it() -> None:
    """What could not be sold later is sold now; of nothing nothing is sold."""
    (found,) = in_proportion(whole(ETH="20"), Decimal(18), MARKET, LIMITS)
    assert found.quantity == Decimal("0.008")
    assert in_proportion([], Decimal(1), MARKET, LIMITS) == ()


# At work


async def holding(rig: Rig, mode: Mode = Mode.LIVE, **settings: Any) -> OpenEngine:
    """A portfolio of about 950 USDC in coins and 50 in cash."""
    rig.leader.publish_v2(TARGETS)
    follower = await rig.start(mode, **settings)
    await rig.cycle(follower)
    rig.events.clear()
    return follower


@pytest.mark.parametrize("mode", Mode)
async def test_sells_and_withdraws(rig: Rig, mode: Mode) -> None:
    """What lacks, of every coin; the money is out, and the history says what the sale was for."""
    follower = await holding(rig, mode)
    before = follower.snapshot
    assert before.total_value
    shown = await follower.commands.preview_withdrawal(Decimal(300))
    assert {order["symbol"] for order in shown["orders"]} == {"BTCUSDC", "ETHUSDC", "SOLUSDC"}
    assert shown["enough"]
    weights = rig.weights(follower)
    flow = await follower.commands.withdraw(Decimal(300), "car", sell=True)
    assert (flow.amount, flow.note) == (-300, "car")
    after = follower.snapshot
    assert after.total_value
    assert abs(before.total_value - 300 - after.total_value) < 2
    assert after.cash is not None
    assert 0 <= after.cash < 3
    now = rig.weights(follower)
    assert all(abs(now[coin] / now["BTC"] - weights[coin] / weights["BTC"]) < 0.05 for coin in TARGETS)
    (sale,) = [each for each in await follower.queries.signals() if each["signal_id"].startswith("withdrawal-")]
    assert sale["result"] == "executed"
    assert "trade:sell" in {f"{event.kind}:{event.type}" for event in rig.events}
    if mode is Mode.LIVE:
        rig.agree(follower)


async def test_cash_that_is_there_is_enough(rig: Rig) -> None:
    """Nothing is sold for it."""
    follower = await holding(rig)
    shown = await follower.commands.preview_withdrawal(Decimal(10))
    assert (shown["orders"], shown["left_out"], shown["enough"]) == ([], [], True)
    await follower.commands.withdraw(Decimal(10), sell=True)
    assert rig.orders(side="SELL") == []


async def test_without_a_word_nothing_is_sold(rig: Rig) -> None:
    """As ever."""
    follower = await holding(rig)
    with pytest.raises(CommandError) as refused:
        await follower.commands.withdraw(Decimal(300))
    assert refused.value.key == "withdrawal_above_cash"
    assert rig.orders(side="SELL") == []


async def test_more_than_there_is(rig: Rig) -> None:
    """Refused, with what is possible, before anything is sold; what the owner keeps from being sold is not sold for it."""
    follower = await holding(rig, only=Side.BUY)
    shown = await follower.commands.preview_withdrawal(Decimal(800))
    assert not shown["enough"]
    assert {item["symbol"]: item["reason"] for item in shown["left_out"]}["BTCUSDC"] == "only_buy"
    with pytest.raises(CommandError) as refused:
        await follower.commands.withdraw(Decimal(800), sell=True)
    assert refused.value.key == "not_enough_to_sell"
    assert refused.value.placeholders["most"] == shown["most_eur"]
    assert rig.orders(side="SELL") == []


async def test_without_figures_nothing_is_sold(rig: Rig) -> None:
    """Neither shown nor sold while the exchange is away."""
    follower = await holding(rig)
    rig.exchange.fault("status", count=None)
    for ask in (
        follower.commands.preview_withdrawal(Decimal(300)),
        follower.commands.withdraw(Decimal(300), sell=True),
    ):
        with pytest.raises(CommandError) as refused:
            await ask
        assert refused.value.key == "no_valuation"
    assert rig.orders(side="SELL") == []


async def test_an_answer_that_is_lost(rig: Rig) -> None:
    """What was sold is not known: nothing is withdrawn on it; once it is known the money is there, and nothing is sold twice."""
    follower = await holding(rig)
    rig.exchange.fault("drop", when="after", method="POST")
    rig.exchange.fault("status", path="/order", method="GET", count=None)
    with pytest.raises(CommandError):
        await follower.commands.withdraw(Decimal(300), sell=True)
    rig.exchange.clear_faults()
    await rig.cycle(follower)
    await rig.cycle(follower)
    assert rig.in_flight(follower) == ()
    sold = [order.symbol for order in rig.orders(side="SELL")]
    assert len(sold) == len(set(sold)) == 3
    await follower.commands.withdraw(Decimal(300))
    rig.agree(follower)


def test_fees_are_counted() -> None:
    """What is asked for is there after the fees."""
    sells = whole(BTC="1000")
    found = in_proportion(sells, Decimal(500) / (1 - USUAL_FEE), MARKET, LIMITS)
    assert brings(found) * (1 - USUAL_FEE) >= 500
