"""A random storm over the real follower in a real Home Assistant, and a close look at its books after every crash."""
