"""Keys at enqueue: what is stored, what is refused, and what nobody pays for."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django import Job, JobStatus, enqueue
from pleme_redis_django.exceptions import EnqueueError
from tests.enqueueing import jobs

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
BOTH = pytest.mark.parametrize("using", ["default", "sqlite"])
FIELDS = ("concurrency_key", "order_key", "cost", "status", "blocked_on")


@pytest.fixture
def _on(using: str, settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DATABASE": using}


def stored(using: str) -> list[tuple[Any, ...]]:
    return list(Job.objects.using(using).order_by("id").values_list(*FIELDS))


@BOTH
@pytest.mark.usefixtures("_on")
def test_a_constant_key_is_stored_with_the_cost(using: str) -> None:
    jobs.charge.enqueue(5)
    jobs.charge.enqueue_many([{"amount": 1}, {"amount": 2}])
    assert stored(using) == [("payments", None, 2, JobStatus.QUEUED, None)] * 3


@BOTH
@pytest.mark.usefixtures("_on")
def test_a_key_function_is_called_with_its_own_arguments_and_the_handlers_defaults(using: str) -> None:
    jobs.mail_customer.enqueue("42", text="Hello")
    jobs.mail_customer.enqueue("customer:43")
    jobs.mail_customer.enqueue(44)
    jobs.mail_customer.enqueue()
    jobs.mail_customer.enqueue_many([{"customer": "45"}, {"text": "x"}])
    names = ["42", "43", "44", "7", "45", "7"]
    assert stored(using) == [(f"customer:{name}", None, 1, JobStatus.QUEUED, None) for name in names]


@BOTH
@pytest.mark.usefixtures("_on")
def test_using_names_the_keys(using: str) -> None:
    jobs.mail_customer.using(concurrency_key="customer:vip").enqueue("42")
    jobs.send.using(concurrency_key="mail", order_key="a").enqueue(to="b")
    assert stored(using) == [
        ("customer:vip", None, 1, JobStatus.QUEUED, None),
        ("mail", "a", 1, JobStatus.BLOCKED, "o:default:a"),
    ]


@BOTH
@pytest.mark.usefixtures("_on")
def test_a_job_of_an_order_waits_in_its_line_once_it_is_due(using: str) -> None:
    from django.utils import timezone

    jobs.ship.enqueue(7)
    jobs.ship.using(run_after=timezone.now()).enqueue(8)
    assert stored(using) == [
        (None, "order:7", 1, JobStatus.BLOCKED, "o:default:order:7"),
        (None, "order:8", 1, JobStatus.PENDING, None),
    ]


@pytest.mark.parametrize("result", [None, "", "x" * 10_240, "a\0b", "a\nb", "\ud800", 1.5, True, b"x", ["x"]])
def test_what_is_no_key_is_refused_and_nothing_is_stored(
    result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = jobs.mail_customer.limits.key
    assert rule is not None
    monkeypatch.setattr(jobs, "made", result, raising=False)
    definition = _with_key(lambda customer: result)
    with pytest.raises(
        EnqueueError, match=r"key function .* returned .* Accepted: text of 1 to 200 printable"
    ):
        definition.enqueue(7)
    assert not Job.objects.exists()


def _with_key(function: Any) -> Any:
    from pleme_redis_django import Limit
    from pleme_redis_django.jobs.definitions.declaring import definition_of

    return definition_of(jobs.mail_customer.function, limits=Limit(2, key=function, name="customer"))


@pytest.mark.parametrize("in_order", [False, True], ids=["limit", "order"])
@BOTH
@pytest.mark.usefixtures("_on")
def test_one_bad_key_among_many_rows_stores_none_of_them_and_is_named(using: str, in_order: bool) -> None:
    from pleme_redis_django import Limit
    from pleme_redis_django.jobs.definitions.declaring import definition_of

    def key(customer: str) -> Any:
        if customer == "9":
            raise LookupError(f"no customer {customer}")
        return ["bad"] if customer == "8" else customer

    definition = definition_of(jobs.mail_customer.function, limits=Limit(1, key=key, in_order=in_order))
    for bad, told in (("8", r"returned \['bad'\]"), ("9", "raised LookupError: no customer 9")):
        with pytest.raises(EnqueueError, match=told):
            definition.enqueue_many([{"customer": "1"}, {"customer": bad}, {"customer": "2"}])
        with pytest.raises(EnqueueError, match=told):
            definition.enqueue(bad)
    assert stored(using) == []


def test_a_key_function_that_raises_stores_nothing_and_says_what_it_raised() -> None:
    with pytest.raises(EnqueueError, match=r"broken_key raised ZeroDivisionError") as caught:
        jobs.broken_key.enqueue(7)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not Job.objects.exists()


@pytest.mark.parametrize("field", ["concurrency_key", "order_key"])
@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", 5, ["x"]])
def test_using_and_instances_refuse_what_is_no_key(field: Any, key: Any) -> None:
    with pytest.raises(EnqueueError, match=f"{field} is .* Accepted: text of 1 to 200 printable"):
        jobs.send.using(**{field: key}).enqueue(to="a")
    with pytest.raises(EnqueueError, match=f"{field} is .* Accepted: text of 1 to 200 printable"):
        enqueue(Job(job_type="a", **{field: key}))


def test_an_instance_with_an_order_key_waits_in_its_line() -> None:
    enqueue(Job(job_type="a", order_key="x"))
    assert stored("default") == [(None, "x", 1, JobStatus.BLOCKED, "o:default:x")]


def test_a_job_without_limits_is_stored_as_ever() -> None:
    with CaptureQueriesContext(connections["default"]) as queries:
        jobs.send.enqueue(to="a")
    (insert,) = queries.captured_queries
    assert not any(
        column in insert["sql"] for column in ("concurrency_key", "order_key", "cost", "blocked_on")
    )
