"""A few signals, and then the follower's figures against what the simulated exchange saw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from harness.home import Home
from harness.portfolio import BUDGET, COINS, Place
from harness.simulated import Simulator
from harness.waiting import wait_for

from .tables import table
from .trades import Trade, changes, on_account, on_paper, told

CENT = Decimal("0.01")
ROUNDING = Decimal("0.000001")
WEIGHT_TOLERANCE = Decimal("0.006")

FIRST = {"BTC": "0.4", "ETH": "0.2", "BNB": "0.1", "SOL": "0.1", "XRP": "0.1"}
ACTIONS = [("ETH", "SELL", "0.05"), ("BTC", "BUY", "0.05"), ("SOL", "HOLD", "0")]
LAST = {"BTC": "0.25", "ETH": "0.3", "SOL": "0.2", "XRP": "0.15"}

type Figures = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure as Home Assistant tells it, and as it follows from the simulator; the unknown never agrees."""

    what: str
    told: Decimal | None
    expected: Decimal
    tolerance: Decimal = Decimal(0)

    @property
    def agrees(self) -> bool:
        """Whether both are the same within the tolerance."""
        return self.told is not None and abs(self.told - self.expected) <= self.tolerance


def check(
    home: Home, leader: Simulator, exchange: Simulator, ids: Mapping[str, str], place: Place, *, live: bool
) -> bool:
    """Let the leader publish and the follower poll, print what both say, and return whether they agree."""
    before = _figures(exchange.control("balances"))
    rate = _per_euro(_figures(exchange.control("prices")), place)
    trades: list[Trade] = []
    on_paper_trades: list[Trade] = []
    signals_to_come = (
        partial(leader.control, "publish_v2", targets=FIRST),
        partial(leader.control, "publish_v1", actions=ACTIONS),
        partial(leader.control, "publish_v2", targets=LAST),
    )
    for publish in signals_to_come:
        exchange.control("walk", steps=20)
        wait_for(partial(_taken_up, home, ids, publish()), "a signal that is taken up", pause=place.patience)
        prices = _figures(exchange.control("prices"))
        known, trades = len(trades), told(home.ask("calvalot.get_trades", limit=1000), place)
        on_paper_trades += [on_paper(trade, prices[trade.symbol], place) for trade in trades[known:]]
    signals = _wait_for_executed(home, ids, place)
    portfolio = home.ask("calvalot.get_portfolio")
    orders = on_account(exchange, place)

    if live:
        after = _figures(exchange.control("balances"))
        assets = {asset: after.get(asset, Decimal(0)) - before.get(asset, Decimal(0)) for asset in {*before, *after}}
        agreeing = [trade in orders for trade in trades]
    else:
        assets = changes(on_paper_trades, place)
        agreeing = [trade.is_close_to(other) for trade, other in zip(trades, on_paper_trades, strict=True)]
    comparisons = [
        Comparison("trades that agree", Decimal(sum(agreeing)), Decimal(len(orders) if live else len(trades))),
        Comparison("orders on the account", Decimal(len(trades) if live else 0), Decimal(len(orders))),
        *_compare_portfolio(portfolio, assets, prices, rate, place, live=live),
        *_compare_states(home, ids, portfolio),
    ]
    _print_signals(signals)
    _print_trades(trades, agreeing)
    _print_portfolio(portfolio)
    _print_comparisons(comparisons)
    return all(comparison.agrees for comparison in comparisons)


def _per_euro(prices: Figures, place: Place) -> Decimal:
    """Quote for 1 EUR."""
    return Decimal(1) if place.quote == "EUR" else prices[f"EUR{place.quote}"]


def _poll(home: Home, ids: Mapping[str, str]) -> None:
    home.action("button.press", entity_id=ids["poll"])


def _taken_up(home: Home, ids: Mapping[str, str], signal_id: str) -> bool:
    """Poll, and say whether the signal is known: a poll joins a cycle that runs, which may have asked before it was there."""
    _poll(home, ids)
    return signal_id in [signal["signal_id"] for signal in home.ask("calvalot.get_signals")["signals"]]


def _wait_for_executed(home: Home, ids: Mapping[str, str], place: Place) -> list[dict[str, Any]]:
    """Poll until two signals are executed; raises TimeoutError when that takes too long."""

    def executed() -> list[dict[str, Any]]:
        _poll(home, ids)
        signals: list[dict[str, Any]] = home.ask("calvalot.get_signals")["signals"]
        return signals if sum(signal["result"] == "executed" for signal in signals) >= 2 else []

    return wait_for(executed, "two signals that are executed", pause=max(place.patience, 1))


