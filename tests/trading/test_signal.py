"""What a leader can say is read exactly; everything else is refused with a plain reason, whatever it is."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.signal import InvalidSignal, Signal, SignalLoop, UnknownCoin
from custom_components.calvalot.trading.sources.leader_format import MAX_BODY, QUOTES, parse_signal
from custom_components.calvalot.trading.wants import Allocation, Moves, from_text, to_text

from .builders import make_moves

COINS = ("BTC", "ETH", "BNB", "SOL", "XRP")


def v1(**fields: Any) -> dict[str, Any]:
    """Make a version 1 signal."""
    return {"signal_id": "one", "actions": [action()], **fields}


def v2(*positions: Any, **fields: Any) -> dict[str, Any]:
    """Make a version 2 signal."""
    return {"version": 2, "signal_id": "two", "portfolio_state": {"positions": list(positions)}, **fields}


def action(coin: Any = "BTCUSDC", name: Any = "BUY", share: Any = 0.07) -> dict[str, Any]:
    """Make an action."""
    return {"coin": coin, "action": name, "pct_of_capital": share}


def position(coin: Any = "BTCUSDC", share: Any = 0.15) -> dict[str, Any]:
    """Make a position."""
    return {"coin": coin, "pct_of_portfolio": share}


def parse(document: Any, coins: tuple[str, ...] = COINS) -> Signal:
    """Parse a document as the leader would send it."""
    return parse_signal(json.dumps(document).encode(), coins)


def refusal(document: Any) -> str:
    """Reason a document with a signal_id is refused for; the signal_id has to come along."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(InvalidSignal) as caught:
        parse_signal(body, COINS)
    assert caught.value.signal_id in {"one", "two"}
    assert str(caught.value) == caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 200
    return caught.value.reason


def with_share(text: str) -> bytes:
    """Make a version 2 signal whose only weight is this JSON text."""
    return json.dumps(v2(position(share="SHARE"))).replace('"SHARE"', text).encode()


def test_version_1_of_the_protocol() -> None:
    """The example of the protocol."""
    body = json.dumps(
        {
            "signal_id": "2026-02-12T10:00:00-ab12",
            "confidence": 0.72,
            "reasoning": "Momentum",
            "actions": [action(), action("SOLUSDC", "SELL", 0.05), action("ETHUSDT", "HOLD", 0)],
            "portfolio_state": {"positions": [position()]},
            "timestamp": "2026-02-12T11:00:00+01:00",
        }
    )
    assert parse_signal(body.encode(), COINS) == Signal(
        signal_id="2026-02-12T10:00:00-ab12",
        wants=make_moves(("BTC", Side.BUY, "0.07"), ("SOL", Side.SELL, "0.05")),
        targets={"BTC": Decimal("0.15")},
        created_at=datetime(2026, 2, 12, 10, tzinfo=UTC),
        confidence=Decimal("0.72"),
        reasoning="Momentum",
    )


def test_version_2_of_the_protocol() -> None:
    """The example of the protocol; its actions are for display and not even looked at."""
    signal = parse(
        v2(
            position(),
            position("ETHUSDC", 1.5e-1),
            actions=[{"coin": 1}, "BUY"],
            update={"required": True, "latest_version": "c3f9ff3"},
            extra={"ignored": float("nan")},
        )
    )
    assert signal.targets == {"BTC": Decimal("0.15"), "ETH": Decimal("0.15")}
    assert signal.wants == Allocation(shares=signal.targets)
    assert signal.confidence is None
    assert signal.reasoning == ""
    assert signal.created_at is None
    assert signal.update_required
    assert signal.latest_version == "c3f9ff3"


def test_no_positions_is_all_cash_and_no_state_is_unknown() -> None:
    """An empty list is 100 % cash; what a version 1 signal does not tell is None."""
    assert parse(v2()).targets == {}
    assert parse(v1()).targets is None
    assert parse(v1(portfolio_state=None)).targets is None
    assert parse(v1(portfolio_state={})).targets is None
    assert parse(v1(portfolio_state={"positions": []})).targets == {}
    assert parse(v1(actions=[])).wants == Moves()


