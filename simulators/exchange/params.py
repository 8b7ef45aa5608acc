"""A request's parameters: read strictly, signed and timed as the exchange wants them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qsl

from .refusal import RefusalError

SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
SYMBOLS = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
CLIENT_ORDER_ID = r"^[a-zA-Z0-9-_]{1,36}$"
DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER = r"^[0-9]{1,20}$"
BOOLEAN = r"^(true|false)$"
WINDOW = r"^[0-9]{1,20}(\.[0-9]{1,3})?$"

MAX_WINDOW = 60000
SECURITY = {"timestamp", "recvWindow", "signature"}


@dataclass(slots=True)
class Params:
    """The parameters of query and body; in both, the query counts."""

    query: str
    body: str
    values: dict[str, str] = field(init=False)
    duplicate: bool = field(init=False)

    def __post_init__(self) -> None:
        """Decode both parts."""
        query, body = (parse_qsl(part, keep_blank_values=True) for part in (self.query, self.body))
        self.values = dict(body) | dict(query)
        self.duplicate = any(len(dict(part)) < len(part) for part in (query, body))

    def only(self, known: Collection[str], *, signed: bool) -> None:
        """Refuse what the endpoint does not read."""
        if self.duplicate:
            raise RefusalError(-1101)
        expected = set(known) | (SECURITY if signed else set())
        read = expected & self.values.keys()
        if len(read) < len(self.values):
            if not expected:
                words = f"Too many parameters; expected '0' and received '{len(self.values)}'."
                raise RefusalError(-1101, words)
            words = f"read '{len(read)}' parameter(s) but was sent '{len(self.values)}'."
            raise RefusalError(-1104, f"Not all sent parameters were read; {words}")
        for name, value in self.values.items():
            if not value:
                raise RefusalError(-1105, f"Parameter '{name}' was empty.")

    def optional(self, name: str, pattern: str) -> str | None:
        """The value, if it was sent; its characters are checked."""
        value = self.values.get(name)
        if value is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            raise RefusalError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")
        return value

    def required(self, name: str, pattern: str = r"^.+$") -> str:
        """The value, which has to be there."""
        if (value := self.optional(name, pattern)) is None:
            raise RefusalError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """An amount, in plain decimal text of eight decimals at most."""
        if (value := self.optional(name, DECIMAL)) is None:
            return None
        if len(value.partition(".")[2].rstrip("0")) > 8:
            raise RefusalError(-1111, f"Parameter '{name}' has too much precision.")
        return Decimal(value)

    def integer(self, name: str) -> int | None:
        """A whole number."""
        return None if (value := self.optional(name, INTEGER)) is None else int(value)

    def flag(self, name: str) -> bool:
        """True or false; false when it was not sent."""
        return self.optional(name, BOOLEAN) == "true"

    def symbols(self) -> list[str] | None:
        """The list in ``symbols``, or None."""
        if "symbol" in self.values and "symbols" in self.values:
            raise RefusalError(-1128)
        if (value := self.optional("symbols", SYMBOLS)) is None:
            return None
        names: list[str] = json.loads(value)
        if len(set(names)) < len(names):
            raise RefusalError(-1151)
        return names

    def time(self, name: str) -> int | None:
        """A time in ms; microseconds are understood too."""
        value = self.integer(name)
        return value // 1000 if value is not None and value >= 10**14 else value

    def limit(self) -> int:
        """How many records are asked for; 500 unless told, 1,000 at most."""
        value = self.integer("limit")
        if value == 0:
            raise RefusalError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(500 if value is None else value, 1000)

    @property
    def window(self) -> Decimal:
        """How long after its time stamp the request stays valid, in ms."""
        window = Decimal(self.optional("recvWindow", WINDOW) or 5000)
        if window > MAX_WINDOW:
            raise RefusalError(-1131)
        return window

    def check_time(self, now: int) -> None:
        """Refuse a request from the future or too old."""
        self.required("timestamp", INTEGER)
        window, stamp = self.window, self.time("timestamp") or 0
        if stamp >= now + 1000:
            raise RefusalError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - stamp > window:
            raise RefusalError(-1021)

    def check_signature(self, secret: str) -> None:
        """Compare the signature with the HMAC of query and body exactly as they were sent."""
        sent = self.required("signature")
        query, body = _unsigned(self.query), self.body
        if query == self.query:
            body = _unsigned(body)
        expected = hmac.new(secret.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), sent.lower().encode()):
            raise RefusalError(-1022)


def _unsigned(part: str) -> str:
    return "&".join(pair for pair in part.split("&") if not pair.startswith("signature="))
