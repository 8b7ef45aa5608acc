"""The texts of alerts: what each format says, what is refused, and that nothing else comes out of any text."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.calvalot.trading.alert import (
    Alert,
    AlertRecord,
    AlertState,
    Ask,
    Asked,
    Cancel,
    Format,
    Hold,
    InvalidAlert,
    Problem,
    Trade,
    Unit,
    wants_of,
    wants_text,
)
from custom_components.calvalot.trading.decimals import ONE, ZERO
from custom_components.calvalot.trading.exchanges.base import Side
from custom_components.calvalot.trading.sources.alert_format import MAX_BODY, coin_of, parse_alert
from custom_components.calvalot.trading.sources.alerts import AlertSettings, AlertsSource
from custom_components.calvalot.trading.sources.base import Moment
from custom_components.calvalot.trading.terms import Level, Terms
from custom_components.calvalot.trading.wants import Moves, from_text, to_text

COINS = ("BTC", "ETH", "DOGE")
INPUTS = int(os.environ.get("CALVALOT_ALERTS", "10000"))
NOW = datetime(2026, 11, 27, 6, tzinfo=UTC)
LONG, FLAT = Hold(None), Hold(ZERO)
QUARTER = Hold(Decimal("0.25"))


def read(text: Any) -> Alert:
    """An alert of a text, or of what is to be JSON."""
    return parse_alert((text if isinstance(text, str) else json.dumps(text)).encode(), COINS)


def own(**fields: Any) -> dict[str, Any]:
    """Own JSON of bitcoin."""
    return {"ticker": "BTCUSDT", **fields}


def commas(**fields: Any) -> dict[str, Any]:
    """What a signal bot of 3Commas is sent."""
    return {
        "secret": "x",
        "max_lag": "300",
        "timestamp": "2026-11-27T05:59:58Z",
        "trigger_price": "90000",
        "tv_exchange": "BINANCE",
        "tv_instrument": "BTCUSDT",
        "bot_uuid": "0",
        **fields,
    }


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        (own(action="buy"), LONG),
        (own(action="sell"), FLAT),
        (own(action="Close", quantity=1), FLAT),
        (own(market_position="long", action="sell", quantity="0.5"), LONG),
        (own(market_position="flat"), FLAT),
        (own(market_position="short"), FLAT),
        (own(target=25), QUARTER),
        (own(target="25", market_position="long"), QUARTER),
        (own(target=0, market_position="flat"), FLAT),
        (own(action="buy", quantity="0.001"), Trade(Side.BUY, Unit.QUANTITY, Decimal("0.001"))),
        (own(action="sell", quantity=1.5e-3), Trade(Side.SELL, Unit.QUANTITY, Decimal("0.0015"))),
        (own(action="buy", amount=20, type="market"), Trade(Side.BUY, Unit.AMOUNT, Decimal(20))),
        (own(action="buy", share="2.5"), Trade(Side.BUY, Unit.SHARE, Decimal("0.025"))),
        (commas(action="enter_long"), LONG),
        (commas(action="exit_long"), FLAT),
        (commas(action="sell", strategy_info={"market_position": "long"}), LONG),
        (commas(action="buy", strategy_info={"market_position": "flat"}, order={"amount": 1}), FLAT),
        (
            commas(action="buy", order={"amount": "50", "currency_type": "quote", "order_type": "market"}),
            Trade(Side.BUY, Unit.AMOUNT, Decimal(50)),
        ),
        (
            commas(action="sell", order={"amount": 0.5, "currency_type": "base"}),
            Trade(Side.SELL, Unit.QUANTITY, Decimal("0.5")),
        ),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY", LONG),
        ("SYMBOL=BTCUSDT\nSIGNAL=SELL\nORDER_TYPE=MARKET\n", FLAT),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;VOLUME=2%", Trade(Side.BUY, Unit.SHARE, Decimal("0.02"))),
        ("EXCHANGE=binance;SYMBOL=BTC/USDT;SIGNAL=BUY;VOLUME=50q", Trade(Side.BUY, Unit.AMOUNT, Decimal(50))),
        ("SYMBOL=BTCUSDT;SIGNAL=SELL;VOLUME=0.01;STOP_PRICE=", Trade(Side.SELL, Unit.QUANTITY, Decimal("0.01"))),
    ],
)
def test_wants(text: Any, wants: Asked) -> None:
    """What is asked for, whichever way it is said; it is kept as it was."""
    alert = read(text)
    assert (alert.coin, alert.wants) == ("BTC", wants)
    assert wants_of(wants_text(alert.wants)) == wants
    assert alert.closes is (wants == FLAT or (isinstance(wants, Trade) and wants.side is Side.SELL))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", Problem.UNREADABLE),
        ("{", Problem.UNREADABLE),
        ("[]", Problem.UNREADABLE),
        ("hello", Problem.UNREADABLE),
        ("SYMBOL=BTCUSDT", Problem.UNREADABLE),
        ("SYMBOL=BTCUSDT;SYMBOL=ETHUSDT;SIGNAL=BUY", Problem.UNREADABLE),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;STOP_PRICE=5%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;TAKE_PROFIT_PRICE_1=-5%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;TAKE_PROFIT_PRICE_1=5%;TAKE_PROFIT_PRICE_2=9%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;TAKE_PROFIT_PRICE=5%;TAKE_PROFIT_PRICE_1=9%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;REDUCE_ONLY=true", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;TRAILING_PROFILE=x", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;ORDER_TYPE=LIMIT", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;ORDER_TYPE=STOP;STOP_PRICE=1", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;PRICE=42000", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;ORDER_TYPE=LIMIT;PRICE=1%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=SELL;ORDER_TYPE=LIMIT;PRICE=1%;STOP_PRICE=-5%", Problem.UNSUPPORTED),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;STOP_PRICE=5d", Problem.UNREADABLE),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;VOLUME=2a%", Problem.UNREADABLE),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;VOLUME=0%", Problem.UNREADABLE),
        ("SIGNAL=BUY", Problem.UNREADABLE),
        ("x" * (MAX_BODY + 1), Problem.UNREADABLE),
        (own(), Problem.UNREADABLE),
        (own(action=1), Problem.UNREADABLE),
        (own(action="enter_short"), Problem.UNSUPPORTED),
        (own(action="buy", quantity=1, amount=1), Problem.UNREADABLE),
        (own(action="buy", quantity=0), Problem.UNREADABLE),
        (own(action="buy", quantity=-1), Problem.UNREADABLE),
        (own(action="buy", quantity=True), Problem.UNREADABLE),
        (own(action="buy", quantity=1e16), Problem.UNREADABLE),
        (own(action="buy", quantity="{{strategy.order.contracts}}"), Problem.UNREADABLE),
        (own(action="buy", share=101), Problem.UNREADABLE),
        (own(action="buy", stop_price=5), Problem.UNSUPPORTED),
        (own(action="buy", type="stop"), Problem.UNSUPPORTED),
        (own(action="buy", type=["limit"]), Problem.UNSUPPORTED),
        (own(action="buy", trailing_stop=21), Problem.UNSUPPORTED),
        (own(action="buy", trailing_stop="0.123"), Problem.UNSUPPORTED),
        (own(action="buy", type="limit"), Problem.UNREADABLE),
        (own(action="buy", type="market", limit_price=5), Problem.UNREADABLE),
        (own(action="buy", type="market", order_type="limit", limit_price=5), Problem.UNREADABLE),
        (own(action="buy", stop_loss=5, trailing_stop=5), Problem.UNREADABLE),
        (own(action="buy", stop_loss="0 %"), Problem.UNREADABLE),
        (own(action="buy", take_profit="1000 %"), Problem.UNREADABLE),
        (own(action="buy", take_profit=True), Problem.UNREADABLE),
        (commas(action="buy", stop_loss="5 %"), Problem.UNSUPPORTED),
        (own(target=25, market_position="flat"), Problem.UNREADABLE),
        (own(market_position="sideways"), Problem.UNREADABLE),
        (own(action="buy", timenow="{{timenow}}"), Problem.UNREADABLE),
        (own(action="buy", timenow=True), Problem.UNREADABLE),
        (own(action="buy", timenow=10**30), Problem.UNREADABLE),
        ('{"ticker": "BTCUSDT", "action": "buy", "action": "sell"}', Problem.UNREADABLE),
        ({"action": "buy"}, Problem.UNREADABLE),
        ({"ticker": "BTC USDT", "action": "buy"}, Problem.UNREADABLE),
        ({"ticker": "BTC/APPLES", "action": "buy"}, Problem.UNREADABLE),
        ({"ticker": "SOLUSDT", "action": "buy"}, Problem.UNKNOWN_COIN),
        (commas(action="exit_short"), Problem.UNSUPPORTED),
        (commas(action="buy", order=[]), Problem.UNREADABLE),
        (commas(action="buy", order={"amount": 5, "currency_type": "margin_percent"}), Problem.UNSUPPORTED),
        (
            commas(action="buy", order={"amount": 5, "currency_type": "base", "order_type": "limit"}),
            Problem.UNSUPPORTED,
        ),
    ],
)
def test_refused(text: Any, problem: Problem) -> None:
    """What is not exactly one of the formats, or asks for what could not be done as it says."""
    with pytest.raises(InvalidAlert) as caught:
        read(text)
    assert caught.value.problem is problem
    assert len(str(caught.value)) < 200


FIVE, LIMIT = Level(Decimal(5), percent=True), Level(Decimal(90000))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        (own(action="buy", stop_loss="5 %", take_profit="+5%"), Terms(stop_loss=FIVE, take_profit=FIVE)),
        (own(market_position="long", stop_loss="-5%"), Terms(stop_loss=FIVE)),
        (own(action="buy", limit_price=90000, trailing_stop="2.5 %"), Terms(limit=LIMIT, trailing=250)),
        (own(action="buy", type="Limit", order_type="limit", limit_price="90000"), Terms(limit=LIMIT)),
        (own(action="sell", quantity=1, limit_price="5%"), Terms(limit=FIVE)),
        # What only sells has nothing to protect.
        (own(action="sell", stop_loss="5 %", trailing_stop=1) | {"trailing_stop": None}, None),
        (own(target=0, take_profit=5), None),
        ("SYMBOL=BTCUSDT;SIGNAL=BUY;STOP_PRICE=-5%;TAKE_PROFIT_PRICE_1=5%", Terms(stop_loss=FIVE, take_profit=FIVE)),
        (
            "SYMBOL=BTCUSDT;SIGNAL=BUY;ORDER_TYPE=LIMIT;PRICE=-5%;TAKE_PROFIT_PRICE=90000",
            Terms(limit=FIVE, take_profit=LIMIT),
        ),
        ("SYMBOL=BTCUSDT;SIGNAL=SELL;ORDER_TYPE=LIMIT;PRICE=90000;VOLUME=1", Terms(limit=LIMIT)),
        ("SYMBOL=BTCUSDT;SIGNAL=SELL;STOP_PRICE=-5%", None),
    ],
)
def test_terms(text: Any, terms: Terms | None) -> None:
    """Limits and what is to protect, as prices or distances; kept as they were."""
    alert = read(text)
    assert alert.wants.terms == terms
    assert wants_of(wants_text(alert.wants)) == alert.wants


@pytest.mark.parametrize("text", [own(action="cancel"), "SYMBOL=BTCUSDT;SIGNAL=CANCEL;STOP_PRICE=-5%"])
def test_cancel(text: Any) -> None:
    """What waits for its price is to end."""
    alert = read(text)
    assert (alert.wants, alert.closes, wants_of(wants_text(alert.wants))) == (Cancel(), True, Cancel())


def test_not_utf_8() -> None:
    """Bytes that are no text."""
    with pytest.raises(InvalidAlert, match="UTF-8"):
        parse_alert(b"\xff", COINS)


@pytest.mark.parametrize(
    "ticker",
    ["BTCUSDT", "btcusdc", "BINANCE:BTCUSDT", "BTC/USDC", "BTC-EUR", "BTC_USDT", "XBTUSD", "BTCUSDT.P", "BTC"],
)
def test_tickers(ticker: str) -> None:
    """A coin by any of its names."""
    assert coin_of(ticker, COINS) == "BTC"


def test_tickers_of_others() -> None:
    """A coin's own code goes before what another exchange calls it, and what could be two coins is none."""
    assert coin_of("XDGUSD", COINS) == "DOGE"
    assert coin_of("XDGUSD", ("XDG", "DOGE")) == "XDG"
    with pytest.raises(InvalidAlert, match="could be"):
        coin_of("BTCEURUSDT", ("BTCEUR", "BTCEURUSDT"))


