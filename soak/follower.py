"""A follower in Home Assistant, and what its owner can do with it; every answer is looked through for secrets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from http.client import HTTPException
import json
from pathlib import Path
import sqlite3
from typing import Any

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import FIRST_BOOK
from harness import forms
from harness.database import change, rows
from harness.home import Home
from harness.http import ApiError

from .secrecy import Watch

# Orders of which it is not known what becomes of them; those that rest are known, unless their end was asked for.
IN_FLIGHT = """
SELECT count(*) FROM orders WHERE state NOT IN ('booked', 'rejected', 'not_placed')
AND (state NOT IN ('accepted', 'partly_filled') OR cancel_at IS NOT NULL)
"""
WAITING = "SELECT count(*) FROM alerts WHERE state IN ('waiting', 'again') AND NOT is_test"
ALERTS = "SELECT count(*) FROM alerts"
CASH = "SELECT cash FROM books"
NET_DEPOSITS = "SELECT net_deposits FROM books WHERE book = ? AND net_deposits IS NOT NULL"
TRADED = "SELECT count(*) FROM fills WHERE book = ?"
IN_USE = "SELECT value FROM facts WHERE key = 'book'"
EXECUTED = "SELECT executed_quantity FROM orders WHERE signal_id = ?"
LONG_AGO = "UPDATE orders SET created_at = '2020-01-01T00:00:00.000000+00:00' WHERE state = 'rejected'"
# Positions of less (quote) cannot be protected: no order of theirs would be accepted.
UNPROTECTABLE = Decimal(8)
# What may be tuned, as it is when nothing is.
OPTIONS: dict[str, object] = {
    "max_slippage": None,
    "max_signal_age": 4,
    "stop_loss_drawdown": None,
    "stop_loss_sell": False,
    "max_trades_per_day": None,
    "approval": "automatic",
    "approval_timeout": 30,
    "entry_jitter": 0,
}


class Gone(Exception):
    """Home Assistant did not answer: it is dead, or on its way there."""


class Follower:
    """One entry of the integration."""

    def __init__(self, home: Home, watch: Watch, entry_id: str, mode: Mode, name: str) -> None:
        self.entry_id = entry_id
        self.mode = mode
        self.name = name
        self._home = home
        self._watch = watch
        self._ids = forms.entities(home, entry_id)

    @property
    def live(self) -> bool:
        """Whether its orders reach the exchange."""
        return self.mode is Mode.LIVE

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self._home.folder / "calvalot" / f"{self.entry_id}.db"

    async def poll(self) -> None:
        """Press the button; returns when the cycle is over. Raises Gone, ApiError."""
        await self._call(self._home.action, "button.press", entity_id=self._ids["poll"])

    async def pause(self, *, paused: bool) -> None:
        """Pause or resume. Raises Gone, ApiError."""
        await self._call(self._home.action, f"switch.turn_{'on' if paused else 'off'}", entity_id=self._ids["pause"])

    async def act(self, name: str, **data: object) -> bool:
        """Perform an action; whether it was accepted. Raises Gone."""
        return await self._try(self._home.action, f"calvalot.{name}", config_entry_id=self.entry_id, **data) is not None

    async def ask(self, name: str, **data: object) -> Any:
        """Ask something; None where it refuses. Raises Gone."""
        return await self._try(self._home.ask, f"calvalot.{name}", config_entry_id=self.entry_id, **data)

    async def bare(self) -> list[str]:
        """Coins that are to be protected, could be, and are not. Raises Gone."""
        orders, portfolio = await self.ask("get_orders"), await self.ask("get_portfolio")
        if not orders or not portfolio:
            return []
        values = {each["coin"]: each["value"] for each in portfolio["positions"]}
        wanted = [each for each in orders["protections"] if each["held_by"] == "nobody" and not each["closing"]]
        return [each["coin"] for each in wanted if Decimal(values.get(each["coin"]) or 0) >= UNPROTECTABLE]

    async def reload(self) -> None:
        """Reload the entry. Raises Gone, ApiError."""
        await self._call(self._home.post, f"config/config_entries/entry/{self.entry_id}/reload")

    async def tune(self, **options: object) -> None:
        """Change options; None empties one. Raises Gone, ApiError."""
        await self._call(forms.tune, self._home, self.entry_id, **options)

    @asynccontextmanager
    async def tuned(self, **options: object) -> AsyncIterator[None]:
        """Change options for a while. Raises Gone, ApiError."""
        await self.tune(**options)
        yield
        await self.tune(**{name: OPTIONS[name] for name in options})

    async def reconfigure(self, *, api_key: str, api_secret: str) -> None:
        """Use another key; returns when Home Assistant has written that down, a second late. Raises Gone, ApiError."""
        await self._call(forms.reconfigure, self._home, self.entry_id, api_key=api_key, api_secret=api_secret)
        entries = self._home.folder / ".storage" / "core.config_entries"
        while api_key not in await asyncio.to_thread(entries.read_text):  # noqa: ASYNC110 # it has no event
            await asyncio.sleep(0.05)

    # The ledger as it lies on disk

    def in_flight(self) -> int:
        """Number of orders whose end is not written down."""
        return sum(int(count) for (count,) in self._rows(IN_FLIGHT))

    def alerts(self) -> tuple[int, int]:
        """Number of alerts that wait, and of all that are written down."""
        return int(self._rows(WAITING)[0][0]), int(self._rows(ALERTS)[0][0])

    def cash(self) -> list[str]:
        """Cash of every book."""
        return [str(cash) for (cash,) in self._rows(CASH)]

    def net_deposits(self) -> Decimal | None:
        """What was paid into the book in use, in EUR; None where it was not opened yet."""
        rows = self._rows(NET_DEPOSITS, self.book_in_use()) if self.ledger.exists() else []
        return Decimal(rows[-1][0]) if rows else None

    def book_in_use(self) -> int:
        """Number of the book in use."""
        rows = self._rows(IN_USE)
        return int(rows[0][0]) if rows else FIRST_BOOK

    def has_traded(self, number: int) -> bool:
        """Whether anything was traded in a book."""
        return bool(self._rows(TRADED, number)[0][0])

    def executed(self, signal_id: str) -> int:
        """Number of orders of a signal that executed anything."""
        return sum(bool(Decimal(quantity)) for (quantity,) in self._rows(EXECUTED, signal_id))

    async def pass_refusals(self) -> None:
        """As if hours had passed since anything was refused: what waits before it is sent again waits no longer."""
        change(self.ledger, LONG_AGO)
        await self.reload()

    def lose_ledger(self) -> None:
        """Remove the ledger with all its copies."""
        for file in self.ledger.parent.glob(f"{self.entry_id}*"):
            file.unlink()

    @asynccontextmanager
    async def locked_ledger(self, seconds: float) -> AsyncIterator[None]:
        """Another program holds the ledger for so long."""
        with closing(
            sqlite3.connect(self.ledger, isolation_level=None, timeout=5, check_same_thread=False)
        ) as connection:
            await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
            yield
            await asyncio.sleep(seconds)
            connection.execute("ROLLBACK")

    def _rows(self, query: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        return rows(self.ledger, query, *parameters)

    async def _try(self, call: Callable[..., Any], *arguments: object, **data: object) -> Any:
        try:
            answer = await self._call(call, *arguments, **data)
        except ApiError as error:
            self._watch.look("errors", str(error).encode())
            return None
        self._watch.look("answers", json.dumps(answer).encode())
        return answer or {}

    async def _call(self, call: Callable[..., Any], *arguments: object, **data: object) -> Any:
        try:
            return await asyncio.to_thread(call, *arguments, **data)
        except (OSError, HTTPException) as error:
            raise Gone from error
