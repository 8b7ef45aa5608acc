"""Another quote asset: the cash becomes that one, the book ends at its value and the next one begins with the same coins.

Nothing else is bought or sold. Units, net deposits and every figure in EUR run on; what had been earned counts as realised.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
import secrets

from .conversion_text import shown, told
from .conversions import Conversions
from .decimals import EXACT, HUNDRED, ONE, ZERO
from .errors import CommandError
from .exchanges.symbols import eur_rate, rate_symbols, symbol_of
from .executor import Executor
from .inputs import Fetcher, Inputs, prices_in
from .ledger.ledger import Ledger
from .ledger.records import Book, CashFlow, FlowKind, Result, SignalRecord
from .plans import REMEMBERED, TOLERANCE, VALID
from .portfolio import COST_DIGITS, Portfolio, Position
from .preparation import Preparation
from .protections import Protections
from .publisher import Publisher
from .responses import Json, figure, iso, text
from .risk import Risk
from .routes import ConversionPlan
from .settings import Settings
from .signal import INITIAL_SYNC, SignalKey
from .signals import Signals
from .snapshot import Status

SMALLEST = Decimal("1e-8")
# How much worse than its last price cash is changed at most; a little of it is left over where it is bought with.
GUARD = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotePlan:
    """What the cash becomes, what the coins are worth in the new quote asset, EUR for one of that."""

    at: datetime
    quote: str
    conversion: ConversionPlan | None
    prices: Mapping[str, Decimal]
    rate: Decimal


class QuoteChange:
    """Changes the quote asset of one portfolio; `working` is held by whoever works on it."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        fetcher: Fetcher,
        executor: Executor,
        conversions: Conversions,
        preparation: Preparation,
        protections: Protections,
        signals: Signals,
        risk: Risk,
        clock: Callable[[], datetime],
        working: Callable[[], AbstractAsyncContextManager[None]],
        publisher: Publisher,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._fetcher = fetcher
        self._executor = executor
        self._conversions = conversions
        self._preparation = preparation
        self._protections = protections
        self._signals = signals
        self._risk = risk
        self._clock = clock
        self._working = working
        self._publisher = publisher
        self._shown: dict[str, QuotePlan] = {}

    async def change(self, quote: str, *, confirm: bool, plan_id: str | None = None) -> Json:
        """Keep the book in another quote asset; without a word only what that would do, as plain JSON.

        Afterwards nothing is traded until the portfolio is set up anew. Raises CommandError.
        """
        known = self._known(plan_id, quote) if confirm and plan_id else None
        async with self._working():
            await self._check(quote)
            async with self._preparation.ready() as inputs:
                plan = await self._plan(quote, inputs)
                if not confirm:
                    return await self._show(plan)
                if known:
                    _compare(known, plan)
                conversion = None
                if plan.conversion:
                    record = await self._conversions.begin(plan.conversion, inputs)
                    conversion = await self._ledger.ask(told, self._ledger, record)
                    if record.result is not Result.EXECUTED:
                        await self._publisher.publish(replace(inputs, market=plan.conversion.market))
                        return {"confirmed": True, "changed": False, "quote_asset": quote, "conversion": conversion}
                left_over = await self._succeed(plan, inputs)
            return {
                "confirmed": True,
                "changed": True,
                "quote_asset": quote,
                "conversion": conversion,
                "left_over": text(left_over),
            }

    # Inside

    async def _check(self, quote: str) -> None:
        """Raise CommandError where the quote asset cannot be changed now."""
        if quote == self._settings.quote:
            raise CommandError("quote_same", quote=quote)
        if self._risk.status is Status.DEAD:
            raise CommandError(Status.DEAD.value)
        if await self._signals.exits.open():
            raise CommandError("exit_runs")
        if await self._ledger.ask(self._ledger.resting) or await self._protections.wanted():
            raise CommandError("orders_rest")

    def _known(self, plan_id: str, quote: str) -> QuotePlan:
        if (known := self._shown.pop(plan_id, None)) is None or known.quote != quote:
            raise CommandError("plan_unknown")
        if self._clock() - known.at > VALID:
            raise CommandError("plan_expired", minutes=f"{VALID.seconds // 60}")
        return known

    async def _plan(self, quote: str, inputs: Inputs) -> QuotePlan:
        """What would be done now. Raises CommandError."""
        book = await self._ledger.ask(self._ledger.book)
        held = {*book.portfolio.positions} - {quote}
        if inputs.account is None or await self._preparation.value(inputs) is None:
            raise CommandError("no_valuation")
        if await self._ledger.ask(self._ledger.in_flight):
            raise CommandError("order_unclear", amount="0.00")
        coins = {*held, *self._settings.coins} - {quote}
        wanted = {symbol_of(coin, quote) for coin in coins}
        market, prices = await self._fetcher.pairs(inputs.market, {*wanted, *rate_symbols(quote)})
        priced = prices_in(quote, {symbol: market.rules[symbol] for symbol in wanted & market.rules.keys()}, prices)
        if missing := sorted(coins - priced.keys()):
            raise CommandError("quote_without", quote=quote, coins=", ".join(missing))
        if (rate := eur_rate(quote, prices)) is None:
            raise CommandError("no_valuation")
        conversion, cash = None, book.portfolio.cash
        try:
            conversion = await self._conversions.plan(self._settings.quote, quote, cash, inputs, slippage=GUARD)
        except CommandError:
            if cash > self._settings.min_order * 2:  # less than an order is left over
                raise
        return QuotePlan(at=self._clock(), quote=quote, conversion=conversion, prices=priced, rate=rate)

    async def _show(self, plan: QuotePlan) -> Json:
        plan_id = secrets.token_hex(8)
        self._shown[plan_id] = plan
        while len(self._shown) > REMEMBERED:
            del self._shown[next(iter(self._shown))]
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        conversion = plan.conversion
        return {
            "confirmed": False,
            "plan_id": plan_id,
            "as_of": iso(plan.at),
            "quote_asset": plan.quote,
            "from_asset": self._settings.quote,
            "conversion": conversion and shown(conversion, plan_id, plan.at),
            "left_over": figure(portfolio.cash - (conversion.takes if conversion else ZERO)),
            "kept": [
                {"coin": coin, "quantity": text(held.quantity), "value": figure(held.quantity * plan.prices[coin])}
                for coin, held in sorted(portfolio.positions.items())
                if coin != plan.quote
            ],
        }

    async def _succeed(self, plan: QuotePlan, inputs: Inputs) -> Decimal:
        """End the book and begin the next one; returns the cash (in the former quote asset) that is left out of it."""
        await self._signals.overtake_all()
        book = await self._ledger.ask(self._ledger.book)
        flows = await self._ledger.ask(self._ledger.flows, None)
        last = await self._ledger.ask(self._ledger.last_fill)
        now = self._clock()
        prices = plan.conversion.market.prices if plan.conversion else inputs.market.prices
        with localcontext(EXACT):
            ended = ending(book, prices, inputs.rate or ZERO, now, last)
            begun = beginning(book, sorted(flows, key=lambda flow: flow.seq), plan, inputs.rate or ZERO, now)
        known = await self._ledger.ask(self._signals_known)
        number = await self._ledger.ask(self._ledger.next_number)
        await self._ledger.ask(self._ledger.succeed, number, plan.quote, ended, begun, known)
        self._executor.stopping = True  # what is in memory is of the book that has ended
        return book.portfolio.cash

    def _signals_known(self) -> list[SignalRecord]:
        """The newest signals of each source, which the next book does not trade again."""
        found: dict[SignalKey, SignalRecord] = {}
        for source in {record.source for record in self._ledger.signals(1000)}:
            known = (
                self._ledger.signal(SignalKey(source, INITIAL_SYNC)),
                self._ledger.newest_allocation(source),
                self._ledger.newest_of(source),
            )
            found |= {record.key: replace(record, seq=0) for record in known if record}
        return sorted(found.values(), key=lambda record: record.seen_at)


