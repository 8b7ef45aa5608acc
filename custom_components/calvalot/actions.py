"""What an action is: a name, what it does, its fields, and who may call it."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

from .const import DOMAIN, MAX_AMOUNT
from .trading.engine import Engine

ATTR_COIN: Final = "coin"
ATTR_CONFIRM: Final = "confirm"
SMALLEST_AMOUNT: Final = Decimal("1e-8")

type Run = Callable[[HomeAssistant, ConfigEntry[Any], Mapping[str, Any]], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Action:
    """An action; one that only answers is for everyone, one that does something for administrators. With the field `admin_with`
    it is for administrators too.

    One that `previews` answers what it would do until it is confirmed, and what it did afterwards. `rows` names a list of
    records that is the answer. One that `answers` says what it did to who asks for it.
    """

    name: str
    run: Run
    fields: VolDictType = field(default_factory=dict)
    admin: bool = True
    admin_with: str = ""
    previews: bool = False
    answers: bool = False
    rows: str = ""


def invalid_input(key: str, **placeholders: str) -> ServiceValidationError:
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders)


def amount_of(value: Any) -> Decimal:
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


def positive_amount(value: Any) -> Decimal:
    """Validate an amount in EUR of more than nothing."""
    if not (amount := amount_of(value)):
        raise invalid_input("amount_not_positive")
    return amount


def coin_code(value: Any) -> str:
    """Validate a coin's code, in capitals."""
    return cv.string(value).strip().upper()


type OfEngine = Callable[[Engine, Mapping[str, Any]], Coroutine[Any, Any, Any]]


def of_engine(run: OfEngine) -> Run:
    """What an action does with the engine of the portfolio that it names, to its end."""

    async def finish(_hass: HomeAssistant, entry: ConfigEntry[Any], data: Mapping[str, Any]) -> Any:
        return await entry.runtime_data.async_finish(run(entry.runtime_data.engine, data))

    return finish
