"""Metrics: what worker processes count (endings, depths and durations) and how it is rolled up over time."""
