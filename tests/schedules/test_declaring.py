"""Declaring: rows of what the code says, while two releases run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings

from pleme_redis_django import cron, every
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry
from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.models import Schedule, WorkerProcess
from pleme_redis_django.schedules import declaring
from pleme_redis_django.schedules.book import OrmScheduleBook
from pleme_redis_django.schedules.declaring import declarations, declare
from pleme_redis_django.schedules.firing import disable_unloadable
from tests.rows import ago, make_worker
from tests.schedules import jobs
from tests.schedules.conftest import NOON

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
HOUR = 3_600


def nightly(shop: str = "berlin") -> None:
    """Do nothing."""


def hourly() -> None:
    """Do nothing."""


class Release:
    """What the code of a process declares."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, using: str) -> None:
        self._monkeypatch = monkeypatch
        self._using = using
        self.declares()

    def declares(self, *schedules: DeclaredSchedule, job: str = "shop.nightly") -> None:
        registry = JobRegistry()
        registry.add(definition_of(nightly, name=job, schedule=list(schedules)))
        self._monkeypatch.setattr(declaring, "registry", registry)
        self._monkeypatch.setattr(declaring, "declarations", lambda: real(registry))

    def starts(self, after: timedelta = timedelta(), worker: WorkerProcess | None = None) -> None:
        """Begin as a process: ``worker``, or one that has not registered yet."""
        identity = WorkerIdentity(WorkerDescription(worker_id=str(worker.pk))) if worker else None
        book = OrmScheduleBook(using=self._using, clock=lambda _using: NOON + after, identity=identity)
        book.declare(at_start=True)

    def goes_on(self) -> None:
        declare(self._using, NOON, at_start=False)


real = declarations


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, using: str) -> Iterator[Release]:
    return Release(monkeypatch, using)


def rows(using: str) -> list[Schedule]:
    return list(Schedule._base_manager.using(using).order_by("name"))


def as_declared(schedule: Schedule) -> list[list[str]]:
    return [[schedule.product, schedule.name, schedule.digest]]


def test_a_declared_schedule_becomes_a_row(release: Release, using: str) -> None:
    release.declares(
        cron("0 3 * * *", timezone="Europe/Berlin", parameters={"shop": "x"}, overlap="queue"), every(90)
    )
    release.starts()
    first, second = rows(using)
    assert (first.name, first.job_type, first.source) == ("shop.nightly", "shop.nightly", "code")
    assert (first.product, first.cron, first.timezone, first.overlap) == (
        "default",
        "0 3 * * *",
        "Europe/Berlin",
        "queue",
    )
    assert first.parameters == {"shop": "x"}
    assert first.next_tick_at == NOON.replace(hour=2) + timedelta(days=1)
    assert (second.name, second.interval_seconds, second.timezone) == (
        "shop.nightly 2",
        90,
        settings.TIME_ZONE,
    )


