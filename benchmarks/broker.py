"""What a broker does past one machine: how long it takes until the last of 10,000 subscribers has a signal.

A real Mosquitto on loopback, and subscribers that speak MQTT 3.1.1 over a connection each, all of them in this process:
the time counts both sides. The signal is a publication as a portfolio makes it, kept by the broker (retained) as in real life. Where there is no
Mosquitto nothing is measured, and that is said.
"""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
import json
from statistics import median
import struct
import sys
import time
from typing import override

from custom_components.calvalot.trading.leading.keys import SigningKey, leader_id
from custom_components.calvalot.trading.leading.publication import Draft, issue
from harness.mosquitto import found, mosquitto, open_files
from simulators.broker.server import Kind, publication

from .figure import Figure

SUBSCRIBERS = 10_000
SIGNALS = 5
TOPIC = "calvalot/one/snapshot"
# Connections that are made at the same time, and files that are open beside them.
AT_ONCE = 200
BESIDE = 500
PATIENCE = 300.0


class Crowd:
    """The subscribers, as far as they have come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.subscribed = 0
        self.received = 0
        self.last = 0.0
        self.different = 0
        self.expected = b""
        self.more = asyncio.Event()

    async def until_subscribed(self, count: int) -> None:
        """Wait until so many are subscribed."""
        while self.subscribed < count:
            self.more.clear()
            await self.more.wait()

    async def until_received(self) -> None:
        """Wait until all have what was published last."""
        while self.received < self.count:
            self.more.clear()
            await self.more.wait()


class Subscriber(asyncio.Protocol):
    """One connection that is subscribed to the topic."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._number = number
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(connect(f"subscriber-{self._number}"))

    @override
    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (whole := _packet(self._buffer)) is not None:
            kind, body = whole
            self._take(kind, body)

    def _take(self, kind: int, body: bytes) -> None:
        crowd = self._crowd
        if kind == Kind.CONNACK and self._transport:
            name = TOPIC.encode()
            packet = struct.pack(">HH", 1, len(name)) + name + b"\0"
            self._transport.write(bytes((Kind.SUBSCRIBE << 4 | 2, len(packet))) + packet)
        elif kind == Kind.SUBACK:
            crowd.subscribed += 1
            crowd.more.set()
        elif kind == Kind.PUBLISH:
            crowd.received += 1
            crowd.different += not body.endswith(crowd.expected)
            if crowd.received == crowd.count:
                crowd.last = time.perf_counter()
                crowd.more.set()


def connect(name: str) -> bytes:
    """The packet that a client begins with: a clean session, never asked whether it is still there."""
    client = name.encode()
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client)) + client
    return bytes((Kind.CONNECT << 4, len(body))) + body


def _packet(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take the first packet out of what has come: its kind and its body; None where it is not there as a whole yet."""
    length = shift = 0
    for at in range(1, min(5, len(buffer))):
        length |= (buffer[at] & 0x7F) << shift
        shift += 7
        if not buffer[at] & 0x80:
            end = at + 1 + length
            if len(buffer) < end:
                return None
            kind, body = buffer[0] >> 4, bytes(buffer[at + 1 : end])
            del buffer[:end]
            return kind, body
    return None


def signal(number: int) -> bytes:
    """A publication as it goes over the wire."""
    now = datetime.now(UTC)
    shares = {coin: Decimal(number + 1) / 100 for coin in ("BTC", "ETH", "BNB", "SOL", "XRP")}
    draft = Draft(
        decided=now, shares=shares, reasoning="BTC holds above its 50-day average with rising volume; adding there."
    )
    link = issue(draft, SigningKey(), leader_id("entry"), "live", "USDC", None, now)
    return json.dumps(link.document(2), ensure_ascii=False).encode()


async def run(port: int, count: int, signals: int) -> tuple[float, list[float], int]:
    """Seconds until so many are subscribed, seconds from each publication until the last of them has it, and its bytes."""
    loop, crowd = asyncio.get_running_loop(), Crowd(count)
    transports: list[asyncio.BaseTransport] = []
    start = time.perf_counter()
    async with asyncio.timeout(PATIENCE):
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            made = await asyncio.gather(
                *(loop.create_connection(partial(Subscriber, crowd, number), "127.0.0.1", port) for number in numbers)
            )
            transports += [transport for transport, _ in made]
            await crowd.until_subscribed(numbers.stop)
    joined = time.perf_counter() - start
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect("leader"))
    await reader.readexactly(4)
    seconds = []
    for number in range(signals):
        message = signal(number)
        crowd.received, crowd.expected = 0, message
        start = time.perf_counter()
        writer.write(publication(TOPIC, message, retain=True))
        async with asyncio.timeout(PATIENCE):
            await crowd.until_received()
        seconds.append(crowd.last - start)
    if crowd.different:
        raise RuntimeError(f"{crowd.different} messages came otherwise than they were published")
    for transport in transports:
        transport.close()
    writer.close()
    return joined, seconds, len(message)


async def measure(*, quick: bool) -> list[Figure]:
    """Measure it, where there is a Mosquitto."""
    if (binary := found()) is None:
        print("skipped: there is no Mosquitto; scripts/setup --mosquitto gets one", file=sys.stderr)
        return []
    count = min(500 if quick else SUBSCRIBERS, open_files(SUBSCRIBERS + BESIDE) - BESIDE)
    with mosquitto(binary) as port:
        joined, seconds, size = await run(port, count, SIGNALS)
    how = f"Mosquitto on loopback, {count:,} subscribers in one process, a signal of {size:,} bytes"
    return [
        Figure(
            name=f"a signal at the last of {count:,} subscribers",
            value=median(seconds),
            unit="s",
            by=f"{how}; median of {len(seconds)}",
        ),
        Figure(name="… worst", value=max(seconds), unit="s", by=how),
        Figure(
            name=f"… until {count:,} are connected and subscribed",
            value=joined,
            unit="s",
            by=f"{how}; {AT_ONCE} at a time",
        ),
    ]
