"""An account's history on Binance, as far as it tells why something came or went without an order of ours.

Fields and weights as the public API documentation has them; `/sapi` exists in production only. A row that cannot be read is
left out: it may be of a kind that nobody knew yet.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ..decimals import ZERO
from ..explanation import Explanation, Movement
from .binance_client import BinanceClient
from .binance_connection import UNREADABLE, BinanceConnection
from .binance_format import read_amount, read_rows, read_time
from .symbols import Pair

# The longest span that one question may be about, which is also how far back is asked; a conversion takes several.
WINDOW = timedelta(days=90)
CONVERSION_WINDOW = timedelta(days=30)
# States of a deposit that is credited, and of a withdrawal that came to nothing.
CREDITED = frozenset({1, 6})
GONE_BACK = frozenset({1, 3, 5})


class BinanceHistory(BinanceConnection):
    """What an account's history says."""

    async def movements(
        self, kind: Explanation, pairs: Collection[Pair], since: datetime, until: datetime
    ) -> tuple[Movement, ...]:
        """Rows of one kind from one time to another; trades are those of some pairs. Raises ExchangeError."""
        since = max(since, until - WINDOW)
        found: list[Movement] = []
        if kind is Explanation.TRADE:
            for pair in sorted(pairs):
                found += await self._trades_of(pair, since)
            return tuple(found)
        for start, end in _windows(CONVERSION_WINDOW if kind is Explanation.CONVERSION else WINDOW, since, until):
            found += await self._rows(kind, {"startTime": _ms(start), "endTime": _ms(end)})
        return tuple(found)

    async def _rows(self, kind: Explanation, span: Mapping[str, int]) -> list[Movement]:
        call, rows, read = _KINDS[kind]
        return await self._ask(lambda client: call(client, span), lambda data: [*_each(rows(data), read)], signed=True)

    async def _trades_of(self, pair: Pair, since: datetime) -> list[Movement]:
        return await self._ask(
            lambda client: client.get_my_trades(symbol=pair.symbol, limit=self._page, startTime=_ms(since)),
            lambda data: [*_each(read_rows(data), lambda row: _trade(row, pair))],
            signed=True,
        )


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _windows(longest: timedelta, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The spans of time that the questions are about, the newest first."""
    while until > since:
        start = max(since, until - longest)
        yield start, until
        until = start


def _each(rows: Iterable[Any], read: Callable[[Any], Movement | None]) -> Iterator[Movement]:
    """Rows that can be read, one by one."""
    for row in rows:
        try:
            movement = read(row)
        except UNREADABLE:
            continue
        if movement:
            yield movement


def _deposit(row: Mapping[str, Any]) -> Movement | None:
    if int(row["status"]) not in CREDITED:
        return None
    return Movement(
        kind=Explanation.DEPOSIT,
        reference=f"deposit {row['id']}",
        time=read_time(row.get("completeTime") or row["insertTime"]),
        changes={str(row["coin"]): read_amount(row["amount"])},
    )


def _withdrawal(row: Mapping[str, Any]) -> Movement | None:
    if int(row["status"]) in GONE_BACK:
        return None
    applied = datetime.strptime(str(row["applyTime"]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    gone = read_amount(row["amount"]) + read_amount(row.get("transactionFee", 0))
    return Movement(
        kind=Explanation.WITHDRAWAL,
        reference=f"withdrawal {row['id']}",
        time=applied,
        changes={str(row["coin"]): -gone},
    )


def _conversion(row: Mapping[str, Any]) -> Movement | None:
    if row["orderStatus"] != "SUCCESS":
        return None
    return Movement(
        kind=Explanation.CONVERSION,
        reference=f"conversion {row['orderId']}",
        time=read_time(row["createTime"]),
        changes=_sum(
            (str(row["fromAsset"]), -read_amount(row["fromAmount"])),
            (str(row["toAsset"]), read_amount(row["toAmount"])),
        ),
    )


def _dust_rows(data: Mapping[str, Any]) -> list[Any]:
    """Each coin that was turned into BNB, of all batches; the service charge is taken off already."""
    return [row for batch in read_rows(data["userAssetDribblets"]) for row in batch["userAssetDribbletDetails"]]


def _dust(row: Mapping[str, Any]) -> Movement:
    return Movement(
        kind=Explanation.DUST,
        reference=f"dust {row['transId']} {row['fromAsset']}",
        time=read_time(row["operateTime"]),
        changes=_sum(
            (str(row["fromAsset"]), -read_amount(row["amount"])), ("BNB", read_amount(row["transferedAmount"]))
        ),
    )


def _reward(row: Mapping[str, Any]) -> Movement:
    return Movement(
        kind=Explanation.REWARD,
        reference=f"reward {row['id']}",
        time=read_time(row["divTime"]),
        changes={str(row["asset"]): read_amount(row["amount"])},
    )


def _trade(row: Mapping[str, Any], pair: Pair) -> Movement:
    sign = 1 if row["isBuyer"] else -1
    return Movement(
        kind=Explanation.TRADE,
        reference=f"trade {pair.symbol} {row['id']}",
        time=read_time(row["time"]),
        changes=_sum(
            (pair.base, sign * read_amount(row["qty"])),
            (pair.quote, -sign * read_amount(row["quoteQty"])),
            (str(row["commissionAsset"]), -read_amount(row["commission"])),
        ),
        symbol=pair.symbol,
        order_id=str(int(row["orderId"])),
    )


def _sum(*changes: tuple[str, Decimal]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for asset, change in changes:
        sums[asset] = sums.get(asset, ZERO) + change
    return sums


type _Call = Callable[[BinanceClient, Mapping[str, int]], Awaitable[Any]]

_KINDS: Mapping[Explanation, tuple[_Call, Callable[[Any], list[Any]], Callable[[Any], Movement | None]]] = {
    Explanation.DEPOSIT: (lambda client, span: client.get_deposit_history(**span), read_rows, _deposit),
    Explanation.WITHDRAWAL: (lambda client, span: client.get_withdraw_history(**span), read_rows, _withdrawal),
    Explanation.CONVERSION: (
        lambda client, span: client.get_convert_trade_history(limit=1000, **span),
        lambda data: read_rows(data["list"]),
        _conversion,
    ),
    Explanation.DUST: (lambda client, span: client.get_dust_log(**span), _dust_rows, _dust),
    Explanation.REWARD: (
        lambda client, span: client.get_asset_dividend_history(limit=500, **span),
        lambda data: read_rows(data["rows"]),
        _reward,
    ),
}
