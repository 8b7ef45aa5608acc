"""Binance's stream of an account.

The WebSocket API's signed subscription `userDataStream.subscribe.signature` (developers.binance.com, WebSocket API, User Data
Stream).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, override

from .account_stream import Clock, HintStream
from .binance_client import host_of
from .remote import Hint
from .stream import own_host

HOSTS = {
    "api.binance.com": "wss://ws-api.binance.com",
    "api.binance.us": "wss://ws-api.binance.us",
    "testnet.binance.vision": "wss://ws-api.testnet.binance.vision",
    "demo-api.binance.com": "wss://demo-ws-api.binance.com",
}
SUBSCRIBE = "userDataStream.subscribe.signature"


class SigningExchange(Clock, Protocol):
    """An exchange that can sign for its account."""

    async def signed_params(self) -> Mapping[str, Any]:
        """Key, time stamp and signature of a request without anything else. Raises ExchangeError."""
        ...


def account_stream_url(base_url: str) -> str:
    """Address of the WebSocket API of an exchange."""
    return f"{HOSTS.get(host_of(base_url)) or own_host(base_url)}/ws-api/v3"


class AccountStream(HintStream[SigningExchange]):
    """A signed subscription to one account."""

    @override
    async def _subscriptions(self) -> Sequence[dict[str, Any]]:
        params = await self._exchange.signed_params()
        return ({"id": "account", "method": SUBSCRIBE, "params": {**params}},)

    @override
    def _take(self, data: dict[str, Any]) -> bool:
        if data.get("id") == "account":
            return self._answered(accepted=data.get("status") == 200, error=data.get("error"))
        event: dict[str, Any] = data.get("event") or {}
        match event.get("e"):
            case "executionReport":
                # Of a cancellation the order's own id is the original one.
                self._on_hint(Hint.ORDER, str(event.get("C") or event.get("c") or ""))
            case "balanceUpdate":
                self._on_hint(Hint.BALANCE, "")
            case "eventStreamTerminated" | "serverShutdown":
                return False
        return True