def ending(
    book: Book, prices: Mapping[str, Decimal], rate: Decimal, now: datetime, last_fill: int
) -> tuple[list[CashFlow], Book]:
    """What leaves a book that ends, at its value in quote and EUR, and the empty book."""
    portfolio, units, deposits = book.portfolio, book.units, book.net_deposits or ZERO
    flows: list[CashFlow] = []
    worth = {coin: (held.quantity * prices[coin]).quantize(COST_DIGITS) for coin, held in portfolio.positions.items()}
    left = (portfolio.cash + sum(worth.values(), ZERO)) * rate
    leaving = [*((coin, held.quantity, worth[coin]) for coin, held in portfolio.positions.items())]
    for coin, quantity, value in (*leaving, (None, None, portfolio.cash)):
        amount = (value * rate).quantize(SMALLEST)
        if value <= 0:
            continue
        flows.append(
            CashFlow(
                kind=FlowKind.CARRIED,
                amount=-amount,
                amount_quote=-value,
                time=now,
                value_before=left,
                coin=coin,
                quantity=quantity,
                after_fill=last_fill if coin else None,
            )
        )
        units = units.with_flow(left, -value * rate)
        left, deposits = left - value * rate, deposits - amount
        portfolio = portfolio.with_withdrawal(coin, quantity or ZERO, value) if coin else portfolio.with_flow(-value)
    return flows, replace(book, portfolio=portfolio, net_deposits=deposits, units=units)


