"""Stand-ins for the leader and the exchange: real HTTP on loopback, for the demo, the tests and the benchmarks."""
