"""Benchmarks: measured figures with their spread, never part of the test suite."""
