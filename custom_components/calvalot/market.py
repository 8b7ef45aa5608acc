"""The market of each exchange as all portfolios share it: one stream, one store of candles, what fills it backwards."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange, ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import (
    CONF_API_KEY,
    CONF_API_SECRET,
    CONF_CANDLE_DAYS_LONG,
    CONF_CANDLE_DAYS_SHORT,
    CONF_QUOTE_ASSET,
    DEFAULT_QUOTE_ASSET,
    DOMAIN,
)
from .exchanges import exchange_of
from .issues import MARKET_DATA_BROKEN, async_clear_issue, async_raise_issue
from .trading.exchanges.remote import RemoteExchange
from .trading.exchanges.symbols import symbol_of
from .trading.market.backfill import Backfill
from .trading.market.candles import TimeFrame
from .trading.market.followers import OnCandle, OnUpdate
from .trading.market.health import Health
from .trading.market.history import closed_candles
from .trading.market.store import DAY, KEPT_LONG, KEPT_SHORT, CandleStore, Series
from .trading.market.stream import MarketStream

# How long the stream may be broken before its owner hears of it.
BROKEN_AFTER: Final = timedelta(minutes=10)


class Market:
    """One exchange's stream and candles; the stream is there while a portfolio is, and connected while somebody follows it."""

    def __init__(self, hass: HomeAssistant, exchange: RemoteExchange, store: CandleStore) -> None:
        """Nothing goes over the network yet."""
        session = async_get_clientsession(hass)
        address = exchange.stream_url
        self.host = exchange.host
        self.exchange = exchange
        self.store = store
        self.stream = MarketStream(session, address, self.exchange, store, self.host)
        self._hass = hass
        self._stream_host = URL(address or "").host or ""
        self._users: dict[str, ConfigEntry[Any]] = {}
        self._fills: dict[Series, tuple[Backfill, asyncio.Task[None]]] = {}
        self._broken: CALLBACK_TYPE | None = None
        self.stream.listen(self._on_health)

    @property
    def health(self) -> Health | None:
        """How the stream is; None while nobody needs it."""
        return self.stream.health if self.stream.followed else None

    @property
    def needed(self) -> bool:
        """Whether a portfolio uses it."""
        return bool(self._users)

    @callback
    def async_join(self, entry: ConfigEntry[Any]) -> None:
        """Take a portfolio in."""
        self._users[entry.entry_id] = entry

    async def async_leave(self, entry: ConfigEntry[Any]) -> None:
        """Let a portfolio go; with the last one the connection ends."""
        self._users.pop(entry.entry_id, None)
        async_clear_issue(self._hass, MARKET_DATA_BROKEN, entry.entry_id)
        if not self._users:
            await self.stream.stop()
            self._forgive()

    def series(self, symbol: str, frame: TimeFrame) -> Series:
        """What candles are kept under."""
        return Series(self.host, symbol, frame)

    async def daily_closes(self, symbol: str, first: date, last: date) -> dict[date, Decimal]:
        """The closing price of each day from one to another, as far as the exchange has them. Raises ExchangeError."""
        until, count = datetime.combine(last, time(), UTC) + timedelta(days=1), (last - first).days + 1
        history = await closed_candles(self.exchange, self.store, self.series(symbol, TimeFrame.D1), count, until)
        return {
            datetime.fromtimestamp(candle.opened, UTC).date(): Decimal(str(candle.close)) for candle in history.candles
        }

    @callback
    def async_fill(self, entry: ConfigEntry[Any], series: Series, since: datetime, now: datetime) -> Backfill:
        """Fill the store back to a time, as far as candles are kept; joins what is doing that already."""
        days = self.store.kept_short if series.frame.seconds < TimeFrame.H1.seconds else self.store.kept_long
        until = int(now.timestamp())
        start = max(int(since.timestamp()), until - days * DAY)
        fill, task = self._fills.get(series, (None, None))
        if fill is None or task is None or task.done() or start < fill.since:
            if task:
                task.cancel()
            fill = Backfill(self.exchange, self.store, series, start, until)
            task = entry.async_create_background_task(
                self._hass, fill.run(), f"{DOMAIN} {series.symbol} {series.frame}"
            )
            self._fills[series] = fill, task
        return fill

    # Inside

    @callback
    def _on_health(self) -> None:
        """Tell the owners where it stays broken."""
        health = self.health
        if health is None or health.sound:
            self._forgive()
        elif self._broken is None:
            self._broken = async_call_later(self._hass, BROKEN_AFTER, self._on_broken)

    @callback
    def _on_broken(self, _now: datetime) -> None:
        details = {"host": self._stream_host, "minutes": f"{BROKEN_AFTER // timedelta(minutes=1)}"}
        for entry in self._users.values():
            async_raise_issue(self._hass, entry, MARKET_DATA_BROKEN, details)

    @callback
    def _forgive(self) -> None:
        if self._broken:
            self._broken()
            self._broken = None
        for entry_id in self._users:
            async_clear_issue(self._hass, MARKET_DATA_BROKEN, entry_id)


