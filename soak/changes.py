"""The account changes under the live follower: another one of its owner's, or a test network that was wiped."""

from random import Random

from .stage import OWNER
from .storm import Storm, Violation


async def another_account(storm: Storm, chance: Random) -> None:
    """He reconfigures the follower to another account of his: a book of its own, or the one it had there before."""
    await storm.calm()
    key = chance.choice(storm.accounts.others)
    live = storm.stage.live
    await live.reconfigure(api_key=key, api_secret=storm.accounts.secret(key))
    known, storm.accounts.current = storm.accounts.number(key), key
    await storm.book_in_use()
    if known not in {None, live.book_in_use()}:
        raise Violation(f"book {known} was not resumed")
    storm.publish(chance, strong=True)


async def wipe(storm: Storm, chance: Random) -> None:
    """The test network begins anew, as it does each month; keys go on."""
    await storm.calm()
    storm.accounts.wiped(OWNER)
    storm.exchange.wipe(OWNER)
    await storm.stage.live.reload()
    await storm.book_in_use()
    storm.publish(chance, strong=True)


HAPPENINGS = ((5, another_account), (2, wipe))
