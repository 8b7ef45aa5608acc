"""Reports of a month, a quarter or a year: made in a worker, kept under the configuration, fetched by administrators."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from homeassistant.components.http.decorators import require_admin
from homeassistant.components.websocket_api import async_register_command
from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.decorators import (
    async_response,
    require_admin as require_admin_connection,
    websocket_command,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.http import KEY_HASS, HomeAssistantView
from homeassistant.helpers.translation import async_get_translations
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .actions import invalid_input
from .const import DOMAIN
from .coordinator import CalvalotConfigEntry
from .trading.reports import files
from .trading.reports.layout import lay_out
from .trading.reports.spans import Span, month_before, span_of
from .trading.reports.words import LANGUAGES, Words
from .trading.responses import Json, iso

ATTR_LANGUAGE: Final = "language"
ATTR_MONTH: Final = "month"
ATTR_QUARTER: Final = "quarter"
ATTR_YEAR: Final = "year"
ATTR_ENTRY_ID: Final = "entry_id"
ATTR_PERIOD: Final = "period"
URL: Final = f"/api/{DOMAIN}/reports"
TYPES: Final = {"pdf": "application/pdf", "html": "text/html"}
# Whatever a page holds, nothing of it is run or fetched.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def reports_folder(hass: HomeAssistant, entry_id: str) -> Path:
    """Where the reports of an entry lie."""
    return Path(hass.config.path(DOMAIN, "reports", entry_id))


def _span(value: Any) -> Span:
    """Validate a month (2026-10), a quarter (2026-Q4) or a year."""
    if (span := span_of(str(value).strip().upper())) is None:
        raise invalid_input("report_period_invalid", period=str(value))
    return span


def _of(months: int) -> Any:
    def check(value: Any) -> Span:
        span = _span(value)
        if span.months != months:
            raise invalid_input("report_period_invalid", period=str(value))
        return span

    return check


REPORT_FIELDS: Final[VolDictType] = {
    vol.Exclusive(ATTR_MONTH, ATTR_PERIOD): _of(1),
    vol.Exclusive(ATTR_QUARTER, ATTR_PERIOD): _of(3),
    vol.Exclusive(ATTR_YEAR, ATTR_PERIOD): vol.All(vol.Coerce(int), _of(12)),
    vol.Optional(ATTR_LANGUAGE): vol.In(LANGUAGES),
}


async def async_create_report(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    """Make the report of a span, else of the month before; says where it lies. Raises CommandError."""
    now = dt_util.utcnow()
    span: Span = next(
        (data[key] for key in (ATTR_MONTH, ATTR_QUARTER, ATTR_YEAR) if key in data), month_before(now.date())
    )
    language: str = data.get(ATTR_LANGUAGE) or _language(hass)
    texts = await async_get_translations(hass, language, "common", {DOMAIN})
    start = f"component.{DOMAIN}.common."
    common = {key.removeprefix(start): text for key, text in texts.items() if key.startswith(start)}
    words = Words(language, common, dt_util.get_default_time_zone())
    folder = reports_folder(hass, entry.entry_id)
    coordinator = entry.runtime_data
    report = await coordinator.async_finish(coordinator.engine.queries.report(span))
    name = entry.title
    await hass.async_add_executor_job(lambda: files.write_apart(folder, span, lay_out(report, name, words)))
    found = files.Filed(span=span, language=language, created=now)
    return _told(entry.entry_id, found) | {
        "file": str(folder / files.file_name(span, language, "pdf")),
        "page_file": str(folder / files.file_name(span, language, "html")),
    }


def _language(hass: HomeAssistant) -> str:
    """Home Assistant's language where reports speak it, else English."""
    spoken = hass.config.language.partition("-")[0]
    return spoken if spoken in LANGUAGES else LANGUAGES[0]


def _told(entry_id: str, report: files.Filed) -> Json:
    """A report that is there: its span, and the paths that it is fetched at."""
    span = report.span

    def url(kind: files.Kind) -> str:
        return f"{URL}/{entry_id}/{files.file_name(span, report.language, kind)}"

    return {
        "period": span.name,
        "since": span.first.isoformat(),
        "until": span.last.isoformat(),
        "language": report.language,
        "created": iso(report.created),
        "url": url("pdf"),
        "page_url": url("html"),
    }


class ReportView(HomeAssistantView):
    """Hands a report to an administrator; the browser comes with a signed path."""

    url = f"{URL}/{{entry_id}}/{{name}}"
    name = f"api:{DOMAIN}:report"

    @require_admin
    async def get(self, request: web.Request, entry_id: str, name: str) -> web.StreamResponse:
        """Return the file."""
        hass = request.app[KEY_HASS]
        path = reports_folder(hass, entry_id) / name
        known = _entry(hass, entry_id) is not None and files.is_file_name(name)
        if not known or not await hass.async_add_executor_job(path.is_file):
            return web.Response(status=404)
        headers = {
            "Content-Type": TYPES[path.suffix.removeprefix(".")],
            "Content-Disposition": f'inline; filename="{name}"',
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return web.FileResponse(path, headers=headers)


@callback
def async_setup_reports(hass: HomeAssistant) -> None:
    """Register the view and what the cards ask about reports."""
    hass.http.register_view(ReportView())
    async_register_command(hass, ws_reports)
    async_register_command(hass, ws_delete_report)


@require_admin_connection
@websocket_command({vol.Required("type"): f"{DOMAIN}/reports", vol.Required(ATTR_ENTRY_ID): str})
@async_response
async def ws_reports(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """List the reports of a portfolio."""
    connection.send_result(msg["id"], await _listed(hass, msg[ATTR_ENTRY_ID]))


@require_admin_connection
@websocket_command(
    {
        vol.Required("type"): f"{DOMAIN}/delete_report",
        vol.Required(ATTR_ENTRY_ID): str,
        vol.Required(ATTR_PERIOD): str,
        vol.Required(ATTR_LANGUAGE): vol.In(LANGUAGES),
    }
)
@async_response
async def ws_delete_report(hass: HomeAssistant, connection: ActiveConnection, msg: dict[str, Any]) -> None:
    """Delete a report, and list the others."""
    span, entry = span_of(msg[ATTR_PERIOD]), _entry(hass, msg[ATTR_ENTRY_ID])
    if span and entry:
        folder = reports_folder(hass, entry.entry_id)
        await hass.async_add_executor_job(files.delete, folder, span, msg[ATTR_LANGUAGE])
    connection.send_result(msg["id"], await _listed(hass, msg[ATTR_ENTRY_ID]))


async def _listed(hass: HomeAssistant, entry_id: str) -> Json:
    entry = _entry(hass, entry_id)
    found = await hass.async_add_executor_job(files.filed, reports_folder(hass, entry_id)) if entry else []
    return {"reports": [_told(entry_id, each) for each in found]}


@callback
def _entry(hass: HomeAssistant, entry_id: str) -> ConfigEntry[Any] | None:
    entry = hass.config_entries.async_get_entry(entry_id)
    return entry if entry and entry.domain == DOMAIN else None
