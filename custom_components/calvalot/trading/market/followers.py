"""Who follows which candles and prices, and how they are told."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
import logging

from ..exchanges.stream import CandleUpdate, StreamFormat
from .candles import Candle, TimeFrame, merged

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed candle of a symbol, and when (Unix seconds, our clock) it was written down.

    `joins` is False where the exchange has none before it: what was computed from earlier ones begins anew.
    """

    symbol: str
    frame: TimeFrame
    candle: Candle
    written: float
    joins: bool = True


type OnCandle = Callable[[Closed], None]
type OnUpdate = Callable[[CandleUpdate], None]
type OnPrices = Callable[[Mapping[str, Decimal]], None]
type End = Callable[[], None]
type Key = tuple[str, TimeFrame]


@dataclass(slots=True, eq=False)
class _OfCandles:
    """Who follows a series: `basis` is the one of the exchange that it is made from."""

    symbol: str
    frame: TimeFrame
    basis: Key
    on_candle: OnCandle
    on_update: OnUpdate | None


@dataclass(slots=True, eq=False)
class _OfPrices:
    """Who follows prices."""

    symbols: frozenset[str]
    on_prices: OnPrices


class Followers:
    """Everyone who follows something of one exchange, which offers some time frames; one who breaks is no harm to the others."""

    def __init__(self, offered: Collection[TimeFrame], streams: StreamFormat) -> None:
        self._offered = offered
        self._streams = streams
        self._of_candles: list[_OfCandles] = []
        self._of_prices: list[_OfPrices] = []
        # Of the candles that are made from shorter ones: the parts so far, and when the last one opened.
        self._parts: dict[Key, list[Candle]] = {}
        self._last: dict[Key, int] = {}

    def __bool__(self) -> bool:
        """Whether anybody follows anything."""
        return bool(self._of_candles or self._of_prices)

    def basis(self, symbol: str, frame: TimeFrame) -> Key:
        """The series of the exchange that candles are made from."""
        return symbol, frame.basis(self._offered)

    def add_candles(self, symbol: str, frame: TimeFrame, on_candle: OnCandle, on_update: OnUpdate | None) -> End:
        """Add one; returns what takes him off again."""
        return _added(self._of_candles, _OfCandles(symbol, frame, self.basis(symbol, frame), on_candle, on_update))

    def add_prices(self, symbols: Collection[str], on_prices: OnPrices) -> End:
        """Add one; returns what takes him off again."""
        return _added(self._of_prices, _OfPrices(frozenset(symbols), on_prices))

    def clear(self) -> None:
        """Take everyone off."""
        for each in (self._of_candles, self._of_prices, self._parts, self._last):
            each.clear()

    @property
    def series(self) -> dict[Key, int]:
        """Every series of the exchange that is needed, and the seconds of the longest candle that is made from it."""
        found: dict[Key, int] = {}
        for each in self._of_candles:
            found[each.basis] = max(found.get(each.basis, 0), each.frame.seconds)
        return found

    @property
    def streams(self) -> set[str]:
        """Names of the streams that are needed."""
        prices = {self._streams.prices(symbol) for each in self._of_prices for symbol in each.symbols}
        return prices | {self._streams.candles(*each.basis) for each in self._of_candles}

    def show_update(self, update: CandleUpdate) -> None:
        """Show a candle that need not be closed to those who want such."""
        for each in [*self._of_candles]:
            if each.on_update and (each.symbol, each.frame) == (update.symbol, update.frame):
                _call(each.on_update, update)

    def show_candle(self, closed: Closed) -> None:
        """Show a closed candle, and the longer ones that end with it."""
        key = closed.symbol, closed.frame
        longer = {each.frame for each in self._of_candles if each.basis == key and each.frame is not closed.frame}
        self._show(closed)
        for frame in longer:
            parts = self._parts.setdefault((closed.symbol, frame), [])
            parts.append(closed.candle)
            if (closed.candle.opened + closed.frame.seconds) % frame.seconds == 0:
                for made in merged(parts, closed.frame, frame):
                    last = self._last.get((closed.symbol, frame))
                    self._show(
                        replace(closed, frame=frame, candle=made, joins=last in (None, made.opened - frame.seconds))
                    )
                    self._last[closed.symbol, frame] = made.opened
                parts.clear()

    def _show(self, closed: Closed) -> None:
        for each in [*self._of_candles]:
            if (each.symbol, each.frame) == (closed.symbol, closed.frame):
                _call(each.on_candle, closed)

    def show_prices(self, changed: Mapping[str, Decimal]) -> None:
        """Show prices to those who follow them."""
        for each in [*self._of_prices]:
            if news := {symbol: price for symbol, price in changed.items() if symbol in each.symbols}:
                _call(each.on_prices, news)


def _added[T](followers: list[T], follower: T) -> End:
    followers.append(follower)

    def end() -> None:
        with suppress(ValueError):
            followers.remove(follower)

    return end


def _call[T](listener: Callable[[T], None], news: T) -> None:
    try:
        listener(news)
    except Exception:
        _LOGGER.exception("Somebody who follows the market broke")
