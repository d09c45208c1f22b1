"""Elections: whether this process holds a role of the cluster, asked as seldom as the term allows."""

from __future__ import annotations

import time

from pleme_redis_django.jobs.interface.workers import WorkerIdentity, WorkerRegistry

# A term of three intervals: the holder renews it every other time, and is replaced soon after it dies.
TERM_INTERVALS = 3
RENEWED_AFTER_INTERVALS = 1.5


class Elections:
    """The roles of one process. Each job table has its own: a worker sees no other, and pools of one table
    share the ``namespace``."""

    def __init__(self, registry: WorkerRegistry, identity: WorkerIdentity, namespace: str) -> None:
        self._registry = registry
        self._identity = identity
        self._namespace = namespace
        self._held_until: dict[str, float] = {}

    def is_elected(self, role: str, interval_seconds: float) -> bool:
        """Whether this process holds the role. ``interval_seconds``: how often it does what the role is for."""
        role = f"{role}:{self._namespace}"
        now = time.monotonic()
        if now < self._held_until.get(role, now):
            return True
        elected = self._registry.elect(role, self._identity.worker_id, TERM_INTERVALS * interval_seconds)
        if elected:
            self._held_until[role] = now + RENEWED_AFTER_INTERVALS * interval_seconds
        return elected
