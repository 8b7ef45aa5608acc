"""Actions: what the owner tells a follower, and what it answers."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Final

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv, service
from homeassistant.helpers.target import TargetSelection
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .actions import Action, Run, invalid_input
from .candles import async_candles
from .const import DOMAIN, MAX_AMOUNT
from .coordinator import CalvalotConfigEntry
from .errors import translated_errors
from .kinds.allocation import ATTR_PLAN_ID, CONF_ALLOCATION, SHARES, draft_of
from .registry import SOURCES
from .target import async_owners
from .trading import responses
from .trading.engine import Engine
from .trading.market.candles import TimeFrame
from .trading.reports.exports import EXPORTS
from .trading.reports.form_2086 import Start
from .trading.responses import Json

ATTR_AMOUNT: Final = "amount"
ATTR_AT: Final = "at"
ATTR_COIN: Final = "coin"
ATTR_CONFIRM: Final = "confirm"
ATTR_ACQUISITION: Final = "acquisition"
ATTR_EXCHANGES: Final = "exchanges"
ATTR_FORMAT: Final = "format"
ATTR_FRACTIONS: Final = "fractions"
ATTR_ID: Final = "id"
ATTR_VALUES: Final = "values"
ATTR_YEAR: Final = "year"
ATTR_DRY_RUN: Final = "dry_run"
ATTR_FILE: Final = "file"
ATTR_LIMIT: Final = "limit"
ATTR_NOTE: Final = "note"
ATTR_SIGNAL_ID: Final = "signal_id"
ATTR_SINCE: Final = "since"
ATTR_SKIP_UNREADABLE: Final = "skip_unreadable"
ATTR_SOURCE: Final = "source"
ATTR_TIME_FRAME: Final = "time_frame"
ATTR_UNTIL: Final = "until"
ATTR_BOOK: Final = "book"
ATTR_VALUE: Final = "value"

# Under the configuration, where files of other tools are put.
IMPORT_FOLDER: Final = "import"

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_NOTE: Final = 255
SMALLEST_AMOUNT: Final = Decimal("1e-8")


def _amount(value: Any) -> Decimal:
    """Validate an amount in EUR: finite, from 0 to MAX_AMOUNT, at most eight decimals."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation as err:
        raise invalid_input("amount_invalid") from err
    if not amount.is_finite():
        raise invalid_input("amount_invalid")
    if amount < 0:
        raise invalid_input("amount_negative")
    if amount > MAX_AMOUNT:
        raise invalid_input("amount_too_large", limit=str(MAX_AMOUNT))
    if amount != amount.quantize(SMALLEST_AMOUNT):
        raise invalid_input("amount_invalid")
    return amount


def _positive_amount(value: Any) -> Decimal:
    """Validate an amount in EUR of more than nothing."""
    if not (amount := _amount(value)):
        raise invalid_input("amount_not_positive")
    return amount


def _signed_amount(value: Any) -> Decimal:
    """Validate an amount in EUR other than nothing: a deposit, or a withdrawal where it is negative."""
    text = str(value).strip()
    amount = _positive_amount(text.removeprefix("-"))
    return -amount if text.startswith("-") else amount


def _id(value: Any) -> int:
    """Validate the id of a record."""
    try:
        return int(vol.All(vol.Coerce(float), vol.Range(min=1))(value))
    except vol.Invalid as err:
        raise invalid_input("cash_flow_unknown", id=str(value)) from err


def _time(value: Any) -> datetime:
    """Validate a time; without a time zone it is in Home Assistant's."""
    try:
        return dt_util.as_utc(cv.datetime(value))
    except vol.Invalid as err:
        raise invalid_input("time_invalid") from err


def _limit(value: Any) -> int:
    """Validate how many records are asked for."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MAX_LIMIT or value % 1:
        raise invalid_input("limit_invalid", maximum=str(MAX_LIMIT))
    return int(value)


def _coin(value: Any) -> str:
    """Validate a coin's code, in capitals."""
    return cv.string(value).strip().upper()


CASH_FLOW_FIELDS: Final[VolDictType] = {
    vol.Required(ATTR_AMOUNT): _positive_amount,
    vol.Optional(ATTR_NOTE, default=""): vol.All(cv.string, vol.Length(max=MAX_NOTE)),
    vol.Optional(ATTR_AT): _time,
}
CONFIRM_FIELDS: Final[VolDictType] = {vol.Optional(ATTR_CONFIRM, default=False): cv.boolean}
SOURCE_FIELDS: Final[VolDictType] = {vol.Optional(ATTR_SOURCE): cv.string}
SIGNAL_FIELDS: Final[VolDictType] = {vol.Optional(ATTR_SIGNAL_ID): cv.string, **SOURCE_FIELDS}
PAGE_FIELDS: Final[VolDictType] = {
    vol.Optional(ATTR_LIMIT, default=DEFAULT_LIMIT): _limit,
    vol.Optional(ATTR_SINCE): _time,
    vol.Optional(ATTR_BOOK): vol.Coerce(int),
}


