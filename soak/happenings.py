"""What happens around the followers: to the exchange, to the leader, to the market, to the process."""

import asyncio
from contextlib import suppress
from decimal import Decimal
from random import Random

from custom_components.calvalot.trading.errors import ExchangeError
from custom_components.calvalot.trading.exchanges.base import OrderRequest, Side
from harness.http import ApiError
from harness.portfolio import COINS, QUOTE
from simulators.exchange import FaultKind

from .storm import Storm, Violation

PAUSE = 1
# Cycles within which a follower has noticed that a pair is gone: its rules are asked for again after the first.
NOTICING = 4
FOREIGN = {"BTC": "0.0004", "ETH": "0.011", "BNB": "0.03", "SOL": "0.3"}
# A weight that a cycle of both followers just about does not have, in a window of so many seconds.
CROWD, CROWD_SECONDS = 60, 1


async def nothing(_storm: Storm, _chance: Random) -> None:
    """Only the leader and the market."""


async def blow(storm: Storm, chance: Random) -> None:
    """A fault of the exchange, for one request."""
    blow = next(storm.blows)
    storm.say(f"  {blow}")
    storm.strike(blow, chance)
    match blow.request:
        case "history" | "rules" | "time":  # asked at the start
            await storm.stage.live.reload()
        case "order" | "lookup" | "fills":
            storm.publish(chance, strong=True)
        case "pair":
            await storm.stage.live.act("set_protection", coin=chance.choice(COINS), take_profit="5 %", stop_loss="5 %")
        case "cancel" | "open":
            orders = storm.exchange.open_orders(storm.accounts.current)
            if orders and blow.request == "cancel":
                await storm.stage.live.act("cancel_order", client_order_id=chance.choice(orders).client_order_id)
    if blow.unsent and chance.random() < 0.8:  # the clock goes on while the order is looked up
        storm.later(chance.uniform(0.1, 1), storm.pass_fence)
    elif blow.unsent:
        storm.until(2, storm.pass_fence)
    if blow.kind is FaultKind.RATE_LIMIT:
        await _wait_out(storm)


async def leader_fault(storm: Storm, chance: Random) -> None:
    """A fault of the leader, for one request or for some."""
    kind, options = next(storm.leader_faults)
    storm.say(f"  {kind}")
    storm.leader.misbehave(kind, **{"count": chance.choice((2, 2, 2, 8)), **options})


async def clock(storm: Storm, chance: Random) -> None:
    """The exchange's clock jumps."""
    storm.exchange.advance(chance.choice((-8, -3, 3, 8, 20, 60, 3600)))


async def reload(storm: Storm, chance: Random) -> None:
    """Between two cycles, or in the middle of one."""
    follower = storm.either(chance)
    if chance.random() < 0.4:
        await follower.reload()
        return
    storm.publish(chance, strong=True)
    polling = asyncio.create_task(follower.poll())
    await storm.moment(chance)
    await follower.reload()
    with suppress(ApiError):  # its entity may have gone meanwhile
        await polling


async def foreign_order(storm: Storm, chance: Random) -> None:
    """The owner trades on the same account."""
    coin, quantity = chance.choice(list(FOREIGN.items()))
    order = OrderRequest(
        symbol=f"{coin}{QUOTE}",
        side=chance.choice((Side.BUY, Side.SELL)),
        quantity=Decimal(quantity),
        limit_price=None,
        client_order_id=f"web_{storm.step}",
    )
    with suppress(ExchangeError):
        await storm.owner.place(order)


async def owner_moves_cash(storm: Storm, chance: Random) -> None:
    """Money of the owner's comes and goes on the account."""
    amount = Decimal(chance.randint(-2000, 4000)) / 100
    key = storm.accounts.current
    storm.exchange.set_balance(QUOTE, storm.exchange.account(key).balances[QUOTE].free + amount, key)
    storm.accounts.owner[QUOTE] += amount


