"""Pace: how fast a lane ends jobs, and how many more are worth claiming for it ahead of time."""

from __future__ import annotations

# Claims reach this far ahead: slow jobs are never hoarded, and fast ones come hundreds at a time.
PREFETCH_SECONDS = 0.1
MAX_CLAIM = 500

_SAMPLE_SECONDS = 0.02
_MEMORY_SECONDS = 0.2


class Pace:
    """An exponentially weighted rate of jobs ended, in jobs a second."""

    def __init__(self, now: float) -> None:
        self.per_second = 0.0
        self._sampled_at = now
        self._ended = 0

    def update(self, ended: int, now: float) -> None:
        """Take note that ``ended`` jobs have ended by ``now`` (monotonic seconds)."""
        elapsed = now - self._sampled_at
        if elapsed < _SAMPLE_SECONDS:
            return
        rate = (ended - self._ended) / elapsed
        weight = min(1.0, elapsed / _MEMORY_SECONDS)
        self.per_second += weight * (rate - self.per_second)
        self._sampled_at, self._ended = now, ended

    def prefetch(self, reach_seconds: float = PREFETCH_SECONDS) -> int:
        """Return how many jobs this pace starts within the reach of a claim."""
        return min(int(self.per_second * reach_seconds), MAX_CLAIM)
