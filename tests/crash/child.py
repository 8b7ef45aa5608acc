"""The process that is killed: the real follower, without Home Assistant, on a ledger's file and the two simulators.

``python -m tests.crash.child`` has everything imported and forks for each line of its input a process that follows; it answers
with its exit code.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
import json
import math
import os
from pathlib import Path
import signal
import sys
import traceback
from typing import Any

from aiohttp import ClientError, ClientSession
from sqlalchemy import Engine as DatabaseEngine, event

from custom_components.calvalot.trading.engine import Engine
from custom_components.calvalot.trading.exchanges.base import Exchange, Mode
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.exchanges.kraken import KrakenExchange
from custom_components.calvalot.trading.exchanges.remote import RemoteExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import Result
from harness.engine import exchange_for, make_engine
from harness.portfolio import QUOTE
from harness.simulated import Simulator
from tests.trading.builders import key

from .conversions import Converter
from .orders import Owner

# What is written down on the way from a signal to booked fills, and what the exchange is asked.
WRITES = (
    "add_flow",
    "write_signal",
    "add_orders",
    "update_orders",
    "book_order",
    "book_orders",
    "write_page",
    "remember_all",
)
QUESTIONS = (
    *("server_time", "balances", "place", "place_pair", "cancel", "progress", "find", "fills"),
    *("orders_page", "traded_orders"),
)
# What orders are sent and ended by.
SENDING = {
    "binance": {"place": ("POST", "/order"), "place_pair": ("POST", "/oco"), "cancel": ("DELETE", "/order")},
    "kraken": {"place": ("POST", "/AddOrder"), "cancel": ("POST", "/CancelOrder")},
}
# Among the calls: from here on orders rest, or something is converted.
RESTING = "resting"
CONVERTING = "converting"
MOST_CYCLES = 8
# How long (s) an order that has arrived waits to be matched: longer than it takes to start again and look for it.
ON_ITS_WAY = 1.0
# Exit code of a process that could not be watched.
BROKEN = 3
COINS = ("BTC", "ETH", "SOL", "XRP")
# Two buys at once; then two sells at once and a buy. What one of them costs moves none of the others over a step.
SIGNALS = ({"SOL": "0.30063", "XRP": "0.30031"}, {"SOL": "0.099321", "XRP": "0.150256", "BTC": "0.34969"})


class When(StrEnum):
    """Moments of a step; the two of an order on its way are the exchange's to tell."""

    BEFORE = "before"
    UNCOMMITTED = "uncommitted"
    ARRIVED = "arrived"
    MATCHED = "matched"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in the n-th call of a method."""

    method: str
    call: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} {self.method} {self.call}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the follower is given."""

    leader: str
    secret: str
    exchange: str
    api_key: str
    api_secret: str
    ledger: str
    calls: str
    mode: str
    part: str = ""
    on: str = "binance"
    # How long (s) what is on its way may take.
    late: float = 0

    def exchange_of(self, session: ClientSession) -> RemoteExchange:
        """The exchange, which has room for everything."""
        if self.on == "kraken":
            return KrakenExchange(session, self.exchange, self.api_key, self.api_secret, most=math.inf)
        return BinanceExchange(session, self.exchange, self.api_key, self.api_secret)


def follow(scene: Scene, point: Point | None) -> None:
    """Follow every signal to its end, or to the point where this process is no more; tells the methods that were called."""
    wire = Tripwire(point)
    asyncio.run(_follow(scene, wire))
    Path(scene.calls).write_text("\n".join(wire.calls))


