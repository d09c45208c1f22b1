"""The parts of ``manage.py runworkers``: a supervisor, its worker processes, and their output."""
