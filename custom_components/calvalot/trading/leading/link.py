"""The link by which a leader is followed: address, secret, public key and topic as one text to copy or to scan.

What proves something stands behind the #, which no browser sends to a server.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from ..urls import normalise_url
from .keys import PublicKey, fingerprint

# A link of a leader without an address, who is followed over a broker only.
SCHEME = "calvalot:"
PATH = "api/calvalot"
_ID_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a leader is followed; `url` is empty without an address, `secret` without a right to ask there."""

    leader: str
    url: str = ""
    secret: str = ""
    key: str = ""
    topic: str = ""

    @property
    def text(self) -> str:
        """The link as one text."""
        parts = {"secret": self.secret, "key": self.key, "topic": self.topic}
        if self.key:
            parts["fingerprint"] = fingerprint(self.key).replace(" ", "")
        shown = urlencode({name: part for name, part in parts.items() if part})
        return f"{self.url or SCHEME + self.leader}#{shown}"


def address(base: str, leader: str) -> str:
    """The address that a follower is given, under the address of its leader's Home Assistant."""
    return f"{base}/{PATH}/{leader}"


def leader_of_address(url: str) -> str | None:
    """What a leader is called by the address at which he is followed; None where that is another leader's."""
    where, _, leader = url.rstrip("/").rpartition("/")
    return leader if where.endswith(f"/{PATH}") and _is_id(leader) else None


def is_link(text: str) -> bool:
    """Whether a text is meant as a link rather than as the address of a leader."""
    shown = text.partition("#")[2]
    return text.strip().startswith(SCHEME) or any(f"{name}=" in shown for name in ("secret", "key", "topic"))


def read_link(text: str) -> Link:
    """Take a link apart. Raises ValueError for what is none, or was not copied whole."""
    where, _, shown = text.strip().partition("#")
    parts = {name: values[0] for name, values in parse_qs(shown, strict_parsing=True).items()}
    leader = where.rstrip("/").rpartition("/")[2].removeprefix(SCHEME)
    link = Link(
        leader=leader,
        url="" if where.startswith(SCHEME) else normalise_url(where),
        secret=parts.get("secret", ""),
        key=parts.get("key", ""),
        topic=parts.get("topic", ""),
    )
    if not _is_id(leader):
        raise ValueError("the link names no leader")
    if link.key:
        PublicKey(link.key)
        if parts.get("fingerprint", "") != fingerprint(link.key).replace(" ", ""):
            raise ValueError("the key and its fingerprint do not belong together")
    if not (link.url and link.secret) and not (link.topic and link.key):
        raise ValueError("the link holds neither a secret nor a key with a topic")
    return link


def _is_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and set(text) <= set("0123456789abcdef")
