"""What is fed: the parser alone, and a whole follower on paper between the two simulators."""

from contextlib import AsyncExitStack
from datetime import UTC
from decimal import Decimal
import json
from pathlib import Path
from typing import Any, Self
import unicodedata

from aiohttp import ClientSession

from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.exchanges.binance import BinanceExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.signal import InvalidSignal, Signal
from custom_components.calvalot.trading.sources.leader_format import (
    MAX_BODY,
    MAX_REASONING,
    MAX_SIGNAL_ID,
    parse_signal,
)
from custom_components.calvalot.trading.wants import Moves
from harness.engine import exchange_for, make_engine
from harness.portfolio import QUOTE
from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

COINS = ("BTC", "ETH", "SOL")
LARGEST_SUM = Decimal("1.05")


class Finding(AssertionError):
    """A body that the follower did not handle as it should."""


def is_signal(body: bytes) -> bool:
    """Whether a body can be a signal at all, by a second reading that shares nothing with the parser."""
    if len(body) > MAX_BODY:
        return False
    try:
        document = json.loads(body.decode(), parse_float=_number)
    except ValueError, RecursionError:
        return False
    if not isinstance(document, dict) or not isinstance(document.get("signal_id"), str):
        return False
    version = document.get("version", 1)
    if isinstance(version, bool) or version not in (1, 2) or not document["signal_id"].strip():
        return False
    state = document.get("portfolio_state")
    try:
        positions = None if state is None else state.get("positions")
        if version == 2 and positions is None:
            return False
        if not _shares(positions or [], "pct_of_portfolio"):
            return False
        return version == 2 or all(
            entry["action"] in ("BUY", "SELL", "HOLD") and _shares([entry], "pct_of_capital")
            for entry in document["actions"]
        )
    except KeyError, TypeError, AttributeError:
        return False


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("NaN")


def _shares(entries: list[dict[str, Any]], name: str) -> bool:
    """Whether each entry names a pair and a share, and they do not add up to more than all."""
    shares = [entry[name] for entry in entries]
    return (
        all(isinstance(entry["coin"], str) and len(entry["coin"]) > 3 for entry in entries)
        and len({entry["coin"] for entry in entries}) == len(entries)
        and all(isinstance(share, int | Decimal) and not isinstance(share, bool) for share in shares)
        and all(Decimal(share).is_finite() and 0 <= share <= 1 for share in shares)
        and sum(shares) <= LARGEST_SUM
    )


def parse(body: bytes) -> Signal | None:
    """Feed the parser; a signal is one indeed, and nothing in it can do harm. Raises Finding."""
    try:
        signal = parse_signal(body, COINS)
    except InvalidSignal as err:
        if not err.reason or len(err.reason) > 1000 or not _can_be_shown(err.reason):
            raise Finding(f"a reason that cannot be shown: {err.reason!r}") from err
        return None
    if not is_signal(body):
        raise Finding("taken for a signal")
    weights = list((signal.targets or {}).values())
    moves = signal.wants.moves if isinstance(signal.wants, Moves) else ()
    shares = [*weights, *(move.share for move in moves)]
    coins = {*(signal.targets or {}), *signal.wants.coins}
    sound = (
        all(share.is_finite() and 0 <= share <= 1 for share in shares)
        and sum(weights) <= 1
        and coins <= set(COINS)
        and 0 < len(signal.signal_id) <= MAX_SIGNAL_ID
        and _can_be_shown(signal.signal_id + signal.reasoning + (signal.latest_version or ""))
        and len(signal.reasoning) <= MAX_REASONING
        and (signal.created_at is None or signal.created_at.tzinfo is UTC)
    )
    if not sound:
        raise Finding(f"a signal that can do harm: {signal}")
    return signal


def _can_be_shown(text: str) -> bool:
    """Whether a text stays one line, can be encoded, and reads as it is."""
    return not any(
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or "\u202a" <= char <= "\u202e"
        or "\u2066" <= char <= "\u2069"
        for char in text
    )


class Path2Paper:
    """A follower on paper that asks a real leader over HTTP, a cycle for each body."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._accepted = {"initial_sync"}
        self.cycles = 0
        self.signals = 0

    async def __aenter__(self) -> Self:
        """Start everything."""
        enter = self._stack.enter_async_context
        self._leader = await enter(LeaderSimulator())
        exchange = await enter(ExchangeSimulator(seed=1))
        session = await enter(ClientSession())
        self._ledger = Ledger(self._folder / "fuzz.db", Mode.DRY_RUN, QUOTE)
        paper = exchange_for(self._ledger, BinanceExchange(session, exchange.url))
        self._follower = make_engine(session, self._leader, paper, self._ledger, entry_id="fuzz", coins=COINS)
        await self._follower.start()
        self._stack.push_async_callback(self._follower.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self._stack.aclose()

    async def feed(self, body: bytes) -> None:
        """One answer of the leader, one cycle. Raises Finding, and whatever escapes from the cycle."""
        if is_signal(body):
            self._accepted.add(json.loads(body)["signal_id"])
        self._leader.publish_raw(body)
        picture = await self._follower.cycle()
        self.cycles += 1
        for trade in self._ledger.trades(limit=20):
            if trade.signal_id not in self._accepted:
                raise Finding(f"an order for {trade.signal_id!r}")
        book = self._ledger.book().portfolio
        self.signals = len(self._accepted) - 1
        held = [book.cash, *(position.quantity for position in book.positions.values())]
        if picture.storage_problem or any(amount < 0 for amount in held) or self._ledger.in_flight():
            raise Finding(f"a book that cannot be: {book} {picture.storage_problem}")
        if picture.exchange_connected is not True or picture.total_value is None:
            raise Finding("no valuation")
