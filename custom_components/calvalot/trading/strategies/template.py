"""A strategy in Python. Copy this file into calvalot/strategies under a name of your own, and change it."""

from typing import Any


class AboveAverage:
    """Holds a coin while its price is above its average."""

    name = "Above its average"
    # How long a candle lasts, and how many closed ones of each coin `decide` is given.
    time_frame = "1h"
    candles = 50
    # Numbers that may be chosen in the form.
    parameters = {"size": 100}  # noqa: RUF012

    def decide(self, candles: dict[str, list[Any]], position: dict[str, float]) -> dict[str, float] | None:
        """Return the shares (%) that are wanted of each coin from now on.

        `candles` has for each coin its closed candles, oldest first, each with `opened` (Unix seconds), `open`, `high`, `low`,
        `close` and `volume`. `position` has the shares that are wanted now. A coin that is left out stays as it is, and so does
        everything with None.
        """
        shares: dict[str, float] = {}
        for coin, rows in candles.items():
            average = sum(candle.close for candle in rows) / len(rows)
            if rows[-1].close > average:
                shares[coin] = self.parameters["size"] / len(candles)
            elif position[coin]:
                shares[coin] = 0
        return shares
