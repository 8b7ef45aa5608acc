"""`python -m fuzz`: feed the parser and a whole follower with bodies that were tampered with."""

import argparse
import asyncio
import hashlib
import importlib
import logging
from pathlib import Path
import random
import sys
import tempfile
import time
from typing import Any, NoReturn

from custom_components.calvalot.trading.sources import leader_format

from .bodies import LONGEST, SEEDS, mutate, renamed
from .targets import Path2Paper, parse

DONE = "parser: {inputs:,} inputs, {signals:,} signals, {seconds:.0f} s, no finding"


def main() -> None:
    """Run the follower's path, then the parser; a finding ends it with the body that it was found with."""
    arguments = _arguments()
    logging.disable()
    asyncio.run(_path(arguments.path_inputs, arguments.seed))
    if arguments.engine == "atheris":
        _guided(arguments.inputs, arguments.seed)
    _blind(arguments.inputs, arguments.seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="bodies for the parser")
    parser.add_argument(
        "--path-inputs", type=int, default=None, help="bodies for a whole cycle (a fiftieth of the others)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("atheris", "random"), default="atheris", help="random: without coverage")
    arguments = parser.parse_args()
    if arguments.path_inputs is None:
        arguments.path_inputs = arguments.inputs // 50
    return arguments


async def _path(inputs: int, seed: int) -> None:
    chance, begun = random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        async with Path2Paper(Path(folder)) as path:
            for number in range(inputs):
                body = mutate(renamed(chance.choice(SEEDS), number), chance)
                try:
                    await path.feed(body)
                except Exception:
                    _say(f"found with {body!r}")
                    raise
            _say(
                f"leader to paper: {path.cycles:,} inputs, {path.signals:,} signals, "
                f"{time.monotonic() - begun:.0f} s, no finding"
            )


def _blind(inputs: int, seed: int) -> None:
    """Bodies by chance alone."""
    chance, begun, signals = random.Random(seed), time.monotonic(), 0
    for _ in range(inputs):
        body = mutate(chance.choice(SEEDS), chance)
        try:
            signals += parse(body) is not None
        except Exception:
            _say(f"found with {body!r}")
            raise
    _say(DONE.format(inputs=inputs, signals=signals, seconds=time.monotonic() - begun))


def _guided(inputs: int, seed: int) -> NoReturn:
    """Bodies that libFuzzer makes of those that reached new code; it ends the process."""
    atheris: Any = importlib.import_module("atheris")
    _instrument(atheris, leader_format)
    counts, begun = {"inputs": 0, "signals": 0}, time.monotonic()
    corpus = tempfile.TemporaryDirectory()
    for body in SEEDS:
        (Path(corpus.name) / hashlib.sha256(body).hexdigest()).write_bytes(body)

    def feed(data: bytes) -> None:
        counts["inputs"] += 1
        try:
            counts["signals"] += parse(data) is not None
        except Exception:
            _say(f"found with {data!r}")
            corpus.cleanup()
            raise
        if counts["inputs"] == inputs:
            _say(DONE.format(**counts, seconds=time.monotonic() - begun))
            corpus.cleanup()

    def tamper(data: bytes, largest: int, seed: int) -> bytes:
        return mutate(data, random.Random(seed))[:largest]

    limits = (f"-runs={inputs}", f"-seed={seed}", f"-max_len={LONGEST}")
    options = (*limits, "-verbosity=0", f"-artifact_prefix={corpus.name}/")
    atheris.Setup([sys.argv[0], *options, corpus.name], feed, custom_mutator=tamper)
    atheris.Fuzz()
    sys.exit()


def _instrument(atheris: Any, module: Any) -> None:
    """Have every function and method of a module tell which way it went."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, type):
            for member, function in list(vars(value).items()):
                if hasattr(function, "__code__"):
                    setattr(value, member, atheris.instrument_func(function))
        elif hasattr(value, "__code__"):
            setattr(module, name, atheris.instrument_func(value))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
