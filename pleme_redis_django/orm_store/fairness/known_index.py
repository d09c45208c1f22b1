"""KnownIndex: whether the fair index of a table is there, asked at the first fair claim and seldom again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pleme_redis_django.orm_store.fairness.index import FairIndex, missing

logger = logging.getLogger("pleme_redis_django.jobs")

# While it is missing, it is asked for this often; a worker that has found it does not ask again.
ASK_AGAIN_SECONDS = 60.0


class KnownIndex:
    """What a worker knows of one fair index; for the thread that claims."""

    def __init__(self, index: FairIndex, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._is_there = False
        self._ask_at = float("-inf")
        self._is_missed = False

    def is_there(self) -> bool:
        """Return whether claims may read it. Without it a fair claim would go through all ready jobs."""
        if not self._is_there and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + ASK_AGAIN_SECONDS
            self._is_there = bool(self._index.exists())
            if not self._is_there and not self._is_missed:
                self._is_missed = True
                logger.warning("%s Run manage.py migrate.", missing(self._index))
        return self._is_there
