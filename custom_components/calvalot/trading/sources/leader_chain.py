"""What a follower checks who holds his leader's public key: who signed, that nothing is old, and that the chain goes on."""

from collections.abc import Sequence
from datetime import datetime
import json
from typing import Any, NamedTuple

from ..leading.keys import PublicKey, from_text
from ..leading.publication import Publication, verified
from ..signal import InvalidSignal
from .leader_format import MAX_BODY
from .strict_json import Object, checked, decode, load

# Characters of a key that tell one chain from another.
_NAME = 16


class Mark(NamedTuple):
    """How far a follower knows the chain: the number and the hash of the last link."""

    sequence: int
    hash: str


class ChainCheck:
    """Checks what came from a leader, whichever way it came."""

    def __init__(self, leader: str, key: str) -> None:
        """Raises ValueError for what is no key."""
        self._leader = leader
        self._key = PublicKey(key)
        self._name = key[:_NAME]

    def known(self, text: str | None) -> Mark | None:
        """How far the chain is known by what `memory` wrote; None where that was another chain's."""
        name, _, rest = (text or "").partition(" ")
        sequence, _, known = rest.partition(" ")
        return Mark(int(sequence), known) if name == self._name and sequence.isdecimal() and known else None

    def memory(self, mark: Mark) -> str:
        """A mark as a source remembers it."""
        return f"{self._name} {mark.sequence} {mark.hash}"

    def link(self, body: bytes) -> Publication:
        """The link in a signal. Raises InvalidSignal."""
        return self._link(load(decode(body, MAX_BODY)).get("link"))

    def links(self, body: bytes) -> list[Publication]:
        """The links in a piece of the chain. Raises InvalidSignal."""
        found = load(decode(body, MAX_BODY)).get("links")
        if not isinstance(found, list):
            raise InvalidSignal("the piece of the chain is none")
        return [self._link(each) for each in found]

    def _link(self, value: Any) -> Publication:
        wire: Object = checked(value, "the link", "signed", "signature")
        signed, signature = wire.get("signed"), wire.get("signature")
        if not isinstance(signed, str) or not isinstance(signature, str):
            raise InvalidSignal("the link is not signed")
        try:
            canonical = from_text(signed)
        except ValueError:
            raise InvalidSignal("the link is not signed") from None
        return verified(canonical, signature, self._key, self._leader)


def key_of(body: bytes, leader: str) -> str | None:
    """The public key in a leader's figures, which they are signed with; None for one that publishes moves. Raises InvalidSignal."""
    wire = load(decode(body, MAX_BODY))
    signed, signature, key, version = (wire.get(name) for name in ("signed", "signature", "key", "version"))
    if not (isinstance(signed, str) and isinstance(signature, str) and isinstance(key, str)):
        raise InvalidSignal("the figures are not signed")
    try:
        canonical, public = from_text(signed), PublicKey(key)
    except ValueError:
        raise InvalidSignal("the figures are not signed") from None
    if not public.verifies(canonical, signature):
        raise InvalidSignal("the signature of the figures is wrong")
    if load(canonical.decode(errors="replace")).get("leader") != leader:
        raise InvalidSignal("the figures are another leader's")
    return key if version == 2 else None


def go_on(mark: Mark | None, links: Sequence[Publication], now: datetime, *, whole: bool) -> Mark:
    """How far the chain is known with links that are to go on after a mark, the last of which is to stand now.

    `whole`: nothing may be left out between. Raises InvalidSignal where it is older, forked, cut or expired.
    """
    last = links[-1]
    if last.expires <= now:
        raise InvalidSignal("the leader's publication has expired")
    for link in links:
        if mark is not None:
            if link.sequence < mark.sequence:
                raise InvalidSignal("the leader's publication is older than one that was seen")
            same = link.sequence == mark.sequence
            next_ = link.sequence == mark.sequence + 1
            if (same and link.hash != mark.hash) or (next_ and link.previous != mark.hash):
                raise InvalidSignal("the leader's chain is forked")
            if whole and not same and not next_:
                raise InvalidSignal("links are missing in the leader's chain")
        mark = Mark(link.sequence, link.hash)
    return Mark(last.sequence, last.hash)


def rebuilt(publication: Publication) -> bytes:
    """The signal that a link says: nothing beside it counts."""
    return json.dumps(publication.document(2)).encode()