def beginning(
    book: Book, flows: Sequence[CashFlow], plan: QuotePlan, rate: Decimal, now: datetime
) -> tuple[list[CashFlow], Book]:
    """What a book carries into the next one, which runs on from it; cash that could not be changed is taken out.

    `flows` are those of the book so far, oldest first; `rate` is EUR for one of its quote asset.
    """
    held = book.portfolio.positions
    cash = held.get(plan.quote, Position()).quantity
    worth = {coin: each.quantity * plan.prices[coin] for coin, each in held.items() if coin != plan.quote}
    value = sum(worth.values(), cash)
    carried = [
        CashFlow(
            kind=flow.kind if flow.kind is FlowKind.CORRECTION else FlowKind.CARRIED,
            amount=flow.amount,
            amount_quote=ZERO if flow.kind is FlowKind.CORRECTION else (flow.amount / plan.rate).quantize(SMALLEST),
            time=flow.time,
            note=flow.note,
            value_before=flow.value_before,
            explanation=flow.explanation,
        )
        for flow in flows
        if flow.amount
    ]
    units, deposits = book.units, book.net_deposits or ZERO
    out = book.portfolio.cash * rate
    if amount := out.quantize(SMALLEST):
        whole = value * plan.rate + out
        carried.append(
            CashFlow(
                kind=FlowKind.CARRIED,
                amount=-amount,
                amount_quote=-(amount / plan.rate).quantize(SMALLEST),
                time=now,
                value_before=whole,
            )
        )
        units, deposits = units.valued(whole).with_flow(whole, -out), deposits - amount
    paid_in = sum((flow.amount_quote for flow in carried), ZERO)
    earned = value - paid_in
    opening = CashFlow(kind=FlowKind.CARRIED, amount=ZERO, amount_quote=earned, time=now)
    if earned:
        carried.append(opening)
    portfolio = Portfolio(cash=value, paid_in=paid_in, realised=earned)
    for coin, each in worth.items():
        quantity = held[coin].quantity
        carried.append(replace(opening, amount_quote=each, coin=coin, quantity=quantity, after_fill=0))
        portfolio = portfolio.with_carried(coin, quantity, each)
    return carried, replace(book, portfolio=portfolio, net_deposits=deposits, units=units)


def _compare(known: QuotePlan, plan: QuotePlan) -> None:
    """Raise CommandError where the prices have moved too far since the plan was shown."""
    changes = {coin: price / known.prices[coin] - ONE for coin, price in plan.prices.items() if coin in known.prices}
    if moved := [f"{coin} {change * HUNDRED:+.1f} %" for coin, change in changes.items() if abs(change) > TOLERANCE]:
        raise CommandError("prices_moved", coins=", ".join(moved), limit=f"{TOLERANCE * HUNDRED:.1f}")
