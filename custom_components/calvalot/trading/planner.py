"""From what a signal wants to orders: a pure function of wants, book, prices, rules and limits.

It runs twice: `plan` finds what is wanted and sizes the sells; `fund` sizes the buys from the cash that is really there
once the sells are done. All amounts are in the quote asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from .decimals import EXACT, ONE, ZERO
from .exchanges.base import Side
from .limits import Limits
from .market import FEE_MARGIN, LeftOut, Market, PlannedOrder, Reason, make_order, smallest_order, worst_factor
from .portfolio import Portfolio, Valuation
from .wants import Allocation, Moves, Wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sells that can be sent at once, buys as amounts wanted by coin, what was left out, and cash that is not to be spent."""

    sells: tuple[PlannedOrder, ...] = ()
    wanted: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    left_out: tuple[LeftOut, ...] = ()
    reserve: Decimal = ZERO


def plan(
    wants: Wants,
    portfolio: Portfolio,
    valuation: Valuation,
    market: Market,
    limits: Limits,
    blocked: Mapping[tuple[str, Side], Reason],
) -> Plan:
    """What is wanted of this book: sells sized, buys as amounts.

    `blocked` holds the legs that must not be placed now, with the reason (an order in flight, refused twice, done).
    """
    with localcontext(EXACT):
        planner = _Planner(portfolio, valuation, market, limits, blocked)
        if isinstance(wants, Moves):
            planner.moves(wants)
        else:
            planner.targets(wants)
        reserve = (wants.cash or ZERO) * valuation.total if isinstance(wants, Allocation) else ZERO
        return Plan(
            sells=tuple(planner.sells), wanted=planner.wanted, left_out=tuple(planner.left_out), reserve=reserve
        )


class _Planner:
    """One planning run."""

    def __init__(
        self,
        portfolio: Portfolio,
        valuation: Valuation,
        market: Market,
        limits: Limits,
        blocked: Mapping[tuple[str, Side], Reason],
    ) -> None:
        self._portfolio = portfolio
        self._valuation = valuation
        self._market = market
        self._limits = limits
        self._blocked = blocked
        self.sells: list[PlannedOrder] = []
        self.wanted: dict[str, Decimal] = {}
        self.left_out: list[LeftOut] = []

    def moves(self, moves: Moves) -> None:
        """Each move buys or sells its share of the capital."""
        for move in moves.moves:
            trade = self._buy if move.side is Side.BUY else self._sell
            trade(move.coin, move.share * self._valuation.total)

    def targets(self, wants: Allocation) -> None:
        """Each coin moves to its share of the capital; a target of 0 is an exit, however small."""
        capital = self._valuation.total
        threshold = self._limits.rebalance_threshold * capital if wants.cash is None else ZERO
        for coin in sorted({*wants.shares, *self._portfolio.positions} - wants.keep):
            target = wants.shares.get(coin, ZERO)
            difference = target * capital - self._valuation.values.get(coin, ZERO)
            side = Side.BUY if difference > 0 else Side.SELL
            exits = not target and self._portfolio.quantity(coin) > 0
            if not exits and not difference:
                continue
            if not exits and (
                abs(difference) < threshold or (wants.cash is not None and self._is_rest(coin, difference))
            ):
                self._leave(coin, side, Reason.BELOW_THRESHOLD)
            elif side is Side.BUY:
                self._buy(coin, difference)
            elif exits and self._is_dust(coin):
                self._leave(coin, Side.SELL, Reason.DUST)
            else:
                self._sell(coin, -difference)

        if wants.cash is not None:
            self._sell_what_is_needed(wants, wants.cash * capital)

    def _sell_what_is_needed(self, wants: Allocation, cash: Decimal) -> None:
        """Sell no more than the purchases and the cash (quote) that is asked for need; a coin without a share goes whole.

        A purchase that would not be made with what the sells bring in needs nothing.
        """
        purchases = self.wanted
        while True:
            fitted = self._fitted(wants, purchases, cash - self._portfolio.cash)
            brings = sum((order.amount for order in fitted), ZERO) * (ONE - FEE_MARGIN)
            there = self._portfolio.cash + brings - cash
            made, _ = fund(purchases, there, self._valuation.total, self._market, self._limits)
            surviving = {order.coin: purchases[order.coin] for order in made}
            if len(surviving) == len(purchases):
                break
            purchases = surviving
        sold = {order.coin for order in fitted}
        for order in self.sells:
            if order.coin not in sold:
                self._leave(order.coin, Side.SELL, Reason.NOT_NEEDED)
        self.sells = fitted

    def _fitted(self, wants: Allocation, purchases: Mapping[str, Decimal], need: Decimal) -> list[PlannedOrder]:
        """The sells that purchases need beyond the cash that is there, the largest first; `need` without them, in quote."""
        for coin, amount in purchases.items():
            need += amount * worst_factor(self._limits, coin, self._market.rules[self._market.symbol(coin)])
        found = []
        for order in sorted(self.sells, key=lambda order: (order.coin in wants.coins, -order.amount, order.coin)):
            fitted: PlannedOrder | None = order
            if order.coin in wants.coins and order.amount * (ONE - FEE_MARGIN) > need:
                held = self._portfolio.quantity(order.coin)
                fitted = self._sized_sell(order.coin, held, max(need, ZERO) / (ONE - FEE_MARGIN))
            if fitted and fitted.amount <= order.amount:
                found.append(fitted)
                need -= fitted.amount * (ONE - FEE_MARGIN)
        return found

    def _is_rest(self, coin: str, difference: Decimal) -> bool:
        """Whether less than an order is missing from, or too much of, what is held."""
        if not self._portfolio.quantity(coin) or self._market.obstacle(coin):
            return False
        return abs(difference) < smallest_order(self._market, self._limits, coin)

    def _is_dust(self, coin: str) -> bool:
        """Whether all that is held of a coin is less than can be sold, as steps and fees leave behind."""
        if self._market.obstacle(coin):
            return False
        order = make_order(self._market, self._limits, coin, Side.SELL, self._portfolio.quantity(coin))
        return order is None or order.amount < smallest_order(self._market, self._limits, coin)

    def _buy(self, coin: str, amount: Decimal) -> None:
        if reason := self._blocked.get((coin, Side.BUY)) or self._market.obstacle(coin):
            self._leave(coin, Side.BUY, reason)
        elif self._limits.coins is not None and coin not in self._limits.coins:
            self._leave(coin, Side.BUY, Reason.NOT_CHOSEN)
        elif amount < smallest_order(self._market, self._limits, coin):
            self._leave(coin, Side.BUY, Reason.BELOW_MINIMUM)
        else:
            self.wanted[coin] = amount

    def _sell(self, coin: str, amount: Decimal) -> None:
        held = self._portfolio.quantity(coin)
        if reason := self._blocked.get((coin, Side.SELL)):
            self._leave(coin, Side.SELL, reason)
        elif held <= 0:
            self._leave(coin, Side.SELL, Reason.NO_POSITION)
        elif reason := self._market.obstacle(coin):
            self._leave(coin, Side.SELL, reason)
        elif order := self._sized_sell(coin, held, min(amount, self._cap())):
            self.sells.append(order)
        else:
            self._leave(coin, Side.SELL, Reason.BELOW_MINIMUM)

    def _sized_sell(self, coin: str, held: Decimal, amount: Decimal) -> PlannedOrder | None:
        price = self._market.prices[coin]
        rules = self._market.rules[self._market.symbol(coin)]
        smallest = smallest_order(self._market, self._limits, coin)
        quantity = rules.round_quantity(min(held, amount / price))
        rest = (held - quantity) * price
        if rest < max(self._limits.dust_threshold, smallest) and held * price <= self._cap():
            quantity = held
        order = make_order(self._market, self._limits, coin, Side.SELL, quantity)
        return order if order and order.amount >= smallest else None

    def _cap(self) -> Decimal:
        return self._limits.max_order_share * self._valuation.total

    def _leave(self, coin: str, side: Side, reason: Reason) -> None:
        self.left_out.append(LeftOut(coin, self._market.symbol(coin), side, reason))


