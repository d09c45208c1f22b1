"""Endings on the ORM: what one bad ending does to its batch, and what is kept of failures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models.sql.compiler import SQLUpdateCompiler

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import BadEnding
from pleme_redis_django.jobs.interface.endings import Ending, Failed, Failure, GivenBack, Retried
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.orm_store import OrmJobStore
from tests.orm_store.claimed_jobs import claimed, completed, statements
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)

FAILURE = engine_failure("test", "as the test asked", "test")


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest) -> OrmJobStore[Job]:
    return OrmJobStore(Job, using=request.param)


def hostile(**fields: str) -> Failure:
    values = {"message": "", "error_code": "", "exception_class": "", "traceback": "", "fingerprint": ""}
    return Failure(**(values | fields))


@pytest.mark.parametrize("field", ["message", "error_code", "exception_class", "traceback", "fingerprint"])
@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 100_000], ids=["nul", "surrogate", "long"])
def test_a_failure_past_every_limit_is_stored_or_refused_as_bad(field: str, text: str) -> None:
    """Anything else than BadEnding would make the finisher repeat the whole batch for ever."""
    store = OrmJobStore(Job)
    good, bad = claimed(store, 2)
    assert bad.claim is not None
    endings = [completed(good), Failed(job_id=bad.id, claim=bad.claim, failure=hostile(**{field: text}))]
    try:
        accepted = list(store.finish_jobs(endings))
    except BadEnding:
        assert set(Job.objects.values_list("status", flat=True)) == {JobStatus.RUNNING}
    else:
        assert accepted == [True, True]


@pytest.mark.parametrize(
    "results_json", ['{"a": "\\u0000"}', '"\\ud800"', "{not json", '"raw \x00"', '"\ud800"'], ids=ascii
)
def test_a_result_that_postgresql_cannot_hold_is_refused_as_bad(results_json: str) -> None:
    store = OrmJobStore(Job)
    good, bad = claimed(store, 2)
    with pytest.raises(BadEnding):
        store.finish_jobs([completed(good), completed(bad, results_json=results_json)])
    assert set(Job.objects.values_list("status", flat=True)) == {JobStatus.RUNNING}
    assert list(store.finish_jobs([completed(good)])) == [True]


def test_a_failed_attempt_is_kept_with_its_traceback_once(store: OrmJobStore[Job]) -> None:
    (job,) = claimed(store, 1)
    assert job.claim is not None
    failure = hostile(
        message="away", error_code="smtp", exception_class="shop.Away", traceback="Traceback ..."
    )
    retried = Retried(job_id=job.id, claim=job.claim, failure=failure, retry_count=1, delay_seconds=60)
    for _time in range(2):
        assert list(store.finish_jobs([retried])) == [True]
    attempt = JobAttempt.objects.using(store.using).get()
    assert (attempt.job_id, attempt.attempt, attempt.error_code) == (job.id, 1, "smtp")
    assert (attempt.message, attempt.error_class, attempt.traceback) == ("away", "shop.Away", "Traceback ...")
    assert str(attempt.worker_id) == job.claim.worker_id


def test_a_refused_ending_keeps_no_attempt(store: OrmJobStore[Job]) -> None:
    (job,) = claimed(store, 1)
    assert job.claim is not None
    assert list(store.finish_jobs([GivenBack(job_id=job.id, claim=job.claim)])) == [True]
    late = Failed(job_id=job.id, claim=job.claim, failure=FAILURE)
    assert list(store.finish_jobs([late])) == [False]
    assert not JobAttempt.objects.using(store.using).exists()


def test_what_a_completion_writes(store: OrmJobStore[Job]) -> None:
    (job,) = claimed(store, 1)
    ending = completed(job, results_json='{"a":1}', run_seconds=2.5, progress={"done": 1})
    assert list(store.finish_jobs([ending])) == [True]
    row = Job.objects.using(store.using).get()
    assert (row.results, row.progress, row.error_message) == ({"a": 1}, {"done": 1}, "")
    assert row.started_at is not None
    assert row.completed_at is not None
    assert (row.completed_at - row.started_at).total_seconds() == pytest.approx(2.5, abs=0.01)


def test_a_start_that_was_recorded_is_kept(store: OrmJobStore[Job]) -> None:
    (job,) = claimed(store, 1)
    assert job.claim is not None
    assert store.mark_job_running(job.id, claim=job.claim)
    started_at = Job.objects.using(store.using).get().started_at
    assert list(store.finish_jobs([completed(job, run_seconds=500)])) == [True]
    assert Job.objects.using(store.using).get().started_at == started_at


def test_a_start_is_recorded_as_of_when_it_was(store: OrmJobStore[Job]) -> None:
    (job,) = claimed(store, 1)
    assert job.claim is not None
    store.record_starts([(job.id, job.claim, 4.0)])
    row = Job.objects.using(store.using).get()
    assert row.started_at is not None
    assert row.claimed_at is not None
    assert (row.claimed_at - row.started_at).total_seconds() == pytest.approx(4.0, abs=0.5)
    store.record_starts([(job.id, job.claim, 400.0)])
    assert Job.objects.using(store.using).get().started_at == row.started_at


WRITES: dict[str, Callable[[OrmJobStore[Job], Sequence[Any]], object]] = {
    "given back": lambda store, jobs: store.finish_jobs([_given_back(job) for job in jobs]),
    "failed": lambda store, jobs: store.finish_jobs(
        [Failed(job_id=job.id, claim=job.claim, failure=FAILURE) for job in jobs]
    ),
    "completed and given back": lambda store, jobs: store.finish_jobs(
        [completed(jobs[0]), *(_given_back(job) for job in jobs[1:])]
    ),
    "starts": lambda store, jobs: store.record_starts([(job.id, job.claim, 1.0) for job in jobs]),
    "progress": lambda store, jobs: store.record_progress([(job.id, job.claim, {"done": 1}) for job in jobs]),
}


def _given_back(job: Any) -> GivenBack:
    return GivenBack(job_id=job.id, claim=job.claim)


@pytest.mark.parametrize("kind", WRITES)
def test_what_is_written_of_many_jobs_holds_their_rows_as_long_as_of_two(kind: str) -> None:
    """One by one, the first row would be held for as many round trips as rows follow."""
    store = OrmJobStore(Job)
    few, many = (
        statements(store.using, functools.partial(WRITES[kind], store, claimed(store, count)))
        for count in (2, 40)
    )
    assert many == few <= 6


@pytest.mark.parametrize("with_completed", [False, True])
def test_nothing_is_compiled_or_read_while_endings_hold_their_rows(
    with_completed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is time for which whoever wants one of these rows waits: of fifty failures, as much as the writes take."""
    store = OrmJobStore(Job)
    jobs = claimed(store, 4)
    endings: list[Ending] = [completed(jobs[0])] if with_completed else []
    endings += [Failed(job_id=job.id, claim=job.claim, failure=FAILURE) for job in jobs[1:] if job.claim]
    connection, steps = connections[store.using], []
    compile_update = SQLUpdateCompiler.as_sql

    def as_sql(compiler: Any) -> Any:
        steps.append("compiles")
        return compile_update(compiler)

    def execute(run: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        steps.append(
            "reads" if "product" in sql.split("FROM")[0] and sql.startswith("SELECT") else _verb(sql)
        )
        return run(sql, parameters, many, context)

    monkeypatch.setattr(SQLUpdateCompiler, "as_sql", as_sql)
    with connection.execute_wrapper(execute):
        assert all(store.finish_jobs(endings))
    assert steps == [
        *["compiles"] * 3,
        "SAVEPOINT",
        "reads",
        *["UPDATE"] * (2 if with_completed else 1),
        "INSERT",
        "RELEASE",
    ]
    assert JobAttempt.objects.count() == 3


def _verb(sql: str) -> str:
    verb = sql.split(maxsplit=1)[0]
    return "UPDATE" if verb == "WITH" else verb


def test_each_of_several_endings_has_its_own_answer(store: OrmJobStore[Job]) -> None:
    one, two, three, four, five = claimed(store, 5)
    (theirs,) = claimed(store, 1)
    endings = [
        _given_back(one),
        completed(two),
        GivenBack(job_id=three.id, claim=theirs.claim),
        Failed(job_id=four.id, claim=four.claim, failure=FAILURE),
        _given_back(five),
    ]
    assert list(store.finish_jobs(endings)) == [True, True, False, True, True]
    rows = {row.id: row.status for row in Job.objects.using(store.using)}
    assert [rows[job.id] for job in (one, two, three, four, five, theirs)] == [
        JobStatus.QUEUED,
        JobStatus.COMPLETED,
        JobStatus.RUNNING,
        JobStatus.FAILED,
        JobStatus.QUEUED,
        JobStatus.RUNNING,
    ]


@pytest.mark.parametrize("count", [1, 10, 60])
def test_a_claim_costs_the_same_however_many_it_takes(store: OrmJobStore[Job], count: int) -> None:
    for _ in range(count):
        make_job(store.using)
    claim = functools.partial(store.claim_jobs, str(uuid4()), count, JobSelection())
    assert statements(store.using, claim) == _claim_statements(store, found=True)


def test_a_claim_that_finds_nothing_changes_nothing(store: OrmJobStore[Job]) -> None:
    claim = functools.partial(store.claim_jobs, str(uuid4()), 10, JobSelection())
    assert statements(store.using, claim) == _claim_statements(store, found=False)
    assert list(claim()) == []


def _claim_statements(store: OrmJobStore[Job], *, found: bool) -> int:
    # A claim that comes back empty asks whether it is because of a pause.
    asked = 0 if found else 1
    if connections[store.using].vendor == "postgresql":
        return 1 + asked
    # A savepoint and its release stand for BEGIN and COMMIT inside a test's transaction.
    return asked + (4 if found else 3)


def test_an_idle_scan_is_a_handful_of_statements(store: OrmJobStore[Job]) -> None:
    assert statements(store.using, lambda: store.look_ahead(JobSelection())) <= 6
    assert statements(store.using, lambda: store.promote_due_jobs(100)) <= 3
    assert statements(store.using, lambda: store.held_jobs(str(uuid4()))) == 1


def test_an_attempt_is_kept_with_the_product_of_its_job(store: OrmJobStore[Job]) -> None:
    for product in ("acme", "globex"):
        [job] = claimed(store, 1, product=product)
        assert job.claim is not None
        assert list(store.finish_jobs([Failed(job_id=job.id, claim=job.claim, failure=FAILURE)])) == [True]
        kept = JobAttempt.objects.using(store.using).get(job_id=job.id)
        assert kept.product == product
