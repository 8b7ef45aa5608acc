"""The address at which followers ask for the latest signal of a portfolio."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import web
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.http import KEY_HASS, HomeAssistantView

from ..const import DOMAIN
from ..trading.errors import CommandError
from ..trading.leading.answers import Answer, Answers
from ..trading.leading.store import PublicationError
from .page import async_page
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


class FiguresView(HomeAssistantView):
    """Answers a follower with the figures of the portfolio, without any amount."""

    url = f"{URL}/api/figures"
    name = f"api:{DOMAIN}:figures"
    requires_auth = False

    async def get(self, request: web.Request, leader: str) -> web.Response:
        """Return the figures, signed for the follower that asks, and with the key of the chain."""
        publishers = request.app[KEY_HASS].data.get(LEADERS, {}).get(leader)
        if publishers is None:
            return web.Response(status=404)
        return await _answer(request, leader, lambda answers: answers.figures(request.headers, publishers.statistics))


class PageView(HomeAssistantView):
    """The page on which a follower reads the figures in a browser, with what stands behind the # of his link."""

    url = URL
    name = f"api:{DOMAIN}:leader"
    requires_auth = False

    async def get(self, request: web.Request, leader: str) -> web.Response:
        """Return the page; it holds nothing by itself."""
        hass = request.app[KEY_HASS]
        if leader not in hass.data.get(LEADERS, {}):
            return web.Response(status=404)
        french = request.headers.get("Accept-Language", hass.config.language).lower().startswith("fr")
        return await async_page(hass, "fr" if french else "en")


async def _answer(
    request: web.Request, leader: str, ask: Callable[[Answers], Coroutine[Any, Any, Answer]]
) -> web.Response:
    """What a portfolio answers; nothing of it where it has no followers."""
    publishers = request.app[KEY_HASS].data.get(LEADERS, {}).get(leader)
    if publishers is None or publishers.answers is None:
        return web.Response(status=404)
    try:
        answer = await ask(publishers.answers)
    except PublicationError, CommandError:
        return web.Response(status=503)
    return web.Response(
        status=answer.status, body=answer.body or None, headers=answer.headers, content_type="application/json"
    )


@callback
def async_setup_publishers(hass: HomeAssistant) -> None:
    """Register the views."""
    hass.http.register_view(SignalView())
    hass.http.register_view(ChainView())
    hass.http.register_view(FiguresView())
    hass.http.register_view(PageView())
