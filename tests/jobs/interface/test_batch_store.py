"""BatchJobStore: each single write is a batch of one, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django.exceptions import NotJson
from pleme_redis_django.jobs.interface.batch_store import BatchJobStore
from pleme_redis_django.jobs.interface.endings import Completed, Ending, Failed, Retried
from pleme_redis_django.jobs.interface.store import JobSelection
from pleme_redis_django.testing import MemoryJob
from tests.jobs.recording import WORKER, claim_by

JOB_ID, CLAIM = uuid4(), claim_by()
DETAILS = {"error_code": "smtp", "exception_class": "shop.Away", "traceback": "Traceback", "fingerprint": "f"}


class Batches(BatchJobStore[Any]):
    """Notes the batches."""

    def __init__(self, jobs: Sequence[Any] = (), accepted: bool = True) -> None:
        self.jobs, self.accepted = jobs, accepted
        self.claims: list[tuple[str, int, JobSelection]] = []
        self.endings: list[Ending] = []

    def claim_jobs(self, worker_id: str, limit: int, selection: JobSelection) -> Sequence[Any]:
        self.claims.append((worker_id, limit, selection))
        return self.jobs

    def finish_jobs(self, endings: Sequence[Ending]) -> Sequence[bool]:
        self.endings += endings
        return [self.accepted] * len(endings)


Batches.__abstractmethods__ = frozenset()  # The other methods of a store are not asked here.


def test_one_job_is_claimed_of_every_queue() -> None:
    job = MemoryJob()
    store = Batches([job])
    assert store.claim_next_job(WORKER) is job
    assert store.claims == [(WORKER, 1, JobSelection())]
    assert Batches().claim_next_job(WORKER) is None


@pytest.mark.parametrize("accepted", [True, False])
def test_each_ending_is_answered_as_its_batch_is(accepted: bool) -> None:
    store = Batches(accepted=accepted)
    assert store.mark_job_completed(JOB_ID, {"a": [1, None]}, claim=CLAIM) is accepted
    assert store.mark_job_failed(JOB_ID, "away", DETAILS, claim=CLAIM) is accepted
    assert store.schedule_retry(JOB_ID, 2, 60.5, "away", DETAILS, claim=CLAIM) is accepted
    completed, failed, retried = store.endings
    assert isinstance(completed, Completed) and completed.results_json == '{"a":[1,null]}'
    assert isinstance(failed, Failed) and failed.failure.message == "away"
    assert {name: getattr(failed.failure, name) for name in DETAILS} == DETAILS
    assert isinstance(retried, Retried) and retried.failure == failed.failure
    assert (retried.retry_count, retried.delay_seconds) == (2, 60.5)
    assert {(each.job_id, each.claim) for each in store.endings} == {(JOB_ID, CLAIM)}


def test_details_may_be_left_out() -> None:
    store = Batches()
    store.mark_job_failed(JOB_ID, "away", {}, claim=CLAIM)
    (failed,) = store.endings
    assert isinstance(failed, Failed)
    assert (failed.failure.error_code, failed.failure.traceback) == ("", "")


def test_a_result_that_json_cannot_hold_is_refused_before_it_is_written() -> None:
    store = Batches()
    with pytest.raises(NotJson):
        store.mark_job_completed(JOB_ID, float("nan"), claim=CLAIM)
    assert store.endings == []
