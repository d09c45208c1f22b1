"""Dialects: what differs between databases, and every SQL statement written by hand."""
