"""Repairs that an owner can make with a few clicks."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import UnknownStep
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
)
import voluptuous as vol

from .checks import check_coins
from .const import CONF_COINS, CONF_QUOTE_ASSET, CONF_RANK_IDS, DEFAULT_COINS, DEFAULT_QUOTE_ASSET
from .coordinator import CalvalotConfigEntry
from .exchanges import exchange_of
from .form_input import InvalidInput
from .issues import COINS_LEFT, ORDERS_LEFT, movement_text, order_text, unknown_orders
from .selectors import choice
from .settings import amount, coin_codes
from .strategy_repairs import ConfirmScript
from .trading.bookings import Execution
from .trading.engine import Engine
from .trading.errors import CommandError
from .trading.exchanges.base import Side
from .trading.explanation import SAID, Explanation
from .trading.ledger.records import CashFlow, OrderRecord
from .trading.market.ranks import Listed

CONF_EXPLANATION = "explanation"
EUR = NumberSelector(NumberSelectorConfig(mode=NumberSelectorMode.BOX, step="any", unit_of_measurement="EUR"))


class AddCoins(RepairsFlow):
    """Adds the coins a signal named to those that the follower trades."""

    def __init__(self, entry: CalvalotConfigEntry, coins: tuple[str, ...]) -> None:
        """Take what the issue is about."""
        self._entry = entry
        self._coins = coins

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Look the coins up at the exchange and add them."""
        entry = self._entry
        placeholders = {"name": entry.title, "coins": ", ".join(self._coins)}
        errors = {}
        if user_input is not None:
            quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
            try:
                await check_coins(exchange_of(self.hass, entry.data), self._coins, quote)
            except InvalidInput as err:
                errors = {"base": next(iter(err.errors.values()))}
                placeholders |= err.placeholders
            else:
                known = coin_codes(entry.options.get(CONF_COINS, DEFAULT_COINS))
                options = {**entry.options, CONF_COINS: list(dict.fromkeys((*known, *self._coins)))}
                self.hass.config_entries.async_update_entry(entry, options=options)
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm", data_schema=vol.Schema({}), errors=errors, description_placeholders=placeholders
        )


