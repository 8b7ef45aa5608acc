"""The stage: both simulators as processes of their own, and a real Home Assistant in this one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
import shutil
from statistics import median
import sys
import tempfile
import time
from types import MappingProxyType
from typing import Any

from aiohttp import ClientSession
from homeassistant.bootstrap import async_setup_hass
from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.runner import RuntimeConfig

from harness.home import change_configuration, seed
from harness.portfolio import entry_data
from harness.process import free_port
from harness.simulated import Simulator, simulators

# Seconds that every request to a simulator takes.
LATENCY = 0.05
TRIPS = 5
# Before and after: two coins are sold, three are bought.
BEFORE = {"BTC": 0.3, "ETH": 0.3, "XRP": 0.1}
AFTER = {"BTC": 0.1, "ETH": 0.1, "BNB": 0.2, "SOL": 0.2, "XRP": 0.3}


class World:
    """A leader and an exchange, each in a process of its own."""

    def __init__(self, exchange: Simulator, leader: Simulator) -> None:
        """Take the two as they are."""
        self.exchange = exchange
        self.leader = leader

    async def control(self, method: str, **arguments: object) -> Any:
        """Call a method of the exchange."""
        return await asyncio.to_thread(self.exchange.control, method, **arguments)

    async def publish(self, targets: Mapping[str, float], **fields: object) -> None:
        """Have the leader publish a target allocation."""
        await asyncio.to_thread(self.leader.control, "publish_v2", targets=dict(targets), **fields)

    async def delay(self, seconds: float) -> None:
        """Make every request to either of them take that long."""
        await self.control("set_latency", seconds=seconds)
        await asyncio.to_thread(self.leader.control, "behave")
        if seconds:
            await asyncio.to_thread(self.leader.control, "misbehave", kind="slow", count=None, seconds=seconds)

    async def requests(self) -> list[dict[str, Any]]:
        """What the exchange was asked since the last time, oldest first."""
        asked: list[dict[str, Any]] = (await asyncio.to_thread(self.exchange.state, log=True))["log"]
        await self.control("forget_requests")
        return asked

    async def polls(self) -> int:
        """How often the leader was asked so far."""
        return len((await asyncio.to_thread(self.leader.state))["requests"])

    async def trip(self) -> float:
        """Seconds that one request takes which neither needs an account nor changes anything: **L**."""
        async with ClientSession() as session:
            seconds = []
            for _ in range(TRIPS):
                start = time.monotonic()
                async with session.get(f"{self.exchange.url}/api/v3/time") as answer:
                    await answer.read()
                seconds.append(time.monotonic() - start)
        return median(seconds)

    def data(self, *, live: bool, **account: str) -> dict[str, Any]:
        """Data of an entry that follows this leader; live with the first account unless another one is named."""
        return entry_data(self.leader, self.exchange, live=live) | account


@asynccontextmanager
async def world(*arguments: str) -> AsyncIterator[World]:
    """Run both simulators; `arguments` go to the exchange."""
    running = ExitStack()
    try:
        leader, exchange = await asyncio.to_thread(
            running.enter_context, simulators(balances=("USDC=5000",), exchange=arguments)
        )
        yield World(exchange, leader)
    finally:
        await asyncio.to_thread(running.close)


@asynccontextmanager
async def home(*replacements: tuple[str, str]) -> AsyncIterator[HomeAssistant]:
    """Run Home Assistant in this process, in a folder that goes with it; its configuration with some text replaced."""
    folder = await asyncio.to_thread(_furnish, replacements)
    try:
        hass = await async_setup_hass(RuntimeConfig(str(folder), skip_pip=True))
        if hass is None:
            raise RuntimeError("Home Assistant did not start")
        await hass.async_start()
        try:
            await hass.async_block_till_done()
            yield hass
        finally:
            await hass.async_stop(force=True)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _furnish(replacements: tuple[tuple[str, str], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="calvalot-bench-"))
    seed(folder, free_port(), "en")
    change_configuration(folder, *replacements)
    sys.path.insert(0, str(folder / "modules"))
    return folder


def entry(data: Mapping[str, Any], title: str = "Calv-a-lot", **options: object) -> ConfigEntry[Any]:
    """An entry as the config flow makes it."""
    return ConfigEntry(
        version=1,
        minor_version=1,
        domain="calvalot",
        title=title,
        data=dict(data),
        options=options,
        source=SOURCE_USER,
        unique_id=None,
        discovery_keys=MappingProxyType({}),
        subentries_data=None,
    )


async def follow(there: World, hass: HomeAssistant, number: int) -> Any:
    """Set up a live portfolio with an account of its own and let it trade; returns its coordinator."""
    key, secret = f"key{number:02}".ljust(64, "k"), f"secret{number:02}".ljust(64, "s")
    await there.control("add_account", api_key=key, api_secret=secret, balances={"USDC": "5000"})
    follower = entry(there.data(live=True, api_key=key, api_secret=secret), f"Follower {number}")
    await hass.config_entries.async_add(follower)
    await follower.runtime_data.async_poll()
    return follower.runtime_data
