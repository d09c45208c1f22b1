"""The parts of ``manage.py jobstats``: what is asked, how it is shown, and when it is too much."""
