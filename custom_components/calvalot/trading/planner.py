"""From what a signal wants to orders: a pure function of wants, book, prices, rules and limits.

It runs twice: `plan` finds what is wanted and sizes the sells; `fund` sizes the buys from the cash that is really there
once the sells are done. All amounts are in the quote asset.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext

from .decimals import EXACT, ZERO
from .exchanges.base import OrderType, Side
from .funding import Funded, as_planned, at_limits, nearest, needed, proceeds, scaled_alike
from .limits import Limits
from .portfolio import Portfolio, Valuation
from .sizing import LeftOut, Market, PlannedOrder, Reason, make_order, smallest_order
from .terms import Terms
from .wants import Allocation, Moves, Orders, Wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sells that can be sent at once, buys as amounts wanted by coin, and what was left out.

    `reserve` is the cash (quote) that is not to be spent, of an allocation that asks for some; None of all else.
    `buys` are those whose sizes are given, `resting` those that wait for their price.
    """

    sells: tuple[PlannedOrder, ...] = ()
    wanted: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    left_out: tuple[LeftOut, ...] = ()
    reserve: Decimal | None = None
    buys: tuple[PlannedOrder, ...] = ()
    resting: tuple[PlannedOrder, ...] = ()


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
        elif isinstance(wants, Orders):
            planner.orders(wants)
        else:
            planner.targets(wants)
        return Plan(
            sells=tuple(planner.sells),
            wanted=planner.wanted,
            left_out=tuple(planner.left_out),
            reserve=planner.reserve,
            buys=tuple(planner.buys),
            resting=tuple(planner.resting),
        )


