"""Stale statistics: what the engine asks again and again goes by an index, also after a backlog that is gone.

A planner that still knows of the backlog takes the first row that meets a condition to be near, and goes through the
whole table for it: milliseconds here, and seconds beside a million finished jobs, until the table is analyzed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow.abandoned import holds_up_known_types_alone
from pleme_redis_django.orm_store.job_table import JobTable
from tests.orm_store.rows_read import rows_read
from tests.rows import make_job

BACKLOG = 20_000

WORKER = str(uuid4())
SELECTIONS = {
    "everything": JobSelection(),
    "one queue": JobSelection(queue_names=("default",)),
    "two queues": JobSelection(queue_names=("default", "mail")),
    "a product": JobSelection(product="default"),
    "a type": JobSelection(job_types=frozenset({"tests.noop"})),
}
ENDED = [Job(job_type="tests.noop", concurrency_key="stripe:1", product="default", queue_name="default")]


@pytest.fixture(params=["QUEUED", "PENDING", "BLOCKED", "RUNNING"])
def store(db: None, request: pytest.FixtureRequest) -> OrmJobStore[Job]:
    """A store whose table has been analyzed with a backlog of one status, which has ended since."""
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", max_running=5, source="admin"
    )
    blocked_on = "k:default:stripe:1" if request.param == "BLOCKED" else None
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job (id, product, job_type, queue_name, priority, status, parameters,"
            "  max_retries, concurrency_key, blocked_on)"
            " SELECT uuidv7(), 'default', 'tests.noop', 'default', 0, %s, '{}', 0, 'stripe:1', %s"
            " FROM generate_series(1, %s)",
            [request.param, blocked_on, BACKLOG],
        )
        cursor.execute("ANALYZE pleme_redis_django_job")
        cursor.execute("UPDATE pleme_redis_django_job SET status = 'COMPLETED', blocked_on = NULL")
    store = OrmJobStore(Job)
    # Index entries that are dead by now are read once.
    store.claim_jobs(WORKER, 10, JobSelection())
    look(store)
    return store


def look(store: OrmJobStore[Job]) -> dict[str, int]:
    """Ask what engines ask; return how many rows each question reads."""
    questions: dict[str, Callable[[], Any]] = {
        "what is due": lambda: store.promote_due_jobs(100),
        "who waits for a place": lambda: store.release_after(ENDED),
        "who was overlooked": store.release_overlooked,
        "what the dead held": lambda: store.find_jobs_of([WORKER]),
        "what a worker holds": lambda: store.held_jobs(WORKER),
        "what nobody serves": lambda: store.count_unserved(frozenset()),
        "what has expired": lambda: store.end_expired_jobs(100),
        "what may be deleted": lambda: store.prune_jobs(100),
        "suspects": lambda: store.claim_jobs(WORKER, 1, JobSelection(suspects=True)),
    }
    for name, selection in SELECTIONS.items():
        questions[f"look ahead, {name}"] = lambda selection=selection: store.look_ahead(selection)
        questions[f"claim, {name}"] = lambda selection=selection: store.claim_jobs(WORKER, 10, selection)
    return {name: rows_read(question) for name, question in questions.items()}


def test_no_question_goes_through_the_table(store: OrmJobStore[Job]) -> None:
    assert {name: rows for name, rows in look(store).items() if rows >= 100} == {}


def test_whom_a_limit_holds_up_that_nobody_declares_is_read_from_indexes(store: OrmJobStore[Job]) -> None:
    make_job(status="BLOCKED", blocked_on="k:default:stripe:1", concurrency_key="stripe:1")
    table = JobTable(Job, "default")
    found: list[bool] = []

    def ask() -> None:
        types = {"tests.noop"}
        found.append(holds_up_known_types_alone(table.blocked(), table.running(), "stripe", types))

    assert rows_read(ask) < 100
    assert found == [True]
