"""Refusals: endings that PostgreSQL refuses for one row of a batch; which one it is, and the others are written."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, connections

from pleme_redis_django import JobStatus
from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import EndingDelayed
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.finisher import UNWRITABLE, Finisher
from pleme_redis_django.jobs.worker.holdings import HeldJob, Holdings
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from tests.jobs.recording import RecordingSink
from tests.rows import make_job
from tests.waiting import wait_until

TABLE = Job._meta.db_table
REFUSED = '{"refused": true}'
WHICH_ONE = "results = '{\"refused\": true}'"
_TRIGGER = f"""
CREATE FUNCTION refuse_results() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.{WHICH_ONE} THEN RAISE HOW; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_results BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION refuse_results();
"""


def _trigger(how: str) -> str:
    return _TRIGGER.replace("HOW", how)


RULES = {
    "check": f"ALTER TABLE {TABLE} ADD CONSTRAINT no_refused CHECK ((NOT {WHICH_ONE}) IS NOT FALSE)",
    "trigger": _trigger("EXCEPTION 'as the project wants it'"),
    "too-large": _trigger("program_limit_exceeded"),
    "internal": _trigger("internal_error"),
    "time": _trigger("query_canceled"),
}


class Process:
    """What a worker process holds and ends, without its threads."""

    def __init__(self, count: int) -> None:
        for _ in range(count):
            make_job()
        self.store = OrmJobStore(Job)
        self.sink = RecordingSink()
        self.holdings = Holdings()
        self.finisher = Finisher(self.store, self.holdings, self.sink, Agenda(60))
        self.jobs = list(self.store.claim_jobs(str(uuid4()), count, JobSelection()))
        self.holdings.add([self._held(job) for job in self.jobs])

    def complete_all(self, results: dict[UUID, str]) -> None:
        for held in self.holdings.all():
            context = held.context
            results_json = results.get(context.job.id, "1")
            ending = Completed(job_id=context.job.id, claim=context.claim, results_json=results_json)
            self.finisher.add(held, ending)
        self.finisher._flush()

    def _held(self, job: Any) -> HeldJob:
        assert job.claim is not None
        return HeldJob(JobContext(job, job.claim, self.finisher.progress.note), time.monotonic())


def statuses() -> list[str]:
    return list(Job.objects.order_by("id").values_list("status", flat=True))


@pytest.mark.django_db
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_the_project_that_refuses_one_job_spoils_no_other(rule: str) -> None:
    process = Process(40)
    with connection.cursor() as cursor:
        cursor.execute(RULES[rule])
    refused = process.jobs[17]
    process.complete_all({refused.id: REFUSED})
    others = Job.objects.exclude(id=refused.id).values_list("status", flat=True)
    assert set(others) == {JobStatus.COMPLETED}
    refused.refresh_from_db()
    if rule in ("internal", "time"):
        assert refused.status == JobStatus.RUNNING
        assert [event.job.id for event in process.sink.of(EndingDelayed)] == [refused.id]
    else:
        assert (refused.status, refused.error_details["error_code"]) == (JobStatus.FAILED, UNWRITABLE)
        assert not process.sink.of(EndingDelayed)


@pytest.fixture
def somebody(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, in a transaction."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: parameters[name] for name in names if name in parameters}) as session:
        yield session
        session.rollback()


def test_rows_that_somebody_has_locked_are_named(somebody: psycopg.Connection[Any]) -> None:
    process = Process(3)
    locked = process.jobs[1]
    somebody.execute(f"UPDATE {TABLE} SET priority = 7 WHERE id = %s", [locked.id])
    ended = [Completed(job_id=job.id, claim=job.claim, results_json="1") for job in process.jobs if job.claim]
    with pytest.raises(LockedJobs) as raised:
        process.store.finish_jobs(ended)
    assert raised.value.job_ids == {locked.id}
    assert set(statuses()) == {JobStatus.RUNNING}
    with pytest.raises(LockedJobs):
        process.store.record_progress([(e.job_id, e.claim, {"done": 1}) for e in ended])
    assert Job.objects.filter(progress={"done": 1}).count() == 2


def test_a_locked_row_delays_its_own_ending_alone(somebody: psycopg.Connection[Any]) -> None:
    process = Process(30)
    locked = process.jobs[3]
    somebody.execute(f"SELECT FROM {TABLE} WHERE id = %s FOR UPDATE", [locked.id])
    process.complete_all({})
    assert statuses().count(JobStatus.COMPLETED) == 29
    assert process.finisher.unwritten() == 1
    somebody.rollback()
    process.finisher._retry_delayed(float("inf"))
    assert statuses().count(JobStatus.COMPLETED) == 30
    assert process.finisher.unwritten() == 0


def test_who_updates_the_same_rows_in_another_order_is_let_through(somebody: psycopg.Connection[Any]) -> None:
    """The finisher gives up its locks before PostgreSQL looks for a deadlock, so that nobody's statement fails."""
    process = Process(20)
    # Whatever the order of the finisher's plan is, it holds some rows when it comes to the middle.
    somebody.execute(f"UPDATE {TABLE} SET priority = 7 WHERE id = %s", [process.jobs[10].id])

    def complete() -> None:
        try:
            process.complete_all({})
        finally:
            connections.close_all()

    finishing = threading.Thread(target=complete)
    finishing.start()
    wait_until(lambda: _waiting_for_a_row() or not finishing.is_alive(), "the finisher waits")
    somebody.execute(f"UPDATE {TABLE} SET priority = 7")
    finishing.join(20)
    somebody.commit()
    process.finisher._retry_delayed(float("inf"))
    assert statuses() == [JobStatus.COMPLETED] * 20
    assert set(Job.objects.values_list("priority", flat=True)) == {7}


def _waiting_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')"
        )
        return bool(cursor.fetchone()[0])
