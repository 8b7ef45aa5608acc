"""Money that came to the account of a budget portfolio, or left it: proposed for booking, and never booked by itself.

What the account holds of the quote asset beyond its books is the owner's. Where that has changed, twice at least half a minute
apart, the account's history is asked what came and left; each deposit and withdrawal of the quote asset is proposed once. Other
coins are none of the portfolio's.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from .cash_flows import SMALLEST, CashFlows
from .decimals import EXACT, ZERO
from .errors import CommandError, ExchangeError
from .exchanges.base import Exchange, Mode
from .explaining import BEFORE, MOST_USED
from .explanation import Explanation, Movement
from .inputs import Inputs
from .ledger.ledger import Ledger
from .ledger.records import CashFlow
from .proposal import Proposal, Seen, from_text, to_text
from .settings import Scope, Settings
from .wallet import APART

# The fact that says what is proposed, and what was.
PROPOSED = "proposed"
# Less (in quote) than this is no reason to ask: fees that were lent, and paid back in cash, are of that size.
LEAST = Decimal(1)
# The history is asked again no sooner: a withdrawal's row is dear.
PAUSE = timedelta(hours=1)


def seen_of(ledger: Ledger) -> Seen | None:
    """What was seen on the account so far; synchronous. Raises LedgerError."""
    text = ledger.fact(PROPOSED)
    return None if text is None else from_text(text)


class Proposals:
    """Looks for what came and left, and books it once its owner says so."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        cash_flows: CashFlows,
        clock: Callable[[], datetime],
        with_flows: Callable[[], AbstractAsyncContextManager[Inputs]],
    ) -> None:
        """`with_flows` is where money may be moved."""
        self._settings = settings
        self._exchange = exchange
        self._ledger = ledger
        self._cash_flows = cash_flows
        self._clock = clock
        self._with_flows = with_flows
        self._changed: tuple[Decimal, datetime] | None = None
        self._asked: datetime | None = None

    async def watch(self, inputs: Inputs) -> None:
        """Look whether something came or left since the history was asked last. Raises LedgerError."""
        beyond, now = await self._beyond(inputs), self._clock()
        if beyond is None:
            return
        seen = await self._ledger.ask(seen_of, self._ledger)
        if seen is None or abs(beyond - seen.beyond) < LEAST:
            self._changed = None
            if seen is None:
                await self._remember(Seen(at=now, beyond=beyond))
            return
        if self._changed is None or self._changed[0] != beyond:
            self._changed = beyond, now
            return
        waits = self._asked is not None and now - self._asked < PAUSE
        if now - self._changed[1] < APART or waits or self._exchange.pause:
            return
        self._asked = now
        rows = await self._rows(seen, beyond - seen.beyond, now)
        if rows is not None:
            new = tuple(Proposal(id=row.reference, time=row.time, amount_quote=self._amount(row)) for row in rows)
            known = (*seen.known, *(each.id for each in new))[-MOST_USED:]
            await self._remember(Seen(at=now, beyond=beyond, open=(*seen.open, *new), known=known))

    async def accept(self, proposal_id: str) -> CashFlow:
        """Book what is proposed, at its time; what came after it is valued again. Raises CommandError."""
        async with self._with_flows() as inputs:
            seen, proposal = await self._found(proposal_id)
            if inputs.rate is None:
                raise CommandError("no_valuation")
            with localcontext(EXACT):
                quote = abs(proposal.amount_quote)
                amount = (quote * inputs.rate).quantize(SMALLEST)
            facts = {PROPOSED: to_text(seen.without(proposal))}
            return await self._cash_flows.move(
                proposal.kind, amount, inputs, "", proposal.time, quote=quote, facts=facts
            )

    async def dismiss(self, proposal_id: str) -> None:
        """Propose it no more. Raises CommandError."""
        async with self._with_flows():
            seen, proposal = await self._found(proposal_id)
            await self._remember(seen.without(proposal))

    # Inside

    async def _beyond(self, inputs: Inputs) -> Decimal | None:
        """Quote on the account beyond all books, and all that was paid into this one: what it trades changes neither."""
        if self._settings.mode is Mode.DRY_RUN or self._settings.scope is Scope.WALLET or inputs.account is None:
            return None
        free = inputs.free(self._settings.quote)
        unclear = inputs.claimed.unclear or bool(await self._ledger.ask(self._ledger.in_flight))
        if free is None or unclear:
            return None
        portfolio = (await self._ledger.ask(self._ledger.book)).portfolio
        return free - portfolio.cash + portfolio.paid_in

    async def _rows(self, seen: Seen, change: Decimal, now: datetime) -> list[Movement] | None:
        """What came and left since then, oldest first; None where the exchange does not say.

        What left is asked for only where what came does not account for the change, and the other way round.
        """
        started, _ = await self._ledger.ask(self._ledger.beginning)
        since = max(seen.at - BEFORE, started or seen.at)
        kinds = [Explanation.DEPOSIT, Explanation.WITHDRAWAL]
        found: list[Movement] = []
        for kind in kinds if change > 0 else reversed(kinds):
            try:
                rows = await self._exchange.movements(kind, (), since, now)
            except ExchangeError:
                return None
            found += [
                row for row in rows if self._amount(row) and row.time >= since and row.reference not in seen.known
            ]
            if sum((self._amount(row) for row in found), ZERO) == change:
                break
        return sorted(found, key=lambda row: row.time)

    def _amount(self, row: Movement) -> Decimal:
        return row.changes.get(self._settings.quote, ZERO)

    async def _found(self, proposal_id: str) -> tuple[Seen, Proposal]:
        seen = await self._ledger.ask(seen_of, self._ledger)
        proposal = next((each for each in seen.open if each.id == proposal_id), None) if seen else None
        if seen is None or proposal is None:
            raise CommandError("proposal_unknown", id=proposal_id)
        return seen, proposal

    async def _remember(self, seen: Seen) -> None:
        await self._ledger.ask(self._ledger.remember_all, {PROPOSED: to_text(seen)})
