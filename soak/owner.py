"""What the owner does, and what has to follow from it."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from harness.portfolio import COINS, QUOTE

from .follower import Follower
from .storm import Storm, Violation

INVESTED = {"BTC": "0.35", "ETH": "0.25", "SOL": "0.2"}
FALL = Decimal("0.82")
QUESTIONS = ("preview", "get_portfolio", "get_trades", "get_signals", "get_cash_flows", "get_performance")
# So much reasoning that a payload cut somewhere would not show what is behind it.
LENGTHY = "x" * 17_000
SIX_MINUTES = 0.1
# Seconds that sales take while he pauses: a busy machine hears him well before they are over.
SELLING = 4.0
MOST_PRICES = 25


async def flow(storm: Storm, chance: Random) -> None:
    """He deposits or withdraws."""
    kind = chance.choice(("deposit", "deposit", "withdraw"))
    await storm.either(chance).act(kind, amount=str(chance.randint(1, 80)))


async def flow_in_doubt(storm: Storm, chance: Random) -> None:
    """He deposits or withdraws a lot while nobody knows what became of the orders."""
    live = storm.stage.live
    storm.fault_order("drop", when=chance.choice(("before", "after")), count=3)
    storm.exchange.fault("status", method="GET", path="/order", count=None)
    storm.publish(chance, strong=True)
    await live.poll()
    await live.act(chance.choice(("deposit", "withdraw")), amount=str(chance.randint(100, 900)))
    await storm.calm()


async def pause(storm: Storm, chance: Random) -> None:
    """He pauses and resumes."""
    follower = storm.either(chance)
    await follower.pause(paused=True)
    storm.publish(chance)
    await follower.poll()
    await follower.pause(paused=False)


async def pause_during_sells(storm: Storm, chance: Random) -> None:
    """He pauses while sales are on their way: nothing is bought with what they bring."""
    live, exchange = storm.stage.live, storm.exchange
    await _invest(storm, live)
    storm.fault_order("slow", side="SELL", count=5, seconds=SELLING)
    storm.leader.publish_v2({chance.choice(COINS): "0.5", "XRP": "0.3"})
    asked = len(exchange.requests)
    polling = asyncio.create_task(live.poll())
    while not polling.done() and not _placed(storm, asked, "SELL"):  # noqa: ASYNC110 # it has no event
        await asyncio.sleep(0.002)
    await live.pause(paused=True)
    heard = len(exchange.requests)
    await polling
    bought = _placed(storm, heard, "BUY")
    await live.pause(paused=False)
    if bought:
        raise Violation(f"bought after the pause: {', '.join(bought)}")


async def sync(storm: Storm, chance: Random) -> None:
    """He rebalances."""
    await storm.either(chance).act("sync")


async def questions(storm: Storm, chance: Random) -> None:
    """He looks at everything."""
    follower = storm.either(chance)
    for question in QUESTIONS:
        await follower.ask(question)


async def slippage(storm: Storm, chance: Random) -> None:
    """He changes how much worse than seen a price may be; 0 bounds nothing."""
    await storm.stage.live.tune(max_slippage=chance.choice((0, 0, 0.5, None)))


async def few_trades(storm: Storm, chance: Random) -> None:
    """He allows few trades a day."""
    follower = storm.either(chance)
    async with follower.tuned(max_trades_per_day=chance.randint(1, 500)):
        storm.publish(chance, strong=True)
        await follower.poll()


async def stop_loss(storm: Storm, chance: Random) -> None:
    """Prices fall under his stop loss, and everything is sold whatever stands in the way; then he resumes."""
    follower = storm.either(chance)
    await _invest(storm, follower)
    options: dict[str, object] = {"stop_loss_drawdown": 5, "stop_loss_sell": True}
    if chance.random() < 0.3:
        options["max_trades_per_day"] = 1
    async with follower.tuned(**options):
        await follower.poll()
        fallen = {f"{coin}{QUOTE}": storm.exchange.price(f"{coin}{QUOTE}") for coin in INVESTED}
        for symbol, price in fallen.items():
            storm.exchange.set_price(symbol, price * FALL)
        _hinder(storm, chance)
        if chance.random() < 0.3:
            storm.publish_refused(chance)
        try:
            await storm.sold_out(follower)
        finally:
            for symbol, price in fallen.items():
                storm.exchange.set_price(symbol, price)
    await follower.pause(paused=False)


async def leave(storm: Storm, chance: Random) -> None:
    """He has everything sold, whatever stands in the way; then he resumes."""
    follower = storm.either(chance)
    await _invest(storm, follower)
    _hinder(storm, chance)
    if not await follower.act("exit", confirm=True):
        raise Violation("he may not leave")
    await storm.sold_out(follower)
    await follower.pause(paused=False)


async def approval(storm: Storm, chance: Random) -> None:
    """He wants to be asked: approves, refuses, is overtaken, or is shown one thing and asked for another."""
    follower = storm.either(chance)
    async with follower.tuned(approval="ask"):
        made = datetime.now(UTC).isoformat(timespec="seconds")
        signal_id = storm.leader.publish_v2({"BTC": "0.55"}, reasoning=LENGTHY, created_at=made)
        await follower.poll()
        match chance.randrange(5):
            case 0:
                await follower.act("approve", signal_id=signal_id)
            case 1:
                await follower.act("reject", signal_id=signal_id)
            case 2:
                storm.publish(chance)
                await follower.act("approve")
            case _:
                storm.leader.publish_v2(
                    {"ETH": "0.5", "XRP": "0.3"}, reasoning=LENGTHY, created_at=made, signal_id=signal_id
                )
                await follower.act("approve", signal_id=signal_id)
                trades = await follower.ask("get_trades", limit=20)
                for trade in trades["trades"] if trades else ():
                    if trade["signal_id"] == signal_id and trade["symbol"] in {f"ETH{QUOTE}", f"XRP{QUOTE}"}:
                        raise Violation(f"{trade['symbol']} was traded and never approved")
                await follower.act("reject", signal_id=signal_id)


async def jitter(storm: Storm, chance: Random) -> None:
    """He lets signals wait for a moment of their own; now and then the ledger cannot be written when it comes."""
    follower = storm.either(chance)
    async with follower.tuned(entry_jitter=2):
        storm.publish(chance, strong=True)
        await storm.poll()
        asked = len(storm.exchange.requests)
        if chance.random() < 0.3:
            storm.excuse("Nothing is traded: ")
            async with follower.locked_ledger(7):
                pass
        else:
            await asyncio.sleep(2.2)
        prices = sum(request.path.endswith("/ticker/price") for request in storm.exchange.requests[asked:])
        if prices > MOST_PRICES:
            raise Violation(f"prices were asked for {prices} times while a signal waited")
        await storm.poll()


async def late_moves(storm: Storm, chance: Random) -> None:
    """A move is first seen while he has paused, and is too old when he resumes."""
    follower = storm.either(chance)
    await _invest(storm, follower)
    async with follower.tuned(max_signal_age=SIX_MINUTES):
        await follower.pause(paused=True)
        made = datetime.now(UTC) - timedelta(minutes=6) + timedelta(seconds=1.5)
        moves = [(chance.choice(COINS), chance.choice(("BUY", "SELL")), "0.1")]
        signal_id = storm.leader.publish_v1(moves, INVESTED, created_at=made.isoformat())
        await follower.poll()
        await asyncio.sleep(1.6)
        await follower.pause(paused=False)
        for _ in range(2):
            await follower.poll()
    if moved := follower.executed(signal_id):
        raise Violation(f"{moved} orders of a signal that was too old")


async def _invest(storm: Storm, follower: Follower) -> None:
    """Nothing is wrong for once, and the follower holds something."""
    await storm.calm()
    storm.leader.publish_v2(INVESTED)
    for _ in range(2):
        await follower.poll()


def _hinder(storm: Storm, chance: Random) -> None:
    """What may stand in the way of a sale."""
    exchange, symbol = storm.exchange, f"{chance.choice(list(INVESTED))}{QUOTE}"
    match chance.randrange(7):
        case 0:
            fault = storm.fault_order("halt", symbol=symbol, side="SELL")
            storm.later(1, lambda: storm.as_usual(symbol, fault))
        case 1:
            exchange.set_symbol_status(symbol, "BREAK")
            storm.later(1, lambda: storm.as_usual(symbol))
        case 2:
            storm.fault_order("error", code=-2010, side="SELL", count=chance.randint(1, 4))
        case 3:
            storm.fault_order("drop", when=chance.choice(("before", "after")), side="SELL", count=2)
            storm.later(0.5, storm.pass_fence)
        case 4:
            storm.fault_order("status", status=503, side="SELL", count=2)
            storm.later(0.5, storm.pass_fence)
        case 5:
            exchange.set_depth(symbol, "40")
            storm.later(1, lambda: storm.as_usual(symbol))


def _placed(storm: Storm, since: int, side: str) -> list[str]:
    """Pairs that orders of a side were sent for."""
    return [
        request.params["symbol"]
        for request in storm.exchange.requests[since:]
        if (request.method, request.path, request.params.get("side")) == ("POST", "/api/v3/order", side)
    ]


HAPPENINGS = (
    (30, flow),
    (10, flow_in_doubt),
    (20, pause),
    (10, pause_during_sells),
    (20, sync),
    (20, questions),
    (10, slippage),
    (10, few_trades),
    (12, stop_loss),
    (8, leave),
    (15, approval),
    (4, jitter),
    (6, late_moves),
)
