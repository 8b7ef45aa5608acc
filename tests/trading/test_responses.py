"""Records become plain JSON without losing a digit; what is unknown is null."""

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading import responses
from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Mode, Side
from custom_components.calvalot.trading.ledger.records import Book, CashFlow, FlowKind, OrderState, Result, Trade
from custom_components.calvalot.trading.performance import Close, Drawdown, Units
from custom_components.calvalot.trading.profit import Profit
from custom_components.calvalot.trading.proposal import Proposal
from custom_components.calvalot.trading.sizing import LeftOut, PlannedOrder, Reason
from custom_components.calvalot.trading.snapshot import PositionFigures, Snapshot, Status

from .builders import NOW, make_order, make_portfolio, make_record


def told(data: Any) -> Any:
    """What a reader of the JSON gets."""
    return json.loads(json.dumps(data, allow_nan=False))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=18))
def test_text_keeps_every_digit(value: Decimal) -> None:
    """No exponent, whatever the size."""
    assert Decimal(responses.text(value) or "") == value
    assert "E" not in (responses.text(value) or "E")
    rounded = responses.text(value, 8) or ""
    assert abs(Decimal(rounded) - value) <= Decimal("5e-9")
    assert rounded[-9] == "."


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(None, None, None), (None, 8, None), ("1E-8", None, "0.00000001"), ("1E+3", None, "1000"), ("1.005", 2, "1.00")],
)
def test_text(value: str | None, places: int | None, text: str | None) -> None:
    """Rounded half to even where places are given; unknown stays unknown."""
    assert responses.text(None if value is None else Decimal(value), places) == text