async def thin_book(storm: Storm, chance: Random) -> None:
    """Orders find little to trade with."""
    symbol = _pair(storm, chance)
    storm.exchange.set_depth(symbol, chance.choice(("8", "40", "150")))
    storm.until(chance.randint(1, 4), lambda: storm.as_usual(symbol))
    storm.publish(chance, strong=True)


async def halt(storm: Storm, chance: Random) -> None:
    """A pair is not traded for a while, from now on or from the next order on."""
    symbol = _pair(storm, chance)
    fault = storm.fault_order("halt", symbol=symbol)  # after the day's rules were read
    if chance.random() < 0.5:
        storm.exchange.cancel_fault(fault)
        storm.exchange.set_symbol_status(symbol, chance.choice(("HALT", "BREAK")))

    storm.until(chance.randint(1, 4), lambda: storm.as_usual(symbol, fault))
    storm.publish(chance, strong=True)


async def delist(storm: Storm, chance: Random) -> None:
    """A pair is no longer listed, from now on or from the next order on; the rest goes on all the same."""
    await storm.calm()
    symbol = _pair(storm, chance)
    fault = storm.fault_order("delist", symbol=symbol)
    if chance.random() < 0.5:
        storm.exchange.cancel_fault(fault)
        storm.exchange.delist(symbol)

    def relist() -> None:
        storm.exchange.cancel_fault(fault)
        storm.relist(symbol)

    storm.until(chance.randint(2, 5), relist)
    storm.publish(chance, strong=True)
    for _ in range(NOTICING):
        await storm.poll()
    for follower in storm.stage.led:
        portfolio = await follower.ask("get_portfolio")
        if portfolio["total_value"] is None:
            raise Violation(f"{follower.mode}: without {symbol} there is no value")


async def price_goes(storm: Storm, chance: Random) -> None:
    """A price is missing, or zero."""
    symbol = chance.choice((_pair(storm, chance), f"EUR{QUOTE}"))
    storm.exchange.remove_price(symbol, zero=chance.random() < 0.5)
    storm.until(chance.randint(1, 4), lambda: storm.exchange.restore_price(symbol))


async def jump(storm: Storm, chance: Random) -> None:
    """Prices jump between the moment a purchase was sized and its match."""
    storm.fault_order("jump", side="BUY", percent=chance.randint(1, 8), count=chance.randint(1, 3))
    storm.publish(chance, strong=True)


async def away(storm: Storm, chance: Random) -> None:
    """Leader or exchange is not there at all."""
    host = chance.choice((storm.leader, storm.exchange))
    storm.publish(chance, strong=True)
    await host.stop()
    try:
        await storm.poll()
    finally:
        await host.start()


async def ban(storm: Storm, chance: Random) -> None:
    """The exchange wants no request from anybody here."""
    storm.exchange.ban(PAUSE, chance.choice((418, 429)))
    await _wait_out(storm)


async def crowd(storm: Storm, chance: Random) -> None:
    """Somebody else uses most of the weight; who goes on asking is banned, for longer each time."""
    storm.exchange.set_weight_limit(CROWD, seconds=CROWD_SECONDS)
    storm.publish(chance, strong=True)
    for _ in range(4):
        await storm.poll()
        await asyncio.sleep(CROWD_SECONDS / 3)
    storm.exchange.set_weight_limit(None)
    await asyncio.sleep(CROWD_SECONDS)


async def _wait_out(storm: Storm) -> None:
    """Poll a little while the exchange wants no request; the pause is of real time."""
    for _ in range(3):
        await storm.poll()
    await asyncio.sleep(PAUSE + 0.05)


def _pair(storm: Storm, chance: Random) -> str:
    """A pair that is listed."""
    listed = storm.exchange.prices()
    return chance.choice([symbol for coin in COINS if (symbol := f"{coin}{QUOTE}") in listed])


HAPPENINGS = (
    (330, nothing),
    (100, blow),
    (50, leader_fault),
    (30, clock),
    (20, reload),
    (30, foreign_order),
    (10, owner_moves_cash),
    (30, thin_book),
    (20, halt),
    (12, delist),
    (20, price_goes),
    (20, jump),
    (5, away),
    (5, ban),
    (4, crowd),
)
