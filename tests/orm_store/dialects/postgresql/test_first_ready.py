"""First ready: claims of several queues go around ready jobs of queues that the worker does not serve."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore, claim_position
from pleme_redis_django.orm_store.dialects.postgresql import claims
from tests.orm_store.rows_read import rows_read
from tests.rows import make_job, make_jobs

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_claim_is_slow")]

FOREIGN = 2_000
TWO_QUEUES = JobSelection(queue_names=("email", "report"))


@pytest.fixture
def store() -> OrmJobStore[Job]:
    """A store whose claims from the head of these queues were slow, as claims behind a backlog are."""
    store = OrmJobStore(Job)
    for _ in range(claim_position.SLOW_CLAIMS):
        assert claim(store, 1) == []
    return store


def claim(store: OrmJobStore[Job], limit: int) -> list[Any]:
    return [job.id for job in store.claim_jobs(str(uuid4()), limit, TWO_QUEUES)]


def make_foreign_backlog() -> None:
    due = timezone.now() - timedelta(hours=1)
    make_jobs(FOREIGN, queue_name="foreign", run_after=due)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
        # As the planner decides on a large table: by indexes alone, in their order.
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")


def test_a_claim_reads_nothing_of_a_backlog_of_another_queue(store: OrmJobStore[Job]) -> None:
    make_foreign_backlog()
    assert rows_read(lambda: claim(store, 10)) < 50
    own = [make_job("default", queue_name=name) for name in ("report", "email", "report")]
    claimed: list[Any] = []
    assert rows_read(lambda: claimed.extend(claim(store, 10))) < 50
    assert claimed == [job.id for job in own]


def test_a_look_ahead_reads_nothing_of_a_backlog_of_another_queue(store: OrmJobStore[Job]) -> None:
    make_foreign_backlog()
    assert rows_read(lambda: store.look_ahead(TWO_QUEUES)) < 50
    assert not store.look_ahead(TWO_QUEUES).ready
    make_job("default", queue_name="report")
    assert store.look_ahead(TWO_QUEUES).ready


def test_jobs_of_several_queues_are_claimed_in_claim_order(store: OrmJobStore[Job]) -> None:
    jobs = [
        make_job("default", queue_name=queue_name, priority=priority)
        for queue_name, priority in (("email", 5), ("report", 5), ("email", 5), ("report", 0), ("email", 0))
    ]
    assert claim(store, 2) == [job.id for job in jobs[:2]]
    urgent = make_job("default", queue_name="report", priority=50)
    assert claim(store, 3) == [urgent.id, jobs[2].id, jobs[3].id]
    assert claim(store, 3) == [jobs[4].id]
    assert claim(store, 3) == []


def test_a_claim_that_did_not_see_all_heads_looks_at_everything(
    store: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when other workers take the jobs that it saw: a short claim says that nothing is ready."""
    monkeypatch.setattr(claims, "MERGE_ROUNDS", 0)
    jobs = [make_job("default", queue_name=queue_name) for queue_name in ("email", "report")]
    assert claim(store, 3) == [job.id for job in jobs]