@pytest.mark.parametrize("state", [None, {}, {"positions": None}])
def test_version_2_needs_positions(state: Any) -> None:
    """A missing list never sells everything."""
    document = v2()
    document["portfolio_state"] = state
    assert refusal(document) == "portfolio_state.positions is missing"
    del document["portfolio_state"]
    assert refusal(document) == "portfolio_state.positions is missing"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON"),
        (b"<html>", "the body is not JSON"),
        (b'{"signal_id": "on', "the body is not JSON"),
        (b"\xff\xfe{}", "the body is not UTF-8 text"),
        (json.dumps(v1()).encode("utf-16"), "the body is not UTF-8 text"),
        (b"[]", "the body is not a JSON object"),
        (b"null", "the body is not a JSON object"),
        (b"1" * 70, "the body is not a JSON object"),
        (b"{}", "signal_id is missing"),
        (b'{"signal_id": 7}', "signal_id is not a text"),
        (b'{"signal_id": null}', "signal_id is not a text"),
        (b'{"signal_id": ""}', "signal_id is not a text"),
        (b'{"signal_id": "  "}', "signal_id is not a text"),
        (b'{"signal_id": "a\\u0000"}', "signal_id holds control characters"),
        (b'{"signal_id": "a\\nb"}', "signal_id holds control characters"),
        (b'{"signal_id": "\\ud800"}', "signal_id holds control characters"),
        (b'{"signal_id": "initial_sync"}', "the signal_id initial_sync is reserved"),
        (b'{"signal_id": "one", "signal_id": "two"}', "the key 'signal_id' stands twice in an object"),
        (json.dumps({"signal_id": "x" * 201}).encode(), "signal_id is longer than 200 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_signal_at_all(body: bytes, reason: str) -> None:
    """Without a usable signal_id the answer is no signal."""
    with pytest.raises(InvalidSignal) as caught:
        parse_signal(body, COINS)
    assert caught.value.reason == reason
    assert caught.value.signal_id is None


def test_nesting_and_size_do_no_harm() -> None:
    """However deep, however large."""
    for bomb in (
        b"[" * 200_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b'{"a":' + b"[" * 125_000 + b"]" * 125_000 + b"}",
    ):
        with pytest.raises(InvalidSignal) as caught:
            parse_signal(bomb, COINS)
        assert caught.value.signal_id is None
    with pytest.raises(InvalidSignal, match="the body is larger than 256 KiB"):
        parse_signal(b" " * (MAX_BODY - 1) + b"{}", COINS)


def test_the_largest_that_is_allowed() -> None:
    """Limits include their own value."""
    body = json.dumps(v2(signal_id="é" * 200)).encode()
    signal = parse_signal(body + b" " * (MAX_BODY - len(body)), COINS)
    assert signal.signal_id == "é" * 200


@pytest.mark.parametrize("version", [0, 3, "2", "1", 2.0, True, None, [2], -1, 10**70])
def test_unknown_versions(version: Any) -> None:
    """Only the whole numbers 1 and 2 are versions."""
    assert refusal(v2(version=version)).startswith("unknown version: ")
    assert refusal(v1(version=version)).startswith("unknown version: ")


@pytest.mark.parametrize("name", ["buy", "SHORT", "", None, 1, ["BUY"], {}])
def test_unknown_actions(name: Any) -> None:
    """Only the three words are actions."""
    assert refusal(v1(actions=[action(name=name)])).startswith("unknown action for BTC: ")


SHARES = [
    '"0.1"',
    "null",
    "true",
    "[0.1]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "-0.1",
    "-1",
    "-1e-999999999",
    "1.0000001",
    "2",
    "15",
    "1e999999999",
    "1e9999999999999999999999",
    "9" * 5000,
    "0." + "1" * 5000,
]


@pytest.mark.parametrize("share", SHARES, ids=lambda share: share[:20])
def test_shares_that_are_none(share: str) -> None:
    """A share is a number from 0 to 1."""
    reason = refusal(with_share(share))
    assert reason.startswith("pct_of_portfolio of BTC is not ")
    document = json.dumps(v1(actions=[action(share="SHARE")])).replace('"SHARE"', share)
    assert refusal(document.encode()) == reason.replace("portfolio", "capital")


def test_missing_shares() -> None:
    """A missing share is no zero, for HOLD neither."""
    assert refusal(v2({"coin": "BTCUSDC"})) == "pct_of_portfolio of BTC is not a number: missing"
    entry = {"coin": "BTCUSDC", "action": "HOLD"}
    assert refusal(v1(actions=[entry])) == "pct_of_capital of BTC is not a number: missing"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("0e-999999999", "0"),
        ("1e-999999999", "0"),
        ("1", "1"),
        ("1.000", "1"),
        ("0.40", "0.4"),
        ("0.15000000000000002", "0.15000000000000002"),
        ("0.1234567890123456789", "0.123456789012345678"),
    ],
)
def test_shares_are_exact_and_tame(text: str, share: str) -> None:
    """A share keeps 18 places, and no exponent or sign that later arithmetic would stumble over."""
    targets = parse_signal(with_share(text), COINS).targets
    assert targets is not None
    assert str(targets["BTC"]) == share


