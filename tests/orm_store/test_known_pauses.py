"""KnownPauses: nothing is read while nothing is paused, and a resume is noticed soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.models import Job, QueuePause
from pleme_redis_django.orm_store import known_pauses
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.known_pauses import KnownPauses, read_pauses
from tests.rows import BACKENDS

pytestmark = [
    pytest.mark.django_db(databases=BACKENDS),
    pytest.mark.parametrize("using", BACKENDS),
]


@pytest.fixture
def table(using: str) -> JobTable[Job]:
    return JobTable(Job, using)


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have the time of the process be what the test says."""
    now = [1000.0]
    monkeypatch.setattr(known_pauses.time, "monotonic", lambda: now[0])

    def pass_(seconds: float) -> None:
        now[0] += seconds

    return pass_


def pause(
    using: str, queue_name: str, product: str = "", job_model: str = "pleme_redis_django.job"
) -> QueuePause:
    return QueuePause._base_manager.using(using).create(
        job_model=job_model, queue_name=queue_name, product=product
    )


def test_queues_and_queues_of_a_product_are_told_apart(table: JobTable[Job], using: str) -> None:
    rows = [pause(using, "mail"), pause(using, "mail", "acme"), pause(using, "pdf", "acme")]
    pause(using, "sms", job_model="shop.emailjob")
    pauses, _has_limits = read_pauses(table)
    assert pauses.ids == tuple(row.pk for row in rows)
    assert pauses.queue_names == {"mail"}
    assert pauses.of_products == {("mail", "acme"), ("pdf", "acme")}


def test_while_nothing_is_paused_nothing_is_read(
    table: JobTable[Job], using: str, time_passes: Callable[[float], None]
) -> None:
    known = KnownPauses(table)
    time_passes(3600)
    with CaptureQueriesContext(connections[using]) as queries:
        assert not known.current()
    assert len(queries) == 0


def test_a_pause_is_known_once_it_was_read_and_told_as_news(table: JobTable[Job], using: str) -> None:
    known = KnownPauses(table)
    pause(using, "mail")
    assert not known.current()
    assert known.read_again()
    assert known.current().queue_names == {"mail"}
    assert not known.read_again()


def test_a_resume_is_noticed_after_half_a_second(
    table: JobTable[Job], using: str, time_passes: Callable[[float], None]
) -> None:
    known = KnownPauses(table)
    row = pause(using, "mail")
    known.read_again()
    row.delete()
    time_passes(0.4)
    assert known.current()
    time_passes(0.2)
    assert not known.current()