# What cannot be sold since orders that rest have locked it; it is held all the same.
LOCKED_BY_ORDERS = (Side.SELL, Reason.RESTING)


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
        self.reserve: Decimal | None = None
        self.buys: list[PlannedOrder] = []
        self.resting: list[PlannedOrder] = []

    def orders(self, orders: Orders) -> None:
        """Each order as it is, at the price guard of this moment; a purchase never for more than it was planned for."""
        for order in orders.orders:
            coin, side, quantity = order.coin, order.side, order.quantity
            short = side is Side.SELL and self._portfolio.quantity(coin) < quantity
            reason = self._blocked.get((coin, side)) or self._market.obstacle(coin)
            reason = reason or (Reason.NO_POSITION if short else None)
            placed = None if reason else make_order(self._market, self._limits, coin, side, quantity)
            if placed is None or placed.amount < smallest_order(self._market, self._limits, coin):
                self._leave(coin, side, reason or Reason.BELOW_MINIMUM)
            elif side is Side.SELL:
                self.sells.append(placed)
            else:
                guard = placed.limit_price and order.limit_price and min(placed.limit_price, order.limit_price)
                self.buys.append(replace(placed, limit_price=guard, quote_amount=order.quote_amount))

    def moves(self, moves: Moves) -> None:
        """Each move buys or sells its share of the capital, at once or at its limit."""
        for move in moves.moves:
            trade = self._buy if move.side is Side.BUY else self._sell
            trade(move.coin, move.share * self._valuation.total)
        limited = {(each.coin, each.side): each.terms for each in moves.moves if each.terms and each.terms.limit}
        sells = [(order, limited.get((order.coin, Side.SELL))) for order in self.sells]
        self.sells = [self._waiting(order, terms) if terms else order for order, terms in sells]
        for (coin, side), terms in limited.items():
            if side is Side.BUY and (amount := self.wanted.pop(coin, None)) is not None:
                self._buy_later(coin, min(amount, self._cap()), terms)

    def targets(self, wants: Allocation) -> None:
        """Each coin moves to its share of the capital; a target of 0 is an exit, however small.

        With cash that is asked for no more is sold than is needed, but for coins that go altogether.
        """
        capital = self._valuation.total
        self.reserve = None if wants.cash is None else wants.cash * capital
        locked = {coin for (coin, side), reason in self._blocked.items() if (side, reason) == LOCKED_BY_ORDERS}
        for coin in sorted({*wants.shares, *wants.keep, *self._portfolio.positions, *locked}):
            target, held = wants.shares.get(coin, ZERO), self._portfolio.quantity(coin)
            difference = target * capital - self._valuation.values.get(coin, ZERO)
            side = Side.BUY if difference > 0 else Side.SELL
            exits = not target and held > 0
            if coin in wants.keep:
                self._leave(coin, Side.SELL if held else Side.BUY, Reason.IN_BAND)
            elif not exits and not difference:
                continue
            elif not exits and abs(difference) < self._least(coin):
                self._leave(coin, side, Reason.BELOW_THRESHOLD)
            elif side is Side.BUY:
                self._buy(coin, difference)
            elif exits and coin not in locked and self._is_dust(coin):
                self._leave(coin, Side.SELL, Reason.DUST)
            else:
                self._sell(coin, -difference, whole=exits or self.reserve is None)
        if self.reserve is not None:
            self._sell_what_is_needed(wants.coins, self.reserve)

    def _least(self, coin: str) -> Decimal:
        """Difference from which on a coin is traded: the threshold, or with cash that is asked for the smallest order."""
        if self.reserve is None:
            return self._limits.rebalance_threshold * self._valuation.total
        if not self._portfolio.quantity(coin) or self._market.obstacle(coin):
            return ZERO  # what keeps it from being traded says more
        return smallest_order(self._market, self._limits, coin)

    def _sell_what_is_needed(self, coins: Collection[str], reserve: Decimal) -> None:
        """Sell no more of these coins than the purchases that are made and the cash that is asked for need."""
        exits = [order for order in self.sells if order.coin not in coins]
        others = [order for order in self.sells if order.coin in coins]
        planned = Plan(wanted=self.wanted, reserve=ZERO)

        def buy(cash: Decimal) -> Sequence[PlannedOrder]:
            return fund(planned, cash, self._valuation.total, self._market, self._limits)[0]

        kept = needed(others, self._portfolio.cash + proceeds(exits) - reserve, buy, self._market, self._limits)
        for order in others:
            if order.coin not in {each.coin for each in kept}:
                self._leave(order.coin, Side.SELL, Reason.NOT_NEEDED)
        self.sells = sorted((*exits, *kept), key=lambda order: order.coin)

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

    def _sell(self, coin: str, amount: Decimal, *, whole: bool = True) -> None:
        """Sell an amount; as a `whole` with the rest that could not be sold later."""
        held = self._portfolio.quantity(coin)
        if reason := self._blocked.get((coin, Side.SELL)):
            self._leave(coin, Side.SELL, reason)
        elif held <= 0:
            self._leave(coin, Side.SELL, Reason.NO_POSITION)
        elif reason := self._market.obstacle(coin):
            self._leave(coin, Side.SELL, reason)
        elif order := self._sized_sell(coin, held, min(amount, self._cap()), whole=whole):
            self.sells.append(order)
        else:
            self._leave(coin, Side.SELL, Reason.BELOW_MINIMUM)

    def _buy_later(self, coin: str, amount: Decimal, terms: Terms) -> None:
        order = make_order(self._market, self._limits, coin, Side.BUY, amount / self._market.prices[coin])
        order = order and self._waiting(order, terms)
        if order is None or order.amount < smallest_order(self._market, self._limits, coin):
            self._leave(coin, Side.BUY, Reason.BELOW_MINIMUM)
        else:
            self.resting.append(order)

    def _waiting(self, order: PlannedOrder, terms: Terms) -> PlannedOrder:
        """An order that waits for its price."""
        slippage = self._limits.slippage(order.coin)
        limit = terms.limit_price(order.side, order.price, self._market.rules[order.symbol], slippage)
        amount = order.quantity * limit
        return replace(order, type=OrderType.LIMIT, limit_price=limit, amount=amount, quote_amount=None)

    def _sized_sell(self, coin: str, held: Decimal, amount: Decimal, *, whole: bool) -> PlannedOrder | None:
        price = self._market.prices[coin]
        rules = self._market.rules[self._market.symbol(coin)]
        smallest = smallest_order(self._market, self._limits, coin)
        quantity = rules.round_quantity(min(held, amount / price))
        rest = (held - quantity) * price
        if whole and rest < max(self._limits.dust_threshold, smallest) and held * price <= self._cap():
            quantity = held
        order = make_order(self._market, self._limits, coin, Side.SELL, quantity)
        return order if order and order.amount >= smallest else None

    def _cap(self) -> Decimal:
        return self._limits.max_order_share * self._valuation.total

    def _leave(self, coin: str, side: Side, reason: Reason) -> None:
        self.left_out.append(LeftOut(coin, self._market.symbol(coin), side, reason))


def fund(planned: Plan, cash: Decimal, capital: Decimal, market: Market, limits: Limits) -> Funded:
    """Size buys from the cash that is there, all but what is to be kept of it.

    Each buy is counted at the worst price it may fill at, so that together they never cost more.
    """
    with localcontext(EXACT):
        cap = limits.max_order_share * capital
        if planned.buys:
            return as_planned(planned.buys, cash, market, limits)
        if planned.resting:
            waiting, short, cash = at_limits(planned.resting, cash, market, limits)
            buys, left_out = fund(replace(planned, resting=()), cash, capital, market, limits)
            return (*waiting, *buys), (*short, *left_out)
        amounts = {coin: min(amount, cap) for coin, amount in planned.wanted.items()}
        if planned.reserve is None:
            return scaled_alike(amounts, max(cash, ZERO), market, limits)
        return nearest(amounts, max(cash - planned.reserve, ZERO), capital, market, limits)
