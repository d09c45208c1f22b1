"""How PostgreSQL counts what runs of a key, whatever its statistics say, and a claim whose count fails."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import FlowLimit, Job, LimitKind
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.flow import known_limits
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import make_job

pytestmark = pytest.mark.django_db


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


def run(count: int) -> None:
    Job.objects.bulk_create(
        Job(
            product="default",
            job_type="a",
            status="RUNNING",
            worker_id=uuid4(),
            attempt=1,
            concurrency_key=f"customer:{number}",
        )
        for number in range(count)
    )


@pytest.mark.parametrize("analyzed_with", [0, 2_000])
def test_a_key_is_counted_in_its_own_part_of_the_index(analyzed_with: int) -> None:
    """With an index of keys beside one of workers, statistics of a quiet moment chose that of workers."""
    run(analyzed_with)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
    run(2_000)
    limit = FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="customer", max_running=1, source="admin"
    )
    sql = flow_limits._over_sql(JobTable(Job, "default"), frozenset({"key"}), on_disk=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) {sql}", [[0], ["key"], ["default"], ["customer:7"], [limit.pk]]
        )
        (found,) = cursor.fetchone()
    plan = found if isinstance(found, list) else json.loads(found)
    reads = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "pleme_redis_django_job"]
    reads += [node for node in nodes(plan[0]["Plan"]) if node["Node Type"] == "Bitmap Index Scan"]
    conditions = " ".join(node.get("Index Cond", "") for node in reads)
    assert "concurrency_key" in conditions, reads


@pytest.mark.parametrize("analyzed_with", [0, 2_000])
def test_many_keys_are_counted_in_the_order_of_their_index(analyzed_with: int) -> None:
    """A plan for a small table would read all of it at each claim, and a bitmap what is dead in the index."""
    run(analyzed_with)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pleme_redis_django_job")
    run(100)
    query = flow_limits._over_many(JobTable(Job, "default"))
    with connection.cursor() as cursor:
        cursor.execute(f"{flow_limits._BY_INDEX}; EXPLAIN {query.sql}", ["{1}"])
        while cursor.nextset():
            pass
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert re.search(r"Index (Only )?Scan using pleme_redis_django_job_run", plan), plan
    assert "Bitmap" not in plan, plan


@pytest.mark.parametrize("waiting", [50, 20_000])
def test_who_waits_at_gates_is_found_without_reading_all_that_wait_elsewhere(waiting: int) -> None:
    """After each batch of endings; with some thousand jobs behind one limit the planner read all of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pleme_redis_django_job"
            " (id, product, job_type, queue_name, priority, status, parameters, max_retries, blocked_on)"
            " SELECT gen_random_uuid(), 'default', 'a', 'default', 0, 'BLOCKED', '{}', 3, 'k:default:full'"
            " FROM generate_series(1, %s)",
            [waiting],
        )
        cursor.execute("ANALYZE pleme_redis_django_job")
    table, asked = JobTable(Job, "default"), [Gate(LimitKind.KEY, "default", f"c:{n}") for n in range(300)]
    with CaptureQueriesContext(connection) as queries:
        assert flow_limits.gates_waited_at(table, asked) == []
        assert flow_limits.gates_waited_at(table, [*asked, Gate(LimitKind.KEY, "default", "full")])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + queries[0]["sql"].replace("%", "%%"), [])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan and "Hash" not in plan, plan
    assert re.search(r"Index (Only )?Scan using pleme_redis_django_job_gate", plan), plan
    assert "blocked_on" in plan.partition("Index Cond")[2], plan


def test_nothing_starts_of_a_claim_that_could_not_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the database restarts in between: the rows are the worker's, which then gives them back."""
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="stripe", max_running=1, source="admin"
    )
    for _ in range(3):
        make_job(concurrency_key="stripe")
    store, worker_id = OrmJobStore(Job), str(uuid4())

    def fail(*_arguments: Any) -> Any:
        raise OperationalError("the connection is closed")

    with monkeypatch.context() as patched:
        patched.setattr(flow_limits, "gates_over", fail)
        with pytest.raises(OperationalError):
            store.claim_jobs(worker_id, 3, JobSelection())
    held = store.held_jobs(worker_id)
    assert len(held) == 3, "they count until they are given back"
    assert store.claim_jobs(str(uuid4()), 3, JobSelection()) == []
    jobs = store.find_jobs_of([worker_id])
    assert all(store.finish_jobs([GivenBack(job_id=row.job_id, claim=row.claim) for row in held]))
    store.release_after(jobs)
    assert len(store.claim_jobs(str(uuid4()), 3, JobSelection())) == 1


@pytest.mark.usefixtures("no_claim_is_slow")
def test_a_batch_of_many_keys_costs_two_short_questions_while_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One after the claim and one after the endings, however many keys: neither names one of them."""
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 3_600.0)
    FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="customer", max_running=1, source="admin"
    )
    store, worker_id = OrmJobStore(Job), str(uuid4())
    for number in range(30):
        make_job(concurrency_key=f"customer:{number}")
    make_job()
    assert store.claim_jobs(worker_id, 1, JobSelection()), "the limits are known from now on"
    with CaptureQueriesContext(connection) as claiming:
        claimed = store.claim_jobs(worker_id, 29, JobSelection())
    assert len(claimed) == 29
    assert len(claiming) == 2
    assert "customer:" not in claiming[1]["sql"]
    assert all(store.finish_jobs([Completed(job_id=job.id, claim=job.claim) for job in claimed]))
    with CaptureQueriesContext(connection) as releasing:
        assert not store.release_after(claimed)
    assert len(releasing) == 1
    assert "customer:" not in releasing[0]["sql"]
    (unkeyed,) = store.claim_jobs(worker_id, 1, JobSelection())
    with CaptureQueriesContext(connection) as releasing:
        assert not store.release_after([unkeyed])
    assert len(releasing) == 0, "it has left no place at a gate"


def test_what_is_known_of_gates_is_kept_while_the_limits_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 0.0)
    limit = FlowLimit.objects.create(
        job_model="pleme_redis_django.job", kind="key", name="customer", max_running=1, source="admin"
    )
    known = OrmJobStore(Job)._flow.known
    assert known.read_first()
    before = known.current()
    assert known.current() is before
    FlowLimit.objects.filter(pk=limit.pk).update(max_running=2)
    assert known.current() is not before
