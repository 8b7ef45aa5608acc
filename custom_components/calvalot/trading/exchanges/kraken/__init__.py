"""Kraken Spot (docs.kraken.com): names, requests with one key in a queue, orders by 32 hex digits."""

from .exchange import KrakenExchange

__all__ = ["KrakenExchange"]
