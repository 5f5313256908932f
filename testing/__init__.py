"""Checkouts, faults and servers for `tests/` and `benchmarks/` alike."""
