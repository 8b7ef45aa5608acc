"""What leading costs: 300 followers that poll, and the time from a publication to a follower's last fill.

The followers' requests are real ones over loopback, from this process: the processor time counts both sides. For the other figure one
portfolio leads and another follows it, with push and over MQTT, in one Home Assistant; every request to a simulator takes 50 ms, the push no longer than loopback does.
"""

import asyncio
from collections.abc import Sequence
import hashlib
import hmac
from statistics import median
import time
from types import MappingProxyType
from typing import Any, override

from aiohttp import ClientSession
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant

from custom_components.calvalot.trading.leading.answers import Follower
from custom_components.calvalot.trading.leading.keys import leader_id
from simulators.broker import BrokerSimulator

from .calibration import piece, work
from .figure import Figure
from .push import OWN, PAUSE, Fills
from .stage import AFTER, BEFORE, LATENCY, World, entry, home, world

FOLLOWERS = 300
EVERY = 120
TOPIC = "calvalot/one"
SIGNALS = 6
# What an answer to one of so many followers may take, in P: Home Assistant's own part, and a signature of each of them.
ANSWER = 6
# At once: what the last of all followers may wait for, when they all ask in the same moment.
LAST = 4


def publisher(number: int, webhook: str = "") -> ConfigSubentry:
    """A follower as the flow stores it."""
    return ConfigSubentry(
        data=MappingProxyType(
            {
                "transport": "http",
                "follower": f"Follower {number}",
                "version": "2",
                "delay": 0,
                "webhook": webhook,
                "secret": f"secret-{number}",
            }
        ),
        subentry_type="publisher",
        title=f"Follower {number}",
        unique_id=None,
    )


def topic() -> ConfigSubentry:
    """A topic as the flow stores it."""
    data = MappingProxyType({"transport": "mqtt", "topic": TOPIC, "delay": 0})
    return ConfigSubentry(data=data, subentry_type="publisher", title=f"MQTT {TOPIC}", unique_id=None)


async def measure(*, quick: bool) -> list[Figure]:
    """Measure both."""
    async with world() as there, home() as hass:
        await there.publish(BEFORE)
        leads = entry(there.data(live=False), "leads")
        await hass.config_entries.async_add(leads)
        await leads.runtime_data.async_poll()
        address = f"http://127.0.0.1:{hass.http.server_port}/api/calvalot/{leader_id(leads.entry_id)}"
        signals = 2 if quick else SIGNALS
        figures = [
            *await _pushed(there, hass, leads, address, signals),
            *await _over_mqtt(there, hass, leads, signals),
        ]
        return [*await _polled(leads, address, 60 if quick else FOLLOWERS), *figures]


async def _polled(leads: ConfigEntry[Any], address: str, count: int) -> list[Figure]:
    answers = leads.runtime_data.publishers.answers
    answers.allow([Follower(key=str(number), secret=f"secret-{number}") for number in range(count)])
    secrets = [f"secret-{number}" for number in range(count)]
    unit = piece()
    async with ClientSession() as session:
        await _ask(session, address, secrets[:20])
        processor = time.process_time()
        seconds = [await _one(session, address, secret) for secret in secrets]
        each = (time.process_time() - processor) / count
        start = time.monotonic()
        await _ask(session, address, secrets)
        last = time.monotonic() - start
    unit = (unit + piece()) / 2
    how = f"{count} followers, P = {unit * 1000:.2f} ms"
    return [
        Figure(
            name=f"processor time of a poll, {count} followers",
            value=each * 1000,
            unit="ms",
            bound=ANSWER * unit * 1000,
            by=f"{how}; both sides; bound {ANSWER} × P",
        ),
        Figure(
            name=f"… of a processor, each every {EVERY} s",
            value=100 * each * count / EVERY,
            unit="%",
            by=f"{how}; both sides",
        ),
        Figure(name="… worst answer, one after the other", value=max(seconds) * 1000, unit="ms", by=how),
        Figure(
            name="… last answer, all in the same moment",
            value=last,
            unit="s",
            bound=LAST * count * unit,
            by=f"{how}; bound {LAST} × P each",
        ),
    ]