def _page(data: Mapping[str, Any]) -> tuple[int, datetime | None, int | None]:
    return data[ATTR_LIMIT], data.get(ATTR_SINCE), data.get(ATTR_BOOK)


async def _reset(engine: Engine, data: Mapping[str, Any]) -> None:
    if not data[ATTR_CONFIRM]:
        raise invalid_input("confirm_required")
    await engine.commands.reset()


async def _get_portfolio(engine: Engine, _data: Mapping[str, Any]) -> Json:
    return responses.portfolio(engine.snapshot)


type OfEngine = Callable[[Engine, Mapping[str, Any]], Coroutine[Any, Any, Any]]


def _of(run: OfEngine) -> Run:
    """What an action does with the engine of the portfolio that it names, to its end."""

    async def finish(_hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Any:
        return await entry.runtime_data.async_finish(run(entry.runtime_data.engine, data))

    return finish


async def _preview(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    draft = (
        await draft_of(hass, entry, data[CONF_ALLOCATION], data.get(ATTR_SOURCE)) if CONF_ALLOCATION in data else None
    )
    commands = entry.runtime_data.engine.commands
    return await entry.runtime_data.async_finish(commands.preview(data.get(ATTR_SOURCE), draft))


async def _get_candles(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    frame, count = TimeFrame(data[ATTR_TIME_FRAME]), data[ATTR_LIMIT]
    return responses.candles(await async_candles(hass, entry, data[ATTR_COIN], frame, count, data.get(ATTR_UNTIL)))


async def _import_history(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    folder, name = Path(hass.config.path(DOMAIN, IMPORT_FOLDER)), data[ATTR_FILE]
    if Path(name).name != name:
        raise invalid_input("history_no_file", file=name)
    commands = entry.runtime_data.engine.commands
    return await entry.runtime_data.async_finish(
        commands.import_history(
            folder / name,
            dt_util.get_default_time_zone(),
            dry_run=data[ATTR_DRY_RUN],
            skip_unreadable=data[ATTR_SKIP_UNREADABLE],
        )
    )


OF_EVERY_PORTFOLIO: Final = (
    Action(
        "deposit",
        _of(lambda engine, data: engine.commands.deposit(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT))),
        CASH_FLOW_FIELDS,
    ),
    Action(
        "withdraw",
        _of(lambda engine, data: engine.commands.withdraw(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT))),
        CASH_FLOW_FIELDS,
    ),
    Action(
        "add_cash_flow",
        _of(lambda engine, data: engine.commands.add_cash_flow(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT))),
        {**CASH_FLOW_FIELDS, vol.Required(ATTR_AMOUNT): _signed_amount},
    ),
    Action(
        "change_cash_flow",
        _of(
            lambda engine, data: engine.commands.change_cash_flow(
                data[ATTR_ID], data.get(ATTR_AMOUNT), data.get(ATTR_AT), data.get(ATTR_NOTE)
            )
        ),
        {
            vol.Required(ATTR_ID): _id,
            vol.Optional(ATTR_AMOUNT): _signed_amount,
            vol.Optional(ATTR_NOTE): vol.All(cv.string, vol.Length(max=MAX_NOTE)),
            vol.Optional(ATTR_AT): _time,
        },
    ),
    Action(
        "delete_cash_flow",
        _of(lambda engine, data: engine.commands.delete_cash_flow(data[ATTR_ID])),
        {vol.Required(ATTR_ID): _id},
    ),
    Action("undo_cash_flow", _of(lambda engine, _: engine.commands.undo_cash_flow())),
    Action(
        "set_net_deposits",
        _of(lambda engine, data: engine.commands.set_net_deposits(data[ATTR_AMOUNT])),
        {vol.Required(ATTR_AMOUNT): _amount},
    ),
    Action(
        "write_off",
        _of(lambda engine, data: engine.commands.write_off(data[ATTR_COIN], data.get(ATTR_VALUE))),
        {vol.Required(ATTR_COIN): _coin, vol.Optional(ATTR_VALUE): _amount},
    ),
    Action(
        "release_coin",
        _of(lambda engine, data: engine.commands.release(data[ATTR_COIN])),
        {vol.Required(ATTR_COIN): _coin},
    ),
    Action("reset", _of(_reset), CONFIRM_FIELDS),
    Action("sync", _of(lambda engine, _: engine.commands.sync())),
    Action(
        "rebalance",
        _of(lambda engine, data: engine.commands.sync(data.get(ATTR_SOURCE), data.get(ATTR_PLAN_ID))),
        {vol.Optional(ATTR_PLAN_ID): cv.string, **SOURCE_FIELDS},
    ),
    Action(
        "exit",
        _of(lambda engine, data: engine.commands.exit(confirm=data[ATTR_CONFIRM])),
        CONFIRM_FIELDS,
        previews=True,
    ),
    Action(
        "approve",
        _of(lambda engine, data: engine.commands.approve(data.get(ATTR_SIGNAL_ID), data.get(ATTR_SOURCE))),
        SIGNAL_FIELDS,
    ),
    Action(
        "reject",
        _of(lambda engine, data: engine.commands.reject(data.get(ATTR_SIGNAL_ID), data.get(ATTR_SOURCE))),
        SIGNAL_FIELDS,
    ),
    Action("preview", _preview, {vol.Optional(CONF_ALLOCATION): SHARES, **SOURCE_FIELDS}, admin=False),
    Action("get_portfolio", _of(_get_portfolio), admin=False),
    Action(
        "get_trades",
        _of(lambda engine, data: engine.queries.trades(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="trades",
    ),
    Action(
        "get_signals",
        _of(lambda engine, data: engine.queries.signals(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="signals",
    ),
    Action(
        "get_cash_flows",
        _of(lambda engine, data: engine.queries.cash_flows(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="cash_flows",
    ),
    Action(
        "export",
        _of(
            lambda engine, data: engine.queries.export(
                data[ATTR_FORMAT],
                data.get(ATTR_YEAR),
                Start(
                    acquisition=data.get(ATTR_ACQUISITION),
                    fractions=data.get(ATTR_FRACTIONS),
                    exchanges=data.get(ATTR_EXCHANGES),
                ),
                data[ATTR_VALUES],
            )
        ),
        {
            vol.Required(ATTR_FORMAT): vol.In(EXPORTS),
            vol.Optional(ATTR_YEAR): vol.All(vol.Coerce(int), vol.Range(min=2009, max=9998)),
            vol.Optional(ATTR_ACQUISITION): _amount,
            vol.Optional(ATTR_FRACTIONS): _amount,
            vol.Optional(ATTR_EXCHANGES): _amount,
            vol.Optional(ATTR_VALUES, default=dict): {cv.string: _amount},
        },
        admin=False,
    ),
    Action(
        "get_statistics",
        _of(lambda engine, _: engine.queries.statistics(engine.snapshot.sources)),
        admin=False,
    ),
    Action(
        "get_candles",
        _get_candles,
        {
            vol.Required(ATTR_COIN): _coin,
            vol.Optional(ATTR_TIME_FRAME, default=TimeFrame.H1.value): vol.In([frame.value for frame in TimeFrame]),
            vol.Optional(ATTR_LIMIT, default=DEFAULT_LIMIT): _limit,
            vol.Optional(ATTR_UNTIL): _time,
        },
        admin=False,
    ),
    Action(
        "import_history",
        _import_history,
        {
            vol.Required(ATTR_FILE): cv.string,
            vol.Optional(ATTR_DRY_RUN, default=True): cv.boolean,
            vol.Optional(ATTR_SKIP_UNREADABLE, default=False): cv.boolean,
        },
        answers=True,
    ),
    Action(
        "get_history",
        _of(lambda engine, data: engine.queries.history(data[ATTR_LIMIT], data.get(ATTR_SINCE))),
        {key: check for key, check in PAGE_FIELDS.items() if key != ATTR_BOOK},
        admin=False,
        rows="history",
    ),
    Action("get_performance", _of(lambda engine, _: engine.queries.performance()), admin=False),
)


ACTIONS: Final = (*OF_EVERY_PORTFOLIO, *(action for kind in SOURCES.values() for action in kind.actions()))


@callback
def _async_entry(call: ServiceCall) -> CalvalotConfigEntry:
    """The follower that an action names by its entry or its target, else the only one. Raises ServiceValidationError."""
    entries = call.hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)
    named = {entry.entry_id for entry in entries}
    entry_id, selection = call.data.get(ATTR_CONFIG_ENTRY_ID), TargetSelection(call.data)
    if entry_id or selection.has_any_target:
        named = async_owners(call.hass, selection) | ({entry_id} if entry_id else set())
        if not named:
            raise invalid_input("target_without_portfolio")
    if len(named) > 1:
        titles = sorted(entry.title for entry in entries if entry.entry_id in named)
        raise invalid_input("several_portfolios", names=", ".join(titles))
    return service.async_get_config_entry(call.hass, DOMAIN, next(iter(named), None))


async def _handle(action: Action, call: ServiceCall) -> ServiceResponse:
    """Run an action on the follower it names."""
    entry = _async_entry(call)
    if action.previews and not call.data[ATTR_CONFIRM] and not call.return_response:
        raise invalid_input("exit_not_confirmed")
    with translated_errors():
        result = await action.run(call.hass, entry, call.data)
    if not call.return_response:
        return None
    return {action.rows: result} if action.rows else result


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for action in ACTIONS:
        schema = vol.Schema(
            {vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string, **cv.TARGET_SERVICE_FIELDS, **action.fields}
        )
        if action.admin:
            response = SupportsResponse.OPTIONAL if action.previews or action.answers else SupportsResponse.NONE
            service.async_register_admin_service(hass, DOMAIN, action.name, partial(_handle, action), schema, response)
        else:
            hass.services.async_register(DOMAIN, action.name, partial(_handle, action), schema, SupportsResponse.ONLY)
