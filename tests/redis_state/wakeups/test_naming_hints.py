"""NamingHints: what hints say that are taken, and those that a full worker leaves to others."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.hints import Hinted, NamesJobs
from pleme_redis_django.jobs.interface.job import QueuedJob
from pleme_redis_django.redis_state.wakeups import naming_hints
from pleme_redis_django.redis_state.wakeups.naming_hints import NamingHints
from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints
from pleme_redis_django.redis_state.wakeups.waiting_hints import NEWEST_HINTS

QUEUES = ("mail", "print")


@pytest.fixture
def hints() -> NamingHints:
    return NamingHints(QUEUES, f"fair-{uuid4().hex[:8]}")


def push(hints: NamingHints, queue_name: str, *products: str) -> None:
    now = datetime.now(UTC)
    jobs = [
        QueuedJob(
            job_id=uuid4(), product=product, job_type="t", retry_count=0, max_retries=3, enqueued_at=now
        )
        for product in products
    ]
    assert hints.push(queue_name, jobs)


NUDGE = Hinted()
MANY = {str(number) for number in range(100)}
# A queue that is new wakes those too that do not know it.
WAKE_UP = Hinted("", "t")


def test_the_wake_up_of_a_new_queue_says_for_which_types_it_is() -> None:
    hints = NamingHints("*", f"fair-{uuid4().hex[:8]}")
    push(hints, "mail", "a", "b")
    hints._known_keys = hints._keys()[-1:]
    assert hints._take_all()
    assert hints.take_named() == {Hinted("", "t")}


def test_the_wake_up_of_a_new_queue_with_many_jobs_names_none() -> None:
    hints = NamingHints("*", f"fair-{uuid4().hex[:8]}")
    push(hints, "mail", *["a"] * 101)
    hints._known_keys = hints._keys()[-1:]
    assert hints._take_all()
    assert hints.take_named() == {NUDGE}


def of(*products: str) -> set[Hinted]:
    return {Hinted(product, "t") for product in products}


def test_it_names_jobs(hints: NamingHints) -> None:
    assert isinstance(hints, NamesJobs)
    assert not isinstance(RedisHints(QUEUES), NamesJobs), "only fair pools read what hints say"


def test_what_taken_hints_say_is_told_once(hints: NamingHints) -> None:
    push(hints, "mail", "a", "b", "a")
    push(hints, "print", "c")
    assert hints.wait_for_hint(1)
    assert hints.take_named() - {WAKE_UP} == of("a", "b", "c")
    assert hints.take_named() == frozenset()


def test_a_hint_that_ends_a_wait_names_its_job(hints: NamingHints) -> None:
    push(hints, "mail", "a")
    hints._known_keys = hints._keys()
    assert hints._pop(1)
    assert hints.take_named() - {WAKE_UP} == of("a")


def test_waiting_hints_are_read_once_and_left(hints: NamingHints) -> None:
    assert hints.peek_named() == frozenset()
    push(hints, "mail", "a", "b")
    assert hints.peek_named() == of("a", "b")
    assert hints.peek_named() == frozenset()
    push(hints, "mail", "b")
    push(hints, "print", "c")
    assert hints.peek_named() == of("b", "c")
    assert hints.wait_for_hint(1)
    assert hints.take_named() - {WAKE_UP} == of("a", "b", "c")
    push(hints, "mail", "d")
    assert hints.peek_named() == of("d")


def test_of_a_flood_the_newest_are_read(hints: NamingHints) -> None:
    push(hints, "mail", "old")
    push(hints, "mail", *["flood"] * NEWEST_HINTS)
    assert hints.peek_named() == of("flood")
    push(hints, "mail", "new")
    assert hints.peek_named() == of("new")


def test_a_pool_of_every_queue_sees_queues_that_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: the first product of a new queue waits for nothing that a full worker does once a second."""
    monkeypatch.setattr(naming_hints, "PEEK_NAMES_SECONDS", 3600.0)
    hints = NamingHints("*", f"fair-{uuid4().hex[:8]}")
    assert hints.peek_named() == frozenset()
    push(hints, "mail", "a")
    assert hints.peek_named() == of("a")
    push(hints, "print", "b")
    assert hints.peek_named() == of("b")


def test_where_types_alone_matter_a_flood_is_not_read() -> None:
    hints = NamingHints(QUEUES, f"unfair-{uuid4().hex[:8]}", most_read=2)
    push(hints, "mail", "a", "b")
    assert hints.wait_for_hint(1)
    assert hints.take_named() - {WAKE_UP} == of("a", "b")
    push(hints, "mail", "a", "b", "c")
    assert hints.wait_for_hint(1)
    assert hints.take_named() == {NUDGE}


@pytest.mark.parametrize("queues", [QUEUES, "*"])
@pytest.mark.parametrize(
    ("job_types", "products", "named"),
    [
        ({"a", "b"}, set(), {Hinted("", "a"), Hinted("", "b")}),
        ({"a"}, {"x", "y"}, {Hinted("x", "a"), Hinted("y", "a")}),
        ({"a", ""}, {"x"}, {Hinted("x", "")}),
        ({"a"}, MANY, {Hinted("", "a")}),
    ],
)
def test_a_nudge_says_for_which_jobs_it_is(
    queues: str | tuple[str, ...], job_types: set[str], products: set[str], named: set[Hinted]
) -> None:
    hints = NamingHints(queues, f"fair-{uuid4().hex[:8]}")
    assert hints.nudge_for(job_types, products)
    assert hints.wait_for_hint(1)
    assert hints.take_named() - {NUDGE} == named


@pytest.mark.parametrize("job_types", [set(), {"a", ""}, MANY])
def test_a_nudge_for_any_type_names_none(hints: NamingHints, job_types: set[str]) -> None:
    assert hints.nudge_for(job_types, set())
    assert hints.wait_for_hint(1)
    assert hints.take_named() == {NUDGE}
