"""Which exchanges there are: what an owner is told of each, and how it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, Final

from aiohttp import ClientSession
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from .const import CONF_API_KEY, CONF_API_SECRET, CONF_EXCHANGE, CONF_EXCHANGE_URL
from .settings import InvalidSettings
from .trading.exchanges.binance import BinanceExchange
from .trading.exchanges.remote import RemoteExchange


class ExchangeName(StrEnum):
    """Exchanges by the names that entries store; the first is that of entries which store none."""

    BINANCE = "binance"
    KRAKEN = "kraken"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeType:
    """An exchange: its address, where keys are made, its usual quote asset, what answers whoever asks; `make` imports what it needs."""

    url: str
    keys_url: str
    quote: str
    ping: str
    make: Callable[[ClientSession, str, str, str], RemoteExchange]


def _kraken(session: ClientSession, url: str, key: str, secret: str) -> RemoteExchange:
    from .trading.exchanges.kraken import KrakenExchange  # noqa: PLC0415  # whoever does not use it does not pay for it

    return KrakenExchange(session, url, key, secret)


EXCHANGES: Final[Mapping[str, ExchangeType]] = {
    ExchangeName.BINANCE: ExchangeType(
        url="https://api.binance.com",
        keys_url="https://www.binance.com/my/settings/api-management",
        quote="USDC",
        ping="/api/v3/ping",
        make=BinanceExchange,
    ),
    ExchangeName.KRAKEN: ExchangeType(
        url="https://api.kraken.com",
        keys_url="https://pro.kraken.com/app/settings/api",
        quote="EUR",
        ping="/0/public/Time",
        make=_kraken,
    ),
}


def exchange_type(data: Mapping[str, Any]) -> ExchangeType:
    """The exchange of an entry or of a flow. Raises InvalidSettings."""
    try:
        return EXCHANGES[data.get(CONF_EXCHANGE, ExchangeName.BINANCE)]
    except KeyError as err:
        raise InvalidSettings(CONF_EXCHANGE) from err


def exchange_url(data: Mapping[str, Any]) -> str:
    """Its address."""
    return str(data.get(CONF_EXCHANGE_URL, exchange_type(data).url))


def own_url(name: str, url: str) -> str:
    """An address for an exchange: its usual one where that of another exchange was left standing."""
    usual = {each.url for key, each in EXCHANGES.items() if key != name}
    return EXCHANGES[name].url if url.strip().rstrip("/") in usual else url


def exchange_of(hass: HomeAssistant, data: Mapping[str, Any]) -> RemoteExchange:
    """The exchange of an entry or of a flow."""
    return exchange_type(data).make(
        async_get_clientsession(hass), exchange_url(data), data.get(CONF_API_KEY, ""), data.get(CONF_API_SECRET, "")
    )


async def async_load_exchange(hass: HomeAssistant, data: Mapping[str, Any]) -> None:
    """Import what the exchange of an entry or of a flow needs, off the event loop. Raises InvalidSettings."""
    exchange_type(data)
    name = data.get(CONF_EXCHANGE, ExchangeName.BINANCE)
    await hass.async_add_import_executor_job(import_module, f"{__package__}.trading.exchanges.{name}")
