"""The statement that claims: what PostgreSQL does for it, and what it loads."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.postgresql import claim_statement as claim_statement_module
from pleme_redis_django.orm_store.dialects.postgresql.claim_statement import (
    AMONG,
    BEHIND,
    Part,
    claim_statement,
)
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED
from tests.rows import make_job, make_jobs

pytestmark = pytest.mark.django_db

READY = 5_000


def test_a_claim_of_a_small_table_does_not_go_through_all_of_it() -> None:
    """Joined to the ready rows, the planner read the whole table for each claim of some hundred jobs."""
    make_jobs(READY)
    statement = claim_statement(JobTable(Job, "default"), JobSelection(), 500, NOTHING_PAUSED)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
        cursor.execute(f"EXPLAIN {statement.sql}", (*statement.parameters, None, str(uuid4())))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    # By a bitmap or not, which depends on the pages that tests before this one have left. What is ready may be
    # found by going through a table as small as this; what is updated may not.
    updated = plan.rpartition("commit_mode")[2]
    assert re.search(r"Index Scan (using|on) pleme_redis_django_job_pkey", updated), plan
    assert "Seq Scan" not in updated and "Hash Join" not in plan, plan


def test_a_claim_loads_the_row_as_it_is_now() -> None:
    make_job("default", priority=7, attempt=4, retry_count=2)
    worker_id = str(uuid4())
    (job,) = OrmJobStore(Job).claim_jobs(worker_id, 5, JobSelection())
    row = Job.objects.get()
    assert (job.id, job.priority, job.attempt, job.retry_count) == (row.id, 7, 5, 2)
    assert job.claim == row.claim and job.status == JobStatus.RUNNING
    assert job.waited_seconds >= 0


@pytest.mark.parametrize("part", [None, BEHIND, AMONG])
def test_claims_of_different_sizes_are_compiled_once(
    monkeypatch: pytest.MonkeyPatch, part: Part | None
) -> None:
    """A busy worker claims another number of jobs each time, and the ORM took 3 ms to compile each of them."""
    compiled: list[Any] = []
    compile_query = claim_statement_module.compile_query

    def counted(rows: Any, *args: Any, **options: Any) -> Any:
        compiled.append(rows)
        return compile_query(rows, *args, **options)

    monkeypatch.setattr(claim_statement_module, "compile_query", counted)
    # A queue of its own: nobody has compiled this one before.
    selection = JobSelection(queue_names=(f"sizes-{part and part.parameters}",))
    statements = [
        claim_statement(JobTable(Job, "default"), selection, limit, NOTHING_PAUSED, part)
        for limit in (1, 17, 250)
    ]
    assert len(compiled) == 2, "what it locks, and what it loads"
    assert len({one.sql for one in statements}) == 3


def test_a_claim_takes_no_more_than_its_limit() -> None:
    for _ in range(5):
        make_job("default")
    store, worker_id = OrmJobStore(Job), str(uuid4())
    assert [len(store.claim_jobs(worker_id, limit, JobSelection())) for limit in (2, 1, 4)] == [2, 1, 2]
