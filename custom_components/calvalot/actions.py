"""What an action is: a name, what it does, its fields, and who may call it."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.typing import VolDictType

from .const import DOMAIN

type Run = Callable[[HomeAssistant, ConfigEntry[Any], Mapping[str, Any]], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Action:
    """An action; one that only answers is for everyone, one that does something for administrators.

    One that `previews` answers what it would do until it is confirmed, and what it did afterwards. `rows` names a list of
    records that is the answer. One that `answers` says what it did to who asks for it.
    """

    name: str
    run: Run
    fields: VolDictType = field(default_factory=dict)
    admin: bool = True
    previews: bool = False
    answers: bool = False
    rows: str = ""


def invalid_input(key: str, **placeholders: str) -> ServiceValidationError:
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders)
