"""The owner's own hand, alerts from outside, and another allocation: orders that rest, their end, what protects a coin."""

from datetime import UTC, datetime
import json
from random import Random

from aiohttp import ClientError

from harness.portfolio import COINS, QUOTE

from .follower import Follower
from .storm import Storm, Violation


async def order(storm: Storm, chance: Random) -> None:
    """He buys or sells at the market or at a limit, what he buys protected or not."""
    await place(storm, chance, storm.anyone(chance))


async def place(storm: Storm, chance: Random, follower: Follower) -> None:
    """An order by hand."""
    coin = chance.choice(COINS)
    data: dict[str, object] = {
        "coin": coin,
        "side": chance.choice(("buy", "buy", "sell")),
        "amount": str(chance.randint(8, 60)),
        "confirm": True,
    }
    if chance.random() < 0.6 and (price := storm.exchange.prices().get(f"{coin}{QUOTE}")):
        tick = storm.exchange.symbol(f"{coin}{QUOTE}").tick
        data |= {"type": "limit", "limit_price": f"{price * chance.randint(960, 1040) / 1000 // tick * tick:f}"}
        data |= {"time_in_force": chance.choice(("gtc", "gtc", "gtc", "ioc", "fok"))}
    if data["side"] == "buy":
        data |= levels(chance)
    await follower.act("place_order", **data)


def levels(chance: Random) -> dict[str, object]:
    """A take profit, a stop loss, one that follows the price, or nothing."""
    found: dict[str, object] = {}
    if chance.random() < 0.4:
        found["take_profit"] = f"{chance.randint(2, 8)} %"
    match chance.randrange(4):
        case 0 | 1:
            found["stop_loss"] = f"{chance.randint(2, 8)} %"
        case 2:
            found["trailing_stop"] = str(chance.randint(2, 8))
    return found


async def protect(storm: Storm, chance: Random) -> None:
    """He protects a coin, or protects it no more."""
    await storm.anyone(chance).act("set_protection", coin=chance.choice(COINS), **levels(chance))


async def end(storm: Storm, chance: Random) -> None:
    """He ends an order that rests."""
    follower = storm.anyone(chance)
    if orders := (await follower.ask("get_orders") or {"open": []})["open"]:
        await follower.act("cancel_order", client_order_id=chance.choice(orders)["client_order_id"])


async def close(storm: Storm, chance: Random) -> None:
    """He closes a position, and perhaps lets its coin be bought again."""
    follower, coin = storm.anyone(chance), chance.choice(COINS)
    if await follower.act("close_position", coin=coin) and chance.random() < 0.5:
        await follower.act("release_coin", coin=coin)


async def ended_elsewhere(storm: Storm, chance: Random) -> None:
    """He ends one of the live follower's orders on the exchange's own page."""
    if orders := storm.exchange.open_orders(storm.accounts.current):
        storm.exchange.cancel_order(chance.choice(orders).client_order_id)


async def alerts(storm: Storm, chance: Random) -> None:
    """Some arrive, one after the other or at once, now and then doubled."""
    for _ in range(chance.randint(1, 5)):
        await send(storm, chance)


async def send(storm: Storm, chance: Random) -> None:
    """An alert, as somebody outside sends it: again where it was not answered."""
    fields: dict[str, object] = {
        "token": storm.stage.token,
        "ticker": f"{chance.choice((*COINS, 'NOPE'))}USDT",
        "timenow": datetime.now(UTC).isoformat(),
        "id": f"{storm.step}-{chance.random()}",
    }
    match chance.randrange(6):
        case 0 | 1:
            fields["market_position"] = chance.choice(("long", "long", "flat"))
        case 2:
            fields["target"] = chance.randint(0, 25)
        case 3:
            fields["action"] = "cancel"
        case _:
            fields |= {"action": chance.choice(("buy", "buy", "sell")), "amount": chance.randint(8, 60)}
            if chance.random() < 0.5:
                fields["limit_price"] = f"{chance.randint(1, 40) / 10} %"
    fields |= levels(chance)
    body = json.dumps(fields).encode()
    answered = False
    for _ in range(chance.choice((1, 1, 1, 2))):
        try:
            async with storm.session.post(storm.stage.address, data=body) as answer:
                if answer.status == 200 and await answer.read():
                    raise Violation("an alert was answered with more than that it was taken in")
        except ClientError:  # it is killed meanwhile
            break
        answered = answered or answer.status == 200
    storm.alerts += answered


async def allocation(storm: Storm, chance: Random) -> None:
    """He wants other shares of his own allocation, and has them traded."""
    rest, shares = 95, {}
    for coin in chance.sample(COINS, 3):
        shares[coin] = chance.randint(0, min(rest, 45))
        rest -= shares[coin]
    follower = storm.stage.own
    if await follower.act("set_allocation", allocation=shares):
        await follower.act("rebalance")


HAPPENINGS = (
    (50, order),
    (30, protect),
    (25, end),
    (12, close),
    (10, ended_elsewhere),
    (50, alerts),
    (25, allocation),
)
