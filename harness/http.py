"""One JSON request over HTTP."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
import urllib.request


class ApiError(Exception):
    """The server answered, and not with what was asked for."""


# No proxy of the environment stands between this machine and its own loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(
    method: str, url: str, body: object = None, *, form: dict[str, str] | None = None, token: str | None = None
) -> Any:
    """Send ``body`` as JSON, or ``form``, and return the JSON that comes back; raises ApiError, OSError."""
    headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = urlencode(form).encode() if form else None if body is None else json.dumps(body).encode()
    try:
        sent = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - addresses are the demo's own
        with _OPENER.open(sent, timeout=60) as answer:
            text = answer.read()
    except HTTPError as error:
        raise ApiError(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}") from error
    return json.loads(text) if text else None
