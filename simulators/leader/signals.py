"""The signals of a leader: JSON objects as it sends them, and believable random ones."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
import random
from typing import Any

type Number = Decimal | str | float
type ActionEntry = tuple[str, str, Number]

LARGE_CHANGES = 1 / 12
LEAST_CASH = Decimal("0.05")
_MOODS = {
    "fr": (
        "Le momentum de {up} reste solide au-dessus de sa moyenne à 50 jours ; je renforce et j'allège {down}.",
        "Volatilité en baisse, volumes corrects : {up} offre le meilleur rapport rendement/risque, {down} s'essouffle.",
        "Prudence : les taux de financement montent. Je garde du cash, {up} reste la conviction, {down} est réduit.",
        "Rebond technique sur {up} après un support tenu trois fois. {down} perd sa tendance, je prends une partie.",
    ),
    "en": (
        "{up} holds above its 50-day average with rising volume; adding there and trimming {down}.",
        "Volatility is easing. {up} has the best reward for its risk this week, {down} is losing breadth.",
        "Funding rates look stretched, so some cash stays aside. {up} remains the conviction, {down} is reduced.",
        "{up} bounced off a support tested three times. {down} broke its trend, taking part of it off.",
    ),
}


def document_v2(signal_id: str, targets: Mapping[str, Number], quote: str) -> dict[str, Any]:
    """A target allocation, weights by coin."""
    return {
        "version": 2,
        "signal_id": signal_id,
        "confidence": 0.7,
        "reasoning": "",
        "actions": [],
        "portfolio_state": {"positions": _positions(targets, quote)},
    }


def document_v1(
    signal_id: str, actions: Iterable[ActionEntry], positions: Mapping[str, Number] | None, quote: str
) -> dict[str, Any]:
    """A list of actions, with the allocation after them where `positions` is given."""
    document: dict[str, Any] = {
        "signal_id": signal_id,
        "confidence": 0.7,
        "reasoning": "",
        "actions": [
            {"coin": f"{coin}{quote}", "action": action, "pct_of_capital": float(share)}
            for coin, action, share in actions
        ],
    }
    if positions is not None:
        document["portfolio_state"] = {"positions": _positions(positions, quote)}
    return document


def _positions(weights: Mapping[str, Number], quote: str) -> list[dict[str, Any]]:
    return [{"coin": f"{coin}{quote}", "pct_of_portfolio": float(weight)} for coin, weight in weights.items()]


class Strategist:
    """A seeded leader that changes its mind: weights in whole per cent, some cash always kept."""

    def __init__(self, seed: int, coins: Sequence[str], language: str | None) -> None:
        self._random = random.Random(seed)
        self._coins = coins
        self._language = language
        self.weights: dict[str, Decimal] = {}

    def rebalance(self) -> dict[str, Decimal]:
        """New weights for a random choice of the coins; between 5 and 40 % stay cash."""
        chosen = self._random.sample(self._coins, self._random.randint(min(2, len(self._coins)), len(self._coins)))
        parts = {coin: self._random.uniform(0.3, 1) for coin in chosen}
        invested = self._random.uniform(60, 95)
        total = sum(parts.values())
        # Held in the order of the coins, so that one seed makes one sequence.
        self.weights = {
            coin: Decimal(int(parts[coin] / total * invested)) / 100 for coin in self._coins if coin in parts
        }
        return self.weights

    def decide(self) -> dict[str, Decimal]:
        """What a steady leader wants next: a first allocation, then small changes of it, and now and then a large one."""
        if not self.weights:
            return self.rebalance()
        large = self._random.random() < LARGE_CHANGES
        change = Decimal(self._random.randint(10, 25) if large else self._random.randint(1, 3)) / 100
        held = [coin for coin in self._coins if self.weights.get(coin, Decimal(0)) > change]
        poor = 1 - sum(self.weights.values()) - change < LEAST_CASH
        giving = self._random.choice(held) if held and (poor or self._random.random() < 0.7) else None
        others = [coin for coin in self._coins if coin != giving]
        taking = None if poor and not giving else self._random.choice(others) if others else None
        if not giving and not taking:
            return self.rebalance()
        moves = {giving: -change, taking: change}
        self.weights = {
            coin: weight for coin in self._coins if (weight := self.weights.get(coin, Decimal(0)) + moves.get(coin, 0))
        }
        return self.weights

    def act(self) -> list[ActionEntry]:
        """One or two actions of 3 to 10 % of the capital that the weights allow, and a HOLD for another coin."""
        actions: list[ActionEntry] = []
        coins = self._random.sample(self._coins, min(3, len(self._coins)))
        for coin in coins[:2]:
            share = Decimal(self._random.randint(3, 10)) / 100
            held = self.weights.get(coin, Decimal(0))
            if share <= held and self._random.random() < 0.5:
                actions.append((coin, "SELL", share))
                self.weights = self.weights | {coin: held - share}
            elif sum(self.weights.values()) + share <= Decimal("0.95"):
                actions.append((coin, "BUY", share))
                self.weights = self.weights | {coin: held + share}
        return [*actions, *((coin, "HOLD", Decimal(0)) for coin in coins[2:])]

    def words(self) -> dict[str, Any]:
        """Confidence and reasoning that go with the present weights."""
        language = self._language or self._random.choice(("fr", "en"))
        ranked = sorted(self._coins, key=lambda coin: self.weights.get(coin, Decimal(0)))
        text = self._random.choice(_MOODS[language]).format(up=ranked[-1], down=ranked[0])
        return {"confidence": self._random.randint(55, 92) / 100, "reasoning": text}
