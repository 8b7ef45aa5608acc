"""What the follower's tests build their cases from; amounts are given as text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from custom_components.calvalot.trading.decimals import ZERO
from custom_components.calvalot.trading.exchanges.base import Fill, OrderReport, OrderStatus, Side, SymbolRules
from custom_components.calvalot.trading.ledger.records import CashFlow, FlowKind, OrderRecord, SignalRecord
from custom_components.calvalot.trading.portfolio import Portfolio, Position
from custom_components.calvalot.trading.signal import PORTFOLIO, RECOVERED, SignalKey, SourceKind
from custom_components.calvalot.trading.sizing import Market
from custom_components.calvalot.trading.wants import Allocation, Move, Moves

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUOTE = "USDC"


def decimals(values: Mapping[str, str | Decimal]) -> dict[str, Decimal]:
    """The same mapping with decimals."""
    return {key: Decimal(value) for key, value in values.items()}


def make_rules(coin: str = "BTC", **changes: Any) -> SymbolRules:
    """Rules as Binance's: a step of 0.00001, a tick of 0.01, orders from 5 USDC."""
    usual = SymbolRules(
        symbol=f"{coin}{QUOTE}",
        base=coin,
        quote=QUOTE,
        step=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        max_quantity=Decimal(9000),
        tick=Decimal("0.01"),
        min_price=Decimal("0.01"),
        max_price=Decimal(1_000_000),
        min_notional=Decimal(5),
    )
    return replace(usual, **changes)


def make_market(prices: Mapping[str, str | Decimal], **rules: SymbolRules) -> Market:
    """A market with usual rules for each coin that has a price, but for those given."""
    each = {coin: make_rules(coin) for coin in prices} | rules
    return Market(quote=QUOTE, prices=decimals(prices), rules={rule.symbol: rule for rule in each.values()})


def make_portfolio(cash: str, **positions: str) -> Portfolio:
    """A book with cash and quantities by coin, each of which cost 1 USDC."""
    held = {coin: Position(Decimal(quantity), Decimal(1)) for coin, quantity in positions.items()}
    paid_in = Decimal(cash) + len(held)
    return Portfolio(cash=Decimal(cash), paid_in=paid_in, positions=held)


def make_fill(quantity: str, price: str, fee: str = "0", fee_asset: str = QUOTE, **changes: Any) -> Fill:
    """A fill whose amount is price times quantity."""
    fill = Fill(
        trade_id="1",
        order_id="1",
        price=Decimal(price),
        quantity=Decimal(quantity),
        amount=Decimal(price) * Decimal(quantity),
        fee=Decimal(fee),
        fee_asset=fee_asset,
        time=NOW,
    )
    return replace(fill, **changes)


def make_order(side: Side = Side.BUY, quantity: str = "1", coin: str = "BTC", **changes: Any) -> OrderRecord:
    """A planned order; its client order id follows from coin, side, leg and attempt."""
    order = OrderRecord(
        signal_id="signal",
        coin=coin,
        symbol=f"{coin}{QUOTE}",
        side=side,
        leg=0,
        attempt=1,
        client_order_id="",
        quantity=Decimal(quantity),
        created_at=NOW,
    )
    order = replace(order, **changes)
    named = f"cv-{order.coin}-{order.side}-{order.leg}-{order.attempt}".lower()
    return replace(order, client_order_id=order.client_order_id or named)


def make_report(order: OrderRecord, *fills: Fill, **changes: Any) -> OrderReport:
    """What the exchange says of an order that ended with these fills."""
    report = OrderReport(
        client_order_id=order.client_order_id,
        order_id=fills[0].order_id if fills else "1",
        symbol=order.symbol,
        side=order.side,
        status=OrderStatus.FILLED,
        quantity=order.quantity,
        executed_quantity=sum((fill.quantity for fill in fills), ZERO),
        executed_amount=sum((fill.amount for fill in fills), ZERO),
        time=fills[0].time if fills else NOW,
        fills=fills,
    )
    return replace(report, **changes)


