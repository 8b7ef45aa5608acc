"""The Ed25519 key pair that a leader signs with, as texts: base64url without padding."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_RAW = Encoding.Raw, PublicFormat.Raw
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


def leader_id(entry_id: str) -> str:
    """What a portfolio is called where it leads: 32 hexadecimal digits that say nothing of it, and are the same for good."""
    return hashlib.sha256(f"calvalot leader\n{entry_id}".encode()).hexdigest()[:32]


def fingerprint(public_key: str) -> str:
    """What two people compare of a public key: 32 hexadecimal digits of its SHA-256, in groups of four."""
    digest = hashlib.sha256(_bytes(public_key, _KEY_BYTES)).hexdigest()[:32]
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


class SigningKey:
    """A leader's own key."""

    def __init__(self, text: str | None = None) -> None:
        """Take a stored key, or make a new one. Raises ValueError for what is no key."""
        self._key = (
            Ed25519PrivateKey.generate()
            if text is None
            else Ed25519PrivateKey.from_private_bytes(_bytes(text, _KEY_BYTES))
        )

    @property
    def text(self) -> str:
        """The private key, to be stored: it is shown to nobody."""
        return to_text(self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    @property
    def public(self) -> str:
        """The public key, which followers hold."""
        return to_text(self._key.public_key().public_bytes(*_RAW))

    def sign(self, message: bytes) -> str:
        """Signature of a message."""
        return to_text(self._key.sign(message))


class PublicKey:
    """A leader's key as its followers hold it."""

    def __init__(self, text: str) -> None:
        """Read a public key. Raises ValueError for what is none."""
        self._key = Ed25519PublicKey.from_public_bytes(_bytes(text, _KEY_BYTES))

    def verifies(self, message: bytes, signature: str) -> bool:
        """Whether a message was signed with the key that belongs to this one."""
        try:
            self._key.verify(_bytes(signature, _SIGNATURE_BYTES), message)
        except InvalidSignature, ValueError:
            return False
        return True


def to_text(data: bytes) -> str:
    """Bytes as base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """What `to_text` wrote: one text only stands for some bytes. Raises ValueError."""
    data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if to_text(data) != text:
        raise ValueError("another text stands for these bytes")
    return data


def _bytes(text: str, length: int) -> bytes:
    """Bytes of a key or a signature. Raises ValueError."""
    if len(data := from_text(text)) != length:
        raise ValueError("neither a key nor a signature")
    return data
