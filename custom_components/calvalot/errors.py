"""What the owner is told when the follower cannot do what was asked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from homeassistant.components.websocket_api.connection import ActiveConnection
from homeassistant.components.websocket_api.const import ERR_HOME_ASSISTANT_ERROR
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .const import DOMAIN
from .trading.errors import CommandError

# Not the owner's doing: the same call may succeed later.
FAILURES: Final = frozenset(
    {
        "backtest_disk",
        "no_candles",
        "no_valuation",
        "coin_unclear",
        "ledger_unavailable",
        "order_unclear",
        "signal_unheard",
    }
)


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


def send_error(connection: ActiveConnection, msg: Mapping[str, Any], err: HomeAssistantError) -> None:
    """Answer a command of a page with why it cannot be done."""
    connection.send_error(
        msg["id"],
        ERR_HOME_ASSISTANT_ERROR,
        str(err),
        translation_domain=err.translation_domain,
        translation_key=err.translation_key,
        translation_placeholders=err.translation_placeholders,
    )
