"""Dialects: what each database does in its own way with a job table, and every SQL statement written by hand."""
