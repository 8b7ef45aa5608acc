"""Deposits and withdrawals that the account's history names are proposed, and booked by nobody but the owner."""

from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal

import pytest

from custom_components.calvalot.trading import proposals, responses
from custom_components.calvalot.trading.errors import CommandError
from custom_components.calvalot.trading.exchanges.base import Mode
from custom_components.calvalot.trading.ledger.records import FlowKind
from custom_components.calvalot.trading.proposal import Proposal
from harness.engine import OpenEngine

from .rig import Rig


async def watched(rig: Rig) -> OpenEngine:
    """A portfolio with a budget that has looked at its account once."""
    follower = await rig.following()
    await rig.cycle(follower)
    return follower


async def proposed(rig: Rig, follower: OpenEngine, *, cycles: int = 2) -> tuple[Proposal, ...]:
    """What is proposed some cycles later."""
    for _ in range(cycles):
        await rig.cycle(follower)
    return follower.snapshot.proposals


async def refused(command: Coroutine[None, None, object]) -> str:
    """Why something cannot be done."""
    with pytest.raises(CommandError) as caught:
        await command
    return caught.value.key


async def test_a_deposit_is_proposed_and_accepted(rig: Rig) -> None:
    """Once two looks show the same; at its own time and to the last digit; no cash moves before that."""
    follower = await watched(rig)
    before = follower.ledger.book()
    rig.exchange.deposit("USDC", "123.45678901")
    assert not await proposed(rig, follower, cycles=1)
    (proposal,) = await proposed(rig, follower, cycles=1)
    assert (proposal.kind, proposal.amount_quote) == (FlowKind.DEPOSIT, Decimal("123.45678901"))
    assert follower.ledger.book().portfolio == before.portfolio
    (told,) = responses.portfolio(follower.snapshot)["proposals"]
    assert (told["id"], told["kind"], told["amount_quote"]) == (proposal.id, "deposit", "123.45678901")
    assert Decimal(told["amount"]) == pytest.approx(proposal.amount_quote * (follower.snapshot.rate or 0))
    rig.clock.advance(3600)
    flow = await follower.proposals.accept(proposal.id)
    assert (flow.amount_quote, flow.time) == (proposal.amount_quote, proposal.time)
    book = follower.ledger.book()
    assert book.portfolio.cash == before.portfolio.cash + proposal.amount_quote
    assert not follower.snapshot.proposals
    assert await refused(follower.proposals.accept(proposal.id)) == "proposal_unknown"
    assert follower.ledger.replay() == book.portfolio
    assert await proposed(rig, follower, cycles=4) == ()


async def test_a_withdrawal_is_proposed_and_dismissed(rig: Rig) -> None:
    """Nothing of it stays, not even after a restart, and it comes no more."""
    follower = await watched(rig)
    before = follower.ledger.book().portfolio
    rig.exchange.withdraw("USDC", "50", fee="1")
    (proposal,) = await proposed(rig, follower)
    assert (proposal.kind, proposal.amount_quote) == (FlowKind.WITHDRAWAL, Decimal(-51))
    follower = await rig.restart(follower)
    assert await proposed(rig, follower) == (proposal,)
    await follower.proposals.dismiss(proposal.id)
    assert await proposed(rig, follower) == ()
    assert follower.ledger.book().portfolio == before
    assert await refused(follower.proposals.dismiss(proposal.id)) == "proposal_unknown"


async def test_one_just_now_is_booked_at_the_value_of_now(rig: Rig) -> None:
    """As one that its owner enters himself; of a withdrawal as well."""
    follower = await watched(rig)
    paid = follower.ledger.book().portfolio.paid_in
    rig.exchange.withdraw("USDC", "20")
    (proposal,) = await proposed(rig, follower)
    flow = await follower.proposals.accept(proposal.id)
    assert (flow.kind, flow.amount_quote) == (FlowKind.WITHDRAWAL, Decimal(-20))
    assert flow.value_before is not None
    assert follower.ledger.book().portfolio.paid_in == paid - 20


