"""Actions: what the owner tells a follower, and what it answers."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, Final

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers import config_validation as cv, service
from homeassistant.helpers.target import TargetSelection
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .actions import ATTR_COIN, ATTR_CONFIRM, Action, amount_of, coin_code, invalid_input, of_engine, positive_amount
from .backtest_actions import BACKTEST_ACTIONS
from .candles import async_candles, async_fill
from .const import CONF_QUOTE_ASSET, DOMAIN
from .coordinator import CalvalotConfigEntry
from .errors import translated_errors
from .forms import QUOTE_ASSETS
from .kinds.allocation import ATTR_PLAN_ID, CONF_ALLOCATION, SHARES, draft_of
from .order_actions import ORDER_ACTIONS
from .registry import SOURCES
from .reports import ATTR_YEAR, REPORT_FIELDS, async_create_report
from .strategy_actions import STRATEGY_ACTIONS
from .target import async_owners
from .trading import responses
from .trading.engine import Engine
from .trading.market import answers
from .trading.market.candles import TimeFrame
from .trading.reports.exports import EXPORTS
from .trading.reports.form_2086 import Start
from .trading.responses import Json

ATTR_AMOUNT: Final = "amount"
ATTR_AT: Final = "at"
ATTR_ACQUISITION: Final = "acquisition"
ATTR_EXCHANGES: Final = "exchanges"
ATTR_FORMAT: Final = "format"
ATTR_FRACTIONS: Final = "fractions"
ATTR_ID: Final = "id"
ATTR_WITHDRAW: Final = "withdraw"
ATTR_VALUES: Final = "values"
ATTR_DRY_RUN: Final = "dry_run"
ATTR_FILE: Final = "file"
ATTR_FROM_ASSET: Final = "from_asset"
ATTR_LIMIT: Final = "limit"
ATTR_NOTE: Final = "note"
ATTR_PROPOSAL: Final = "proposal"
ATTR_QUANTITY: Final = "quantity"
ATTR_SELL: Final = "sell"
ATTR_SIGNAL_ID: Final = "signal_id"
ATTR_SINCE: Final = "since"
ATTR_SKIP_UNREADABLE: Final = "skip_unreadable"
ATTR_SOURCE: Final = "source"
ATTR_TIME_FRAME: Final = "time_frame"
ATTR_TO_ASSET: Final = "to_asset"
ATTR_UNTIL: Final = "until"
ATTR_BOOK: Final = "book"
ATTR_VALUE: Final = "value"

# Under the configuration, where files of other tools are put.
IMPORT_FOLDER: Final = "import"

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
MAX_NOTE: Final = 255


def _signed_amount(value: Any) -> Decimal:
    """Validate an amount in EUR other than nothing: a deposit, or a withdrawal where it is negative."""
    text = str(value).strip()
    amount = positive_amount(text.removeprefix("-"))
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


def _quantity(value: Any) -> Decimal:
    """Validate a quantity of an asset: a finite number of more than nothing."""
    try:
        quantity = Decimal(str(value))
    except InvalidOperation as err:
        raise invalid_input("quantity_invalid") from err
    if not quantity.is_finite() or quantity <= 0:
        raise invalid_input("quantity_invalid")
    return quantity


CASH_FLOW_FIELDS: Final[VolDictType] = {
    vol.Required(ATTR_AMOUNT): positive_amount,
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


async def _withdraw(_hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> None:
    if data[ATTR_SELL] and ATTR_AT in data:
        raise invalid_input("sell_only_now")
    commands = entry.runtime_data.engine.commands
    work = commands.withdraw(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT), sell=data[ATTR_SELL])
    await entry.runtime_data.async_finish(work)


async def _get_portfolio(engine: Engine, _data: Mapping[str, Any]) -> Json:
    return responses.portfolio(engine.snapshot)


async def _preview(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    draft = (
        await draft_of(hass, entry, data[CONF_ALLOCATION], data.get(ATTR_SOURCE)) if CONF_ALLOCATION in data else None
    )
    commands = entry.runtime_data.engine.commands
    if ATTR_WITHDRAW in data:
        return await entry.runtime_data.async_finish(commands.preview_withdrawal(data[ATTR_WITHDRAW]))
    return await entry.runtime_data.async_finish(commands.preview(data.get(ATTR_SOURCE), draft))


async def _get_candles(_hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    frame, count = TimeFrame(data[ATTR_TIME_FRAME]), data[ATTR_LIMIT]
    history = await async_candles(entry, data[ATTR_COIN], frame, count, data.get(ATTR_UNTIL))
    since = data.get(ATTR_SINCE)
    fill = async_fill(entry, data[ATTR_COIN], frame, since) if since else None
    return answers.candles(history, fill)


async def _change_quote_asset(hass: HomeAssistant, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Json:
    coordinator, quote = entry.runtime_data, data[CONF_QUOTE_ASSET]
    told = await coordinator.async_finish(
        coordinator.engine.quote.change(quote, confirm=data[ATTR_CONFIRM], plan_id=data.get(ATTR_PLAN_ID))
    )
    if told.get("changed"):  # the portfolio is set up anew with it
        hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_QUOTE_ASSET: quote})
    return told


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
        of_engine(lambda engine, data: engine.commands.deposit(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT))),
        CASH_FLOW_FIELDS,
    ),
    Action(
        "withdraw",
        _withdraw,
        {**CASH_FLOW_FIELDS, vol.Optional(ATTR_SELL, default=False): cv.boolean},
    ),
    Action(
        "add_cash_flow",
        of_engine(
            lambda engine, data: engine.commands.add_cash_flow(data[ATTR_AMOUNT], data[ATTR_NOTE], data.get(ATTR_AT))
        ),
        {**CASH_FLOW_FIELDS, vol.Required(ATTR_AMOUNT): _signed_amount},
    ),
    Action(
        "change_cash_flow",
        of_engine(
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
        of_engine(lambda engine, data: engine.commands.delete_cash_flow(data[ATTR_ID])),
        {vol.Required(ATTR_ID): _id},
    ),
    Action("undo_cash_flow", of_engine(lambda engine, _: engine.commands.undo_cash_flow())),
    Action(
        "accept_cash_flow",
        of_engine(lambda engine, data: engine.proposals.accept(data[ATTR_PROPOSAL])),
        {vol.Required(ATTR_PROPOSAL): cv.string},
    ),
    Action(
        "dismiss_cash_flow",
        of_engine(lambda engine, data: engine.proposals.dismiss(data[ATTR_PROPOSAL])),
        {vol.Required(ATTR_PROPOSAL): cv.string},
    ),
    Action(
        "set_net_deposits",
        of_engine(lambda engine, data: engine.commands.set_net_deposits(data[ATTR_AMOUNT])),
        {vol.Required(ATTR_AMOUNT): amount_of},
    ),
    Action(
        "write_off",
        of_engine(lambda engine, data: engine.commands.write_off(data[ATTR_COIN], data.get(ATTR_VALUE))),
        {vol.Required(ATTR_COIN): coin_code, vol.Optional(ATTR_VALUE): amount_of},
    ),
    Action(
        "release_coin",
        of_engine(lambda engine, data: engine.commands.release(data[ATTR_COIN])),
        {vol.Required(ATTR_COIN): coin_code},
    ),
    Action("reset", of_engine(_reset), CONFIRM_FIELDS),
    Action("sync", of_engine(lambda engine, _: engine.commands.sync())),
    Action(
        "rebalance",
        of_engine(lambda engine, data: engine.commands.sync(data.get(ATTR_SOURCE), data.get(ATTR_PLAN_ID))),
        {vol.Optional(ATTR_PLAN_ID): cv.string, **SOURCE_FIELDS},
    ),
    Action(
        "exit",
        of_engine(lambda engine, data: engine.commands.exit(confirm=data[ATTR_CONFIRM])),
        CONFIRM_FIELDS,
        previews=True,
    ),
    Action(
        "convert",
        of_engine(
            lambda engine, data: engine.conversions.convert(
                data[ATTR_FROM_ASSET],
                data[ATTR_TO_ASSET],
                data[ATTR_QUANTITY],
                confirm=data[ATTR_CONFIRM],
                plan_id=data.get(ATTR_PLAN_ID),
            )
        ),
        {
            vol.Required(ATTR_FROM_ASSET): coin_code,
            vol.Required(ATTR_TO_ASSET): coin_code,
            vol.Required(ATTR_QUANTITY): _quantity,
            vol.Optional(ATTR_PLAN_ID): cv.string,
            **CONFIRM_FIELDS,
        },
        previews=True,
    ),
    Action(
        "change_quote_asset",
        _change_quote_asset,
        {
            vol.Required(CONF_QUOTE_ASSET): vol.In(QUOTE_ASSETS),
            vol.Optional(ATTR_PLAN_ID): cv.string,
            **CONFIRM_FIELDS,
        },
        previews=True,
    ),
    Action(
        "approve",
        of_engine(lambda engine, data: engine.commands.approve(data.get(ATTR_SIGNAL_ID), data.get(ATTR_SOURCE))),
        SIGNAL_FIELDS,
    ),
    Action(
        "reject",
        of_engine(lambda engine, data: engine.commands.reject(data.get(ATTR_SIGNAL_ID), data.get(ATTR_SOURCE))),
        SIGNAL_FIELDS,
    ),
    Action(
        "preview",
        _preview,
        {vol.Optional(CONF_ALLOCATION): SHARES, vol.Optional(ATTR_WITHDRAW): positive_amount, **SOURCE_FIELDS},
        admin=False,
    ),
    Action("get_portfolio", of_engine(_get_portfolio), admin=False),
    Action(
        "get_trades",
        of_engine(lambda engine, data: engine.queries.trades(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="trades",
    ),
    Action(
        "get_signals",
        of_engine(lambda engine, data: engine.queries.signals(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="signals",
    ),
    Action(
        "get_alerts",
        of_engine(lambda engine, data: engine.queries.alerts(data[ATTR_LIMIT], data.get(ATTR_SINCE))),
        {key: check for key, check in PAGE_FIELDS.items() if key != ATTR_BOOK},
        admin=False,
        rows="alerts",
    ),
    Action(
        "get_orders",
        of_engine(lambda engine, data: engine.queries.orders(engine.snapshot, data[ATTR_LIMIT], data.get(ATTR_SINCE))),
        {key: check for key, check in PAGE_FIELDS.items() if key != ATTR_BOOK},
        admin=False,
    ),
    Action(
        "get_cash_flows",
        of_engine(lambda engine, data: engine.queries.cash_flows(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="cash_flows",
    ),
    Action(
        "get_conversions",
        of_engine(lambda engine, data: engine.queries.conversions(*_page(data))),
        PAGE_FIELDS,
        admin=False,
        rows="conversions",
    ),
    Action(
        "export",
        of_engine(
            lambda engine, data: engine.queries.export(
                data[ATTR_FORMAT],
                data.get(ATTR_YEAR),
                Start(
                    acquisition=data.get(ATTR_ACQUISITION),
                    fractions=data.get(ATTR_FRACTIONS),
                    exchanges=data.get(ATTR_EXCHANGES),
                ),
                data[ATTR_VALUES],
                data.get(ATTR_BOOK),
            )
        ),
        {
            vol.Required(ATTR_FORMAT): vol.In(EXPORTS),
            vol.Optional(ATTR_YEAR): vol.All(vol.Coerce(int), vol.Range(min=2009, max=9998)),
            vol.Optional(ATTR_ACQUISITION): amount_of,
            vol.Optional(ATTR_FRACTIONS): amount_of,
            vol.Optional(ATTR_EXCHANGES): amount_of,
            vol.Optional(ATTR_VALUES, default=dict): {cv.string: amount_of},
            vol.Optional(ATTR_BOOK): vol.Coerce(int),
        },
        admin=False,
    ),
    Action(
        "get_statistics",
        of_engine(lambda engine, _: engine.queries.statistics(engine.snapshot.sources)),
        admin=False,
    ),
    Action(
        "get_candles",
        _get_candles,
        {
            vol.Required(ATTR_COIN): coin_code,
            vol.Optional(ATTR_TIME_FRAME, default=TimeFrame.H1.value): vol.In([frame.value for frame in TimeFrame]),
            vol.Optional(ATTR_LIMIT, default=DEFAULT_LIMIT): _limit,
            vol.Optional(ATTR_UNTIL): _time,
            vol.Optional(ATTR_SINCE): _time,
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
        of_engine(lambda engine, data: engine.queries.history(data[ATTR_LIMIT], data.get(ATTR_SINCE))),
        {key: check for key, check in PAGE_FIELDS.items() if key != ATTR_BOOK},
        admin=False,
        rows="history",
    ),
    Action("create_report", async_create_report, REPORT_FIELDS, answers=True),
    Action("get_performance", of_engine(lambda engine, _: engine.queries.performance()), admin=False),
)


ACTIONS: Final = (
    *OF_EVERY_PORTFOLIO,
    *ORDER_ACTIONS,
    *STRATEGY_ACTIONS,
    *BACKTEST_ACTIONS,
    *(action for kind in SOURCES.values() for action in kind.actions()),
)


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


async def _check_admin(call: ServiceCall) -> None:
    """See that who calls is an administrator, or an automation. Raises Unauthorized."""
    if user_id := call.context.user_id:
        user = await call.hass.auth.async_get_user(user_id)
        if user is None or not user.is_admin:
            raise Unauthorized(context=call.context)


async def _handle(action: Action, call: ServiceCall) -> ServiceResponse:
    """Run an action on the follower it names."""
    if action.admin_with and call.data[action.admin_with]:
        await _check_admin(call)
    entry = _async_entry(call)
    if action.previews and not call.data[ATTR_CONFIRM] and not call.return_response:
        raise invalid_input(f"{action.name}_not_confirmed")
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
