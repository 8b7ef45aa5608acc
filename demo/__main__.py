"""Show the follower at work in a real Home Assistant, or check it."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import signal
import sys
import time

from .check import check
from .dashboard import show_dashboard
from .follower import POLL_INTERVAL, add_follower, entities, let_push
from .home import OWNER, Home, running_home
from .http import ApiError
from .process import Simulator, free_port, simulator

PORT = 8123
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The follower gets 1,000 EUR of these; the rest is its owner's own and not to be touched.
BALANCES = ("USDC=2000", "BTC=0.5", "BNB=1")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare a few signals with the simulator, then leave")
    parser.add_argument("--empty", action="store_true", help="without a follower, to set one up by hand")
    parser.add_argument("--live", action="store_true", help="trade on the simulated account instead of on paper")
    parser.add_argument("--every", type=float, default=30, metavar="SECONDS", help="between two signals (30)")
    parser.add_argument("--port", type=int, default=PORT, help=f"of Home Assistant ({PORT}, another where it is taken)")
    parser.add_argument("--language", choices=("en", "fr"), default="en", help="of Home Assistant and its dashboard")
    parser.add_argument("--no-history", action="store_true", help="begin today instead of a year ago")
    parser.add_argument("--keep", action="store_true", help="keep Home Assistant's config folder on leaving")
    arguments = parser.parse_args()
    if arguments.empty and (arguments.check or arguments.live):
        parser.error("--empty goes with neither --check nor --live: there is no follower")
    return arguments


@contextmanager
def simulators(*, every: float | None, language: str = "en") -> Iterator[tuple[Simulator, Simulator]]:
    """Run leader and exchange; without ``every`` nothing moves unless told."""
    pace = () if every is None else ("--every", str(every), "--language", language)
    walk = () if every is None else ("--step", "5", "--volatility", "0.001")
    account = [argument for balance in BALANCES for argument in ("--balance", balance)]
    with simulator("leader", *pace) as leader, simulator("exchange", "--seed", "1", *walk, *account) as exchange:
        yield leader, exchange


def _say(text: str) -> None:
    print(text, flush=True)


def _welcome(home: Home, *, live: bool, every: float) -> None:
    mode = "Live on the simulated account" if live else "Dry run"
    _say(f"""
  {home.url}
  opens the dashboard, already logged in (else: {OWNER["username"]} / {OWNER["password"]})

  {mode}; a signal every {every:g} s, pushed at once, a poll every {POLL_INTERVAL} s. Ctrl-C ends everything.
""")


def _welcome_newcomer(home: Home, leader: Simulator, exchange: Simulator, *, every: float) -> None:
    _say(f"""
  {home.url}
  opens Home Assistant, already logged in (else: {OWNER["username"]} / {OWNER["password"]})

  Settings > Devices & services > Add integration > Calv-a-lot, with
    leader's address     {leader.url}
    signal secret        {leader.ready["secret"]}
    exchange's address   {exchange.url}

  A signal every {every:g} s. Ctrl-C ends everything.
""")


def _run(arguments: argparse.Namespace) -> bool:
    """Start everything; return whether there was nothing to complain about."""
    start = time.monotonic()
    agrees = True
    every = None if arguments.check else arguments.every
    with simulators(every=every, language=arguments.language) as (leader, exchange):
        _say(f"Leader on {leader.url}, exchange on {exchange.url}")
        _say("Starting Home Assistant (the first time takes a little longer) ...")
        port = free_port(0 if arguments.check else arguments.port)
        with running_home(port, language=arguments.language, keep=arguments.keep) as home:
            if arguments.keep:
                _say(f"Config folder, which is kept: {home.folder}")
            if arguments.empty:
                _welcome_newcomer(home, leader, exchange, every=arguments.every)
                signal.pause()
            _say("Adding the follower ...")
            entry_id = add_follower(home, leader, exchange, live=arguments.live)
            ids = entities(home, entry_id)
            show_dashboard(home)
            if arguments.check:
                agrees = check(home, leader, exchange, ids, live=arguments.live)
            else:
                if not (arguments.live or arguments.no_history):
                    from .history import seed_history  # noqa: PLC0415  # brings Home Assistant, which takes its time

                    _say("Letting the follower live through a year (--no-history leaves that out) ...")
                    seed_history(home, exchange, entry_id, ids, language=arguments.language)
                # Not for --check, which tells the follower by itself when to look.
                let_push(home, leader, entry_id)
                _welcome(home, live=arguments.live, every=arguments.every)
                signal.pause()
    if arguments.check:
        verdict = "they agree" if agrees else "THEY DO NOT AGREE"
        _say(f"\n{verdict}; {len(home.errors)} errors in the log; {time.monotonic() - start:.1f} s")
    return agrees and not home.errors


def _interrupt_once(*_: object) -> None:
    """End in order; who asks again has to wait."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run until the end or Ctrl-C; return the exit code."""
    arguments = _arguments()
    for number in ENDINGS:
        signal.signal(number, _interrupt_once)
    try:
        return 0 if _run(arguments) else 1
    except (ApiError, OSError, RuntimeError) as error:
        _say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        _say("\nEverything has ended.")
        return 130 if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
