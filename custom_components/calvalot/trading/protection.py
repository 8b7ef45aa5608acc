"""What a coin is to be protected by, and how that is written down."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
import json
from typing import Any

from .decimals import BASIS_POINTS, ONE, round_down
from .exchanges.base import OrderType

TAKE_PROFIT = "take_profit"


class HeldBy(StrEnum):
    """Where a protection is: on the exchange, watched by the cycle, or nowhere, since too little is held."""

    EXCHANGE = "exchange"
    CYCLE = "cycle"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Prices (quote per coin) at which a coin is sold, and since when that is wanted.

    `trailing` is how far (basis points) a stop stays under the `highest` price that was seen since. With `close` it is sold now.
    `sources` are the strategies whose rules ask for it, none where its owner does, and `stop_reason` is why its stop sells. One
    that is `watched` does not rest on the exchange.
    """

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing: int | None = None
    highest: Decimal | None = None
    close: bool = False
    watched: bool = False
    sources: tuple[str, ...] = ()
    stop_reason: str = ""
    since: datetime

    @property
    def stop(self) -> Decimal | None:
        """The price at which it stops a loss by now; None where it does not, or has seen no price yet."""
        if self.trailing is None or self.highest is None:
            return self.stop_loss
        return self.highest * (ONE - self.trailing / BASIS_POINTS)

    @property
    def terms(self) -> tuple[object, ...]:
        """What it says, whenever that was."""
        return self.take_profit, self.stop_loss, self.trailing, self.close

    @property
    def asks(self) -> tuple[object, ...]:
        """What it says, and who asks for it."""
        return self.terms, self.sources

    def reason(self, kind: OrderType, price: Decimal | None) -> str:
        """Why an order of a kind sells, given the last price when it was planned; nothing where its owner asked for it."""
        if not self.sources:
            return ""
        target = self.take_profit
        takes = kind is OrderType.LIMIT or (
            not kind.rests and target is not None and price is not None and price >= target
        )
        return TAKE_PROFIT if takes else self.stop_reason

    def is_reached(self, price: Decimal) -> bool:
        """Whether the coin is to be sold at this price."""
        target, stop = self.take_profit, self.stop
        return self.close or (target is not None and price >= target) or (stop is not None and price <= stop)


def protection_of(
    take_profit: Decimal | None, stop_loss: Decimal | None, trailing: int | None, tick: Decimal, since: datetime
) -> Protection | None:
    """A protection with its prices on the tick; None without any."""
    if take_profit is None and stop_loss is None and trailing is None:
        return None
    return Protection(
        take_profit=None if take_profit is None else round_down(take_profit, tick),
        stop_loss=None if stop_loss is None else round_down(stop_loss, tick),
        trailing=trailing,
        since=since,
    )


def to_text(wanted: Mapping[str, Protection]) -> str:
    """Protections by coin as JSON."""
    return json.dumps({coin: _row(each) for coin, each in wanted.items()})


def from_text(text: str) -> dict[str, Protection]:
    """What `to_text` wrote."""
    return {coin: _read(each) for coin, each in json.loads(text).items()}


def _row(protection: Protection) -> dict[str, Any]:
    """A protection as it is written down: what it has, decimals and times as text."""
    known = {name: value for name, value in asdict(protection).items() if value not in (None, False, (), "")}
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in known.items()} | {
        "since": protection.since.isoformat()
    }


def _read(row: Mapping[str, Any]) -> Protection:
    prices = {name: Decimal(row[name]) for name in ("take_profit", "stop_loss", "highest") if name in row}
    return Protection(
        **prices,
        trailing=row.get("trailing"),
        close=row.get("close", False),
        watched=row.get("watched", False),
        sources=tuple(row.get("sources", ())),
        stop_reason=row.get("stop_reason", ""),
        since=datetime.fromisoformat(row["since"]),
    )
