"""Firing: every tick once, by the database's clock, and one bad schedule stops no other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connections, transaction

from pleme_redis_django.exceptions import ScheduleMoved
from pleme_redis_django.jobs.definitions.due_ticks import JOBS_A_TURN
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, Schedule, ScheduleTick
from pleme_redis_django.operations import set_limit
from pleme_redis_django.schedules import firing
from pleme_redis_django.schedules.book import OrmScheduleBook
from tests.rows import ago, make_job
from tests.schedules import jobs
from tests.schedules.conftest import NOON, SetClock, outcomes

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
Make = Callable[..., Schedule]


def jobs_of(using: str) -> list[Job]:
    return list(Job._base_manager.using(using).order_by("id"))


def end_jobs(using: str) -> None:
    Job._base_manager.using(using).update(status=JobStatus.COMPLETED)


def test_a_due_tick_becomes_a_job(using: str, book: OrmScheduleBook, make: Make, clock: SetClock) -> None:
    schedule = make(parameters={"shop": "berlin", "pages": 2}, cron="*/10 * * * * *")
    clock.pass_(seconds=2)
    fired = book.fire_due()
    (stored,) = jobs_of(using)
    assert (fired.enqueued, fired.passed_over, fired.disabled) == (1, 0, ())
    assert fired.due_in_seconds == 8.0
    assert (stored.job_type, stored.product, stored.queue_name) == (jobs.report.name, "default", "reports")
    assert (stored.priority, stored.parameters, stored.status) == (
        3,
        {"shop": "berlin", "pages": 2},
        "QUEUED",
    )
    assert stored.metadata == {"schedule": "nightly", "tick_at": NOON.isoformat()}
    schedule.refresh_from_db()
    assert schedule.next_tick_at == NOON + timedelta(seconds=10)
    assert (schedule.last_tick_at, schedule.last_job_id) == (NOON, stored.id)
    assert outcomes(schedule) == [("12:00:00", "enqueued")]


def test_a_tick_fires_once(using: str, book: OrmScheduleBook, make: Make) -> None:
    make()
    assert book.fire_due().enqueued == 1
    assert book.fire_due().enqueued == 0
    assert len(jobs_of(using)) == 1


def test_a_job_of_a_strict_order_has_its_turn_after_the_commit(
    using: str, book: OrmScheduleBook, make: Make, django_capture_on_commit_callbacks: Any
) -> None:
    make(job_type=jobs.in_order.name, parameters={})
    make("other", job_type=jobs.in_order.name, parameters={})
    with django_capture_on_commit_callbacks(using=using, execute=True):
        book.fire_due()
    assert [stored.status for stored in jobs_of(using)] == [JobStatus.QUEUED, JobStatus.BLOCKED]


def test_a_tick_that_puts_off_a_job_that_a_limit_had_let_in_leaves_its_place_to_the_next(
    using: str, book: OrmScheduleBook, make: Make, django_capture_on_commit_callbacks: Any
) -> None:
    name = jobs.put_off.name
    set_limit("type", name, max_running=1, using=using)
    make(job_type=name, parameters={})
    book.fire_due()
    (let_in,) = jobs_of(using)
    behind = make_job(using, job_type=name, status=JobStatus.BLOCKED, blocked_on=f"t:default:{name}")
    make("other", job_type=name, parameters={}, jitter_seconds=30)
    with django_capture_on_commit_callbacks(using=using, execute=True):
        book.fire_due()
    statuses = {stored.pk: stored.status for stored in jobs_of(using)}
    assert statuses == {let_in.pk: JobStatus.PENDING, behind.pk: JobStatus.QUEUED}


def test_what_is_not_due_waits(using: str, book: OrmScheduleBook, make: Make, clock: SetClock) -> None:
    make()
    clock.pass_(seconds=-0.5)
    fired = book.fire_due()
    assert (fired.enqueued, fired.due_in_seconds) == (0, 0.5)


def test_the_schedule_has_its_own_queue_priority_and_product(
    using: str, book: OrmScheduleBook, make: Make
) -> None:
    make(product="acme", queue_name="slow", priority=-7)
    make(product="globex")
    book.fire_due()
    found = {(job.product, job.queue_name, job.priority) for job in jobs_of(using)}
    assert found == {("acme", "slow", -7), ("globex", "reports", 3)}


def test_jitter_starts_a_job_a_little_later(using: str, book: OrmScheduleBook, make: Make) -> None:
    make(jitter_seconds=30)
    book.fire_due()
    (stored,) = jobs_of(using)
    assert NOON <= stored.run_after <= NOON + timedelta(seconds=30)
    assert stored.status == JobStatus.PENDING


@pytest.mark.parametrize(
    ("zone", "cron", "start", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T00:00", ["28 01:30", "29 01:00", "30 00:30"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T00:00", ["24 00:30", "25 00:30", "26 01:30"]),
        ("Australia/Sydney", "30 2 * * *", "2026-10-03T00:00", ["02 16:30", "03 16:00", "04 15:30"]),
        ("Australia/Sydney", "30 2 * * *", "2026-04-04T00:00", ["03 15:30", "04 15:30", "05 16:30"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00", ["02 15:45", "03 15:30", "04 15:15"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00", ["03 14:45", "04 14:45", "05 15:15"]),
    ],
)
def test_changes_of_the_clocks_neither_lose_nor_repeat_a_tick(
    book: OrmScheduleBook, make: Make, clock: SetClock, zone: str, cron: str, start: str, expected: list[str]
) -> None:
    clock.now = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    first = firing.read_schedule(
        Schedule(
            product="default",
            name="x",
            job_type=jobs.report.name,
            cron=cron,
            timezone=zone,
            parameters={"shop": "x"},
        )
    ).timing.next_after(clock.now)
    schedule = make(cron=cron, timezone=zone, next_tick_at=first, overlap="allow")
    for _quarter in range(3 * 24 * 4):
        clock.pass_(minutes=15)
        book.fire_due()
    ticks = ScheduleTick._base_manager.using(schedule._state.db).order_by("tick_at")
    assert [f"{tick.tick_at:%d %H:%M}" for tick in ticks if tick.outcome == "enqueued"] == expected


def test_a_clock_that_steps_back_an_hour_fires_nothing_again(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(overlap="allow")
    for _minute in range(3):
        book.fire_due()
        clock.pass_(minutes=1)
    clock.pass_(hours=-1)
    for _minute in range(58):
        book.fire_due()
        clock.pass_(minutes=1)
    assert [at for at, _outcome in outcomes(schedule)] == ["12:00:00", "12:01:00", "12:02:00"]
    # Edited in that hour, it may come to a tick that it has fired: that one is passed by.
    Schedule._base_manager.using(using).update(next_tick_at=NOON + timedelta(minutes=1))
    for _minute in range(5):
        clock.pass_(minutes=1)
        book.fire_due()
    assert [at for at, _outcome in outcomes(schedule)] == [f"12:0{minute}:00" for minute in range(7)]
    assert len(jobs_of(using)) == 7


def test_missed_ticks_are_recorded_and_make_no_job(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(cron="0 * * * *")
    clock.pass_(hours=3, minutes=20)
    fired = book.fire_due()
    assert (fired.enqueued, fired.passed_over) == (0, 1)
    assert outcomes(schedule) == [("15:00:00", "missed")]
    assert ScheduleTick._base_manager.using(using).get().passed_over == 3
    assert jobs_of(using) == []


def test_all_missed_ticks_fire_when_asked_for(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(catch_up="all", catch_up_limit=2, overlap="allow")
    clock.pass_(minutes=30)
    book.fire_due()
    assert [job.metadata["tick_at"][11:16] for job in jobs_of(using)] == ["12:29", "12:30"]


def test_more_missed_ticks_than_fit_into_a_turn_fire_in_the_next_at_once(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(cron="* * * * * *", catch_up="all", catch_up_limit=1_000, overlap="allow")
    clock.pass_(seconds=JOBS_A_TURN + 4)
    first, second = book.fire_due(), book.fire_due()
    assert (first.enqueued, first.due_in_seconds) == (JOBS_A_TURN, 0.0)
    assert (second.enqueued, second.due_in_seconds) == (5, 1.0)
    assert len(jobs_of(using)) == JOBS_A_TURN + 5


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_one_whose_row_somebody_holds_is_not_asked_for_again_at_once(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make()
    clock.pass_(seconds=1)
    somebody = connections[using].copy()
    with contextlib.closing(somebody), somebody.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM pleme_redis_django_schedule FOR UPDATE")
        fired = book.fire_due()
        assert (fired.enqueued, fired.due_in_seconds) == (0, None)
        cursor.execute("ROLLBACK")
    assert book.fire_due().enqueued == 1


# Overlaps


def test_a_tick_is_skipped_while_the_job_before_it_has_not_ended(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(overlap="skip")
    for _tick in range(2):
        book.fire_due()
        clock.pass_(minutes=1)
    end_jobs(using)
    book.fire_due()
    assert outcomes(schedule) == [("12:00:00", "enqueued"), ("12:01:00", "overlap"), ("12:02:00", "enqueued")]


def test_overlapping_ticks_run_beside_each_other_when_allowed(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(overlap="allow")
    for _tick in range(3):
        book.fire_due()
        clock.pass_(minutes=1)
    assert len(jobs_of(using)) == 3


def test_a_tick_replaces_the_job_before_it(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(overlap="replace")
    book.fire_due()
    clock.pass_(minutes=1)
    book.fire_due()
    Job._base_manager.using(using).filter(status="QUEUED").update(status="RUNNING")
    clock.pass_(minutes=1)
    book.fire_due()
    waited, ran, last = jobs_of(using)
    assert (waited.status, last.status) == ("CANCELLED", "QUEUED")
    assert (ran.status, ran.cancel_requested) == ("RUNNING", True)


def test_a_tick_replaces_a_job_whose_period_is_over(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(job_type=jobs.once_a_minute.name, parameters={}, cron="", interval_seconds=3600, overlap="replace")
    book.fire_due()
    Job._base_manager.using(using).update(status="RUNNING", created_at=ago(3600))
    clock.pass_(hours=1)
    assert book.fire_due().enqueued == 1
    ran, last = jobs_of(using)
    assert (ran.cancel_requested, last.status) == (True, "QUEUED")


def test_at_most_one_tick_waits_for_the_end_of_a_job(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(overlap="queue")
    for _tick in range(3):
        fired = book.fire_due()
        clock.pass_(minutes=1)
    assert fired.due_in_seconds == 1.0
    assert [outcome for _at, outcome in outcomes(schedule)] == ["enqueued", "waiting", "overlap"]
    assert len(jobs_of(using)) == 1
    end_jobs(using)
    clock.pass_(seconds=-30)
    assert book.fire_due().enqueued == 1
    assert [outcome for _at, outcome in outcomes(schedule)] == ["enqueued", "enqueued", "overlap"]
    assert jobs_of(using)[-1].metadata["tick_at"][11:16] == "12:01"
    assert book.fire_due().enqueued == 0


def test_a_unique_job_that_is_there_already_stands_for_the_tick(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(job_type=jobs.only_one.name, parameters={}, overlap="allow")
    book.fire_due()
    clock.pass_(minutes=1)
    book.fire_due()
    assert [outcome for _at, outcome in outcomes(schedule)] == ["enqueued", "kept"]
    assert len(jobs_of(using)) == 1


def test_a_tick_cancels_no_job_that_would_keep_its_own_out(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(job_type=jobs.only_one.name, parameters={}, overlap="allow")
    book.fire_due()
    Job._base_manager.using(using).update(status=JobStatus.RUNNING)
    Schedule._base_manager.using(using).update(overlap="replace")
    clock.pass_(minutes=1)
    ((_name, reason),) = book.fire_due().disabled
    assert 'unique="while_running": a tick would cancel the running job' in reason
    assert not jobs_of(using)[0].cancel_requested


# One bad row


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cron": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"cron": "* " * 60}, "60 fields"),
        ({"timezone": "Mars/Olympus"}, "The zone is"),
        ({"parameters": {"shops": 1}}, "missing ['shop']"),
        ({"parameters": [1]}, "The parameters of a schedule are [1]"),
        ({"queue_name": "no such * queue"}, "queue"),
        ({"priority": 3000}, "priority is 3000"),
        ({"overlap": "sometimes"}, "overlap is"),
        ({"catch_up": "never"}, "catch_up is"),
        ({"catch_up_limit": 2**31 - 1}, "catch_up_limit is"),
        ({"jitter_seconds": 2**31 - 1}, "jitter_seconds is"),
        ({"product": "Not A Product"}, "product"),
        ({"starts_at": datetime(9999, 1, 2, tzinfo=UTC)}, "years 1970 to 2999"),
    ],
)
def test_a_row_that_cannot_be_read_is_disabled_and_stops_no_other(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, fields: dict[str, Any], said: str
) -> None:
    good = [make("before"), make("after", next_tick_at=NOON + timedelta(seconds=1))]
    bad = make("bad", **fields)
    clock.pass_(seconds=2)
    fired = book.fire_due()
    assert fired.enqueued == len(good)
    ((name, reason),) = fired.disabled
    assert name == "bad"
    assert said in reason
    bad.refresh_from_db()
    assert not bad.enabled
    assert said in bad.disabled_reason
    assert [outcome for _at, outcome in outcomes(bad)] == ["disabled"]
    clock.pass_(minutes=10)
    assert book.fire_due().disabled == ()


@pytest.mark.parametrize(
    "column", ["starts_at", "ends_at", "last_tick_at", "next_tick_at", "waiting_tick_at"]
)
def test_times_beyond_what_can_be_loaded_stop_no_other(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, column: str
) -> None:
    make("good")
    bad = make("bad")
    far = "-infinity" if column == "next_tick_at" else "20000-01-01"
    if using == "sqlite":
        far = "0000-13-45 99:00:00"
    with connections[using].cursor() as cursor:
        cursor.execute(f"UPDATE pleme_redis_django_schedule SET {column} = %s WHERE id = %s", [far, bad.pk])
    fired = book.fire_due()
    assert fired.enqueued == 1
    bad.refresh_from_db()
    assert not bad.enabled
    assert "could not be fired" in bad.disabled_reason


@pytest.mark.parametrize("using", ["sqlite"], indirect=True)
def test_a_next_tick_that_is_no_time_at_all_stops_no_other(
    using: str, book: OrmScheduleBook, make: Make
) -> None:
    make("good")
    bad = make("bad")
    with connections[using].cursor() as cursor:
        cursor.execute(
            "UPDATE pleme_redis_django_schedule SET next_tick_at = '2 no time' WHERE id = %s", [bad.pk]
        )
    fired = book.fire_due()
    assert (fired.enqueued, fired.disabled) == (1, (("bad", "Its next tick is not a time. Save it again."),))


def test_the_database_itself_refuses_an_interval_that_is_out_of_range(using: str, make: Make) -> None:
    for seconds in (0, 2**31 - 1):
        with pytest.raises(IntegrityError), transaction.atomic(using=using):
            make(cron="", interval_seconds=seconds)
    with pytest.raises(IntegrityError), transaction.atomic(using=using):
        make(cron="* * * * *", interval_seconds=60)


def test_two_schedules_of_a_product_have_two_names(using: str, make: Make) -> None:
    make("nightly", product="acme")
    make("nightly", product="globex")
    with pytest.raises(IntegrityError), transaction.atomic(using=using):
        make("nightly", product="acme")


def test_a_job_type_that_nobody_here_knows_is_left_to_a_process_that_does(
    using: str, book: OrmScheduleBook, make: Make
) -> None:
    make("good")
    unknown = make("unknown", job_type="shop.jobs.gone")
    assert book.fire_due().enqueued == 1
    unknown.refresh_from_db()
    assert unknown.enabled
    assert unknown.next_tick_at == NOON


# Two at once


def test_a_tick_that_is_recorded_makes_no_second_job(using: str, make: Make) -> None:
    """UNIQUE(schedule, tick) is the last of the three that keep two processes apart."""
    schedule = make()
    ticks = ScheduleTick._base_manager.using(using)
    ticks.create(schedule=schedule, tick_at=NOON, outcome="enqueued")
    with pytest.raises(IntegrityError), transaction.atomic(using=using):
        ticks.create(schedule=schedule, tick_at=NOON, outcome="enqueued")


def test_a_schedule_that_somebody_else_moves_on_is_undone_as_a_whole(
    using: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock of the row: who comes second finds another next tick, and its job is rolled back."""
    schedule = make()

    def read_and_lose(row: Schedule) -> Any:
        Schedule._base_manager.using(using).filter(pk=row.pk).update(next_tick_at=NOON + timedelta(minutes=5))
        return real(row)

    real = firing.read_schedule
    monkeypatch.setattr(firing, "read_schedule", read_and_lose)
    with pytest.raises(ScheduleMoved), transaction.atomic(using=using):
        firing.fire(using, [schedule.pk], NOON)
    assert jobs_of(using) == []
    assert outcomes(schedule) == []


