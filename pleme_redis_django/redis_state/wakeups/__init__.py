"""Wake-ups, which make jobs start sooner: hints, calls to worker processes, and which job holds a unique slot.

Everything here may be lost; the database decides.
"""

from __future__ import annotations

from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue

__all__ = ["JobQueue"]
