"""Run the exchange as a process."""

import argparse
import asyncio
import json
import signal
import sys

from . import ExchangeSimulator
from .control import DEFAULT_KEY, DEFAULT_SECRET


def arguments(
    name: str = "simulators.exchange", key: str = DEFAULT_KEY, secret: str = DEFAULT_SECRET
) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=name, description="A strict exchange on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--seed", type=int, default=0, help="of the random walk and the faults")
    parser.add_argument("--volatility", default="0.0005", help="of one step of the walk")
    parser.add_argument("--step", type=float, help="seconds between steps; without it prices move by control only")
    parser.add_argument("--latency", type=float, default=0, help="seconds that every request takes")
    parser.add_argument("--weight-limit", type=int, help="weight per minute that is enforced")
    parser.add_argument("--balance", action="append", default=[], metavar="ASSET=AMOUNT", help="may be repeated")
    parser.add_argument("--api-key", default=key)
    parser.add_argument("--api-secret", default=secret)
    parser.add_argument("--bnb-burn", action="store_true", help="take fees in BNB where there is some")
    return parser.parse_args()


async def run(options: argparse.Namespace, simulator: type[ExchangeSimulator] = ExchangeSimulator) -> None:
    """Serve until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    balances = {asset: amount for asset, _, amount in (item.partition("=") for item in options.balance)}
    async with simulator(
        port=options.port,
        seed=options.seed,
        balances=balances,
        api_key=options.api_key,
        api_secret=options.api_secret,
        bnb_burn=options.bnb_burn,
        volatility=options.volatility,
        step=options.step,
        latency=options.latency,
        weight_limit=options.weight_limit,
    ) as sim:
        ready = {"url": sim.url, "api_key": sim.api_key, "api_secret": sim.api_secret}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments()))
