"""The follower in a real Home Assistant, against both simulators, on loopback only."""
