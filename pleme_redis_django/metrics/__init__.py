"""What worker processes count of the jobs: endings, depths and durations, and what becomes of them over time."""