def test_shares_do_not_depend_on_the_callers_context() -> None:
    """A coarse decimal context elsewhere changes nothing."""
    with localcontext(prec=2):
        signal = parse(v2(position(share=0.123456), position("ETHUSDC", 0.9)))
        alone = parse(v2(position(share=0.123456)))
    assert signal.targets == {"BTC": Decimal("0.12062658287215083"), "ETH": Decimal("0.879373417127849169")}
    assert alone.targets == {"BTC": Decimal("0.123456")}


def test_sums_of_weights() -> None:
    """Up to 1 as they are, up to 1.05 scaled down to 1, beyond refused."""
    exact = parse(v2(position(share=0.6), position("ETHUSDC", 0.4)))
    assert exact.targets == {"BTC": Decimal("0.6"), "ETH": Decimal("0.4")}
    scaled = parse(v2(position(share=0.7), position("ETHUSDC", 0.35)))
    assert scaled.targets == {"BTC": Decimal("0.666666666666666666"), "ETH": Decimal("0.333333333333333333")}
    assert refusal(v2(position(share=0.7), position("ETHUSDC", 0.3501))) == "the weights add up to 1.0501, more than 1"


def test_sums_of_actions() -> None:
    """Sells may pay for buys; one side alone cannot be more than the capital."""
    both = [action(share=0.8), action("ETHUSDC", "SELL", 0.8), action("SOLUSDC", "HOLD", 1)]
    assert len(parse(v1(actions=both)).wants.coins) == 2
    for name in "BUY", "SELL":
        entries = [action(name=name, share=0.8), action("ETHUSDC", name, 0.8)]
        assert refusal(v1(actions=entries)) == f"the {name} actions add up to 1.6000, more than 1"


def test_a_coin_twice() -> None:
    """Also under two quotes."""
    assert refusal(v2(position(), position("BTCUSDT"))) == "BTC stands twice in portfolio_state.positions"
    assert refusal(v1(actions=[action(), action(name="SELL")])) == "BTC stands twice in actions"


def test_unknown_coins_are_named() -> None:
    """All of them, sorted; whatever else is right is refused with them."""
    document = v1(
        actions=[action(), action("DOGEUSDC"), action("PEPEFDUSD", "HOLD", 0)],
        portfolio_state={"positions": [position("DOGEUSDT"), position("ADAUSDC", 0)]},
    )
    with pytest.raises(UnknownCoin) as caught:
        parse(document)
    assert caught.value.coins == ("ADA", "DOGE", "PEPE")
    assert caught.value.signal_id == "one"
    assert caught.value.reason == "unknown coin: ADA, DOGE, PEPE"
    assert parse(document, (*COINS, "DOGE", "PEPE", "ADA")).wants.coins == {"BTC", "DOGE"}


