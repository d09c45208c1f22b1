"""What an operator does to a schedule: pause, resume, run now, edit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pleme_redis_django.exceptions import InvalidParameters, InvalidSchedule, ScheduleNotFound
from pleme_redis_django.models import Job, Schedule, ScheduleTick
from pleme_redis_django.schedules import (
    apause_schedule,
    aresume_schedule,
    arun_schedule_now,
    firing,
    pause_schedule,
    resume_schedule,
    run_schedule_now,
    save_schedule,
)
from pleme_redis_django.schedules.book import OrmScheduleBook
from pleme_redis_django.schedules.tables import jobs_since_the_last
from tests.schedules import jobs
from tests.schedules.conftest import NOON, SetClock, outcomes

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
Make = Callable[..., Schedule]


def reloaded(schedule: Schedule) -> Schedule:
    schedule.refresh_from_db()
    return schedule


def test_a_paused_schedule_does_not_fire(using: str, book: OrmScheduleBook, make: Make) -> None:
    schedule = make()
    assert pause_schedule("nightly", reason="the bank is closed", paused_by="ada", using=using)
    assert not pause_schedule("nightly", reason="another", paused_by="bob", using=using)
    assert book.fire_due().enqueued == 0
    paused = reloaded(schedule)
    assert (paused.pause_reason, paused.paused_by) == ("the bank is closed", "ada")


def test_a_resumed_one_fires_from_its_next_tick_on(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    """What the pause passed over is no missed tick, whatever ``catch_up`` says."""
    schedule = make(catch_up="all", overlap="allow")
    pause_schedule("nightly", reason="holidays", using=using)
    clock.pass_(minutes=10, seconds=30)
    assert resume_schedule("nightly", using=using, clock=clock)
    assert not resume_schedule("nightly", using=using, clock=clock)
    assert book.fire_due().enqueued == 0
    assert reloaded(schedule).next_tick_at == NOON + timedelta(minutes=11)
    (tick,) = ScheduleTick._base_manager.using(using).all()
    assert (tick.tick_at, tick.outcome) == (NOON + timedelta(minutes=10), "paused")
    assert (tick.passed_over, tick.note) == (10, "holidays")
    clock.pass_(minutes=1)
    assert book.fire_due().enqueued == 1


def test_a_waiting_tick_waits_on_through_a_pause(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    make(overlap="queue")
    book.fire_due()
    clock.pass_(minutes=1)
    book.fire_due()
    pause_schedule("nightly", using=using)
    Job._base_manager.using(using).update(status="COMPLETED")
    assert book.fire_due().enqueued == 0
    resume_schedule("nightly", using=using, clock=clock)
    assert book.fire_due().enqueued == 1


def test_a_run_by_hand_is_beside_the_ticks(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(jitter_seconds=3600, next_tick_at=NOON + timedelta(hours=1))
    pause_schedule("nightly", using=using)
    job = run_schedule_now("nightly", asked_by="ada", using=using)
    assert (job.job_type, job.status, job.parameters) == (jobs.report.name, "QUEUED", {"shop": "berlin"})
    after = reloaded(schedule)
    assert (after.next_tick_at, after.last_job_id) == (NOON + timedelta(hours=1), job.id)
    tick = ScheduleTick._base_manager.using(using).get()
    assert (tick.outcome, tick.note, tick.job_id) == ("run_now", "ada", job.id)


def test_the_next_tick_overlaps_with_what_runs_by_hand(using: str, book: OrmScheduleBook, make: Make) -> None:
    schedule = make()
    run_schedule_now("nightly", using=using)
    book.fire_due()
    assert ("12:00:00", "overlap") in outcomes(schedule)


def run_by_hand(using: str, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Run the schedule by hand, half a minute later by the clock of the test."""
    clock.pass_(seconds=30)
    monkeypatch.setattr(firing, "database_now", clock)
    return run_schedule_now("nightly", using=using)


