"""Fields of forms that several forms share."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from homeassistant.helpers.selector import (
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)

from .const import DEFAULT_COINS

PASSWORD_FIELD: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="off"))
URL_FIELD: Final = TextSelector(TextSelectorConfig(type=TextSelectorType.URL))


def choice(values: Iterable[StrEnum], translation_key: str) -> SelectSelector:
    """One of a few values, with translated names."""
    return SelectSelector(
        SelectSelectorConfig(options=[value.value for value in values], translation_key=translation_key)
    )


def coin_list(listed: Iterable[str]) -> SelectSelector:
    """Coin codes; own ones may be entered beside those listed."""
    codes = dict.fromkeys((*DEFAULT_COINS, *listed))
    return SelectSelector(SelectSelectorConfig(options=list(codes), multiple=True, custom_value=True))
