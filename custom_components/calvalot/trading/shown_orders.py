"""Orders that were shown, kept for a while so that exactly what was shown is placed once it is confirmed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
import secrets

from .errors import CommandError
from .ledger.records import OrderRecord
from .order_commands import OrderCommands
from .order_entry import Shown, Ticket
from .plans import REMEMBERED, VALID
from .responses import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An order as it was asked for and shown; `request` is what it was asked for in."""

    at: datetime
    request: str
    ticket: Ticket
    shown: Shown


class ShownOrders:
    """Shows an order of one portfolio, and places it once a later request confirms it."""

    def __init__(self, orders: OrderCommands, clock: Callable[[], datetime]) -> None:
        self._orders = orders
        self._clock = clock
        self._asked: dict[str, _Asked] = {}

    def __contains__(self, order_id: object) -> bool:
        return order_id in self._asked

    async def show(self, ticket: Ticket, request: str) -> Json:
        """What an order would be, as OrderCommands.preview tells it, with the `order_id` that confirms it.

        A ticket without an amount and a quantity sells all that is held of its coin. Raises CommandError.
        """
        shown = await (self._orders.preview_closing(ticket.coin) if ticket.is_all else self._orders.preview(ticket))
        order_id = secrets.token_hex(8)
        self._asked[order_id] = _Asked(
            at=self._clock(),
            request=request,
            ticket=ticket,
            shown=Shown(quantity=Decimal(shown["quantity"]), price=Decimal(shown["last_price"])),
        )
        while len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return {**shown, "order_id": order_id}

    async def confirm(self, order_id: str, request: str) -> tuple[OrderRecord, ...]:
        """Place what was shown, once, and never in the request that asked for it; returns the orders of it.

        Raises CommandError, also where the price or what is held has changed since.
        """
        asked = self._asked.get(order_id)
        if asked and asked.request == request:
            raise CommandError("order_not_confirmed")
        self._asked.pop(order_id, None)
        if asked is None or self._clock() - asked.at > VALID:
            raise CommandError("order_not_shown")
        if asked.ticket.is_all:
            return await self._orders.close(asked.ticket.coin, asked.shown)
        ticket = replace(asked.ticket, amount=None, quantity=asked.shown.quantity)
        return (await self._orders.place(ticket, asked.shown),)