def _compare_portfolio(
    portfolio: Mapping[str, Any], assets: Figures, prices: Figures, rate: Decimal, place: Place, *, live: bool
) -> Iterator[Comparison]:
    """Quantities, prices and sums; on the account quantities agree to the last digit."""
    positions = {position["coin"]: position for position in portfolio["positions"]}
    cash = Decimal(BUDGET) * rate + assets[place.quote]
    value = cash
    for coin in COINS:
        position = positions.get(coin, {})
        quantity = assets.get(coin, Decimal(0))
        price = prices[f"{coin}{place.quote}"]
        value += quantity * price
        yield Comparison(
            f"{coin} quantity", _figure(position, "quantity", Decimal(0)), quantity, Decimal(0) if live else ROUNDING
        )
        if quantity:
            yield Comparison(f"{coin} price", _figure(position, "price"), price)
    for coin, share in LAST.items():
        weight = _figure(positions.get(coin, {}), "weight")
        yield Comparison(f"{coin} weight", weight, Decimal(share), WEIGHT_TOLERANCE)
    in_eur = value / _per_euro(prices, place)
    yield Comparison("cash", _figure(portfolio, "cash"), cash, ROUNDING)
    yield Comparison("value in quote", _figure(portfolio, "total_value_quote"), value, ROUNDING)
    yield Comparison("value in EUR", _figure(portfolio, "total_value"), in_eur, CENT)
    yield Comparison("net deposits", _figure(portfolio, "net_deposits"), Decimal(BUDGET))
    yield Comparison("profit and loss", _figure(portfolio, "profit_loss"), in_eur - Decimal(BUDGET), CENT)


def _compare_states(home: Home, ids: Mapping[str, str], portfolio: Mapping[str, Any]) -> Iterator[Comparison]:
    """The entities against the action's answer, so that the dashboard shows the same."""
    for key in ("total_value", "cash", "profit_loss", "net_deposits"):
        yield Comparison(f"entity {key}", Decimal(home.state(ids[key])), Decimal(portfolio[key]), CENT)


def _figures(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(text) for key, text in texts.items()}


def _figure(record: Mapping[str, Any], key: str, missing: Decimal | None = None) -> Decimal | None:
    value = record.get(key)
    return missing if value is None else Decimal(str(value))


def _mark(agrees: bool) -> str:
    return "✓" if agrees else "✗"


def _print_signals(signals: list[dict[str, Any]]) -> None:
    columns = ("time", "signal", "result", "reason", "legs")
    rows = [(s["time"][:19], s["signal_id"], s["result"], s["reason"], len(s["legs"])) for s in reversed(signals)]
    print(table("Signals", columns, rows))


def _print_trades(trades: list[Trade], agreeing: list[bool]) -> None:
    columns = ("side", "symbol", "quantity", "price", "amount", "fee", "in", "agrees")
    rows = [
        (
            trade.side,
            trade.symbol,
            f"{trade.quantity:.8f}",
            f"{trade.price:.4f}",
            f"{trade.amount:.4f}",
            " + ".join(f"{fee:.8f}" for _, fee in trade.fees),
            " + ".join(asset for asset, _ in trade.fees),
            _mark(agrees),
        )
        for trade, agrees in zip(trades, agreeing, strict=True)
    ]
    print(table("Trades", columns, rows))


def _print_portfolio(portfolio: Mapping[str, Any]) -> None:
    columns = ("coin", "quantity", "entry_price", "price", "value", "weight", "target_weight", "profit_loss")
    rows = [[_short(position[column]) for column in columns] for position in portfolio["positions"]]
    print(table("Portfolio", columns, rows))
    sums = ("mode", "status", "total_value", "total_value_quote", "cash", "net_deposits", "profit_loss")
    print(table("", sums, [[_short(portfolio[key]) for key in sums]]))


def _short(value: object) -> object:
    """Return a figure as people read it; the whole of it is in the comparison."""
    try:
        return f"{Decimal(str(value)):.4f}"
    except InvalidOperation:
        return value


def _print_comparisons(comparisons: list[Comparison]) -> None:
    columns = ("figure", "Home Assistant", "simulator", "tolerance", "agrees")
    rows = [
        (c.what, _text(c.told), _text(c.expected), _text(c.tolerance) if c.tolerance else "", _mark(c.agrees))
        for c in comparisons
    ]
    print(table("Home Assistant against the simulator", columns, rows))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.8f}".rstrip("0").rstrip(".")
