"""A profit is the sum of its parts, exactly and as it is shown; today's begins at midnight, where that is known."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from random import Random

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.decimals import EXACT, ZERO
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.profit import CENT, TODAY, Profit, Today, midnight_utc
from harness.engine import OpenEngine
from tests.histories import COUNT, random_figures, random_portfolios

from .rig import COINS, Rig

AMOUNTS = st.decimals("-1000000", "1000000", places=12)
PARTS = ("realised", "unrealised", "currency_effect", "corrections")
MIDNIGHT = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def parts_of(whole: Profit) -> list[Decimal]:
    """What adds up to the profit."""
    return [getattr(whole, name) for name in PARTS]


def sum_of(whole: Profit) -> Decimal:
    """What its parts add up to, to the last digit."""
    with localcontext(EXACT):
        return sum(parts_of(whole), ZERO)


def make_profit(*parts: Decimal, fees: Decimal = ZERO) -> Profit:
    """A profit of these parts."""
    realised, unrealised, currency_effect, corrections = parts
    return Profit(
        total=sum(parts, ZERO),
        realised=realised,
        unrealised=unrealised,
        currency_effect=currency_effect,
        corrections=corrections,
        fees=fees,
    )


# The parts


@given(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS))
def test_the_cents_add_up(parts: tuple[Decimal, ...]) -> None:
    """None is a cent away from what it is, what is nothing stays nothing, and nothing is -0.00."""
    exact = make_profit(*parts)
    shown = exact.in_cents
    assert sum_of(shown) == shown.total == round(exact.total, 2)
    for part, cents in zip(parts, parts_of(shown), strict=True):
        assert abs(part - cents) < CENT
        assert part or not cents
        assert cents or not cents.is_signed()


def test_nothing_is_never_negative() -> None:
    """A loss of less than half a cent is 0.00."""
    shown = make_profit(Decimal("-0.001"), ZERO, ZERO, ZERO, fees=Decimal("-0.002")).in_cents
    assert [f"{each:f}" for each in (shown.total, *parts_of(shown), shown.fees)] == ["0.00"] * 6


def test_random_histories() -> None:
    """Whatever happened to a book: exactly, and in the cents that are shown."""
    for seed in range(10 * COUNT):
        shown = random_figures(seed)
        assert shown.profit
        assert sum_of(shown.profit) == shown.profit.total == shown.profit_loss
        with localcontext(EXACT):
            assert shown.total_value == shown.net_deposits + shown.profit.total
        cents = shown.profit.in_cents
        assert sum_of(cents) == cents.total
    assert len({str(each["profit"]) for each in random_portfolios(COUNT)}) == COUNT


@pytest.mark.parametrize("mode", Mode)
async def test_random_histories_of_a_follower(rig: Rig, mode: Mode) -> None:
    """Signals, prices, money in and out, and corrections, on the simulators."""
    dice = Random(mode)
    rig.exchange.set_balance("USDC", "100000")
    for each in range(COUNT):
        follower = await rig.start(mode, entry_id=f"{mode}-{each}", budget=f"{dice.uniform(100, 900):.2f}")
        await rig.cycle(follower)
        for _ in range(4):
            await _live(rig, follower, dice)
        whole = (await rig.cycle(follower)).profit
        assert whole
        assert sum_of(whole) == whole.total == follower.snapshot.profit_loss
        told = responses.portfolio(follower.snapshot)["profit"]
        assert sum(Decimal(told[name]) for name in PARTS) == Decimal(told["total"]) == round(whole.total, 2)
        assert whole.fees < 0
        await follower.stop()


async def _live(rig: Rig, follower: OpenEngine, dice: Random) -> None:
    """One of the things that happen to a follower, and a cycle."""
    amount = Decimal(f"{dice.uniform(5, 60):.2f}")
    for coin in COINS:
        rig.exchange.set_price(
            f"{coin}USDC", round(rig.exchange.price(f"{coin}USDC") * Decimal(dice.uniform(0.9, 1.1)), 4)
        )
    rig.exchange.set_price("EURUSDC", round(rig.exchange.price("EURUSDC") * Decimal(dice.uniform(0.99, 1.01)), 4))
    rig.leader.publish_v2({coin: f"{dice.uniform(0.05, 0.2):.3f}" for coin in COINS})
    await rig.cycle(follower)
    with suppress(CommandError):  # more than there is
        match dice.randrange(3):
            case 0:
                await follower.commands.deposit(amount)
            case 1:
                await follower.commands.withdraw(amount)
            case _:
                await follower.commands.set_net_deposits(amount * 10)


# Today


def today_of(ledger: Ledger) -> Today:
    """The profit of the day in UTC."""
    return Today(ledger, midnight_utc)


def earned(amount: int, corrections: int = 0) -> Profit:
    """A profit of that much, and what corrections did to it."""
    return make_profit(Decimal(amount), ZERO, ZERO, Decimal(corrections))


async def test_today_begins_with_the_first_money(ledger: Ledger) -> None:
    """All of the profit is today's on the first day, corrections apart."""
    today = today_of(ledger)
    assert await today.profit(earned(7, -20), MIDNIGHT + 9 * HOUR, MIDNIGHT + 8 * HOUR) == 7
    assert ledger.fact(TODAY) is None


