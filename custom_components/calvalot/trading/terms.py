"""What an order may be bound to: the price it waits for, and what is to protect the coin that it buys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .decimals import HUNDRED, ONE, round_down, round_up
from .exchanges.base import Side, SymbolRules
from .protection import Protection, protection_of


@dataclass(frozen=True, slots=True)
class Level:
    """A price in quote, or how far one is from another, in %."""

    value: Decimal
    percent: bool = False

    def above(self, price: Decimal) -> Decimal:
        """The price it means for what is to be above another one."""
        return price * (ONE + self.value / HUNDRED) if self.percent else self.value

    def below(self, price: Decimal) -> Decimal:
        """The price it means for what is to be below another one."""
        return price * (ONE - self.value / HUNDRED) if self.percent else self.value

    @property
    def text(self) -> str:
        """It as text: a price, or a distance with its sign of per cent."""
        return f"{self.value:f} %" if self.percent else f"{self.value:f}"

    @classmethod
    def of(cls, text: str) -> Level:
        """What `text` wrote."""
        return cls(Decimal(text.removesuffix(" %")), text.endswith(" %"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a purchase or a sale is bound to; `trailing` is the distance of a stop that follows the price, in basis points.

    A distance of `limit` lies on the better side of the last price, those of what protects on their side of the price that is paid.
    """

    limit: Level | None = None
    take_profit: Level | None = None
    stop_loss: Level | None = None
    trailing: int | None = None

    @property
    def protects(self) -> bool:
        """Whether what is bought is to be protected."""
        return any(each is not None for each in (self.take_profit, self.stop_loss, self.trailing))

    def price(self, side: Side, last: Decimal) -> Decimal:
        """The price that is paid or had: the limit, or the last one."""
        if self.limit is None:
            return last
        return self.limit.below(last) if side is Side.BUY else self.limit.above(last)

    def limit_price(self, side: Side, last: Decimal, rules: SymbolRules, slippage: Decimal) -> Decimal:
        """The limit on the tick, never worse than the price guard allows where there is one (`slippage`, a fraction)."""
        price = (round_down if side is Side.BUY else round_up)(self.price(side, last), rules.tick)
        if not slippage:
            return price
        guard = rules.limit_price(side, last, slippage)
        return min(price, guard) if side is Side.BUY else max(price, guard)

    def protection(self, price: Decimal, tick: Decimal, since: datetime) -> Protection | None:
        """What protects a coin that is bought at a price; None where nothing does."""
        return protection_of(
            None if self.take_profit is None else self.take_profit.above(price),
            None if self.stop_loss is None else self.stop_loss.below(price),
            self.trailing,
            tick,
            since,
        )

    def is_sensible(self, price: Decimal, last: Decimal) -> bool:
        """Whether what protects lies on its side of the price that is paid and of the last one."""
        target = None if self.take_profit is None else self.take_profit.above(price)
        stop = None if self.stop_loss is None else self.stop_loss.below(price)
        return (target is None or target > max(price, last)) and (stop is None or 0 < stop < min(price, last))


_LEVELS = ("limit", "take_profit", "stop_loss")


def terms_row(terms: Terms | None) -> dict[str, str | int]:
    """Terms as JSON has them: only what they name."""
    if terms is None:
        return {}
    levels: dict[str, str | int] = {name: level.text for name in _LEVELS if (level := getattr(terms, name)) is not None}
    return levels if terms.trailing is None else levels | {"trailing": terms.trailing}


def terms_of(row: Mapping[str, str | int]) -> Terms | None:
    """What `terms_row` wrote; None of nothing."""
    levels = {name: Level.of(str(row[name])) for name in _LEVELS if name in row}
    trailing = row.get("trailing")
    if not levels and trailing is None:
        return None
    return Terms(**levels, trailing=None if trailing is None else int(trailing))
