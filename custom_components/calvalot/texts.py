"""Words and figures that a form puts together, in Home Assistant's language: nobody says who reads it."""

from decimal import Decimal

from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from .const import DOMAIN

NO_BREAK_SPACE = "\u00a0"


async def async_text(hass: HomeAssistant, key: str, **facts: str) -> str:
    """One of the common texts with its facts."""
    texts = await async_get_translations(hass, hass.config.language, "common", {DOMAIN})
    return texts[f"component.{DOMAIN}.common.{key}"].format_map(facts)


async def async_field_name(hass: HomeAssistant, flow: str, step: str, field: str) -> str:
    """Name of a field of a form; `flow` is config or options, `step` the step and, where there is one, its section."""
    texts = await async_get_translations(hass, hass.config.language, flow, {DOMAIN})
    return texts[f"component.{DOMAIN}.{flow}.step.{step}.data.{field}"]


def figure(hass: HomeAssistant, value: Decimal | float, places: int | None = None) -> str:
    """A number as people write it, with that many decimals; None: as many as it has."""
    number = Decimal(str(value))
    english = f"{number.normalize() if places is None else number:,{'' if places is None else f'.{places}'}f}"
    if hass.config.language.partition("-")[0] != "fr":
        return english
    return english.translate({ord(","): NO_BREAK_SPACE, ord("."): ","})
