"""Schedules as rows: what is declared and edited, what is due, and each tick fired once."""
