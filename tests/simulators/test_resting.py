"""Orders that stay on the exchange stand-in: locks, triggers, partial fills, pairs, and what is refused of them."""

from decimal import Decimal
from typing import Any

from binance import AsyncClient
import pytest

from simulators.exchange import ExchangeSimulator

from .test_exchange import books, buy, client, refused, sell, session, sim

__all__ = ["client", "session", "sim"]

NONE = Decimal(0)
START = {"USDC": Decimal(1000)}
LIMIT = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.00400"}
RELATION = (400, -2010, "The relationship of the prices for the orders is not correct.")
PAIR = {
    "side": "SELL",
    "quantity": "0.00400",
    "listClientOrderId": "pair",
    "aboveType": "LIMIT_MAKER",
    "aboveClientOrderId": "target",
    "abovePrice": "95000",
    "belowType": "STOP_LOSS",
    "belowClientOrderId": "stop",
    "belowStopPrice": "88000",
}


def locked(sim: ExchangeSimulator, asset: str) -> Decimal:
    """What is locked of an asset."""
    return sim.account().balances[asset].locked


async def status(client: AsyncClient, name: str) -> tuple[str, str]:
    """Status and executed quantity of an order."""
    order = await client.get_order(symbol="BTCUSDC", origClientOrderId=name)
    return order["status"], order["executedQty"]


def pair(client: AsyncClient, **changes: str) -> Any:
    """An OCO as the library sends it."""
    return client.v3_post_order_list_oco(symbol="BTCUSDC", **(PAIR | changes))


@pytest.fixture
async def stock(sim: ExchangeSimulator, client: AsyncClient) -> Decimal:
    """Some BTC to sell."""
    await buy(client, quantity="0.00600")
    return sim.balance("BTC")


async def test_a_limit_order_is_filled_bit_by_bit(sim: ExchangeSimulator, client: AsyncClient) -> None:
    """As far as somebody takes it: the rest stays locked, and what is cancelled is given back."""
    await buy(client, newClientOrderId="rest", price="90000", **LIMIT)
    assert locked(sim, "USDC") == 360
    sim.trade_against("rest", "0.001")
    assert await status(client, "rest") == ("PARTIALLY_FILLED", "0.00100000")
    assert locked(sim, "USDC") == 270
    sim.set_depth("BTCUSDC", "100")
    sim.set_price("BTCUSDC", "89990")
    assert (await status(client, "rest"))[0] == "PARTIALLY_FILLED"
    assert NONE < locked(sim, "USDC") < 270
    assert (await client.cancel_order(symbol="BTCUSDC", origClientOrderId="rest"))["status"] == "CANCELED"
    assert locked(sim, "USDC") == 0
    assert sim.balances() == books(sim, START)


@pytest.mark.parametrize(
    ("kind", "side", "stop", "reached"),
    [
        ("STOP_LOSS", "SELL", "88000", "87990"),
        ("TAKE_PROFIT", "SELL", "95000", "95010"),
        ("STOP_LOSS", "BUY", "95000", "95010"),
        ("TAKE_PROFIT", "BUY", "88000", "87990"),
    ],
)
async def test_a_price_sets_off(
    sim: ExchangeSimulator, client: AsyncClient, stock: Decimal, kind: str, side: str, stop: str, reached: str
) -> None:
    """What waits for a price takes the market once that is there."""
    order = {"type": kind, "quantity": "0.00400", "stopPrice": stop, "newClientOrderId": "waits"}
    placed = await client.create_order(symbol="BTCUSDC", side=side, **order)
    assert set(placed) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert (await client.get_order(symbol="BTCUSDC", origClientOrderId="waits"))["isWorking"] is False
    assert locked(sim, "BTC" if side == "SELL" else "USDC") > 0
    sim.set_price("BTCUSDC", "91300")
    assert await status(client, "waits") == ("NEW", "0.00000000")
    sim.set_price("BTCUSDC", reached)
    assert await status(client, "waits") == ("FILLED", "0.00400000")
    assert not locked(sim, "BTC")
    assert not locked(sim, "USDC")
    assert not sim.trades()[-1].maker
    assert sim.balances() == books(sim, START)


async def test_a_stop_with_a_limit_may_be_left_behind(
    sim: ExchangeSimulator, client: AsyncClient, stock: Decimal
) -> None:
    """Set off, it rests at its limit; one for the market ends with what the book gives."""
    stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": "88000", "price": "87900", "timeInForce": "GTC"}
    await sell(client, quantity="0.00200", newClientOrderId="left", **stop)
    await sell(client, type="STOP_LOSS", stopPrice="88000", quantity="0.00300", newClientOrderId="thin")
    sim.set_depth("BTCUSDC", "100")
    sim.set_price("BTCUSDC", "80000")
    assert await status(client, "left") == ("NEW", "0.00000000")
    ended, executed = await status(client, "thin")
    assert (ended, NONE < Decimal(executed) < Decimal("0.003")) == ("EXPIRED", True)
    assert locked(sim, "BTC") == Decimal("0.002")
    sim.set_depth("BTCUSDC", None)
    sim.set_price("BTCUSDC", "90000")
    assert (await status(client, "left"))[0] == "FILLED"
    assert sim.balances() == books(sim, START)


