"""What the owner is told when the follower cannot do what was asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .const import DOMAIN
from .trading.errors import CommandError

# Not the owner's doing: the same call may succeed later.
FAILURES: Final = frozenset({"no_candles", "no_valuation", "ledger_unavailable", "order_unclear", "signal_unheard"})


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn a CommandError into the error that Home Assistant shows in the owner's language."""
    try:
        yield
    except CommandError as err:
        error = HomeAssistantError if err.key in FAILURES else ServiceValidationError
        raise error(
            translation_domain=DOMAIN, translation_key=err.key, translation_placeholders=err.placeholders
        ) from err
