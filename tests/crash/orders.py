"""Orders that rest, on the way that a crash interrupts: each step is taken where the ledger does not show it yet."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

from custom_components.calvalot.trading.engine import Engine
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode, OrderType, Side
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.ledger.records import OrderRecord, OrderState
from custom_components.calvalot.trading.signal import BY_HAND, PORTFOLIO, PROTECTION, SignalKey
from harness.orders import limit, protect

type Control = Callable[..., Awaitable[Any]]

PRICES = {"ETH": Decimal("3118.40"), "XRP": Decimal("2.2148"), "SOL": Decimal("141.62")}
MOST_CYCLES = 8
# What steps and fees may leave of a coin, in quote.
DUST = 2
# Of each limit order what is bought, and what becomes of it: filled, ended after half of it, or filled while its end is asked for.
LIMITS = (("ETH", "0.0300", "filled"), ("XRP", "20.0", "ended"), ("ETH", "0.0200", "raced"))


class Owner:
    """Places orders by hand until all are placed, and lets the market come to them."""

    def __init__(self, follower: Engine, ledger: Ledger, control: Control, pause: float) -> None:
        self._follower = follower
        self._ledger = ledger
        self._control = control
        self._pause = pause
        self._paper = ledger.mode is Mode.DRY_RUN

    async def act(self) -> None:
        """Everything, from where it stands."""
        await self._cycle()
        for number, (coin, quantity, fate) in enumerate(LIMITS):
            if fate == "raced" and self._paper:
                continue
            await self._limit(number, coin, Decimal(quantity), fate)
        await self._protect("SOL")
        await self._protect("XRP")
        await self._close("ETH")

    async def _limit(self, number: int, coin: str, quantity: Decimal, fate: str) -> None:
        price = (PRICES[coin] * Decimal("0.95")).quantize(Decimal("0.01"))
        if len(self._placed(BY_HAND)) <= number:
            await self._try(self._follower.orders.place, limit(coin, Side.BUY, quantity, price))
            await self._cycle()
        order = self._placed(BY_HAND)[number]
        if order.state.settled:
            return
        if fate != "ended":
            await self._meet(order, quantity)
        elif not order.executed_quantity and not self._paper:
            await self._meet(order, quantity / 2)
        if fate != "filled":
            await self._try(self._follower.orders.cancel, order.client_order_id)
        await self._cycle()

    async def _protect(self, coin: str) -> None:
        """Replaced once, then met: the target of one bit by bit, the stop of the other."""
        price = PRICES[coin]
        high, low = ((price * Decimal(factor)).quantize(Decimal("0.01")) for factor in ("1.1", "0.9"))
        for number in (1, 2):
            if self._rounds(coin) < number:
                await self._try(protect, self._follower, coin, high + number, low - Decimal(number) / 100)
                await self._cycle()
        for part in (2, 1):
            for order in self._resting(coin):
                meets = order.type is (OrderType.LIMIT if coin == "SOL" else OrderType.STOP_LOSS)
                if meets and (part == 1 or not order.executed_quantity):
                    # On the step, as exchanges fill: what is off it could not be sold again.
                    await self._meet(order, (order.quantity / part).quantize(order.quantity.normalize(), ROUND_DOWN))
            await self._cycle()
        await self._control("set_price", symbol=f"{coin}USDC", price=str(price))

    async def _close(self, coin: str) -> None:
        """All that is held of a coin is sold."""
        if self._ledger.book().portfolio.quantity(coin) * PRICES[coin] > DUST:
            await self._try(self._follower.orders.close, coin)
        await self._cycle()

    async def _meet(self, order: OrderRecord, quantity: Decimal) -> None:
        """Let the market come to an order: as far as somebody takes it, or whole once its price is there."""
        stop = order.type is OrderType.STOP_LOSS
        if stop or self._paper:
            price = order.stop_price or order.limit_price or 0
            await self._control("set_price", symbol=order.symbol, price=str(price))
        else:
            name, rest = order.sent_as or order.client_order_id, str(quantity.quantize(Decimal("0.0001")))
            await self._control("trade_against", client_order_id=name, quantity=rest)

    async def _cycle(self) -> None:
        """Cycle until nothing is unclear."""
        for _ in range(MOST_CYCLES):
            await self._follower.cycle()
            if not self._ledger.in_flight():
                return
            await asyncio.sleep(self._pause)
            await self._control("advance", seconds=30)
        raise AssertionError("orders stay unclear")

    async def _try(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        for _ in range(MOST_CYCLES):
            try:
                await call(*arguments)
            except CommandError as error:
                if error.key not in {"order_unclear", "coin_unclear"}:
                    raise
                await self._cycle()
            else:
                return

    def _placed(self, signal_id: str) -> list[OrderRecord]:
        orders = self._ledger.orders(SignalKey(PORTFOLIO, signal_id))
        return [order for order in orders if order.state is not OrderState.NOT_PLACED]

    def _resting(self, coin: str) -> list[OrderRecord]:
        return [order for order in self._ledger.resting() if order.coin == coin and order.side is Side.SELL]

    def _rounds(self, coin: str) -> int:
        """How often a coin was protected."""
        return len({order.stop_price for order in self._placed(PROTECTION) if order.coin == coin} - {None})
