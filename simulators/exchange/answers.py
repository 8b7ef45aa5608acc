"""What goes over the wire, the right answers and the wrong ones."""

from http import HTTPStatus
import json
import math

from aiohttp import web

from .api import Json
from .faults import Fault, FaultKind
from .refusal import RefusalError

JSON_TYPE = "application/json"
PAGE = "<html><head><title>{status} {words}</title></head><body><h1>{status} {words}</h1></body></html>"


def json_answer(payload: object, status: int) -> web.Response:
    """Compact JSON."""
    return web.Response(text=json.dumps(payload, separators=(",", ":")), status=status, content_type=JSON_TYPE)


def page(status: int) -> web.Response:
    """An HTML page, as proxies and firewalls send them."""
    words = HTTPStatus(status).phrase
    return web.Response(text=PAGE.format(status=status, words=words), status=status, content_type="text/html")


def limited(status: int, seconds: int, words: str | None = None) -> web.Response:
    """Too many requests; come back after that many seconds."""
    response = json_answer(RefusalError(-1003, words).body, status)
    response.headers["Retry-After"] = str(seconds)
    return response


def faulty(fault: Fault) -> web.Response:
    """The answer of a fault that answers."""
    status = fault.http_status
    response = web.Response(status=status)
    match fault.kind:
        case FaultKind.ERROR:
            refusal = RefusalError(-1000 if fault.code is None else fault.code, fault.message, fault.status)
            response = json_answer(refusal.body, refusal.status)
        case FaultKind.STATUS:
            response = web.Response(text=fault.message or HTTPStatus(status).phrase, status=status)
        case FaultKind.HTML:
            response = page(status)
        case FaultKind.BROKEN_JSON:
            response = web.Response(text='{"symbol":"BTCUSDC","orderId":', status=status, content_type=JSON_TYPE)
        case FaultKind.EMPTY_OBJECT:
            response = json_answer({}, status)
        case FaultKind.EMPTY_LIST:
            response = json_answer([], status)
        case FaultKind.ERROR_LIST:
            response = json_answer(
                [{"code": -1000, "msg": "An unknown error occurred while processing the request."}], status
            )
        case FaultKind.RATE_LIMIT:
            response = limited(status, math.ceil(fault.lasting), fault.message)
    return response


def altered(payload: Json, kind: FaultKind) -> Json:
    """An answer to an order that says something else."""
    if not isinstance(payload, dict) or "clientOrderId" not in payload:
        return payload
    if kind is FaultKind.WRONG_ID:
        return payload | {"clientOrderId": "anothersOrder"}
    if kind is FaultKind.STATUS_NEW:
        nothing = {"executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "fills": []}
        return payload | {"status": "NEW"} | {name: value for name, value in nothing.items() if name in payload}
    return payload
