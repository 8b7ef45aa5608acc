"""Backtests: sources, planner and paper exchange as they are, driven by the candles of the past."""
