"""A flow that is dated back leaves what it would have left, had it been told in time: as far as values are known."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.decimals import EXACT, ZERO
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind
from custom_components.calvalot.trading.performance import Close, Drawdown, Units
from custom_components.calvalot.trading.revaluation import NotWorthThat, end_of_day, revalue

from .builders import amounts

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOTHING = Decimal("1e-40")
FACTORS = st.lists(
    st.tuples(st.decimals("0.5", "2", places=4), st.decimals("0.9", "1.1", places=4)), min_size=1, max_size=8
)


def make_flow(amount: Decimal, time: datetime, before: Decimal | None, quote: Decimal | None = None) -> CashFlow:
    """A flow at a rate of 1, where no quote is given."""
    kind = FlowKind.DEPOSIT if amount > 0 else FlowKind.WITHDRAWAL
    quote = amount if quote is None else quote
    return CashFlow(kind=kind, amount=amount, amount_quote=quote, time=time, value_before=before)


def make_close(day: date, value: Decimal, quote: Decimal, paid: Decimal, units: Units, drawdown: Drawdown) -> Close:
    """The last figures of a day."""
    return Close(day=day, value=value, value_quote=quote, net_deposits=paid, units=units, drawdown=drawdown)


def lived(
    budget: Decimal, days: list[tuple[Decimal, Decimal]], late: CashFlow | None, at_end_of: int
) -> tuple[list[CashFlow], list[Close], CashFlow | None]:
    """A book through some days: what it holds grows by a factor, at a rate; `late` comes at the end of a day, as cash.

    Every other day 10 is paid in at noon.
    """
    with localcontext(EXACT):
        invested, cash, paid, units, drawdown = budget, ZERO, budget, Units().with_flow(ZERO, budget), Drawdown()
        flows, closes, booked = [make_flow(budget, START, ZERO)], [], None
        for number, (factor, rate) in enumerate(days):
            if number % 2:
                before = (invested + cash) * rate
                flows.append(make_flow(10 * rate, START + number * DAY, before, Decimal(10)))
                units = units.with_flow(before, 10 * rate)
                invested, paid = invested + 10, paid + 10 * rate
            invested *= factor
            value = (invested + cash) * rate
            units = units.valued(value)
            drawdown = drawdown.seen(units.price)
            closes.append(make_close((START + number * DAY).date(), value, invested + cash, paid, units, drawdown))
            if late and number == at_end_of:
                booked = make_flow(late.amount, late.time, value, late.amount_quote)
                units = units.with_flow(value, late.amount)
                cash, paid = cash + late.amount_quote, paid + late.amount
        return flows, closes, booked


@given(amounts("1000", smallest="50"), FACTORS, st.integers(0, 7), amounts("500", smallest="0.01"))
def test_as_if_it_had_been_told_in_time(
    budget: Decimal, days: list[tuple[Decimal, Decimal]], number: int, amount: Decimal
) -> None:
    """The same closes, units, drawdown and values before later flows."""
    number = min(number, len(days) - 1)
    late = make_flow(amount, START + number * DAY + DAY / 2, None)
    flows, closes, _ = lived(budget, days, None, number)
    _, expected, booked = lived(budget, days, late, number)
    in_time, _, _ = lived(budget, days, late, number)
    found = revalue(late, flows, closes)
    assert booked
    with localcontext(EXACT):
        assert found.flow.value_before
        assert booked.value_before
        assert abs(found.flow.value_before - booked.value_before) < NOTHING * booked.value_before
        changed = [*closes[: len(closes) - len(found.closes)], *found.closes]
        for ours, theirs in zip(changed, expected, strict=True):
            assert ours.day == theirs.day
            for name in ("value", "value_quote", "net_deposits"):
                assert abs(getattr(ours, name) - getattr(theirs, name)) < NOTHING * 10**6, name
            assert abs(ours.units.price / theirs.units.price - 1) < NOTHING
            assert abs(ours.drawdown.deepest - theirs.drawdown.deepest) < NOTHING * 10**3
        later = [flow.value_before for flow in in_time if flow.time > late.time]
        assert len(found.flows) == len(later)
        for ours, theirs in zip([flow.value_before for flow in found.flows], later, strict=True):
            assert ours is not None
            assert theirs is not None
            assert abs(ours - theirs) < NOTHING * 10**6


def test_before_the_first_close() -> None:
    """The price is the one of the first money; a flow of the same moment was there before it."""
    first = make_flow(Decimal(100), START, ZERO)
    same = make_flow(Decimal(1), START + DAY / 4, Decimal(110))
    found = revalue(make_flow(Decimal(50), START + DAY / 4, None), [first, same], [])
    assert found.flow.value_before == 111
    assert (found.flows, found.closes) == ((), ())
    assert found.units.outstanding * found.units.price == 161
    assert revalue(make_flow(Decimal(50), START + DAY / 8, None), [first, same], []).flow.value_before == 100


def test_where_no_rate_is_known() -> None:
    """What was worth nothing tells no rate: the flow counts with its own."""
    first = make_flow(Decimal(100), START, ZERO)
    units = Units().with_flow(ZERO, Decimal(100)).valued(ZERO)
    close = make_close((START + DAY).date(), ZERO, ZERO, Decimal(100), units, Drawdown().seen(ZERO))
    found = revalue(make_flow(Decimal(50), START + DAY / 4, None), [first], [close])
    assert (found.closes[0].value, round(found.closes[0].units.price, 9)) == (50, Decimal("0.333333333"))


def test_a_close_before_the_flow_stays() -> None:
    """It knew nothing of it."""
    first = make_flow(Decimal(100), START, ZERO)
    units = Units().with_flow(ZERO, Decimal(100))
    close = make_close(START.date(), Decimal(100), Decimal(100), Decimal(100), units, Drawdown().seen(units.price))
    found = revalue(make_flow(Decimal(50), START + 2 * DAY, None), [first], [close])
    assert (tuple(found.closes), found.flow.value_before) == ((), 100)


def test_corrections_move_no_units() -> None:
    """They have no value before them."""
    first = make_flow(Decimal(100), START, ZERO)
    correction = CashFlow(kind=FlowKind.CORRECTION, amount=Decimal(7), amount_quote=ZERO, time=START + DAY)
    found = revalue(make_flow(Decimal(50), START + DAY / 4, None), [first, correction], [])
    assert found.flows == ()
    assert found.units.outstanding == 150


@pytest.mark.parametrize("case", ["then", "at a close", "at a flow"])
def test_more_than_there_was(case: str) -> None:
    """At that time or at any time since."""
    first = make_flow(Decimal(100), START, ZERO)
    amount = Decimal(-101) if case == "then" else Decimal(-60)
    units = Units(Decimal(100), Decimal("0.5"))
    close = make_close((START + DAY).date(), Decimal(50), Decimal(50), Decimal(100), units, Drawdown())
    out = make_flow(Decimal(-50), START + DAY, Decimal(100))
    flows, closes = {"then": ([first], []), "at a close": ([first], [close]), "at a flow": ([first, out], [])}[case]
    with pytest.raises(NotWorthThat):
        revalue(make_flow(amount, START + DAY / 4, None), flows, closes)


def test_a_close_is_the_value_at_the_end_of_its_day() -> None:
    """In UTC."""
    close = make_close(START.date(), ZERO, ZERO, ZERO, Units(), Drawdown())
    assert end_of_day(close) == datetime(2026, 5, 2, tzinfo=UTC)
