"""What the cards ask over Home Assistant's WebSocket: followers, their pictures as they come, pages of their ledgers."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from homeassistant.components.websocket_api import async_register_command
from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.const import ERR_NOT_FOUND, WebSocketCommandHandler
from homeassistant.components.websocket_api.decorators import async_response, websocket_command
from homeassistant.components.websocket_api.messages import BASE_COMMAND_MESSAGE_SCHEMA, event_message
from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange, ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er, service
from homeassistant.helpers.dispatcher import async_dispatcher_connect
import voluptuous as vol
from yarl import URL

from .actions import invalid_input
from .budget import market_of
from .const import CONF_PAUSED, DOMAIN
from .coordinator import CalvalotConfigEntry, CalvalotCoordinator
from .errors import send_error, translated_errors
from .kinds.allocation import CONF_ALLOCATION, CONF_COIN, CONF_SHARE
from .kinds.base import SourceType
from .market_feed import async_setup_market_feed
from .registry import kinds_of, stored_of
from .settings import weights_of
from .trading import alert_responses, order_responses, pages, ready_made
from .trading.decimals import ONE
from .trading.errors import ExchangeError
from .trading.events import Event
from .trading.exits import exiting
from .trading.ledger.ledger import Ledger
from .trading.responses import Json, iso, portfolio, text

ATTR_ENTRY_ID: Final = "entry_id"
ATTR_BEFORE: Final = "before"
ATTR_LIMIT: Final = "limit"
ATTR_SHARES: Final = "shares"
ATTR_CAP: Final = "cap"
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 200
REMOVED: Final = "removed"

PAGES: Final[dict[str, Callable[[Ledger, int, int | None], list[Json]]]] = {
    "signals": pages.signals,
    "trades": pages.trades,
    "cash_flows": pages.cash_flows,
    "alerts": alert_responses.alerts,
}


@callback
def async_setup_websocket_api(hass: HomeAssistant) -> None:
    """Register the commands."""
    async_register_command(hass, ws_followers)
    async_register_command(hass, ws_subscribe)
    async_register_command(hass, ws_ready_made)
    async_setup_market_feed(hass)
    async_register_command(hass, ws_performance)
    for name in PAGES:
        command = f"{DOMAIN}/{name}"
        schema = BASE_COMMAND_MESSAGE_SCHEMA.extend(
            {
                vol.Required("type"): command,
                vol.Required(ATTR_ENTRY_ID): str,
                vol.Optional(ATTR_BEFORE): vol.All(int, vol.Range(min=1)),
                vol.Optional(ATTR_LIMIT, default=DEFAULT_LIMIT): vol.All(int, vol.Range(min=1, max=MAX_LIMIT)),
            }
        )
        async_register_command(hass, command, _page_command(name), schema)


@websocket_command({vol.Required("type"): f"{DOMAIN}/followers"})
@callback
def ws_followers(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """List the followers, with the ids of their enabled entities by key."""
    registry = er.async_get(hass)
    followers = [
        {
            "entry_id": entry.entry_id,
            "title": entry.title,
            "state": entry.state.value,
            "disabled": entry.disabled_by is not None,
            "entities": {
                entity.unique_id.removeprefix(f"{entry.entry_id}_"): entity.entity_id
                for entity in er.async_entries_for_config_entry(registry, entry.entry_id)
                if not entity.disabled
            },
        }
        for entry in hass.config_entries.async_entries(DOMAIN)
    ]
    connection.send_result(msg["id"], {"followers": followers})


@websocket_command({vol.Required("type"): f"{DOMAIN}/subscribe", vol.Required(ATTR_ENTRY_ID): str})
@callback
def ws_subscribe(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Push the picture of a follower now and whenever it changes, and what happens to it."""
    entry = hass.config_entries.async_get_entry(msg[ATTR_ENTRY_ID])
    if entry is None or entry.domain != DOMAIN:
        connection.send_error(
            msg["id"],
            ERR_NOT_FOUND,
            "No such follower",
            translation_domain=DOMAIN,
            translation_key="follower_not_found",
        )
        return

    def send(payload: Json) -> None:
        connection.send_message(event_message(msg["id"], payload))

    feed = Feed(hass, entry, send)
    connection.subscriptions[msg["id"]] = feed.close
    connection.send_result(msg["id"])
    feed.push()


