"""Random histories of an account: the wallet's ledger is the account to the last digit, whatever happens to it.

Each has a budget portfolio beside the wallet, orders of both that rest or are in flight, answers that are lost, bans, and an owner who
deposits, withdraws, converts and trades by hand. The same for the same seed; all of them where somebody asks for them, a tenth
in the ordinary run.
"""

from collections import Counter
from contextlib import suppress
from decimal import ROUND_DOWN, Decimal
import os
from random import Random

import pytest

from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.ledger.records import FlowKind
from harness.engine import OpenEngine
from harness.orders import limit

from .rig import ZERO, Rig
from .test_wallet import mirrors

COUNT = int(os.environ.get("CALVALOT_WALLETS", "100"))
STEPS = 8
SHARES = {"BTC": "0.4", "ETH": "0.3", "XRP": "0"}
OUTSIDE = ("BTC", "ETH", "SOL", "USDC")
FAULTS = ("drop", "status", "broken_json", "empty_object", "late")
EIGHT = Decimal("1e-8")
HISTORY = ("hisrec", "history", "tradeFlow", "dribblet", "assetDividend")


class History:
    """One account with two portfolios, and what its owner did on the exchange's pages."""

    def __init__(self, rig: Rig, chance: Random) -> None:
        self.rig = rig
        self.chance = chance
        self.came: Counter[str] = Counter()
        self.wallet: OpenEngine
        self.budget: OpenEngine

    async def begin(self) -> None:
        """A budget portfolio that has bought something, then the wallet over the rest."""
        sim, chance = self.rig.exchange, self.chance
        for coin, quantity in (("BTC", "0.05"), ("ETH", "1.5"), ("SOL", "20"), ("XRP", "300"), ("NOPAIR", "5")):
            if chance.random() < 0.8:
                sim.set_balance(coin, quantity)
        sim.set_balance("USDC", "2500")
        self.rig.leader.publish_v2({"BTC": ".3", "SOL": ".3"})
        self.budget = await self.rig.start(budget="400")
        await self.rig.cycle(self.budget)
        self.wallet = await self.rig.wallet(SHARES, kept=chance.random() < 0.5)
        await self.rig.cycle(self.wallet)
        assert self.wallet.ledger.book().net_deposits is not None

    def _free(self, asset: str) -> Decimal:
        """What its owner may take without taking what is the budget's."""
        book = self.budget.ledger.book().portfolio
        theirs = book.cash if asset == "USDC" else book.quantity(asset)
        return max(self.rig.exchange.account().balances[asset].free - theirs, ZERO)

    def _part(self, asset: str) -> Decimal:
        part = self._free(asset) * Decimal(self.chance.randint(1, 60)) / 100
        return part.quantize(EIGHT, ROUND_DOWN)

    def outside(self) -> None:
        """Something that the owner does on the exchange's own pages."""
        sim, chance = self.rig.exchange, self.chance
        before = sim.balances()
        asset, other = chance.sample(OUTSIDE, 2)
        part = self._part(asset)
        with suppress(ValueError):
            match chance.randrange(8):
                case 0 | 1:
                    sim.deposit(asset, Decimal(chance.randint(1, 9_999_999)) / 10**6)
                case 2 if part:
                    sim.withdraw(asset, part)
                case 3 if part:
                    sim.convert(asset, part, other, Decimal(chance.randint(1, 10**7)) / 10**6)
                case 4 if self._free("XRP") and not self.budget.ledger.book().portfolio.quantity("XRP"):
                    if not sim.account().balances["XRP"].locked:
                        sim.sweep_dust("XRP", "0.00123")
                case 5:
                    sim.reward(asset, Decimal(chance.randint(1, 999)) / 10**6)
                case 6:
                    coin = chance.choice(("BTC", "ETH"))
                    step = sim.symbol(f"{coin}USDC").step
                    quantity = self._part(coin) // step * step
                    if quantity * sim.price(f"{coin}USDC") > 20:
                        sim.trade_by_hand(f"{coin}USDC", "SELL", quantity)
                case _:
                    sim.account().balances[asset].free += part
        after = sim.balances()
        for each in before.keys() | after.keys():
            self.came[each] += after.get(each, ZERO) - before.get(each, ZERO)  # type: ignore[assignment]

    async def inside(self) -> None:
        """Something that happens through the portfolios."""
        chance, sim = self.chance, self.rig.exchange
        who = chance.choice((self.wallet, self.budget))
        match chance.randrange(7):
            case 0:
                self.rig.leader.publish_v2({coin: f"{chance.random() / 4:.3f}" for coin in ("BTC", "ETH", "SOL")})
            case 1 | 2:
                await self.wallet.commands.sync()
            case 3:
                coin = chance.choice(("BTC", "ETH"))
                price, tick = sim.price(f"{coin}USDC"), sim.symbol(f"{coin}USDC").tick
                near = Decimal(chance.randint(950, 1050)) / 1000
                quantity = Decimal(chance.randint(8, 40)) / price
                await who.orders.place(limit(coin, chance.choice(list(Side)), quantity, price * near // tick * tick))
            case 4 if open_orders := sim.open_orders():
                order = chance.choice(open_orders)
                step = sim.symbol(order.symbol).step
                part = (order.quantity - order.executed) * Decimal(chance.randint(1, 10)) / 10 // step * step
                if part:
                    sim.trade_against(order.client_order_id, part)
            case 5:
                await self.budget.commands.deposit(Decimal(chance.randint(1, 20)))
            case _:
                coin = chance.choice(("BTC", "ETH", "SOL"))
                tick = sim.symbol(f"{coin}USDC").tick
                sim.set_price(
                    f"{coin}USDC", sim.price(f"{coin}USDC") * Decimal(chance.randint(97, 103)) / 100 // tick * tick
                )

    async def step(self) -> None:
        """One thing, perhaps with a fault on its way, then cycles."""
        chance, sim = self.chance, self.rig.exchange
        if chance.random() < 0.3:
            method, path = chance.choice(
                (("POST", "/order"), ("GET", "/order"), ("GET", "/account"), ("GET", "/openOrders"))
            )
            sim.fault(chance.choice(FAULTS), when=chance.choice(("before", "after")), method=method, path=path)
        if chance.random() < 0.1:
            sim.fault("status", status=429, path=chance.choice(HISTORY))
        with suppress(CommandError):
            if chance.random() < 0.5:
                self.outside()
            else:
                await self.inside()
        for _ in range(chance.choice((1, 2, 2, 3))):
            if chance.random() < 0.6:
                await self.rig.cycle(self.budget, after=chance.choice((5, 40, 120)))
            await self.look()

    async def look(self) -> None:
        """A cycle of the wallet; what it books moves no return."""
        before, prices = self.wallet.ledger.book(), self.rig.exchange.prices()
        fills, known = self.wallet.ledger.last_fill(), len(self.wallet.ledger.flows(None))
        await self.rig.cycle(self.wallet, after=self.chance.choice((5, 40, 120)))
        book = self.wallet.ledger.book()
        if len(self.wallet.ledger.flows(None)) > known and self.wallet.ledger.last_fill() == fills:
            by_coin = {
                symbol.removesuffix("USDC"): price for symbol, price in prices.items() if symbol.endswith("USDC")
            }
            value, rate = before.portfolio.value(by_coin), self.wallet.snapshot.rate
            assert value
            assert rate
            assert abs(before.units.valued(value.total * rate).price - book.units.price) < Decimal("1e-18")

    async def settle(self) -> None:
        """Everything works again, and what rests is ended."""
        self.rig.exchange.clear_faults()
        for _ in range(3):
            await self.rig.cycle(self.budget)
            await self.look()
        for each in (self.budget, self.wallet):
            await each.orders.withdraw()
        for _ in range(3):
            await self.rig.cycle(self.budget)
            await self.look()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(COUNT))
async def test_random(rig: Rig, seed: int) -> None:
    """The books are the account; what came and left is what its owner did; what has no share was never sold."""
    chance = Random(seed)
    burn = seed % 4 == 3
    rig.exchange.set_account(bnb_burn=burn)
    if burn:
        rig.exchange.set_balance("BNB", "3")
    history = History(rig, chance)
    await history.begin()
    paid_in = history.budget.ledger.book().portfolio.paid_in
    for _ in range(STEPS):
        await history.step()
    await history.settle()
    wallet, budget = history.wallet, history.budget
    assert wallet.ledger.in_flight() == budget.ledger.in_flight() == ()
    mirrors(rig, wallet, budget, apart={"NOPAIR"})
    booked: Counter[str] = Counter()
    for flow in wallet.ledger.flows(None):
        if flow.kind is not FlowKind.INITIAL:
            quantity = flow.quantity if flow.coin else abs(flow.amount_quote)
            booked[flow.coin or "USDC"] += (quantity if flow.arrives else -quantity) if quantity else ZERO  # type: ignore[assignment]
    history.came["USDC"] -= budget.ledger.book().portfolio.paid_in - paid_in  # type: ignore[assignment]
    if not burn:  # fees that one portfolio lends the other come and leave, too
        assert {asset: change for asset, change in booked.items() if change} == {
            asset: change for asset, change in history.came.items() if change
        }
    assert {order.symbol for order in rig.orders("wallet", "SELL")} <= {f"{coin}USDC" for coin in SHARES}
    assert all(flow.explanation for flow in wallet.ledger.flows(None) if flow.kind is not FlowKind.INITIAL)
