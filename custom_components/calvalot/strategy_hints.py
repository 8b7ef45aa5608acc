"""What strategies need of the stream: their candles, and a cycle at once where a price has come to a stop or a profit."""

from collections.abc import Mapping
from decimal import Decimal

from homeassistant.core import CALLBACK_TYPE, callback

from .market import Market
from .scheduler import Scheduler
from .trading.engine import Engine
from .trading.exchanges.symbols import symbol_of
from .trading.market.candles import TimeFrame
from .trading.market.followers import Closed
from .trading.sources.strategy import StrategySource
from .trading.strategies.evaluator import Levels

type Key = tuple[str, TimeFrame]


class StrategyHints:
    """Follows what the strategies of one portfolio look at; what it hears starts cycles and nothing else."""

    def __init__(self, market: Market, engine: Engine, scheduler: Scheduler) -> None:
        """Follow nothing yet."""
        self._market = market
        self._engine = engine
        self._scheduler = scheduler
        self._candles: dict[Key, CALLBACK_TYPE] = {}
        self._levels: dict[str, list[Levels]] = {}
        self._prices: CALLBACK_TYPE | None = None
        self._symbols: frozenset[str] = frozenset()

    @callback
    def async_follow(self) -> None:
        """Follow what they look at now."""
        wanted: set[Key] = set()
        self._levels = {}
        for state in self._engine.members:
            if not isinstance(source := state.source, StrategySource):
                continue
            wanted |= {(self._symbol(coin), source.settings.frame) for coin in source.settings.coins}
            for coin, levels in source.levels.items():
                self._levels.setdefault(self._symbol(coin), []).append(levels)
        for key in self._candles.keys() - wanted:
            self._candles.pop(key)()
        for key in wanted - self._candles.keys():
            # That they are kept is enough: each source has its own time to look at them.
            self._candles[key] = self._market.stream.follow_candles(*key, _keep)
        if (symbols := frozenset(self._levels)) != self._symbols:
            before, self._symbols = self._prices, symbols
            self._prices = self._market.stream.follow_prices(symbols, self._on_prices) if symbols else None
            if before:
                before()

    @callback
    def async_end(self) -> None:
        """Follow nothing more."""
        ends = [*self._candles.values(), *([self._prices] if self._prices else [])]
        self._candles, self._prices, self._symbols = {}, None, frozenset()
        for end in ends:
            end()

    # Inside

    def _symbol(self, coin: str) -> str:
        return symbol_of(coin, self._engine.settings.quote)

    @callback
    def _on_prices(self, changed: Mapping[str, Decimal]) -> None:
        for symbol, price in changed.items():
            if any(levels.reached(float(price), float(price)) for levels in self._levels.get(symbol, ())):
                self._scheduler.queue_anew()
                return


@callback
def _keep(_closed: Closed) -> None:
    """The stream keeps each candle that closes."""
