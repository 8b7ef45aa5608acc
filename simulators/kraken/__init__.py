"""A strict stand-in for Kraken Spot: real HTTP on loopback, and it refuses what the real one refuses.

Names (XBT, XDG, XXBT, ZEUR), prices and quantities as Kraken has them; each private request is signed with HMAC-SHA512 over its
path and the SHA-256 of nonce and body, its nonce has to grow, and it adds to the counter of its key, which decays. Errors are
words with HTTP status 200. Fees (0.4 %, of a resting order 0.25 %) are taken in the quote asset beside what an order costs, or in
the base where the order wants that (``oflags=fcib``). Orders: market, limit (GTC, IOC), stop-loss, each with a ``deadline``.

It is steered as ``simulators.exchange`` is, whose symbols, controls and faults it has: ``error`` takes the ``message`` to answer with,
``rate_limit`` answers ``EAPI:Rate limit exceeded``. Further: ``set_counter(most)`` (20; None = not enforced), ``counter(api_key=None)``,
``set_key_info(**fields)`` (what GetApiKeyInfo answers otherwise), ``set_fee(taker)`` (a fraction), ``order_name(order)``, ``set_nonce(nonce)`` (another program's); a row of kind ``odd`` is in the ledger as it is. Its streams are at ``/v2`` and ``/auth/v2``; a
price comes with a change of it, a closed candle does not come.
"""

from .server import KrakenSimulator

__all__ = ["KrakenSimulator"]