@pytest.mark.parametrize(("before", "after", "base"), [(2, 30, 5), (30, 2, 9), (None, 59, 9), (59, 600, 5)])
async def test_today_begins_at_midnight(ledger: Ledger, before: int | None, after: int, base: int) -> None:
    """With the figure that is nearest to it; and stays so over a restart, however late."""
    started = MIDNIGHT - 48 * HOUR
    today = today_of(ledger)
    if before is not None:
        await today.profit(earned(5), MIDNIGHT - timedelta(minutes=before), started)
    assert await today.profit(earned(9), MIDNIGHT + timedelta(minutes=after), started) == 9 - base
    assert await today.profit(earned(12), MIDNIGHT + 12 * HOUR, started) == 12 - base
    assert await today_of(ledger).profit(earned(11, 100), MIDNIGHT + 15 * HOUR, started) == 11 - base


async def test_another_book_has_another_midnight(ledger: Ledger) -> None:
    """What the one before it was worth just then says nothing of this one."""
    today = today_of(ledger)
    await today.profit(earned(500), MIDNIGHT - timedelta(minutes=1), MIDNIGHT - 48 * HOUR)
    assert await today.profit(earned(9), MIDNIGHT + timedelta(minutes=2), MIDNIGHT - 24 * HOUR) == 0


async def test_today_is_unknown_where_midnight_is(ledger: Ledger) -> None:
    """A follower that slept over it does not take the morning for it; the next day is known again."""
    started = MIDNIGHT - 48 * HOUR
    today = today_of(ledger)
    assert await today.profit(earned(5), MIDNIGHT - 3 * HOUR, started) is None
    assert await today.profit(earned(9), MIDNIGHT + 2 * HOUR, started) is None
    assert await today.profit(earned(9), MIDNIGHT + 23 * HOUR + HOUR / 2, started) is None
    assert await today.profit(earned(10), MIDNIGHT + 25 * HOUR, started) == 1


async def test_money_in_and_out_is_no_profit_of_the_day(rig: Rig) -> None:
    """Neither is a correction; and without a price today's profit is unknown."""
    follower = await rig.start(Mode.DRY_RUN)
    await rig.cycle(follower)
    await follower.commands.deposit(Decimal(100))
    await follower.commands.set_net_deposits(Decimal(5))
    assert follower.snapshot.profit_loss
    assert follower.snapshot.profit_loss > 1000
    assert follower.snapshot.profit_today is not None
    assert abs(follower.snapshot.profit_today) < CENT
    rig.leader.publish_v2({"BTC": "0.5"})
    await rig.cycle(follower)
    rig.exchange.remove_price("BTCUSDC")
    assert (await rig.cycle(follower)).profit_today is None