def test_times() -> None:
    """When it was sent, and how old it may be by its own word."""
    assert read(own(action="buy")).told_at is None
    for told in ("2026-11-27T06:00:00Z", "2026-11-27T06:00:00", "2026-11-27T07:00:00+01:00", 1795759200):
        assert read(own(action="buy", timenow=told)).told_at == NOW, told
    assert read("SYMBOL=BTC;SIGNAL=BUY;TIME=2026-11-27T06:00:00Z").told_at == NOW
    alert = read(commas(action="enter_long", max_lag=60))
    assert (alert.max_age, alert.told_at) == (timedelta(minutes=1), NOW - timedelta(seconds=2))
    assert read(commas(action="enter_long", max_lag="1e9")).max_age == timedelta(days=1)
    assert read(commas(action="enter_long", max_lag=None, timestamp=None)).max_age is None


def test_names_and_tests() -> None:
    """An id makes a text its own; a test is one unless it clearly is none."""
    assert read(own(action="buy", id="Long 1")).has_id
    assert not read(own(action="buy", id=" ")).has_id
    for value, is_test in ((True, True), ("yes", True), (1, True), (False, False), ("false", False), (None, False)):
        assert read(own(action="buy", test=value)).is_test is is_test
    assert [read(own(action="buy", **more)).format for more in ({}, {"id": 1})] == [Format.PLAIN, Format.OWN]


