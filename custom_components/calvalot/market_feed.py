"""What the market view asks over Home Assistant's WebSocket: candles as they move and close, and how each time frame is."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
import time
from typing import Any, Final

from homeassistant.components.websocket_api import async_register_command
from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.decorators import websocket_command
from homeassistant.components.websocket_api.messages import event_message
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import service
import voluptuous as vol

from .candle_trigger import figures
from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .errors import send_error
from .market import async_follow_candles
from .trading.exchanges.stream import CandleUpdate
from .trading.market.candles import TimeFrame
from .trading.market.followers import Closed
from .trading.responses import Json, iso

ATTR_ENTRY_ID: Final = "entry_id"
ATTR_TIME_FRAME: Final = "time_frame"
# Seconds between two messages about one open candle.
BETWEEN: Final = 2.0


@callback
def async_setup_market_feed(hass: HomeAssistant) -> None:
    """Register the command."""
    async_register_command(hass, ws_market)


@websocket_command(
    {
        vol.Required("type"): f"{DOMAIN}/market",
        vol.Required(ATTR_ENTRY_ID): str,
        vol.Required(ATTR_TIME_FRAME): vol.In([frame.value for frame in TimeFrame]),
    }
)
@callback
def ws_market(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Push each candle that closes, of every coin that is wanted or held; open ones of the time frame that is looked at."""
    try:
        entry: CalvalotConfigEntry = service.async_get_config_entry(hass, DOMAIN, msg[ATTR_ENTRY_ID])
    except HomeAssistantError as err:
        send_error(connection, msg, err)
        return

    def send(payload: Json) -> None:
        connection.send_message(event_message(msg["id"], payload))

    feed = MarketFeed(hass, entry, TimeFrame(msg[ATTR_TIME_FRAME]), send)
    connection.subscriptions[msg["id"]] = feed.close
    connection.send_result(msg["id"])
    feed.send_lights()


class MarketFeed:
    """Sends what the stream brings for one portfolio, across its reloads, until it is closed."""

    def __init__(
        self, hass: HomeAssistant, entry: CalvalotConfigEntry, looked_at: TimeFrame, send: Callable[[Json], None]
    ) -> None:
        """Follow the candles of all time frames, so that each can be judged."""
        coordinator = entry.runtime_data
        self._stream = coordinator.market.stream
        self._send = send
        self._coins = sorted({*coordinator.settings.coins, *coordinator.data.positions})
        self._sent: dict[str, float] = {}
        self._leave: list[CALLBACK_TYPE] = [self._stream.listen(self.send_lights)]
        for coin in self._coins:
            for frame in TimeFrame:
                moves = partial(self._on_update, coin) if frame is looked_at else None
                self._leave.append(
                    async_follow_candles(hass, entry.entry_id, coin, frame, partial(self._on_candle, coin), moves)
                )

    @callback
    def close(self) -> None:
        """Send nothing any more."""
        while self._leave:
            self._leave.pop()()

    @callback
    def send_lights(self) -> None:
        """Send how the stream is, and the coins."""
        health = self._stream.health
        lights = [
            {
                "time_frame": frame.value,
                "last": None if each.last is None else iso(datetime.fromtimestamp(each.last + frame.seconds, UTC)),
                "behind": each.behind,
                "mended": each.mended,
            }
            for frame, each in health.frames.items()
        ]
        self._send({"connected": health.connected, "coins": self._coins, "lights": lights})

    @callback
    def _on_candle(self, coin: str, closed: Closed) -> None:
        self._send({"event": {"kind": "closed", **figures(coin, closed)}})
        self.send_lights()

    @callback
    def _on_update(self, coin: str, update: CandleUpdate) -> None:
        now = time.monotonic()
        if not update.closed and now - self._sent.get(coin, -BETWEEN) >= BETWEEN:
            self._sent[coin] = now
            candle = figures(coin, Closed(update.symbol, update.frame, update.candle, update.at))
            self._send({"event": {"kind": "open", **candle}})
