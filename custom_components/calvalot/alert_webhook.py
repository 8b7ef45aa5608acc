"""The addresses on which alerts from outside arrive: answered once they are written down, and never with more than that."""

from collections import deque
import time
from typing import Any, Final

from aiohttp.web import Request, Response
from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import CONF_ALERT_WEBHOOK_ID, CONF_TOKEN, DOMAIN
from .coordinator import CalvalotConfigEntry, CalvalotCoordinator
from .issues import ALERTS_WITHOUT_TOKEN, async_clear_issue, async_raise_issue, source_name
from .registry import kinds_of, stored_of
from .trading.alert import AlertState
from .trading.ledger.storage import LedgerError
from .trading.signal import SourceKind
from .trading.sources.alert_format import MAX_BODY
from .trading.sources.alert_inbox import has_token
from .trading.sources.alerts_state import FAILING
from .webhook import read_body

# Alerts that an address takes within so many seconds; what comes beyond is told to come again.
MOST: Final = 1500
WITHIN: Final = 10.0


class AlertWebhook:
    """One address; counts what was written down, what had no token, and what was told to come again."""

    def __init__(self, coordinator: CalvalotCoordinator, key: str, token: str) -> None:
        """Take the alerts of a source; `token` is the hash of what proves them."""
        self._coordinator = coordinator
        self._key = key
        self._token = token
        self._times: deque[float] = deque()
        self._in_a_row = 0
        self.accepted = 0
        self.refused = 0
        self.postponed = 0

    async def handle(self, _hass: HomeAssistant, _webhook_id: str, request: Request) -> Response:
        """Write an alert down; whatever else comes is answered as where no webhook is."""
        body = await read_body(request, MAX_BODY)
        if body is None or len(body) > MAX_BODY or not has_token(body, self._token):
            self.refused += 1
            self._in_a_row += 1
            if self._in_a_row == FAILING:
                entry = self._coordinator.config_entry
                details = {"source": source_name(entry, self._key), "count": str(FAILING)}
                async_raise_issue(self._coordinator.hass, entry, ALERTS_WITHOUT_TOKEN, details)
            return Response()
        if self._in_a_row:
            self._in_a_row = 0
            async_clear_issue(self._coordinator.hass, ALERTS_WITHOUT_TOKEN, self._coordinator.config_entry.entry_id)
        try:
            record = await self._coordinator.engine.alerts.receive(self._key, body) if self._has_room() else None
        except LedgerError:
            record = None
        if record is None:
            self.postponed += 1
            return Response(status=503)
        self.accepted += 1
        if record.state is AlertState.WAITING:
            await self._coordinator.scheduler.push()
        return Response()

    def _has_room(self) -> bool:
        now = time.monotonic()
        while self._times and now - self._times[0] > WITHIN:
            self._times.popleft()
        if len(self._times) >= MOST:
            return False
        self._times.append(now)
        return True


def alert_addresses(entry: ConfigEntry[Any]) -> dict[str, tuple[str, str]]:
    """Webhook id and hash of the token of each source of alerts, by its key."""
    kept = {key: stored_of(entry, key).data for key, kind in kinds_of(entry).items() if kind.kind is SourceKind.ALERTS}
    return {key: (data[CONF_ALERT_WEBHOOK_ID], data[CONF_TOKEN]) for key, data in kept.items()}


@callback
def async_sync_alert_webhooks(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Listen on the addresses of an entry's sources as they are now."""
    async_remove_alert_webhooks(hass, entry)
    coordinator = entry.runtime_data
    for key, (own, token) in alert_addresses(entry).items():
        coordinator.alert_webhooks[own] = own_webhook = AlertWebhook(coordinator, key, token)
        # All methods: Home Assistant would log the id of those left out.
        webhook.async_register(
            hass,
            DOMAIN,
            entry.title,
            own,
            own_webhook.handle,
            local_only=False,
            allowed_methods=webhook.SUPPORTED_METHODS,
        )


@callback
def async_remove_alert_webhooks(hass: HomeAssistant, entry: CalvalotConfigEntry) -> None:
    """Take no alerts any more."""
    while entry.runtime_data.alert_webhooks:
        webhook.async_unregister(hass, entry.runtime_data.alert_webhooks.popitem()[0])