# Anything at all

_WORDS = st.sampled_from(
    (
        "BTCUSDT",
        "BINANCE:ETHUSD",
        "DOGE",
        "SOLUSDT",
        "buy",
        "sell",
        "close",
        "long",
        "flat",
        "short",
        "enter_long",
        "market",
        "limit",
        "base",
        "quote",
        "true",
        "2%",
        "0.1",
        "50q",
        "1e9",
        "-1",
        "NaN",
        "",
        " ",
        "\u202e",
        "2026-11-27T06:00:00Z",
        "-5%",
        "5 %",
        "7",
        "cancel",
    )
)
_VALUES = st.one_of(
    _WORDS,
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.decimals(0, 100, places=2).map(float),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.lists(st.none(), max_size=1),
)
_KEYS = st.sampled_from(
    (
        "ticker",
        "action",
        "market_position",
        "target",
        "timenow",
        "id",
        "test",
        "quantity",
        "amount",
        "share",
        "type",
        "limit_price",
        "take_profit",
        "trailing_stop",
        "tv_instrument",
        "timestamp",
        "max_lag",
        "stop_loss",
        "token",
        "note",
    )
)
_FIELDS = st.dictionaries(_KEYS, _VALUES, max_size=7)
_PAIRS = st.sampled_from(("BTCUSDT", "ETHUSDC", "DOGEEUR"))
_LIKELY = st.builds(
    lambda fields, terms, ticker, action: {"ticker": ticker, "action": action, **terms, **fields},
    st.dictionaries(
        st.sampled_from(("market_position", "target", "quantity", "amount", "share", "timenow")), _VALUES, max_size=3
    ),
    st.dictionaries(
        st.sampled_from(("limit_price", "take_profit", "stop_loss", "trailing_stop")),
        st.sampled_from(("5 %", "-1%", "7", "6.5", "9", "20", "0.001")),
        max_size=2,
    ),
    _PAIRS,
    st.sampled_from(("buy", "sell", "close", "cancel")),
)
_ORDER = st.dictionaries(st.sampled_from(("amount", "currency_type", "order_type", "market_position")), _VALUES)
_COMMAS = st.builds(
    lambda fields, order, info: {
        "tv_instrument": "BTCUSDT",
        "action": "buy",
        "order": order,
        "strategy_info": info,
        **fields,
    },
    _FIELDS,
    _ORDER | _VALUES,
    _ORDER | _VALUES,
)
_LINES = st.lists(
    st.tuples(
        st.sampled_from(
            ("SYMBOL", "SIGNAL", "VOLUME", "TIME", "ORDER_TYPE", "PRICE", "STOP_PRICE", "TAKE_PROFIT_PRICE", "ID")
        ),
        _WORDS,
    ),
    max_size=6,
).map(lambda pairs: ";".join(f"{key}={value}" for key, value in pairs))
BODIES = st.one_of(
    st.binary(max_size=64),
    (_FIELDS | _LIKELY | _LIKELY | _COMMAS).map(lambda fields: json.dumps(fields).encode()),
    (_LINES | st.text(max_size=40)).map(lambda text: text.encode(errors="surrogatepass")),
)
SHARES = st.decimals(0, 1, places=4)


