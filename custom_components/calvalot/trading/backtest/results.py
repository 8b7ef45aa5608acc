"""What a backtest came to, as plain JSON: figures, curves, trades, and what they came to by month, coin and reason.

Amounts are text in quote, shares are text in %; times are ISO 8601 in UTC. Ratios are those of the daily values of the book, by
the year of 365 days (`statistics.ratios`); a trade is a coin from its first purchase until it is sold.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import groupby
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

from ..decimals import EXACT, HUNDRED, ZERO
from ..responses import Json, figure, iso, text
from ..statistics.figures import fall_row, month_rows
from ..statistics.marks import Mark
from ..statistics.ratios import Fall, daily_returns, falls, ratios
from ..statistics.trades import turnover
from .book import Fill, Trade
from .run import DAY, Outcome

EPOCH = date(1970, 1, 1)
PLACES = 8


def result_of(outcome: Outcome) -> Json:
    """Everything there is to say; an outcome without a candle has nothing to say."""
    known, held = marks_of(outcome, lambda day: day.value), marks_of(outcome, lambda day: day.hold)
    trades = outcome.book.trades
    return {
        "figures": {**_whole(outcome, held), **_risk(known), **_of_trades(outcome)},
        "equity": _equity(outcome, known, held),
        "months": month_rows(known),
        "coins": [_group(coin, each) for coin, each in _grouped(trades, lambda trade: trade.coin)],
        "reasons": [_group(reason, each) for reason, each in _grouped(trades, lambda trade: trade.left_for)],
        "trades": [_trade(trade) for trade in trades],
        "open": [_open(trade, outcome) for trade in outcome.book.open.values()],
        "left_out": [_left_out(outcome, number) for number in range(len(outcome.trader.failed))],
    }


def marks_of(outcome: Outcome, value: Callable[[Any], float]) -> tuple[Mark, ...]:
    """The beginning and the end of each day, with the growth of a value since the beginning as their price."""
    days = outcome.days
    if not days:
        return ()
    budget = float(outcome.setup.budget)
    start = Mark(day=_date(days[0].number - 1), price=Decimal(1))
    return (start, *(Mark(day=_date(day.number), price=Decimal(value(day) / budget)) for day in days))


def growth_a_year(whole: float, days: float) -> float | None:
    """(E₁ / E₀)^(365 / days) − 1, for E₁ / E₀; None where that is nothing or beyond all bounds."""
    if whole <= 0 or days <= 0:
        return None
    try:
        return float(whole ** (365 / days)) - 1
    except OverflowError:
        return None


def days_of(outcome: Outcome) -> float:
    """How long it went, in days."""
    if outcome.began is None or outcome.ended is None:
        return 0.0
    return (outcome.ended + outcome.setup.frame.seconds - outcome.began) / DAY


# The whole


def _whole(outcome: Outcome, held: Sequence[Mark]) -> Json:
    budget, days = outcome.setup.budget, days_of(outcome)
    began, ended = outcome.began, outcome.ended
    hold = float(held[-1].price) if held else 1.0
    whole = float(outcome.value / budget)
    return {
        "begin": None if began is None else time(began),
        "end": None if ended is None else time(ended + outcome.setup.frame.seconds),
        "days": plain(days),
        "candles": outcome.slots,
        "missing": outcome.missing,
        "budget": text(budget),
        "value": text(outcome.value, PLACES),
        "profit": text(outcome.value - budget, PLACES),
        "return": percent(whole - 1),
        "cagr": percent(growth_a_year(whole, days)),
        "hold_return": percent(hold - 1),
        "hold_cagr": percent(growth_a_year(hold, days)),
        "hold_drawdown": percent(max((each.depth for each in falls(held)), default=0.0) / 100) if held else None,
        "time_invested": percent(outcome.invested / outcome.slots) if outcome.slots else None,
        "exposure": percent(fmean(day.invested for day in outcome.days)) if outcome.days else None,
        "signals": outcome.trader.taken,
        "not_placed": len(outcome.trader.failed),
    }


def _risk(known: Sequence[Mark]) -> Json:
    if not known:
        return {}
    found, fallen = ratios(known), falls(known)
    deepest = fallen[0] if fallen else None
    dated = daily_returns(known)
    best = max(dated, key=lambda each: each[1], default=None)
    worst = min(dated, key=lambda each: each[1], default=None)
    return {
        "volatility": plain(found.volatility),
        "sharpe": plain(found.sharpe),
        "sortino": plain(found.sortino),
        "calmar": plain(found.calmar),
        "max_drawdown": plain(deepest.depth if deepest else 0.0),
        "drawdown": fall_row(deepest) if deepest else None,
        "under_water": max((_under_water(each, known[-1].day) for each in fallen), default=0),
        "best_day": best and {"day": best[0].isoformat(), "return": percent(best[1])},
        "worst_day": worst and {"day": worst[0].isoformat(), "return": percent(worst[1])},
    }


def _under_water(fall: Fall, last: date) -> int:
    return ((fall.recovered or last) - fall.peak).days


def _equity(outcome: Outcome, known: Sequence[Mark], held: Sequence[Mark]) -> list[Json]:
    """Value and fall from the peak (%), both beside buy and hold, at the end of each day."""
    return [
        {
            "day": mark.day.isoformat(),
            "value": plain(day.value),
            "hold": plain(day.hold),
            "drawdown": percent(own),
            "hold_drawdown": percent(other),
        }
        for day, mark, own, other in zip(outcome.days, known[1:], _depths(known), _depths(held), strict=True)
    ]


def _depths(known: Sequence[Mark]) -> Iterable[float]:
    peak = 0.0
    for number, mark in enumerate(known):
        price = float(mark.price)
        peak = max(peak, price)
        if number:
            yield 1 - price / peak


# Trades


def _of_trades(outcome: Outcome) -> Json:
    book, trades = outcome.book, outcome.book.trades
    results = [trade.result for trade in trades]
    won, lost = [each for each in results if each > 0], [each for each in results if each < 0]
    floats = [float(each) for each in results]
    spread = stdev(floats) if len(floats) > 1 else 0.0
    best = max(trades, key=lambda trade: trade.share, default=None)
    worst = min(trades, key=lambda trade: trade.share, default=None)
    values = [Decimal(day.value) for day in outcome.days]
    with localcontext(EXACT):
        turned = turnover(book.bought, book.sold, values)
        fees = book.portfolio.fees
        unrealised = sum((_unrealised(coin, outcome) for coin in book.portfolio.positions), ZERO)
        return {
            "trades": len(trades),
            "won": len(won),
            "lost": len(lost),
            "win_rate": percent(len(won) / len(trades)) if trades else None,
            "profit_factor": figure(sum(won, ZERO) / -sum(lost, ZERO)) if lost else None,
            "expectancy": figure(sum(results, ZERO) / len(results)) if results else None,
            "expectancy_share": percent(fmean(trade.share for trade in trades)) if trades else None,
            "sqn": plain(sqrt(len(floats)) * fmean(floats) / spread) if spread else None,
            "best_trade": best and _trade(best),
            "worst_trade": worst and _trade(worst),
            "longest_wins": _longest(each > 0 for each in results),
            "longest_losses": _longest(each < 0 for each in results),
            "holding_hours": plain(fmean((trade.closed or 0) - trade.opened for trade in trades) / 3600)
            if trades
            else None,
            "orders": len(book.fills),
            "fees": text(fees, PLACES),
            "turnover": figure(turned * HUNDRED) if turned is not None else None,
            "realised": text(book.portfolio.realised, PLACES),
            "unrealised": text(unrealised, PLACES),
            "open": len(book.open),
        }


def _unrealised(coin: str, outcome: Outcome) -> Decimal:
    held = outcome.book.portfolio.position(coin)
    return held.quantity * outcome.prices[coin] - held.cost


def _longest(holds: Iterable[bool]) -> int:
    return max((len([*run]) for does, run in groupby(holds) if does), default=0)


def _grouped(trades: Sequence[Trade], key: Callable[[Trade], str]) -> list[tuple[str, list[Trade]]]:
    found: dict[str, list[Trade]] = {}
    for trade in trades:
        found.setdefault(key(trade), []).append(trade)
    return sorted(found.items())


def _group(name: str, trades: Sequence[Trade]) -> Json:
    won = sum(trade.result > 0 for trade in trades)
    return {
        "name": name,
        "trades": len(trades),
        "won": won,
        "win_rate": percent(won / len(trades)),
        "result": text(sum((trade.result for trade in trades), ZERO), PLACES),
        "fees": text(sum((trade.fees for trade in trades), ZERO), PLACES),
    }


def _trade(trade: Trade) -> Json:
    return {
        "coin": trade.coin,
        "opened": time(trade.opened),
        "closed": None if trade.closed is None else time(trade.closed),
        "reason": trade.reason,
        "left_for": trade.left_for,
        "entry_price": figure(trade.entry_price),
        "exit_price": figure(trade.exit_price),
        "quantity": text(trade.quantity),
        "cost": text(trade.bought, PLACES),
        "result": text(trade.result, PLACES),
        "return": percent(trade.share),
        "fees": text(trade.fees, PLACES),
    }


def _open(trade: Trade, outcome: Outcome) -> Json:
    held, price = outcome.book.portfolio.position(trade.coin), outcome.prices[trade.coin]
    with localcontext(EXACT):
        return {
            "coin": trade.coin,
            "opened": time(trade.opened),
            "reason": trade.reason,
            "quantity": text(held.quantity),
            "entry_price": figure(held.entry_price),
            "price": text(price),
            "value": text(held.quantity * price, PLACES),
            "result": text(held.quantity * price - held.cost + trade.result, PLACES),
        }


def _left_out(outcome: Outcome, number: int) -> Json:
    record = outcome.trader.failed[number]
    return {
        "time": time(record.at),
        "reason": record.reason,
        "result": record.result.value,
        "legs": [{"coin": leg.coin, "side": leg.side.value, "reason": leg.reason.value} for leg in record.left_out],
    }


def fills_of(fills: Sequence[Fill]) -> list[Json]:
    """Orders as they were filled, oldest first."""
    return [
        {
            "time": time(fill.time),
            "coin": fill.coin,
            "side": fill.side.value,
            "quantity": text(fill.quantity),
            "price": text(fill.price),
            "amount": text(fill.amount),
            "fee": text(fill.fee, PLACES),
            "reason": fill.reason,
        }
        for fill in fills
    ]


# Numbers as text


def percent(share: float | None) -> str | None:
    """A fraction in %."""
    return None if share is None else plain(share * 100)


def plain(value: float | None) -> str | None:
    """A measurement as text; None where it is no number."""
    return None if value is None or not isfinite(value) else figure(Decimal(value))


def time(seconds: int) -> str:
    """A time (Unix seconds)."""
    return iso(datetime.fromtimestamp(seconds, UTC)) or ""


def _date(number: int) -> date:
    return EPOCH + timedelta(days=number)
