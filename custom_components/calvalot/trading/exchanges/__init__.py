"""Exchanges: one protocol, one adapter each."""
