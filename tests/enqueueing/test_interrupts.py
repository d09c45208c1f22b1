"""An enqueue in a handler that is interrupted: the job is stored and hinted at, then the interrupt comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction

from pleme_redis_django import JobQueue, enqueue
from pleme_redis_django.exceptions import JobTimeout
from pleme_redis_django.models import Job
from tests.enqueueing import jobs
from tests.jobs.handler_threads import HandlerThread

WAYS: dict[str, Callable[[], Any]] = {
    "one": lambda: jobs.send.enqueue("a"),
    "many": lambda: jobs.send.enqueue_many([{"to": "a"}, {"to": "b"}]),
    "unique": lambda: jobs.unique_running.using(queue_name="email").enqueue(1),
    "instance": lambda: enqueue(Job(job_type=jobs.send.name, parameters={"to": "a"}, queue_name="email")),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_that_is_due_in_an_enqueue_comes_right_after_it(way: str) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def at_the_insert(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        if "INSERT" in str(sql):
            begun.set()
            assert let_go.wait(20)
        return execute(sql, *rest)

    def handler() -> None:
        try:
            with connection.execute_wrapper(at_the_insert):
                WAYS[way]()
            raise AssertionError("The handler went on.")
        finally:
            connections.close_all()

    thread = HandlerThread(handler)
    assert begun.wait(20)
    thread.interrupt(0)
    let_go.set()
    assert thread.join() == [JobTimeout]
    stored = Job.objects.count()
    assert stored == (2 if way == "many" else 1)
    assert JobQueue("email").stats().length == stored


@pytest.mark.django_db(transaction=True)
def test_an_interrupt_in_an_enqueue_rolls_the_transaction_around_it_back() -> None:
    begun, let_go = threading.Event(), threading.Event()

    def at_the_insert(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        if "INSERT" in str(sql):
            begun.set()
            assert let_go.wait(20)
        return execute(sql, *rest)

    def handler() -> None:
        try:
            with transaction.atomic(), connection.execute_wrapper(at_the_insert):
                jobs.send.enqueue("a")
        finally:
            connections.close_all()

    thread = HandlerThread(handler)
    assert begun.wait(20)
    thread.interrupt(0)
    let_go.set()
    assert thread.join() == [JobTimeout]
    assert not Job.objects.exists()
    assert JobQueue("email").stats().length == 0


@pytest.mark.django_db(transaction=True)
def test_an_interrupt_that_is_due_when_a_turn_is_given_comes_after_it() -> None:
    """The look at the line follows the commit of the handler's own transaction."""
    begun, let_go = threading.Event(), threading.Event()

    def at_the_turn(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        if "UPDATE" in str(sql) and "'QUEUED'" in str(sql):
            begun.set()
            assert let_go.wait(20)
        return execute(sql, *rest)

    def handler() -> None:
        try:
            with connection.execute_wrapper(at_the_turn), transaction.atomic():
                jobs.send.using(order_key="a").enqueue("a")
        finally:
            connections.close_all()

    thread = HandlerThread(handler)
    assert begun.wait(20)
    thread.interrupt(0)
    let_go.set()
    assert thread.join() == [JobTimeout]
    assert Job.objects.get().status == "QUEUED"
