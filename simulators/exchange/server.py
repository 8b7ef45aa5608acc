"""The wire: HTTP on loopback, authentication, weights, and the faults on the way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus
import json
import re
from types import TracebackType
from typing import Self

from aiohttp import web

from .account import Account
from .answers import altered, faulty, json_answer, limited, page
from .api import ENDPOINTS, Call, Endpoint, Json
from .control import DEFAULT_KEY, DEFAULT_SECRET, Request
from .faults import ACCOMPANYING, MOVING, Fault, FaultKind, When
from .filters import OrderRequest
from .limits import Limits
from .outside import OutsideControl
from .params import Params
from .refusal import RefusalError
from .remote import WRONG, perform, state
from .symbols import Number

HOST = "127.0.0.1"
API_KEY = re.compile(r"[A-Za-z0-9]{16,128}")
# What a request that is too old may still lag behind inside the exchange.
PROCESSING_MS = 10_000
# Weight that an account may use in a minute under /sapi.
UID_LIMIT = 180_000
# What is accepted there weighs nothing.
PLACING = {("POST", "/api/v3/order"), ("POST", "/api/v3/orderList/oco")}


class NoAnswerError(Exception):
    """The connection is closed without a word."""


class ExchangeSimulator(OutsideControl):
    """The exchange as an HTTP server; the package's docstring is its manual."""

    stream_path = "/stream"
    account_stream_path = "/ws-api/v3"

    def __init__(
        self,
        *,
        port: int = 0,
        seed: int = 0,
        balances: Mapping[str, Number] | None = None,
        api_key: str = DEFAULT_KEY,
        api_secret: str = DEFAULT_SECRET,
        bnb_burn: bool = False,
        volatility: Number = "0.0005",
        step: float | None = None,
        latency: float = 0,
        weight_limit: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Prepare the exchange; it listens after ``start``."""
        super().__init__(
            seed=seed,
            balances=balances,
            api_key=api_key,
            api_secret=api_secret,
            bnb_burn=bnb_burn,
            volatility=volatility,
            step=step,
            latency=latency,
            weight_limit=weight_limit,
            clock=clock,
        )
        self._port = port
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self._uid_limits = Limits(UID_LIMIT)
        self._order_counts: Counter[tuple[str | None, str, int]] = Counter()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._closing.clear()
        app = web.Application()
        app.router.add_post("/control", self._control)
        app.router.add_get("/control/state", self._state)
        app.router.add_get(self.stream_path, self._stream)
        app.router.add_get(self.account_stream_path, self._stream)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, HOST, self._port).start()
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Close every connection and refuse new ones."""
        self._closing.set()
        await self.streams.stop()
        await self.account_streams.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def _control(self, request: web.Request) -> web.Response:
        try:
            command = json.loads(await request.text(), parse_float=Decimal)
            if not isinstance(command, dict):
                raise TypeError("a command is an object")
            result = perform(self, command)
        except WRONG as error:
            return web.json_response({"ok": False, "error": str(error)}, status=HTTPStatus.BAD_REQUEST)
        return web.json_response({"ok": True, "result": result})

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(state(self, log=request.query.get("log") == "1"))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """A connection for streams, unless it is refused or a fault ends it before it begins."""
        entry = Request("GET", request.path, {}, None, self.server_time)
        try:
            failed = await self._fail(self._faults.take("GET", request.path, {}, None), entry, Params("", ""))
        except NoAnswerError:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        if failed is not None:
            return failed
        if request.path == self.account_stream_path:
            return await self.account_streams.handle(request)
        if self.streams.refused():
            return web.Response(status=HTTPStatus.TOO_MANY_REQUESTS)
        return await self.streams.handle(request)

    async def _handle(self, request: web.Request) -> web.Response:
        """One request from its arrival to its answer, or to the lack of one."""
        body = (await request.read()).decode("utf-8", "replace")
        path, _, query = request.raw_path.partition("?")
        params = Params(query, body)
        shown = {name: value for name, value in params.values.items() if name != "signature"}
        entry = Request(request.method, path, shown, request.headers.get("X-MBX-APIKEY"), self.server_time)
        entry.unheeded = self._limits.heard(request.transport)
        self.requests.append(entry)
        faults = self._faults.take(entry.method, path, params.values, entry.api_key)
        entry.faults = tuple(fault.kind for fault in faults)
        try:
            response = await self._answer(entry, params, faults)
        except NoAnswerError:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        entry.status = response.status
        if wait := response.headers.get("Retry-After"):
            self._limits.tell(request.transport, float(wait))
        response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.used_weight)
        return response

    async def _answer(self, entry: Request, params: Params, faults: list[Fault]) -> web.Response:
        before = [fault for fault in faults if fault.when is When.BEFORE]
        after = [fault for fault in faults if fault.when is When.AFTER]
        await self._pause(self.latency / 2)
        if (banned := self._banned()) is not None:
            return banned
        if (failed := await self._fail(before, entry, params)) is not None:
            return failed
        for fault in before:
            if fault.kind in MOVING:
                self._move(fault, params.values.get("symbol", ""))
        late = sum(round(fault.lasting * 1000) for fault in faults if fault.kind is FaultKind.LATE)
        status, payload = self._process(entry, params, late)
        if (failed := await self._fail(after, entry, params)) is not None:
            return failed
        await self._pause(self.latency / 2)
        if status == HTTPStatus.NOT_FOUND:
            return page(status)
        for fault in after:
            payload = altered(payload, fault.kind)
        response = json_answer(payload, status)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(self._limits.rest(self.server_time))
        elif (entry.method, entry.path) in PLACING and status == HTTPStatus.OK:
            for name, span in (("10S", 10_000), ("1D", 86_400_000)):
                window = (entry.api_key, name, self.server_time // span)
                self._order_counts[window] += 1
                response.headers[f"X-MBX-ORDER-COUNT-{name}"] = str(self._order_counts[window])
        return response

    def _process(self, entry: Request, params: Params, late: int) -> tuple[int, Json]:
        """Do what the request asks."""
        self._exchange.tick()
        endpoint = self._endpoint(entry)
        if endpoint is None:
            return HTTPStatus.NOT_FOUND, {}
        try:
            self._weigh(entry, endpoint.weight(params))
            entry.uid_weight = endpoint.uid_weight
            self._uid_limits.weigh(endpoint.uid_weight, self.server_time)
            params.only(endpoint.params, signed=endpoint.signed)
            signer = self._authenticate(endpoint, entry, params) if endpoint.signed else None
            answer = endpoint.handler(Call(self._exchange, params, signer, late))
        except RefusalError as refusal:
            return refusal.status, refusal.body
        if (entry.method, entry.path) in PLACING:
            self._weigh(entry, -entry.weight)
        return HTTPStatus.OK, answer

    def _endpoint(self, entry: Request) -> Endpoint | None:
        if entry.path.startswith("/sapi/") and not self.sapi:
            return None
        return ENDPOINTS.get((entry.method, entry.path))

    def _weigh(self, entry: Request, weight: int) -> None:
        entry.weight += weight
        self._limits.weigh(weight, self.server_time)

    def _banned(self) -> web.Response | None:
        banned = self._limits.banned(self.server_time)
        return None if banned is None else limited(*banned)

    def _move(self, fault: Fault, symbol: str) -> None:
        """Have the market change before the request meets it."""
        if symbol not in self._exchange.market.symbols:
            return
        match fault.kind:
            case FaultKind.HALT:
                self.set_symbol_status(symbol, "HALT")
            case FaultKind.DELIST:
                self.delist(symbol)
            case _:
                self.set_price(symbol, self.price(symbol) * fault.factor, gap=True)

    def _authenticate(self, endpoint: Endpoint, entry: Request, params: Params) -> Account:
        if entry.api_key is None or API_KEY.fullmatch(entry.api_key) is None:
            raise RefusalError(-2014)
        params.required("timestamp")
        params.required("signature")
        account = self._exchange.accounts.get(entry.api_key)
        if account is None or (account.ip_restrict and not account.ip_allowed):
            raise RefusalError(-2015)
        params.check_signature(account.keys[entry.api_key])
        params.check_time(self.server_time)
        if not (account.spot_trading if endpoint.trade else account.reading):
            raise RefusalError(-2015)
        return account

    async def _fail(self, faults: list[Fault], entry: Request, params: Params) -> web.Response | None:
        """Wait as told; the first fault that ends a request ends this one."""
        for fault in faults:
            if fault.kind is FaultKind.SLOW:
                await self._pause(fault.lasting)
        for fault in faults:
            if fault.kind in ACCOMPANYING:
                continue
            match fault.kind:
                case FaultKind.HANG:
                    await self._pause(fault.lasting)
                case FaultKind.DELAYED:
                    self._delay(fault, entry, params)
                case _:
                    if fault.kind is not FaultKind.DROP:
                        return self._faulty(fault)
            raise NoAnswerError
        return None

    def _faulty(self, fault: Fault) -> web.Response:
        return faulty(fault)

    def _delay(self, fault: Fault, entry: Request, params: Params) -> None:
        """Keep an order that the exchange would accept for later."""
        endpoint = self._endpoint(entry)
        if endpoint is None or (entry.method, entry.path) != ("POST", "/api/v3/order"):
            return
        try:
            params.only(endpoint.params, signed=True)
            account = self._authenticate(endpoint, entry, params)
            order = OrderRequest.read(params)
        except RefusalError:
            return
        due = self.server_time + round(fault.lasting * 1000)
        if due <= (params.time("timestamp") or 0) + params.window + PROCESSING_MS:
            self._exchange.delay(account, order, due)

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return
