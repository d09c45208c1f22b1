"""Ready SQL: as text it means the rows that the ORM means, and each selection says what it leaves out."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.db import connection

from pleme_redis_django import JobStatus
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import (
    has_named_queues,
    is_merged,
    narrowed_sql,
    queues_of,
    ready_sql,
)
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses
from tests.rows import ago, make_job

TABLE = JobTable(Job, "default")
OF_ALL = Pauses(ids=(1,), queue_names=frozenset({"email"}))
OF_ONE = Pauses(ids=(1,), of_products=frozenset({("email", "acme")}))
TWO_QUEUES, ONE_QUEUE = JobSelection(queue_names=("email", "report")), JobSelection(queue_names=("email",))
CRASHES = (0, SUSPECT_AFTER_CRASHES - 1, SUSPECT_AFTER_CRASHES)


def selected(selection: JobSelection, pauses: Pauses) -> set[Any]:
    conditions = narrowed_sql(TABLE.model, TABLE.using, selection, pauses)
    with connection.cursor() as cursor:
        sql = (
            f"SELECT id FROM {TABLE.sql_name} AS job WHERE {ready_sql(TABLE.model, TABLE.using)} {conditions}"
        )
        cursor.execute(sql, {"limit": 1})
        return {job_id for (job_id,) in cursor.fetchall()}


@pytest.mark.django_db
def test_sql_by_hand_means_the_same_rows() -> None:
    for status, deleted_at, crashes in product(JobStatus, (None, ago(1)), CRASHES):
        make_job(status=status, deleted_at=deleted_at, crash_count=crashes)
    assert selected(JobSelection(), NOTHING_PAUSED) == set(TABLE.ready().values_list("id", flat=True))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "selection",
    [
        JobSelection(product="acme"),
        JobSelection(job_types=frozenset({"a"})),
        JobSelection(job_types=frozenset({"100%s"})),
    ],
)
def test_a_selection_means_the_same_rows(selection: JobSelection) -> None:
    for of_product, job_type in product(("acme", "globex"), ("a", "100%s")):
        make_job(product=of_product, job_type=job_type)
    assert selected(selection, NOTHING_PAUSED) == set(TABLE.ready(selection).values_list("id", flat=True))
    assert len(selected(selection, NOTHING_PAUSED)) == 2


@pytest.mark.django_db
def test_a_pause_of_one_product_leaves_that_queue_of_others() -> None:
    make_job(product="acme", queue_name="email")
    free = {make_job(product="globex", queue_name="email").id, make_job(product="acme").id}
    assert selected(JobSelection(), OF_ONE) == free


def test_the_named_queues_are_those_that_are_open() -> None:
    assert queues_of(TWO_QUEUES, OF_ALL)["open"] == ["report"]
    assert queues_of(TWO_QUEUES, OF_ONE)["open"] == ["email", "report"]
    of_acme = queues_of(JobSelection(queue_names=("email", "report"), product="acme"), OF_ONE)
    assert (of_acme["open"], of_acme["closed"]) == (["report"], ["email"])
    assert queues_of(JobSelection(), NOTHING_PAUSED)["open"] == []


@pytest.mark.parametrize(
    ("selection", "pauses", "merged"),
    [
        (JobSelection(), NOTHING_PAUSED, False),
        (JobSelection(), OF_ALL, True),
        (JobSelection(), OF_ONE, False),
        (JobSelection(product="acme"), OF_ONE, True),
        (JobSelection(product="globex"), OF_ONE, False),
        (TWO_QUEUES, OF_ALL, True),
        (ONE_QUEUE, OF_ALL, False),
        (JobSelection(suspects=True), OF_ALL, False),
    ],
)
def test_heads_are_merged_where_the_backlog_of_a_closed_queue_may_stand_first(
    selection: JobSelection, pauses: Pauses, merged: bool
) -> None:
    assert is_merged(selection, pauses) is merged


@pytest.mark.parametrize(
    ("selection", "named"),
    [(JobSelection(), False), (ONE_QUEUE, False), (TWO_QUEUES, True)],
)
def test_several_named_queues_are_looked_at_one_by_one(selection: JobSelection, named: bool) -> None:
    assert has_named_queues(selection) is named
    suspects = JobSelection(queue_names=selection.queue_names, suspects=True)
    assert not has_named_queues(suspects), "they are few, and have an index of their own"
