"""A short run of the fuzzer, and that it would find something."""

from pathlib import Path
import random
from unittest.mock import patch

import pytest

from custom_components.calvalot.trading.sources import leader_format
from fuzz.bodies import SEEDS, mutate, renamed
from fuzz.targets import Finding, Path2Paper, is_signal, parse

INPUTS = 5000
PATH_INPUTS = 60


def bodies(count: int, seed: int) -> list[bytes]:
    """Bodies that were tampered with."""
    chance = random.Random(seed)
    return [mutate(renamed(chance.choice(SEEDS), number), chance) for number in range(count)]


def test_parser() -> None:
    """Nothing but a refusal in words escapes, and what is taken for a signal is one."""
    found = [parse(body) for body in bodies(INPUTS, 1)]
    assert sum(each is not None for each in found) > INPUTS // 20
    assert sum(each is None for each in found) > INPUTS // 2


async def test_leader_to_paper(socket_enabled: None, tmp_path: Path) -> None:
    """Whatever the leader answers, the cycle ends in order, and only a signal trades."""
    async with Path2Paper(tmp_path) as path:
        for body in bodies(PATH_INPUTS, 2):
            await path.feed(body)
        assert path.cycles == PATH_INPUTS
        assert path.signals > 5


def test_the_same_seed_is_the_same_run() -> None:
    """A finding can be had again."""
    assert bodies(50, 7) == bodies(50, 7) != bodies(50, 8)


@pytest.mark.parametrize("body", SEEDS[:5])
def test_seeds(body: bytes) -> None:
    """The real bodies are signals for both readers."""
    assert is_signal(body)
    assert parse(body)


@pytest.mark.parametrize(
    "body",
    [
        SEEDS[0].replace(b"0.4", b"true"),
        SEEDS[0].replace(b"0.4", b'"0.4"'),
        SEEDS[0].replace(b"0.4", b"1.1"),
        SEEDS[0].replace(b"0.4", b"NaN"),
        SEEDS[0].replace(b"2,", b"3,"),
        SEEDS[0].replace(b'"a"', b"5"),
        SEEDS[1].replace(b"0.69", b"0.75"),
        SEEDS[2].replace(b'"SELL"', b'"SHORT"'),
        SEEDS[0] + b" " * 256 * 1024,
        *SEEDS[5:],
    ],
)
def test_it_would_be_found(body: bytes) -> None:
    """A parser that lets something through is found out."""
    assert parse(body) is None
    good = leader_format.parse_signal(SEEDS[0], ("BTC",))
    with patch("fuzz.targets.parse_signal", return_value=good), pytest.raises(Finding):
        parse(body)


def test_harm_would_be_found() -> None:
    """So is one that repairs what it should refuse."""
    with patch.object(leader_format, "clean", lambda text: text), pytest.raises(Finding, match="harm"):
        parse(SEEDS[0].replace(b'"a"', b'"\\u202ea"'))
