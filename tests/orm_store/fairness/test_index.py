"""FairIndex: made by migrate where a pool is fair, used by the statements of fair claims, and missed aloud."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.claim_position import ClaimPosition
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.dialects.postgresql import ready_strands as ready_strands_module
from pleme_redis_django.orm_store.dialects.postgresql.fair_claim import claim_shares
from pleme_redis_django.orm_store.dialects.postgresql.prepared import USES_BEFORE
from pleme_redis_django.orm_store.dialects.postgresql.ready_strands import IN_INDEX_ORDER, ready_strands
from pleme_redis_django.orm_store.fairness.index import FairIndex, is_name_of_one
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED
from tests.orm_store.rows_read import rows_read
from tests.rows import BACKENDS, make_jobs

BACKLOG = 3_000
FAIR = JobSelection(fair=True)
MAIL = JobSelection(fair=True, queue_names=("mail",))


@pytest.fixture(params=BACKENDS)
def using(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    with connections[request.param].cursor() as cursor:
        for suffix in ("fair", "fairq"):
            cursor.execute(f'DROP INDEX IF EXISTS "{Job._meta.db_table}_{suffix}"')


def with_pools(settings: Any, using: str, *pools: dict[str, Any]) -> None:
    named = {f"pool_{number}": pool for number, pool in enumerate(pools)}
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": using, "POOLS": named}


def indexes(using: str) -> set[str]:
    with connections[using].cursor() as cursor:
        found = connections[using].introspection.get_constraints(cursor, Job._meta.db_table)
    return {name for name in found if "_fair" in name}


def migrate(using: str) -> str:
    said = io.StringIO()
    call_command("migrate", database=using, verbosity=1, stdout=said)
    return said.getvalue()


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
def test_migrate_makes_it_where_a_pool_is_fair(using: str, settings: Any) -> None:
    with_pools(settings, using, {})
    migrate(using)
    assert indexes(using) == set()
    with_pools(settings, using, {"fair": True}, {"fair": True}, {"fair": True, "product": "shop"})
    assert "Made the index pleme_redis_django_job_fair" in migrate(using)
    assert indexes(using) == {"pleme_redis_django_job_fair"}
    assert "Made the index" not in migrate(using)
    with_pools(settings, using, {"fair": True, "queues": ["mail"]})
    migrate(using)
    assert indexes(using) == {"pleme_redis_django_job_fair", "pleme_redis_django_job_fairq"}


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
def test_migrate_tells_of_one_that_no_pool_reads(using: str, settings: Any) -> None:
    with_pools(settings, using, {"fair": True})
    assert "none that reads it" not in migrate(using)
    with_pools(settings, using, {"fair": True, "queues": ["mail"]})
    assert "The index pleme_redis_django_job_fair is for fair pools" in migrate(using)
    with_pools(settings, using, {})
    told = migrate(using)
    assert "The index pleme_redis_django_job_fair is for fair pools" in told
    assert "The index pleme_redis_django_job_fairq is for fair pools" in told
    assert indexes(using) == {"pleme_redis_django_job_fair", "pleme_redis_django_job_fairq"}


@pytest.mark.parametrize("by_queue", [False, True])
@pytest.mark.parametrize("aging", [None, 60.0, 0.5, 1e-7, 1e9])
def test_it_is_known_by_its_name(by_queue: bool, aging: float | None) -> None:
    index = FairIndex(model=Job, using="default", by_queue=by_queue, aging_seconds_per_point=aging)
    assert is_name_of_one(index.name)
    assert not is_name_of_one("pleme_redis_django_job_ready")


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
def test_a_check_tells_of_a_missing_one(using: str, settings: Any) -> None:
    def told() -> list[str]:
        found = run_checks(tags=["database"], databases=[using])
        return [str(message.msg) for message in found if message.id == "pleme_redis_django.W039"]

    with_pools(settings, using, {"fair": True})
    assert told() == [
        "The table pleme_redis_django_job lacks the index pleme_redis_django_job_fair, so a fair pool claims as one "
        "that is not fair."
    ]
    migrate(using)
    assert told() == []


@pytest.mark.django_db(transaction=True)
def test_one_whose_making_has_failed_is_made_again() -> None:
    index = FairIndex(model=Job, using="default", by_queue=False)
    index.make()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [index.name]
            )
        assert index.exists() is None
        assert index.make()
        assert index.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP INDEX "{index.name}"')


@pytest.fixture
def backlog(db: None) -> OrmJobStore[Job]:
    """Jobs of one product, which is all that the statistics know, and two jobs of another one."""
    for by_queue in (False, True):
        FairIndex(model=Job, using="default", by_queue=by_queue).make()
    make_jobs(BACKLOG, product="big", queue_name="mail")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
        # As the planner decides on a large table: by indexes alone, in their order.
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    Job.objects.bulk_create(Job(product="small", job_type="tests.noop", queue_name="mail") for _ in range(2))
    return OrmJobStore(Job)


@pytest.mark.parametrize("selection", [FAIR, MAIL], ids=["every queue", "one queue"])
def test_claims_and_looks_read_it_and_nothing_else(
    backlog: OrmJobStore[Job], selection: JobSelection
) -> None:
    table = backlog._table
    queue_name = None if selection.queue_names is None else "mail"
    found: list[Strand] = []
    assert rows_read(lambda: found.extend(ready_strands(table, selection, NOTHING_PAUSED)[0])) < 20
    assert found == [Strand("big", queue_name), Strand("small", queue_name)]
    with CaptureQueriesContext(connection) as queries:
        claim(backlog, selection, [Strand("small", queue_name), Strand("big", queue_name)])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + queries[-1]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    expected = "pleme_redis_django_job_fair" + ("" if queue_name is None else "q")
    assert f"Index Scan using {expected} on" in plan


@pytest.mark.parametrize(
    "selection",
    [JobSelection(), JobSelection(queue_names=("mail",)), JobSelection(queue_names=("mail", "print"))],
    ids=["every queue", "one queue", "two queues"],
)
def test_nothing_but_fair_claims_reads_it(backlog: OrmJobStore[Job], selection: JobSelection) -> None:
    """It has another order: a claim that took it would sort the backlog each time."""
    with connection.cursor() as cursor:
        for name in ("ready", "queue"):
            cursor.execute(f"DROP INDEX pleme_redis_django_job_{name}")
    with CaptureQueriesContext(connection) as queries:
        assert len(backlog.claim_jobs(str(uuid4()), 6, selection)) == 6
    (claiming,) = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + claiming)
        assert "_fair" not in "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_looks_and_claims_sort_nothing_and_leave_the_session_as_it_is() -> None:
    """An index in another order looks as good to a planner that knows of no backlog; each step would sort it."""
    table = OrmJobStore(Job)._table
    with CaptureQueriesContext(connection) as queries:
        ready_strands(table, FAIR, NOTHING_PAUSED)
    assert queries[-1]["sql"].startswith(IN_INDEX_ORDER)
    for _time in range(USES_BEFORE + 2):
        assert claim(OrmJobStore(Job), FAIR, [Strand("small"), Strand("big")]) == []
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_sort")
        assert cursor.fetchone() == ("on",)


def test_many_products_are_read_in_parts(backlog: OrmJobStore[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_strands_module, "MOST_AT_A_TIME", 4)
    names = [f"p{number}" for number in range(6)]
    Job.objects.bulk_create(Job(product=name, job_type="tests.noop", queue_name="mail") for name in names)
    parts = [ready_strands(backlog._table, FAIR, NOTHING_PAUSED)]
    for _ in range(2):
        parts.append(ready_strands(backlog._table, FAIR, NOTHING_PAUSED, parts[-1][1]))
    assert [after for _strands, after in parts] == ["p2", "small", None]
    assert [strand.product for strands, _after in parts for strand in strands] == ["big", *names, "small"]


def claim(store: OrmJobStore[Job], selection: JobSelection, strands: list[Strand]) -> list[Job]:
    request = ClaimRequest(
        worker_id=str(uuid4()),
        limit=6,
        selection=selection,
        pauses=NOTHING_PAUSED,
        position=ClaimPosition(),
        horizon=Horizon(timezone.now),
    )
    shares = [Share(strand=strand, jobs=4, start=0.0, stride=1.0) for strand in strands]
    return claim_shares(store._table, request, shares)
