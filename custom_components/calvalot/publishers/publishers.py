"""The publishers of one portfolio at work: after each cycle what is new is signed, written down and told."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN, LOGGER
from ..issues import NOTHING_PUBLISHED, async_clear_issue, async_raise_issue
from ..settings import version
from ..trading.leading.answers import Answers, Follower
from ..trading.leading.keys import leader_id
from ..trading.leading.leading import Leading
from ..trading.leading.publication import Publication
from ..trading.leading.store import PublicationError, PublicationStore
from ..trading.ledger.storage import LedgerError
from ..trading.responses import Json
from ..trading.signal import SourceKind
from .announcement import Announcement
from .mqtt import async_on_connection, async_on_mqtt, async_publish
from .push import Pusher
from .settings import followers_of, is_announced, published_path, publishers_of, topics_of

if TYPE_CHECKING:
    from ..coordinator import CalvalotConfigEntry

# Those who lead, by what they are called there.
LEADERS: HassKey[dict[str, Publishers]] = HassKey(f"{DOMAIN}_leaders")


class Publishers:
    """What a portfolio publishes with; `leading` and `answers` are None while it has no publisher."""

    def __init__(self, hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
        """Take an entry that is set up; nothing is published before `async_sync`."""
        self._hass = hass
        self._entry = entry
        self.pusher = Pusher(async_get_clientsession(hass))
        self._timers: set[CALLBACK_TYPE] = set()
        self._stop: CALLBACK_TYPE | None = None
        self._broker: CALLBACK_TYPE | None = None
        self._mqtt: CALLBACK_TYPE | None = None
        self._taking = asyncio.Lock()
        self.id = leader_id(entry.entry_id)
        self._announcement = Announcement(hass, self.id)
        self.leading: Leading | None = None
        self.answers: Answers | None = None
        self.problem: Exception | None = None

    async def async_sync(self) -> None:
        """Publish with what the entry stores now, and to nobody else."""
        if not publishers_of(self._entry):
            await self.async_end()
            return
        if self.leading is None or self.answers is None:
            coordinator = self._entry.runtime_data
            store = PublicationStore(published_path(self._hass, self._entry.entry_id))
            self.leading = Leading(self.id, coordinator.ledger, store, dt_util.utcnow)
            self.answers = Answers(self.leading, await version(self._hass), dt_util.utcnow)
            self._hass.data.setdefault(LEADERS, {})[self.id] = self
            self._stop = coordinator.async_add_listener(self._async_cycle_over)
        self.answers.allow(followers_of(self._entry))
        self._entry.async_create_background_task(self._hass, self._announce(), f"{DOMAIN} announcement")
        await self.async_take()
        if self._mqtt is None:
            self._mqtt = async_on_mqtt(self._hass, self._async_meet_broker)
        self._async_meet_broker()
        last, now = self.leading.last if self.leading else None, dt_util.utcnow()
        for topic, delay in topics_of(self._entry):
            # What was waited with before a start is still to come.
            if last and (left := last.issued + delay - now) > timedelta():
                self._after(left, partial(self._hold, topic, delay))

    async def async_end(self) -> None:
        """Publish nothing any more; returns when the network has been told that nobody leads here."""
        if self._stop:
            self._stop()
            self._stop = None
        for stop in (self._broker, self._mqtt):
            if stop:
                stop()
        self._broker = self._mqtt = None
        while self._timers:
            self._timers.pop()()
        self._hass.data.get(LEADERS, {}).pop(self.id, None)
        self.leading = self.answers = None
        await self._announcement.async_set(wanted=False)

    async def async_take(self) -> None:
        """Publish what is new; what cannot be written down is not told."""
        coordinator = self._entry.runtime_data
        heard = [
            state.latest
            for state in coordinator.engine.members
            if state.source.kind is SourceKind.LEADER and state.latest is not None
        ]
        async with self._taking:
            if (leading := self.leading) is None:
                return
            try:
                await leading.open()
                published = await leading.take(coordinator.data, heard)
            except (PublicationError, LedgerError) as err:
                if self.problem is None:
                    LOGGER.error("%s: nothing is published: %s", self._entry.title, err)
                    async_raise_issue(self._hass, self._entry, NOTHING_PUBLISHED, {"error": str(err)})
                self.problem = err
                return
            if self.problem is not None:
                self.problem = None
                async_clear_issue(self._hass, NOTHING_PUBLISHED, self._entry.entry_id)
        if published:
            self._tell(published)

    async def statistics(self) -> Json:
        """The statistics of the portfolio. Raises CommandError."""
        return await self._entry.runtime_data.engine.queries.statistics()

    async def _announce(self) -> None:
        await self._announcement.async_set(wanted=self.leading is not None and is_announced(self._entry))

    @callback
    def _async_cycle_over(self) -> None:
        self._entry.async_create_background_task(self._hass, self.async_take(), f"{DOMAIN} publication")

    @callback
    def _tell(self, published: Publication) -> None:
        """Tell those who want to be told, each at its time."""
        pushed: dict[timedelta, list[Follower]] = {}
        for follower in self.answers.followers if self.answers else ():
            if follower.webhook:
                pushed.setdefault(follower.delay, []).append(follower)
        for delay, followers in pushed.items():
            self._after(delay, partial(self.pusher.push, followers, published.signal_id))
        is_new = published.decided >= published.issued - timedelta(seconds=1)
        for topic, delay in topics_of(self._entry):
            self._after(delay, partial(async_publish, self._hass, topic, published, is_new=is_new))

    @callback
    def _async_meet_broker(self) -> None:
        """Publish what holds, now and each time the broker comes back: MQTT may be set up after the portfolio."""
        if self._broker is None and topics_of(self._entry):
            self._broker = async_on_connection(self._hass, self._publish_again)
        self._publish_again()

    @callback
    def _publish_again(self) -> None:
        """The broker has come back: tell it what holds, which it may have lost."""
        for topic, delay in topics_of(self._entry):
            self._entry.async_create_background_task(self._hass, self._hold(topic, delay), f"{DOMAIN} publication")

    async def _hold(self, topic: str, delay: timedelta) -> None:
        """Have the broker hold what is to be seen by now."""
        if self.leading is None:
            return
        try:
            published = await self.leading.issued(delay)
        except PublicationError:
            return
        if published:
            await async_publish(self._hass, topic, published, is_new=False)

    @callback
    def _after(self, delay: timedelta, tell: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        def now(*_: object) -> None:
            self._entry.async_create_background_task(self._hass, tell(), f"{DOMAIN} publication")

        if not delay:
            now()
            return

        @callback
        def later(*_: object) -> None:
            self._timers.discard(stop)
            now()

        # A second more: what is to be seen then is told in whole seconds.
        stop = async_call_later(self._hass, delay + timedelta(seconds=1), later)
        self._timers.add(stop)
