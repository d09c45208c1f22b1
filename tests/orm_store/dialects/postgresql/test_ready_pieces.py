"""Looks in pieces: a claim for some types reads a part of a backlog that is not for them, and misses nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore, long_look
from pleme_redis_django.orm_store.dialects.postgresql import ready_pieces
from pleme_redis_django.orm_store.dialects.postgresql.ready_pieces import read_piece
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED
from tests.database_sessions import TABLE, another_session
from tests.orm_store.rows_read import rows_read
from tests.rows import make_job
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

PIECE = 100
BACKLOG = 6 * PIECE
FEW_ROWS = 60
LIMIT = 10
OWN = "tests.own"
KINDS = [
    JobSelection(job_types=frozenset({OWN})),
    JobSelection(job_types=frozenset({OWN}), queue_names=("default",)),
    JobSelection(job_types=frozenset({OWN}), fair=True),
]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_pieces, "PIECE_ROWS", PIECE)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries, run_after)"
            " SELECT gen_random_uuid(), 'default', 'tests.others', 'default', number %% 4 - 2, 'QUEUED', '{}', 3,"
            "  now() - interval '1 hour' - interval '1 second' * (number / 9) FROM generate_series(1, %s) AS number",
            [BACKLOG],
        )
        cursor.execute("ANALYZE pleme_redis_django_job")
        # As the planner decides on a large table: by indexes alone, in their order.
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")


def store_of_long_looks(selection: JobSelection, monkeypatch: pytest.MonkeyPatch) -> OrmJobStore[Job]:
    """Return a store that has found out that a look at everything takes long."""
    store = OrmJobStore(Job)
    with monkeypatch.context() as patch:
        patch.setattr(long_look, "LONG_SECONDS", -1.0)
        assert store.claim_jobs(str(uuid4()), 1, selection) == []
    return store


def make_own(priority: int, minutes: int) -> UUID:
    due = timezone.now() - timedelta(minutes=minutes)
    return make_job("default", job_type=OWN, priority=priority, run_after=due).id


@pytest.mark.parametrize("selection", KINDS)
def test_no_claim_reads_past_a_whole_backlog_and_all_that_is_in_it_is_claimed(
    selection: JobSelection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: OrmJobStore[Job] = store_of_long_looks(selection, monkeypatch)
    own = [make_own(priority, minutes) for priority, minutes in ((1, 5), (0, 70), (0, 59), (-2, 60), (-9, 1))]
    claimed: list[UUID] = []

    def saw_everything() -> bool:
        jobs: list[Any] = []
        assert (
            rows_read(lambda: jobs.extend(store.claim_jobs(str(uuid4()), 50, selection))) < PIECE + FEW_ROWS
        )
        claimed.extend(job.id for job in jobs)
        return store.look_again_in(selection) is None

    wait_until(saw_everything)
    assert claimed == own
    late = make_own(0, 0)
    assert [job.id for job in store.claim_jobs(str(uuid4()), 50, selection)] == [late]


def test_what_becomes_ready_while_a_look_is_under_way_is_claimed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_of_long_looks(KINDS[0], monkeypatch)
    assert store.claim_jobs(str(uuid4()), 50, KINDS[0]) == []
    assert store.look_again_in(KINDS[0]) is not None, "the look is not at its end"
    late = make_own(0, 0)
    assert late in [job.id for job in store.claim_jobs(str(uuid4()), 50, KINDS[0])]


def test_pieces_follow_each_other_in_claim_order() -> None:
    table, selection = JobTable(Job, "default"), JobSelection(job_types=frozenset({"tests.others"}))
    behind, found = None, []
    while found == [] or behind is not None:
        piece = read_piece(table, selection, NOTHING_PAUSED, behind)
        found += piece.ids
        behind = piece.last
    assert found == list(table.ready(selection).values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_claim_gets_what_is_left_where_another_process_takes_the_first_jobs_of_the_same_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_of_long_looks(KINDS[0], monkeypatch)
    own = [make_own(9, minutes) for minutes in range(2 * LIMIT, 0, -1)]
    first = ", ".join(f"'{job_id}'" for job_id in own[:LIMIT])
    with another_session(f"SELECT FROM {TABLE} WHERE id IN ({first}) FOR UPDATE"):
        claimed = store.claim_jobs(str(uuid4()), LIMIT, KINDS[0])
    assert [job.id for job in claimed] == own[LIMIT:]


@pytest.mark.django_db(transaction=True)
def test_a_look_goes_on_to_the_end_where_another_process_takes_all_own_jobs_of_a_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_of_long_looks(KINDS[0], monkeypatch)
    taken = [make_own(9, minutes) for minutes in range(LIMIT, 0, -1)]
    behind_the_backlog = make_own(-9, 1)
    ids = ", ".join(f"'{job_id}'" for job_id in taken)
    claimed: list[UUID] = []

    def saw_everything() -> bool:
        claimed.extend(job.id for job in store.claim_jobs(str(uuid4()), LIMIT, KINDS[0]))
        return store.look_again_in(KINDS[0]) is None

    with another_session(f"SELECT FROM {TABLE} WHERE id IN ({ids}) FOR UPDATE"):
        wait_until(saw_everything)
    assert claimed == [behind_the_backlog]
