"""The follower's process is killed at every step of the order path, and what it makes of that."""
