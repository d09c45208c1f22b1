"""Locks of jobs that wait: of those that are returned, and of no others."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction

from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.dialects.postgresql.shared_locks import kept_waiting
from tests.database_sessions import TABLE, another_session
from tests.rows import make_job
from tests.waiting import wait_until

DEADLINE_SECONDS = 20
SLOTS = ["w:1", "w:2", "w:3"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("to_change", [False, True], ids=["shared", "to change"])
def test_one_that_is_left_out_is_not_locked_and_the_others_are(to_change: bool) -> None:
    jobs = {slot: make_job(unique_slot=slot) for slot in SLOTS}
    found: list[str | None] = []
    locked, may_end = threading.Event(), threading.Event()

    def keep() -> None:
        waiting = Job.objects.filter(status__in=WAITING_STATUSES).order_by("unique_slot")
        try:
            with transaction.atomic():
                found.extend(job.unique_slot for job in kept_waiting(waiting, SLOTS, to_change=to_change))
                locked.set()
                assert may_end.wait(DEADLINE_SECONDS)
        finally:
            connections.close_all()

    keeping = threading.Thread(target=keep, daemon=True)
    with another_session() as session, session.cursor() as cursor:
        running = [JobStatus.RUNNING, jobs["w:2"].pk]
        cursor.execute(f"UPDATE {TABLE} SET status = %s, claimed_at = now() WHERE id = %s", running)
        keeping.start()
        wait_until(_blocked_sessions)
        cursor.execute("COMMIT")
    assert locked.wait(DEADLINE_SECONDS)
    with transaction.atomic():
        free = {job.unique_slot for job in Job.objects.select_for_update(skip_locked=True)}
    may_end.set()
    keeping.join(DEADLINE_SECONDS)
    assert (found, free) == (["w:1", "w:3"], {"w:2"})


def _blocked_sessions() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])