@websocket_command(
    {
        vol.Required("type"): f"{DOMAIN}/ready_made",
        vol.Required(ATTR_ENTRY_ID): str,
        vol.Required(ATTR_SHARES): {str: vol.All(vol.Coerce(float), vol.Range(0, 100))},
        vol.Required(ATTR_CAP): vol.All(vol.Coerce(float), vol.Range(1, 100)),
    }
)
@async_response
async def ws_ready_made(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Allocations of the given coins to start from, in %; by market cap only those that its figures are known of."""
    try:
        entry: CalvalotConfigEntry = service.async_get_config_entry(hass, DOMAIN, msg[ATTR_ENTRY_ID])
        coordinator = entry.runtime_data
        shares = {coin: Decimal(str(share)) for coin, share in msg[ATTR_SHARES].items()}
        try:
            market = await market_of(coordinator.exchange, shares, coordinator.settings.quote)
        except ExchangeError as err:
            raise invalid_input("allocation_cannot_connect_exchange") from err
    except HomeAssistantError as err:
        send_error(connection, msg, err)
        return
    weights = {coin: each.weight for coin, each in coordinator.data.positions.items() if each.weight}
    found = {
        "equal_parts": ready_made.equal_parts(shares),
        "market_cap": ready_made.by_market_cap(market.prices, Decimal(str(msg[ATTR_CAP]))),
        "sixty_forty": ready_made.sixty_forty(shares),
        "as_held": ready_made.as_held(weights),
    }
    told = {name: {coin: float(share) for coin, share in each.items()} for name, each in found.items()}
    connection.send_result(msg["id"], told)


@websocket_command({vol.Required("type"): f"{DOMAIN}/performance", vol.Required(ATTR_ENTRY_ID): str})
@async_response
async def ws_performance(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """How a portfolio does: the statistics, and its curves day by day."""
    try:
        entry: CalvalotConfigEntry = service.async_get_config_entry(hass, DOMAIN, msg[ATTR_ENTRY_ID])
        engine = entry.runtime_data.engine
        with translated_errors():
            statistics = await engine.queries.statistics(engine.snapshot.sources)
            days = await engine.queries.curves()
    except HomeAssistantError as err:
        send_error(connection, msg, err)
        return
    connection.send_result(msg["id"], {**statistics, "days": days})


def _page_command(name: str) -> WebSocketCommandHandler:
    """The command that answers with a page of the ledger."""

    @async_response
    async def ws_page(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
        try:
            entry: CalvalotConfigEntry = service.async_get_config_entry(hass, DOMAIN, msg[ATTR_ENTRY_ID])
            with translated_errors():
                page = await entry.runtime_data.engine.queries.page(PAGES[name], msg[ATTR_LIMIT], msg.get(ATTR_BEFORE))
        except HomeAssistantError as err:
            send_error(connection, msg, err)
            return
        connection.send_result(msg["id"], {name: page})

    return ws_page


class Feed:
    """Sends what one follower publishes, across its reloads, until it is closed."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], send: Callable[[Json], None]) -> None:
        """Listen to the entry, and to its coordinator while it is loaded."""
        self._entry = entry
        self._send = send
        self._coordinator: CalvalotCoordinator | None = None
        self._leave: list[CALLBACK_TYPE] = []
        self._close = async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._entry_changed)
        self._follow()

    @callback
    def close(self) -> None:
        """Send nothing any more."""
        self._close()
        self._detach()

    @callback
    def push(self) -> None:
        """Send the picture; none while the follower is not loaded or its cycle broke."""
        coordinator = self._coordinator
        known = coordinator is not None and coordinator.last_update_success
        self._send(
            {"state": self._entry.state.value, "follower": _picture(coordinator) if coordinator and known else None}
        )

    @callback
    def _entry_changed(self, change: ConfigEntryChange, entry: ConfigEntry[Any]) -> None:
        if entry.entry_id != self._entry.entry_id:
            return
        if change is ConfigEntryChange.REMOVED:
            self._detach()
            self._send({"state": REMOVED, "follower": None})
            return
        self._follow()
        self.push()

    @callback
    def _follow(self) -> None:
        """Listen to the coordinator of the moment."""
        loaded = self._entry.state is ConfigEntryState.LOADED
        coordinator: CalvalotCoordinator | None = self._entry.runtime_data if loaded else None
        if coordinator is self._coordinator:
            return
        self._detach()
        self._coordinator = coordinator
        if coordinator:
            self._leave = [
                coordinator.async_add_listener(self.push),
                coordinator.async_add_event_listener(self._tell),
                coordinator.live.async_listen(self.push),
            ]

    @callback
    def _detach(self) -> None:
        while self._leave:
            self._leave.pop()()
        self._coordinator = None

    @callback
    def _tell(self, event: Event) -> None:
        self._send({"event": {"kind": event.kind, **event.data}})


