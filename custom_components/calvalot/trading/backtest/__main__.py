"""A backtest in a terminal, or as a job: ``python -m trading.backtest``. Home Assistant is nowhere in it."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
