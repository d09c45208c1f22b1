"""Unserved jobs: ready jobs that no handler is known for are told by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pleme_redis_django.jobs.interface.events import UnservedJobsFound
from pleme_redis_django.jobs.maintenance.unserved_jobs import report_unserved_jobs
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import RecordingSink


class CountingStore(MemoryJobStore):
    """Counts by type, as a database does."""

    def count_unserved(self, known_types: frozenset[str]) -> Mapping[str, int]:
        return Counter(job.job_type for job in self._jobs.values() if job.job_type not in known_types)


def a_store() -> CountingStore:
    store = CountingStore()
    for job_type in ("shop.known", "shop.misspelled", "shop.misspelled", "shop.old"):
        store.add(job_type=job_type)
    return store


def test_they_are_counted_by_type_and_told_at_once() -> None:
    sink = RecordingSink()
    assert report_unserved_jobs(a_store(), frozenset({"shop.known"}), sink) == 3
    (found,) = sink.of(UnservedJobsFound)
    assert dict(found.counts) == {"shop.misspelled": 2, "shop.old": 1}


def test_nothing_is_told_where_every_type_is_known() -> None:
    sink = RecordingSink()
    known = frozenset({"shop.known", "shop.misspelled", "shop.old"})
    assert report_unserved_jobs(a_store(), known, sink) == 0
    assert report_unserved_jobs(a_store(), None, sink) == 0
    assert sink.events == []
