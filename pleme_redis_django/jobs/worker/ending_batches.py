"""Ending batches: how many endings go into one write, and how one that cannot be written is parted from the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pleme_redis_django.exceptions import BadEnding, DoubtfulEndings, LockedJobs
from pleme_redis_django.jobs.interface.endings import Completed, Ending
from pleme_redis_django.jobs.interface.store import JobStore

# One statement of this size is quick, whatever the server plans for it, and is repeated cheaply.
MAX_ENDINGS = 500
MAX_BYTES = 4 * 1024 * 1024
# Endings that fail one after the other, each alone, say that it is the store and not they.
STRANGE_IN_A_ROW = 3

Answer = Sequence[bool] | Exception
"""Which endings were accepted, or what keeps them from being written."""


def batch_length(endings: Sequence[Ending]) -> int:
    """Return how many of the first endings go into one write; at least one where there is any."""
    size, sizes = (
        0,
        [
            len(ending.results_json) if type(ending) is Completed else _size(ending)
            for ending in endings[:MAX_ENDINGS]
        ],
    )
    if sum(sizes) <= MAX_BYTES:
        return len(sizes)
    for count, size_of_one in enumerate(sizes):
        size += size_of_one
        if size > MAX_BYTES:
            return max(count, 1)
    return len(sizes)


def _size(ending: Ending) -> int:
    if isinstance(ending, Completed):
        return len(ending.results_json)
    failure = getattr(ending, "failure", None)
    return 0 if failure is None else len(failure.message) + len(failure.traceback)


def write_parted(
    store: JobStore[Any], endings: Sequence[Ending], *, part_doubtful: bool = False
) -> Iterator[tuple[Sequence[Ending], Answer]]:
    """Write endings; yield them in parts, each with its answer.

    A refused batch is halved until what spoils it stands alone, one that was refused with DoubtfulEndings
    only when ``part_doubtful``; jobs whose rows are locked are parted at once. Everything else is the
    store's trouble, and raised. What was not yielded until then is to be written again.
    """
    parts = [endings]
    strange = 0
    while parts:
        part = parts.pop()
        try:
            accepted = store.finish_jobs(part)
        except LockedJobs as error:
            locked = [ending for ending in part if ending.job_id in error.job_ids]
            if not locked:
                raise
            yield locked, error
            rest = [ending for ending in part if ending.job_id not in error.job_ids]
            parts += [rest] if rest else []
        except (BadEnding, DoubtfulEndings) as error:
            is_doubtful = isinstance(error, DoubtfulEndings)
            if is_doubtful and not part_doubtful:
                raise
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            strange += is_doubtful
            if strange >= STRANGE_IN_A_ROW:
                raise
            yield part, error
        else:
            strange = 0
            yield part, accepted
