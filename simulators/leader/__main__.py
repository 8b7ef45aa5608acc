"""`python -m simulators.leader`: a leader as a process of its own."""

import argparse
import asyncio
import json
import secrets
import signal
import sys

from .server import COINS, LeaderSimulator


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.leader", description="A stand-in for the leader.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0 = any)")
    parser.add_argument("--secret", default=None, help="shared secret (a random one unless told)")
    parser.add_argument("--every", type=float, default=None, help="seconds between signals")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coins", nargs="+", default=COINS)
    parser.add_argument("--quote", default="USDC")
    parser.add_argument("--versions", nargs="+", type=int, choices=(1, 2), default=(2,), help="of the signals, in turn")
    parser.add_argument("--language", choices=("fr", "en"), default=None)
    parser.add_argument("--sign-answers", action="store_true")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in signal.SIGINT, signal.SIGTERM:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = vars(arguments)
    options["secret"] = options["secret"] or secrets.token_urlsafe(24)
    async with LeaderSimulator(**options) as leader:
        sys.stdout.write(json.dumps({"url": leader.url, "secret": leader.secret}) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
