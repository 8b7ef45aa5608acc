"""The page of a leader that a follower reads in a browser: a shell without any figure, which asks and checks by itself."""

from base64 import b64encode
import hashlib
import json
from pathlib import Path
from typing import Final

from aiohttp import web
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from ..const import DOMAIN

FOLDER: Final = Path(__file__).parent
PREFIX: Final = f"component.{DOMAIN}.common.leader_page_"


async def async_page(hass: HomeAssistant, language: str) -> web.Response:
    """The page in a language. Nothing of it is loaded from anywhere, and its script may ask this server only."""
    shell, script = await hass.async_add_executor_job(_read)
    texts = await async_get_translations(hass, language, "common", {DOMAIN})
    words = {key.removeprefix(PREFIX): text for key, text in texts.items() if key.startswith(PREFIX)}
    # What ends a script is told in another way.
    told = json.dumps(words, ensure_ascii=False).replace("<", "\\u003c")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    body = shell.replace("@LANGUAGE@", language).replace("@WORDS@", told).replace("@SCRIPT@", script)
    return web.Response(
        text=body,
        content_type="text/html",
        headers={
            "Content-Security-Policy": f"default-src 'none'; connect-src 'self'; script-src 'sha256-{digest}'; "
            "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def _read() -> tuple[str, str]:
    return (FOLDER / "page.html").read_text("utf-8"), (FOLDER / "page.js").read_text("utf-8")
