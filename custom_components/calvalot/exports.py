"""Exports as files: an administrator downloads them, a piece at a time as they are read from the ledger."""

from typing import Final

from aiohttp import web
from homeassistant.components.http.decorators import require_admin
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.http import KEY_HASS, HomeAssistantView

from .const import DOMAIN
from .trading.errors import CommandError
from .trading.reports.formats import FORMATS

URL: Final = f"/api/{DOMAIN}/exports"
ALL: Final = "all"
FIRST_YEAR: Final = 2009
LAST_YEAR: Final = 9998


class ExportView(HomeAssistantView):
    """Hands an export to an administrator; the browser comes with a signed path."""

    url = f"{URL}/{{entry_id}}/{{year}}/{{wanted}}"
    name = f"api:{DOMAIN}:export"

    @require_admin
    async def get(self, request: web.Request, entry_id: str, year: str, wanted: str) -> web.StreamResponse:
        """Return the file of a year, or of all of them."""
        hass = request.app[KEY_HASS]
        entry = hass.config_entries.async_get_entry(entry_id)
        of = None if year == ALL else int(year) if year.isascii() and year.isdecimal() else 0
        known = wanted in FORMATS and (of is None or FIRST_YEAR <= of <= LAST_YEAR)
        if not known or entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
            return web.Response(status=404)
        try:
            file = await entry.runtime_data.engine.queries.export_file(wanted, of)
        except CommandError:
            return web.Response(status=503)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{'application/json' if wanted == 'json' else 'text/csv'}; charset=utf-8",
                "Content-Disposition": f'attachment; filename="{file.name}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(request)
        while piece := await hass.async_add_executor_job(next, file.pieces, ""):
            await response.write(piece.encode())
        await response.write_eof()
        return response


@callback
def async_setup_exports(hass: HomeAssistant) -> None:
    """Register the view."""
    hass.http.register_view(ExportView())