def key(signal_id: str) -> SignalKey:
    """What names a signal: a leader's, or one of the portfolio's own by its id."""
    own = signal_id == RECOVERED or signal_id.startswith(("stop_loss-", "exit-"))
    return SignalKey(PORTFOLIO if own else SourceKind.LEADER, signal_id)


def make_record(signal_id: str = "signal", **changes: Any) -> SignalRecord:
    """A signal with an allocation as it is taken up."""
    return replace(SignalRecord(signal_id=signal_id, wants=Allocation(), seen_at=NOW), **changes)


def make_targets(targets: Mapping[str, str | Decimal]) -> Allocation:
    """An allocation."""
    return Allocation(shares=decimals(targets))


def make_moves(*moves: tuple[str, Side, str]) -> Moves:
    """Moves of (coin, side, share of capital)."""
    return Moves(tuple(Move(coin, side, Decimal(share)) for coin, side, share in moves))


# Anything that can happen to a book

COINS = ("BTC", "BNB", "XRP")
FEE_ASSETS = (*COINS, QUOTE, "DOGE")


@dataclass(frozen=True, slots=True)
class Flow:
    """Money in or out, in quote."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class Taken:
    """Coins that were taken out of the account, and what they were worth in quote."""

    coin: str
    quantity: Decimal
    value: Decimal


def make_withdrawal(taken: Taken, **changes: Any) -> CashFlow:
    """The withdrawal in kind of those coins."""
    flow = CashFlow(
        kind=FlowKind.WITHDRAWAL,
        amount=-taken.value,
        amount_quote=-taken.value,
        time=NOW,
        coin=taken.coin,
        quantity=taken.quantity,
    )
    return replace(flow, **changes)


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill of a coin, and the price in quote of its fee's asset."""

    coin: str
    side: Side
    fill: Fill
    fee_price: Decimal


def amounts(largest: str, places: int = 8, smallest: str = "0") -> st.SearchStrategy[Decimal]:
    """Amounts with as many decimals as an exchange gives."""
    return st.decimals(smallest, largest, places=places)


@st.composite
def trades(draw: st.DrawFn) -> Trade:
    """Any one fill, its fee in the coin, the quote, the exchange's coin or something else."""
    quantity = draw(amounts("100", smallest="0.00000001"))
    price = draw(amounts("100000", smallest="0.00000001"))
    fee_asset = draw(st.sampled_from(FEE_ASSETS))
    coin = draw(st.sampled_from(COINS))
    largest = quantity if fee_asset == coin else Decimal(10)
    fill = make_fill(str(quantity), str(price), str(draw(amounts(str(largest)))), fee_asset)
    fill = replace(fill, amount=fill.amount.quantize(Decimal("1e-8")))
    # What the coin itself cost, as the executor finds it, has all the digits that there are.
    fee_price = fill.amount / quantity if fee_asset == coin else draw(amounts("1000"))
    if fee_asset == QUOTE:
        fee_price = Decimal(1)
    return Trade(coin, draw(st.sampled_from(Side)), fill, fee_price)


type Step = Flow | Taken | Trade


def steps(longest: int = 30) -> st.SearchStrategy[list[Step]]:
    """Anything in any order, possible or not."""
    flows = amounts("1000000", smallest="-1000000").map(Flow)
    taken = st.builds(
        Taken, coin=st.sampled_from(COINS), quantity=amounts("50", smallest="0.00000001"), value=amounts("100000", 16)
    )
    return st.lists(trades() | flows | taken, max_size=longest).map(_numbered)


def _numbered(happened: list[Step]) -> list[Step]:
    """The same, each fill with an id and a moment of its own."""
    return [
        replace(
            step,
            fill=replace(step.fill, trade_id=str(number), order_id=str(number), time=NOW + timedelta(seconds=number)),
        )
        if isinstance(step, Trade)
        else step
        for number, step in enumerate(happened, 1)
    ]
