"""A stand-in for CoinMarketCap on loopback: two of its endpoints with their shapes, and its errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

KEY = "b54bcf4d-1bca-4e8e-9a24-22ff2c3d462c"
# HTTP status of each of the service's codes that the stand-in may be told to answer.
STATUSES = {1001: 401, 1002: 401, 1003: 402, 1006: 403, 1008: 429, 1009: 429, 1010: 429, 500: 500}
MESSAGES = {
    1001: "This API Key is invalid.",
    1002: "API key missing.",
    1003: "Your API Key must be activated.",
    1006: "Your API Key subscription plan doesn't support this endpoint.",
    1008: "You've exceeded your API Key's HTTP request rate limit. Rate limits reset every minute.",
    1009: "You've exceeded your API Key's daily rate limit.",
    1010: "You've exceeded your API Key's monthly rate limit.",
    500: "An internal server error occurred",
}


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin as the service lists it."""

    id: int
    symbol: str
    name: str


BITCOIN = Coin(1, "BTC", "Bitcoin")
ETHEREUM = Coin(1027, "ETH", "Ethereum")
BNB = Coin(1839, "BNB", "BNB")
SOLANA = Coin(5426, "SOL", "Solana")
XRP = Coin(52, "XRP", "XRP")
# What a list holds beside the coins that a test is about, enough for a whole one.
OTHERS = tuple(Coin(10_000 + number, f"C{number}", f"Coin {number}") for number in range(100))


class CoinMarketCapStandIn:
    """The service with one valid key; ranks are the order of its coins.

    `answer` is what the next answers are: an error code of the service, a text that is no JSON, or any other document; None for the
    truth. `questions` are the paths that were asked for.
    """

    def __init__(self, coins: Iterable[Coin] = (BITCOIN, ETHEREUM, BNB, SOLANA, XRP, *OTHERS)) -> None:
        self.coins = tuple(coins)
        self.key = KEY
        self.answer: int | str | dict[str, Any] | None = None
        self.questions: list[str] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Start on a free port."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.questions.append(request.path)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, content_type="text/html")
        if isinstance(self.answer, int):
            return _refused(self.answer)
        key = request.headers.get("X-CMC_PRO_API_KEY")
        if key != self.key:
            return _refused(1001 if key else 1002)
        if self.answer is not None:
            return web.json_response(self.answer)
        if request.path == "/v1/key/info":
            return web.json_response({"data": _KEY_INFO, "status": _status(0, 0)})
        if request.path == "/v1/cryptocurrency/map":
            first, most = int(request.query.get("start", 1)), int(request.query.get("limit", 5000))
            rows = [self._row(rank, coin) for rank, coin in enumerate(self.coins, start=1)]
            if request.query.get("sort") != "cmc_rank":
                rows.sort(key=lambda row: row["id"])
            return web.json_response({"data": rows[first - 1 :][:most], "status": _status(0, 1)})
        return _refused(500)

    def _row(self, rank: int, coin: Coin) -> dict[str, Any]:
        slug = coin.name.lower().replace(" ", "-")
        return {"id": coin.id, "rank": rank, "name": coin.name, "symbol": coin.symbol, "slug": slug, "is_active": 1}


_KEY_INFO = {
    "plan": {
        "credit_limit_monthly": 10_000,
        "credit_limit_monthly_reset": "In 12 days, 4 hours and 8 minutes",
        "credit_limit_monthly_reset_timestamp": "2026-12-09T00:00:00.000Z",
        "rate_limit_minute": 30,
    },
    "usage": {
        "current_minute": {"requests_made": 1, "requests_left": 29},
        "current_day": {"credits_used": 1},
        "current_month": {"credits_used": 1, "credits_left": 9999},
    },
}


def _status(code: int, credits_: int) -> dict[str, Any]:
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "error_code": code,
        "error_message": MESSAGES.get(code),
        "elapsed": 3,
        "credit_count": credits_,
        "notice": None,
    }


def _refused(code: int) -> web.Response:
    return web.json_response({"status": _status(code, 0)}, status=STATUSES[code])
