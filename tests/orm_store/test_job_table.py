"""JobTable: "ready" means the same to the ORM, to SQL by hand, to counts and to the partial indexes."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES, JobClaim
from pleme_redis_django.metrics.depths import measure_depths
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.job_table import EVERY_SUSPECT, JobTable
from tests.rows import BACKENDS, ago, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]

CRASHES = (0, SUSPECT_AFTER_CRASHES - 1, SUSPECT_AFTER_CRASHES)


@pytest.fixture
def table(using: str) -> JobTable[Job]:
    """A job in every status, deleted and not, before and after its worker processes died."""
    for status, deleted_at, crashes in product(JobStatus, (None, ago(1)), CRASHES):
        make_job(using, status=status, deleted_at=deleted_at, crash_count=crashes)
    return JobTable(Job, using)


def _ids(rows: Any) -> set[UUID]:
    return set(rows.values_list("id", flat=True))


def test_a_ready_job_is_queued_alive_and_no_suspect(table: JobTable[Job]) -> None:
    queued = table.rows().filter(status="QUEUED", deleted_at=None)
    assert _ids(table.ready()) == _ids(queued.filter(crash_count__lt=SUSPECT_AFTER_CRASHES))
    assert _ids(table.ready(EVERY_SUSPECT)) == _ids(queued.filter(crash_count__gte=SUSPECT_AFTER_CRASHES))
    assert len(table.ready()) == 2 and len(table.ready(EVERY_SUSPECT)) == 1 and len(table.pending()) == 3


def test_an_existing_job_is_not_deleted_whatever_its_status(table: JobTable[Job]) -> None:
    assert _ids(table.existing()) == _ids(table.rows().filter(deleted_at=None))
    for status in JobStatus:
        assert _ids(table.existing(status)) == _ids(table.rows().filter(status=status, deleted_at=None))
    ready = _ids(table.ready()) | _ids(table.ready(EVERY_SUSPECT))
    assert _ids(table.existing(JobStatus.QUEUED)) == ready
    both = table.existing(JobStatus.PENDING, JobStatus.QUEUED)
    assert _ids(both) == ready | _ids(table.pending())
    assert _ids(table.failed()) == _ids(table.existing(JobStatus.FAILED))


def test_depths_count_the_same_rows(table: JobTable[Job]) -> None:
    (depth,) = measure_depths(table).values()
    assert depth.ready == table.ready().count() + table.ready(EVERY_SUSPECT).count()
    assert depth.pending == table.pending().count()


def test_a_row_is_held_by_its_last_claim_alone(using: str) -> None:
    table, worker_id = JobTable(Job, using), str(uuid4())
    job = make_job(using, status=JobStatus.RUNNING, worker_id=worker_id, attempt=3)
    assert table.running_under(job.id, JobClaim(worker_id=worker_id, attempt=3)).get() == job
    assert not table.running_under(job.id, JobClaim(worker_id=worker_id, attempt=2)).exists()
    assert not table.running_under(job.id, JobClaim(worker_id=str(uuid4()), attempt=3)).exists()