def _picture(coordinator: CalvalotCoordinator) -> Json:
    """The book and the state of a follower, at the prices of this moment where the stream has them."""
    latest = coordinator.live.latest
    snapshot = coordinator.engine.publisher.at(latest) if latest else coordinator.data
    known = coordinator.engine.publisher.last_valued if snapshot.total_value is None else None
    return {
        "title": coordinator.config_entry.title,
        "quote": coordinator.settings.quote,
        **portfolio(snapshot),
        "paused": snapshot.paused,
        "live": latest is not None,
        "sources": _sources(coordinator.config_entry),
        "leader_connected": snapshot.leader_connected,
        "exchange_connected": snapshot.exchange_connected,
        "leader_problem": snapshot.leader_problem and snapshot.leader_problem.key,
        "exchange_problem": snapshot.exchange_problem and snapshot.exchange_problem.key,
        "last_signal": iso(snapshot.last_signal),
        "last_signal_result": snapshot.last_signal_result,
        "last_trade": iso(snapshot.last_trade),
        "waiting_signal": snapshot.waiting_signal,
        "waiting_until": iso(snapshot.waiting_until),
        "exiting": exiting(snapshot),
        "held_back": list(snapshot.held_back),
        "prices": {coin: text(each.price) for coin, each in snapshot.positions.items() if each.price},
        "orders": order_responses.open_orders(snapshot),
        "limits": _limits(coordinator),
        "spare": text(snapshot.spare, 2),
        "last_known": known and portfolio(known),
    }


def _sources(entry: ConfigEntry[Any]) -> list[Json]:
    """What decides: its weight (%), its name or the host where it is asked, and the shares (%) of an own allocation."""
    weights = weights_of(entry)
    return [_source(entry, key, kind, float(weights[key])) for key, kind in kinds_of(entry).items()]


def _source(entry: ConfigEntry[Any], key: str, kind: SourceType, weight: float) -> Json:
    stored, subentry = stored_of(entry, key), entry.subentries.get(key)
    address = kind.address(stored.data)
    return {
        "key": key,
        "kind": kind.kind,
        "name": subentry.title if subentry else address and URL(address).host,
        "weight": weight,
        "paused": bool(stored.options.get(CONF_PAUSED)),
        "shares": {row[CONF_COIN]: row[CONF_SHARE] for row in stored.options.get(CONF_ALLOCATION, ())},
    }


def _limits(coordinator: CalvalotCoordinator) -> Json:
    """What bounds a follower beyond the defaults; shares as fractions, the fall from the peak so far in %."""
    settings = coordinator.settings
    return {
        "stop_loss_drawdown": text(settings.stop_loss_drawdown),
        "fall": text(coordinator.data.fall, 4),
        "stop_loss_sell": settings.stop_loss_sell,
        "max_trades_per_day": settings.max_trades_per_day,
        "max_order_share": None if settings.max_order_share == ONE else text(settings.max_order_share),
        "approval": settings.approval.value,
    }
