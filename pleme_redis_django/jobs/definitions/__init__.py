"""What ``@job`` makes: definitions, their registry, and when two jobs are the same."""
