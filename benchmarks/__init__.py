"""Benchmarks: bertworks beside its peers, in one interleaved run each. See README.md."""
