"""The flow by which an owner tunes a follower."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow

from . import forms
from .checks import check_coins, check_ranks
from .const import (
    CONF_COINS,
    CONF_LIVE_PRICES,
    CONF_MAX_RANK,
    CONF_PUSH_URL,
    CONF_QUIET_HOURS,
    CONF_QUOTE_ASSET,
    CONF_RANK_KEY,
    CONF_SURVIVAL_FLOOR,
    CONF_TELL_LEADER,
    CONF_WEIGHT,
    DEFAULT_COINS,
    DEFAULT_QUOTE_ASSET,
)
from .coordinator import CalvalotCoordinator
from .exchanges import exchange_of
from .form_input import InvalidInput
from .kinds.leader import LeaderType
from .registry import kinds_of, type_of
from .settings import coin_codes, further_sources, quiet_hours, weights_of
from .texts import figure
from .trading.decimals import HUNDRED, ZERO
from .webhook import webhook_url


class CalvalotOptionsFlow(OptionsFlow):
    """Tunes a follower. The form has sections, what is stored has none."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for everything that may be tuned."""
        entry = self.config_entry
        quote = entry.data.get(CONF_QUOTE_ASSET, DEFAULT_QUOTE_ASSET)
        known = coin_codes(entry.options.get(CONF_COINS, DEFAULT_COINS))
        source = type_of(entry.data)
        hidden = source.hidden | ({CONF_COINS} if source.coins(entry.options) is not None else set())
        blended = further_sources(entry) or CONF_WEIGHT in entry.options
        hidden |= set() if blended else set(forms.SECTIONS[forms.BLEND])
        if exchange_of(self.hass, entry.data).stream_url is None:
            hidden |= {CONF_LIVE_PRICES}
        if not any(isinstance(kind, LeaderType) for kind in kinds_of(entry).values()):
            hidden |= {CONF_TELL_LEADER}
        url = webhook_url(self.hass, entry)
        weights = weights_of(entry)
        shown: Mapping[str, Any] = {CONF_COINS: list(known), CONF_WEIGHT: float(weights[source.kind])} | entry.options
        errors: dict[str, str] = {}
        placeholders = {"push_url": url, "would_sell": self._would_sell()}
        if user_input is not None:
            shown = forms.flat(user_input)
            key = shown.get(CONF_RANK_KEY) or entry.options.get(CONF_RANK_KEY)
            coins = coin_codes(shown.get(CONF_COINS, known))
            try:
                forms.check_ranges(forms.OPTIONS, shown, coins)
                self._check_floor(shown)
                others = sum(weights.values(), ZERO) - weights[source.kind]
                if blended and Decimal(str(shown[CONF_WEIGHT])) + others > HUNDRED:
                    raise InvalidInput({CONF_WEIGHT: "weight_sum"}, left=figure(self.hass, HUNDRED - others))
                _check_quiet_hours(shown.get(CONF_QUIET_HOURS))
                await check_ranks(self.hass, entry, {**shown, CONF_RANK_KEY: key})
                if new := [coin for coin in coins if coin not in known]:
                    await check_coins(exchange_of(self.hass, entry.data), new, quote)
            except InvalidInput as err:
                errors = forms.errors_by_section(err.errors)
                wrong = [number for number in forms.OPTIONS if err.errors.get(number.key) == "out_of_range"]
                fields = await forms.async_ranges(self.hass, wrong, "options", "init", quote)
                placeholders |= {"fields": fields, **err.placeholders}
            else:
                kept = {name: value for name, value in entry.options.items() if name not in forms.TUNED}
                # Without a limit nobody asks for ranks, and no key is kept.
                shown = {name: value for name, value in shown.items() if name != CONF_RANK_KEY}
                if key and shown.get(CONF_MAX_RANK):
                    shown[CONF_RANK_KEY] = key
                return self.async_create_entry(data={**kept, **shown, CONF_COINS: list(coins)})
        shown = {name: value for name, value in shown.items() if name != CONF_RANK_KEY}
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                forms.options(known, quote, errors, hidden), forms.in_sections({**shown, CONF_PUSH_URL: url})
            ),
            errors=errors,
            description_placeholders=placeholders,
        )

    def _would_sell(self) -> str:
        """Coins that a sale of everything would sell by now."""
        coordinator: CalvalotCoordinator | None = getattr(self.config_entry, "runtime_data", None)
        positions = coordinator.data.positions.values() if coordinator else ()
        return ", ".join(each.coin for each in positions if each.quantity and not each.frozen) or "–"

    def _check_floor(self, wanted: Mapping[str, Any]) -> None:
        """See that a new floor does not lie above the value, where that is known. Raises InvalidInput."""
        coordinator: CalvalotCoordinator | None = getattr(self.config_entry, "runtime_data", None)
        if coordinator is None:
            return
        floor, value = Decimal(str(wanted[CONF_SURVIVAL_FLOOR])), coordinator.data.total_value
        if value is not None and coordinator.settings.survival_floor != floor > value:
            raise InvalidInput({CONF_SURVIVAL_FLOOR: "floor_above_value"}, value=figure(self.hass, value, 2))


def _check_quiet_hours(text: str | None) -> None:
    """See that quiet hours are two times. Raises InvalidInput."""
    try:
        if text:
            quiet_hours(text)
    except ValueError as err:
        raise InvalidInput({CONF_QUIET_HOURS: "quiet_hours_invalid"}) from err
