"""A backtest: sources decide at each close, and what they want is traded at the next open.

A stop within a candle is traded there, at its level or the open that was beyond it, a profit at its level, where one strategy
decides as the limit that rests there; a stop before a profit. With candles of a shorter time frame inside, in their order. What sells at a stop leaves the other coins alone until the next close:
their prices at that moment are not known. Planner and book work only where something is wanted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ..decimals import ZERO, round_down
from ..exchanges.base import SymbolRules
from ..exchanges.paper import USUAL, Costs
from ..exchanges.replay import ReplayExchange
from ..exchanges.symbols import symbol_of
from ..limits import Limits
from ..market.candles import TimeFrame
from ..portfolio import Portfolio
from ..signal import Signal
from ..sizing import Market
from ..sources.base import Moment
from ..wants import Allocation
from ..weights import weights_of
from .book import Book
from .sources import Replayed, Stop
from .trader import Trader
from .walk import Inside, Slot

DAY = 86_400
# Seconds after a close at which what was decided is traded.
AFTER_CLOSE = 2
# Slots between two looks at how far it is.
LOOK = 2048

# How far it is (a fraction), and how many orders were filled so far.
type Report = Callable[[float, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is tested on: coins against `quote`, from `begin` to before `end` (Unix seconds), with `budget` in quote.

    `rules` by symbol bind orders as on the exchange, `limits` as in a portfolio; a signal of which something could not be
    placed is tried again for `max_age`.
    """

    coins: tuple[str, ...]
    frame: TimeFrame
    begin: int
    end: int
    rules: Mapping[str, SymbolRules]
    quote: str = "USDC"
    budget: Decimal = Decimal(10_000)
    limits: Limits = field(default_factory=Limits)
    costs: Costs = USUAL
    fee_coin: str | None = None
    max_age: timedelta = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Day:
    """The end of a day (days since 1970): value of the book, what the same money is worth that bought and held, share invested."""

    number: int
    value: float
    hold: float
    invested: float


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a backtest came to; `invested` of the `slots` began with coins held. Times are Unix seconds."""

    setup: Setup
    book: Book
    trader: Trader
    days: list[Day]
    slots: int = 0
    invested: int = 0
    missing: int = 0
    began: int | None = None
    ended: int | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])

    @property
    def value(self) -> Decimal:
        """What the book is worth in the end, in quote."""
        valuation = self.book.portfolio.value(self.prices)
        return valuation.total if valuation else ZERO


class Backtest:
    """One run; it can be made once."""

    def __init__(self, setup: Setup, source: Replayed) -> None:
        self._setup = setup
        self._source = source
        self._exchange = ReplayExchange(setup.rules, setup.fee_coin, setup.costs)
        self._market = Market(quote=setup.quote, prices={}, rules=setup.rules)
        self._book = Book(Portfolio(cash=setup.budget, paid_in=setup.budget), setup.quote)
        self._trader = Trader(self._book, self._exchange, setup.limits, setup.max_age)
        self._last_signal: datetime | None = None
        # Last prices, as floats: they become decimals only where something is wanted.
        self._prices: dict[str, float] = {}
        self._held: dict[str, float] = {}

    async def run(self, slots: Iterable[Slot], inside: Inside | None = None, report: Report | None = None) -> Outcome:
        """Go through the candles; those from before the beginning warm the source up. Raises BacktestError.

        Nothing in here waits for anything: it is done when it comes back.
        """
        setup, source, prices, trader = self._setup, self._source, self._prices, self._trader
        outcome = Outcome(setup=setup, book=self._book, trader=self._trader, days=[])
        seconds, number = setup.frame.seconds, 0
        for number, slot in enumerate(slots):
            opened = slot.opened
            if opened >= setup.end:
                break
            if opened >= setup.begin:
                self._count(outcome, slot)
                for coin, candle in slot.candles.items():
                    prices[coin] = candle.open
                at = opened + AFTER_CLOSE
                wakes = source.wakes(prices, at)
                if wakes or trader.record is not None:
                    await self._open(at, wakes=wakes)
                outcome.invested += bool(self._book.open)
                if inside is not None:
                    for shorter in inside.between(opened, opened + seconds):
                        at = shorter.opened + inside.seconds - 1
                        if stop := source.within(shorter, at):
                            await self._stop(stop, at)
            stop = source.close(slot)
            if stop is not None and opened >= setup.begin:
                await self._stop(stop, opened + seconds - 1)
            for coin, candle in slot.candles.items():
                prices[coin] = candle.close
            if report and not number % LOOK:
                report(max(opened - setup.begin, 0) / (setup.end - setup.begin), len(self._book.fills))
        if outcome.ended is not None:
            self._end_day(outcome)
        self._trader.close()
        outcome.prices = self._decimal_prices()
        return outcome

    # Inside

    def _count(self, outcome: Outcome, slot: Slot) -> None:
        """Take note of a slot; where a day has ended, of what it ended with."""
        opened = slot.opened
        if outcome.ended is None:
            outcome.began = opened
        else:
            outcome.missing += (opened - outcome.ended) // self._setup.frame.seconds - 1
            if opened // DAY != outcome.ended // DAY:
                self._end_day(outcome)
        for coin, candle in slot.candles.items():
            if coin not in self._held:
                self._held[coin] = self._bought_and_held(coin, candle.open)
        outcome.ended = opened
        outcome.slots += 1

    def _bought_and_held(self, coin: str, price: float) -> float:
        """What an even part of the money buys of a coin, with the same costs."""
        costs = self._setup.costs
        part = float(self._setup.budget) / len(self._setup.coins)
        fee = costs.fee_of(self._setup.rules[symbol_of(coin, self._setup.quote)])
        return part / (price * (1 + float(costs.slippage(coin)))) * (1 - float(fee))

    def _end_day(self, outcome: Outcome) -> None:
        portfolio, prices = self._book.portfolio, self._prices
        cash = float(portfolio.cash)
        value = cash + sum(float(each.quantity) * prices[coin] for coin, each in portfolio.positions.items())
        uninvested = float(self._setup.budget) * (1 - len(self._held) / len(self._setup.coins))
        hold = uninvested + sum(quantity * prices[coin] for coin, quantity in self._held.items())
        outcome.days.append(Day((outcome.ended or 0) // DAY, value, hold, 1 - cash / value if value else 0.0))

    def _decimal_prices(self) -> dict[str, Decimal]:
        """The last prices; a candle's figure is written out as it was read."""
        return {coin: Decimal(repr(price)) for coin, price in self._prices.items()}

    async def _open(self, at: int, *, wakes: bool) -> None:
        """Just after a close, at the first prices of what comes next."""
        now = datetime.fromtimestamp(at, UTC)
        market = self._shown(now, self._decimal_prices())
        if wakes and (signal := self._source.decide(self._moment(now, market))):
            self._take_up(signal, at, self._source.reasons)
        await self._trader.pursue(market, at)

    async def _stop(self, stop: Stop, at: int) -> None:
        """Sell coins within a candle, at the prices at which their stops or profits were reached."""
        now = datetime.fromtimestamp(at, UTC)
        prices = self._decimal_prices() | {coin: Decimal(repr(price)) for coin, price in stop.prices.items()}
        for coin in stop.at_limit:
            rules = self._setup.rules[symbol_of(coin, self._setup.quote)]
            prices[coin] = round_down(prices[coin], rules.tick)
        market = self._shown(now, prices, stop.at_limit)
        targets = self._source.targets or {}
        shares = {coin: targets.get(coin, ZERO) for coin in stop.prices}
        others = frozenset({*targets, *self._book.portfolio.positions}) - shares.keys()
        wants = Allocation(shares={coin: share for coin, share in shares.items() if share}, keep=others)
        reasoning = "; ".join(f"{reason}: {coin}" for coin, reason in stop.reasons.items())
        signal = Signal(signal_id=f"stop-{at}", wants=wants, targets=targets, created_at=now, reasoning=reasoning)
        self._take_up(signal, at, stop.reasons)
        await self._trader.pursue(market, at)
        self._prices.update(stop.prices)

    def _shown(self, now: datetime, prices: Mapping[str, Decimal], at_limit: Iterable[str] = ()) -> Market:
        quote = self._setup.quote
        limits = frozenset(symbol_of(coin, quote) for coin in at_limit)
        self._exchange.show(now, {symbol_of(coin, quote): price for coin, price in prices.items()}, limits)
        return replace(self._market, prices=prices)

    def _take_up(self, signal: Signal, at: int, reasons: Mapping[str, str]) -> None:
        self._trader.take_up(signal, at, reasons)
        self._last_signal = datetime.fromtimestamp(at, UTC)

    def _moment(self, now: datetime, market: Market) -> Moment:
        portfolio, limits = self._book.portfolio, self._setup.limits
        weights, smallest, capital = weights_of(portfolio, market, limits, apart=(), frozen=())
        return Moment(
            now=now,
            prices=market.prices,
            weights=weights,
            smallest=smallest,
            last=self._last_signal,
            is_open=self._trader.record is not None,
            capital=capital,
        )
