"""What every backend of django.tasks must do, as tests; and ``tasks``, which workers import, without pytest."""
