"""python-binance's client on a session that is not its own."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from datetime import timedelta
import re
from typing import Any, override
from urllib.parse import urlsplit

from aiohttp import ClientMiddlewareType, ClientSession, ClientTimeout
from binance import AsyncClient

from .host import HostLimits

RECV_WINDOW = timedelta(seconds=5)
# Addresses of one and the same exchange (developers.binance.com, General API Information).
_MIRRORS = re.compile(r"^api(?:[1-4]|-gcp)\.binance\.(com|us)$")


def host_of(base_url: str) -> str:
    """Host of an exchange; several addresses of Binance are one."""
    return _MIRRORS.sub(r"api.binance.\1", urlsplit(base_url).netloc.lower())


class BinanceClient(AsyncClient):
    """The library's client on a session that is not its own, with the key on each of its requests only."""

    REQUEST_RECVWINDOW = int(RECV_WINDOW.total_seconds() * 1000)

    def __init__(
        self,
        limits: HostLimits,
        session: ClientSession,
        key: str,
        secret: str,
        timeout: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._shared = _KeyedSession(session, {"X-MBX-APIKEY": key} if key else {}, limits.middleware)
        pem = _pem(secret)
        super().__init__(
            key or None,
            None if pem else secret or None,
            requests_params={"timeout": ClientTimeout(total=timeout), "allow_redirects": False},
            loop=loop,
            private_key=pem,
        )

    @override
    def _init_session(self) -> _KeyedSession:
        return self._shared


class _KeyedSession:
    """A shared session, with headers and a middleware of our own on the requests made through this object."""

    def __init__(self, session: ClientSession, headers: Mapping[str, str], middleware: ClientMiddlewareType) -> None:
        self._session = session
        self._headers = headers
        self._middlewares = (middleware,)

    def get(self, url: Any, *, headers: Mapping[str, str], **kwargs: Any) -> Any:
        """GET with the key."""
        return self._session.get(url, headers={**self._headers, **headers}, middlewares=self._middlewares, **kwargs)

    def post(self, url: Any, *, headers: Mapping[str, str], **kwargs: Any) -> Any:
        """POST with the key."""
        return self._session.post(url, headers={**self._headers, **headers}, middlewares=self._middlewares, **kwargs)

    def delete(self, url: Any, *, headers: Mapping[str, str], **kwargs: Any) -> Any:
        """DELETE with the key."""
        return self._session.delete(url, headers={**self._headers, **headers}, middlewares=self._middlewares, **kwargs)


def _pem(secret: str) -> str | None:
    """A private key as PEM text, mended where a form's single line took its line breaks; None for an HMAC secret."""
    found = re.fullmatch(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.+?)-----END \1-----", secret, re.DOTALL)
    if not found:
        return None
    body = re.sub(r"\s+|\\n", "", found[2])
    try:
        base64.b64decode(body, validate=True)
    except binascii.Error:
        raise ValueError("no base64 in the key") from None
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {found[1]}-----\n{lines}\n-----END {found[1]}-----"
