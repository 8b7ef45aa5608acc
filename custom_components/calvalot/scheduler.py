"""When a cycle of a portfolio runs: its interval, the times that sources want, and the queue of those that are due together."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.event import async_track_point_in_utc_time, async_track_time_interval
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, FIRST_CYCLE_TIMEOUT, LOGGER, PUSH_COOLDOWN
from .trading.snapshot import Snapshot

# Seconds after which the next one starts though the one before is not done: a source or the exchange may hang.
LONGEST_WAIT = 1.0


class CycleQueue:
    """A queue of cycles, so that no two portfolios trade in the same moment and the exchange's limits last for all."""

    def __init__(self) -> None:
        """Start with nobody in the queue."""
        self._lock = asyncio.Lock()

    async def take[T](self, start: Callable[[], asyncio.Task[T]], pause: Callable[[], float]) -> asyncio.Task[T]:
        """Start a cycle after those before it, and after `pause` seconds where its exchange needs them; returns at its end."""
        while True:
            async with self._lock:
                if not (seconds := pause()):
                    cycle = start()
                    await asyncio.wait((cycle,), timeout=LONGEST_WAIT)
                    break
            # Out of the queue: one exchange's pause is nothing to those on another.
            await asyncio.sleep(seconds)
        await asyncio.wait((cycle,))
        return cycle


_QUEUE: HassKey[CycleQueue] = HassKey(f"{DOMAIN}_turns")


class Scheduler:
    """Starts the cycles of one portfolio, never two at a time.

    `pause` is for how many seconds its exchange wants no cycle, `on_error` hears of one that broke.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        name: str,
        cycle: Callable[[], Coroutine[Any, Any, Snapshot]],
        pause: Callable[[], float],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._hass = hass
        self._name = name
        self._run = cycle
        self._pause = pause
        self._on_error = on_error
        self._cycle: asyncio.Task[Snapshot] | None = None
        self._queued: asyncio.Task[asyncio.Task[Snapshot]] | None = None
        self._interval: CALLBACK_TYPE | None = None
        self._due: CALLBACK_TYPE | None = None
        self._pushes = Debouncer(hass, LOGGER, cooldown=PUSH_COOLDOWN, immediate=True, function=self.queue_anew)
        self._again = False
        self._queued_anew = False
        self._stopped = False

    async def begin(self, interval: timedelta | None) -> None:
        """Run the first cycle, waiting a moment for its end, and the others at an interval; None: only when asked to."""
        self.every(interval)
        self._queued = self._queue(self._start)
        await asyncio.wait((self._queued,), timeout=FIRST_CYCLE_TIMEOUT)

    @callback
    def every(self, interval: timedelta | None) -> None:
        """Run a cycle at an interval from now on; None: only when asked to."""
        if self._interval:
            self._interval()
            self._interval = None
        if interval:
            self._interval = async_track_time_interval(
                self._hass, self.on_time, interval, name=f"{self._name} cycle", cancel_on_shutdown=True
            )

    async def settled(self) -> None:
        """Return when the cycle that was queued last is over."""
        if self._queued:
            await asyncio.wait((self._queued,))

    async def run(self) -> Snapshot:
        """Run a cycle now, or join the one that runs; returns when it is over."""
        # An order may be on its way: whoever gives up waiting must not cancel the cycle.
        return await asyncio.shield(self._start())

    async def push(self) -> None:
        """Start a cycle at once; many pushes that come together are one, or one now and one a moment later."""
        await self._pushes.async_call()

    @callback
    def queue_anew(self) -> None:
        """Queue up for a cycle that begins after this moment, once at a time."""
        if not self._queued_anew:
            self._queued_anew = True
            self._queue(self._start_anew)

    @callback
    def wake_at(self, due: datetime | None) -> None:
        """Run a cycle at a time (UTC); None: not before the interval is over. Stopped, no more is run."""
        if self._due:
            self._due()
            self._due = None
        if due and not self._stopped:
            self._due = async_track_point_in_utc_time(self._hass, self._on_due, due)

    @callback
    def stop(self) -> None:
        """Start no further cycle by itself; one that runs still may publish when it would want the next."""
        self._stopped = True
        self.every(None)
        self._pushes.async_shutdown()
        self.wake_at(None)

    # Inside

    @callback
    def _start(self) -> asyncio.Task[Snapshot]:
        if self._cycle is None or self._cycle.done():
            # No background task: those are cancelled on unload and shutdown.
            self._cycle = self._hass.async_create_task(self._run(), f"{self._name} cycle")
            self._cycle.add_done_callback(self._over)
        return self._cycle

    @callback
    def _start_anew(self) -> asyncio.Task[Snapshot]:
        """Start a cycle, after the one that runs: that may have asked the source and the clock already."""
        self._queued_anew = False
        self._again = self._cycle is not None and not self._cycle.done()
        return self._start()

    @callback
    def _over(self, cycle: asyncio.Task[Snapshot]) -> None:
        """A cycle that broke leaves no figures that could be taken for fresh ones."""
        if not cycle.cancelled() and isinstance(err := cycle.exception(), Exception):
            LOGGER.error("The cycle broke", exc_info=err)
            self._on_error(err)
        if self._again:
            self._again = False
            self._start()

    @callback
    def _on_due(self, _now: datetime) -> None:
        self._due = None
        self.queue_anew()

    @callback
    def on_time(self, _now: datetime) -> None:
        """Queue up for a cycle, once at a time."""
        if self._queued is None or self._queued.done():
            self._queued = self._queue(self._start)

    @callback
    def _queue(self, start: Callable[[], asyncio.Task[Snapshot]]) -> asyncio.Task[asyncio.Task[Snapshot]]:
        queue = self._hass.data.setdefault(_QUEUE, CycleQueue())
        return self._hass.async_create_task(queue.take(start, self._pause), f"{self._name} queued")
