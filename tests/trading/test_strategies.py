"""Strategies as text: read as they are meant or refused with their place, written and read back, said without a gap."""

from collections.abc import Mapping
from dataclasses import replace
import json
import os
from pathlib import Path
import re
import time

import pytest

from custom_components.calvalot.trading.market.candles import TimeFrame
from custom_components.calvalot.trading.strategies.document import LARGEST, InvalidStrategy, read_document
from custom_components.calvalot.trading.strategies.indicators import KINDS
from custom_components.calvalot.trading.strategies.library import READY_MADE, own_files, strategy_text
from custom_components.calvalot.trading.strategies.reader import read_strategy
from custom_components.calvalot.trading.strategies.sentence import Sentences
from custom_components.calvalot.trading.strategies.tree import (
    Compare,
    Comparison,
    Field,
    Group,
    Indicator,
    Junction,
    Line,
    Number,
    Parameter,
    Range,
    Strategy,
    Trades,
)
from custom_components.calvalot.trading.strategies.writer import write_strategy

from .random_strategies import random_strategies

# All of them where somebody asks for them, a tenth in the ordinary run.
COUNT = int(os.environ.get("CALVALOT_STRATEGIES", "100"))
TRANSLATIONS = Path(__file__).parents[2] / "custom_components" / "calvalot" / "translations"
LANGUAGES = ("en", "fr")

SIMPLE = """
name: Mine
indicators:
  fast: {type: sma, length: 20}
enter:
  value: price
  crosses_above: fast
exit:
  value: price
  below: fast
"""
PRICE = Compare(Field.CLOSE, Comparison.ABOVE, Number(1))
PARAMETER = "name: x\nparameters:\n  a: {default: 5, minimum: 1, maximum: 7}\n"


def texts(language: str) -> dict[str, str]:
    """What is said in a language."""
    found: dict[str, str] = json.loads((TRANSLATIONS / f"{language}.json").read_text("utf-8"))["common"]
    return found


def refused(text: str) -> InvalidStrategy:
    """Why a text is refused."""
    with pytest.raises(InvalidStrategy) as caught:
        read_strategy(text)
    return caught.value


def test_reads_what_is_meant() -> None:
    """Each word stands for its part of the tree."""
    strategy = read_strategy(
        """
        name: Averages
        time_frame: 4h
        idea: Follows a trend.
        parameters:
          short: {default: 20, minimum: 2, maximum: 200}
        indicators:
          fast: {type: sma, length: short, of: open, ago: 2}
          slow: {type: sma, length: 50}
          rsi: {type: rsi}
        enter:
          - value: fast
            crosses_above: slow
          - or:
              - value: rsi
                above: 30
                below: 70
                for: 3
              - not:
                  value: volume
                  above: 1000
        exit:
          value: fast
          crosses_below: slow
        size: 20
        stop_loss: 5.5
        """
    )
    between = Group(
        Junction.AND,
        (
            Compare(Line("rsi"), Comparison.ABOVE, Number(30), Number(3)),
            Compare(Line("rsi"), Comparison.BELOW, Number(70), Number(3)),
        ),
    )
    quiet = Group(Junction.NOT, (Compare(Field.VOLUME, Comparison.ABOVE, Number(1000)),))
    assert strategy == Strategy(
        name="Averages",
        idea="Follows a trend.",
        time_frame=TimeFrame.H4,
        parameters={"short": Range(default=20, minimum=2, maximum=200)},
        indicators={
            "fast": Indicator(kind="sma", numbers={"length": Parameter("short")}, of=Field.OPEN, ago=2),
            "slow": Indicator(kind="sma", numbers={"length": Number(50)}),
            "rsi": Indicator(kind="rsi"),
        },
        manner=Trades(
            enter=Group(
                Junction.AND,
                (
                    Compare(Line("fast"), Comparison.CROSSES_ABOVE, Line("slow")),
                    Group(Junction.OR, (between, quiet)),
                ),
            ),
            exit=Compare(Line("fast"), Comparison.CROSSES_BELOW, Line("slow")),
            size=Number(20),
            stop_loss=Number(5.5),
        ),
    )


