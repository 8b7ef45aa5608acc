"""Strategies on the stream: their candles are kept as they close, and a price that has come to a stop starts a cycle."""

from homeassistant.core import HomeAssistant

from simulators.exchange import ExchangeSimulator

from .entities import poll
from .market import followed, until
from .test_allocation import answer, weights
from .test_strategies import closed, portfolio, write


async def test_stop_on_the_stream(hass: HomeAssistant, exchange: ExchangeSimulator) -> None:
    """The candles come over the stream, and a price that has come to the stop starts a cycle."""
    write(hass)
    price = float(exchange.price("BTCUSDC"))
    closed(hass, exchange, "BTC", [price, price])
    entry = await portfolio(hass, exchange)
    assert await weights(hass)
    await until(hass, lambda: followed(exchange) >= {"btcusdc@kline_1h"})
    await until(hass, lambda: len(followed(exchange)) == 2)
    bought = entry.runtime_data.data.last_signal_id
    exchange.set_price("BTCUSDC", price * 0.96)
    exchange.advance(2)
    await exchange.streams.flush()
    exchange.set_price("BTCUSDC", price * 0.94)
    exchange.advance(2)
    await exchange.streams.flush()
    await until(hass, lambda: entry.runtime_data.data.last_signal_id != bought)
    await poll(hass, entry)
    assert await weights(hass) == {}
    assert (await answer(hass, "get_signals"))["signals"][0]["reasoning"] == "stop_loss: BTC"
    await until(hass, lambda: followed(exchange) == {"btcusdc@kline_1h"})
    assert await hass.config_entries.async_unload(entry.entry_id)
