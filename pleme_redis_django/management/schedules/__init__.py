"""What ``manage.py schedules`` shows."""
