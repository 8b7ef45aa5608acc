"""The storm's course: cycles, kills, and a close look; everything is drawn from the seed and the number of the cycle."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
import itertools
import json
from random import Random
import re
import time
from typing import Any

from aiohttp import ClientSession

from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.order_names import follower_tag
from harness.http import ApiError
from harness.portfolio import COINS, QUOTE
from simulators.exchange import Fault

from . import faults
from .accounts import Accounts
from .books import read
from .faults import Blow
from .follower import OPTIONS, Follower, Gone
from .invariants import OVERDRAFT, Findings, inspect, inspect_paper
from .stage import Stage

# An order struck on its way is proven absent only when the exchange's clock is this much (s) further on.
FENCE = 30
CYCLES_PER_KILL = 80
FEWEST_KILLS = 3
# Of so many kills one takes the ledger with it.
KILLS_PER_LOSS = 4
SETTLING = 40
# What may be left after everything was sold (quote): no order of it would be accepted.
DUST = Decimal("6.5")
SELLING = 30
PATIENT = 0
# After so many cycles in vain hours are to have passed since the last refusal.
REFUSED = 12
# Seconds within which a book is in use: that an account was wiped is believed after a minute.
BOOK_WAIT = 100
HURRIED = 5
SALES = ("stop_loss-", "exit-")
# A rebuild has this much weight for each order, in windows of a second: it takes several.
WEIGHT_PER_ORDER = Decimal("0.5")
LEAST_WEIGHT = 160
REBUILDING = 120
# An action that was refused is logged by the API; anything else must not be.
LOGGED_ERROR = re.compile(r"^[-\d]+ [\d:.]+ (ERROR|CRITICAL) (?!.*\[homeassistant.components.api\])|^Traceback ")

type Happening = Callable[[Storm, Random], Awaitable[None]]


class Violation(Exception):
    """Something that must never be."""

    def __init__(self, *complaints: str) -> None:
        super().__init__("; ".join(complaints))
        self.complaints = complaints


class Storm:
    """One run of a seed; `happenings` are weighed."""

    def __init__(
        self,
        stage: Stage,
        session: ClientSession,
        cycles: int,
        happenings: tuple[tuple[int, Happening], ...],
        say: Callable[[str], None],
    ) -> None:
        self.stage = stage
        self.exchange = stage.exchange
        self.leader = stage.leader
        self.say = say
        self.accounts = Accounts(stage)
        account = stage.exchange.account()
        self.owner = BinanceExchange(session, stage.exchange.url, account.api_key, account.api_secret)
        self.start_prices = {coin: stage.exchange.price(f"{coin}{QUOTE}") for coin in COINS}
        self.blows = faults.for_ever(list(faults.blows()), self._chance("blows"))
        self.leader_faults = faults.for_ever(list(faults.LEADER), self._chance("leader"))
        self.session = session
        self.step = 0
        self.kills = 0
        self.alerts = 0
        self.lost_alerts = 0
        self.unprotected = 0
        self.lost_ledgers = 0
        self.happened: Counter[str] = Counter()
        # Seconds, the longest of all: since the process was started, and since all of Home Assistant ran.
        self.slowest_settling = 0.0
        self.latest_settling = 0.0
        self.findings = Findings()
        self._cycles = cycles
        self._happenings = happenings
        self._passing: list[tuple[int, Callable[[], None]]] = []
        self._later: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._relisted: dict[str, datetime] = {}
        self._excused: list[str] = []
        self._asked = 0
        count = max(FEWEST_KILLS, -(-cycles // CYCLES_PER_KILL))
        self._kill_steps = frozenset(self._chance("kills").sample(range(1, cycles + 1), min(count, cycles)))

    async def run(self) -> None:
        """Every cycle of it, then the last inspection. Raises Violation."""
        await self.stage.start()
        await self.book_in_use()
        for step in range(1, self._cycles + 1):
            self.step = step
            began = time.monotonic()
            chance = self._chance(self.step)
            self.end_passing(everything=False)
            self._market(chance)
            try:
                await (self._crash(chance) if self.step in self._kill_steps else self._cycle(chance))
            except (ApiError, Gone) as error:
                raise Violation(f"Home Assistant: {error!r}") from error
            self._look()
            self.say(f"  {time.monotonic() - began:.2f} s")
        await self.calm()
        await self._inspect()
        await self._unlock()
        await self._inspect()
        await self._follow()

    @property
    def faults(self) -> int:
        """Faults that really struck."""
        return self.exchange.faults_injected.total() + sum(
            request.fault is not None for request in self.leader.requests
        )

    @property
    def orders(self) -> int:
        """Orders of the live follower at the exchange."""
        return self.accounts.orders

    # For happenings

    def either(self, chance: Random) -> Follower:
        """One of the followers, more often the live one."""
        return chance.choice((self.stage.live, self.stage.live, self.stage.paper))

    def anyone(self, chance: Random) -> Follower:
        """Any of the portfolios, most often the live one."""
        return chance.choice((*[self.stage.live] * 3, *self.stage.followers))

    async def poll(self) -> None:
        """A cycle of each portfolio. Raises Gone, ApiError."""
        await asyncio.gather(*(follower.poll() for follower in self.stage.followers))

    def publish(self, chance: Random, *, strong: bool = False) -> None:
        """A new signal, most often one that can be followed."""
        what = chance.random()
        if strong or what < 0.7:
            self.leader.publish_random()
        elif what < 0.86:
            self.leader.publish_random(version=1)
        elif what < 0.9:
            self.leader.publish_v2({})
        elif what < 0.94:
            self.leader.publish_v2({chance.choice(COINS): "0.97"})
        else:
            self.publish_refused(chance)

    def publish_refused(self, chance: Random) -> None:
        """A signal that cannot be followed, or what is none."""
        match chance.randrange(3):
            case 0:
                self.leader.publish_v2({"BTC": "0.2", "NOPE": "0.1"})
            case 1:
                self.leader.publish_v2({"BTC": "0.7", "ETH": "0.7"})
            case _:
                bodies = ('{"signal_id": "bad"}', '{"signal_id": 5}', "[]", "\x00", "{}")
                self.leader.publish_raw(chance.choice(bodies))

    def fault_order(self, kind: str, **options: Any) -> Fault:
        """Have a fault wait for the next order."""
        method, path = faults.REQUESTS[faults.ORDER]
        return self.exchange.fault(kind, method=method, path=path, **options)

    def strike(self, blow: Blow, chance: Random) -> None:
        """Have a fault wait for its request, with what it takes for that request to be made."""
        method, path = faults.REQUESTS[blow.request]
        skip = chance.randint(0, 2) if blow.request == faults.ORDER else 0
        count = chance.randint(1, 3) if blow.request in {"lookup", "fills"} else 1
        self.exchange.fault(blow.kind, when=blow.when, method=method, path=path, count=count, skip=skip, **blow.options)
        if blow.kind == "late":
            self.fault_order("drop", when="after", skip=skip)
        elif blow.request == "lookup":  # nothing is looked up where nothing is unclear
            self.fault_order("drop", when="after")
        elif blow.request == "fills":
            self.fault_order("status_new")

    def as_usual(self, symbol: str, *faults_of_it: Fault) -> None:
        """A pair that is listed is traded again, with all that its book holds."""
        for fault in faults_of_it:
            self.exchange.cancel_fault(fault)
        if symbol in self.exchange.prices():
            self.exchange.set_symbol_status(symbol, "TRADING")
            self.exchange.set_depth(symbol, None)

    def relist(self, symbol: str) -> None:
        """A pair is listed again where it was not."""
        if symbol not in self.exchange.prices():
            self.exchange.relist(symbol)
            self._relisted[symbol] = datetime.now(UTC)

    def pass_fence(self) -> None:
        """The exchange's clock goes past what could still bring an order."""
        self.exchange.advance(FENCE)

    def until(self, cycles: int, undo: Callable[[], None]) -> None:
        """Undo something after so many cycles."""
        self._passing.append((self.step + cycles, undo))

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something after so much time."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            do()

        task = asyncio.create_task(wait())
        self._later[task] = do
        task.add_done_callback(lambda task: self._later.pop(task, None))

    def excuse(self, words: str) -> None:
        """Until the next inspection the log may say this."""
        self._excused.append(words)

    def end_passing(self, *, everything: bool = True) -> None:
        """End what passes: everything that is wrong, or what has lasted long enough."""
        for until, undo in list(self._passing):
            if everything or until <= self.step:
                self._passing.remove((until, undo))
                undo()
        if everything:
            for task, do in list(self._later.items()):
                task.cancel()
                do()
            self._later.clear()
            self.exchange.clear_faults()
            self.leader.behave()

    async def moment(self, chance: Random, *, starting: bool = False) -> None:
        """Wait for a moment: after so many requests, or so much time."""
        seconds = chance.uniform(0.3, 3) if starting else chance.uniform(0, 0.3)
        requests = chance.randint(1, 14)
        if chance.random() < 0.3:
            await asyncio.sleep(seconds)
            return
        await self.requested(requests, timeout=4 if starting else 1)
        await asyncio.sleep(chance.uniform(0, 0.02))

    async def requested(self, count: int, *, timeout: float) -> None:
        """Wait until so many further requests have reached the exchange, or so long (s)."""
        wanted = len(self.exchange.requests) + count
        deadline = time.monotonic() + timeout
        while len(self.exchange.requests) < wanted and time.monotonic() < deadline:  # noqa: ASYNC110 # it has no event
            await asyncio.sleep(0.0005)

    async def calm(self) -> None:
        """End everything that is wrong, and let the followers come to rest. Raises Violation."""
        self.end_passing()
        for _ in range(2):
            self.pass_fence()
            await self.poll()
        await self._settled()

    async def sold_out(self, follower: Follower) -> None:
        """Wait until nothing that can be sold is left; what was not listed when the sale ended its owner sells now.

        Raises Violation.
        """
        for number in range(SELLING):
            await follower.poll()
            portfolio = await follower.ask("get_portfolio")
            held = {each["coin"]: each["value"] for each in portfolio["positions"] if Decimal(each["quantity"])}
            left = {coin: value for coin, value in held.items() if value is None or Decimal(value) >= DUST}
            if not left and not follower.in_flight():
                return
            if left and left.keys() <= await self._given_up(follower):
                await follower.act("exit", confirm=True)
            if number > PATIENT:
                self.pass_fence()
                await asyncio.sleep(0.1)
            if number % REFUSED == REFUSED - 1:
                await follower.pass_refusals()
        raise Violation(f"{follower.mode}: {left} is not sold")

    async def _given_up(self, follower: Follower) -> set[str]:
        """Coins that the last sale of everything left because their pairs were not listed, rightly so."""
        signals = (await follower.ask("get_signals"))["signals"]
        sale = next((each for each in signals if each["signal_id"].startswith(SALES)), None)
        if sale is None or sale["result"] == "open":
            return set()
        began = datetime.fromisoformat(sale["signal_id"].partition("-")[2])
        left = (leg["symbol"] for leg in sale["legs"] if leg["reason"] == "not_listed")
        return {symbol.removesuffix(QUOTE) for symbol in left if began < self._relisted.get(symbol, began)}

    async def book_in_use(self) -> None:
        """The live follower comes to know its account, and trades nothing before. Raises Violation."""
        live, asked, deadline = self.stage.live, len(self.exchange.requests), time.monotonic() + BOOK_WAIT
        for number in itertools.count():
            await live.poll()
            book = live.book_in_use()
            if self.accounts.may_use(book, traded=live.has_traded(book)):
                if live.net_deposits() is not None:
                    self.accounts.use(book)
                    return
            elif any(request.method == "POST" for request in self.exchange.requests[asked:]):
                raise Violation(f"book {book} of another account was traded in")
            if time.monotonic() > deadline:
                raise Violation(f"no book was opened, {book} is in use")
            await asyncio.sleep(number >= HURRIED)

    # Cycles and crashes

    def _chance(self, what: object) -> Random:
        return Random(f"{self.stage.seed} {what}")  # noqa: S311 # a storm that can be had again

    def _market(self, chance: Random) -> None:
        """Prices move a little, and now and then they jump, never too far from where they started."""
        self.exchange.walk(chance.randint(0, 3))
        if chance.random() < 0.06:
            coin = chance.choice(COINS)
            price = self.start_prices[coin] * Decimal(chance.randint(70, 140)) / 100
            if f"{coin}{QUOTE}" in self.exchange.prices():
                self.exchange.set_price(f"{coin}{QUOTE}", price, gap=chance.random() < 0.5)

    async def _cycle(self, chance: Random) -> None:
        (happening,) = chance.choices(
            [each for _, each in self._happenings], [weight for weight, _ in self._happenings]
        )
        self.say(f"{self.step}: {happening.__name__}")
        self.happened[happening.__name__] += 1
        if chance.random() < 0.35:
            self.publish(chance)
        await happening(self, chance)
        await self.poll()

    async def _crash(self, chance: Random) -> None:
        """Kill Home Assistant, most often with orders on their way, start it again, and inspect what it made of it."""
        self.say(f"{self.step}: kill")
        self.publish(chance, strong=True)
        if chance.random() < 0.3:
            self.strike(next(self.blows), chance)
        self.exchange.set_latency(chance.choice((0, 0.01, 0.03)))
        # Awaited only when it is dead: what an action in the middle of it says does not count.
        actions = asyncio.gather(self.poll(), *self._meanwhile(chance), return_exceptions=True)
        await self.moment(chance)
        self.stage.kill()
        await actions
        await self.stage.stop()
        self.kills += 1
        if chance.random() < 0.25:
            starting = asyncio.create_task(self.stage.start())
            await self.moment(chance, starting=True)
            self.stage.kill()
            await asyncio.wait([starting])
            starting.exception()
            await self.stage.stop()
            self.kills += 1
        self.exchange.set_latency(0)
        if sorted(self._kill_steps).index(self.step) % KILLS_PER_LOSS == 1:
            await self._lose_ledger()
        else:
            await self._start_again(chance)
        for follower in self.stage.led:
            await follower.tune(**OPTIONS)  # Home Assistant writes options down a second late
        await self.calm()
        await self._left()
        await self._inspect()

    async def _start_again(self, chance: Random) -> None:
        """Start, and measure how long it takes until nothing is in flight, where nothing stands in the way."""
        answers, passed = chance.random() < 0.85, chance.random() < 0.85
        if answers:
            self.exchange.clear_faults()
            self.leader.behave()
        if passed:
            self.exchange.advance(FENCE)
        started = await self.stage.start()
        ready = time.monotonic()
        if answers and passed:
            await self._settled()
            settled = time.monotonic()
            self.slowest_settling = max(self.slowest_settling, settled - started)
            self.latest_settling = max(self.latest_settling, settled - ready)

    async def _lose_ledger(self) -> None:
        """Everything the live follower wrote down is gone; the account has to tell it, and wants few questions."""
        self.say(f"  and the ledger of {self.orders} orders is lost")
        self.end_passing()
        self.pass_fence()
        live = self.stage.live
        paid_in = live.net_deposits()
        live.lose_ledger()
        self.accounts.forget_books()
        self.lost_ledgers += 1
        weight = max(LEAST_WEIGHT, int(self.orders * WEIGHT_PER_ORDER))
        self.exchange.set_weight_limit(weight, seconds=1)
        await self.stage.start()
        for _ in range(REBUILDING):
            await live.poll()
            if live.net_deposits() is not None:
                break
            await asyncio.sleep(0.25)
        else:
            raise Violation(f"the ledger was not rebuilt in {REBUILDING} cycles")
        self.exchange.set_weight_limit(None)
        self.accounts.use(live.book_in_use())
        # What was paid in and taken out nobody but the owner knows.
        if paid_in is not None and (missing := paid_in - (live.net_deposits() or 0)):
            await live.act("deposit" if missing > 0 else "withdraw", amount=f"{abs(missing):.2f}")

    def _meanwhile(self, chance: Random) -> Iterator[Awaitable[object]]:
        """What else goes on when it is killed."""
        match chance.randrange(6):
            case 0:
                yield self.either(chance).reload()
            case 1:
                yield self.either(chance).act("deposit", amount="20")
            case 2:
                yield self.either(chance).act("sync")
            case 3:
                yield self.either(chance).act("exit", confirm=True)

    async def _left(self) -> None:
        """Whoever was about to have everything sold has it sold, and resumes. Raises Violation."""
        for follower in self.stage.led:
            if (await follower.ask("get_portfolio"))["status"] == "paused":
                await self.sold_out(follower)
                await follower.pause(paused=False)

    async def _settled(self) -> None:
        """Wait until nothing is in flight, and no alert waits for the one before it. Raises Violation."""
        for _ in range(SETTLING):
            in_flight = sum(follower.in_flight() for follower in self.stage.followers)
            if not in_flight and not self.stage.led_by_alerts.alerts()[0]:
                return
            await self.poll()
            await asyncio.sleep(0.05)
        raise Violation(f"{in_flight} orders stay in flight")

    async def _unlock(self) -> None:
        """Nothing is locked for ever: what rests is ended, and all of the account is free again. Raises Violation."""
        for follower in self.stage.followers:
            for order in (await follower.ask("get_orders"))["open"]:
                await follower.act("cancel_order", client_order_id=order["client_order_id"])
            for coin in COINS:
                await follower.act("release_coin", coin=coin)
        await self.calm()
        account = self.exchange.account(self.accounts.current)
        locked = {asset: f"{balance.locked:f}" for asset, balance in account.balances.items() if balance.locked}
        left = {each.name: len((await each.ask("get_orders"))["open"]) for each in self.stage.followers}
        if locked or any(left.values()):
            raise Violation(f"locked for ever: {locked}, open: {left}")

    # A close look

    def _look(self) -> None:
        """What can be seen after every cycle. Raises Violation."""
        asked, self._asked = self._asked, len(self.exchange.requests)
        unheeded = [request for request in self.exchange.requests[asked:] if request.unheeded]
        complaints = [f"{each.method} {each.path} was sent though the exchange had said to wait" for each in unheeded]
        complaints += [
            f"{-Decimal(cash):f} {QUOTE} of the owner's were spent"
            for follower in self.stage.followers
            for cash in follower.cash()
            if Decimal(cash) < OVERDRAFT
        ]
        if complaints:
            raise Violation(*complaints)

    async def _inspect(self) -> None:
        """Look for anything that must not be. Raises Violation."""
        watch, folder, live = self.stage.watch, self.stage.home.folder, self.stage.live
        log = watch.look_on(self.stage.home.output)
        watch.look("states", await self.stage.states())
        watch.look_into(folder, "calvalot/*", "home-assistant_v2.db*")
        self.findings = Findings()
        for number, account in self.accounts.books():
            self.findings += inspect(await asyncio.to_thread(read, live.ledger, live.mode, number), account)
        papers = [follower for follower in self.stage.followers if not follower.live]
        on_paper = {
            each.name: inspect_paper(await asyncio.to_thread(read, each.ledger, each.mode)).complaints
            for each in papers
        }
        complaints = [
            *self.findings.complaints,
            *(f"{name}: {complaint}" for name, found in on_paper.items() for complaint in found),
            *await self._unprotected(),
            *await self._lost_alerts(),
            *(f"a secret in {where}" for where in sorted({*watch.seen})),
            *(line for line in log.decode(errors="replace").splitlines() if self._is_error(line)),
        ]
        tags = tuple(follower_tag(each.entry_id) for each in papers)
        complaints += [
            f"order {order.client_order_id} on paper reached the exchange"
            for order in self.exchange.orders
            if order.client_order_id.startswith(tags)
        ]
        self._excused.clear()
        if complaints:
            raise Violation(*complaints)

    async def _unprotected(self) -> list[str]:
        """Coins that are not protected as they should be: two cycles are over, in which nothing stood in the way."""
        found = [f"{each.name}: {coin} is not protected" for each in self.stage.followers for coin in await each.bare()]
        self.unprotected += len(found)
        return found

    async def _lost_alerts(self) -> list[str]:
        """Alerts that were answered and are not written down, or wait for ever."""
        waiting, kept = await asyncio.to_thread(self.stage.led_by_alerts.alerts)
        found = [f"{waiting} alerts still wait"] if waiting else []
        if kept < self.alerts:
            self.lost_alerts = self.alerts - kept
            found.append(f"{self.lost_alerts} alerts were answered and are not there")
        return found

    def _is_error(self, line: str) -> bool:
        return bool(LOGGED_ERROR.search(line)) and not any(words in line for words in self._excused)

    async def _follow(self) -> None:
        """After all that they still do what they are for. Raises Violation."""
        self.exchange.advance(600)  # the averages that filters look at have forgotten the storm
        signal_id = self.leader.publish_v2({"BTC": "0.3", "ETH": "0.3", "SOL": "0.2"})
        for follower in self.stage.led:
            await follower.reload()  # and so have the rules, which are kept for a while
            for _ in range(5):
                await follower.poll()
                signal = (await follower.ask("get_signals") or {"signals": [{}]})["signals"][0]
                if (signal.get("signal_id"), signal.get("result")) == (signal_id, "executed"):
                    break
            else:
                raise Violation(f"{follower.mode}: the last signal was not executed: {json.dumps(signal)}")
