"""Bodies that a leader could send: real ones, and what becomes of them when something tampers with them."""

from collections.abc import Callable
import json
import random
from typing import Any

SEEDS: tuple[bytes, ...] = (
    b"""{"version": 2, "signal_id": "a", "portfolio_state": {"positions": [{"coin": "BTCUSDC", "pct_of_portfolio": 0.4}]}}""",
    b"""{"version": 2, "signal_id": "b", "confidence": 0.7, "reasoning": "why", "actions": [], "created_at": 1770000000,
        "portfolio_state": {"positions": [{"coin": "ETHUSDT", "pct_of_portfolio": 0.31},
                                          {"coin": "BTCUSDT", "pct_of_portfolio": 0.69}]},
        "update": {"required": true, "latest_version": "c3f9ff3"}}""",
    b"""{"signal_id": "c", "timestamp": "2026-02-12T10:00:00+01:00", "confidence": 1,
        "actions": [{"coin": "BTCUSDC", "action": "BUY", "pct_of_capital": 0.07},
                    {"coin": "ETHUSDC", "action": "SELL", "pct_of_capital": 0.05},
                    {"coin": "SOLUSDC", "action": "HOLD", "pct_of_capital": 0}],
        "portfolio_state": {"positions": [{"coin": "ETHUSDC", "pct_of_portfolio": 0.15}]}}""",
    b"""{"version": 1, "signal_id": "d", "actions": []}""",
    b"""{"version": 2, "signal_id": "e", "portfolio_state": {"positions": []}}""",
    b"[]",
    b"",
)
# What stands where something else is expected; the last ones are no JSON of the standard.
VALUES: tuple[str, ...] = (
    *(
        "null",
        "true",
        "false",
        "0",
        "1",
        "-0",
        "-1",
        "2",
        "3",
        "0.5",
        "1.0",
        "1.05",
        "1.0500001",
        "-0.0",
        "1e-400",
        "1e400",
    ),
    *("1e9999999999999999999", "9" * 63, "9" * 65, "0." + "3" * 70, "1E-18", "5e-324", "0.1e1", "1e0"),
    *(
        '""',
        '" "',
        '"0.4"',
        '"NaN"',
        '"BTCUSDC"',
        '"BTC"',
        '"USDC"',
        '"DOGEUSDC"',
        '"BTCETH"',
        '"btcusdc"',
        '"BUY"',
        '"sell"',
    ),
    *(
        '"\\u0000"',
        '"\\ud800"',
        '"\\u202e"',
        '"a\\nb"',
        '"initial_sync"',
        '"sync-1"',
        '"recovered"',
        '"' + "x" * 3000 + '"',
    ),
    *('"2026-02-30"', '"9999-12-31T23:59:59+23:59"', '"0001-01-01T00:00:00-14:00"', "253402300800", "-62135596801"),
    *(
        "[]",
        "{}",
        "[[]]",
        '{"positions": null}',
        '[{"coin": "BTCUSDC"}]',
        "[" * 300 + "]" * 300,
        "NaN",
        "Infinity",
        "-Infinity",
    ),
)
KEYS = ("signal_id", "version", "portfolio_state", "positions", "actions", "coin", "pct_of_portfolio", "pct_of_capital",
        "action", "confidence", "reasoning", "timestamp", "created_at", "update", "required", "latest_version")  # fmt: skip
TOKENS = tuple(
    token.encode() for token in (*VALUES, *(f'"{key}":' for key in KEYS), "{", "}", "[", "]", ",", ":", '"', "\\")
)
LONGEST = 4096


def renamed(body: bytes, number: int) -> bytes:
    """The body as a signal of its own: one that was seen before is not taken up."""
    return body.replace(b'"signal_id": "', b'"signal_id": "%d' % number)


def mutate(body: bytes, chance: random.Random) -> bytes:
    """Tamper with a body, once or a few times."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        change = chance.choice((_structure, _structure, _structure, _token, _bytes, _splice))
        body = change(body, chance)
    return body


def _structure(body: bytes, chance: random.Random) -> bytes:
    """Change one value of the document, or its place in it; a body that is none becomes a real one."""
    try:
        document = json.loads(body)
    except ValueError, RecursionError:
        return chance.choice(SEEDS)
    places = list(_places(document, 0))
    if not places:
        return chance.choice(SEEDS)
    holder, key = chance.choice(places)
    raws: list[str] = []

    def raw() -> str:
        raws.append(chance.choice(VALUES))
        return f"\0{len(raws) - 1}\0"

    match chance.randrange(6):
        case 0 if isinstance(holder, dict):
            holder[chance.choice(KEYS)] = raw()
        case 1:
            del holder[key]
        case 2 if isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        case 3 if isinstance(holder[key], str):
            holder[key] += chance.choice(("X", "USDC", " ", "\x00", "é", "1"))
        case 4 if type(holder[key]) in (int, float) and abs(holder[key]) < 1e9:
            holder[key] = chance.choice(
                (holder[key] * 1.1, -holder[key], holder[key] / 3, holder[key] + 1, 1 - holder[key])
            )
        case _:
            holder[key] = raw()
    try:
        text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    except ValueError, RecursionError:
        return chance.choice(SEEDS)
    for number, value in enumerate(raws):
        text = text.replace(json.dumps(f"\0{number}\0"), value)
    if chance.random() < 0.05:  # a key that stands twice
        text = text.replace("{", f'{{"{chance.choice(KEYS)}": {chance.choice(VALUES)}, ', 1)
    return text.encode(errors="surrogatepass")


def _places(value: Any, depth: int) -> Any:
    """Every place in a document that holds something."""
    if depth > 20:
        return
    match value:
        case dict():
            inner = list(value.items())
        case list():
            inner = list(enumerate(value))
        case _:
            return
    for key, held in inner:
        yield value, key
        yield from _places(held, depth + 1)


def _token(body: bytes, chance: random.Random) -> bytes:
    """Put something of JSON somewhere."""
    at = chance.randint(0, len(body))
    return body[:at] + chance.choice(TOKENS) + body[at + chance.choice((0, 0, 1, 4)) :]


def _bytes(body: bytes, chance: random.Random) -> bytes:
    """Change, insert, remove or repeat a few bytes."""
    at, length = chance.randint(0, len(body)), chance.randint(0, 8)
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: body[:at] + chance.randbytes(length) + body[at + length :],
        lambda: body[:at] + chance.randbytes(length) + body[at:],
        lambda: body[:at] + body[at + length :],
        lambda: body[:at] + body[at : at + length] * chance.randint(2, 50) + body[at + length :],
    )
    return chance.choice(changes)()[:LONGEST]


def _splice(body: bytes, chance: random.Random) -> bytes:
    """The start of one body with the end of another."""
    other = chance.choice(SEEDS)
    return body[: chance.randint(0, len(body))] + other[chance.randint(0, len(other)) :]
