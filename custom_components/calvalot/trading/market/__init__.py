"""Closed candles by time frame, and their store."""
