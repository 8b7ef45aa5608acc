"""A real Mosquitto, where the machine has one: a portfolio publishes over it and another follows, and many hear of it."""

from collections.abc import Iterator

import pytest

from benchmarks.broker import run
from harness.mosquitto import found, mosquitto, open_files

SUBSCRIBERS = 200


@pytest.fixture
def port(socket_enabled: None) -> Iterator[int]:
    """The port of a broker."""
    if (binary := found()) is None:
        pytest.skip("there is no Mosquitto: scripts/setup --mosquitto gets Debian's")
    open_files(SUBSCRIBERS + 500)
    with mosquitto(binary) as port:
        yield port


async def test_all_have_it(port: int) -> None:
    """Each subscriber has each signal, byte by byte, and once."""
    joined, seconds, size = await run(port, SUBSCRIBERS, 3)
    assert joined > 0
    assert len(seconds) == 3
    assert size > 500