def test_declaring_again_changes_nothing(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    before = rows(using)[0]
    Schedule._base_manager.using(using).update(paused_at=NOON, pause_reason="holidays")
    release.starts(after=timedelta(hours=1))
    after = rows(using)[0]
    assert (after.pk, after.next_tick_at, after.pause_reason) == (before.pk, before.next_tick_at, "holidays")


def test_a_new_release_changes_the_row_and_keeps_the_pause(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    Schedule._base_manager.using(using).update(paused_at=NOON, pause_reason="holidays")
    release.declares(cron("0 * * * *"))
    release.starts()
    (row,) = rows(using)
    assert (row.cron, row.interval_seconds, row.pause_reason) == ("0 * * * *", None, "holidays")
    assert row.next_tick_at == NOON + timedelta(hours=1)


def test_a_tick_that_is_due_when_a_release_begins_still_fires(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    release.declares(cron("0 0 1 1 *"))
    release.starts(after=timedelta(seconds=61))
    assert rows(using)[0].next_tick_at == NOON + timedelta(seconds=60)


def test_the_older_of_two_releases_does_not_write_its_own_back(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    release.declares(every(30))
    release.starts()
    make_worker(using, declared_schedules=as_declared(rows(using)[0]))
    release.declares(every(60))
    release.goes_on()
    assert rows(using)[0].interval_seconds == 30


def live_worker_of(release: Release, using: str, schedule: DeclaredSchedule, began: float) -> WorkerProcess:
    """Store a live worker whose code declares the schedule; ``began``: so many seconds ago."""
    release.declares(schedule)
    (one,) = declaring.declarations()
    declared = [[one.product, one.name, one.digest]]
    return make_worker(using, declared_schedules=declared, started_at=ago(began))


def test_a_process_of_the_older_release_that_starts_again_does_not_write_its_own_back(
    release: Release, using: str
) -> None:
    live_worker_of(release, using, every(60), began=600)
    release.starts()
    new = live_worker_of(release, using, every(30), began=300)
    release.starts(worker=new)
    assert rows(using)[0].interval_seconds == 30
    again = live_worker_of(release, using, every(60), began=10)
    for worker in (again, None):  # It may not have registered yet.
        release.starts(worker=worker)
        assert rows(using)[0].interval_seconds == 30


def test_the_first_of_several_that_start_at_once_writes_what_is_new(release: Release, using: str) -> None:
    live_worker_of(release, using, every(60), began=600)
    release.starts()
    first, _second = (live_worker_of(release, using, every(30), began=seconds) for seconds in (11, 10))
    release.starts(worker=first)
    assert rows(using)[0].interval_seconds == 30


def test_a_release_that_is_rolled_back_writes_its_own_once_it_starts(release: Release, using: str) -> None:
    live_worker_of(release, using, every(30), began=600)
    release.starts()
    old = live_worker_of(release, using, every(60), began=10)
    release.starts(worker=old)
    assert rows(using)[0].interval_seconds == 60


def test_what_the_last_release_wrote_is_undone_once_none_of_it_lives(release: Release, using: str) -> None:
    """A release that was rolled back: the one that is left says what counts."""
    release.declares(every(30))
    release.starts()
    make_worker(using, declared_schedules=as_declared(rows(using)[0]), died_at=NOON)
    release.declares(every(60))
    release.goes_on()
    assert rows(using)[0].interval_seconds == 60


def test_a_schedule_that_no_code_declares_any_more_is_dropped(release: Release, using: str) -> None:
    release.declares(every(60), every(90))
    release.starts()
    release.declares(every(60))
    release.starts()
    assert [row.name for row in rows(using)] == ["shop.nightly"]


def test_it_stays_while_a_live_worker_of_an_older_release_declares_it(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    old = make_worker(using, declared_schedules=as_declared(rows(using)[0]))
    release.declares()
    release.starts()
    assert len(rows(using)) == 1
    type(old)._base_manager.using(using).filter(pk=old.pk).update(died_at=NOON)
    release.goes_on()
    assert rows(using) == []


def test_what_another_service_declares_stays_for_a_day_while_all_its_workers_are_away(
    release: Release, using: str
) -> None:
    release.declares(every(60), job="mail.send")
    release.starts()
    Schedule._base_manager.using(using).update(
        paused_at=NOON, pause_reason="holidays", updated_at=ago(23 * HOUR)
    )
    release.declares(every(90))
    release.starts()
    release.goes_on()
    assert [(row.name, row.pause_reason) for row in rows(using)] == [
        ("mail.send", "holidays"),
        ("shop.nightly", ""),
    ]
    Schedule._base_manager.using(using).filter(name="mail.send").update(updated_at=ago(25 * HOUR))
    release.goes_on()
    assert [row.name for row in rows(using)] == ["shop.nightly"]


def test_that_day_begins_when_it_was_last_declared(release: Release, using: str) -> None:
    release.declares(every(60), job="mail.send")
    release.starts()
    Schedule._base_manager.using(using).update(updated_at=ago(25 * HOUR))
    release.goes_on()
    release.declares(every(90))
    release.goes_on()
    assert [row.name for row in rows(using)] == ["mail.send", "shop.nightly"]


@pytest.mark.parametrize("product", ["acme", None])
def test_what_the_same_code_declares_for_another_product_stays_for_that_day_too(
    release: Release, using: str, settings: object, product: str | None
) -> None:
    settings.PLEME_REDIS = {"PRODUCT": "globex"}
    release.declares(every(60))
    release.starts()
    settings.PLEME_REDIS = {"PRODUCT": product}
    release.starts()
    assert "globex" in [row.product for row in rows(using)]
    Schedule._base_manager.using(using).filter(product="globex").update(updated_at=ago(25 * HOUR))
    release.goes_on()
    assert [row.product for row in rows(using)] == ([] if product is None else [product])


def test_a_schedule_goes_at_once_from_a_product_that_the_code_names(
    release: Release, using: str, settings: object
) -> None:
    settings.PLEME_REDIS = {"PRODUCT": None}
    release.declares(every(60, product="acme"), every(90, product="acme"))
    release.starts()
    release.declares(every(60, product="acme"))
    release.starts()
    assert [row.interval_seconds for row in rows(using)] == [60]


def test_a_schedule_goes_at_once_with_a_job_that_its_module_has_no_more(release: Release, using: str) -> None:
    release.declares(every(60), job=f"{__name__}.hourly")
    release.starts()
    release.declares(job=f"{__name__}.nightly")
    release.starts()
    assert rows(using) == []


def test_what_was_made_in_the_admin_is_left_alone(release: Release, using: str) -> None:
    made = Schedule._base_manager.using(using).create(
        product="default", name="shop.nightly", job_type=jobs.report.name, cron="5 5 * * *", source="admin"
    )
    release.declares(every(60))
    release.starts()
    release.declares()
    release.starts()
    (row,) = rows(using)
    assert (row.pk, row.cron, row.source) == (made.pk, "5 5 * * *", "admin")


def test_a_declared_schedule_that_was_disabled_is_read_again(release: Release, using: str) -> None:
    release.declares(every(60))
    release.starts()
    Schedule._base_manager.using(using).update(
        enabled=False, disabled_reason="broken by hand", timezone="Nowhere"
    )
    # The process itself is one of those that declare it.
    make_worker(using, declared_schedules=as_declared(rows(using)[0]))
    release.goes_on()
    (row,) = rows(using)
    assert (row.enabled, row.disabled_reason, row.timezone) == (True, "", settings.TIME_ZONE)


def test_a_disabled_one_that_still_cannot_be_read_here_stays_disabled(release: Release, using: str) -> None:
    """Else two processes would enable and disable it in turn."""
    release.declares(every(60))
    release.starts()
    Schedule._base_manager.using(using).update(
        enabled=False, disabled_reason="no such queue", queue_name="a * b"
    )
    make_worker(using, declared_schedules=as_declared(rows(using)[0]))
    release.goes_on()
    (row,) = rows(using)
    assert (row.enabled, row.disabled_reason) == (False, "no such queue")


def test_one_that_could_be_read_but_not_fired_stays_disabled_until_a_process_starts(
    release: Release, using: str
) -> None:
    """Else each turn would have it fail again, and wipe the reason."""
    release.declares(every(60))
    release.starts()
    disable_unloadable(using, rows(using)[0].pk, ValueError("a receiver's own"))
    make_worker(using, declared_schedules=as_declared(rows(using)[0]))
    release.goes_on()
    (row,) = rows(using)
    assert (row.enabled, row.next_tick_at) == (False, None)
    assert "a receiver's own" in row.disabled_reason
    release.starts(after=timedelta(seconds=90))
    (row,) = rows(using)
    assert (row.enabled, row.disabled_reason) == (True, "")
    assert row.next_tick_at == NOON + timedelta(seconds=120)


def test_one_without_a_product_is_left_out(release: Release, using: str, settings: object) -> None:
    settings.PLEME_REDIS = {"PRODUCT": None}
    release.declares(every(60), every(60, product="acme", name="of acme"))
    release.starts()
    assert [row.name for row in rows(using)] == ["of acme"]
