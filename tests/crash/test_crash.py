"""SIGKILL at every step of the order path: after the next start the books are those of a run without a crash."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
import json
import os
from pathlib import Path
import signal
import subprocess
from subprocess import PIPE
import sys
from typing import Any, Self

import pytest

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.order_names import follower_tag
from custom_components.calvalot.trading.portfolio import Portfolio
from simulators.exchange import ExchangeSimulator
from simulators.exchange.account import Order
from simulators.exchange.symbols import Symbol
from simulators.kraken import KrakenSimulator
from simulators.leader import LeaderSimulator
from soak.books import read
from soak.invariants import Account, inspect, inspect_paper

from .child import CONVERTING, ON_ITS_WAY, QUESTIONS, RESTING, SENDING, WRITES, Point, Scene, When

type Circumstances = Callable[[ExchangeSimulator], None]

ROOT = Path(__file__).parent.parent.parent

AT_ONCE = 3
# Of the points while orders rest one in so many is tried, twice as many of those on Kraken; 1 tries all.
EACH = int(os.environ.get("CALVALOT_CRASH", "8"))
CHILD = (sys.executable, "-m", "tests.crash.child")
OWNER = {"USDC": "1500", "BTC": "0.5", "SOL": "3", "BNB": "0.5"}
# Steps of the pairs at Kraken: finer ones, as it has them, and each fee would move what is bought next.
STEPS = {"BTCUSDC": "0.0001", "SOLUSDC": "0.1", "XRPUSDC": "1"}


def _order(sim: ExchangeSimulator) -> dict[str, Any]:
    """How orders are asked for."""
    method, path = SENDING[_name(sim)]["place"]
    return {"method": method, "path": path}


def _name(sim: ExchangeSimulator) -> str:
    return "kraken" if isinstance(sim, KrakenSimulator) else "binance"


def _answered(sim: ExchangeSimulator) -> None:
    """Every order is answered."""


def _unanswered(sim: ExchangeSimulator) -> None:
    """No order is answered, all are executed."""
    sim.fault("drop", when="after", count=None, **_order(sim))


def _lost(sim: ExchangeSimulator) -> None:
    """The first order of each kind is lost on its way."""
    for side in ("BUY", "SELL"):
        sim.fault("drop", side=side, **_order(sim))


def _orders_unanswered(sim: ExchangeSimulator) -> None:
    """No order that rests is answered, and no end of one; all happens."""
    for method, path in SENDING[_name(sim)].values():
        sim.fault("status", when="after", count=None, method=method, path=path)


def _orders_lost(sim: ExchangeSimulator) -> None:
    """Of each kind of request the first is lost on its way."""
    for method, path in SENDING[_name(sim)].values():
        sim.fault("status", method=method, path=path)


def _converted(sim: ExchangeSimulator) -> None:
    """There is a pair of two coins."""
    rules = Symbol("SOL", "BTC", Decimal("0.0000001"), Decimal("0.001"), min_notional=Decimal("0.0001"))
    sim.list_symbol(rules, "0.0015520")


def _converted_unanswered(sim: ExchangeSimulator) -> None:
    """The same, and no order is answered; all are executed."""
    _converted(sim)
    _unanswered(sim)


def _on_paper(sim: ExchangeSimulator) -> None:
    """Dry run: no order goes anywhere."""


def _fees_in_bnb(sim: ExchangeSimulator) -> None:
    """The owner's BNB pay the fees."""
    sim.set_account(bnb_burn=True)


class Children:
    """Processes that fork what is killed."""

    def __init__(self) -> None:
        self._all: asyncio.Queue[subprocess.Popen[str]] = asyncio.Queue()

    def __enter__(self) -> Self:
        """Start them."""
        for _ in range(AT_ONCE):
            self._all.put_nowait(subprocess.Popen(CHILD, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT))
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        while not self._all.empty():
            with self._all.get_nowait() as process:
                assert process.stdin
                process.stdin.close()

    async def follow(self, scene: Scene, point: Point | None) -> int:
        """Exit code of a process that followed."""
        process = await self._all.get()
        try:
            return await asyncio.to_thread(self._ask, process, json.dumps((asdict(scene), point and asdict(point))))
        finally:
            self._all.put_nowait(process)

    def _ask(self, process: subprocess.Popen[str], line: str) -> int:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return int(process.stdout.readline())


