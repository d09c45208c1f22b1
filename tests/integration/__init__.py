"""Integration: real worker processes, as a user starts them, on the suite's servers."""