async def _pushed(
    there: World, hass: HomeAssistant, leads: ConfigEntry[Any], address: str, signals: int
) -> list[Figure]:
    before = work()
    webhook = f"http://127.0.0.1:{hass.http.server_port}/api/webhook/{'a' * 64}"
    followed = {"leader_url": address, "signal_secret": "secret-0", "webhook_id": "a" * 64}
    follower = entry({**there.data(live=True), **followed}, "follows", push=True)
    hass.config_entries.async_add_subentry(leads, publisher(0, webhook))
    await hass.async_block_till_done(wait_background_tasks=True)
    await hass.config_entries.async_add(follower)
    await follower.runtime_data.async_poll()
    fills = Fills(hass, follower.entry_id)
    published: list[float] = []
    pusher = leads.runtime_data.publishers.pusher
    push = pusher.push

    async def noted(followers: Sequence[Follower], signal_id: str) -> None:
        published.append(time.time())
        await push(followers, signal_id)

    pusher.push = noted
    await there.delay(LATENCY)
    delays = []
    for number in range(signals):
        await asyncio.sleep(PAUSE)
        await there.publish(BEFORE if number % 2 else AFTER)
        await leads.runtime_data.async_poll()
        async with asyncio.timeout(60):
            while len(published) <= number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            signal_id = leads.runtime_data.publishers.leading.last.signal_id
            delays.append(await fills.last_of(signal_id, 5) - published[number])
    await there.delay(0)
    await hass.config_entries.async_unload(follower.entry_id)
    unit = (before + work()) / 2
    return [
        Figure(
            name="a portfolio's publication to its follower's last fill, pushed",
            value=median(delays) / LATENCY,
            unit="× L",
            bound=2 + OWN * unit / LATENCY,
            by=f"median of {signals} signals; L = {LATENCY * 1000:.0f} ms, W = {unit * 1000:.1f} ms; bound 2 × L + {OWN} × W",
        )
    ]


class Noted(BrokerSimulator):
    """A broker that notes when a portfolio's publication comes."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    @override
    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if retain and topic == f"{TOPIC}/snapshot":
            self.at.append(time.time())
        super().publish(topic, payload, retain=retain)


async def _over_mqtt(there: World, hass: HomeAssistant, leads: ConfigEntry[Any], signals: int) -> list[Figure]:
    """The same over Home Assistant's own MQTT; a broker's stand-in on loopback takes no time worth naming."""
    before = work()
    async with Noted() as broker:
        data = {"broker": "127.0.0.1", "port": broker.port, "protocol": "3.1.1"}
        await hass.config_entries.async_add(
            ConfigEntry(
                version=1,
                minor_version=2,
                domain="mqtt",
                data=data,
                options={"birth_message": {}},
                title="MQTT",
                source=SOURCE_USER,
                unique_id=None,
                discovery_keys=MappingProxyType({}),
                subentries_data=None,
            )
        )
        (mqtt,) = hass.config_entries.async_entries("mqtt")
        hass.config_entries.async_add_subentry(leads, topic())
        await hass.async_block_till_done(wait_background_tasks=True)
        await broker.published(f"{TOPIC}/snapshot")
        leading = leads.runtime_data.publishers.leading
        followed = {"leader_url": "", "signal_secret": "", "topic": TOPIC}
        keyed = {"leader_id": leading.id, "leader_key": leading.public_key, "webhook_id": "b" * 64}
        account = {"api_key": "key90".ljust(64, "k"), "api_secret": "secret90".ljust(64, "s")}
        await there.control("add_account", **account, balances={"USDC": "5000"})
        follower = entry({**there.data(live=True, **account), **followed, **keyed}, "follows over MQTT")
        await hass.config_entries.async_add(follower)
        await follower.runtime_data.async_poll()
        fills = Fills(hass, follower.entry_id)
        await there.delay(LATENCY)
        delays = []
        for number in range(signals):
            await asyncio.sleep(PAUSE)
            known = len(broker.at)
            await there.publish(BEFORE if number % 2 else AFTER)
            await leads.runtime_data.async_poll()
            async with asyncio.timeout(60):
                while len(broker.at) <= known:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                delays.append(await fills.last_of(leading.last.signal_id, 5) - broker.at[known])
        await there.delay(0)
        for each in (follower, mqtt):
            await hass.config_entries.async_unload(each.entry_id)
    unit = (before + work()) / 2
    return [
        Figure(
            name="… over MQTT",
            value=median(delays) / LATENCY,
            unit="× L",
            bound=2 + OWN * unit / LATENCY,
            by=f"median of {signals} signals, from their coming to the broker on; L = {LATENCY * 1000:.0f} ms, "
            f"W = {unit * 1000:.1f} ms; bound 2 × L + {OWN} × W",
        )
    ]


async def _ask(session: ClientSession, address: str, secrets: Sequence[str]) -> None:
    await asyncio.gather(*(_one(session, address, secret) for secret in secrets))


async def _one(session: ClientSession, address: str, secret: str) -> float:
    start = time.monotonic()
    timestamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), timestamp.encode(), hashlib.sha256).hexdigest()
    headers = {"X-Signal-Timestamp": timestamp, "X-Signal-Signature": signature, "X-Follower-Version": "0.1.0"}
    async with session.get(f"{address}/api/signal/latest", headers=headers) as answer:
        if answer.status != 200:
            raise RuntimeError(f"the leader answered with {answer.status}")
        await answer.read()
    return time.monotonic() - start
