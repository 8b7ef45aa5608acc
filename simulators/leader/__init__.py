"""A stand-in for the leader: real HTTP on loopback, a signal at a set pace, and every fault the protocol names.

As a process: ``python -m simulators.leader --port 0 --secret s3cret --every 30`` prints one JSON line
``{"url": …, "secret": …}`` when it listens, and ends on SIGINT or SIGTERM. In a test::

    async with LeaderSimulator(secret="s3cret") as leader:
        leader.publish_v2({"BTC": "0.4", "ETH": "0.2"})      # returns the signal_id
        leader.url, leader.secret

Until something is published it answers 204. Options of ``LeaderSimulator``: ``secret``, ``port`` (0 = any), ``every`` (seconds
between signals of a steady leader, the first one at once; None = by control only), ``seed``, ``coins``, ``quote`` (default USDC), ``versions``
(of the random signals, in turn; default ``(2,)``), ``sign_answers``, ``language`` (``fr``, ``en`` or None = both in turn).

Each method below is also ``POST /control`` with ``{"do": "<method>", **arguments}``, which answers ``{"ok": true, "result": …}``
or 400 ``{"ok": false, "error": …}``. ``GET /control/state`` shows the latest signal, all signals, requests, faults and pushes.

``publish_v2(targets, **fields)`` and ``publish_v1(actions, positions=None, **fields)``: weights by coin as Decimal or decimal
    text, ``actions`` as ``(coin, action, share)``; ``fields`` replace or add members of the JSON object (``signal_id``, ``quote`` is an
    argument of its own). ``publish_random(version=2)``, ``publish_raw(body)`` (bytes or text, status 200), ``withdraw()`` (204 again).
``misbehave(kind, count=1, *, status=None, seconds=None, location=None)``: the next ``count`` answers (None = all until ``behave()``).
    Faults given one after the other queue up.
``set_clock(offset)``: seconds the leader's clock is ahead. ``set_quote(quote)``, ``set_sign_answers(sign)``.
``set_webhooks(urls)``: from now on each published signal is pushed to these followers, signed; ``pushes`` are what became of it.
``publish_every(seconds, first=0)``: what a steady leader wants next (small changes, now and then a large one) at this pace.
``take_over(document, weights)``: go on as the leader whose latest signal and weights these are.
``signals`` (documents, oldest first), ``latest``, ``requests`` (``Request``: time, status, version of the follower, fault; status None =
    no answer), ``sign(body)``, ``signature_of`` (what signs an answer's body, to be replaced by a forger), ``await pushed()`` waits until
    every push is over, ``await stop()`` refuses connections, ``await start()`` listens on the same port again.
"""

from .faults import FaultKind
from .pushes import Push
from .server import LeaderSimulator, Request

__all__ = ["FaultKind", "LeaderSimulator", "Push", "Request"]
