"""enqueue, enqueue_many and their twins: what is stored, and what is refused before it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_zone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from pleme_redis_django import (
    InvalidParameters,
    JobStatus,
    aenqueue,
    aenqueue_many,
    enqueue,
    enqueue_many,
)
from pleme_redis_django.enqueueing.due_times import checked_run_after
from pleme_redis_django.exceptions import EnqueueError, InvalidProduct, UnknownJobType
from pleme_redis_django.models import Job
from pleme_redis_django.testing import drain_jobs
from tests.enqueueing import jobs

pytestmark = pytest.mark.django_db
FAR_WEST = fixed_zone(timedelta(hours=-12))


def test_what_is_stored() -> None:
    job = jobs.send.enqueue("a@b", user_name="Alice")
    stored = Job.objects.get()
    assert job == stored
    assert (stored.job_type, stored.product) == ("tests.enqueueing.jobs.send", "default")
    assert (stored.queue_name, stored.priority, stored.max_retries) == ("email", 2, 5)
    assert (stored.status, stored.attempt, stored.retry_count) == (JobStatus.QUEUED, 0, 0)
    assert stored.parameters == {"to": "a@b", "user_name": "Alice"}
    assert abs(stored.run_after - timezone.now()) < timedelta(minutes=1)
    assert stored.unique_slot is None


def test_the_returned_job_tells_what_was_stored() -> None:
    job = jobs.send.enqueue("a@b")
    stored = Job.objects.get()
    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(stored, field.attname), field.name


def test_options_of_using() -> None:
    at = timezone.now() + timedelta(hours=1)
    jobs.send.using(
        product="novaskyn", queue_name="mail", priority=-100, run_after=at, max_retries=0, unique_key="k"
    ).enqueue("a@b")
    stored = Job.objects.get()
    assert (stored.product, stored.queue_name, stored.priority) == ("novaskyn", "mail", -100)
    assert (stored.run_after, stored.status, stored.max_retries) == (at, JobStatus.PENDING, 0)
    assert stored.unique_slot is not None


def test_a_due_time_in_the_past_is_left_to_the_databases_clock() -> None:
    jobs.send.using(run_after=timezone.now() - timedelta(days=1)).enqueue("a@b")
    assert Job.objects.get().status == JobStatus.PENDING
    assert len(drain_jobs().completed) == 1


def test_a_base_delay_of_the_job_is_kept_in_the_row() -> None:
    assert jobs.asend.enqueue("a@b").configuration == {"base_retry_delay": 7}


def test_by_definition_by_name_and_by_instance() -> None:
    enqueue(jobs.send, "a@b")
    enqueue("tests.enqueueing.jobs.send", to="a@b")
    enqueue(Job(job_type=jobs.send.name, parameters={"to": "a@b"}))
    assert [job.parameters for job in Job.objects.all()] == [{"to": "a@b"}] * 3


async def _by_twin(enqueue_it: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await enqueue_it(*args, **kwargs)


@pytest.mark.django_db(transaction=True)
async def test_the_async_twins_store_the_same() -> None:
    await jobs.send.aenqueue("a@b")
    await aenqueue(jobs.send, to="a@b")
    await jobs.send.aenqueue_many([{"to": "a@b"}])
    await aenqueue_many(jobs.send, [{"to": "a@b"}])
    assert [job.parameters async for job in Job.objects.all()] == [{"to": "a@b"}] * 4


def test_enqueue_many_keeps_the_order() -> None:
    stored = jobs.send.enqueue_many({"to": f"{number}@b"} for number in range(4_500))
    assert [job.parameters["to"] for job in stored] == [f"{number}@b" for number in range(4_500)]
    assert [job.pk for job in stored] == list(Job.objects.order_by("id").values_list("pk", flat=True))


def test_enqueue_many_of_nothing_is_nothing() -> None:
    assert list(jobs.send.enqueue_many([])) == []
    assert list(enqueue_many(jobs.send, iter(()))) == []
    assert not Job.objects.exists()


def test_enqueue_many_is_all_or_none() -> None:
    parameters: list[dict[str, Any]] = [{"to": "a@b"}] * 3_000 + [{"to": float("nan")}]
    with pytest.raises(InvalidParameters, match=r"to is nan .*annotation is str"):
        jobs.send.enqueue_many(parameters)
    assert not Job.objects.exists()


def test_a_job_is_run_with_what_was_enqueued() -> None:
    jobs.anything.enqueue(text='Grüße "世界"\n', number=-1.5, nested={"a": [None, True]})
    (attempt,) = drain_jobs()
    assert attempt.job.parameters == {"text": 'Grüße "世界"\n', "number": -1.5, "nested": {"a": [None, True]}}


def test_postgresql_keeps_the_digits_of_a_float_and_not_its_form() -> None:
    numbers = [1e15, 1e16, 1e22, 1.5e300, -1e23, 0.1, 5e-324, -0.0]
    jobs.anything.enqueue(numbers=numbers)
    (attempt,) = drain_jobs()
    arrived = attempt.job.parameters["numbers"]
    assert [float(number) for number in arrived] == numbers
    kinds = [type(number) for number in arrived]
    assert kinds == [float, int, int, int, int, float, float, float]
    assert math.copysign(1, arrived[-1]) == 1


BAD_PARAMETERS: list[Any] = [
    ("nan", float("nan")),
    ("infinity", float("inf")),
    ("nul", "a\x00b"),
    ("surrogate", "\ud800"),
    ("tuple", (1, 2)),
    ("set", {1}),
    ("int_keys", {1: "a"}),
    ("datetime", datetime(2026, 1, 1, tzinfo=UTC)),
    ("bytes", b"x"),
    ("object", object()),
    ("model", Job()),
    ("oversize", "x" * 300_000),
    ("huge", "x" * 10_000_000),
]


@pytest.mark.parametrize(
    "value", [value for _name, value in BAD_PARAMETERS], ids=[n for n, _v in BAD_PARAMETERS]
)
@pytest.mark.parametrize("way", ["one", "many", "by_name", "instance"])
def test_parameters_that_json_would_change_are_refused(way: str, value: Any) -> None:
    ways: dict[str, Callable[[], Any]] = {
        "one": lambda: jobs.anything.enqueue(field=value),
        "many": lambda: jobs.anything.enqueue_many([{"field": 1}, {"field": value}]),
        "by_name": lambda: enqueue(jobs.anything.name, field=value),
        "instance": lambda: enqueue(Job(job_type=jobs.anything.name, parameters={"field": value})),
    }
    with pytest.raises(InvalidParameters, match=r"parameters of tests\.enqueueing\.jobs\.anything") as error:
        ways[way]()
    assert len(str(error.value)) < 500
    assert not Job.objects.exists()


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_parameters_that_are_nested_too_deeply_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="nested too deeply"):
        jobs.anything.enqueue(field=deep(10_000))


METADATA = {"order": 123, "tags": ["a", None]}


@pytest.mark.parametrize("of", [jobs.send, jobs.send.using(unique_key="k")], ids=["free", "unique"])
def test_metadata_are_kept_with_the_job_and_found_by(of: Any) -> None:
    (job,) = of.using(metadata=METADATA).enqueue_many([{"to": "a@b"}])
    assert Job.objects.get(metadata__order=123) == job
    assert job.metadata == METADATA
    assert Job.objects.get().parameters == {"to": "a@b"}


def test_each_of_many_has_the_metadata_and_a_job_without_has_none() -> None:
    with_metadata = jobs.send.using(metadata=METADATA)
    with_metadata.using(priority=1).enqueue("a@b")
    with_metadata.enqueue_many([{"to": "a@b"}] * 3)
    with_metadata.using(metadata={}).enqueue("a@b")
    jobs.send.enqueue("a@b")
    stored = [job.metadata for job in Job.objects.order_by("id")]
    assert stored == [METADATA] * 4 + [{}, {}]


@pytest.mark.django_db(transaction=True)
async def test_the_async_twins_keep_metadata() -> None:
    of = jobs.send.using(metadata=METADATA)
    await of.aenqueue("a@b")
    await aenqueue(of, to="a@b")
    await of.aenqueue_many([{"to": "a@b"}])
    await aenqueue_many(of, [{"to": "a@b"}])
    assert [job.metadata async for job in Job.objects.all()] == [METADATA] * 4


BAD_METADATA: list[Any] = [
    ("text", "order 123", "Accepted: a JSON object"),
    ("list", [1], "Accepted: a JSON object"),
    ("tuple", {"pair": (1, 2)}, "at pair a tuple"),
    ("nan", {"price": float("nan")}, "at price nan"),
    ("int_key", {1: "a"}, "the key 1 is not a string"),
    ("nul", {"text": "a\x00b"}, "which PostgreSQL cannot store"),
    ("oversize", {"text": "x" * 300_000}, "it is 300,011 bytes as JSON, and the limit is 262,144"),
]


@pytest.mark.parametrize(
    ("metadata", "fault"), [case[1:] for case in BAD_METADATA], ids=[case[0] for case in BAD_METADATA]
)
@pytest.mark.parametrize("way", ["one", "many", "instance"])
def test_bad_metadata_are_refused(way: str, metadata: Any, fault: str) -> None:
    of = jobs.send.using(metadata=metadata)
    ways: dict[str, Callable[[], Any]] = {
        "one": lambda: of.enqueue("a@b"),
        "many": lambda: of.enqueue_many([{"to": "a@b"}]),
        "instance": lambda: enqueue(Job(job_type=of.name, parameters={"to": "a@b"}, metadata=metadata)),
    }
    with pytest.raises(InvalidParameters, match=r"metadata of tests\.enqueueing\.jobs\.send") as error:
        ways[way]()
    assert fault in str(error.value)
    assert len(str(error.value)) < 500
    assert not Job.objects.exists()


def test_a_wrong_call_is_refused() -> None:
    for call in (
        lambda: jobs.send.enqueue(),
        lambda: jobs.send.enqueue("a", colour="red"),
        lambda: jobs.send.enqueue_many([{"subject": "x"}]),
        lambda: enqueue(jobs.send.name, "a", "b", "c"),
        lambda: enqueue(jobs.send, nobody="a"),
        lambda: enqueue_many(jobs.send.name, [{"to": "a", "nobody": 1}]),
    ):
        with pytest.raises(InvalidParameters, match=r"send takes \(to"):
            call()
    assert not Job.objects.exists()


def test_an_unknown_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownJobType, match=r"Did you mean tests\.enqueueing\.jobs\.send\?"):
        enqueue("tests.enqueueing.jobs.sned", to="a")


@pytest.mark.parametrize(
    "what",
    [5, None, len, jobs.send.function, {"to": "a"}],
    ids=["number", "none", "built-in", "undecorated", "dict"],
)
def test_what_is_no_job_is_refused(what: Any) -> None:
    with pytest.raises(EnqueueError, match=r"Accepted: a function decorated with @job"):
        enqueue(what)


HOSTILE_PRODUCTS = [
    "", "Upper", "a:b", "*", "a\n", "x" * 10_000, "\u202eabc", "../a", "{x}", "-a", "a b", "\u0661", "a\x00",
]  # fmt: skip


@pytest.mark.parametrize("product", HOSTILE_PRODUCTS, ids=lambda name: ascii(name)[:20])
def test_a_hostile_product_is_refused(product: str) -> None:
    with pytest.raises(InvalidProduct, match=r"is not a valid product name\. Accepted") as error:
        jobs.send.using(product=product).enqueue("a")
    assert len(str(error.value)) < 400
    if product:
        with pytest.raises(InvalidProduct):
            enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, product=product))
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "queue_name", ["", "a:b", "*", "a\n", "x" * 65, "\u202eabc", "{x}", "a\x00"], ids=ascii
)
def test_a_hostile_queue_name_is_refused(queue_name: str) -> None:
    with pytest.raises(EnqueueError, match="not a valid queue name"):
        jobs.send.using(queue_name=queue_name).enqueue("a")
    with pytest.raises(EnqueueError, match="not a valid queue name"):
        enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, queue_name=queue_name))
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run_after": datetime(2026, 1, 1)}, "naive"),  # noqa: DTZ001 - that is what is refused
        ({"run_after": "tomorrow"}, "Accepted: a datetime"),
        ({"run_after": 60}, "Accepted: a datetime"),
        ({"run_after": datetime.min.replace(tzinfo=ZoneInfo("Europe/Berlin"))}, "years 1900 to 8999"),
        ({"run_after": datetime.max.replace(tzinfo=FAR_WEST)}, "years 1900 to 8999"),
        ({"priority": 101}, "from -100 to 100"),
        ({"priority": -101}, "from -100 to 100"),
        ({"priority": 1.5}, "from -100 to 100"),
        ({"max_retries": -1}, "from 0 to 1,000"),
        ({"max_retries": 1_001}, "from 0 to 1,000"),
        ({"max_retries": True}, "from 0 to 1,000"),
        ({"unique_key": ""}, "text of 1 to 500"),
        ({"unique_key": "x" * 501}, "text of 1 to 500"),
        ({"unique_key": 5}, "text of 1 to 500"),
    ],
    ids=repr,
)
def test_a_bad_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EnqueueError, match=message):
        jobs.send.using(**options).enqueue("a")
    assert not Job.objects.exists()


@pytest.mark.parametrize("run_after", [datetime.max.replace(tzinfo=FAR_WEST), "9999-12-31"])
def test_a_due_time_that_python_could_not_load_is_refused_in_an_instance(run_after: Any) -> None:
    with pytest.raises(EnqueueError, match="run_after is"):
        enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, run_after=run_after))
    assert not Job.objects.exists()


def test_a_naive_time_is_fine_without_time_zones(settings: Any) -> None:
    settings.USE_TZ = False
    try:
        template = jobs.send.using(run_after=datetime(2026, 1, 1))  # noqa: DTZ001 - USE_TZ is off
        from pleme_redis_django.enqueueing.rows import template_of

        assert template_of(template, 3).run_after == datetime(2026, 1, 1)  # noqa: DTZ001 - as given
    finally:
        settings.USE_TZ = True


def test_an_aware_time_is_stored_as_a_naive_one_without_time_zones(settings: Any) -> None:
    settings.USE_TZ = False
    try:
        with timezone.override("Asia/Tokyo"):  # TIME_ZONE counts: Chicago by default
            stored = checked_run_after(datetime(2026, 1, 1, 12, tzinfo=ZoneInfo("America/New_York")))
        assert stored == datetime(2026, 1, 1, 11)  # noqa: DTZ001 - what is stored
    finally:
        settings.USE_TZ = True


def test_without_a_default_product_one_has_to_be_named(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "PRODUCT": None}
    with pytest.raises(InvalidProduct, match="No product was given"):
        jobs.send.enqueue("a")
    jobs.send.using(product="novaskyn").enqueue("a")
    assert Job.objects.get().product == "novaskyn"


def test_what_a_job_enqueues_inherits_its_product() -> None:
    for inner in (jobs.enqueue_from_inside, jobs.aenqueue_from_inside):
        inner.using(product="novaskyn").enqueue()
    assert len(drain_jobs().completed) == 4
    assert set(Job.objects.values_list("product", flat=True)) == {"novaskyn"}


def test_a_job_may_enqueue_for_another_product() -> None:
    jobs.enqueue_from_inside.using(product="novaskyn").enqueue(product="other")
    drain_jobs()
    assert Job.objects.get(job_type=jobs.send.name).product == "other"


def test_the_pools_max_retries_are_the_default(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "POOLS": {"default": {"preset": "unreliable_network"}}}
    assert jobs.anything.enqueue().max_retries == 5
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "POOLS": {"default": {"max_retries": 0}}}
    assert jobs.anything.enqueue().max_retries == 0
    assert jobs.send.enqueue("a").max_retries == 5


@pytest.mark.parametrize("configuration", [["x"], "x", 5, True], ids=repr)
def test_a_configuration_that_is_no_dict_is_refused(configuration: Any) -> None:
    with pytest.raises(EnqueueError, match=r"configuration is .*Accepted: a dict"):
        enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, configuration=configuration))
    assert not Job.objects.exists()


def test_an_instance_takes_no_arguments() -> None:
    with pytest.raises(EnqueueError, match=r"put arguments in \.parameters"):
        enqueue(Job(job_type=jobs.send.name), to="a")


def test_an_instance_for_later_waits() -> None:
    at = timezone.now() + timedelta(hours=1)
    job = enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, run_after=at))
    assert (job.status, Job.objects.get().status) == (JobStatus.PENDING, JobStatus.PENDING)
    assert len(drain_jobs()) == 0


def test_an_instance_is_enqueued_once() -> None:
    job = enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}))
    with pytest.raises(EnqueueError, match="already"):
        enqueue(job)
    assert Job.objects.count() == 1


@pytest.mark.parametrize("fields", [{"priority": 101}, {"max_retries": -1}, {"job_type": ""}], ids=repr)
def test_an_instance_with_bad_fields_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EnqueueError):
        enqueue(Job(**{"job_type": jobs.send.name, "parameters": {"to": "a"}, **fields}))
    assert not Job.objects.exists()
