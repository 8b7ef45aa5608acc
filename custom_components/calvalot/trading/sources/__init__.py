"""Sources: what decides what a portfolio should hold."""