def test_times_are_in_utc() -> None:
    """Wherever they come from."""
    there = datetime(2026, 5, 1, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert responses.iso(there) == "2026-05-01T12:00:00.123+00:00"
    assert responses.iso(None) is None


@pytest.mark.parametrize(("mode", "simulated"), [(Mode.DRY_RUN, True), (Mode.LIVE, False)])
def test_trade(mode: Mode, simulated: bool) -> None:
    """Average price, every fee in its own asset, and whether it was on paper."""
    trade = Trade(
        time=NOW,
        signal_id="signal",
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.BUY,
        quantity=Decimal("0.00000003"),
        amount=Decimal("0.001"),
        fees=(("BTC", Decimal("1E-8")), ("BNB", Decimal("0.5"))),
        planned_price=Decimal(30_000),
    )
    assert told(responses.trade(trade, mode)) == {
        "time": "2026-05-01T12:00:00.000+00:00",
        "signal_id": "signal",
        "coin": "BTC",
        "symbol": "BTCUSDC",
        "side": "BUY",
        "quantity": "0.00000003",
        "price": "33333.333333333333",
        "amount": "0.001",
        "quote": "USDC",
        "slippage": "0.11111111",
        "fees": [{"asset": "BTC", "amount": "0.00000001"}, {"asset": "BNB", "amount": "0.5"}],
        "simulated": simulated,
    }


def test_failed_order() -> None:
    """With the exchange's words."""
    order = make_order(Side.SELL, "0.5", reason="refused: too small (-1013)", state=OrderState.REJECTED)
    assert told(responses.failed_order(order, Mode.LIVE)) == {
        "time": "2026-05-01T12:00:00.000+00:00",
        "signal_id": "signal",
        "coin": "BTC",
        "symbol": "BTCUSDC",
        "side": "SELL",
        "quantity": "0.5",
        "reason": "refused: too small (-1013)",
        "simulated": False,
    }


def test_signal() -> None:
    """Each leg with what became of it: what was executed, what was asked, what was left out."""
    record = make_record(
        created_at=NOW - timedelta(minutes=1),
        confidence=Decimal("0.72"),
        reasoning="because",
        result=Result.PARTIAL,
        reason="no_cash: XRPUSDC",
        left_out=(("XRPUSDC", "BUY", "no_cash"),),
    )
    booked = make_order(quantity="2", state=OrderState.BOOKED, executed_quantity=Decimal("1.5"))
    refused = make_order(quantity="3", coin="ETH", state=OrderState.REJECTED, reason="too small")
    assert told(responses.signal(record, [booked, refused])) == {
        "signal_id": "signal",
        "time": "2026-05-01T12:00:00.000+00:00",
        "created_at": "2026-05-01T11:59:00.000+00:00",
        "version": 2,
        "confidence": 0.72,
        "reasoning": "because",
        "result": "partial",
        "reason": "no_cash: XRPUSDC",
        "legs": [
            {"symbol": "BTCUSDC", "side": "BUY", "result": "booked", "reason": "", "quantity": "1.5"},
            {"symbol": "ETHUSDC", "side": "BUY", "result": "rejected", "reason": "too small", "quantity": "3"},
            {"symbol": "XRPUSDC", "side": "BUY", "result": "left_out", "reason": "no_cash"},
        ],
    }


def test_signal_of_which_little_is_known() -> None:
    """A refused one has neither version nor confidence."""
    data = told(responses.signal(make_record(wants=None, result=Result.REJECTED)))
    assert data["version"] is data["confidence"] is data["created_at"] is None
    assert data["legs"] == []


def test_cash_flow() -> None:
    """The amount as it was said, the value before it to eight places."""
    flow = CashFlow(
        kind=FlowKind.WITHDRAWAL,
        amount=Decimal(-50),
        amount_quote=Decimal("-54.34782608"),
        time=NOW,
        note="rent",
        value_before=Decimal(1000) / 3,
    )
    assert told(responses.cash_flow(flow)) == {
        "id": 0,
        "time": "2026-05-01T12:00:00.000+00:00",
        "kind": "withdrawal",
        "amount": "-50",
        "amount_quote": "-54.34782608",
        "note": "rent",
        "value_before": "333.33333333",
    }


def test_portfolio() -> None:
    """Positions that are held or aimed at, and no others."""
    snapshot = Snapshot(
        mode=Mode.DRY_RUN,
        status=Status.PAUSED,
        as_of=NOW,
        rate=Decimal(1) / 3,
        proposals=(Proposal(id="withdrawal 7", time=NOW, amount_quote=Decimal("-7.50")),),
        total_value=Decimal(2) / 3,
        total_value_quote=Decimal(2),
        cash=Decimal("1.5"),
        positions_value=Decimal("0.5"),
        net_deposits=Decimal(1),
        profit_loss=Decimal(-1) / 3,
        profit_loss_percent=Decimal(-100) / 3,
        profit=Profit(
            total=Decimal(-1) / 3,
            realised=ZERO,
            unrealised=Decimal(-1) / 30,
            currency_effect=Decimal("-0.3"),
            corrections=ZERO,
            fees=Decimal("-1E-18"),
        ),
        profit_today=Decimal("-0.125"),
        since=NOW,
        revalued=NOW,
        realised=Decimal(0),
        fees_paid=Decimal("1E-18"),
        time_weighted_return=Decimal(-100) / 3,
        max_drawdown=Decimal(100) / 3,
        tracking_distance=Decimal(10),
        positions={
            "BTC": PositionFigures(
                coin="BTC",
                symbol="BTCUSDC",
                quantity=Decimal("0.00001"),
                entry_price=Decimal(200_000) / 3,
                price=Decimal(50_000),
                value=Decimal("0.5"),
                weight=Decimal("0.25"),
                target_weight=Decimal(1) / 3,
                profit_loss=Decimal("-0.1"),
            ),
            "ETH": PositionFigures(
                coin="ETH", symbol="ETHUSDC", target_weight=Decimal("0.2"), price_day=date(2026, 5, 1)
            ),
            "XRP": PositionFigures(coin="XRP", symbol="XRPUSDC", target_weight=Decimal(0), price=ONE),
        },
    )
    assert told(responses.portfolio(snapshot)) == {
        "mode": "dry_run",
        "book": 1,
        "scope": "budget",
        "status": "paused",
        "as_of": "2026-05-01T12:00:00.000+00:00",
        "since": "2026-05-01T12:00:00.000+00:00",
        "revalued": "2026-05-01T12:00:00.000+00:00",
        "rate": "0.333333333333",
        "profit": {
            "total": "-0.33",
            "realised": "0.00",
            "unrealised": "-0.03",
            "currency_effect": "-0.30",
            "corrections": "0.00",
            "fees": "0.00",
        },
        "total_value": "0.66666667",
        "total_value_quote": "2",
        "cash": "1.5",
        "positions_value": "0.5",
        "net_deposits": "1",
        "profit_loss": "-0.33333333",
        "profit_loss_percent": "-33.33333333",
        "profit_today": "-0.125",
        "realised": "0",
        "fees_paid": "0.000000000000000001",
        "time_weighted_return": "-33.33333333",
        "max_drawdown": "33.33333333",
        "tracking_distance": "10",
        "positions": [
            {
                "coin": "BTC",
                "quantity": "0.00001",
                "entry_price": "66666.666666666667",
                "price": "50000",
                "value": "0.5",
                "weight": 0.25,
                "target_weight": 0.333333,
                "profit_loss": "-0.1",
                "set_aside": False,
                "price_day": None,
                "frozen": False,
                "locked": "0",
            },
            {
                "coin": "ETH",
                "quantity": "0",
                "entry_price": None,
                "price": None,
                "value": None,
                "weight": None,
                "target_weight": 0.2,
                "profit_loss": None,
                "set_aside": True,
                "price_day": "2026-05-01",
                "frozen": False,
                "locked": "0",
            },
        ],
        "proposals": [
            {
                "id": "withdrawal 7",
                "kind": "withdrawal",
                "time": "2026-05-01T12:00:00.000+00:00",
                "amount": "-2.5",
                "amount_quote": "-7.50",
            }
        ],
        "apart": [],
    }


def test_portfolio_of_which_nothing_is_known() -> None:
    """Null, never 0."""
    data = told(responses.portfolio(Snapshot(mode=Mode.LIVE, status=Status.ACTIVE)))
    assert (data.pop("positions"), data.pop("apart"), data.pop("proposals")) == ([], [], [])
    assert (data.pop("mode"), data.pop("status"), data.pop("book"), data.pop("scope")) == (
        "live",
        "active",
        1,
        "budget",
    )
    assert set(data.values()) == {None}


def test_preview() -> None:
    """Orders with their guard, and what was left out with its reason."""
    order = PlannedOrder(
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.SELL,
        quantity=Decimal("0.1"),
        price=Decimal(50_000),
        amount=Decimal(5000),
        limit_price=None,
    )
    left_out = LeftOut("XRP", "XRPUSDC", Side.BUY, Reason.NO_CASH)
    assert told(responses.preview([order], [left_out])) == {
        "orders": [{"symbol": "BTCUSDC", "side": "SELL", "quantity": "0.1", "amount": "5000", "limit_price": None}],
        "left_out": [{"symbol": "XRPUSDC", "side": "BUY", "reason": "no_cash"}],
    }


def test_plan_in_words() -> None:
    """One line, its amounts in cents."""
    order = PlannedOrder(
        coin="BTC",
        symbol="BTCUSDC",
        side=Side.SELL,
        quantity=Decimal("0.10000"),
        price=Decimal("50000.10"),
        amount=Decimal("5000.01000"),
        limit_price=None,
    )
    bought = replace(order, coin="XRP", side=Side.BUY, quantity=Decimal("1E+3"), price=Decimal("1E-8"))
    assert responses.plan_in_words([order, bought], "USDC") == (
        "SELL BTC 5000.01 USDC (0.1 × 50000.1) · BUY XRP 5000.01 USDC (1000 × 0.00000001)"
    )
    assert responses.plan_in_words([], "USDC") == ""


def close(day: date, price: str) -> Close:
    """A day's close."""
    return Close(
        day=day,
        value=Decimal(price) * 100,
        value_quote=Decimal(price) * 110,
        net_deposits=Decimal(100),
        units=Units(Decimal(100), Decimal(price)),
        drawdown=Drawdown(),
    )


def test_performance() -> None:
    """Returns by period, and null for a period that is longer than the book."""
    book = Book(
        portfolio=make_portfolio("10"),
        net_deposits=Decimal(100),
        units=Units(Decimal(100), Decimal("1.5")),
        drawdown=Drawdown(Decimal(2), Decimal(30)),
    )
    today = NOW.date()
    closes = [close(today - timedelta(days=8), "1"), close(today - timedelta(days=1), "1.2"), close(today, "1.5")]
    data = told(responses.performance(book, closes, NOW))
    returns = {name: value and Decimal(value) for name, value in data.pop("periods").items()}
    assert returns == {"day": 25, "week": 50, "month": None, "quarter": None, "year": None}
    days = data.pop("closes")
    assert days[0] == {"day": "2026-04-23", "value": "100", "net_deposits": "100", "unit_price": "1", "filled": False}
    assert len(days) == 3
    assert Decimal(data.pop("drawdown")) == 25
    assert data == {
        "as_of": "2026-05-01T12:00:00.000+00:00",
        "time_weighted_return": "50.0",
        "max_drawdown": "30",
        "unit_price": "1.5",
        "units": "100",
        "net_deposits": "100",
        "realised": "0",
        "fees_paid": "0",
        "since": "2026-04-23",
    }


def test_performance_of_a_new_book() -> None:
    """Nothing to measure from."""
    data = told(responses.performance(Book(), [], NOW))
    assert data["since"] is data["net_deposits"] is None
    assert set(data["periods"].values()) == {None}
