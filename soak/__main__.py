"""Let a random storm loose on the real follower in a real Home Assistant, and hold its books against the account."""

import argparse
import asyncio
from contextlib import suppress
import shutil
import sys
import time

from aiohttp import ClientSession

from . import changes, hands, happenings, owner
from .stage import Stage
from .storm import Storm, Violation


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2000, help="of the follower (2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the storm (1)")
    parser.add_argument("--only", nargs="+", metavar="HAPPENING", help="these happenings and no others")
    parser.add_argument("--keep", action="store_true", help="keep Home Assistant's config folder")
    parser.add_argument("--verbose", action="store_true", help="say what happens in each cycle")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


def _hush(_text: str) -> None:
    """Say nothing."""


async def _soak(arguments: argparse.Namespace) -> bool:
    """Run one storm; return whether everything held."""
    start = time.monotonic()
    everything = tuple(
        (weight, happening)
        for weight, happening in (*happenings.HAPPENINGS, *owner.HAPPENINGS, *hands.HAPPENINGS, *changes.HAPPENINGS)
        if not arguments.only or happening.__name__ in arguments.only
    )
    async with Stage.set(arguments.seed) as stage, ClientSession() as session:
        storm = Storm(stage, session, arguments.cycles, everything, _say if arguments.verbose else _hush)
        held = False
        try:
            await storm.run()
            held = True
        except Violation as violation:
            _say(f"\nSeed {arguments.seed}, cycle {storm.step}:")
            for complaint in violation.complaints[:40]:
                _say(f"  {complaint}")
            _say(f"Again: scripts/soak --cycles {arguments.cycles} --seed {arguments.seed} --verbose --keep")
        _say(_line(storm, stage))
        _say(" · ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(storm.happened.items())))
        _say(
            f"seed {arguments.seed} · {time.monotonic() - start:.0f} s · {stage.watch.bytes / 1e6:.0f} MB looked through"
        )
    folder = stage.home.folder
    if held and not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"Config folder, log and ledger: {folder}")
    return held


def _line(storm: Storm, stage: Stage) -> str:
    findings = storm.findings
    agrees = "ledger = account to the last digit" if not findings.unexplained else "LEDGER ≠ ACCOUNT"
    return " · ".join(
        (
            f"cycles {storm.step}",
            f"faults {storm.faults}",
            f"kills {storm.kills}",
            f"lost ledgers {storm.lost_ledgers}",
            f"orders {storm.orders}",
            f"duplicate fills {findings.duplicate_fills}",
            f"lost fills {findings.lost_fills}",
            agrees,
            f"alerts {storm.alerts}",
            f"lost alerts {storm.lost_alerts}",
            f"without protection {storm.unprotected}",
            f"unexplained money {findings.unexplained.normalize():f}",
            f"secrets seen {len(stage.watch.seen)}",
            f"requests while banned {stage.exchange.unheeded}",
            f"settled after restart max {storm.slowest_settling:.1f} s",
            f"of them after Home Assistant's own start max {storm.latest_settling:.1f} s",
        )
    )


def main() -> int:
    """Run the storm; return the exit code."""
    arguments = _arguments()
    with suppress(KeyboardInterrupt):
        return 0 if asyncio.run(_soak(arguments)) else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
