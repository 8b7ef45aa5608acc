"""Days without a close: filled from the exchange's daily candles, where it is known what was held, and marked.

Only between two closes, and only up to the first money that came or left in between: what was held until then is in the ledger.
A filled day says nothing of what the portfolio saw: its drawdown, its stop loss and the closes after it stay as they are.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

from .decimals import EXACT, ZERO
from .errors import ExchangeError, Refused
from .exchanges.symbols import eur_rate, rate_symbols, symbol_of
from .ledger.ledger import Ledger
from .ledger.records import CashFlow
from .performance import Close
from .queries import guarded
from .settings import Scope, Settings
from .statistics.figures import Statistics
from .statistics.marks import moved
from .statistics.returns import BENCHMARK, Holding

DAY = timedelta(days=1)
# The fact that says up to which close gaps were looked at.
LOOKED = "gaps_up_to"

type DailyCloses = Callable[[str, date, date], Awaitable[Mapping[date, Decimal]]]
"""The closing price of each day from one to another of a symbol, as far as the exchange has them. Raises ExchangeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The close before it, and the days that lack one, oldest first."""

    before: Close
    days: Sequence[date]


def gaps(closes: Sequence[Close], flows: Iterable[CashFlow], scope: Scope) -> Iterator[Gap]:
    """The days that can be filled, oldest first.

    What came to a wallet while the house was off is booked once it is back: nobody knows on which of the days it came.
    """
    paid = {flow.time.date() for flow in flows if moved(flow)}
    for before, after in pairwise(closes):
        missing = [before.day + number * DAY for number in range(1, (after.day - before.day).days)]
        first = min((day for day in paid if before.day < day < after.day), default=after.day)
        days = [day for day in missing if day < first]
        if days and not (scope is Scope.WALLET and after.day in paid):
            yield Gap(before=before, days=days)


def filled(
    gap: Gap,
    holdings: Mapping[date, Holding],
    prices: Mapping[date, Mapping[str, Decimal]],
    rates: Mapping[date, Decimal],
) -> Iterator[tuple[Close, Mapping[str, Decimal]]]:
    """The close of each day whose prices by coin and rate (EUR for one of the quote asset) are known, with those prices."""
    drawdown = gap.before.drawdown
    with localcontext(EXACT):
        for day in gap.days:
            held, of_day, rate = holdings[day], prices.get(day, {}), rates.get(day)
            coins = {coin: quantity for coin, quantity in held.coins.items() if quantity}
            if rate is None or not of_day.keys() >= coins.keys():
                continue
            value = held.cash + sum((quantity * of_day[coin] for coin, quantity in coins.items()), ZERO)
            units = gap.before.units.valued(value * rate)
            drawdown = drawdown.seen(units.price)
            close = Close(
                day=day,
                value=value * rate,
                value_quote=value,
                net_deposits=gap.before.net_deposits,
                units=units,
                drawdown=drawdown,
                filled=True,
            )
            yield close, of_day


class Gaps:
    """Fills the days on which a portfolio did not run."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        statistics: Statistics,
        working: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """`working` keeps cycles away while something is written."""
        self._settings = settings
        self._ledger = ledger
        self._statistics = statistics
        self._working = working

    async def fill(self, daily: DailyCloses) -> int:
        """Fill what has come since the last time; returns how many days. Each gap is asked for once.

        Where the exchange does not answer it is left for the next time. Raises CommandError.
        """
        found, holdings = await guarded(self._ledger.ask(self._found))
        count = 0
        for gap, until in found:
            try:
                prices, rates = await self._prices(gap, holdings, daily)
            except ExchangeError:
                break
            rows = [*filled(gap, holdings, prices, rates)]
            async with self._working():
                await self._ledger.ask(self._ledger.fill_closes, rows, {LOOKED: until.isoformat()})
            count += len(rows)
        return count

    # Inside

    def _found(self) -> tuple[list[tuple[Gap, date]], Mapping[date, Holding]]:
        """Gaps, each with the day of the last close before it, and what was held on their days."""
        looked = self._ledger.fact(LOOKED)
        closes = [close for close in self._ledger.closes() if looked is None or close.day >= date.fromisoformat(looked)]
        found = [*gaps(closes, self._ledger.flows(None), self._settings.scope)]
        holdings = self._statistics.holdings([day for gap in found for day in gap.days])
        return [(gap, gap.days[-1]) for gap in found], holdings

    async def _prices(
        self, gap: Gap, holdings: Mapping[date, Holding], daily: DailyCloses
    ) -> tuple[Mapping[date, Mapping[str, Decimal]], Mapping[date, Decimal]]:
        """Prices in quote by day and coin, and the rate of each day. Raises ExchangeError."""
        quote = self._settings.quote
        before = await guarded(self._ledger.ask(self._ledger.closing_prices))
        coins = {coin for day in gap.days for coin in holdings[day].coins} | {
            BENCHMARK,
            *before.get(gap.before.day, ()),
        }
        symbols = {coin: symbol_of(coin, quote) for coin in sorted(coins - {quote})}
        known: dict[str, Mapping[date, Decimal]] = {}
        for symbol in dict.fromkeys((*rate_symbols(quote), *symbols.values())):
            try:
                known[symbol] = await daily(symbol, gap.days[0], gap.days[-1])
            except Refused:  # it is not listed there
                continue
        by_day = {day: {symbol: found[day] for symbol, found in known.items() if day in found} for day in gap.days}
        rates = {day: rate for day, found in by_day.items() if (rate := eur_rate(quote, found))}
        prices = {
            day: {coin: found[symbol] for coin, symbol in symbols.items() if symbol in found}
            for day, found in by_day.items()
        }
        return prices, rates
