"""The storm: what happens in each cycle, all of it drawn from the seed and the number of the cycle."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from decimal import Decimal
import json
from random import Random
import re
import time

from aiohttp import ClientSession

from custom_components.calvalot.follower.binance import BinanceExchange
from custom_components.calvalot.follower.exchange import ExchangeError, OrderRequest, Side
from custom_components.calvalot.follower.executor import follower_tag
from demo.http import ApiError
from simulators.exchange import FaultKind

from . import faults
from .books import QUOTE, Account, Findings, inspect, read
from .faults import ORDER, REQUESTS, Blow
from .stage import Gone, Stage

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")
# An order struck on its way is proven absent only when the exchange's clock is this much (s) further on.
FENCE = 30
PAUSE = 1
CYCLES_PER_KILL = 80
FEWEST_KILLS = 3
SETTLING = 40
# An action that was refused is logged by the API; anything else must not be.
LOGGED_ERROR = re.compile(r"^[-\d]+ [\d:.]+ (ERROR|CRITICAL) (?!.*\[homeassistant.components.api\])|^Traceback ")
FOREIGN = {"BTC": "0.0004", "ETH": "0.011", "BNB": "0.03", "SOL": "0.3"}

type Happening = Callable[[Random], Awaitable[None]]


class Violation(Exception):
    """Something that must never be; `step` is the cycle it was found in."""

    def __init__(self, step: int, complaints: list[str]) -> None:
        super().__init__("; ".join(complaints))
        self.step = step
        self.complaints = complaints


class Storm:
    """One run of a seed."""

    def __init__(self, stage: Stage, session: ClientSession, cycles: int, say: Callable[[str], None]) -> None:
        self.stage = stage
        self.step = 0
        self.kills = 0
        # Seconds, the longest of all: since the process was started, and since all of Home Assistant ran.
        self.slowest_settling = 0.0
        self.latest_settling = 0.0
        self.findings = Findings()
        self._exchange = stage.exchange
        self._leader = stage.leader
        self._cycles = cycles
        self._say = say
        account = stage.exchange.account()
        self._owner = BinanceExchange(session, stage.exchange.url, account.api_key, account.api_secret)
        self._start_prices = {coin: stage.exchange.price(f"{coin}{QUOTE}") for coin in COINS}
        self._blows = faults.for_ever(list(faults.blows()), self._chance("blows"))
        self._leader_faults = faults.for_ever(list(faults.LEADER), self._chance("leader"))
        self._passing: list[tuple[int, Callable[[], None]]] = []
        self._later: set[asyncio.Task[None]] = set()
        self._resume_at = 0
        count = max(FEWEST_KILLS, -(-cycles // CYCLES_PER_KILL))
        self._kill_steps = frozenset(self._chance("kills").sample(range(1, cycles + 1), min(count, cycles)))
        self._happenings: tuple[tuple[int, Happening], ...] = (
            (330, self._nothing),
            (100, self._blow),
            (50, self._leader_fault),
            (30, self._clock),
            (30, self._flow),
            (20, self._pause),
            (20, self._sync),
            (20, self._reload),
            (30, self._foreign_order),
            (10, self._owner_moves_cash),
            (30, self._thin_book),
            (20, self._halt),
            (20, self._price_goes),
            (20, self._queries),
            (5, self._away),
            (5, self._ban),
        )

    async def run(self) -> None:
        """Every cycle of it, then the last inspection. Raises Violation."""
        await self.stage.start()
        for step in range(1, self._cycles + 1):
            self.step = step
            began = time.monotonic()
            chance = self._chance(self.step)
            self._pass()
            self._market(chance)
            try:
                if self.step in self._kill_steps:
                    await self._crash(chance)
                else:
                    await self._cycle(chance)
            except (ApiError, Gone) as error:
                raise Violation(self.step, [f"Home Assistant: {error!r}"]) from error
            self._say(f"  {time.monotonic() - began:.2f} s")
        await self._calm()
        await self._inspect()
        await self._follow()

    @property
    def faults(self) -> int:
        """Faults that really struck."""
        return self._exchange.faults_injected.total() + sum(
            request.fault is not None for request in self._leader.requests
        )

    @property
    def orders(self) -> int:
        """Orders of the follower at the exchange."""
        return len(self._account().own())

    def _chance(self, what: object) -> Random:
        return Random(f"{self.stage.seed} {what}")  # noqa: S311 # a storm that can be had again

    # Cycles and crashes

    async def _cycle(self, chance: Random) -> None:
        (happening,) = chance.choices(
            [each for _, each in self._happenings], [weight for weight, _ in self._happenings]
        )
        self._say(f"{self.step}: {happening.__name__.strip('_')}")
        if chance.random() < 0.35:
            self._publish(chance)
        await happening(chance)
        await self.stage.poll()

    async def _crash(self, chance: Random) -> None:
        """Kill Home Assistant, most often with orders on their way, start it again, and inspect what it made of it."""
        self._say(f"{self.step}: kill")
        self._publish(chance, strong=True)
        if chance.random() < 0.3:
            self._strike(next(self._blows), chance)
        self._exchange.set_latency(chance.choice((0, 0.01, 0.03)))
        # Awaited only when it is dead: what an action in the middle of it says does not count.
        actions = asyncio.gather(self.stage.poll(), *self._meanwhile(chance), return_exceptions=True)
        await self._moment(chance)
        self.stage.kill()
        await actions
        await self.stage.stop()
        self.kills += 1
        if chance.random() < 0.25:
            starting = asyncio.create_task(self.stage.start())
            await self._moment(chance, starting=True)
            self.stage.kill()
            await asyncio.wait([starting])
            starting.exception()
            await self.stage.stop()
            self.kills += 1
        self._exchange.set_latency(0)
        answers, passed = chance.random() < 0.85, chance.random() < 0.85
        if answers:
            self._exchange.clear_faults()
            self._leader.behave()
        if passed:
            self._exchange.advance(FENCE)
        started = await self.stage.start()
        ready = time.monotonic()
        if answers and passed:
            await self._settled()
            settled = time.monotonic()
            self.slowest_settling = max(self.slowest_settling, settled - started)
            self.latest_settling = max(self.latest_settling, settled - ready)
        await self._calm()
        await self._inspect()

    def _meanwhile(self, chance: Random) -> Iterator[Awaitable[object]]:
        """What else goes on when it is killed."""
        match chance.randrange(6):
            case 0:
                yield self.stage.reload()
            case 1:
                yield self.stage.act("deposit", amount="20")
            case 2:
                yield self.stage.act("sync")

    async def _moment(self, chance: Random, *, starting: bool = False) -> None:
        """Wait for the moment to kill: after so many requests, or so much time."""
        seconds = chance.uniform(0.3, 3) if starting else chance.uniform(0, 0.3)
        requests = chance.randint(1, 14)
        if chance.random() < 0.3:
            await asyncio.sleep(seconds)
            return
        wanted = len(self._exchange.requests) + requests
        deadline = time.monotonic() + (4 if starting else 1)
        while len(self._exchange.requests) < wanted and time.monotonic() < deadline:  # noqa: ASYNC110 # it has no event
            await asyncio.sleep(0.0005)
        await asyncio.sleep(chance.uniform(0, 0.02))

    async def _settled(self) -> None:
        """Wait until nothing is in flight. Raises Violation."""
        for _ in range(SETTLING):
            if not self.stage.in_flight():
                return
            await self.stage.poll()
            await asyncio.sleep(0.05)
        raise Violation(self.step, [f"{self.stage.in_flight()} orders stay in flight"])

    async def _calm(self) -> None:
        """End everything that is wrong, and let the follower come to rest."""
        self._pass(everything=True)
        for task in self._later:
            task.cancel()
        self._exchange.clear_faults()
        self._leader.behave()
        for _ in range(2):
            self._exchange.advance(FENCE)
            await self.stage.poll()
        await self._settled()

    async def _inspect(self) -> None:
        """Look for anything that must not be. Raises Violation."""
        watch, folder = self.stage.watch, self.stage.home.folder
        log = watch.look_on(self.stage.log)
        watch.look("states", await self.stage.states())
        watch.look_into(folder, "calvalot/*", "home-assistant_v2.db*")
        self.findings = inspect(await asyncio.to_thread(read, self.stage.ledger), self._account())
        complaints = [*self.findings.complaints, *(f"a secret in {where}" for where in sorted({*watch.seen}))]
        complaints += [line for line in log.decode(errors="replace").splitlines() if LOGGED_ERROR.search(line)]
        if complaints:
            raise Violation(self.step, complaints)

    async def _follow(self) -> None:
        """After all that it still does what it is for. Raises Violation."""
        self._exchange.advance(600)  # the averages that filters look at have forgotten the storm
        await self.stage.reload()  # and so have the rules, which are kept for a while
        signal_id = self._leader.publish_v2({"BTC": "0.3", "ETH": "0.3", "SOL": "0.2"})
        for _ in range(5):
            await self.stage.poll()
            signal = (await self.stage.ask("get_signals") or {"signals": [{}]})["signals"][0]
            if (signal.get("signal_id"), signal.get("result")) == (signal_id, "executed"):
                return
        raise Violation(self.step, [f"the last signal was not executed: {json.dumps(signal)}"])

    def _account(self) -> Account:
        sent = [
            request.params["newClientOrderId"]
            for request in self._exchange.requests
            if (request.method, request.path) == ("POST", "/api/v3/order")
        ]
        return Account(
            owner=self.stage.owner,
            orders=self._exchange.orders,
            tag=follower_tag(self.stage.entry_id),
            balances=self._exchange.balances(),
            sent=sent,
        )

    # What passes

    def _until(self, cycles: int, undo: Callable[[], None]) -> None:
        self._passing.append((self.step + cycles, undo))

    def _pass(self, *, everything: bool = False) -> None:
        for until, undo in list(self._passing):
            if everything or until <= self.step:
                self._passing.remove((until, undo))
                undo()

    def _market(self, chance: Random) -> None:
        """Prices move a little, and now and then they jump, never too far from where they started."""
        self._exchange.walk(chance.randint(0, 3))
        if chance.random() < 0.06:
            coin = chance.choice(COINS)
            price = self._start_prices[coin] * Decimal(chance.randint(70, 140)) / 100
            self._exchange.set_price(f"{coin}{QUOTE}", price, gap=chance.random() < 0.5)

    def _publish(self, chance: Random, *, strong: bool = False) -> None:
        """A new signal, most often one that can be followed."""
        what = chance.random()
        if strong or what < 0.7:
            self._leader.publish_random()
        elif what < 0.86:
            self._leader.publish_random(version=1)
        elif what < 0.9:
            self._leader.publish_v2({})
        elif what < 0.94:
            self._leader.publish_v2({chance.choice(COINS): "0.97"})
        elif what < 0.96:
            self._leader.publish_v2({"BTC": "0.2", "NOPE": "0.1"})
        elif what < 0.98:
            self._leader.publish_v2({"BTC": "0.7", "ETH": "0.7"})
        else:
            self._leader.publish_raw(chance.choice(('{"signal_id": "bad"}', '{"signal_id": 5}', "[]", "\x00", "{}")))

    # Happenings

    async def _nothing(self, _chance: Random) -> None:
        """Only the leader and the market."""

    async def _blow(self, chance: Random) -> None:
        blow = next(self._blows)
        self._say(f"  {blow}")
        self._strike(blow, chance)
        match blow.request:
            case "history" | "rules" | "time":  # asked at the start
                await self.stage.reload()
            case "order" | "lookup" | "fills":
                self._publish(chance, strong=True)
        if blow.unsent and chance.random() < 0.8:  # the clock goes on while the order is looked up
            self._do_later(chance.uniform(0.1, 1), self._pass_fence)
        elif blow.unsent:
            self._until(2, self._pass_fence)
        if blow.kind is FaultKind.RATE_LIMIT:
            await self._wait_out()

    def _pass_fence(self) -> None:
        self._exchange.advance(FENCE)

    def _strike(self, blow: Blow, chance: Random) -> None:
        method, path = REQUESTS[blow.request]
        place, order_path = REQUESTS[ORDER]
        skip = chance.randint(0, 2) if blow.request == ORDER else 0
        count = chance.randint(1, 3) if blow.request in {"lookup", "fills"} else 1
        self._exchange.fault(
            blow.kind, when=blow.when, method=method, path=path, count=count, skip=skip, **blow.options
        )
        if blow.kind is FaultKind.LATE:
            self._exchange.fault("drop", when="after", method=place, path=order_path, skip=skip)
        elif blow.request == "lookup":  # nothing is looked up where nothing is unclear
            self._exchange.fault("drop", when="after", method=place, path=order_path)
        elif blow.request == "fills":
            self._exchange.fault("status_new", method=place, path=order_path)

    def _do_later(self, seconds: float, do: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            do()

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _leader_fault(self, chance: Random) -> None:
        kind, options = next(self._leader_faults)
        self._say(f"  {kind}")
        self._leader.misbehave(kind, **{"count": chance.choice((1, 1, 1, 4)), **options})

    async def _clock(self, chance: Random) -> None:
        self._exchange.advance(chance.choice((-8, -3, 3, 8, 20, 60, 3600)))

    async def _flow(self, chance: Random) -> None:
        await self.stage.act(chance.choice(("deposit", "deposit", "withdraw")), amount=str(chance.randint(1, 80)))

    async def _pause(self, chance: Random) -> None:
        await self.stage.pause(paused=True)
        self._publish(chance)
        await self.stage.poll()
        await self.stage.pause(paused=False)

    async def _sync(self, _chance: Random) -> None:
        await self.stage.act("sync")

    async def _reload(self, chance: Random) -> None:
        """Between two cycles, or in the middle of one."""
        if chance.random() < 0.4:
            await self.stage.reload()
            return
        self._publish(chance, strong=True)
        polling = asyncio.create_task(self.stage.poll())
        await self._moment(chance)
        await self.stage.reload()
        with suppress(ApiError):  # its entity may have gone meanwhile
            await polling

    async def _foreign_order(self, chance: Random) -> None:
        """The owner trades on the same account."""
        coin, quantity = chance.choice(list(FOREIGN.items()))
        order = OrderRequest(
            symbol=f"{coin}{QUOTE}",
            side=chance.choice((Side.BUY, Side.SELL)),
            quantity=Decimal(quantity),
            limit_price=None,
            client_order_id=f"web_{self.step}",
        )
        with suppress(ExchangeError):
            await self._owner.place(order)

    async def _owner_moves_cash(self, chance: Random) -> None:
        amount = Decimal(chance.randint(-2000, 4000)) / 100
        self._exchange.set_balance(QUOTE, self._exchange.account().balances[QUOTE].free + amount)
        self.stage.owner[QUOTE] += amount

    async def _thin_book(self, chance: Random) -> None:
        symbol = f"{chance.choice(COINS)}{QUOTE}"
        self._exchange.set_depth(symbol, chance.choice(("8", "40", "150")))
        self._until(chance.randint(1, 4), lambda: self._exchange.set_depth(symbol, None))
        self._publish(chance, strong=True)

    async def _halt(self, chance: Random) -> None:
        symbol = f"{chance.choice(COINS)}{QUOTE}"
        self._exchange.set_symbol_status(symbol, chance.choice(("HALT", "BREAK")))
        self._until(chance.randint(1, 4), lambda: self._exchange.set_symbol_status(symbol, "TRADING"))
        self._publish(chance, strong=True)

    async def _price_goes(self, chance: Random) -> None:
        symbol = f"{chance.choice((*COINS, 'EUR'))}{QUOTE}"
        self._exchange.remove_price(symbol, zero=chance.random() < 0.5)
        self._until(chance.randint(1, 4), lambda: self._exchange.restore_price(symbol))

    async def _queries(self, _chance: Random) -> None:
        for question in ("preview", "get_portfolio", "get_trades", "get_signals", "get_cash_flows", "get_performance"):
            await self.stage.ask(question)

    async def _away(self, chance: Random) -> None:
        """Leader or exchange is not there at all."""
        host = chance.choice((self._leader, self._exchange))
        self._publish(chance, strong=True)
        await host.stop()
        try:
            await self.stage.poll()
        finally:
            await host.start()

    async def _ban(self, chance: Random) -> None:
        self._exchange.ban(PAUSE, chance.choice((418, 429)))
        await self._wait_out()

    async def _wait_out(self) -> None:
        """Poll a little while the exchange wants no request; the pause is of real time."""
        for _ in range(3):
            await self.stage.poll()
        await asyncio.sleep(PAUSE + 0.05)