@pytest.mark.timeout(7200 // EACH)
@pytest.mark.parametrize(
    ("circumstances", "methods"),
    [
        (_answered, (*WRITES, *QUESTIONS)),
        (_unanswered, ("place", "update_orders", "find", "fills", "book_orders")),
        (_lost, ("update_orders", "find", "server_time", "orders_page", "traded_orders", "add_orders")),
        (_fees_in_bnb, ("place", "update_orders", "book_orders")),
        (_on_paper, (*WRITES, "server_time", "place")),
    ],
)
async def test_crash_at_every_step(
    circumstances: Circumstances,
    methods: Sequence[str],
    tmp_path: Path,
    socket_enabled: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The points are counted by a run without a crash, whose books are the measure."""
    await _crash_everywhere(circumstances, methods, tmp_path, capsys)


@pytest.mark.timeout(7200 // EACH)
@pytest.mark.parametrize(
    ("circumstances", "methods"),
    [
        (
            _answered,
            (
                "add_orders",
                "update_orders",
                "book_orders",
                "remember_all",
                *SENDING["binance"],
                "progress",
                "find",
                "fills",
            ),
        ),
        (_orders_unanswered, ("update_orders", "book_orders", *SENDING["binance"], "find")),
        (_orders_lost, ("update_orders", "book_orders", *SENDING["binance"], "find", "traded_orders")),
        (_on_paper, ("add_orders", "update_orders", "book_orders", "remember_all", *SENDING["binance"], "progress")),
    ],
)
async def test_crash_while_orders_rest(
    circumstances: Circumstances,
    methods: Sequence[str],
    tmp_path: Path,
    socket_enabled: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Limits, their ends, pairs: placed, filled in part, ended, filled meanwhile; the same books as without the crash."""
    await _crash_everywhere(circumstances, methods, tmp_path, capsys, RESTING)


@pytest.mark.timeout(7200 // EACH)
@pytest.mark.parametrize(
    ("circumstances", "methods"),
    [
        (_converted, ("write_signal", "add_orders", "update_orders", "book_orders", "place")),
        (_converted_unanswered, ("write_signal", "update_orders", "book_orders", "place", "find", "fills")),
        (_on_paper, ("write_signal", "add_orders", "book_orders", "place")),
    ],
)
async def test_crash_while_converting(
    circumstances: Circumstances,
    methods: Sequence[str],
    tmp_path: Path,
    socket_enabled: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Between two orders and in each of them: the owner goes on, and has the same books as without the crash."""
    await _crash_everywhere(circumstances, methods, tmp_path, capsys, CONVERTING)


@pytest.mark.timeout(7200 // EACH)
@pytest.mark.parametrize(
    ("circumstances", "methods"),
    [
        (_answered, ("add_orders", "update_orders", "book_orders", "place", "fills")),
        (_unanswered, ("place", "update_orders", "find", "fills", "book_orders")),
        (_lost, ("update_orders", "find", "orders_page", "traded_orders", "add_orders")),
        (_on_paper, ("add_orders", "book_orders", "place")),
    ],
)
async def test_crash_on_kraken(
    circumstances: Circumstances,
    methods: Sequence[str],
    tmp_path: Path,
    socket_enabled: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same where an order has another name, and is answered by the next question."""
    await _crash_everywhere(circumstances, methods, tmp_path, capsys, on="kraken")


async def _crash_everywhere(
    circumstances: Circumstances,
    methods: Sequence[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part: str = "",
    on: str = "binance",
) -> None:
    with Children() as children:
        measure = await _run(children, circumstances, tmp_path / "measure", None, part, on)
        calls = (tmp_path / "measure" / "calls").read_text().split()
        points = _points(calls, methods, SENDING[on], on_paper=circumstances is _on_paper)
        if part:
            points = points[::EACH]
        elif on == "kraken":
            points = points[:: max(EACH // 2, 1)]
        turns = asyncio.Semaphore(AT_ONCE)

        async def crash(number: int, point: Point) -> str:
            async with turns:
                try:
                    book = await _run(children, circumstances, tmp_path / f"{number}", point, part, on)
                except AssertionError as error:
                    return f"{point}: {error}"
            return "" if book == measure else f"{point}: {book} instead of {measure}"

        failures = [text for text in await asyncio.gather(*(crash(*item) for item in enumerate(points))) if text]
    with capsys.disabled():
        print(f"\ncrash points tested, {circumstances.__name__.strip('_')} on {on}: {len(points)}")
    assert not failures, "\n".join(failures)


def _points(calls: list[str], methods: Sequence[str], sending: Collection[str], *, on_paper: bool) -> list[Point]:
    """Every moment of every call of these methods."""
    begins = next((calls.index(part) for part in (RESTING, CONVERTING) if part in calls), 0)
    assert on_paper or {*methods} <= {*calls[begins:]} or methods == (*WRITES, *QUESTIONS)
    points = []
    for position, method in enumerate(calls):
        if method not in methods or position < begins:
            continue
        moments = [When.BEFORE, When.AFTER]
        if method in WRITES:
            moments.append(When.UNCOMMITTED)
        if method in sending and not on_paper:
            moments += [When.ARRIVED, When.MATCHED]
        points += [Point(method, calls[: position + 1].count(method), when) for when in moments]
    return points


async def _run(
    children: Children, circumstances: Circumstances, folder: Path, point: Point | None, part: str, on: str
) -> Portfolio:
    """Follow everything, with a crash at the point and a second start after it; returns the book."""
    mode = Mode.DRY_RUN if circumstances is _on_paper else Mode.LIVE
    exchange = KrakenSimulator if on == "kraken" else ExchangeSimulator
    async with exchange(seed=1, balances=OWNER) as sim, LeaderSimulator() as leader:
        if isinstance(sim, KrakenSimulator):
            sim.set_counter(None)
            for symbol, step in STEPS.items():
                sim.symbol(symbol).step = Decimal(step)
        scene = Scene(
            leader=leader.url,
            secret=leader.secret,
            exchange=sim.url,
            api_key=sim.api_key,
            api_secret=sim.api_secret,
            ledger=str(folder / "ledger.db"),
            calls=str(folder / "calls"),
            mode=mode,
            part=part,
            on=on,
            late=1.5 * ON_ITS_WAY if point and point.when is When.ARRIVED else 0,
        )
        circumstances(sim)
        await asyncio.to_thread(folder.mkdir)
        if point:
            method, path = SENDING[on].get(point.method, ("", ""))
            where: dict[str, Any] = {"method": method, "path": path, "skip": point.call - 1}
            match point.when:
                case When.ARRIVED:
                    sim.fault("slow", seconds=ON_ITS_WAY, **where)
                case When.MATCHED:
                    sim.fault("hang", when="after", **where)
            assert await children.follow(scene, point) == -signal.SIGKILL
            sim.clear_faults()
        assert await children.follow(scene, None) == 0
        books = read(folder / "ledger.db", mode)
        names = ("newClientOrderId", "aboveClientOrderId", "belowClientOrderId", "cl_ord_id")
        sent = [
            request.params[name]
            for request in sim.requests
            if request.method == "POST"
            for name in names
            if name in request.params and request.path.endswith(("order", "oco", "AddOrder"))
        ]
        owner = {asset: Decimal(free) for asset, free in OWNER.items()}
        called = {str(row["sent_as"]): str(row["client_order_id"]) for row in books.orders}
        orders = [_as_in_the_ledger(sim, order, called) for order in sim.orders]
        account = Account(owner, orders, follower_tag("crash"), sim.balances(), sent)
        if mode is Mode.DRY_RUN:
            assert not sent
            assert not inspect_paper(books).complaints
        else:
            assert not inspect(books, account).complaints
        return books.book.portfolio


def _as_in_the_ledger(sim: ExchangeSimulator, order: Order, called: Mapping[str, str]) -> Order:
    """An order under the names that the ledger has for it and its trades."""
    if not isinstance(sim, KrakenSimulator):
        return order
    named: dict[str, Any] = {
        "client_order_id": called.get(order.client_order_id, order.client_order_id),
        "id": sim.order_name(order),
        "trades": [replace(trade, id=sim.trade_name(trade)) for trade in order.trades],
    }
    return replace(order, twins=(), **named)
