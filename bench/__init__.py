"""Benchmarks: CPU ratios to peers measured in the same run, and the long counts of the tests."""