def test_unknown_coins_are_bounded() -> None:
    """A thousand invented coins make no endless reason."""
    with pytest.raises(UnknownCoin) as caught:
        parse(v2(*(position(f"C{number}USDC", 0) for number in range(1000))))
    assert len(caught.value.coins) == 20


@pytest.mark.parametrize("pair", [None, 7, [], "", "BTC", "USDC", "btcusdc", "BTC/USDC", "BTCXYZ", "A" * 40 + "USDC"])
def test_what_is_no_pair(pair: Any) -> None:
    """`coin` is a trading pair in a known quote asset."""
    assert refusal(v2(position(pair))).startswith("coin is not a ")
    assert refusal(v1(actions=[action(pair)])).startswith("coin is not a ")


@pytest.mark.parametrize("quote", QUOTES)
def test_every_quote(quote: str) -> None:
    """The leader's quote asset does not matter."""
    assert parse(v2(position(f"SOL{quote}"))).targets == {"SOL": Decimal("0.15")}


def test_the_followers_coins_settle_what_a_pair_means() -> None:
    """A pair that can be cut in two ways is cut where the coin is known."""
    pair = v2(position("BTTUSD"))
    assert parse(pair, ("BTT",)).targets == {"BTT": Decimal("0.15")}
    assert parse(pair, ("BT",)).targets == {"BT": Decimal("0.15")}
    with pytest.raises(UnknownCoin) as unknown:
        parse(pair)
    assert unknown.value.coins == ("BT",)
    with pytest.raises(InvalidSignal, match="BTTUSD could be BT or BTT") as ambiguous:
        parse(pair, ("BT", "BTT"))
    assert ambiguous.value.signal_id == "two"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"signal_id": "one"}, "actions is not a list"),
        (v1(actions={}), "actions is not a list"),
        (v1(actions=["BUY"]), "an entry of actions is not an object"),
        (v1(portfolio_state=[]), "portfolio_state is not an object"),
        (v1(portfolio_state={"positions": {}}), "portfolio_state.positions is not a list"),
        (v1(portfolio_state={"positions": [position(share=2)]}), "pct_of_portfolio of BTC is not between 0 and 1: 2"),
        (v2("BTC"), "an entry of portfolio_state.positions is not an object"),
        (v1(version={}), "unknown version: an object"),
        (v1(version="2\n\x1b[31m"), "unknown version: '2  [31m'"),
    ],
)
def test_wrong_shapes(document: Any, reason: str) -> None:
    """Each with its reason, fit for a log line."""
    assert refusal(document) == reason


@pytest.mark.parametrize("value", ["high", "0.7", 72, -1, True, [], {"a": 1}, "9" * 70])
def test_a_confidence_that_is_none(value: Any) -> None:
    """What is only shown makes no signal invalid: it is shown as nothing."""
    assert parse(v2(confidence=value)).confidence is None


@pytest.mark.parametrize("value", [7, True, ["because"], {"en": "because"}])
def test_a_reasoning_that_is_none(value: Any) -> None:
    """The same, and for whatever else is not known."""
    assert parse(v2(reasoning=value, update=value, whatever=value)).reasoning == ""


def test_keys_that_stand_twice_and_are_only_shown() -> None:
    """Nothing is shown of them; inside of something unknown they are nobody's business."""
    body = json.dumps(v2(confidence=0.5, reasoning="a", x={"y": 1}))
    body = body.replace('"confidence": 0.5', '"confidence": 0.5, "confidence": 0.6').replace('"y": 1', '"y": 1, "y": 2')
    body = body.replace(
        '"reasoning": "a"', '"reasoning": "a", "reasoning": "b", "update": {"required": true}, "update": {}'
    )
    signal = parse_signal(body.encode(), COINS)
    assert (signal.confidence, signal.reasoning, signal.update_required) == (None, "", False)