def test_nothing_is_left_of_a_turn_that_ends_before_its_commit(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the tick, the job and the next tick there is no moment at which some of them are stored."""
    schedule = make()

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(firing._DueSchedule, "move_on", die)
    with pytest.raises(KeyboardInterrupt):
        book.fire_due()
    monkeypatch.undo()
    assert (jobs_of(using), outcomes(schedule)) == ([], [])
    assert book.fire_due().enqueued == 1


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_processes_that_fire_at_once_fire_every_tick_once(using: str, make: Make, clock: SetClock) -> None:
    made = [make(f"number {number}") for number in range(60)]
    gate = threading.Barrier(4)
    errors: list[BaseException] = []

    def fire() -> None:
        try:
            book = OrmScheduleBook(using=using, clock=clock)
            gate.wait()
            for _turn in range(3):
                book.fire_due()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=fire) for _process in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(jobs_of(using)) == len(made)
    assert ScheduleTick._base_manager.using(using).count() == len(made)


def test_old_ticks_are_forgotten(using: str, book: OrmScheduleBook, make: Make, clock: SetClock) -> None:
    schedule = make()
    book.fire_due()
    clock.now = datetime.now(UTC) + timedelta(days=29)
    assert book.forget_old_ticks() == 0
    clock.pass_(days=2)
    assert book.forget_old_ticks() == 1
    assert outcomes(schedule) == []


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_times_are_those_of_the_project_when_it_keeps_none_of_zones(
    using: str, make: Make, clock: SetClock, settings: Any
) -> None:
    """With USE_TZ off the columns hold times of TIME_ZONE; the database itself keeps them in UTC."""
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    book = OrmScheduleBook(using=using, clock=clock)
    at_one = datetime(2026, 11, 27, 13)  # noqa: DTZ001 - naive
    schedule = make(cron="0 13 * * *", timezone="Europe/Berlin", next_tick_at=at_one)
    assert book.fire_due().enqueued == 1
    schedule.refresh_from_db()
    assert schedule.last_tick_at == at_one
    assert schedule.next_tick_at == at_one + timedelta(days=1)
