"""The whole account as one portfolio: what is there is taken in, what comes or leaves later is booked as a flow in kind.

Balances decide. What the account holds beyond the books of the other portfolios on it is the wallet's; where that is not what
its own book says, something came or left. It is booked once no order of any portfolio there is unclear, unbooked or going on,
and two readings, at least the shortest poll interval apart, show the same. The account's history only explains it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
import json

from .account import Held
from .accounts import Accounts
from .cash_flows import SMALLEST
from .decimals import EXACT, ONE, ZERO
from .errors import ExchangeError
from .exchanges.base import AccountId, Balance, Exchange, Mode, RestingOrder
from .explaining import Explainer
from .explanation import Explained, Explanation
from .inputs import Inputs
from .ledger.ledger import Ledger
from .ledger.records import Book, CashFlow, FlowKind
from .replay import with_flow_in_kind
from .settings import Settings
from .snapshot import Apart

# Two readings are at least so far apart: the shortest time between two cycles.
APART = timedelta(seconds=30)
# The fact that says what the other books held when the account last was as the book says, and when.
AGREED = "agreed"
# How old that may grow while nothing changes.
AGREED_AGE = timedelta(hours=1)
# The fact that says, on paper, what of the account could not be copied.
NOT_COUNTED = "apart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """When account and book last agreed, and what the other books of the account held then."""

    at: datetime
    quantities: Mapping[str, Decimal]
    paid_in: Decimal = ZERO
    lent: Decimal = ZERO

    def is_same(self, others: Held) -> bool:
        """Whether the others hold the same still."""
        return (self.quantities, self.paid_in, self.lent) == (others.quantities, others.paid_in, others.lent)


class Wallet:
    """Keeps the book of one portfolio what the account holds beyond the books of others."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        accounts: Accounts,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._ledger = ledger
        self._accounts = accounts
        self._clock = clock
        self._explainer = Explainer(exchange, ledger, accounts)
        self._account: AccountId | None = None
        self._before = Held()
        self._seen: dict[str, tuple[Decimal, datetime]] = {}

    async def count(self) -> None:
        """Take note of what the other books hold, before the balances are asked for. Raises ExchangeError."""
        if self._settings.mode is Mode.LIVE:
            self._account = await self._exchange.account_id()
            self._before = await self._held()

    async def others(self) -> Held:
        """What the other books hold; unclear where that is not what it was before the balances were asked for."""
        now = await self._held()
        return replace(now, unclear=now.unclear or self._before.unclear or not _same(now, self._before))

    async def open(self, inputs: Inputs, book: Book) -> Book | None:
        """Take in what is there, at the prices of this moment, in one commit.

        None while the rate or what the other portfolios hold is unknown, or all of it is worth less than the portfolio needs to
        live on.
        """
        others, balances = inputs.others, inputs.balances
        if inputs.to_copy:
            self._account, balances = inputs.to_copy
            others = await self._held()
        if others is None or others.unclear or balances is None or inputs.rate is None:
            return None
        differences = self._differences(balances, others, book, inputs)
        if not await self._is_still(others):
            return None
        differences = {asset: quantity for asset, quantity in differences.items() if self._price(asset, inputs)}
        worth = sum((quantity * self._price(asset, inputs) for asset, quantity in differences.items()), ZERO)
        if worth * inputs.rate < self._settings.survival_floor:
            return None
        quote = self._settings.quote
        parts = {asset: (Explained(quantity=quantity, explanation=None),) for asset, quantity in differences.items()}
        parts.setdefault(quote, (Explained(quantity=ZERO, explanation=None),))
        if self._settings.mode is Mode.DRY_RUN:
            apart = self._not_counted(balances, others, book, inputs)
            known = json.dumps({asset: f"{quantity:f}" for asset, quantity in apart.items()})
            await self._ledger.ask(self._ledger.remember, NOT_COUNTED, known)
        return await self._book(parts, book, inputs, inputs.rate, others, FlowKind.INITIAL)

    async def reckon(self, inputs: Inputs, book: Book) -> Book:
        """Book what came or left since the account and the book agreed; the book as it is now. Raises LedgerError."""
        others = inputs.others
        if inputs.balances is None or others is None:  # paper
            return book
        if others.unclear or bool(await self._ledger.ask(self._ledger.in_flight)):
            self._seen = {}
            return book
        now = self._clock()
        differences = self._differences(inputs.balances, others, book, inputs)
        if not differences:
            self._seen = {}
            await self._agree(others, now)
            return book
        self._seen = {
            asset: known if (known := self._seen.get(asset)) and known[0] == quantity else (quantity, now)
            for asset, quantity in differences.items()
        }
        ripe = {asset: quantity for asset, (quantity, since) in self._seen.items() if now - since >= APART}
        ripe = {asset: quantity for asset, quantity in ripe.items() if self._price(asset, inputs)}
        valuation = book.portfolio.value(inputs.market.prices)
        if not ripe or valuation is None or inputs.rate is None or self._exchange.pause:
            return book
        if not await self._is_still(others):
            self._seen = {}
            return book
        agreed = await self._agreed()
        parts = {asset: self._beside(asset, quantity, others, agreed) for asset, quantity in ripe.items()}
        unknown = {asset: quantity for asset, quantity in ripe.items() if not parts[asset]}
        if unknown:
            parts |= await self._explainer.explain(unknown, inputs.listed, agreed.at, now)
        book = await self._book(parts, book, inputs, inputs.rate, others, None)
        self._seen = {asset: seen for asset, seen in self._seen.items() if asset not in parts}
        return book

    async def apart(self, inputs: Inputs, book: Book) -> tuple[Apart, ...]:
        """What the account holds for the wallet that is in no book: it has no pair, or no price. Raises LedgerError."""
        if inputs.balances is None:
            text = await self._ledger.ask(self._ledger.fact, NOT_COUNTED)
            known = {asset: Decimal(quantity) for asset, quantity in (json.loads(text) if text else {}).items()}
        else:
            known = self._not_counted(inputs.balances, inputs.others or Held(), book, inputs)
        return tuple(
            Apart(asset=asset, quantity=quantity, earning=self._exchange.earning(asset))
            for asset, quantity in sorted(known.items())
        )

    # Inside

    async def _held(self) -> Held:
        return await self._accounts.held(self._account, self._ledger.path) if self._account else Held()

    def _price(self, asset: str, inputs: Inputs) -> Decimal:
        """Price in quote; 0 where it is unknown."""
        return ONE if asset == self._settings.quote else inputs.market.prices.get(asset, ZERO)

    def _not_counted(
        self, balances: Mapping[str, Balance], others: Held, book: Book, inputs: Inputs
    ) -> dict[str, Decimal]:
        """What is there and can be neither valued nor traded, by asset."""
        counted = {self._settings.quote, *book.portfolio.positions}
        return {
            asset: quantity
            for asset, balance in balances.items()
            if asset not in counted
            and (not self._price(asset, inputs) or asset in inputs.market.aside)
            and (quantity := balance.free + balance.locked - others.quantities.get(asset, ZERO)) > 0
        }

    def _differences(
        self, balances: Mapping[str, Balance], others: Held, book: Book, inputs: Inputs
    ) -> dict[str, Decimal]:
        """What the account has more (positive) or less of than its books, by asset; of coins that are listed or in the book."""
        portfolio, quote = book.portfolio, self._settings.quote
        known = {rules.base for rules in inputs.market.rules.values() if rules.quote == quote and not rules.closed}
        found: dict[str, Decimal] = {}
        for asset in {quote, *portfolio.positions, *(known & balances.keys())}:
            balance = balances.get(asset, Balance(ZERO))
            there = max(balance.free + balance.locked - others.quantities.get(asset, ZERO), ZERO)
            here = portfolio.cash if asset == quote else portfolio.quantity(asset)
            if there != here:
                found[asset] = there - here
        return found

    async def _is_still(self, others: Held) -> bool:
        """Whether no order that rests on the account has gone on since it was written down, whosever it is."""
        resting = (*others.resting, *await self._ledger.ask(self._ledger.resting))
        if self._settings.mode is Mode.DRY_RUN or not resting:
            return True
        asked = [RestingOrder(order.request, order.report) for order in resting]
        try:
            found = await self._exchange.progress(asked)
        except ExchangeError:
            return False
        return all(
            (report := found.get(order.client_order_id))
            and not report.done
            and report.executed_quantity == order.executed_quantity
            for order in resting
        )

    def _beside(self, asset: str, quantity: Decimal, others: Held, agreed: Agreed) -> tuple[Explained, ...]:
        """Whether it went to another portfolio of the account or came from there; nothing where that does not explain it."""
        moved = others.quantities.get(asset, ZERO) - agreed.quantities.get(asset, ZERO)
        lent = others.lent - agreed.lent
        given = {moved}
        if asset == self._settings.quote:
            given |= {others.paid_in - agreed.paid_in}
        if asset == self._exchange.fee_coin:
            given |= {lent}
        if -quantity in given:
            return (Explained(quantity=quantity, explanation=Explanation.PORTFOLIO),)
        return ()

    async def _agree(self, others: Held, now: datetime) -> None:
        """Remember that account and book agree."""
        known = await self._agreed()
        if not known.is_same(others) or now - known.at >= AGREED_AGE:
            await self._ledger.ask(self._ledger.remember, AGREED, _text(others, now))

    async def _agreed(self) -> Agreed:
        """When they last agreed; at the latest that was when the book was opened."""
        text = await self._ledger.ask(self._ledger.fact, AGREED)
        known = json.loads(text or _text(Held(), self._clock()))
        return Agreed(
            at=datetime.fromisoformat(known["at"]),
            quantities={asset: Decimal(quantity) for asset, quantity in known["quantities"].items()},
            paid_in=Decimal(known["paid_in"]),
            lent=Decimal(known["lent"]),
        )

    async def _book(
        self,
        parts: Mapping[str, tuple[Explained, ...]],
        book: Book,
        inputs: Inputs,
        rate: Decimal,
        others: Held,
        kind: FlowKind | None,
    ) -> Book:
        """Write a flow for each part, what comes before what leaves, in one commit with what the other books hold."""
        now, quote = self._clock(), self._settings.quote
        flows: list[CashFlow] = []
        references: list[str] = []
        with localcontext(EXACT):
            valuation = book.portfolio.value(inputs.market.prices)
            value = valuation.total if valuation and kind is not FlowKind.INITIAL else ZERO
            each = [(asset, part) for asset, found in sorted(parts.items()) for part in found]
            for asset, part in sorted(each, key=lambda pair: pair[1].quantity < 0):
                worth = part.quantity * self._price(asset, inputs)
                flow = CashFlow(
                    kind=kind or (FlowKind.DEPOSIT if part.quantity > 0 else FlowKind.WITHDRAWAL),
                    amount=(worth * rate).quantize(SMALLEST),
                    amount_quote=worth,
                    time=now,
                    value_before=value * rate,
                    coin=None if asset == quote else asset,
                    quantity=None if asset == quote else abs(part.quantity),
                    explanation=part.explanation,
                )
                portfolio = book.portfolio
                book = replace(
                    book,
                    net_deposits=(book.net_deposits or ZERO) + flow.amount,
                    portfolio=with_flow_in_kind(portfolio, flow) if flow.coin else portfolio.with_flow(worth),
                    units=book.units.with_flow(value * rate, worth * rate),
                )
                value += worth
                flows.append(flow)
                references += part.references
        facts = {AGREED: _text(others, now), **await self._explainer.used(references)}
        await self._ledger.ask(self._ledger.add_flows, flows, book, facts)
        return book


def _same(now: Held, before: Held) -> bool:
    return (now.quantities, now.paid_in, now.lent) == (before.quantities, before.paid_in, before.lent)


def _text(others: Held, now: datetime) -> str:
    return json.dumps(
        {
            "at": now.isoformat(),
            "quantities": {asset: f"{quantity:f}" for asset, quantity in others.quantities.items()},
            "paid_in": f"{others.paid_in:f}",
            "lent": f"{others.lent:f}",
        }
    )
