"""The newest measurement as viewers read it, and the mark that they leave."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.metrics.samples import read_sample
from pleme_redis_django.models import Job, QueueSample
from tests.metrics.measuring import measure_now
from tests.rows import ago, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def queries_of_a_look() -> int:
    with CaptureQueriesContext(connection) as asked:
        read_sample(Job)
    return len(asked)


def test_before_the_first_measurement_there_is_none() -> None:
    sample = read_sample(Job)
    assert (sample.measured.at, sample.queues) == (None, [])


def test_a_measurement_is_read_with_its_queues() -> None:
    make_job(queue_name="mails")
    measure_now()
    sample = read_sample(Job)
    assert sample.measured.at is not None
    assert len(sample.queues) == 1


def test_however_often_somebody_looks_the_mark_is_renewed_when_it_is_old() -> None:
    measure_now()
    QueueSample.objects.update(watched_at=None)
    assert [queries_of_a_look() for _ in range(3)] == [2, 1, 1]
    QueueSample.objects.update(watched_at=ago(11))
    assert queries_of_a_look() == 2
