"""The market stream of a simulated exchange, quick enough for tests."""

from pathlib import Path

from aiohttp import ClientSession

from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.binance_stream import stream_url
from custom_components.calvalot.trading.exchanges.host import HostLimits
from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.market.store import CandleStore
from custom_components.calvalot.trading.market.stream import MarketStream
from custom_components.calvalot.trading.market.timing import Timing
from simulators.exchange import ExchangeSimulator

HOST = "host"
QUICK = Timing(silence=3.0, first_pause=0.02, longest_pause=0.2, idle=0.2, look=0.02)


def make_stream(sim: ExchangeSimulator, session: ClientSession, path: Path, timing: Timing = QUICK) -> MarketStream:
    """A stream of its own, with limits that nobody else knows."""
    exchange = BinanceExchange(session, sim.url, limits=HostLimits())
    return MarketStream(session, stream_url(sim.url), exchange, CandleStore(path), HOST, timing)


class Seen:
    """What somebody who follows some series was shown, and by the exchange's clock (Unix seconds) when."""

    def __init__(self, sim: ExchangeSimulator) -> None:
        self._sim = sim
        self.candles: dict[tuple[str, TimeFrame], list[Closed]] = {}
        self.too_early = 0

    def take(self, closed: Closed) -> None:
        """Note one."""
        self.candles.setdefault((closed.symbol, closed.frame), []).append(closed)
        self.too_early += closed.candle.opened + closed.frame.seconds > self._sim.server_time / 1000

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(map(len, self.candles.values()))

    def times(self, symbol: str, frame: TimeFrame) -> list[int]:
        """When those of a series opened."""
        return [closed.candle.opened for closed in self.candles.get((symbol, frame), [])]