def test_what_is_wanted_is_the_same_for_the_same_content() -> None:
    """Whatever it is written like, and whatever is said beside it."""
    one = parse(v2(position("BTCUSDC", 0.5), position("ETHUSDC", 0), reasoning="a")).wants
    other = parse(v2(position("BTCUSDT", 0.50), reasoning="b")).wants
    assert to_text(one) == to_text(other) == json.dumps({"allocation": {"BTC": "0.5"}})
    assert from_text(to_text(one)) == other
    hold = v1(actions=[action(), {"coin": "ETHUSDC", "action": "HOLD", "pct_of_capital": 0}])
    moves = parse(hold).wants
    assert moves == parse(v1(actions=[action()])).wants == from_text(to_text(moves))
    whole = Allocation(shares={"BTC": Decimal("0.5")}, keep=frozenset({"XRP", "ETH"}), cash=Decimal("0.1"))
    assert from_text(to_text(whole)) == whole


def test_keys_that_stand_twice() -> None:
    """Two readers could take different ones: refused wherever it decides what is traded."""
    assert refusal(b'{"signal_id": "two", "version": 1, "version": 2, "portfolio_state": {"positions": []}}')
    body = json.dumps(v2({"coin": "BTCUSDC", "x": 0})).replace('"x": 0', '"pct_of_portfolio": 0, "pct_of_portfolio": 1')
    assert refusal(body.encode()) == "the key 'pct_of_portfolio' stands twice in an object"


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-02-12T10:00:00Z", datetime(2026, 2, 12, 10, tzinfo=UTC)),
        ("2026-02-12T10:00:00", datetime(2026, 2, 12, 10, tzinfo=UTC)),
        ("2026-02-12T10:00:00-05:00", datetime(2026, 2, 12, 15, tzinfo=UTC)),
        (1_770_890_400, datetime(2026, 2, 12, 10, tzinfo=UTC)),
        (1_770_890_400.5, datetime(2026, 2, 12, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        ("0001-01-01T00:00:00+14:00", None),
        (1_770_890_400_000, None),
        (-(10**18), None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_times(value: Any, moment: datetime | None) -> None:
    """ISO 8601 or Unix seconds; nonsense counts as absent, and the other member is asked."""
    assert parse(v2(timestamp=value)).created_at == moment
    assert parse(v2(created_at=value)).created_at == moment
    second = datetime(2025, 1, 1, tzinfo=UTC)
    assert parse(v2(timestamp=value, created_at=second.isoformat())).created_at == (moment or second)


def test_reasoning_is_bounded_and_clean() -> None:
    """Words are kept, control characters, line breaks and lone surrogates are not."""
    assert parse(v2(reasoning=" L'élan 🚀\x00\x1b[31m\r\n\u2028\ud800 ok\t")).reasoning == "L'élan 🚀  [31m     ok"
    assert len(parse(v2(reasoning="x" * 5000)).reasoning) == 2000
    nothing: tuple[Any, ...] = (None, 7, ["x"], {})
    assert {parse(v2(reasoning=value)).reasoning for value in nothing} == {""}


@pytest.mark.parametrize("update", [None, True, [], {}, {"required": "true"}, {"required": 1, "latest_version": 5}])
def test_update_is_only_what_it_says(update: Any) -> None:
    """Nothing but `true` asks for an update."""
    signal = parse(v2(update=update))
    assert not signal.update_required
    assert signal.latest_version is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PAIRS = st.builds("{}{}".format, st.sampled_from(COINS), st.sampled_from(QUOTES[:3])) | JSON
NUMBERS = st.decimals(0, 1, places=4).map(float) | JSON
ENTRIES = st.fixed_dictionaries(
    {"coin": PAIRS},
    optional={
        "action": st.sampled_from(["BUY", "SELL", "HOLD"]) | JSON,
        "pct_of_capital": NUMBERS,
        "pct_of_portfolio": NUMBERS,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"signal_id": st.text(max_size=20) | JSON},
    optional={
        "version": st.sampled_from([1, 2]) | JSON,
        "actions": st.lists(ENTRIES, max_size=4) | JSON,
        "portfolio_state": st.fixed_dictionaries({"positions": st.lists(ENTRIES, max_size=4) | JSON}) | JSON,
        "confidence": NUMBERS,
        "reasoning": JSON,
        "timestamp": JSON | st.datetimes().map(str),
        "update": JSON,
    },
)


def check(body: bytes) -> None:
    """Nothing but InvalidSignal escapes, and what is accepted keeps its promises."""
    try:
        signal = parse_signal(body, COINS)
    except InvalidSignal as error:
        error.reason.encode()
        return
    moves = signal.wants.moves if isinstance(signal.wants, Moves) else ()
    shares = [*(signal.targets or {}).values(), *(move.share for move in moves)]
    assert all(0 <= share <= 1 for share in shares)
    assert sum((signal.targets or {}).values()) <= 1
    assert isinstance(signal.wants, Moves) or signal.wants.shares == signal.targets
    assert {*(signal.targets or {}), *signal.wants.coins} <= set(COINS)
    f"{signal.signal_id}{signal.reasoning}".encode()


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_fuzz_bytes(body: bytes) -> None:
    """Any bytes."""
    check(body)


@given(JSON | DOCUMENTS)
def test_fuzz_documents(document: Any) -> None:
    """Any JSON, and what is nearly a signal."""
    check(json.dumps(document).encode())


@given(DOCUMENTS, st.data())
def test_fuzz_broken_documents(document: Any, data: st.DataObject) -> None:
    """A signal with some bytes changed on the way."""
    body = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body))


@given(st.dictionaries(st.sampled_from(COINS), st.decimals(0, 1, places=6), max_size=5))
def test_every_valid_allocation_is_read_to_the_last_digit(weights: dict[str, Decimal]) -> None:
    """Weights arrive as they were sent, or scaled alike where they add up to a little more than 1."""
    document = v2(*(position(f"{coin}USDC", float(weight)) for coin, weight in weights.items()))
    total = sum(weights.values())
    if total > Decimal("1.05"):
        assert "add up to" in refusal(document)
        return
    targets = parse(document).targets
    assert targets is not None
    if total <= 1:
        assert targets == weights
    else:
        assert all(abs(targets[coin] - weights[coin] / total) < Decimal("1E-17") for coin in weights)


# Where it came through


def through(**fields: Any) -> bytes:
    """A signal that came through others."""
    return json.dumps({"version": 2, "signal_id": "one", "portfolio_state": {"positions": []}, **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "origin", "hops"),
    [
        ({}, (), 0),
        ({"origin": "far"}, (), 0),
        ({"origin": [1]}, (), 0),
        ({"origin": ["far", "near"]}, ("far", "near"), 2),
        ({"origin": ["far", "near"], "hops": 1}, ("far", "near"), 1),
        ({"origin": ["far", "near"], "hops": 3}, ("far", "near"), 2),
        ({"origin": ["far", "near"], "hops": True}, ("far", "near"), 2),
        ({"origin": ["a", "b", "c", "d", "e"], "hops": 2}, ("a", "b", "c", "d", "e"), 2),
    ],
)
def test_origin(fields: dict[str, Any], origin: tuple[str, ...], hops: int) -> None:
    """The leaders that it came through are told; what is told otherwise is nothing."""
    signal = parse_signal(through(**fields), [], "own")
    assert (signal.origin, signal.hops) == (origin, hops)


@pytest.mark.parametrize("origin", [["own"], ["far", "own", "near"], ["a", "b", "c", "d"]])
def test_loop(origin: list[str]) -> None:
    """What came through the follower itself, or through more than three, is refused, whichever coins it names."""
    body = through(origin=origin, portfolio_state={"positions": [{"coin": "XYZUSDC", "pct_of_portfolio": 0.1}]})
    with pytest.raises(SignalLoop, match="signal_loop") as caught:
        parse_signal(body, [], "own")
    assert caught.value.signal_id == "one"


def test_own_id_may_be_none() -> None:
    """Who does not lead is in no circle."""
    assert parse_signal(through(origin=[""]), []).origin == ("",)