@settings(max_examples=INPUTS, database=None, suppress_health_check=list(HealthCheck))
@given(
    BODIES,
    SHARES,
    SHARES,
    st.frozensets(st.sampled_from(tuple(Ask))),
    st.sampled_from((Decimal(1000), Decimal("0.01"), None)),
    st.booleans(),
    st.booleans(),
)
def test_anything(
    body: bytes,
    share: Decimal,
    held: Decimal,
    allow: frozenset[Ask],
    capital: Decimal | None,
    has_price: bool,
    rests: bool,
) -> None:
    """No text raises anything but that it is refused, and nothing is traded that is not allowed."""
    try:
        alert = parse_alert(body, COINS)
    except InvalidAlert as err:
        assert len(err.detail) < 200  # noqa: PT017
        return
    assert alert.coin in COINS
    record = AlertRecord(seq=1, source="alerts", received_at=NOW, digest="", coin=alert.coin, wants=alert.wants)
    source = AlertsSource(AlertSettings(share=share, allow=allow))
    source.waiting = [record]
    source.resting = frozenset({alert.coin}) if rests else frozenset()
    prices = dict.fromkeys(COINS, Decimal(7)) if has_price else {}
    signal = source.decide(Moment(now=NOW, prices=prices, weights={alert.coin: held}, capital=capital))
    if signal is None:
        return
    assert source.offered == (record,)
    assert to_text(from_text(to_text(signal.wants))) == to_text(signal.wants)
    cancels = signal.wants.cancel if isinstance(signal.wants, Moves) else frozenset[str]()
    assert cancels <= source.resting
    if isinstance(signal.wants, Moves) and not signal.wants.moves:
        assert cancels
        assert not isinstance(alert.wants, Cancel) or Ask.ORDERS in allow
        return
    if capital is None:
        targets = signal.targets or {}
        assert all(0 <= target <= share for target in targets.values())
        assert isinstance(alert.wants, Hold)
        wanted = targets[alert.coin] - held
        sells, buys = wanted < 0, wanted > 0
        all_sold = not targets[alert.coin]
    else:
        assert isinstance(signal.wants, Moves)
        (move,) = signal.wants.moves
        assert move.coin == alert.coin
        sells, buys = move.side is Side.SELL, move.side is Side.BUY
        all_sold = move.share == ONE
        assert not buys or held + move.share <= share
        assert 0 < move.share <= (ONE if all_sold else held if sells else share)
        terms = move.terms or Terms()
        assert buys or not terms.protects
        assert terms.limit is None or Ask.ORDERS in allow
        at = terms.price(move.side, Decimal(7))
        assert terms == Terms() or terms.is_sensible(at, Decimal(7) if held else at)
    assert not buys or Ask.OPEN in allow
    assert not sells or (Ask.CLOSE if all_sold else Ask.REDUCE) in allow
    named = isinstance(alert.wants, Trade) and alert.wants.unit is not Unit.SHARE
    assert not (buys and named) or Ask.ORDERS in allow
    assert capital is not None or alert.wants.terms is None
    assert source.verdicts.get(1, record).state is not AlertState.REFUSED
