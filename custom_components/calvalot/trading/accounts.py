"""The accounts that live followers trade on: several of them may share one, and none counts on what is another's."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from .account import Claimed, Held
from .decimals import ZERO
from .exchanges.base import AccountId
from .ledger import claims
from .ledger.claims import Claim
from .ledger.ledger import Ledger
from .ledger.records import OrderRecord
from .ledger.storage import LedgerError


class Accounts:
    """All ledgers of a process; `others` tells where further ones lie that no follower has open."""

    def __init__(self, others: Callable[[], Iterable[Path]] = tuple) -> None:
        self._others = others
        self._ledgers: list[Ledger] = []
        self._known: dict[Path, tuple[Claim, ...]] = {}
        self._locks: list[tuple[AccountId, asyncio.Lock]] = []

    def join(self, ledger: Ledger) -> None:
        """Count a follower's ledger in."""
        self._ledgers = [known for known in self._ledgers if known.path != ledger.path] + [ledger]

    def leave(self, ledger: Ledger) -> None:
        """Count it no more: its follower has stopped."""
        if ledger in self._ledgers:
            self._ledgers.remove(ledger)
        self._known.pop(ledger.path, None)

    def lock(self, account: AccountId) -> asyncio.Lock:
        """What whoever trades on an account holds meanwhile."""
        for known, lock in self._locks:
            if known.is_same(account):
                return lock
        lock = asyncio.Lock()
        self._locks.append((account, lock))
        return lock

    async def claimed(self, account: AccountId, ledger: Ledger) -> Claimed:
        """What is not free for the book that a ledger has in use, though the account has it."""
        return await asyncio.to_thread(self._claimed, account, ledger.quote, ledger, tuple(self._others()))

    async def taken(self, account: AccountId, quote: str) -> Decimal:
        """What of a quote asset is not free for a portfolio that is still to be made, though the account has it."""
        return (await asyncio.to_thread(self._claimed, account, quote, None, tuple(self._others()))).quote

    async def held(self, account: AccountId, own: Path) -> Held:
        """What the other books of an account hold; `own` is where the ledger of the one that asks lies."""
        return await asyncio.to_thread(self._held, account, own, tuple(self._others()))

    async def placed(self, own: Ledger) -> frozenset[tuple[str, str]]:
        """Symbol and id of each order that any portfolio placed."""
        return await asyncio.to_thread(self._placed, own, tuple(self._others()))

    # Inside

    def _held(self, account: AccountId, own: Path, lying: tuple[Path, ...]) -> Held:
        quantities: dict[str, Decimal] = {}
        locked: dict[str, Decimal] = {}
        resting: list[OrderRecord] = []
        paid_in = lent = ZERO
        unclear = False
        for ledger in self._ledgers:
            claim = _newest(self._claims(ledger), account)
            if ledger.path == own or claim is None:
                continue
            paid_in, lent, unclear = paid_in + claim.paid_in, lent + claim.lent, unclear or claim.unsettled
            _add_up(claim, quantities, locked)
            try:
                resting += ledger.in_book(claim.number).resting()
            except LedgerError:
                unclear = True
        paths = {own, *(ledger.path for ledger in self._ledgers)}
        for path in lying:
            if path in paths:
                continue
            each = claims.lying(path)
            claim = _newest(each or (), account)
            unclear = unclear or each is None
            if claim:
                # Nobody follows what rests there.
                unclear = unclear or claim.unsettled or bool(claim.locked or claim.selling)
                paid_in, lent = paid_in + claim.paid_in, lent + claim.lent
                _add_up(claim, quantities, locked)
        return Held(
            quantities=quantities,
            locked=locked,
            paid_in=paid_in,
            lent=lent,
            resting=tuple(resting),
            unclear=unclear,
        )

    def _placed(self, own: Ledger, lying: tuple[Path, ...]) -> frozenset[tuple[str, str]]:
        paths = {ledger.path for ledger in self._ledgers}
        found = [ledger.placed() for ledger in {own, *self._ledgers}]
        found += [claims.lying_placed(path) for path in lying if path not in paths]
        return frozenset[tuple[str, str]]().union(*found)

    def _claimed(self, account: AccountId, asset: str, own: Ledger | None, lying: tuple[Path, ...]) -> Claimed:
        quote = lent = locked = selling = ZERO
        unclear = False
        paths = {ledger.path for ledger in self._ledgers}
        found: list[tuple[Ledger | None, tuple[Claim, ...]]] = [
            (ledger, self._claims(ledger)) for ledger in self._ledgers
        ]
        found += [(None, claims.lying(path) or ()) for path in lying if path not in paths]
        for ledger, each in found:
            claim = _newest(each, account)
            if claim is None or (own and ledger is own and claim.number == own.number):
                continue
            lent += claim.lent
            if claim.quote == asset:
                quote += max(claim.cash, ZERO) + claim.in_flight
                unclear = unclear or bool(claim.in_flight)
                locked += claim.locked
                selling += claim.selling
        return Claimed(quote=quote, unclear=unclear, lent=lent, locked=locked, selling=selling)

    def _claims(self, ledger: Ledger) -> tuple[Claim, ...]:
        """Claims of a ledger, the last ones known where it cannot be read just now."""
        with suppress(LedgerError):
            self._known[ledger.path] = ledger.claims()
        return self._known.get(ledger.path, ())


def _add_up(claim: Claim, quantities: dict[str, Decimal], locked: dict[str, Decimal]) -> None:
    """Add what a book holds, and what its orders have locked of that, by asset."""
    for sums, more in (
        (quantities, {**claim.coins, claim.quote: claim.cash}),
        (locked, {**claim.selling_coins, claim.quote: claim.locked}),
    ):
        for asset, quantity in more.items():
            sums[asset] = sums.get(asset, ZERO) + quantity


def _newest(each: Iterable[Claim], account: AccountId) -> Claim | None:
    """The last book that a ledger began on an account: those before ended when the account was wiped.

    One of which no account is known may be on this one.
    """
    on_it = [claim for claim in each if claim.account is None or claim.account.is_same(account)]
    return max(on_it, key=lambda claim: claim.number, default=None)
