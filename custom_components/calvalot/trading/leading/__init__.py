"""What a portfolio publishes for others to follow: signed, chained, written down before it is served."""