def test_random_ones_are_written_and_read_back() -> None:
    """What is read back is the same tree, with every word there is among them."""
    strategies = random_strategies(COUNT)
    written = [write_strategy(each) for each in strategies]
    assert [read_strategy(each) for each in written] == [*strategies]
    whole = "\n".join(written)
    plain = replace(strategies[0], indicators={}, manner=Trades(enter=PRICE, exit=PRICE))
    assert read_strategy(write_strategy(plain)) == plain
    assert [kind for kind in KINDS if f"type: {kind}" not in whole] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_have_no_gap(language: str) -> None:
    """Every text that is asked for is there, filled in, and no other is there."""
    asked: set[str] = set()

    class Spy(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            asked.add(key)
            return super().__getitem__(key)

    words = Spy(texts(language))
    sentences = Sentences(language, words)
    for strategy in random_strategies(max(COUNT, 400)):
        for coins in ((), ("BTC",), ("BTC", "ETH")):
            said = sentences.say(strategy, coins)
            assert not re.search(r"[{}]|None|  |\( |\b(nan|inf)\b", said), said
            assert said.endswith(".")
    for coins in ((), ("BTC", "ETH")):
        said = sentences.script("mine.py", coins, TimeFrame.H1)
        assert "mine.py" in said
        assert not re.search(r"[{}]|None", said)
    assert {key for key in words if key.startswith("rule_") and not key.startswith("rule_made_")} == asked


def test_sentence_as_people_say_it() -> None:
    """A whole one, in both languages, with what was chosen."""
    strategy = read_strategy(strategy_text("averages_crossing", Path()))
    english = Sentences("en", texts("en")).say(strategy, ["BTC"], TimeFrame.H1, {"short": 10})
    assert english == (
        "Buys BTC for 100% when the average over 10 candles crosses above the average over 50 candles and the RSI (14) is below 70. "
        "Sells when the average over 10 candles crosses below the average over 50 candles. Looks at closed candles of 1h."
    )
    strategy = read_strategy(SIMPLE.replace("length: 20", "length: 1").replace("below: fast", "below: 1234.5"))
    assert Sentences("fr", texts("fr")).say(strategy) == (
        "Achète la crypto pour 100\u00a0% quand le prix franchit la moyenne sur 1\u00a0bougie à la hausse. "
        "Vend quand le prix est sous 1\u00a0234,5. Regarde les bougies clôturées de 1h."
    )


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made(name: str) -> None:
    """Each is read, and says what it is for, where it comes from and when it fails."""
    strategy = read_strategy(strategy_text(name, Path()))
    assert all((strategy.idea, strategy.source, strategy.weaknesses))
    assert strategy.parameters
    assert read_strategy(write_strategy(strategy)) == strategy


def test_ready_made_ones_are_those_of_the_folder() -> None:
    """None is forgotten."""
    folder = TRANSLATIONS.parent / "trading" / "strategies" / "ready_made"
    assert {each.stem for each in folder.iterdir()} == {*READY_MADE}
    assert len(READY_MADE) >= 8


def test_files(tmp_path: Path) -> None:
    """One of the owner's is found with and without its ending; a name leads nowhere else, and a ready-made one comes first."""
    (tmp_path / "mine.yaml").write_text(SIMPLE)
    assert strategy_text("mine", tmp_path) == strategy_text("mine.yaml", tmp_path) == SIMPLE
    (tmp_path / "macd.yaml").write_text(SIMPLE)
    assert strategy_text("macd", tmp_path) != SIMPLE
    (tmp_path / "large.yaml").write_text("#" * 1_000_000)
    assert refused(strategy_text("large", tmp_path)).key == "too_large"
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff")
    (tmp_path / "folder.yaml").mkdir()
    for name, key in {
        "other": "no_file",
        "folder": "no_file",
        "../mine": "file_name",
        "": "file_name",
        "a/b": "file_name",
        "bytes": "not_yaml",
    }.items():
        with pytest.raises(InvalidStrategy) as caught:
            strategy_text(name, tmp_path)
        assert caught.value.key == key
        for language in LANGUAGES:
            said = json.loads((TRANSLATIONS / f"{language}.json").read_text("utf-8"))["exceptions"]
            assert said[f"strategy_{key}"]["message"].format_map(caught.value.placeholders)


# What is refused

WRONG: Mapping[str, tuple[str, tuple[str, int, int]]] = {
    "a list": ("- name: x\n", ("no_mapping", 1, 1)),
    "a text": ("hello", ("no_mapping", 1, 1)),
    "nothing": ("", ("empty", 0, 0)),
    "a comment": ("# nothing\n", ("empty", 0, 0)),
    "no YAML": ("name: [1, 2", ("not_yaml", 1, 12)),
    "a control character": ("name: \x07", ("not_yaml", 0, 0)),
    "a tab": ("name: x\n\tenter: y", ("not_yaml", 2, 1)),
    "a tag": ("name: !!python/object:os.system x", ("tag", 1, 7)),
    "a tag on a list": ("name: !mine [x]", ("tag", 1, 7)),
    "two documents": ("name: x\n---\nname: y\n", ("several_documents", 2, 1)),
    "an anchor": ("name: &x y\n", ("anchor", 1, 7)),
    "a cycle": ("name: &x\n  - *x\n", ("anchor", 1, 7)),
    "an alias": ("name: *x\n", ("anchor", 1, 7)),
    "a key twice": ("name: x\nname: y\n", ("twice", 2, 1)),
    "a list as a key": ("? [a]\n: b\n", ("key_invalid", 1, 3)),
    "a number as a key": ("1: b\n", ("key_invalid", 1, 1)),
    "too deep": ("a: " + "[" * 40 + "]" * 40, ("too_deep", 1, 27)),
    "too many": ("a: [" + "1," * 5000 + "]", ("too_many", 1, 7999)),
    "too large": ("#" * (LARGEST + 1), ("too_large", 0, 0)),
    "an unknown word": (SIMPLE.replace("exit", "exits"), ("unknown_word_meant", 8, 1)),
    "a word that is far off": (SIMPLE + "zzzzzz: 1\n", ("unknown_word", 11, 1)),
    "no name": (SIMPLE.replace("name: Mine", ""), ("missing", 3, 1)),
    "a name that is a number": (SIMPLE.replace("Mine", "12"), ("no_text", 2, 7)),
    "a name that is too long": (SIMPLE.replace("Mine", "x" * 81), ("text_invalid", 2, 7)),
    "no manner": ("name: x\n", ("one_manner", 1, 1)),
    "two manners": (SIMPLE + "buy: []\n", ("one_manner", 2, 1)),
    "a word of another manner": ("name: x\ntarget: {shares: {share: 1}}\nstop_loss: 3\n", ("not_with", 3, 12)),
    "a time frame that is none": (SIMPLE + "time_frame: 7h\n", ("unknown_choice", 11, 13)),
    "an indicator that is none": (SIMPLE.replace("type: sma", "type: smma"), ("unknown_choice_meant", 4, 16)),
    "an indicator without a type": (SIMPLE.replace("type: sma, ", ""), ("missing", 4, 9)),
    "an indicator that is a number": (SIMPLE.replace("{type: sma, length: 20}", "20"), ("missing", 4, 9)),
    "indicators that are a list": (SIMPLE.replace("\n  fast: {type: sma, length: 20}", " [1]"), ("no_mapping", 3, 13)),
    "a length of 0": (SIMPLE.replace("20", "0"), ("whole_range", 4, 29)),
    "a length of a billion": (SIMPLE.replace("20", "1000000000"), ("whole_range", 4, 29)),
    "a length of 2.5": (SIMPLE.replace("20", "2.5"), ("whole_range", 4, 29)),
    "a length that is not there": (SIMPLE.replace(", length: 20", ""), ("missing", 4, 9)),
    "a length that is empty": (SIMPLE.replace("20", ""), ("missing", 4, 9)),
    "a length that is a list": (SIMPLE.replace("20", "[20]"), ("no_number", 4, 29)),
    "a length that is infinite": (SIMPLE.replace("20", ".inf"), ("unknown_parameter", 4, 29)),
    "a word of another indicator": (SIMPLE.replace("length", "lenght"), ("unknown_word_meant", 4, 21)),
    "a figure that is none": (SIMPLE.replace("20", "20, of: clos"), ("unknown_choice_meant", 4, 37)),
    "a name that is taken": (SIMPLE.replace("fast:", "close:"), ("name_invalid", 4, 3)),
    "a name with a dot": (SIMPLE.replace("fast:", "a.b:"), ("name_invalid", 4, 3)),
    "a value that is not there": (SIMPLE.replace("value: price\n  crosses", "crosses"), ("missing", 6, 3)),
    "a value that is a list": (SIMPLE.replace("above: fast", "above: [1, 2]"), ("no_value", 7, 18)),
    "a value that is not known": (SIMPLE.replace("above: fast", "above: fats"), ("unknown_name_meant", 7, 18)),
    "a value that is too large": (SIMPLE.replace("above: fast", "above: 10000000000000"), ("range", 7, 18)),
    "a line that is none": (SIMPLE.replace("above: fast", "above: fast.up"), ("unknown_line", 7, 18)),
    "a line that is missing": (
        SIMPLE.replace("sma, length: 20", "bollinger"),
        ("line_missing", 10, 10),
    ),
    "no comparison": (SIMPLE.replace("  crosses_above: fast\n", ""), ("one_of", 6, 3)),
    "two junctions": (SIMPLE.replace("crosses_above: fast", "and: []"), ("one_of", 6, 3)),
    "an empty junction": (SIMPLE.replace("value: price\n  crosses_above: fast", "and: []"), ("no_condition", 6, 8)),
    "a crossing that lasts": (SIMPLE.replace("above: fast", "above: fast\n  for: 3"), ("for_crossing", 8, 8)),
    "no way out": (SIMPLE.split("exit", maxsplit=1)[0], ("never_sells", 2, 1)),
    "a stop of 0 %": (SIMPLE + "stop_loss: 0\n", ("range", 11, 12)),
    "a division by zero": (SIMPLE.replace("above: fast", "above: {ratio: [1, 0]}"), ("division_by_zero", 7, 26)),
    "a sum of one": (SIMPLE.replace("above: fast", "above: {sum: [1]}"), ("two_values", 7, 24)),
    "a difference of three": (SIMPLE.replace("above: fast", "above: {difference: [1, 2, 3]}"), ("two_values", 7, 31)),
    "a calculation of two kinds": (
        SIMPLE.replace("above: fast", "above: {sum: [1, 2], ratio: [1, 2]}"),
        ("one_of", 7, 18),
    ),
    "purchases of nothing": ("name: x\nbuy: []\n", ("no_condition", 2, 6)),
    "a purchase without a size": ("name: x\nbuy: {every: 7}\n", ("missing", 2, 6)),
    "shares that are never reached": (
        "name: x\ntarget:\n  shares:\n    - share: 1\n    - share: 2\n",
        ("shares_unreachable", 4, 5),
    ),
    "no shares": ("name: x\ntarget:\n  shares: []\n", ("shares_unreachable", 3, 11)),
    "a rotation by nothing": ("name: x\nrotate: {hold: 1}\n", ("missing", 2, 9)),
    "a parameter out of its range": (
        "name: x\nparameters:\n  a: {default: 5, minimum: 6, maximum: 7}\nbuy: {size: a, every: 1}\n",
        ("range", 3, 6),
    ),
    "a parameter that allows too much": (
        "name: x\nparameters:\n  a: {default: 5, minimum: 0, maximum: 7}\nbuy: {size: 1, every: a}\n",
        ("whole_range", 4, 23),
    ),
    "a parameter that may be zero": (
        PARAMETER.replace("1", "-1") + "target: {shares: {share: {ratio: [1, a]}}}\n",
        ("division_by_zero", 4, 34),
    ),
    "a name for two": (
        PARAMETER + "indicators:\n  a: {type: rsi}\nbuy: {size: 1, every: 1}\n",
        ("twice", 5, 3),
    ),
    "too many parameters": (
        "name: x\nparameters: {" + ", ".join(f"p{each}: 1" for each in range(41)) + "}\nbuy: {size: 1, every: 1}\n",
        ("too_many", 2, 13),
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_refuses(text: str, expected: tuple[str, int, int]) -> None:
    """What is wrong, with line and column, and words for it in both languages."""
    problem = refused(text)
    assert (problem.key, problem.line, problem.column) == expected
    for language in LANGUAGES:
        said = json.loads((TRANSLATIONS / f"{language}.json").read_text("utf-8"))["exceptions"]
        assert said[f"strategy_{problem.key}"]["message"].format_map(problem.placeholders)
    assert problem.key in str(problem)


def test_suggests_the_word_that_is_meant() -> None:
    """And names those that are known, where none is near."""
    assert refused(SIMPLE.replace("exit", "exits")).placeholders["meant"] == "exit"
    assert "take_profit" in refused(SIMPLE + "zzzzzz: 1\n").placeholders["known"]
    assert len(refused(SIMPLE + "z" * 900 + ": 1\n").placeholders["word"]) == 41


def test_every_refusal_has_its_words_and_no_other() -> None:
    """The keys of the cases above are all that there are."""
    said = json.loads((TRANSLATIONS / "en.json").read_text("utf-8"))["exceptions"]
    ours = {key.removeprefix("strategy_") for key in said if key.startswith("strategy_")}
    assert {expected[0] for _, expected in WRONG.values()} <= ours


def test_explosions_take_no_time() -> None:
    """A billion laughs, a megabyte and the deepest nesting are refused at once."""
    laughs = "a: &a [x,x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    began = time.process_time()
    assert refused(laughs).key == "anchor"
    assert refused("a" * 1_000_000).key == "too_large"
    assert refused("[" * 30_000).key == "too_deep"
    assert refused("name: \ud800").key == "not_yaml"
    assert time.process_time() - began < 1


def test_numbers_and_texts_are_told_apart() -> None:
    """What is quoted is a text, what is empty is nothing, and only plain numbers are numbers."""
    node = read_document("[1, '1', 1e3, -0.5, .5, 0x10, yes, ~, null, '']").value
    assert isinstance(node, list)
    assert [each.value for each in node] == [1.0, "1", "1e3", -0.5, 0.5, "0x10", "yes", None, None, ""]


def test_chosen_parameters() -> None:
    """Those that were chosen count, the others are as they are without."""
    strategy = read_strategy(strategy_text("macd", Path()))
    assert strategy.values({"strength": 30, "unknown": 3}) == {"strength": 30, "trailing": 10}
    assert replace(strategy, parameters={}).defaults == {}


def test_own_files(tmp_path: Path) -> None:
    """Rules by their names, strategies in Python with their ending; what could not be chosen is not listed."""
    assert own_files(tmp_path / "nowhere") == ()
    for name in ("b.yaml", "a.yaml", "z.py", "c.py", "macd.yaml", "notes.txt", "two words.yaml", "__pycache__"):
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    assert own_files(tmp_path) == ("a", "b", "c.py", "z.py")
