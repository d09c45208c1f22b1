"""PostgreSQL: claims, completions and inserts as one statement each; rows are locked, and locked rows skipped."""
