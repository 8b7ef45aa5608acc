"""Runs one follower: its cycles, what it publishes, its end."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import ATTR_DEVICE_ID, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event as HassEvent, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN, EVENT_SIGNAL_TOLD, LOGGER, STOP_TIMEOUT
from .exchanges import exchange_of
from .hints import AccountHints
from .issues import Reauthentication, async_sync_issues
from .leader_feeds import LeaderFeeds
from .ledgers import async_accounts, ledger_path
from .live import LivePrices
from .market import async_market
from .ranking import async_ranking
from .registry import connection_of, fields_of, sources_of
from .scheduler import Scheduler
from .settings import entry_settings, poll_interval, version
from .strategy_hints import StrategyHints
from .trading.engine import Engine
from .trading.errors import CommandError
from .trading.events import Event
from .trading.exchanges.base import Exchange, Mode
from .trading.exchanges.paper import PaperExchange
from .trading.ledger.ledger import Ledger
from .trading.ledger.storage import LedgerError
from .trading.reached import reached
from .trading.shown_orders import ShownOrders
from .trading.snapshot import Snapshot
from .trading.sources.base import Source
from .trading.sources.push import PushVerifier
from .wording import async_sentence

if TYPE_CHECKING:
    from .alert_webhook import AlertWebhook
    from .publishers.publishers import Publishers

type CalvalotConfigEntry = ConfigEntry[CalvalotCoordinator]


class CalvalotCoordinator(DataUpdateCoordinator[Snapshot]):
    """Runs the cycles of one follower, whether or not anything listens, and hands on what they publish."""

    config_entry: CalvalotConfigEntry

    def __init__(self, hass: HomeAssistant, entry: CalvalotConfigEntry, sources: Mapping[str, Source]) -> None:
        """Wire the follower of an entry. Raises InvalidSettings."""
        super().__init__(hass, LOGGER, config_entry=entry, name=entry.title)
        self.settings = entry_settings(entry)
        self.interval = poll_interval(entry)
        self._connection = connection_of(entry)
        self._fields = fields_of(entry)
        self._tuning = asyncio.Lock()
        self.exchange = exchange_of(hass, entry.data)
        self.market = async_market(hass, entry.data)
        self.live = LivePrices(hass, entry, self.market, self._on_prices)
        # Prices of the stream, and what they have come to that was seen to already.
        self._prices: dict[str, Decimal] = {}
        self._reached: frozenset[str] = frozenset()
        self.exchange.live_prices = self.live.prices
        self.ledger = Ledger(ledger_path(hass, entry.entry_id), self.settings.mode, self.settings.quote)
        exchange: Exchange = self.exchange
        if self.settings.mode is Mode.DRY_RUN:
            exchange = PaperExchange(self.exchange, dt_util.utcnow, self.live.prices)
        self.engine = Engine(
            self.settings,
            sources=sources,
            exchange=exchange,
            ledger=self.ledger,
            clock=dt_util.utcnow,
            publish=self._publish,
            accounts=async_accounts(hass),
            ranking=lambda: async_ranking(hass, entry),
            live_prices=self.live.prices,
            midnight=lambda now: dt_util.start_of_local_day(dt_util.as_local(now)),
        )
        self.shown_orders = ShownOrders(self.engine.orders, dt_util.utcnow)
        # One for all of its entities.
        self.device = DeviceInfo(
            entry_type=DeviceEntryType.SERVICE,
            identifiers={(DOMAIN, entry.entry_id)},
            manufacturer="Calv-a-lot",
            name=entry.title,
            # Not the leader's address: it answers followers only, and shows a person nothing but a 404.
            configuration_url=None,
        )
        self.device_id = ""
        self._stop_listening: CALLBACK_TYPE | None = None
        self._happened: SignalType[Event] = SignalType(f"{DOMAIN}_{entry.entry_id}")
        self._reauth = Reauthentication(hass, entry)
        self._told: dict[str, Exception] = {}
        self.verifier: PushVerifier | None = None
        self.alert_webhooks: dict[str, AlertWebhook] = {}
        self.publishers: Publishers | None = None
        self.feeds = LeaderFeeds(hass, entry)
        self.scheduler = Scheduler(
            hass,
            entry.title,
            lambda: self.engine.cycle(),  # noqa: PLW0108  # looked up anew each time
            lambda: self.exchange.pause,
            self.async_set_update_error,
        )
        self._looked_on: date | None = None
        self.strategies = StrategyHints(self.market, self.engine, self.scheduler)
        self.hints: AccountHints | None = None
        if self.settings.mode is Mode.LIVE and self.exchange.account_stream:
            self.hints = AccountHints(hass, entry, self.exchange.account_stream, self.engine, self.scheduler)

    async def async_start(self) -> None:
        """Open the book; nothing goes over the network yet. Raises LedgerError."""
        try:
            await self.engine.start()
        except LedgerError:
            await self.engine.stop()
            raise
        self.data = self.engine.snapshot
        self.market.async_join(self.config_entry)
        self.device_id = (
            dr.async_get(self.hass).async_get_or_create(config_entry_id=self.config_entry.entry_id, **self.device).id
        )

    async def async_begin(self) -> None:
        """Run the first cycle, waiting a moment for its figures, and the others on time."""
        self._stop_listening = self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, self._async_home_assistant_stops)
        await self.scheduler.begin(None if self.config_entry.pref_disable_polling else self.interval)

    @property
    def is_connected_anew(self) -> bool:
        """Whether the entry stores more than tuning that is not in use yet."""
        return connection_of(self.config_entry) != self._connection

    async def async_tune(self) -> None:
        """Go on with what was tuned: no cycle is left out or cut short, and the next one begins at once. Raises InvalidSettings."""
        entry = self.config_entry
        self._follow()
        async with self._tuning:
            settings, interval, fields = entry_settings(entry), poll_interval(entry), fields_of(entry)
            changed = [key for key, each in fields.items() if each != self._fields[key]]
            if settings == self.settings and interval == self.interval and not changed:
                return
            sources = sources_of(self.hass, entry, await version(self.hass))
            await self.async_finish(self.engine.tune(settings, {key: sources[key] for key in changed}))
            if interval != self.interval and not entry.pref_disable_polling:
                self.scheduler.every(interval)
            self.interval, self._fields = interval, fields
            self.scheduler.queue_anew()

    async def async_sync_publishers(self) -> None:
        """Publish to those whom the entry names now, and hear those who are followed over a broker."""
        await self.feeds.async_sync()
        if self.publishers:
            await self.publishers.async_sync()

    async def async_poll(self) -> None:
        """Run a cycle now, or join the one that runs; returns when it is over."""
        await self._async_update_data()

    async def async_finish[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end: whoever gives up waiting must not cancel it, an order may be on its way."""
        return await asyncio.shield(self.hass.async_create_task(work))

    async def async_stop(self) -> None:
        """Send nothing new, let a running cycle write down what it did, close the book."""
        if self._stop_listening:
            self._stop_listening()
            self._stop_listening = None
        self.scheduler.stop()
        self.feeds.async_end()
        if self.publishers:
            await self.publishers.async_end()
        self.live.async_end()
        self.strategies.async_end()
        if self.hints:
            self.hints.async_end()
        await self.market.async_leave(self.config_entry)
        await self.engine.stop(STOP_TIMEOUT)

    @callback
    def async_add_event_listener(self, listener: Callable[[Event], None]) -> CALLBACK_TYPE:
        """Call `listener` with every event of the follower; returns what ends that."""
        return async_dispatcher_connect(self.hass, self._happened, listener)

    @override
    async def _async_update_data(self) -> Snapshot:
        return await self.scheduler.run()

    async def _async_home_assistant_stops(self, _event: HassEvent) -> None:
        self._stop_listening = None
        await self.async_stop()

    @callback
    def _on_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Begin a cycle where a price has come to what only a cycle sees to; once, whatever that cycle makes of it."""
        self._prices |= prices
        known, self._reached = self._reached, reached(self.data, self._prices, self.settings.quote)
        if self._reached - known:
            self.config_entry.async_create_background_task(self.hass, self.scheduler.push(), f"{self.name} level")

    @callback
    def _follow(self) -> None:
        """Follow what the portfolio needs of the streams now."""
        self.live.async_follow(self.engine.symbols)
        self.strategies.async_follow()
        if self.hints:
            self.hints.async_follow()

    @callback
    def _fill_gaps(self, snapshot: Snapshot) -> None:
        """After the start, and once a day, look for days without a close: in the background, no cycle waits for it."""
        today = snapshot.as_of and snapshot.as_of.date()
        if today is None or today == self._looked_on:
            return
        self._looked_on = today

        async def fill() -> None:
            with suppress(CommandError):  # the ledger cannot be read or the portfolio stops: there is another day
                await self.engine.gaps.fill(self.market.daily_closes)

        self.config_entry.async_create_background_task(self.hass, fill(), f"{DOMAIN} days without a close")

    @callback
    def _log_connections(self, snapshot: Snapshot) -> None:
        """Log once why the leader or the exchange is away, and once that it is back."""
        for who, problem in (("leader", snapshot.leader_problem), ("exchange", snapshot.exchange_problem)):
            if problem and type(problem) is not type(self._told.get(who)):
                self._told[who] = problem
                self.logger.warning("%s: the %s cannot be used: %s", self.name, who, problem)
            elif problem is None and who in self._told:
                del self._told[who]
                self.logger.info("%s: the %s answers again", self.name, who)

    @callback
    def _log_signal(self, data: dict[str, Any]) -> None:
        """Write one row of the logbook for a signal: that it was received is no news once its result is there."""
        told = {key: data[key] for key in ("type", "entry_id", ATTR_DEVICE_ID)}
        self.hass.bus.async_fire(EVENT_SIGNAL_TOLD, {**told, "message": async_sentence(self.hass, "signal", data)})

    @callback
    def _publish(self, snapshot: Snapshot, events: tuple[Event, ...]) -> None:
        self.async_set_updated_data(snapshot)
        self.scheduler.wake_at(snapshot.due)
        self._fill_gaps(snapshot)
        self._follow()
        self._log_connections(snapshot)
        async_sync_issues(self.hass, self.config_entry, snapshot)
        self._reauth.async_sync(snapshot)
        for event in events:
            data = {**event.data, "entry_id": self.config_entry.entry_id, ATTR_DEVICE_ID: self.device_id}
            self.hass.bus.async_fire(f"{DOMAIN}_{event.kind}", data)
            if event.kind == "signal" and event.type != "received" and "logbook" in self.hass.config.components:
                self._log_signal(data)
            async_dispatcher_send(self.hass, self._happened, event)
