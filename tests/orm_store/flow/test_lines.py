"""Lines of strict order on rows: who has its turn, who comes next, and what a turn is not given to."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.db.models.functions import Now

from pleme_redis_django.models import Job, JobStatus
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.dialects.postgresql.flow_lines import next_sql
from pleme_redis_django.orm_store.flow.lines import Line, gate_of_line, lines_of, ready_or_in_line
from pleme_redis_django.orm_store.job_table import JobTable
from tests.rows import BACKENDS, ago, make_job
from tests.waiting import wait_until

LINE = Line("default", "order:1")


def waiting(using: str, order_key: str = "order:1", **fields: Any) -> Job:
    """Store a job that waits in the line of its key."""
    line = Line(fields.get("product", "default"), order_key)
    values = {"status": JobStatus.BLOCKED, "order_key": order_key, "blocked_on": line.gate, **fields}
    return make_job(using, **values)


def next_of(using: str, *lines: Line) -> list[str]:
    table = JobTable(Job, using)
    return dialect_of(table).let_next(table, lines or [LINE])


def ready(using: str) -> list[Any]:
    return list(
        Job.objects.using(using).filter(status=JobStatus.QUEUED).order_by("id").values_list("id", flat=True)
    )


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
class TestLetNext:
    def test_first_of_a_line_gets_its_turn_and_nobody_else(self, using: str) -> None:
        first, _second = waiting(using), waiting(using, queue_name="mail")
        assert next_of(using) == ["default"]
        assert next_of(using) == []
        assert ready(using) == [first.id]
        first.refresh_from_db()
        assert first.blocked_on is None

    def test_order_is_priority_then_due_time_then_id(self, using: str) -> None:
        late = waiting(using, run_after=ago(5))
        early = waiting(using, run_after=ago(50))
        same = waiting(using, run_after=early.run_after)
        urgent = waiting(using, priority=9, run_after=ago(1))
        order = []
        for _ in range(4):
            next_of(using)
            order += ready(using)
            Job.objects.using(using).filter(status=JobStatus.QUEUED).update(status=JobStatus.COMPLETED)
        assert order == [urgent.id, early.id, same.id, late.id]

    @pytest.mark.parametrize(
        "holder",
        [
            {"status": JobStatus.QUEUED},
            {"status": JobStatus.RUNNING, "attempt": 1},
            {"status": JobStatus.RUNNING, "attempt": 1, "deleted_at": Now()},
            {"status": JobStatus.PENDING, "attempt": 1},
            {"status": JobStatus.BLOCKED, "attempt": 1, "blocked_on": "k:default:stripe"},
        ],
        ids=["ready", "running", "running, deleted", "between attempts", "at another gate"],
    )
    def test_nobody_comes_next_while_one_has_its_turn(self, using: str, holder: dict[str, Any]) -> None:
        make_job(using, order_key="order:1", **holder)
        behind = waiting(using)
        assert next_of(using) == []
        behind.refresh_from_db()
        assert behind.status == JobStatus.BLOCKED

    @pytest.mark.parametrize(
        "other",
        [
            {"status": JobStatus.COMPLETED},
            {"status": JobStatus.FAILED, "attempt": 4},
            {"status": JobStatus.CANCELLED},
            {"status": JobStatus.PENDING},
            {"status": JobStatus.QUEUED, "deleted_at": Now()},
            {"status": JobStatus.QUEUED, "product": "globex"},
            {"status": JobStatus.QUEUED, "order_key": "order:2"},
        ],
        ids=["completed", "failed", "cancelled", "not due", "deleted", "another product", "another key"],
    )
    def test_what_holds_no_line_up(self, using: str, other: dict[str, Any]) -> None:
        make_job(using, **{"order_key": "order:1", **other})
        waiting(using)
        assert next_of(using) == ["default"]

    def test_deleted_one_and_one_that_is_not_due_are_passed_by(self, using: str) -> None:
        waiting(using, deleted_at=Now(), priority=5)
        waiting(using, run_after=Now() + timedelta(hours=1), priority=4)
        third = waiting(using)
        assert next_of(using) == ["default"]
        assert ready(using) == [third.id]

    def test_many_lines_at_once(self, using: str) -> None:
        keys = [f"order:{number}" for number in range(100)]
        firsts = [waiting(using, key).id for key in keys]
        for key in keys:
            waiting(using, key)
        assert len(next_of(using, *(Line("default", key) for key in keys))) == 100
        assert ready(using) == sorted(firsts)

    @pytest.mark.parametrize("key", ["a%b", "o:default:x", "q\"u'o\\te", "{1,2}", "ключ", "x" * 200])
    def test_any_key_names_its_own_line(self, using: str, key: str) -> None:
        waiting(using, key)
        assert dialect_of(JobTable(Job, using)).open_lines(JobTable(Job, using)) == [Line("default", key)]
        assert next_of(using, Line("default", key)) == ["default"]


@pytest.mark.django_db(databases=BACKENDS)
@pytest.mark.parametrize("using", BACKENDS)
class TestRows:
    def test_open_lines_are_those_without_a_turn(self, using: str) -> None:
        table = JobTable(Job, using)
        for key in ("order:1", "order:2", "order:3"):
            waiting(using, key)
            waiting(using, key)
        make_job(using, order_key="order:2", status=JobStatus.RUNNING, attempt=1)
        waiting(using, "order:4", run_after=Now() + timedelta(hours=1))
        make_job(using, status=JobStatus.BLOCKED, blocked_on="k:default:stripe", attempt=1)
        assert sorted(dialect_of(table).open_lines(table)) == [LINE, Line("default", "order:3")]

    def test_lines_of_jobs(self, using: str) -> None:
        one, same, plain = waiting(using), waiting(using), make_job(using)
        table = JobTable(Job, using)
        assert lines_of(table.rows().filter(pk__in=[one.id, same.id, plain.id])) == [LINE]
        assert lines_of(table.rows().filter(pk=plain.id)) == []

    def test_gate_in_sql_is_that_of_python(self, using: str) -> None:
        job = waiting(using, "ключ:1%")
        row = Job.objects.using(using).annotate(gate=gate_of_line()).get(pk=job.pk)
        assert row.gate == Line("default", "ключ:1%").gate == job.blocked_on

    def test_due_jobs_with_a_key_go_into_their_line_and_others_are_ready(self, using: str) -> None:
        plain = make_job(using, status=JobStatus.PENDING)
        new = make_job(using, status=JobStatus.PENDING, order_key="order:1")
        begun = make_job(using, status=JobStatus.PENDING, order_key="order:2", attempt=1)
        Job.objects.using(using).update(**ready_or_in_line())
        found = {job.id: (job.status, job.blocked_on) for job in Job.objects.using(using)}
        assert found == {
            plain.id: (JobStatus.QUEUED, None),
            new.id: (JobStatus.BLOCKED, LINE.gate),
            begun.id: (JobStatus.QUEUED, None),
        }

    def test_database_refuses_a_second_turn(self, using: str) -> None:
        make_job(using, order_key="order:1")
        with pytest.raises(IntegrityError), transaction.atomic(using=using):
            make_job(using, order_key="order:1", status=JobStatus.RUNNING, attempt=1)


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_two_who_look_at_once_give_one_turn(self) -> None:
        for _ in range(20):
            waiting("default")
        start, given = threading.Barrier(8), []

        def look() -> None:
            start.wait()
            given.extend(next_of("default"))
            connections.close_all()

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert given == ["default"]
        assert len(ready("default")) == 1

    def test_first_that_somebody_holds_is_left_and_nobody_overtakes_it(self) -> None:
        """Whoever holds it looks at the line after the commit."""
        first, _second = waiting("default"), waiting("default")
        held, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                Job.objects.filter(pk=first.pk).update(status=JobStatus.CANCELLED, blocked_on=None)
                held.set()
                let_go.wait()
            connections.close_all()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        assert next_of("default") == []
        let_go.set()
        holder.join()
        assert next_of("default") == ["default"]

    def test_job_that_is_committed_later_with_a_higher_priority_meets_the_turn(self) -> None:
        """The look that waits for the lock sees what was committed under it."""
        plain = waiting("default")
        with transaction.atomic():
            assert next_of("default") == ["default"]
            other: list[str] = []
            done = threading.Event()

            def look() -> None:
                waiting("default", priority=9)
                other.extend(next_of("default"))
                connections.close_all()
                done.set()

            threading.Thread(target=look).start()
            wait_until(_somebody_waits_for_an_advisory_lock, "the other look")
        done.wait()
        assert other == []
        assert ready("default") == [plain.id]

    def test_look_reads_the_indexes_alone_and_not_the_table(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            cursor.execute("ANALYZE pleme_redis_django_job")
            keys = [f"order:{number}" for number in range(200)]
            arrays = [[f"o:default:{key}" for key in keys], ["default"] * 200, keys]
            cursor.execute(f"EXPLAIN {next_sql(JobTable(Job, 'default'))}", arrays)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "pleme_redis_django_job_gate" in plan
        assert "pleme_redis_django_job_turn" in plan
        assert "Seq Scan" not in plan, plan


_FILL = """
INSERT INTO pleme_redis_django_job
  (id, product, job_type, queue_name, priority, parameters, max_retries, order_key, status, blocked_on)
SELECT gen_random_uuid(), 'default', 'tests.noop', 'default', 0, '{}', 3, 'order:' || number % 400,
       'BLOCKED', 'o:default:order:' || number % 400
FROM generate_series(1, 8000) AS number
"""


def _somebody_waits_for_an_advisory_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])
