"""New rows: the columns that an insert writes, against those of the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import NOT_PROVIDED

from pleme_redis_django import JobStatus
from pleme_redis_django.enqueueing.rows import new_row, template_of
from pleme_redis_django.jobs.definitions.options import NAMES_OF_USING
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.new_rows import ALWAYS_SAID, NEW_ROW_COLUMNS, jobs_of
from tests.enqueueing.jobs import send, unique_waiting
from tests.rows import BACKENDS

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_columns_stand_in_the_order_of_the_models_fields() -> None:
    """``Model.from_db`` takes values in that order."""
    written = [column.name for column in NEW_ROW_COLUMNS]
    assert written == [field.name for field in Job._meta.concrete_fields if field.name in written]


def test_the_database_fills_in_what_no_insert_writes() -> None:
    written = {column.name for column in NEW_ROW_COLUMNS}
    for field in Job._meta.concrete_fields:
        assert field.name in written or field.null or field.db_default is not NOT_PROVIDED, field.name


def test_a_column_that_an_option_says_has_its_value() -> None:
    said = {column.name: column.option for column in NEW_ROW_COLUMNS if column.option}
    assert said["timeout_seconds"] == "timeout"
    assert set(said.values()) <= set(NAMES_OF_USING)
    template = template_of(send.using(queue_name="email", priority=5, timeout=2.5), 3)
    assert (template.queue_name, template.priority, template.timeout_seconds) == ("email", 5, 2.5)
    assert template_of(send, 3).timeout_seconds is None


@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_stored_is_what_the_enqueue_returned(using: str, count: int, settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": using}
    jobs = send.using(priority=7, metadata={"order": 5}).enqueue_many({"to": f"{n}@b"} for n in range(count))
    rows = Job.objects.using(using).in_bulk([job.id for job in jobs])
    for job in jobs:
        row = rows[job.id]
        for column in NEW_ROW_COLUMNS:
            assert getattr(job, column.name) == getattr(row, column.name), column.name
        assert (row.status, row.priority, row.metadata) == (JobStatus.QUEUED, 7, {"order": 5})


@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize("delay", [None, 60])
def test_what_an_enqueue_knows_takes_no_query(
    using: str, delay: int | None, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": using}
    due = None if delay is None else NOW.replace(year=2099) + timedelta(seconds=delay)
    options = send if due is None else send.using(run_after=due)
    jobs = [options.enqueue(to="a"), *options.enqueue_many([{"to": "a"}, {"to": "b"}])]
    unique = [unique_waiting.enqueue(key=1), unique_waiting.enqueue(key=1)]
    with django_assert_num_queries(0, using=using):
        assert [job.is_new for job in (*jobs, *unique)] == [True, True, True, True, False]
        statuses = {job.status for job in jobs}
        if due is not None:
            assert [job.run_after for job in jobs] == [due] * 3
    assert statuses == {JobStatus.QUEUED if due is None else JobStatus.PENDING}
    for job in jobs:
        row = Job.objects.using(using).get(pk=job.pk)
        assert (row.created_at, row.run_after, row.status) == (job.created_at, job.run_after, job.status)
        assert row.is_new is None


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 3])
def test_what_an_enqueue_does_not_say_is_not_sent_and_is_the_databases_own(
    count: int, django_assert_num_queries: Any
) -> None:
    unsaid = template_of(send, 3).unsaid
    assert unsaid == {column.name for column in NEW_ROW_COLUMNS if column.unsaid_as is not ALWAYS_SAID}
    with django_assert_num_queries(1) as queries:
        jobs = send.enqueue_many({"to": f"{n}@b"} for n in range(count))
    columns = queries.captured_queries[0]["sql"].partition(")")[0]
    assert not [name for name in unsaid if name in columns]
    for row in Job.objects.in_bulk([job.id for job in jobs]).values():
        values = {name: getattr(row, name) for name in unsaid - {"run_after"}}
        own = {"metadata": {}, "cost": 1}
        assert values == {name: own.get(name) for name in values}


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata": {"a": 1}}, {"metadata": {"a": 1}}),
        ({"base_retry_delay": 7}, {"configuration": {"base_retry_delay": 7}}),
        ({"run_after": NOW}, {"run_after": NOW, "status": JobStatus.PENDING}),
        ({"timeout": 2.5}, {"timeout_seconds": 2.5}),
        ({"expires_at": NOW}, {"expires_at": NOW}),
        ({"timeout": 2.5, "metadata": {"a": 1}, "expires_at": NOW, "unique_key": "k"}, {"expires_at": NOW}),
    ],
)
def test_what_an_option_says_is_stored(count: int, options: Any, said: dict[str, Any]) -> None:
    job = send.using(**options).enqueue_many({"to": f"{n}@b"} for n in range(count))[0]
    row = Job.objects.get(pk=job.id)
    assert {name: getattr(row, name) for name in said} == said
    assert (row.timeout_seconds, row.metadata) == (options.get("timeout"), options.get("metadata", {}))


@pytest.mark.django_db
def test_a_job_is_due_when_it_was_enqueued_and_not_when_its_transaction_began() -> None:
    first, second = send.enqueue(to="a"), send.enqueue(to="b")
    assert first.run_after < second.run_after


def test_an_instance_has_what_was_sent_and_loads_the_rest_later() -> None:
    template = template_of(send, 3)
    (job,) = jobs_of(Job, "default", template, [new_row(template, {"to": "a@b"})])
    loaded = {column.name for column in NEW_ROW_COLUMNS if column.is_loaded}
    assert {field.name for field in Job._meta.concrete_fields} - job.get_deferred_fields() == loaded


def test_a_job_of_many_is_made_when_it_is_asked_for_and_stays_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    from_db = Job.from_db
    monkeypatch.setattr(Job, "from_db", lambda *args, **kwargs: made.append(1) or from_db(*args, **kwargs))
    template = template_of(send, 3)
    rows = [new_row(template, {"to": f"{n}@b"}) for n in range(4)]
    jobs = jobs_of(Job, "default", template, rows)
    assert (len(jobs), len(made)) == (4, 0)
    last = jobs[-1]
    assert (last.id, last.parameters, len(made)) == (rows[3].id, {"to": "3@b"}, 1)
    assert [job.id for job in jobs] == [row.id for row in rows]
    assert jobs[3] is last
    assert jobs[1:3] == [jobs[1], jobs[2]]
    assert len(made) == 4
    with pytest.raises(IndexError):
        jobs[4]
