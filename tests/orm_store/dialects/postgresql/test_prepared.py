"""Prepared: claims that PostgreSQL plans once, and everything that may come between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.compiled_query import CompiledQuery
from pleme_redis_django.orm_store.dialects.postgresql import prepared
from pleme_redis_django.orm_store.dialects.postgresql.prepared import MAX_PREPARED, USES_BEFORE, rows_prepared
from pleme_redis_django.orm_store.flow.limits import MANY_KEYS
from tests.rows import make_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_claim_is_slow")]
WORKER = str(uuid4())
ASKS = CompiledQuery(
    model=Job, using="default", sql="SELECT NOT EXISTS (SELECT 1 FROM pleme_redis_django_job)"
)
ASKS_OF = CompiledQuery(model=Job, using="default", sql="SELECT %s::int + cardinality(%s::text[])")


@pytest.fixture(autouse=True)
def fresh_connection() -> Iterator[None]:
    """What one test has planned is not there for the next."""
    connection.close()
    yield
    connection.close()


@pytest.fixture
def store() -> OrmJobStore[Job]:
    return OrmJobStore(Job)


def names() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY prepare_time")
        return [name for (name,) in cursor.fetchall()]


def claim(store: OrmJobStore[Job], limit: int = 5, selection: JobSelection | None = None) -> list[Job]:
    return list(store.claim_jobs(WORKER, limit, selection or JobSelection()))


def claim_until_planned(store: OrmJobStore[Job], limit: int = 5) -> None:
    for _ in range(USES_BEFORE + 1):
        claim(store, limit)


def claims_every_job(store: OrmJobStore[Job], rounds: int = USES_BEFORE + 3) -> None:
    for _ in range(rounds):
        jobs = [make_job(), make_job(parameters={"text": "100 % of 'it' \\ $1"})]
        claimed = claim(store)
        assert [job.id for job in claimed] == [job.id for job in jobs]
        assert claimed[1].parameters == jobs[1].parameters
        jobs[0].refresh_from_db()
        assert (str(jobs[0].worker_id), jobs[0].status, jobs[0].attempt) == (WORKER, "RUNNING", 1)


def test_a_claim_that_is_repeated_is_planned_once(store: OrmJobStore[Job]) -> None:
    for _ in range(USES_BEFORE):
        claim(store)
    assert names() == []
    claim(store)
    planned = names()
    assert len(planned) == 1
    claims_every_job(store)
    assert names() == planned


def test_each_statement_has_its_own_plan(store: OrmJobStore[Job]) -> None:
    email, report = (make_job(queue_name=name) for name in ("email", "report"))
    selections = [JobSelection(queue_names=("email",)), JobSelection(queue_names=("report",))]
    for selection in selections:
        for _ in range(USES_BEFORE + 1):
            claim(store, 5, JobSelection(queue_names=selection.queue_names, product="elsewhere"))
            claim(store, 5, JobSelection(queue_names=selection.queue_names, job_types=frozenset({"other"})))
    assert len(names()) == 4
    assert [job.id for selection in selections for job in claim(store, 5, selection)] == [email.id, report.id]


def test_only_so_many_plans_are_kept_and_the_least_used_goes(store: OrmJobStore[Job]) -> None:
    for limit in range(1, MAX_PREPARED + 3):
        claim_until_planned(store, limit)
        claim(store, 1)
    kept = names()
    assert len(kept) == MAX_PREPARED
    job = make_job()
    assert [claimed.id for claimed in claim(store, 1)] == [job.id]
    assert names() == kept


def test_a_plan_that_turns_out_slow_is_made_anew(
    store: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_until_planned(store)
    with monkeypatch.context() as slow:
        slow.setattr(prepared, "SLOW_SECONDS", 0.0)
        claim(store)
    claims_every_job(store, USES_BEFORE)
    (before,) = plans()
    claims_every_job(store, 1)
    (after,) = plans()
    assert before != after


def test_a_claim_of_many_jobs_may_take_its_time(
    store: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_until_planned(store)
    planned = plans()
    with monkeypatch.context() as slow:
        slow.setattr(prepared, "SLOW_SECONDS", 0.0)
        slow.setattr(prepared, "SLOW_SECONDS_PER_ROW", 60.0)
        make_job()
        assert len(claim(store)) == 1
    claims_every_job(store, 1)
    assert plans() == planned


def plans() -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prepare_time FROM pg_prepared_statements")
        return [prepared_at for (prepared_at,) in cursor.fetchall()]


@pytest.mark.parametrize("loss", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_a_server_connection_without_the_plan_costs_no_job(store: OrmJobStore[Job], loss: str) -> None:
    # What a pooler does that puts another server connection beneath the session.
    claim_until_planned(store)
    with connection.cursor() as cursor:
        cursor.execute(loss)
    claims_every_job(store)
    assert names() == []


def test_a_server_connection_that_has_the_plan_already_costs_no_job(store: OrmJobStore[Job]) -> None:
    claim_until_planned(store)
    (name,) = names()
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE {name} AS SELECT 1")
    claims_every_job(store)
    assert names() == [name]


def test_a_migration_under_a_plan_costs_no_job(store: OrmJobStore[Job]) -> None:
    claim_until_planned(store)
    with changed_type("job_type", "varchar(200)", "text"):
        claims_every_job(store)


@contextmanager
def changed_type(column: str, before: str, after: str) -> Iterator[None]:
    change = "ALTER TABLE pleme_redis_django_job ALTER COLUMN {} TYPE {}"
    with connection.cursor() as cursor:
        cursor.execute(change.format(column, after))
        try:
            yield
        finally:
            cursor.execute(change.format(column, before))


def test_a_new_connection_plans_again(store: OrmJobStore[Job]) -> None:
    claim_until_planned(store)
    connection.close()
    claims_every_job(store)
    assert len(names()) == 1


def test_a_lost_connection_is_an_error_once(store: OrmJobStore[Job]) -> None:
    claim_until_planned(store)
    connection.connection.close()
    with pytest.raises(DatabaseError):
        claim(store)
    claims_every_job(store)


def test_a_transaction_of_the_caller_gets_no_plan(store: OrmJobStore[Job]) -> None:
    with transaction.atomic():
        claims_every_job(store)
    assert names() == []


def test_a_failed_claim_is_raised_and_the_plan_stays(store: OrmJobStore[Job]) -> None:
    claim_until_planned(store)
    with pytest.raises(DatabaseError):
        store.claim_jobs("no uuid", 5, JobSelection())
    claims_every_job(store)
    assert len(names()) == 1


def rows(*parameters: object) -> list[object]:
    """Return the rows of one of two statements, one of which has no parameters at all."""
    statement = ASKS_OF if parameters else ASKS
    return [row for (row,) in rows_prepared(statement, "default", *parameters)]


def test_rows_of_a_repeated_statement_are_planned_once_with_parameters_and_without() -> None:
    for _ in range(USES_BEFORE):
        assert (rows(), rows(2, ["a"])) == ([True], [3])
    assert names() == []
    for _ in range(USES_BEFORE):
        assert (rows(), rows(1, ["a", "b"])) == ([True], [3])
    assert len(names()) == 2


@pytest.mark.parametrize("loss", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_rows_come_without_the_plan_as_well(loss: str) -> None:
    for _ in range(USES_BEFORE + 1):
        rows()
    with connection.cursor() as cursor:
        cursor.execute(loss)
    assert rows() == [True]
    assert names() == []


def test_rows_inside_of_a_transaction_are_read_without_a_plan() -> None:
    with transaction.atomic():
        assert [rows() for _ in range(USES_BEFORE + 2)] == [[True]] * (USES_BEFORE + 2)
    assert names() == []


def test_a_count_of_keys_that_waited_for_the_disk_keeps_its_plan(
    store: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit has the claims written: on a busy disk that took longer than what makes a plan slow."""

    def planned() -> list[tuple[object, int]]:
        """When it was prepared, and how often it was planned for its values since."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT prepare_time, custom_plans FROM pg_prepared_statements"
                " WHERE statement LIKE '%running.concurrency_key%'"
            )
            return list(cursor.fetchall())

    def claim_many_keys() -> None:
        for number in range(MANY_KEYS + 1):
            make_job(concurrency_key=f"customer:{number}")
        assert len(claim(store, MANY_KEYS + 1)) == MANY_KEYS + 1

    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="customer", max_running=500, source="admin"
    )
    monkeypatch.setattr(prepared, "SLOW_SECONDS", -60.0)
    for _ in range(USES_BEFORE + 2):
        claim_many_keys()
    at_first = planned()
    assert [custom for _at, custom in at_first] == [0]
    for _ in range(USES_BEFORE + 2):
        claim_many_keys()
    assert planned() == at_first
