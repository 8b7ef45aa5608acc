"""The broker's server: connections, subscriptions, and the messages that go round."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
import struct
from typing import Self

PROTOCOL_LEVEL = 4
LARGEST = 1024 * 1024


class Kind(IntEnum):
    """Kinds of packet, as the protocol numbers them."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was published."""

    topic: str
    payload: bytes
    retain: bool


class BrokerSimulator:
    """A broker on loopback; what it can do is described at the package."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.retained: dict[str, bytes] = {}
        self.messages: list[Message] = []
        self._clients: dict[asyncio.StreamWriter, set[str]] = {}
        self._server: asyncio.Server | None = None
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, and drop those there are; what is retained stays."""
        if self._server:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def subscriptions(self) -> set[str]:
        """All topics that somebody is subscribed to."""
        return set().union(*self._clients.values())

    def forget(self) -> None:
        """Lose what was retained, as a broker without a disk does when it starts anew."""
        self.retained.clear()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish a message."""
        self.messages.append(Message(topic, payload, retain))
        if retain:
            self.retained[topic] = payload
        for writer, topics in self._clients.items():
            if any(matches(each, topic) for each in topics):
                writer.write(publication(topic, payload, retain=False))
        self._more.set()

    async def published(self, topic: str, count: int = 1, within: float = 60) -> list[Message]:
        """Wait (seconds, at most) until so many messages were published that match a topic. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while len(found := [each for each in self.messages if matches(topic, each.topic)]) < count:
                self._more.clear()
                await self._more.wait()
        return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError, struct.error):
            kind, _, body = await packet(reader)
            if kind is not Kind.CONNECT or body[6] != PROTOCOL_LEVEL:
                raise ValueError("no client of this protocol")
            self._clients[writer] = set()
            writer.write(bytes((Kind.CONNACK << 4, 2, 0, 0)))
            while kind is not Kind.DISCONNECT:
                kind, flags, body = await packet(reader)
                self._handle(writer, kind, flags, body)
                await writer.drain()
        self._clients.pop(writer, None)
        writer.close()

    def _handle(self, writer: asyncio.StreamWriter, kind: Kind, flags: int, body: bytes) -> None:
        match kind:
            case Kind.PUBLISH:
                topic, rest = text(body)
                if flags & 0b110:
                    writer.write(bytes((Kind.PUBACK << 4, 2)) + rest[:2])
                    rest = rest[2:]
                self.publish(topic, rest, retain=bool(flags & 1))
            case Kind.SUBSCRIBE:
                new = topics_of(body[2:], with_quality=True)
                self._clients[writer].update(new)
                writer.write(bytes((Kind.SUBACK << 4, 2 + len(new))) + body[:2] + bytes(len(new)))
                for topic, payload in self.retained.items():
                    if any(matches(each, topic) for each in new):
                        writer.write(publication(topic, payload, retain=True))
            case Kind.UNSUBSCRIBE:
                self._clients[writer].difference_update(topics_of(body[2:], with_quality=False))
                writer.write(bytes((Kind.UNSUBACK << 4, 2)) + body[:2])
            case Kind.PINGREQ:
                writer.write(bytes((Kind.PINGRESP << 4, 0)))


async def packet(reader: asyncio.StreamReader) -> tuple[Kind, int, bytes]:
    """The next packet: its kind, its flags, its body. Raises ValueError for what is none."""
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if length > LARGEST:
        raise ValueError("the packet is too large")
    return Kind(first >> 4), first & 0xF, await reader.readexactly(length)


def text(body: bytes) -> tuple[str, bytes]:
    """The text that a body begins with, and what comes after."""
    (length,) = struct.unpack_from(">H", body)
    return body[2 : 2 + length].decode(), body[2 + length :]


def topics_of(body: bytes, *, with_quality: bool) -> list[str]:
    """The topics in a body, each with a quality of service behind it or not."""
    found = []
    while body:
        topic, body = text(body)
        found.append(topic)
        body = body[1:] if with_quality else body
    return found


def publication(topic: str, payload: bytes, *, retain: bool) -> bytes:
    """A message as it goes to a subscriber."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name + payload
    length, encoded = len(body), bytearray()
    while True:
        length, byte = divmod(length, 128)
        encoded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes((Kind.PUBLISH << 4 | retain,)) + encoded + body


def matches(wanted: str, topic: str) -> bool:
    """Whether a topic is one of those that a subscription names."""
    parts, names = wanted.split("/"), topic.split("/")
    for number, part in enumerate(parts):
        if part == "#":
            return True
        if number >= len(names) or part not in {"+", names[number]}:
            return False
    return len(parts) == len(names)
