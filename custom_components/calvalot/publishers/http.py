"""The address at which followers ask for the latest signal of a portfolio."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import web
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.http import KEY_HASS, HomeAssistantView

from ..const import DOMAIN
from ..trading.leading.answers import Answer, Answers
from ..trading.leading.store import PublicationError
from .publishers import LEADERS

URL: Final = f"/api/{DOMAIN}/{{leader}}"


class SignalView(HomeAssistantView):
    """Answers a follower with the latest signal; whoever has no secret learns nothing but that."""

    url = f"{URL}/api/signal/latest"
    name = f"api:{DOMAIN}:signal"
    requires_auth = False

    async def get(self, request: web.Request, leader: str) -> web.Response:
        """Return the signal, signed for the follower that asks."""
        return await _answer(request, leader, lambda answers: answers.latest(request.headers))


class ChainView(HomeAssistantView):
    """Answers a follower with links of the chain after one that he knows."""

    url = f"{URL}/api/signal/chain"
    name = f"api:{DOMAIN}:chain"
    requires_auth = False

    async def get(self, request: web.Request, leader: str) -> web.Response:
        """Return the links, signed for the follower that asks."""
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) < 10):
            return web.Response(status=400)
        return await _answer(request, leader, lambda answers: answers.chain(request.headers, int(after)))


async def _answer(
    request: web.Request, leader: str, ask: Callable[[Answers], Coroutine[Any, Any, Answer]]
) -> web.Response:
    """What a portfolio answers; nothing of it where it has no followers."""
    publishers = request.app[KEY_HASS].data.get(LEADERS, {}).get(leader)
    if publishers is None or publishers.answers is None:
        return web.Response(status=404)
    try:
        answer = await ask(publishers.answers)
    except PublicationError:
        return web.Response(status=503)
    return web.Response(
        status=answer.status, body=answer.body or None, headers=answer.headers, content_type="application/json"
    )


@callback
def async_setup_publishers(hass: HomeAssistant) -> None:
    """Register the views."""
    hass.http.register_view(SignalView())
    hass.http.register_view(ChainView())
