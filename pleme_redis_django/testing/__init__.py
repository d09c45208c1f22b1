"""The public test kit: what a project's own suite may import.

Nothing outside of tests, demos and benchmarks should import it, and nothing in the package does.
"""