@pytest.mark.parametrize(("reached", "filled", "ended"), [("96000", "target", "stop"), ("87990", "stop", "target")])
async def test_one_of_a_pair_ends_the_other(
    sim: ExchangeSimulator, client: AsyncClient, stock: Decimal, reached: str, filled: str, ended: str
) -> None:
    """A pair locks its coins once, and one of it is done."""
    placed = await pair(client)
    assert [order["clientOrderId"] for order in placed["orders"]] == ["target", "stop"]
    assert locked(sim, "BTC") == Decimal("0.004")
    assert (await client.v3_get_order_list(origClientOrderId="pair"))["listOrderStatus"] == "EXECUTING"
    sim.set_price("BTCUSDC", reached)
    assert await status(client, filled) == ("FILLED", "0.00400000")
    assert await status(client, ended) == ("EXPIRED", "0.00000000")
    assert (await client.v3_get_order_list(origClientOrderId="pair"))["listOrderStatus"] == "ALL_DONE"
    assert locked(sim, "BTC") == 0
    assert sim.balances() == books(sim, START)
    gone = client.v3_delete_order_list(symbol="BTCUSDC", listClientOrderId="pair")
    assert await refused(gone) == (400, -2011, "Unknown order sent.")


async def test_a_partial_fill_ends_the_other(sim: ExchangeSimulator, client: AsyncClient, stock: Decimal) -> None:
    """From then on there is one order, for the rest."""
    await pair(client)
    sim.trade_against("target", "0.001")
    assert await status(client, "target") == ("PARTIALLY_FILLED", "0.00100000")
    assert (await status(client, "stop"))[0] == "EXPIRED"
    assert locked(sim, "BTC") == Decimal("0.003")
    sim.cancel_order("target")
    assert locked(sim, "BTC") == 0
    assert sim.balances() == books(sim, START)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pair_is_cancelled_as_one(
    sim: ExchangeSimulator, client: AsyncClient, stock: Decimal, whole: bool
) -> None:
    """By its own name or by that of one of its orders."""
    await pair(client)
    if whole:
        await client.v3_delete_order_list(symbol="BTCUSDC", listClientOrderId="pair")
    else:
        await client.cancel_order(symbol="BTCUSDC", origClientOrderId="stop")
    assert [await status(client, name) for name in ("target", "stop")] == [("CANCELED", "0.00000000")] * 2
    assert locked(sim, "BTC") == 0
    assert sim.balance("BTC") == stock


async def test_what_is_refused_of_them(sim: ExchangeSimulator, client: AsyncClient, stock: Decimal) -> None:
    """Prices on the wrong side, types that do not go together, names and places that are taken."""
    immediate = (400, -2010, "Stop price would trigger immediately.")
    stop = {"type": "STOP_LOSS", "stopPrice": "88000", "quantity": "0.00100"}
    assert await refused(sell(client, **(stop | {"stopPrice": "92000"}))) == immediate
    assert await refused(pair(client, abovePrice="91000")) == RELATION
    assert await refused(pair(client, belowStopPrice="92000")) == RELATION
    assert (await refused(pair(client, belowType="LIMIT_MAKER")))[1] == -1102
    assert (await refused(pair(client, aboveType="TAKE_PROFIT")))[1] == -1106
    assert (await refused(pair(client, belowStopPrice="88000.001")))[2] == "Filter failure: PRICE_FILTER"
    assert (await refused(pair(client, quantity="0.00700")))[1] == -2010
    assert (await refused(sell(client, **(stop | {"price": "88000"}))))[1] == -1106
    assert (
        await refused(sell(client, type="LIMIT", stopPrice="88000", price="92000", quantity="0.001", timeInForce="GTC"))
    )[1] == -1106
    assert (await refused(client.v3_get_order_list(origClientOrderId="pair")))[1] == -2013
    assert (await refused(client.v3_get_order_list()))[1] == -1102
    sim.symbol("BTCUSDC").max_lists = 0
    assert (await refused(pair(client)))[2] == "Filter failure: MAX_NUM_ORDER_LISTS"
    sim.symbol("BTCUSDC").max_lists = 20
    await pair(client)
    assert (await refused(pair(client, quantity="0.00100")))[2] == "Duplicate order sent."
    sim.symbol("BTCUSDC").max_algo_orders = 1
    assert (await refused(sell(client, **stop)))[2] == "Filter failure: MAX_NUM_ALGO_ORDERS"
    sim.set_account(can_trade=False)
    sim.symbol("BTCUSDC").max_algo_orders = 5
    names = {"aboveClientOrderId": "a", "belowClientOrderId": "b", "quantity": "0.00100"}
    assert (await refused(pair(client, **names)))[2] == "This account may not place or cancel orders."
