"""Rotations: the rotation of each fair selection that a store is asked for, once the index that it reads is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.fairness.index import FairIndex, fair_index, missing
from pleme_redis_django.orm_store.fairness.rotation import Rotation
from pleme_redis_django.orm_store.job_table import JobTable

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


class Rotations:
    """The rotations of one worker on one table; for the thread that claims."""

    def __init__(self, table: JobTable[Any]) -> None:
        self._table = table
        self._rotations: dict[JobSelection, Rotation] = {}
        self._indexes: dict[FairIndex, KnownIndex] = {}

    def of(self, selection: JobSelection) -> Rotation | None:
        """Return whose turn it is in a selection; None: its jobs are claimed in their order."""
        if not selection.fair or not self._index_of(selection).is_there():
            return None
        rotation = self._rotations.get(selection)
        if rotation is None:
            rotation = Rotation(get_settings().product_weights, selection)
            self._rotations[selection] = rotation
        return rotation

    def hear_of(self, selection: JobSelection, products: Collection[str]) -> set[str]:
        """Tell every rotation of a selection, and of its types, which products are said to have ready jobs.

        Return those that had none so far in one of them.
        """
        come: set[str] = set()
        for known, rotation in self._rotations.items():
            if known.queue_names == selection.queue_names:
                come |= rotation.hear_of(products)
        return come

    def _index_of(self, selection: JobSelection) -> KnownIndex:
        index = fair_index(self._table.model, self._table.using, selection)
        if index not in self._indexes:
            self._indexes[index] = KnownIndex(index)
        return self._indexes[index]
