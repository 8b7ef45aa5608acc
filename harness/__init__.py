"""Simulators, a Home Assistant to drive, and a portfolio at work: once for tests, demo, soak, benchmarks and fuzzing."""