def fund(
    wanted: Mapping[str, Decimal], cash: Decimal, capital: Decimal, market: Market, limits: Limits
) -> tuple[tuple[PlannedOrder, ...], tuple[LeftOut, ...]]:
    """Size buys from the cash that is there: all scaled alike where it does not reach.

    Buys that scaling would push under their minimum go without, smallest first, so that the largest are still made.
    Each buy is counted at the worst price it may fill at, so that together they never cost more than `cash`.
    """
    with localcontext(EXACT):
        cap = limits.max_order_share * capital
        amounts = {coin: min(amount, cap) for coin, amount in wanted.items()}
        factors = {coin: worst_factor(limits, coin, market.rules.get(market.symbol(coin))) for coin in wanted}
        left_out: list[LeftOut] = []
        while amounts:
            worst = sum((amount * factors[coin] for coin, amount in amounts.items()), ZERO)
            scale = min(ONE, max(cash, ZERO) / worst) if worst else ONE
            orders = {coin: _sized_buy(market, limits, coin, amount * scale) for coin, amount in amounts.items()}
            short = [coin for coin, order in orders.items() if order is None]
            if not short:
                return tuple(order for order in orders.values() if order), tuple(left_out)
            coin = min(short, key=lambda coin: (amounts[coin], coin))
            reason = Reason.NO_CASH if scale < ONE else Reason.BELOW_MINIMUM
            left_out.append(LeftOut(coin, market.symbol(coin), Side.BUY, reason))
            del amounts[coin]
        return (), tuple(left_out)


def _sized_buy(market: Market, limits: Limits, coin: str, amount: Decimal) -> PlannedOrder | None:
    order = make_order(market, limits, coin, Side.BUY, amount / market.prices[coin])
    return order if order and order.amount >= smallest_order(market, limits, coin) else None