class ExplainMovement(RepairsFlow):
    """Lets the owner say why something came to his wallet or left it, one after the other."""

    def __init__(self, entry: CalvalotConfigEntry) -> None:
        """Take what the issue is about."""
        self._entry = entry
        self._flow: CashFlow | None = None

    async def async_step_init(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask about the newest that nothing explained."""
        errors: dict[str, str] = {}
        placeholders = {"name": self._entry.title}
        if user_input is not None and self._flow:
            said = Explanation(user_input[CONF_EXPLANATION])
            seq = self._flow.seq
            errors = await _told(
                self._entry, placeholders, lambda follower: follower.commands.explain_cash_flow(seq, said)
            )
        left = self._entry.runtime_data.data.unexplained if self._entry.state is ConfigEntryState.LOADED else ()
        if not errors:
            if not left:
                return self.async_create_entry(data={})
            self._flow = left[0]
        return self.async_show_form(
            step_id="init",
            data_schema=vol.Schema({vol.Required(CONF_EXPLANATION): choice(SAID, CONF_EXPLANATION)}),
            errors=errors,
            description_placeholders=placeholders
            | {"movement": movement_text(self._flow, self._entry), "count": f"{len(left)}"},
        )


class SettleOrder(RepairsFlow):
    """Lets the owner tell what became of an order, where the exchange does not."""

    def __init__(self, entry: CalvalotConfigEntry, order: OrderRecord) -> None:
        """Take what the issue is about."""
        self._entry = entry
        self._order = order
        self._placeholders = {"name": entry.title, "order": order_text(order)}

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask what became of the order."""
        return self.async_show_menu(
            step_id="init", menu_options=["executed", "not_placed"], description_placeholders=self._placeholders
        )

    async def async_step_not_placed(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Forget the order."""
        errors: dict[str, str] = {}
        if user_input is not None and not (errors := await self._settle(None)):
            return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="not_placed",
            data_schema=vol.Schema({}),
            errors=errors,
            description_placeholders=self._placeholders,
        )

    async def async_step_executed(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Book what the exchange shows."""
        errors: dict[str, str] = {}
        if user_input is not None and not (errors := await self._book(user_input)):
            return self.async_create_entry(data={})
        quote = self._order.symbol.removeprefix(self._order.coin)
        shown = user_input or {"fee_asset": self._order.coin if self._order.side is Side.BUY else quote}
        # Text, since every digit goes into the ledger.
        schema = vol.Schema({vol.Required(key): TextSelector() for key in ("quantity", "amount", "fee", "fee_asset")})
        return self.async_show_form(
            step_id="executed",
            data_schema=self.add_suggested_values_to_schema(schema, shown),
            errors=errors,
            description_placeholders=self._placeholders | {"quote": quote, "coin": self._order.coin},
        )

    async def _book(self, user_input: Mapping[str, str]) -> dict[str, str]:
        numbers: dict[str, Decimal] = {}
        errors: dict[str, str] = {}
        for key in ("quantity", "amount", "fee"):
            try:
                numbers[key] = amount(user_input[key])
            except ValueError:
                errors[key] = "not_a_number"
        return errors or await self._settle(Execution(**numbers, fee_asset=user_input["fee_asset"].strip().upper()))

    async def _settle(self, execution: Execution | None) -> dict[str, str]:
        name = self._order.client_order_id
        return await _told(
            self._entry, self._placeholders, lambda follower: follower.commands.settle_by_hand(name, execution)
        )


class Tell(RepairsFlow):
    """Has the owner confirm something that the follower is then told."""

    def __init__(
        self, entry: CalvalotConfigEntry, tell: Callable[[Engine], Coroutine[Any, Any, object]], **placeholders: str
    ) -> None:
        """Take what to tell, and what the question names."""
        self._entry = entry
        self._tell = tell
        self._placeholders = {"name": entry.title, **placeholders}

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Tell the follower."""
        errors: dict[str, str] = {}
        if user_input is not None and not (errors := await _told(self._entry, self._placeholders, self._tell)):
            return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({}),
            errors=errors,
            description_placeholders=self._placeholders,
        )


class GoOn(RepairsFlow):
    """Has what a conversion left half-way converted, or kept."""

    def __init__(self, entry: CalvalotConfigEntry, left: str, goal: str) -> None:
        """Take what the issue is about."""
        self._entry = entry
        self._placeholders = {"name": entry.title, "left": left, "goal": goal}

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask what is to become of it."""
        return self.async_show_menu(
            step_id="init", menu_options=["go_on", "keep"], description_placeholders=self._placeholders
        )

    async def async_step_go_on(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Convert it."""
        return await self._ask("go_on", user_input, lambda follower: follower.conversions.go_on())

    async def async_step_keep(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Leave it as it is."""
        return await self._ask("keep", user_input, lambda follower: follower.conversions.keep())

    async def _ask(
        self, step: str, user_input: dict[str, str] | None, tell: Callable[[Engine], Coroutine[Any, Any, object]]
    ) -> RepairsFlowResult:
        errors: dict[str, str] = {}
        if user_input is not None and not (errors := await _told(self._entry, self._placeholders, tell)):
            return self.async_create_entry(data={})
        return self.async_show_form(
            step_id=step, data_schema=vol.Schema({}), errors=errors, description_placeholders=self._placeholders
        )


class Revive(RepairsFlow):
    """Pays in what a dead follower lacks, and has it trade again."""

    def __init__(self, entry: CalvalotConfigEntry) -> None:
        """Take what the issue is about."""
        self._entry = entry
        self._placeholders = {"name": entry.title}

    async def async_step_init(self, _user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Deposit, then reset; what was deposited stays so where that was not enough."""
        errors: dict[str, str] = {}
        if user_input is not None:
            if deposit := user_input.get("amount"):
                paid = Decimal(str(deposit))
                errors = await _told(self._entry, self._placeholders, lambda follower: follower.commands.deposit(paid))
            errors = errors or await _told(self._entry, self._placeholders, lambda follower: follower.commands.reset())
            if not errors or errors == {"base": "not_dead"}:
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({vol.Optional("amount"): EUR}),
            errors=errors,
            description_placeholders=self._placeholders,
        )


class ConfirmRanks(RepairsFlow):
    """Lets the owner say which coins are meant whose symbols CoinMarketCap lists more than once."""

    def __init__(self, entry: CalvalotConfigEntry, coins: Mapping[str, Sequence[Listed]]) -> None:
        """Take what may be meant."""
        self._entry = entry
        self._coins = coins

    async def async_step_init(self, _user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Show the question."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> RepairsFlowResult:
        """Ask which coin each of them is, the best ranked one first."""
        entry = self._entry
        if user_input is not None:
            known = entry.options.get(CONF_RANK_IDS) or []
            ids = [*known, *(f"{coin}={number}" for coin, number in user_input.items())]
            self.hass.config_entries.async_update_entry(entry, options={**entry.options, CONF_RANK_IDS: ids})
            return self.async_create_entry(data={})
        fields = {
            vol.Required(coin, default=str(listed[0].id)): SelectSelector(
                SelectSelectorConfig(
                    options=[
                        SelectOptionDict(value=str(each.id), label=f"{each.name} · {each.rank} · id {each.id}")
                        for each in listed
                    ]
                )
            )
            for coin, listed in self._coins.items()
        }
        placeholders = {"name": entry.title, "coins": ", ".join(self._coins)}
        return self.async_show_form(
            step_id="confirm", data_schema=vol.Schema(fields), description_placeholders=placeholders
        )


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Create the flow that repairs an issue."""
    if data and data["problem"] in (COINS_LEFT.key, ORDERS_LEFT.key):
        return ConfirmRepairFlow()
    entry: CalvalotConfigEntry = hass.config_entries.async_get_known_entry(str((data or {}).get("entry_id")))
    match data:
        case {"problem": "unknown_coin", "coins": str(coins)}:
            return AddCoins(entry, coin_codes(coins.split(",")))
        case {"problem": "ledger_restored", "copy": str(copy)}:
            return Tell(entry, lambda follower: follower.commands.forget_restore(), copy=copy)
        case {"problem": "ledger_mismatch", "missing": str(missing)}:
            return Tell(entry, lambda follower: follower.commands.accept_account(), missing=missing)
        case {"problem": "coin_set_aside", "coins": str(coins), "value": str(value)}:
            return Tell(entry, partial(_write_off, coins=coin_codes(coins.split(","))), coins=coins, value=value)
        case {"problem": "movement_unexplained"}:
            return ExplainMovement(entry)
        case {"problem": "conversion_stopped", "left": str(left), "goal": str(goal)}:
            return GoOn(entry, left, goal)
        case {"problem": "rank_ambiguous"} if listed := entry.runtime_data.data.ambiguous_coins:
            return ConfirmRanks(entry, listed)
        case {"problem": "strategy_changed", "source": str(key)}:
            return ConfirmScript(entry, key)
        case {"problem": "dead"}:
            return Revive(entry)
        case {"problem": "order_unknown"} if orders := unknown_orders(entry.runtime_data.data):
            return SettleOrder(entry, orders[0])
    raise UnknownStep(f"nothing repairs {issue_id}")


async def _write_off(follower: Engine, coins: Sequence[str]) -> None:
    """Write off what is still set aside of the coins that were named."""
    for position in follower.snapshot.set_aside:
        if position.coin in coins:
            await follower.commands.write_off(position.coin)


async def _told(
    entry: CalvalotConfigEntry, placeholders: dict[str, str], tell: Callable[[Engine], Coroutine[Any, Any, object]]
) -> dict[str, str]:
    """Tell the follower something; returns the form's errors, and adds what they name to the placeholders."""
    if entry.state is not ConfigEntryState.LOADED:
        return {"base": "not_loaded"}
    try:
        await entry.runtime_data.async_finish(tell(entry.runtime_data.engine))
    except CommandError as err:
        placeholders |= err.placeholders
        return {"base": err.key}
    return {}
