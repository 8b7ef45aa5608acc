"""Run Kraken as a process: ``python -m simulators.kraken --balance EUR=1000``."""

import asyncio

from ..exchange.__main__ import arguments, run
from . import KrakenSimulator
from .server import KEY, SECRET

if __name__ == "__main__":
    asyncio.run(run(arguments("simulators.kraken", KEY, SECRET), KrakenSimulator))
