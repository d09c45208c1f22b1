"""The parts of ``manage.py jobstats``: its report, the text of it, and the limits."""
