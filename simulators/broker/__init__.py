"""A stand-in for an MQTT broker: MQTT 3.1.1 on loopback, retained messages, wildcards; it delivers with quality of service 0.

In a test::

    async with BrokerSimulator() as broker:
        broker.port
        await broker.published("calvalot/+/snapshot")    # waits for a message, whichever client sent it
        broker.publish("calvalot/one/snapshot", b"…", retain=True)     # as somebody else who may write there

``retained`` are the messages that are kept, ``messages`` all that were published, ``await stop()`` refuses connections and
drops those there are, ``await start()`` listens on the same port again; ``forget()`` loses what was retained.
"""

from .server import BrokerSimulator, Message

__all__ = ["BrokerSimulator", "Message"]
