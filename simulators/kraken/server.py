"""Kraken on the wire: signatures, nonces, the counter of each key, errors as words with HTTP status 200."""

import base64
from collections.abc import Mapping
from decimal import Decimal
import hashlib
import hmac
from http import HTTPStatus
from typing import Any, override

from aiohttp import web

from ..exchange.account import Account, Order, Trade
from ..exchange.answers import faulty, json_answer
from ..exchange.api import Json
from ..exchange.control import Request
from ..exchange.faults import Fault, FaultKind
from ..exchange.params import Params
from ..exchange.refusal import RefusalError
from ..exchange.server import ExchangeSimulator, NoAnswerError
from .api import ENDPOINTS, Call, Endpoint, deadline_of, order_key, permissions_of, read_order
from .matching import Matching
from .refusal import KrakenRefusalError, words_of
from .streams import KrakenAccountStreams, KrakenStreams

KEY = "SimulatedKraken".ljust(56, "0")
SECRET = base64.b64encode(b"simulated kraken".ljust(64, b".")).decode()
# Of a verified account: what its counter may be, and what goes off it in a second.
MOST = Decimal(20)
DECAY = Decimal("0.5")


class KrakenSimulator(ExchangeSimulator):
    """Kraken Spot as an HTTP server; the package's docstring is its manual."""

    exchange_type = Matching
    stream_path = "/v2"
    account_stream_path = "/auth/v2"
    _exchange: Matching

    def __init__(self, *, api_key: str = KEY, api_secret: str = SECRET, **options: Any) -> None:
        """Prepare the exchange; it listens after ``start``."""
        super().__init__(api_key=api_key, api_secret=api_secret, **options)
        self._exchange.list_pairs()
        self.streams = KrakenStreams(self._exchange)
        self.account_streams = KrakenAccountStreams(self._exchange)
        self._nonces: dict[str, int] = {}
        self._counters: dict[str, tuple[Decimal, int]] = {}
        self.most: Decimal | None = MOST

    def set_nonce(self, nonce: int, api_key: str | None = None) -> None:
        """Have another program use a key."""
        self._nonces[api_key or self.api_key] = nonce

    def set_fee(self, taker: str) -> None:
        """What an order that trades at once pays from now on, as a fraction."""
        self._exchange.fee_beside = Decimal(taker)

    def set_key_info(self, **fields: object) -> None:
        """What GetApiKeyInfo answers otherwise than usual."""
        self._exchange.key_info = fields

    def order_name(self, order: Order) -> str:
        """What it calls an order."""
        return order_key(order)

    @override
    def trade_name(self, trade: Trade) -> str:
        return order_key(trade, "T")

    def set_counter(self, most: int | None) -> None:
        """How high the counter of a key may rise; None = it is not enforced."""
        self.most = None if most is None else Decimal(most)

    def counter(self, api_key: str | None = None) -> Decimal:
        """The counter of a key."""
        value, since = self._counters.get(api_key or self.api_key, (Decimal(0), self.server_time))
        return max(value - DECAY * max(self.server_time - since, 0) / 1000, Decimal(0))

    @override
    async def _handle(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode("utf-8", "replace")
        path, _, query = request.raw_path.partition("?")
        params = Params(query, body)
        entry = Request(request.method, path, dict(params.values), request.headers.get("API-Key"), self.server_time)
        self.requests.append(entry)
        params.values |= {"signature": request.headers.get("API-Sign", "")} | self._as_elsewhere(params.values)
        faults = self._faults.take(entry.method, path, params.values, entry.api_key)
        entry.faults = tuple(fault.kind for fault in faults)
        try:
            response = await self._answer(entry, params, faults)
        except NoAnswerError:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        entry.status = response.status
        return response

    def _as_elsewhere(self, values: Mapping[str, str]) -> dict[str, str]:
        """Symbol and side as the faults have them."""
        found = {"side": side.upper()} if (side := values.get("type")) in {"buy", "sell"} and side else {}
        try:
            return found | {"symbol": self._exchange.pair(values.get("pair", "")).name}
        except KrakenRefusalError:
            return found

    @override
    def _process(self, entry: Request, params: Params, late: int) -> tuple[int, Json]:
        self._exchange.tick()
        endpoint = ENDPOINTS.get(entry.path)
        if endpoint is None:
            return HTTPStatus.NOT_FOUND, {}
        try:
            call = self._call(endpoint, entry, params, late)
            return HTTPStatus.OK, {"error": [], "result": endpoint.handler(call)}
        except RefusalError as refusal:
            return HTTPStatus.OK, {"error": [words_of(refusal)]}

    def _call(self, endpoint: Endpoint, entry: Request, params: Params, late: int = 0) -> Call:
        signer = None
        if endpoint.permission is not None:
            if entry.method != "POST":
                raise KrakenRefusalError("EGeneral:Unknown method")
            signer = self._signer(endpoint, entry, params)
        unknown = entry.params.keys() - endpoint.params
        if params.duplicate or unknown:
            raise KrakenRefusalError(f"EGeneral:Invalid arguments:{','.join(sorted(unknown))}")
        return Call(self._exchange, entry.params, signer, late, entry.api_key or "")

    def _signer(self, endpoint: Endpoint, entry: Request, params: Params) -> Account:
        """Whose the key is, once signature, nonce, counter and permission are right."""
        key = entry.api_key or ""
        account = self._exchange.accounts.get(key)
        if account is None:
            raise KrakenRefusalError("EAPI:Invalid key")
        nonce = entry.params.get("nonce", "")
        message = entry.path.encode() + hashlib.sha256((nonce + params.body).encode()).digest()
        wanted = hmac.new(base64.b64decode(account.keys[key]), message, hashlib.sha512).digest()
        if not hmac.compare_digest(base64.b64encode(wanted).decode(), params.values["signature"]):
            raise KrakenRefusalError("EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self._nonces.get(key, 0) or int(nonce) >= 2**64:
            raise KrakenRefusalError("EAPI:Invalid nonce")
        self._nonces[key] = int(nonce)
        if account.ip_restrict and not account.ip_allowed:
            raise KrakenRefusalError("EGeneral:Permission denied")
        counter = self.counter(key) + endpoint.cost
        if endpoint.cost and self.most is not None and counter > self.most:
            raise KrakenRefusalError("EAPI:Rate limit exceeded")
        self._counters[key] = counter, self.server_time
        entry.weight = endpoint.cost
        if endpoint.permission and endpoint.permission not in permissions_of(account):
            raise KrakenRefusalError("EGeneral:Permission denied")
        return account

    @override
    def _faulty(self, fault: Fault) -> web.Response:
        match fault.kind:
            case FaultKind.ERROR:
                return json_answer({"error": [fault.message or "EService:Unavailable"]}, fault.status or HTTPStatus.OK)
            case FaultKind.RATE_LIMIT:
                return json_answer({"error": ["EAPI:Rate limit exceeded"]}, HTTPStatus.OK)
            case FaultKind.ERROR_LIST:
                return json_answer([{"error": ["EService:Busy"]}], fault.http_status)
        return faulty(fault)

    @override
    def _delay(self, fault: Fault, entry: Request, params: Params) -> None:
        endpoint = ENDPOINTS.get(entry.path)
        if endpoint is None or not entry.path.endswith("/AddOrder"):
            return
        try:
            call = self._call(endpoint, entry, params)
            order, deadline = read_order(call), deadline_of(entry.params)
        except RefusalError:
            return
        due = self.server_time + round(fault.lasting * 1000)
        if deadline is None or due <= deadline:
            self._exchange.delay(call.account, order, due)