def end(job: Job) -> None:
    Job._base_manager.using(job._state.db).filter(pk=job.pk).update(status="COMPLETED")


@pytest.mark.parametrize("first_to_end", ["the run by hand", "the job of the tick"])
def test_a_tick_overlaps_with_what_still_runs_of_a_tick_and_a_run_by_hand(
    using: str,
    book: OrmScheduleBook,
    make: Make,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    first_to_end: str,
) -> None:
    schedule = make()
    book.fire_due()
    of_tick = Job._base_manager.using(using).get()
    by_hand = run_by_hand(using, clock, monkeypatch)
    ended, runs = (by_hand, of_tick) if first_to_end == "the run by hand" else (of_tick, by_hand)
    end(ended)
    for _tick in range(2):
        clock.pass_(minutes=1)
        book.fire_due()
    assert outcomes(schedule)[2:] == [("12:01:00", "overlap"), ("12:02:00", "overlap")]
    end(runs)
    clock.pass_(minutes=1)
    assert book.fire_due().enqueued == 1


def test_a_waiting_tick_waits_for_a_run_by_hand_too(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(overlap="queue")
    book.fire_due()
    of_tick = Job._base_manager.using(using).get()
    by_hand = run_by_hand(using, clock, monkeypatch)
    clock.pass_(seconds=30)
    book.fire_due()
    end(of_tick)
    assert [book.fire_due().enqueued for _turn in range(2)] == [0, 0]
    end(by_hand)
    assert book.fire_due().enqueued == 1


def test_a_tick_replaces_the_job_before_it_and_what_runs_by_hand(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(overlap="replace")
    book.fire_due()
    run_by_hand(using, clock, monkeypatch)
    clock.pass_(minutes=1)
    book.fire_due()
    statuses = Job._base_manager.using(using).order_by("id").values_list("status", flat=True)
    assert list(statuses) == ["CANCELLED", "CANCELLED", "QUEUED"]


def keep(schedule: Schedule, job: Job, minutes: range) -> None:
    """Record that ticks of the schedule have kept a job."""
    kept = [
        ScheduleTick(
            schedule=schedule, tick_at=NOON + timedelta(minutes=minute), outcome="kept", job_id=job.pk
        )
        for minute in minutes
    ]
    ScheduleTick._base_manager.using(schedule._state.db).bulk_create(kept)


def test_two_hundred_ticks_that_kept_a_job_which_has_ended_are_not_looked_at_again(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = make()
    book.fire_due()
    of_tick = Job._base_manager.using(using).get()
    keep(schedule, of_tick, range(1, 200))
    end(of_tick)
    assert jobs_since_the_last(using, [reloaded(schedule)]) == []
    Schedule._base_manager.using(using).update(next_tick_at=NOON + timedelta(minutes=200))
    clock.pass_(minutes=199)
    by_hand = run_by_hand(using, clock, monkeypatch)
    Schedule._base_manager.using(using).update(last_job_id=of_tick.pk)
    assert jobs_since_the_last(using, [reloaded(schedule)]) == [(schedule.pk, by_hand.pk)]
    clock.pass_(seconds=30)
    book.fire_due()
    assert outcomes(schedule)[-1] == ("15:20:00", "overlap")


def test_a_run_by_hand_that_keeps_the_last_job_hides_no_other(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = make()
    book.fire_due()
    of_tick = Job._base_manager.using(using).get()
    by_hand = run_by_hand(using, clock, monkeypatch)
    ScheduleTick._base_manager.using(using).create(
        schedule=schedule, tick_at=NOON + timedelta(seconds=40), outcome="run_now", job_id=of_tick.pk
    )
    end(of_tick)
    assert jobs_since_the_last(using, [reloaded(schedule)]) == [(schedule.pk, by_hand.pk)]
    clock.pass_(seconds=30)
    book.fire_due()
    assert outcomes(schedule)[-1] == ("12:01:00", "overlap")


@pytest.mark.parametrize("act", [pause_schedule, resume_schedule, run_schedule_now])
def test_a_name_that_the_product_does_not_have_is_refused(
    using: str, make: Make, act: Callable[..., object]
) -> None:
    make("nightly", product="acme")
    with pytest.raises(ScheduleNotFound, match="\"default\" has no schedule named 'nightly'"):
        act("nightly", using=using)
    make("nightly-report")
    with pytest.raises(ScheduleNotFound, match=r"Did you mean nightly-report\?"):
        act("nightly-repotr", using=using)


def test_a_disabled_one_is_read_again_before_it_fires(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make(timezone="Nowhere")
    book.fire_due()
    with pytest.raises(InvalidSchedule, match="Nowhere"):
        resume_schedule("nightly", using=using, clock=clock)
    with pytest.raises(InvalidSchedule, match="Nowhere"):
        run_schedule_now("nightly", using=using)
    Schedule._base_manager.using(using).update(timezone="UTC")
    assert resume_schedule("nightly", using=using, clock=clock)
    assert reloaded(schedule).enabled
    clock.pass_(minutes=1)
    assert book.fire_due().enqueued == 1


@pytest.mark.django_db(transaction=True)
async def test_twins() -> None:
    await Schedule.objects.acreate(
        product="default", name="only", job_type=jobs.only_one.name, cron="* * * * *", next_tick_at=NOON
    )
    assert await apause_schedule("only")
    assert await aresume_schedule("only")
    assert (await arun_schedule_now("only")).job_type == jobs.only_one.name


# Saving


def unsaved(**fields: object) -> Schedule:
    values = {"product": "default", "name": "new", "job_type": jobs.report.name, "parameters": {"shop": "x"}}
    return Schedule(**values | {"cron": "0 * * * *", "timezone": "UTC"} | fields)


def test_a_new_one_fires_from_now_on(using: str, clock: SetClock) -> None:
    schedule = unsaved()
    save_schedule(schedule, using=using, clock=clock)
    assert reloaded(schedule).next_tick_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"cron": "0 0 30 2 *"}, InvalidSchedule),
        ({"timezone": "Nowhere"}, InvalidSchedule),
        ({"parameters": {"shops": "x"}}, InvalidParameters),
    ],
)
def test_what_cannot_be_read_is_not_stored(
    using: str, clock: SetClock, fields: dict[str, object], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        save_schedule(unsaved(**fields), using=using, clock=clock)
    assert not Schedule._base_manager.using(using).exists()


def test_an_edit_at_the_moment_of_a_tick_does_not_lose_it(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make()
    clock.pass_(seconds=1)
    schedule.cron = "0 0 1 1 *"
    save_schedule(schedule, using=using, clock=clock)
    assert book.fire_due().enqueued == 1
    assert outcomes(schedule) == [("12:00:00", "enqueued")]
    assert reloaded(schedule).next_tick_at == datetime(2027, 1, 1, tzinfo=UTC)


def test_an_edit_does_not_fire_a_tick_again(
    using: str, book: OrmScheduleBook, make: Make, clock: SetClock
) -> None:
    schedule = make()
    as_it_was_shown = Schedule._base_manager.using(using).get()
    book.fire_due()
    as_it_was_shown.queue_name = "slow"
    save_schedule(as_it_was_shown, using=using, clock=clock)
    after = reloaded(schedule)
    assert (after.queue_name, after.next_tick_at) == ("slow", NOON + timedelta(minutes=1))
    assert (after.last_tick_at, book.fire_due().enqueued) == (NOON, 0)


def test_an_edit_leaves_a_pause_as_it_is(using: str, make: Make, clock: SetClock) -> None:
    schedule = make()
    pause_schedule("nightly", reason="holidays", using=using)
    save_schedule(schedule, using=using, clock=clock)  # As a form has shown it: not paused.
    assert reloaded(schedule).pause_reason == "holidays"
