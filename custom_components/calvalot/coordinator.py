"""Runs one follower: its cycles, what it publishes, its end."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import ATTR_DEVICE_ID, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event as HassEvent, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.event import async_track_point_in_utc_time, async_track_time_interval
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN, EVENT_SIGNAL_TOLD, FIRST_CYCLE_TIMEOUT, LOGGER, PUSH_COOLDOWN, STOP_TIMEOUT
from .issues import Reauthentication, async_sync_issues
from .registry import sources_of
from .scheduler import async_cycle_queue
from .settings import entry_settings, exchange_of, poll_interval
from .trading.accounts import Accounts
from .trading.engine import Engine
from .trading.events import Event
from .trading.exchanges.base import Exchange, Mode
from .trading.exchanges.paper import PaperExchange
from .trading.ledger.ledger import Ledger
from .trading.ledger.storage import LedgerError
from .trading.snapshot import Snapshot
from .trading.sources.push import PushVerifier
from .wording import async_sentence

type CalvalotConfigEntry = ConfigEntry[CalvalotCoordinator]


def ledger_path(hass: HomeAssistant, entry_id: str) -> Path:
    """Where the ledger of an entry lies."""
    return Path(hass.config.path(DOMAIN, f"{entry_id}.db"))


_ACCOUNTS: HassKey[Accounts] = HassKey(f"{DOMAIN}_accounts")


@callback
def async_accounts(hass: HomeAssistant) -> Accounts:
    """The accounts that all followers of a Home Assistant trade on; a follower that is not loaded keeps its claims."""

    def ledgers() -> list[Path]:
        return [ledger_path(hass, entry.entry_id) for entry in hass.config_entries.async_entries(DOMAIN)]

    return hass.data.setdefault(_ACCOUNTS, Accounts(ledgers))


class CalvalotCoordinator(DataUpdateCoordinator[Snapshot]):
    """Runs the cycles of one follower, whether or not anything listens, and hands on what they publish."""

    config_entry: CalvalotConfigEntry

    def __init__(self, hass: HomeAssistant, entry: CalvalotConfigEntry, version: str) -> None:
        """Wire the follower of an entry. Raises InvalidSettings."""
        super().__init__(hass, LOGGER, config_entry=entry, name=entry.title)
        self.settings = entry_settings(entry)
        self.interval = poll_interval(entry)
        self.exchange = exchange_of(hass, entry.data)
        ledger = Ledger(ledger_path(hass, entry.entry_id), self.settings.mode, self.settings.quote)
        exchange: Exchange = self.exchange
        if self.settings.mode is Mode.DRY_RUN:
            exchange = PaperExchange(self.exchange, dt_util.utcnow, ledger.last_trade_id)
        self.engine = Engine(
            self.settings,
            sources=sources_of(hass, entry, version),
            exchange=exchange,
            ledger=ledger,
            clock=dt_util.utcnow,
            publish=self._publish,
            accounts=async_accounts(hass),
            midnight=lambda now: dt_util.start_of_local_day(dt_util.as_local(now)),
        )
        self.device_id = ""
        # What is shown, with its time, while there are no prices.
        self.last_valued: Snapshot | None = None
        self._happened: SignalType[Event] = SignalType(f"{DOMAIN}_{entry.entry_id}")
        self._cycle: asyncio.Task[Snapshot] | None = None
        self._queued: asyncio.Task[asyncio.Task[Snapshot]] | None = None
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._reauth = Reauthentication(hass, entry)
        self._told: dict[str, Exception] = {}
        self.verifier: PushVerifier | None = None
        self._pushes = Debouncer(hass, LOGGER, cooldown=PUSH_COOLDOWN, immediate=True, function=self._queue_anew)
        self._again = False
        self._queued_anew = False
        self._turn: CALLBACK_TYPE | None = None

    async def async_start(self) -> None:
        """Open the book; nothing goes over the network yet. Raises LedgerError."""
        try:
            await self.engine.start()
        except LedgerError:
            await self.engine.stop()
            raise
        self.data = self.engine.snapshot
        self.device_id = (
            dr.async_get(self.hass)
            .async_get_or_create(
                config_entry_id=self.config_entry.entry_id,
                identifiers={(DOMAIN, self.config_entry.entry_id)},
                name=self.config_entry.title,
            )
            .id
        )

    async def async_begin(self) -> None:
        """Run the first cycle, waiting a moment for its figures, and the others on time."""
        self._unsubscribe = [
            self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, self._async_home_assistant_stops),
        ]
        if not self.config_entry.pref_disable_polling:
            self._unsubscribe.append(
                async_track_time_interval(
                    self.hass, self._on_time, self.interval, name=f"{self.name} cycle", cancel_on_shutdown=True
                )
            )
        self._queued = self._queue(self._start_cycle)
        await asyncio.wait((self._queued,), timeout=FIRST_CYCLE_TIMEOUT)

    async def async_poll(self) -> None:
        """Run a cycle now, or join the one that runs; returns when it is over."""
        await self._async_update_data()

    async def async_heed_push(self) -> None:
        """Start a cycle at once; many pushes that come together are one, or one now and one a moment later."""
        await self._pushes.async_call()

    async def async_finish[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end: whoever gives up waiting must not cancel it, an order may be on its way."""
        return await asyncio.shield(self.hass.async_create_task(work))

    async def async_stop(self) -> None:
        """Send nothing new, let a running cycle write down what it did, close the book."""
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self._pushes.async_shutdown()
        await self.engine.stop(STOP_TIMEOUT)
        self._await_turn(None)

    @callback
    def async_add_event_listener(self, listener: Callable[[Event], None]) -> CALLBACK_TYPE:
        """Call `listener` with every event of the follower; returns what ends that."""
        return async_dispatcher_connect(self.hass, self._happened, listener)

    @override
    async def _async_update_data(self) -> Snapshot:
        # An order may be on its way: whoever gives up waiting must not cancel the cycle.
        return await asyncio.shield(self._start_cycle())

    @callback
    def _start_cycle(self) -> asyncio.Task[Snapshot]:
        if self._cycle is None or self._cycle.done():
            # No background task: those are cancelled on unload and shutdown.
            self._cycle = self.hass.async_create_task(self.engine.cycle(), f"{self.name} cycle")
            self._cycle.add_done_callback(self._cycle_over)
        return self._cycle

    @callback
    def _start_anew(self) -> asyncio.Task[Snapshot]:
        """Start a cycle, after the one that runs: that may have asked the leader and the clock already."""
        self._queued_anew = False
        self._again = self._cycle is not None and not self._cycle.done()
        return self._start_cycle()

    @callback
    def _cycle_over(self, cycle: asyncio.Task[Snapshot]) -> None:
        """A cycle that broke leaves no figures that could be taken for fresh ones."""
        if not cycle.cancelled() and isinstance(err := cycle.exception(), Exception):
            self.logger.error("The cycle broke", exc_info=err)
            self.async_set_update_error(err)
        if self._again:
            self._again = False
            self._start_cycle()

    @callback
    def _await_turn(self, due: datetime | None) -> None:
        """Run a cycle when a signal's turn has come, none where none waits."""
        if self._turn:
            self._turn()
        self._turn = async_track_point_in_utc_time(self.hass, self._on_turn, due) if due else None

    @callback
    def _on_turn(self, _now: datetime) -> None:
        self._turn = None
        self._queue_anew()

    @callback
    def _on_time(self, _now: datetime) -> None:
        """Queue up for a cycle, once at a time."""
        if self._queued is None or self._queued.done():
            self._queued = self._queue(self._start_cycle)

    @callback
    def _queue_anew(self) -> None:
        """Queue up for a cycle that begins after this moment, once at a time."""
        if not self._queued_anew:
            self._queued_anew = True
            self._queue(self._start_anew)

    @callback
    def _queue(self, start: Callable[[], asyncio.Task[Snapshot]]) -> asyncio.Task[asyncio.Task[Snapshot]]:
        turn = async_cycle_queue(self.hass).take(start, lambda: self.exchange.pause)
        return self.hass.async_create_task(turn, f"{self.name} turn")

    async def _async_home_assistant_stops(self, _event: HassEvent) -> None:
        await self.async_stop()

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
        if snapshot.total_value is not None:
            self.last_valued = snapshot
        self.async_set_updated_data(snapshot)
        self._await_turn(snapshot.due)
        self._log_connections(snapshot)
        async_sync_issues(self.hass, self.config_entry, snapshot)
        self._reauth.async_sync(snapshot)
        for event in events:
            data = {**event.data, "entry_id": self.config_entry.entry_id, ATTR_DEVICE_ID: self.device_id}
            self.hass.bus.async_fire(f"{DOMAIN}_{event.kind}", data)
            if event.kind == "signal" and event.type != "received" and "logbook" in self.hass.config.components:
                self._log_signal(data)
            async_dispatcher_send(self.hass, self._happened, event)
