"""Show the follower at work in a real Home Assistant, or check it."""

import argparse
import signal
import sys
import time

from harness.dashboard import show_dashboard
from harness.forms import POLL_INTERVAL, add_follower, entities, let_push
from harness.home import OWNER, Home, running_home
from harness.http import ApiError
from harness.portfolio import PLACES
from harness.process import free_port
from harness.simulated import Simulator, simulators

from .check import check
from .words import WORDS

PORT = 8123
# Characters of its log that are shown where Home Assistant has ended by itself.
LAST_WORDS = 4000
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOVING = ("--step", "5", "--volatility", "0.0005")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare a few signals with the simulator, then leave")
    parser.add_argument("--empty", action="store_true", help="without a follower, to set one up by hand")
    parser.add_argument("--exchange", choices=tuple(PLACES), default="binance", help="that the follower is on")
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


class Terminal:
    """Says what happens in the language of the demo."""

    def __init__(self, language: str) -> None:
        """Take the words of a language."""
        self._words = WORDS[language]

    def words(self, key: str, **values: object) -> str:
        """Return a text with its values."""
        return self._words[key].format(**values)

    def say(self, key: str, **values: object) -> None:
        """Print a text with its values."""
        print(self.words(key, **values), flush=True)

    def welcome(
        self, key: str, home: Home, leader: Simulator, exchange: Simulator, *, live: bool = False, every: float
    ) -> None:
        """Say where it runs, and with what a follower is set up by hand."""
        access = self.words("access", leader=leader.url, exchange=exchange.url, **exchange.ready | leader.ready)
        mode = self.words("live" if live else "dry_run")
        self.say(key, url=home.url, mode=mode, every=every, poll=POLL_INTERVAL, access=access, **OWNER)


def _run(arguments: argparse.Namespace) -> bool:
    """Start everything; return whether there was nothing to complain about."""
    start = time.monotonic()
    terminal = Terminal(arguments.language)
    agrees = True
    moving = () if arguments.check else MOVING
    place = PLACES[arguments.exchange]
    with simulators(balances=place.balances, exchange=moving, language=arguments.language, name=place.simulator) as (
        leader,
        exchange,
    ):
        terminal.say("simulators", leader=leader.url, exchange=exchange.url)
        terminal.say("starting")
        port = free_port(0 if arguments.check else arguments.port)
        with running_home(port, language=arguments.language, keep=arguments.keep) as home:
            if arguments.keep:
                terminal.say("kept", folder=home.folder)
            if arguments.empty:
                leader.control("publish_every", seconds=arguments.every)
                terminal.welcome("welcome_empty", home, leader, exchange, every=arguments.every)
                return _stay(home, terminal)
            terminal.say("adding")
            entry_id = add_follower(home, leader, exchange, live=arguments.live, on=arguments.exchange)
            ids = entities(home, entry_id)
            show_dashboard(home)
            if arguments.check:
                agrees = check(home, leader, exchange, ids, place, live=arguments.live)
            else:
                if place is PLACES["binance"] and not (arguments.live or arguments.no_history):
                    from .history import seed_history  # noqa: PLC0415  # brings Home Assistant, which takes its time

                    terminal.say("history")
                    seed_history(home, leader, exchange, entry_id, ids, language=arguments.language)
                # Not for --check, which tells the follower by itself when to look.
                let_push(home, leader, entry_id)
                leader.control("publish_every", seconds=arguments.every)
                terminal.welcome("welcome", home, leader, exchange, live=arguments.live, every=arguments.every)
                return _stay(home, terminal)
    verdict = "they agree" if agrees else "THEY DO NOT AGREE"
    print(f"\n{verdict}; {len(home.errors)} errors in the log; {time.monotonic() - start:.1f} s", flush=True)
    return agrees and not home.errors


def _stay(home: Home, terminal: Terminal) -> bool:
    """Run until Ctrl-C, through every restart; return False where Home Assistant ends by itself."""
    for code in home.endings():
        if code is None:
            terminal.say("restarted")
        else:
            terminal.say("gone", code=code)
            print(home.log[-LAST_WORDS:], flush=True)
    return False


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
        print(f"\n{error}", flush=True)
        return 1
    except KeyboardInterrupt:
        print()
        Terminal(arguments.language).say("ended")
        return 130 if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
