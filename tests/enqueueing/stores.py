"""A store that settings of tests name: it keeps neither limits nor orders, as one of only the eleven methods."""

from __future__ import annotations

from pleme_redis_django.testing import MemoryJobStore


class WithoutLimits(MemoryJobStore):
    @property
    def supports_limits(self) -> bool:
        return False
