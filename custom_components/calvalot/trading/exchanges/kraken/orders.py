"""Orders and trades of an account on Kraken: asked for together, and read page by page."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
import itertools
import time
from typing import Any

from aiohttp import ClientSession

from ...decimals import ZERO
from ...errors import ExchangeError, ExchangeUnavailable, Refused
from ..base import Fill, OrderPage, OrderReport
from ..connection import UNREADABLE
from .connection import PATIENCE
from .format import read_fill, read_mapping, read_report
from .history import PAGE, KrakenHistory
from .names import order_name

type Rows = Mapping[str, Mapping[str, Any]]

MOST_ORDERS = 50
MOST_TRADES = 20
# Orders whose names are remembered, and seconds for which a page is: the pages are of all pairs, and asked for by each.
REMEMBERED = 1000
KEPT_FOR = 5.0
# Seconds within which an order of ours is looked for among the newest.
RECENT = 3600.0


class KrakenOrders(KrakenHistory):
    """Orders and trades of an account."""

    def __init__(self, session: ClientSession, base_url: str, *keys: str, **options: Any) -> None:
        """As of every connection."""
        super().__init__(session, base_url, *keys, **options)
        self._placed: dict[str, str] = {}
        self._sent: dict[str, float] = {}
        self._trades_of: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._waiting_orders: dict[str, asyncio.Future[Any]] = {}
        self._waiting_trades: dict[str, asyncio.Future[Any]] = {}
        self._reading = asyncio.Lock()
        self._pages: dict[tuple[str, str], tuple[float, Rows, int]] = {}

    async def orders_page(self, symbol: str, cursor: str | None, prefix: str) -> OrderPage:
        """Up to fifty orders that were closed and placed from a time on, oldest first, and at last those that are open."""
        listing = await self._listing(symbol)
        since = float(cursor or 0)
        rows, more = await self._closed_from(since)
        page = {name: row for name, row in rows.items() if float(row["opentm"]) > since}
        if not more:
            opened = await self._page("OpenOrders", "open", {"trades": "true"})
            page |= {name: row for name, row in opened[0].items() if float(row["opentm"]) > since}
        wanted = order_name(prefix)
        own: list[OrderReport] = []
        ids: list[str] = []
        for name, row in sorted(page.items(), key=lambda item: float(item[1]["opentm"])):
            if row["descr"]["pair"] != listing.name:
                continue
            ids.append(name)
            sent_as = str(row.get("cl_ord_id") or "")
            if sent_as.startswith(wanted):
                own.append(self._report(name, row, symbol, prefix if sent_as == wanted else sent_as))
        last = max((float(row["opentm"]) for row in page.values()), default=None)
        return OrderPage(own=tuple(own), ids=frozenset(ids), cursor=cursor if last is None else repr(last), more=more)

    async def traded_orders(self, symbol: str, since: datetime, cursor: str | None) -> frozenset[str]:
        """Ids of all orders of a symbol that traded since a time and were placed from a cursor on, whosever they are."""
        listing = await self._listing(symbol)
        # To the minute: of several orders that were sent together it is asked once.
        start = {"start": str(int(since.timestamp()) // 60 * 60 - 1)}
        page, count = await self._page("TradesHistory", "trades", start, time.time(), cost=2)
        trades = [*page.values()]
        if count > PAGE:
            trades = [row for _, row in await self._rows("TradesHistory", "trades", start)]
        ids = {
            str(row["ordertxid"])
            for row in trades
            if row["pair"] in {listing.key, listing.name} and float(row["time"]) >= since.timestamp()
        }
        if not ids or cursor is None:
            return frozenset(ids)
        rows = await self._order_rows(ids)
        return frozenset(name for name in ids if name not in rows or float(rows[name]["opentm"]) > float(cursor))

    # Inside

    def _remember(self, client_order_id: str, order_id: str) -> None:
        self._pages.clear()
        self._placed[client_order_id] = order_id
        for kept in (self._placed, self._sent):
            while len(kept) > REMEMBERED:
                kept.pop(next(iter(kept)))

    def _report(
        self,
        order_id: str,
        row: Mapping[str, Any],
        symbol: str,
        client_order_id: str,
        otherwise: type[ExchangeError] = ExchangeUnavailable,
    ) -> OrderReport:
        """Read an order, and note which trades it has had. Raises what `otherwise` says."""
        try:
            report = read_report(order_id, row, symbol, client_order_id)
            trades = tuple(map(str, row.get("trades") or ()))
        except UNREADABLE:
            raise otherwise("the exchange's answer cannot be read") from None
        if trades:
            self._trades_of[order_id] = trades, "fcib" in str(row.get("oflags", ""))
            while len(self._trades_of) > REMEMBERED:
                self._trades_of.pop(next(iter(self._trades_of)))
        return report

    async def _fills(self, order: OrderReport) -> tuple[Fill, ...]:
        listing = await self._listing(order.symbol)
        trades, in_base = self._trades_of.pop(order.order_id, ((), False))
        if not trades:
            row = (await self._order_rows([order.order_id])).get(order.order_id)
            if row is None:
                raise ExchangeUnavailable("the order is not seen")
            self._report(order.order_id, row, order.symbol, order.client_order_id)
            trades, in_base = self._trades_of.pop(order.order_id, ((), False))
        rows = await self._together("QueryTrades", self._waiting_trades, trades, MOST_TRADES, cost=2)
        try:
            fills = tuple(read_fill(name, rows[name], listing.rules, fee_in_base=in_base) for name in trades)
        except UNREADABLE:
            raise ExchangeUnavailable("the order's trades cannot be read") from None
        if sum((fill.quantity for fill in fills), ZERO) < order.executed_quantity:
            raise ExchangeUnavailable("not all of the order's trades are seen yet")
        return fills

    async def _order_rows(self, names: Collection[str]) -> Rows:
        """Orders by their names; those that are not known are missing."""
        try:
            return await self._together("QueryOrders", self._waiting_orders, names, MOST_ORDERS, trades="true")
        except Refused:
            return {}  # none of them is known

    async def _together(
        self,
        name: str,
        waiting: dict[str, asyncio.Future[Any]],
        wanted: Collection[str],
        most: int,
        *,
        cost: float = 1,
        **params: str,
    ) -> Rows:
        """Ask for things by their names, together with what others want until it is this question's turn. Raises ExchangeError."""
        loop = asyncio.get_running_loop()
        mine = {each: waiting.setdefault(each, loop.create_future()) for each in wanted}
        await asyncio.sleep(0)  # what is asked for at the same time goes with it
        while not all(each.done() for each in mine.values()):
            taken: dict[str, asyncio.Future[Any]] = {}

            def take(taken: dict[str, asyncio.Future[Any]] = taken) -> Mapping[str, str] | None:
                taken |= dict(itertools.islice(waiting.items(), most))
                for each in taken:
                    del waiting[each]
                return {**params, "txid": ",".join(taken)} if taken else None

            try:
                rows = await self._private(name, read_mapping, take, cost=cost, patience=PATIENCE)
            except BaseException as err:
                problem = err if isinstance(err, ExchangeError) else ExchangeUnavailable("the question was given up")
                failed = taken or {key: waiting.pop(key) for key in mine if key in waiting}
                for each in failed.values():
                    each.set_exception(problem)
                    each.exception()  # whoever asked may be gone
                raise
            for key, each in taken.items():
                each.set_result(rows.get(key))
        found = {key: each.result() for key, each in mine.items()}
        return {key: row for key, row in found.items() if row is not None}

    async def _named(self, client_order_id: str) -> Rows:
        """Orders of a name: among those that are open, else among those that are closed; what others ask for meanwhile is asked once."""
        began, name = time.time(), order_name(client_order_id)

        def named(rows: Rows) -> Rows:
            return {order_id: row for order_id, row in rows.items() if row.get("cl_ord_id") == name}

        # In this order: one that ends between the two questions is found by the second.
        rows, _ = await self._page("OpenOrders", "open", {"trades": "true"}, began)
        if found := named(rows):
            return found
        if began - self._sent.get(client_order_id, 0.0) < RECENT:
            start = str(int(began - RECENT) // 60 * 60)
            asked = {"trades": "true", "closetime": "open", "start": start}
            rows, count = await self._page("ClosedOrders", "closed", asked, began)
            if count <= PAGE:
                return named(rows)
        asked = {"trades": "true", "cl_ord_id": name}
        return await self._private("ClosedOrders", lambda data: read_mapping(data["closed"]), asked)

    async def _closed_from(self, since: float) -> tuple[Rows, bool]:
        """The oldest orders that were placed after a time and are closed, and whether there are more."""
        asked = {"trades": "true", "closetime": "open", "start": str(max(int(since) - 1, 0))}
        rows, count = await self._page("ClosedOrders", "closed", asked)
        while count > PAGE:
            # They come newest first: the oldest are at the end, unless another one has come meanwhile.
            rows, now = await self._page("ClosedOrders", "closed", {**asked, "ofs": str(count - PAGE)})
            if now == count:
                return rows, True
            count = now
        return rows, False

    async def _page(
        self, name: str, part: str, asked: Mapping[str, str], since: float | None = None, *, cost: float = 1
    ) -> tuple[Rows, int]:
        """A page of orders as it was after a time (Unix seconds), or a few seconds ago at most; and how many there are in all."""
        since = time.time() - KEPT_FOR if since is None else since
        key = name, repr(sorted(asked.items()))
        async with self._reading:  # whoever asks for the same at the same time waits for the answer
            at, rows, count = self._pages.get(key, (0.0, {}, 0))
            if at < since:
                at = time.time()
                rows, count = await self._private(
                    name, lambda data: (read_mapping(data[part]), int(data.get("count", 0))), asked, cost=cost
                )
                self._pages = {each: kept for each, kept in self._pages.items() if at - kept[0] <= KEPT_FOR}
                self._pages[key] = at, rows, count
            return rows, count
