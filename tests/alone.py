"""The domain in a process where Home Assistant cannot be imported: every module of it, and a cycle on paper.

``python -m tests.alone FOLDER`` prints the modules that were imported and the coins that are held after the cycle.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from importlib.abc import MetaPathFinder
import json
from pathlib import Path
import pkgutil
import sys
from typing import Any, override

from aiohttp import ClientSession

from simulators.exchange import ExchangeSimulator
from simulators.leader import LeaderSimulator

PACKAGE = Path(__file__).parent.parent / "custom_components" / "calvalot" / "trading"


class Refuse(MetaPathFinder):
    """Neither Home Assistant nor the integration around the domain can be imported."""

    @override
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:
        if fullname.partition(".")[0] in {"homeassistant", "custom_components"}:
            raise ImportError(f"{fullname} is not to be had here")


def load() -> list[str]:
    """Import every module of the domain, as a package of its own."""
    sys.path.append(str(PACKAGE.parent))
    package = import_module(PACKAGE.name)
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE.name}.")]
    for name in names:
        import_module(name)
    return [PACKAGE.name, *names]


async def cycle(folder: Path) -> dict[str, str]:
    """Let a portfolio on paper follow one signal; returns what it holds."""
    engine, ledger, base, leader, state, paper, binance, settings = (
        import_module(f"{PACKAGE.name}.{name}")
        for name in (
            *("engine", "ledger.ledger", "exchanges.base", "sources.leader", "signal"),
            *("exchanges.paper", "exchanges.binance", "settings"),
        )
    )

    def now() -> datetime:
        return datetime.now(UTC)

    book = ledger.Ledger(folder / "alone.db", base.Mode.DRY_RUN, "USDC")
    async with ExchangeSimulator(seed=1) as market, LeaderSimulator() as leading, ClientSession() as session:
        leading.publish_v2({"BTC": "0.5", "ETH": "0.25"})
        portfolio = engine.Engine(
            settings.Settings(
                entry_id="alone",
                mode=base.Mode.DRY_RUN,
                quote="USDC",
                initial_budget=Decimal(1000),
                coins=("BTC", "ETH"),
            ),
            sources={
                state.SourceKind.LEADER: leader.LeaderSource(
                    leader.Leader(session, leading.url, leading.secret, "1.2.3")
                )
            },
            exchange=paper.PaperExchange(binance.BinanceExchange(session, market.url), now),
            ledger=book,
            clock=now,
            publish=lambda _snapshot, _events: None,
        )
        await portfolio.start()
        await portfolio.cycle()
        held = book.book().portfolio.positions
        await portfolio.stop()
    return {coin: str(position.quantity) for coin, position in held.items()}


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    print(json.dumps({"modules": load(), "held": asyncio.run(cycle(Path(sys.argv[1])))}))