_STORE: HassKey[CandleStore] = HassKey(f"{DOMAIN}_candles")
_MARKETS: HassKey[dict[str, Market]] = HassKey(f"{DOMAIN}_markets")


@callback
def async_store(hass: HomeAssistant) -> CandleStore:
    """Where candles are kept, as long as the most patient portfolio wants."""
    store = hass.data.get(_STORE)
    if store is None:
        store = hass.data[_STORE] = CandleStore(Path(hass.config.path(".cache", DOMAIN, "market.db")))
    options = [entry.options for entry in hass.config_entries.async_entries(DOMAIN, include_disabled=False)]
    store.kept_long = _longest(options, CONF_CANDLE_DAYS_LONG, KEPT_LONG)
    store.kept_short = _longest(options, CONF_CANDLE_DAYS_SHORT, KEPT_SHORT)
    return store


def _longest(options: Iterable[Mapping[str, Any]], name: str, default: int) -> int:
    return max((int(each.get(name, default)) for each in options), default=default)


@callback
def async_market(hass: HomeAssistant, data: Mapping[str, Any]) -> Market:
    """The market of an entry's exchange, the same for all entries on its host."""
    markets = hass.data.setdefault(_MARKETS, {})
    # Without the key: what the market asks is nobody's.
    exchange = exchange_of(hass, {**data, CONF_API_KEY: "", CONF_API_SECRET: ""})
    if exchange.host not in markets:
        markets[exchange.host] = Market(hass, exchange, async_store(hass))
    return markets[exchange.host]


@callback
def async_markets(hass: HomeAssistant) -> list[Market]:
    """The markets that portfolios use."""
    return [market for market in hass.data.get(_MARKETS, {}).values() if market.needed]


@callback
def async_keep(hass: HomeAssistant) -> None:
    """Keep candles as long as the entries say now."""
    async_store(hass)


@callback
def async_follow_candles(
    hass: HomeAssistant,
    entry_id: str,
    coin: str,
    frame: TimeFrame,
    on_candle: OnCandle,
    on_update: OnUpdate | None = None,
) -> CALLBACK_TYPE:
    """Follow a coin's candles as a portfolio has them, whenever it is loaded; returns what ends that."""
    end: CALLBACK_TYPE | None = None

    @callback
    def look() -> None:
        nonlocal end
        entry = hass.config_entries.async_get_entry(entry_id)
        loaded = entry is not None and entry.state is ConfigEntryState.LOADED
        if entry and loaded and end is None:
            symbol = symbol_of(coin, str(entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)).upper())
            end = async_market(hass, entry.data).stream.follow_candles(symbol, frame, on_candle, on_update)
        elif end and not loaded:
            end()
            end = None

    @callback
    def on_entry(_change: ConfigEntryChange, entry: ConfigEntry[Any]) -> None:
        if entry.entry_id == entry_id:
            look()

    @callback
    def leave() -> None:
        disconnect()
        if end:
            end()

    disconnect = async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, on_entry)
    look()
    return leave
