"""Tries to break the follower with what a leader can answer: every input is refused in words, or is a signal indeed."""
