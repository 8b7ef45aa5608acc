"""The stage: both simulators in this process, and a real Home Assistant that can be killed at any moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, redirect_stdout, suppress
from http.client import HTTPException
import json
import os
import random
import signal
import string
import sys
import time
from typing import Self

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from custom_components.calvalot.trading.alert import Ask
from custom_components.calvalot.trading.exchanges.base import Mode
from harness.forms import add_alerts, add_allocation, add_follower
from harness.home import Home, change_configuration, running_home
from harness.portfolio import COINS, QUOTE
from harness.process import free_port
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

from .follower import Follower, Gone
from .secrecy import Watch

# The live follower gets 1,000 EUR of the quote asset; all else is the owner's own and not to be touched.
OWNER = {"USDC": "3500", "BTC": "0.5", "BNB": "1", "ETH": "0.25", "SOL": "20"}
LOGGERS = (
    "custom_components.calvalot",
    "binance",
    "aiohttp",
    "homeassistant.config_entries",
    "homeassistant.data_entry_flow",
)
# The bus is listened to and the database looked into, so that these need not say every row of it again.
TALKATIVE = (
    "homeassistant.core",
    "homeassistant.components.recorder",
    "homeassistant.components.websocket_api",
    # Home Assistant itself writes each path that is asked for, a webhook's id among them.
    "homeassistant.components.webhook",
    "homeassistant.helpers.http",
    "sqlalchemy",
)
LOGS = "".join(("  default: debug\n  logs:\n", *(f"    {name}: warning\n" for name in TALKATIVE)))
OTHER_KEY = "otherKeyOfTheOwner".ljust(64, "0")
# Orders that the owner left behind on each pair before there was a follower.
OLD_ORDERS = 300


class Stage:
    """What is on stage, and the hands that move it."""

    def __init__(self, seed: int, exchange: ExchangeSimulator, leader: LeaderSimulator, watch: Watch) -> None:
        self.seed = seed
        self.exchange = exchange
        self.leader = leader
        self.watch = watch
        self.owners = {exchange.api_key: OWNER, OTHER_KEY: OWNER}
        self.home: Home
        self.live: Follower
        self.paper: Follower
        self.led_by_alerts: Follower
        self.own: Follower
        self.address = self.token = ""
        self._running = ExitStack()
        self._pid = 0
        self._events: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def set(cls, seed: int) -> AsyncIterator[Self]:
        """Set everything up, and take it down again; the config folder stays."""
        chance = random.Random(f"{seed} stage")  # noqa: S311 # a storm that can be had again
        key, secret, word = ("".join(chance.choices(string.ascii_letters + string.digits, k=64)) for _ in range(3))
        async with (
            ExchangeSimulator(
                seed=seed, balances=OWNER, api_key=key, api_secret=secret, bnb_burn=seed % 2 == 0, volatility="0.002"
            ) as exchange,
            LeaderSimulator(secret=word, seed=seed, sign_answers=seed % 3 == 0) as leader,
        ):
            exchange.hold(f"EUR{QUOTE}")  # a budget that is opened again is the same
            for coin in COINS:
                exchange.add_old_orders(f"{coin}{QUOTE}", OLD_ORDERS)
            other = "".join(chance.choices(string.ascii_letters + string.digits, k=64))
            exchange.add_account(OTHER_KEY, other, OWNER, bnb_burn=seed % 2 == 0)
            stage = cls(seed, exchange, leader, Watch((key, secret, other, word)))
            await asyncio.to_thread(stage._furnish)
            try:
                yield stage
            finally:
                await stage.stop()

    @property
    def led(self) -> tuple[Follower, Follower]:
        """Those that follow the leader."""
        return self.live, self.paper

    @property
    def followers(self) -> tuple[Follower, ...]:
        """All of them: those that follow the leader, the one that alerts lead, and the one with an allocation of its own."""
        return *self.led, self.led_by_alerts, self.own

    # Home Assistant

    def _furnish(self) -> None:
        """Add the follower through its forms, then stop in order, so that all is on disk."""
        with redirect_stdout(sys.stderr), running_home(free_port(), keep=True) as home:
            self.home = home
            home.action("logger.set_level", **dict.fromkeys(LOGGERS, "debug"))
            self.live, self.paper = (
                Follower(
                    home, self.watch, add_follower(home, self.leader, self.exchange, live=mode is Mode.LIVE), mode, mode
                )
                for mode in (Mode.LIVE, Mode.DRY_RUN)
            )
            everything = [each.value for each in Ask]
            entry_id, path, self.token = add_alerts(home, self.exchange, coins=list(COINS), allow=everything, share=40)
            self.address = f"{home.url}{path}"
            self.watch.guard(self.token, path.rpartition("/")[2])
            self.led_by_alerts = Follower(home, self.watch, entry_id, Mode.DRY_RUN, "alerts")
            entry_id = add_allocation(home, self.exchange, {"BTC": 40.0, "ETH": 30.0}, coins=list(COINS))
            self.own = Follower(home, self.watch, entry_id, Mode.DRY_RUN, "allocation")
            # Cycles come by the button alone.
            quiet = (
                {"type": "config_entries/update", "entry_id": follower.entry_id, "pref_disable_polling": True}
                for follower in self.followers
            )
            lasting = {"type": "auth/long_lived_access_token", "client_name": "soak", "lifespan": 7}
            *_, home.token = home.commands(*quiet, lasting)
        if home.errors:
            raise RuntimeError("the set-up left errors in the log")
        change_configuration(
            home.folder, ("  default: warning\n  logs:\n", LOGS), ("calvalot: info", "calvalot: debug")
        )

    async def start(self) -> float:
        """Start Home Assistant and wait until all of it runs; returns when its process was started (monotonic clock).

        Raises Gone where it was killed meanwhile.
        """
        self.exchange.new_client()
        log = self._running.enter_context(self.home.output.open("ab"))
        started = time.monotonic()
        process = self._running.enter_context(self.home.process(log))
        self._pid = process.pid
        try:
            await asyncio.to_thread(self.home.wait, process, "en")
        except RuntimeError as error:
            if not self._pid:
                raise Gone from error
            raise
        self._events = asyncio.create_task(self._listen())
        return started

    def kill(self) -> None:
        """SIGKILL for the whole process group, as a power cut would."""
        pid, self._pid = self._pid, 0
        if pid:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Have Home Assistant end in order where it was not killed."""
        if self._events:
            self._events.cancel()
            await asyncio.wait([self._events])
            self._events = None
        await asyncio.to_thread(self._running.close)

    async def _listen(self) -> None:
        """Look through every event of the bus for secrets."""
        with suppress(OSError, WebSocketException):
            async with connect(self.home.websocket, proxy=None, max_size=None) as socket:
                await socket.recv()
                await socket.send(json.dumps({"type": "auth", "access_token": self.home.token}))
                await socket.send(json.dumps({"id": 1, "type": "subscribe_events"}))
                async for message in socket:
                    self.watch.look("events", message if isinstance(message, bytes) else message.encode())

    async def states(self) -> bytes:
        """All states as JSON. Raises Gone."""
        try:
            return json.dumps(await asyncio.to_thread(self.home.get, "states")).encode()
        except (OSError, HTTPException) as error:
            raise Gone from error
