"""Pause and resume as rows: what they keep, what they answer, whom they wake."""

from __future__ import annotations

import pytest
from django.db import transaction

from pleme_redis_django.exceptions import InvalidName, InvalidProduct
from pleme_redis_django.models import QueuePause
from pleme_redis_django.operations import (
    apause_queue,
    apaused_queues,
    aresume_queue,
    pause_queue,
    paused_queues,
    resume_queue,
)
from pleme_redis_django.redis_state.wakeups.job_queue import JobQueue
from tests.rows import BACKENDS
from tests.workload.models import EmailJob

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def test_a_pause_says_who_why_and_since_when(using: str) -> None:
    assert pause_queue("email", reason="the provider is away", paused_by="ana", using=using) is True
    [pause] = paused_queues(using=using)
    assert (pause.queue_name, pause.product, pause.job_model) == ("email", "", "pleme_redis_django.job")
    assert (pause.reason, pause.paused_by) == ("the provider is away", "ana")
    assert pause.paused_at is not None
    assert str(pause) == "email of every product"


def test_a_second_pause_leaves_the_first_as_it_is(using: str) -> None:
    pause_queue("email", reason="first", paused_by="ana", using=using)
    assert pause_queue("email", reason="second", paused_by="ben", using=using) is False
    [pause] = paused_queues(using=using)
    assert (pause.reason, pause.paused_by) == ("first", "ana")


def test_a_resume_ends_the_pause_of_the_same_names_alone(using: str) -> None:
    pause_queue("email", using=using)
    pause_queue("email", product="ours", using=using)
    pause_queue("images", using=using)
    pause_queue("email", model=EmailJob, using=using)
    assert resume_queue("email", using=using) is True
    assert resume_queue("email", using=using) is False
    assert [str(pause) for pause in paused_queues(using=using)] == [
        "email of ours",
        "images of every product",
    ]
    assert [pause.job_model for pause in paused_queues(model=EmailJob, using=using)] == ["workload.emailjob"]


def test_what_keeps_a_product_waiting(using: str) -> None:
    pause_queue("email", product="ours", using=using)
    pause_queue("email", product="theirs", using=using)
    pause_queue("images", using=using)
    found = paused_queues(product="ours", using=using)
    assert [(pause.queue_name, pause.product) for pause in found] == [("email", "ours"), ("images", "")]


def test_names_that_are_none_are_refused(using: str) -> None:
    with pytest.raises(InvalidName):
        pause_queue("no such name", using=using)
    with pytest.raises(InvalidProduct):
        pause_queue("email", product="A:B", using=using)
    with pytest.raises(InvalidProduct):
        resume_queue("email", product="", using=using)
    assert QueuePause.objects.using(using).count() == 0


def test_a_resume_wakes_a_worker_of_the_queue_after_the_commit(
    using: str, django_capture_on_commit_callbacks
) -> None:
    pause_queue("email", using=using)
    with django_capture_on_commit_callbacks(using=using, execute=True):
        resume_queue("email", using=using)
        assert JobQueue("email").stats().length == 0
    assert JobQueue("email").stats().length == 1


def test_a_pause_takes_part_in_the_callers_transaction(using: str) -> None:
    with transaction.atomic(using=using):
        pause_queue("email", using=using)
        transaction.set_rollback(True, using=using)
    assert paused_queues(using=using) == []


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
async def test_async_twins_do_the_same(using: str) -> None:
    assert await apause_queue("email", paused_by="ana", using=using) is True
    assert [pause.paused_by for pause in await apaused_queues(using=using)] == ["ana"]
    assert await aresume_queue("email", using=using) is True
    assert await apaused_queues(using=using) == []
