"""Job definitions, which ``@job`` makes: their options, their registry, and when two jobs are equal."""
