"""The stream of the market in Home Assistant: one for all portfolios, there while somebody needs it, and how it is told of."""

from datetime import UTC, datetime, timedelta
import time
from typing import Any

from homeassistant.const import EVENT_STATE_CHANGED, STATE_OFF, STATE_ON, STATE_UNKNOWN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    get_system_health_info,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.calvalot.const import DOMAIN
from custom_components.calvalot.diagnostics import async_get_config_entry_diagnostics
from custom_components.calvalot.market import BROKEN_AFTER, async_market, async_store
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.market.followers import Closed
from custom_components.calvalot.trading.market.store import DAY, CandleStore, Series
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .conftest import add_entry, set_up
from .entities import poll, state_of
from .market import PATIENCE, followed, minutes, until
from .test_repairs import issue
from .test_services import ask

SYMBOL = "BTCUSDC"


def told(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    """What the sensor says of the stream."""
    return state_of(hass, entry, "binary_sensor", "market_data").state


async def streams_without_gaps(hass: HomeAssistant) -> int:
    """What the page of system health says."""
    info = await get_system_health_info(hass, DOMAIN)
    info["can_reach_exchange"].close()
    return int(info["market_data"])


async def test_only_while_needed(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Nothing is connected before somebody follows something, and nothing after the portfolio is unloaded."""
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert told(hass, entry) == STATE_UNKNOWN
    assert exchange.streams.opened == 0
    stream = entry.runtime_data.market.stream
    seen: list[Closed] = []
    stream.follow_candles(SYMBOL, TimeFrame.M1, seen.append)
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1m"})
    await until(hass, lambda: told(hass, entry) == STATE_ON)
    await minutes(exchange, 3)
    await until(hass, lambda: len(seen) >= 2)
    assert await hass.config_entries.async_unload(entry.entry_id)
    await until(hass, lambda: not exchange.streams.connections)
    assert not stream.followed


async def test_one_for_all(hass: HomeAssistant, entry_data: dict[str, Any], exchange: ExchangeSimulator) -> None:
    """Portfolios on one exchange share one connection, which outlives each of them but the last."""
    entries = [add_entry(hass, entry_data, title=f"Portfolio {number}") for number in range(3)]
    assert await set_up(hass, entries[0])
    for entry, frame in zip(entries, (TimeFrame.M1, TimeFrame.M5, TimeFrame.H1), strict=True):
        entry.runtime_data.market.stream.follow_candles(SYMBOL, frame, lambda _closed: None)
    await until(hass, lambda: len(followed(exchange)) == 3)
    assert await hass.config_entries.async_unload(entries[0].entry_id)
    await until(hass, lambda: entries[1].runtime_data.market.stream.connected)
    assert exchange.streams.opened == 1
    for entry in entries[1:]:
        assert await hass.config_entries.async_unload(entry.entry_id)
    await until(hass, lambda: not exchange.streams.connections)
    assert async_market(hass, entry_data).needed is False


async def test_attributes(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """For each time frame when the last candle ended, how long ago, and what was mended; renewed once an hour, not with each candle."""
    assert await set_up(hass, entry)
    stream = entry.runtime_data.market.stream
    stream.follow_candles(SYMBOL, TimeFrame.M1, lambda _closed: None)
    await until(hass, lambda: told(hass, entry) == STATE_ON)
    exchange.streams.fault("lose", skip=1)
    await minutes(exchange, 5)
    await until(hass, lambda: stream.health.frames[TimeFrame.M1].mended >= 1)
    before = state_of(hass, entry, "binary_sensor", "market_data")
    await poll(hass, entry)
    assert state_of(hass, entry, "binary_sensor", "market_data") is before
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(hours=1, seconds=1))
    await until(hass, lambda: "1m" in state_of(hass, entry, "binary_sensor", "market_data").attributes)
    shown = state_of(hass, entry, "binary_sensor", "market_data").attributes["1m"]
    assert shown["gaps_mended"] >= 1
    assert shown["behind"] == 0
    end = datetime.fromisoformat(shown["last_candle"]).timestamp()
    assert end % 60 == 0
    assert end <= exchange.server_time / 1000


async def test_stays_broken(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """After ten minutes its owner hears of it; once it is back it is forgotten, and trading never stopped."""
    assert await set_up(hass, entry)
    entry.runtime_data.market.stream.follow_candles(SYMBOL, TimeFrame.M1, lambda _closed: None)
    await until(hass, lambda: told(hass, entry) == STATE_ON)
    exchange.fault("error", path="/stream", status=503, count=None)
    await exchange.streams.cut()
    await until(hass, lambda: told(hass, entry) == STATE_OFF)
    assert issue(hass, entry, "market_data_broken") is None
    async_fire_time_changed(hass, dt_util.utcnow() + BROKEN_AFTER + timedelta(seconds=1))
    await hass.async_block_till_done()
    found = issue(hass, entry, "market_data_broken")
    assert found
    assert found.severity is ir.IssueSeverity.WARNING
    assert found.translation_placeholders == {"name": entry.title, "host": "127.0.0.1", "minutes": "10"}
    await poll(hass, entry)
    assert issue(hass, entry, "market_data_broken")
    assert entry.runtime_data.data.exchange_connected is True
    exchange.clear_faults()
    await until(hass, lambda: told(hass, entry) == STATE_ON)
    assert issue(hass, entry, "market_data_broken") is None


async def test_filled_back(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """On request the store is filled back to a time, each candle asked for once, and it says how far it is."""
    assert await set_up(hass, entry)
    await minutes(exchange, 30)
    since = datetime.fromtimestamp(exchange.server_time / 1000 - 25 * 60, UTC).isoformat()
    wanted = {"coin": "BTC", "time_frame": "1m", "limit": 5, "since": since}
    first = (await ask(hass, "get_candles", **wanted))["backfill"]
    assert first["wanted"] in (24, 25, 26)
    await until(hass, lambda: exchange.count("GET", "/klines") >= 2)
    market = entry.runtime_data.market
    series = market.series(SYMBOL, TimeFrame.M1)
    start = int(datetime.fromisoformat(since).timestamp())
    await until(hass, lambda: len(market.store.read(series, start // 60 * 60, start + 86400)) >= first["wanted"] - 1)
    again = (await ask(hass, "get_candles", **wanted))["backfill"]
    assert (again["done"], again["running"], again["problem"]) == (first["wanted"], False, None)


async def test_no_further_than_kept(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """Candles are kept as long as the most patient portfolio wants, and the store is filled no further back."""
    entry = add_entry(hass, entry_data, candle_days_long=10, candle_days_short=2)
    assert await set_up(hass, entry)
    store = async_store(hass)
    assert store is entry.runtime_data.market.store
    assert (store.kept_long, store.kept_short) == (10, 2)
    for frame, days in (("1m", 2), ("1h", 10)):
        since = (dt_util.utcnow() - timedelta(days=300)).isoformat()
        fill = (await ask(hass, "get_candles", coin="BTC", time_frame=frame, limit=1, since=since))["backfill"]
        back = dt_util.utcnow() - datetime.fromisoformat(fill["since"])
        assert timedelta(days=days) <= back <= timedelta(days=days, hours=2)
    hass.config_entries.async_update_entry(entry, options={"candle_days_long": 20})
    await hass.async_block_till_done()
    assert (store.kept_long, store.kept_short) == (20, 30)
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_old_candles_go(hass: HomeAssistant, entry_data: dict[str, Any]) -> None:
    """What is older than its owner wants is deleted with the next candle that is kept."""
    entry = add_entry(hass, entry_data, candle_days_short=2)
    assert await set_up(hass, entry)
    store: CandleStore = entry.runtime_data.market.store
    series = Series("host", SYMBOL, TimeFrame.M1)
    now = 1_800_000_000
    candles = [Candle(now - days * DAY, 1.0, 1.0, 1.0, 1.0, 1.0) for days in (1, 3)]
    await hass.async_add_executor_job(store.write, [(series, candle) for candle in candles], now)
    found = await hass.async_add_executor_job(store.read, series, 0, now)
    assert [*found] == [candles[0].opened]


async def test_reports(hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator) -> None:
    """Diagnostics and system health say how it is; nothing while nobody needs it."""
    assert await async_setup_component(hass, "system_health", {})
    assert await set_up(hass, entry)
    assert (await async_get_config_entry_diagnostics(hass, entry))["market"] is None
    assert await streams_without_gaps(hass) == 0
    entry.runtime_data.market.stream.follow_candles(SYMBOL, TimeFrame.M1, lambda _closed: None)
    await until(hass, lambda: told(hass, entry) == STATE_ON)
    await minutes(exchange, 3)
    await until(hass, lambda: (health := entry.runtime_data.market.health) and health.frames)
    shown = (await async_get_config_entry_diagnostics(hass, entry))["market"]
    assert (shown["connected"], shown["problem"], shown["connections"]) == (True, None, 1)
    assert shown["frames"]["1m"].keys() == {"last", "mended", "corrected", "absent", "behind"}
    assert await streams_without_gaps(hass) == 1


async def test_live_prices(
    hass: HomeAssistant, entry_data: dict[str, Any], leader: LeaderSimulator, exchange: ExchangeSimulator
) -> None:
    """Switched on, all prices are followed, and an idle cycle asks the exchange for nothing; switched off, for prices again."""
    entry = add_entry(hass, entry_data, live_prices=True)
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    live = entry.runtime_data.live
    await until(hass, lambda: followed(exchange) >= {"btcusdc@miniTicker", "eurusdc@miniTicker", "bnbusdc@miniTicker"})
    exchange.advance(2)
    await until(hass, lambda: live.latest)
    exchange.forget_requests()
    await poll(hass, entry)
    assert exchange.requests == []
    assert entry.runtime_data.data.total_value
    hass.config_entries.async_update_entry(entry, options={"live_prices": False})
    await hass.async_block_till_done()
    assert live.latest is None
    await poll(hass, entry)
    assert exchange.count("GET", "/ticker/price") == 1
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_card_moves(
    hass: HomeAssistant,
    entry_data: dict[str, Any],
    leader: LeaderSimulator,
    exchange: ExchangeSimulator,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Between two cycles an open card gets the figures at the prices of the moment, thinned out; no state is written."""
    entry = add_entry(hass, entry_data, live_prices=True)
    leader.publish_v2({"BTC": "0.5"})
    assert await set_up(hass, entry)
    await poll(hass, entry)
    assert await async_setup_component(hass, "websocket_api", {})
    client = await hass_ws_client(hass)
    await client.send_json_auto_id({"type": "calvalot/subscribe", "entry_id": entry.entry_id})
    assert (await client.receive_json())["success"]
    first = (await client.receive_json())["event"]["follower"]
    await until(hass, lambda: entry.runtime_data.market.stream.connected)
    written: list[str] = []
    hass.bus.async_listen(EVENT_STATE_CHANGED, callback(lambda event: written.append(event.data["entity_id"])))
    exchange.set_price("BTCUSDC", exchange.price("BTCUSDC") * 2)
    exchange.advance(2)
    began = time.monotonic()
    while not (shown := (await client.receive_json())["event"]["follower"])["live"]:
        assert time.monotonic() - began < PATIENCE
        exchange.advance(2)
    assert float(shown["total_value"]) > float(first["total_value"]) * 1.4
    assert shown["as_of"] == first["as_of"]
    assert written == []
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_a_level_between_two_cycles(
    hass: HomeAssistant, entry_data: dict[str, Any], exchange: ExchangeSimulator
) -> None:
    """What only a cycle sees to, a trailing stop and a limit on paper, is seen to once the price has come to it."""
    entry = add_entry(hass, entry_data | {"source": "manual"}, live_prices=True)
    assert await set_up(hass, entry)
    buy = {"coin": "BTC", "side": "buy", "confirm": True}
    await ask(hass, "place_order", **buy, amount=100, trailing_stop=5)
    price = exchange.price("BTCUSDC")
    waiting = await ask(hass, "place_order", **buy, type="limit", amount=50, limit_price=str(round(price * 98 / 100)))
    await poll(hass, entry)
    assert entry.runtime_data.data.protected_by["BTC"] == "cycle"
    await until(hass, lambda: "btcusdc@miniTicker" in followed(exchange))
    exchange.set_price("BTCUSDC", price * 97 / 100)
    exchange.advance(2)
    await until(hass, lambda: not entry.runtime_data.data.resting)
    (trade, _) = await entry.runtime_data.engine.queries.trades()
    assert (trade["side"], trade["signal_id"]) == ("BUY", waiting["signal_id"])
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=10))  # two pushes are not one
    exchange.set_price("BTCUSDC", price * 90 / 100)
    exchange.advance(2)
    await until(hass, lambda: not entry.runtime_data.data.protections)
    assert (await entry.runtime_data.engine.queries.trades())[0]["side"] == "SELL"
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_market_view(
    hass: HomeAssistant, entry: MockConfigEntry, exchange: ExchangeSimulator, hass_ws_client: WebSocketGenerator
) -> None:
    """The view gets each candle that closes, open ones of its time frame, and how each time frame is; closed it follows nothing."""
    hass.config_entries.async_update_entry(entry, options={"coins": ["BTC", "ETH"]})
    assert await set_up(hass, entry)
    assert await async_setup_component(hass, "websocket_api", {})
    client = await hass_ws_client(hass)
    await client.send_json_auto_id({"type": "calvalot/market", "entry_id": entry.entry_id, "time_frame": "1m"})
    answer = await client.receive_json()
    assert answer["success"]
    first = (await client.receive_json())["event"]
    assert first == {"connected": False, "coins": ["BTC", "ETH"], "lights": []}
    await until(hass, lambda: len(followed(exchange)) == 16)
    await minutes(exchange, 3)
    seen: list[dict[str, Any]] = []
    began = time.monotonic()
    while not {"open", "closed"} <= {each.get("event", {}).get("kind") for each in seen} or not any(
        light["last"] for each in seen for light in each.get("lights", ())
    ):
        assert time.monotonic() - began < PATIENCE
        exchange.advance(5)
        seen.append((await client.receive_json())["event"])
    opened = [each["event"] for each in seen if each.get("event", {}).get("kind") == "open"]
    assert {each["time_frame"] for each in opened} == {"1m"}
    await client.send_json_auto_id({"type": "unsubscribe_events", "subscription": answer["id"]})
    await until(hass, lambda: not entry.runtime_data.market.stream.followed)
    await client.send_json_auto_id({"type": "calvalot/market", "entry_id": "none", "time_frame": "1m"})
    while (refusal := await client.receive_json())["type"] != "result" or refusal["success"]:
        pass
    assert refusal["error"]["code"] == "home_assistant_error"
    assert await hass.config_entries.async_unload(entry.entry_id)
