"""A result as lines of text, for a terminal."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from ..responses import Json
from .spec import Spec

# Trades that are shown.
LISTED = 10


def lines(result: Json) -> Iterator[str]:
    """The verdict first, then figures, months, coins, and the last trades."""
    spec, figures = Spec.from_json(result["spec"]), result["figures"]
    yield result["verdict"]
    yield from (f"  note: {each['text']}" for each in result["findings"] if each["weight"] == "note")
    yield ""
    for name, value in rows(figures, spec.quote):
        yield f"  {name:<32}{value:>24}"
    yield ""
    yield f"  {'year':<6}{'total':>8} " + "".join(f"{month:>7}" for month in range(1, 13))
    for year in result["months"]:
        months = "".join(f"{short(each, 1):>7}" for each in year["months"].values())
        yield f"  {year['year']:<6}{short(year['total'], 1):>8} {months}"
    for title in ("coins", "reasons"):
        if result[title]:
            yield ""
            yield f"  {title:<16}{'trades':>8}{'won %':>8}{'result':>14}{'fees':>12}"
            for each in result[title]:
                figures_of = f"{each['trades']:>8}{short(each['win_rate'], 0):>8}"
                yield f"  {each['name']:<16}{figures_of}{short(each['result']):>14}{short(each['fees']):>12}"
    if result["trades"]:
        yield ""
        yield f"  {'the last trades':<42}{'return %':>10}{'result':>14}"
        for each in result["trades"][-LISTED:]:
            span = f"{each['opened'][:16]} – {each['closed'][:16]}"
            yield f"  {each['coin']:<6}{span:<36}{short(each['return']):>10}{short(each['result']):>14}  {each['left_for']}"
    for each in result["open"]:
        yield f"  {each['coin']:<6}{each['opened'][:16]} – still open{'':<11}{'':>10}{short(each['result']):>14}"


def rows(figures: Json, quote: str) -> list[tuple[str, str]]:
    """The figures by what they are called; unknown ones are a dash."""

    def amount(value: str | None) -> str:
        return f"{short(value)} {quote}" if value is not None else "–"

    def share(value: str | None) -> str:
        return f"{short(value)} %" if value is not None else "–"

    drawdown = figures.get("drawdown")
    of: Sequence[tuple[str, str, Callable[[str | None], str]]] = (
        ("value in the end", "value", amount),
        ("return", "return", share),
        ("return a year (CAGR)", "cagr", share),
        ("buy and hold", "hold_return", share),
        ("largest fall", "max_drawdown", share),
        ("largest fall of buy and hold", "hold_drawdown", share),
        ("volatility a year", "volatility", share),
        ("Sharpe", "sharpe", short),
        ("Sortino", "sortino", short),
        ("Calmar", "calmar", short),
        ("SQN", "sqn", short),
        ("profit factor", "profit_factor", short),
        ("expectancy of a trade", "expectancy", amount),
        ("exposure", "exposure", share),
        ("time invested", "time_invested", share),
        ("fees", "fees", amount),
        ("turnover", "turnover", share),
        ("won", "win_rate", share),
    )
    found = [("from", figures["begin"][:16]), ("to", figures["end"][:16]), ("candles", f"{figures['candles']:,}")]
    found += [(title, told(figures.get(name))) for title, name, told in of]
    counts = ("trades", "open", "orders", "signals", "not_placed", "longest_wins", "longest_losses", "under_water")
    titles = {"not_placed": "signals not placed", "under_water": "days under water", "open": "open at the end"}
    found += [(titles.get(name, name.replace("_", " ")), f"{figures.get(name, 0)}") for name in counts]
    for name in ("best_day", "worst_day"):
        day = figures[name]
        found.append((name.replace("_", " "), f"{short(day['return'])} % ({day['day']})"))
    for name in ("best_trade", "worst_trade"):
        if trade := figures.get(name):
            found.append((name.replace("_", " "), f"{short(trade['return'])} % ({trade['coin']})"))
    if drawdown:
        ended = drawdown["recovered"] or "not yet"
        found.append(("largest fall: from, to, made up", f"{drawdown['peak']}, {drawdown['valley']}, {ended}"))
    return found


def short(value: str | None, places: int = 2) -> str:
    """A figure with few places; unknown is a dash."""
    return "–" if value is None else f"{Decimal(value):,.{places}f}"