async def test_what_is_no_money_of_the_portfolio_is_left_alone(rig: Rig) -> None:
    """Coins that come, trades by hand, own flows and own trades: nothing is proposed."""
    follower = await watched(rig)
    rig.exchange.deposit("BTC", "1")
    assert await proposed(rig, follower, cycles=3) == ()
    rig.exchange.trade_by_hand("BTCUSDC", "SELL", "0.01")
    assert await proposed(rig, follower, cycles=3) == ()
    rig.clock.advance(7200)
    await follower.commands.deposit(Decimal(5))
    rig.leader.publish_v2({"BTC": ".4"})
    assert await proposed(rig, follower, cycles=3) == ()


async def test_next_to_nothing_is_not_asked_about(rig: Rig) -> None:
    """Until it adds up; then all of it is found."""
    follower = await watched(rig)
    rig.exchange.deposit("USDC", "0.6")
    assert await proposed(rig, follower, cycles=3) == ()
    assert not rig.exchange.count(path="/capital/deposit/hisrec")
    rig.exchange.deposit("USDC", "0.4")
    assert sorted(each.amount_quote for each in await proposed(rig, follower)) == [Decimal("0.4"), Decimal("0.6")]


async def test_both_ways_at_once(rig: Rig) -> None:
    """What came is asked for first where there is more; what left where that does not account for it. While the house is off, too."""
    follower = await watched(rig)
    rig.exchange.deposit("USDC", "100")
    rig.exchange.withdraw("USDC", "30")
    follower = await rig.restart(follower)
    rig.clock.advance(86400)
    first, second = await proposed(rig, follower, cycles=3)
    assert sorted((first.amount_quote, second.amount_quote)) == [-30, 100]
    assert first.time <= second.time
    assert await proposed(rig, follower, cycles=3) == (first, second)


async def test_an_exchange_that_does_not_say(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is asked again, and not all the time."""
    follower = await watched(rig)
    rig.exchange.set_sapi(available=False)
    rig.exchange.deposit("USDC", "10")
    assert await proposed(rig, follower, cycles=3) == ()
    rig.exchange.set_sapi(available=True)
    assert await proposed(rig, follower, cycles=1) == ()
    monkeypatch.setattr(proposals, "PAUSE", timedelta())
    (proposal,) = await proposed(rig, follower, cycles=1)
    assert proposal.amount_quote == 10


async def test_a_change_that_does_not_stay(rig: Rig) -> None:
    """Is none: the history is not asked."""
    follower = await watched(rig)
    rig.exchange.set_balance("USDC", "20000")
    await rig.cycle(follower)
    rig.exchange.set_balance("USDC", "20001")
    await rig.cycle(follower)
    assert not rig.exchange.count(path="/capital/deposit/hisrec")
    await rig.cycle(follower)
    assert rig.exchange.count(path="/capital/deposit/hisrec") == 1


async def test_not_while_an_order_is_unclear(rig: Rig) -> None:
    """What it has taken or brought is not known: the history is not asked."""
    follower = await watched(rig)
    rig.exchange.fault("drop", when="after", method="POST")
    rig.exchange.fault("status", path="/order", method="GET", count=None)
    rig.leader.publish_v2({"BTC": ".4"})
    await rig.cycle(follower)
    assert rig.in_flight(follower)
    rig.exchange.deposit("USDC", "10")
    assert await proposed(rig, follower, cycles=3) == ()
    assert not rig.exchange.count(path="/capital/deposit/hisrec")


async def test_neither_on_paper_nor_of_a_wallet(rig: Rig) -> None:
    """The former has no account, the latter books what comes by itself."""
    paper = await rig.start(Mode.DRY_RUN, entry_id="paper")
    wallet = await rig.wallet()
    for _ in range(2):
        await rig.cycle(paper)
        await rig.cycle(wallet)
    rig.exchange.deposit("USDC", "10")
    for follower in (paper, wallet):
        assert await proposed(rig, follower, cycles=3) == ()
        assert follower.ledger.fact(proposals.PROPOSED) is None


async def test_without_a_rate_nothing_is_accepted(rig: Rig) -> None:
    """What it was worth is not known."""
    follower = await watched(rig)
    rig.exchange.deposit("USDC", "10")
    (proposal,) = await proposed(rig, follower)
    for symbol in ("EURUSDC", "EURUSDT"):
        rig.exchange.delist(symbol)
    rig.clock.advance(7200)
    assert await refused(follower.proposals.accept(proposal.id)) == "no_valuation"
