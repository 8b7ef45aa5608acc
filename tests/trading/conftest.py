"""Fixtures of the follower's tests: an open ledger; followers on the two simulators, on a clock that the test moves."""

from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
import logging
from pathlib import Path
import time

from aiohttp import ClientSession
from hypothesis import settings
import pytest

from custom_components.calvalot.trading import inputs
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.ledger import Ledger
from simulators.exchange import ExchangeSimulator
from simulators.kraken import KrakenSimulator
from simulators.leader import LeaderSimulator

from .rig import Clock, Rig

# A busy machine is no reason to fail.
settings.register_profile("calvalot", deadline=None)
settings.load_profile("calvalot")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, alone in its folder."""
    ledger = Ledger(tmp_path / "calvalot" / "entry.db", Mode.DRY_RUN, "USDC")
    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One clock for followers, leader and exchange."""
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.time)
    return clock


@pytest.fixture
def fresh_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange's rules are asked for in each cycle, as if a day were between two of them."""
    for name in ("RULES_AGE", "HALTED_AGE"):
        monkeypatch.setattr(inputs, name, timedelta())


@pytest.fixture
async def kraken_rig(
    clock: Clock, kraken: KrakenSimulator, leader: LeaderSimulator, tmp_path: Path
) -> AsyncGenerator[Rig]:
    """The same where the exchange is Kraken."""
    async with ClientSession() as session:
        rig = Rig(kraken, leader, session, tmp_path, clock, "EUR")
        yield rig
        for follower in rig.followers:
            follower.ledger.close()


@pytest.fixture
async def rig(
    clock: Clock, exchange: ExchangeSimulator, leader: LeaderSimulator, tmp_path: Path
) -> AsyncGenerator[Rig]:
    """Everything but a follower."""
    # The plugin has it tell every statement, which takes longer than to carry it out.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    async with ClientSession() as session:
        rig = Rig(exchange, leader, session, tmp_path, clock)
        yield rig
        for follower in rig.followers:
            follower.ledger.close()
