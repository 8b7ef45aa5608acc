"""Candles and strategies for tests of backtests, and a portfolio that lives through the same candles."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from custom_components.calvalot.trading.backtest.run import AFTER_CLOSE, Backtest, Outcome, Setup
from custom_components.calvalot.trading.backtest.sources import Replayed, StrategyReplay
from custom_components.calvalot.trading.backtest.spec import Spec
from custom_components.calvalot.trading.backtest.trader import PASSES
from custom_components.calvalot.trading.backtest.walk import Inside, walk
from custom_components.calvalot.trading.exchanges.base import Mode, SymbolRules
from custom_components.calvalot.trading.exchanges.replay import ReplayExchange
from custom_components.calvalot.trading.ledger.ledger import Ledger
from custom_components.calvalot.trading.market.candles import Candle, TimeFrame
from custom_components.calvalot.trading.portfolio import Portfolio
from custom_components.calvalot.trading.sources.base import Source
from custom_components.calvalot.trading.sources.strategy import StrategySettings, StrategySource
from custom_components.calvalot.trading.strategies.evaluator import Evaluator, State
from custom_components.calvalot.trading.strategies.reader import read_strategy
from harness.engine import OpenEngine, make_engine

BEGIN = 1_700_000_000 // 86_400 * 86_400
HOUR = 3600
FRAME = TimeFrame.H1
type Figures = tuple[float, float, float, float]


def rules(*coins: str, **others: Any) -> dict[str, SymbolRules]:
    """Trading rules of coins against USDC."""
    usual = {"step": Decimal("0.00001"), "min_notional": Decimal(5), **others}
    return {f"{coin}USDC": SymbolRules(symbol=f"{coin}USDC", base=coin, quote="USDC", **usual) for coin in coins}


def flat(*closes: float, begin: int = BEGIN, frame: TimeFrame = FRAME) -> list[Candle]:
    """Candles that open where the one before closed; the first is flat."""
    opens = (closes[0], *closes)
    return [
        Candle(begin + number * frame.seconds, start, max(start, close), min(start, close), close, 1)
        for number, (start, close) in enumerate(zip(opens, closes, strict=False))
    ]


def made(*figures: Figures, begin: int = BEGIN, frame: TimeFrame = FRAME) -> list[Candle]:
    """Candles from open, high, low and close."""
    return [Candle(begin + number * frame.seconds, *each, 1) for number, each in enumerate(figures)]


def setup_of(candles: Mapping[str, Sequence[Candle]], frame: TimeFrame = FRAME, first: int = 1, **others: Any) -> Setup:
    """A test over all candles but so many first ones."""
    every = sorted(candle.opened for each in candles.values() for candle in each)
    coins = tuple(candles)
    settings = {"budget": Decimal(1000), "rules": rules(*coins), **others}
    begin = every[0] + first * frame.seconds
    return Setup(coins=coins, frame=frame, begin=begin, end=every[-1] + frame.seconds, **settings)


def replay(text: str, setup: Setup, **chosen: float) -> StrategyReplay:
    """A strategy that decides from the beginning of a test on."""
    state = State(last=setup.begin - 2 * setup.frame.seconds)
    evaluator = Evaluator(read_strategy(f"name: x\n{text}"), setup.coins, setup.frame, chosen, state)
    return StrategyReplay(rules=evaluator, coins=setup.coins, seconds=setup.frame.seconds, keep=True)


async def outcome_of(
    source: Replayed,
    setup: Setup,
    candles: Mapping[str, Sequence[Candle]],
    inside: Mapping[str, Sequence[Candle]] | None = None,
) -> Outcome:
    """The outcome of a run."""
    return await Backtest(setup, source).run(walk(candles), Inside(walk(inside), 900) if inside else None)


async def run(text: str, *candles: Candle, inside: Sequence[Candle] = (), **others: Any) -> Outcome:
    """The outcome of a strategy on candles of BTC."""
    setup = setup_of({"BTC": candles}, **others)
    return await outcome_of(replay(text, setup), setup, {"BTC": candles}, {"BTC": inside} if inside else None)


def fills(outcome: Outcome) -> list[tuple[object, ...]]:
    """What was traded, as the ledger of a portfolio tells it, too."""
    return [(each.coin, each.side, each.quantity, each.amount) for each in outcome.book.fills]


def spec_of(text: str, **others: Any) -> Spec:
    """A spec on a simulated walk of 40 days, unless more is said."""
    known: dict[str, Any] = {
        "sources": ({"kind": "strategy", "text": f"name: x\n{text}", "parameters": {}, "share": "100"},),
        "coins": ("BTC",),
        "frame": FRAME,
        "begin": BEGIN,
        "end": BEGIN + 40 * 86_400,
        "candles": {"kind": "simulated", "seed": 1, "origin": BEGIN - 20 * 86_400},
        **others,
    }
    return Spec(**known)


class Living:
    """A portfolio on paper that lives through candles: the last price at a close is the next open."""

    def __init__(self, setup: Setup, candles: Mapping[str, Sequence[Candle]], folder: Path) -> None:
        self.setup = setup
        self.candles = candles
        euro = SymbolRules(symbol="EURUSDC", base="EUR", quote="USDC")
        self.exchange = ReplayExchange({**setup.rules, "EURUSDC": euro}, setup.fee_coin, setup.costs)
        self.ledger = Ledger(folder / "living.db", Mode.DRY_RUN, "USDC")
        self.now = datetime.fromtimestamp(0, UTC)
        # Told the time (Unix seconds) before prices at an open are shown.
        self.before: Callable[[int], None] = lambda _: None
        self.portfolio = Portfolio()

    def strategy(self, text: str) -> StrategySource:
        """A strategy as a portfolio has it, on the candles that have closed by now."""

        async def read(coin: str, frame: TimeFrame, begin: int, end: int) -> Sequence[Candle]:
            return [each for each in self.candles[coin] if begin <= each.opened < end]

        settings = StrategySettings(text=f"name: x\n{text}", coins=self.setup.coins, frame=self.setup.frame)
        return StrategySource(settings, read, lambda: self.now)

    async def live(self, sources: Mapping[str, Source], **settings: Any) -> list[tuple[object, ...]]:
        """Live through the test; what was traded."""
        engine = make_engine(
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            self.exchange,
            self.ledger,
            entry_id="living",
            budget=f"{self.setup.budget}",
            clock=lambda: self.now,
            sources=sources,
            coins=self.setup.coins,
            survival_floor=Decimal(0),
            **settings,
        )
        await engine.start()
        strategies = [each for each in sources.values() if isinstance(each, StrategySource)]
        opened: dict[int, dict[str, Candle]] = {}
        for coin, candles in self.candles.items():
            for candle in candles:
                opened.setdefault(candle.opened, {})[coin] = candle
        for at, slot in sorted(opened.items()):
            if at >= self.setup.begin:
                await self._slot(engine, at, slot, strategies)
        traded = [(each.coin, each.side, each.quantity, each.amount) for each in reversed(self.ledger.trades(10**6))]
        self.portfolio = self.ledger.book().portfolio
        await engine.stop()
        return traded

    # Inside

    async def _slot(
        self, engine: OpenEngine, at: int, slot: Mapping[str, Candle], strategies: Sequence[StrategySource]
    ) -> None:
        self.before(at)
        self._show(at + AFTER_CLOSE, {coin: candle.open for coin, candle in slot.items()})
        for _ in range(PASSES):
            await engine.cycle()
            if not self.ledger.open_signals():
                break
        await engine.cycle()  # which has what protects the purchases placed
        for strategy in strategies:
            for coin, levels in strategy.levels.items():
                if (sale := levels.sale(slot[coin])) is None:
                    continue
                _, price = sale
                self._show(at + self.setup.frame.seconds - 1, {coin: price})
                for _ in range(PASSES):
                    await engine.cycle()
                    if not self.ledger.open_signals():
                        break

    def _show(self, at: int, prices: Mapping[str, float]) -> None:
        self.now = datetime.fromtimestamp(at, UTC)
        shown = {f"{coin}USDC": Decimal(repr(price)) for coin, price in prices.items()}
        self.exchange.show(self.now, {**shown, "EURUSDC": Decimal(1)})
