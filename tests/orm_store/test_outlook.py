"""What is ready and what is due, looked at without claiming; and types that a process does not know."""

from __future__ import annotations

import pytest

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.orm_store import OrmJobStore
from tests.rows import BACKENDS, make_job

WORKER = "0b5c0e0e-6f5c-4f5e-9d3e-000000000001"
KNOWN = frozenset({"shop.known"})


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
def test_unknown_types_wait_and_do_not_block_known_ones(using: str) -> None:
    store = OrmJobStore(Job, using=using)
    for _ in range(3):
        make_job(using, job_type="shop.from_an_old_deploy")
    known = make_job(using, job_type="shop.known")
    claimed = store.claim_jobs(WORKER, 10, JobSelection(job_types=KNOWN))
    assert [job.id for job in claimed] == [known.id]
    assert store.count_unserved(KNOWN) == {"shop.from_an_old_deploy": 3}
    assert store.count_unserved(KNOWN | {"shop.from_an_old_deploy"}) == {}
    waiting = Job._base_manager.using(using).filter(status=JobStatus.QUEUED)
    assert waiting.count() == 3