class Tripwire:
    """Counts calls, and ends the process at its point."""

    def __init__(self, point: Point | None) -> None:
        self._point = point
        self.calls: list[str] = []

    def around_write(self, ledger: Ledger, method: str) -> None:
        """Watch a method of the ledger."""
        call = getattr(ledger, method)

        def watched(*arguments: Any, **named: Any) -> Any:
            number = self._count(method)
            self._reach(Point(method, number, When.BEFORE))
            torn = Point(method, number, When.UNCOMMITTED)
            if torn == self._point:
                event.listen(DatabaseEngine, "commit", lambda _connection: self._reach(torn))
            try:
                return call(*arguments, **named)
            finally:
                self._reach(Point(method, number, When.AFTER))

        setattr(ledger, method, watched)

    def around_question(self, exchange: Exchange, method: str, orders: Callable[[str], Awaitable[int]]) -> None:
        """Watch a method of the exchange; `orders` is how many requests of it have arrived there."""
        call = getattr(exchange, method)

        async def watched(*arguments: Any) -> Any:
            number = self._count(method)
            self._reach(Point(method, number, When.BEFORE))
            for moment in (When.ARRIVED, When.MATCHED):
                if (midway := Point(method, number, moment)) == self._point:
                    asking = asyncio.create_task(call(*arguments))
                    await _arrived(orders, method, number)
                    self._reach(midway)
                    await asking
            try:
                return await call(*arguments)
            finally:
                self._reach(Point(method, number, When.AFTER))

        setattr(exchange, method, watched)

    def _count(self, method: str) -> int:
        self.calls.append(method)
        return self.calls.count(method)

    def _reach(self, point: Point) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


async def _arrived(orders: Callable[[str], Awaitable[int]], method: str, number: int) -> None:
    """Wait until the exchange has so many requests: each call sends one, which may be there before the first look.

    What goes wrong here must not look to the follower as if his order had: a look that fails is made again, or ends the process.
    """
    try:
        while True:
            with suppress(ClientError, OSError):
                if await orders(method) >= number:
                    return
            await asyncio.sleep(0.001)
    except Exception:  # noqa: BLE001 # whatever it is, the exit code tells
        traceback.print_exc()
        os._exit(BROKEN)


async def _follow(scene: Scene, wire: Tripwire) -> None:
    async with ClientSession() as session:
        ledger = Ledger(Path(scene.ledger), Mode(scene.mode), QUOTE)
        exchange = exchange_for(ledger, scene.exchange_of(session))

        async def control(url: str, do: str, **arguments: object) -> Any:
            async with session.post(f"{url}/control", json={"do": do, **arguments}) as answer:
                return (await answer.json())["result"]

        async def signals() -> list[dict[str, Any]]:
            async with session.get(f"{scene.leader}/control/state") as answer:
                return list((await answer.json())["signals"])

        async def orders(called: str) -> int:
            method, path = SENDING[scene.on][called]
            return int(await control(scene.exchange, "count", method=method, path=path))

        for method in WRITES:
            wire.around_write(ledger, method)
        for method in QUESTIONS:
            wire.around_question(exchange, method, orders)
        leader = Simulator(scene.leader, {"secret": scene.secret})
        follower = make_engine(
            session, leader, exchange, ledger, entry_id="crash", coins=COINS, sleep=lambda _seconds: asyncio.sleep(0)
        )
        await follower.start()
        for number, targets in enumerate(SIGNALS[: 1 if scene.part == RESTING else None], start=1):
            known = await signals()
            if len(known) < number:
                await control(scene.leader, "publish_v2", targets=targets)
                known = await signals()
            if len(known) == number:
                await _pursue(
                    follower,
                    ledger,
                    known[-1]["signal_id"],
                    scene.late,
                    lambda: control(scene.exchange, "advance", seconds=30),
                )
        if scene.part:
            wire.calls.append(scene.part)
            make = Owner if scene.part == RESTING else Converter
            await make(follower, ledger, lambda do, **named: control(scene.exchange, do, **named), scene.late).act()
        await follower.stop()


async def _pursue(
    follower: Engine, ledger: Ledger, signal_id: str, late: float, pass_fence: Callable[[], Awaitable[Any]]
) -> None:
    """Cycle until a signal has come to its end and nothing is in flight."""
    for _ in range(MOST_CYCLES):
        await follower.cycle()
        record = ledger.signal(key(signal_id))
        if record and record.result is not Result.OPEN and not ledger.in_flight():
            return
        await asyncio.sleep(late)
        await pass_fence()


def main() -> None:
    """Fork a process for each line."""
    for line in sys.stdin:
        scene, point = json.loads(line)
        if not (pid := os.fork()):
            try:
                follow(Scene(**scene), point and Point(point["method"], point["call"], When(point["when"])))
            except BaseException:  # noqa: BLE001 # nothing goes back up from a fork
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
