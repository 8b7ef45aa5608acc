"""The door by which a leader says that it has a new signal."""

from asyncio import timeout

from aiohttp import ClientError
from aiohttp.hdrs import CONTENT_ENCODING, METH_POST
from aiohttp.web import Request, RequestPayloadError, Response
from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .const import CONF_PUSH, CONF_SIGNAL_SECRET, DOMAIN
from .coordinator import CalvalotConfigEntry
from .registry import type_of
from .trading.sources.push import MAX_BODY, PushVerifier
from .trading.urls import is_private
from .webhook_address import webhook_address

BODY_TIMEOUT = 5


@callback
def webhook_url(hass: HomeAssistant, entry: ConfigEntry) -> str:
    """Where the leader of an entry pushes to; only the path where Home Assistant does not know its own address."""
    return webhook_address(
        hass,
        str(entry.data[CONF_WEBHOOK_ID]),
        prefer_external=not is_private(type_of(entry.data).address(entry.data) or ""),
    )


@callback
def async_sync_webhook(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Listen to the leader where its owner wants that, else not."""
    coordinator, own = entry.runtime_data, entry.data[CONF_WEBHOOK_ID]
    address = type_of(entry.data).address(entry.data)
    if address is None or not entry.options.get(CONF_PUSH, False):
        async_remove_webhook(hass, entry)
        return
    if coordinator.verifier:
        return
    verifier = PushVerifier(entry.data[CONF_SIGNAL_SECRET], webhook.async_generate_path(own), dt_util.utcnow)
    coordinator.verifier = verifier

    async def handle(_hass: HomeAssistant, _webhook_id: str, request: Request) -> Response:
        """Poll for a push; whatever else comes is answered as where no webhook is."""
        if not verifier.admit(request.headers, await read_body(request, MAX_BODY)):
            return Response()
        await coordinator.scheduler.push()
        return Response(status=202)

    # A leader in one's own network pushes from there. All methods: Home Assistant would log the id of those left out.
    webhook.async_register(
        hass,
        DOMAIN,
        entry.title,
        own,
        handle,
        local_only=is_private(address),
        allowed_methods=webhook.SUPPORTED_METHODS,
    )


@callback
def async_remove_webhook(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Listen to nobody any more."""
    if entry.runtime_data.verifier:
        entry.runtime_data.verifier = None
        webhook.async_unregister(hass, entry.data[CONF_WEBHOOK_ID])


async def read_body(request: Request, limit: int) -> bytes | None:
    """Body of a POST, one byte more than the limit where it is longer; None where it did not come, or is something else."""
    # What comes compressed could unpack to any size.
    if request.method != METH_POST or CONTENT_ENCODING in request.headers:
        return None
    body = b""
    # Asked for once: what the cloud hands on begins anew each time.
    content = request.content
    try:
        async with timeout(BODY_TIMEOUT):
            while len(body) <= limit and (chunk := await content.read(limit + 1 - len(body))):
                body += chunk
    except TimeoutError, OSError, ClientError, RequestPayloadError:
        return None
    return body
