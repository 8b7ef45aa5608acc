"""Both simulators as processes of their own, spoken to over HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import json
import subprocess
from typing import Any

from .http import request
from .portfolio import PLACES
from .process import child

BALANCES = PLACES["binance"].balances


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator: what it said when it listened, and its control API."""

    url: str
    ready: dict[str, str]

    @property
    def secret(self) -> str:
        """What a leader's signals are signed with."""
        return self.ready["secret"]

    @property
    def api_key(self) -> str:
        """The key of an exchange's first account."""
        return self.ready["api_key"]

    @property
    def api_secret(self) -> str:
        """The secret of that key."""
        return self.ready["api_secret"]

    def control(self, method: str, **arguments: object) -> Any:
        """Call a method of the simulator; raises ApiError when it refuses."""
        return request("POST", f"{self.url}/control", {"do": method, **arguments})["result"]

    def state(self, *, log: bool = False) -> Any:
        """What the simulator knows of itself; an exchange with every request where its ``log`` is asked for."""
        return request("GET", f"{self.url}/control/state{'?log=1' if log else ''}")


@contextmanager
def simulator(name: str, *arguments: str) -> Iterator[Simulator]:
    """Run ``python -m simulators.<name>`` on a free port of loopback."""
    with child(["-m", f"simulators.{name}", "--port", "0", *arguments], subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise RuntimeError(f"simulators.{name} did not start")
        ready = json.loads(line)
        yield Simulator(ready["url"], ready)


@contextmanager
def simulators(
    *, balances: Sequence[str] = BALANCES, exchange: Sequence[str] = (), language: str = "en", name: str = "exchange"
) -> Iterator[tuple[Simulator, Simulator]]:
    """Run a leader and the exchange of a name; the arguments for the ``exchange`` may say that its prices move."""
    account = [argument for balance in balances for argument in ("--balance", balance)]
    with (
        simulator("leader", "--language", language) as leader,
        simulator(name, "--seed", "1", *account, *exchange) as trading,
    ):
        yield leader, trading
