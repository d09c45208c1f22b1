"""EngineEvents: every event becomes log lines with ids and no payloads, and signals that change nothing."""

from __future__ import annotations

import asyncio
import logging
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError, OperationalError, ProgrammingError
from psycopg.errors import UndefinedTable

from pleme_redis_django import signals
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.interface import events
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.events import UnservedJobsFound
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.job import JobClaim
from pleme_redis_django.testing import MemoryJob

SECRET = "a-secret-of-the-customer"
JOB = MemoryJob(job_type="shop.jobs.send", parameters={"to": SECRET})
CLAIM = JobClaim(worker_id="w-1", attempt=2)
FAILURE = engine_failure("smtp_refused", SECRET, JOB.job_type)
SHARED: dict[str, Any] = {"job_id": JOB.id, "claim": CLAIM}
ENDINGS: list[Ending] = [
    Completed(**SHARED, results_json=f'{{"to":"{SECRET}"}}', progress={"note": SECRET}),
    Retried(**SHARED, failure=FAILURE, retry_count=1, delay_seconds=61.25),
    Failed(**SHARED, failure=FAILURE),
    Cancelled(**SHARED, failure=FAILURE),
    GivenBack(**SHARED),
    GivenBack(**SHARED, crashed=True, failure=FAILURE),
    Snoozed(**SHARED, retry_count=0, delay_seconds=60),
]
EVENTS: list[events.Event] = [
    events.WorkerStarted("w-1"),
    events.WorkerStopped("w-1", 3, 1),
    events.JobsClaimed("w-1", 5, True),
    events.JobsClaimed("w-1", 5, False),
    events.JobStarted(JOB),
    events.JobProgressed(JOB, {"done": 1, "note": SECRET}),
    *(events.JobEnded(JOB, ending) for ending in ENDINGS),
    events.EndingRefused(JOB, ENDINGS[0]),
    events.EndingDelayed(JOB, ENDINGS[0], ConnectionError(SECRET)),
    events.EndingsUnwritten(3, ConnectionError(SECRET)),
    events.WorkerDied(("w-2",), 4),
    events.StaleJobsFound(2),
    events.OrphanedJobsHinted(2),
    events.LostClaimsGivenBack(1),
    events.LeaseLost("w-1", "w-3"),
    events.StoreUnavailable("claim", ConnectionError(SECRET)),
    events.StoreBack("claim"),
    events.HintsUnavailable(ConnectionError(SECRET)),
    events.HintsBack(),
    events.SuspectStarted(JOB),
]
SIGNALS = ["started", "progressed", "completed", "retried", "failed", "cancelled"]


@pytest.fixture
def received() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    receivers = {name: lambda name=name, **payload: found.append((name, payload)) for name in SIGNALS}
    for name, receiver in receivers.items():
        getattr(signals, f"job_{name}").connect(receiver)
    yield found
    for name, receiver in receivers.items():
        getattr(signals, f"job_{name}").disconnect(receiver)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_no_line_shows_what_belongs_to_a_customer(
    event: events.Event, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        EngineEvents().emit(event)
    for record in caplog.records:
        assert SECRET not in record.getMessage()
        assert SECRET not in str(vars(record))


def test_every_kind_of_event_has_a_handler() -> None:
    kinds = set(typing.get_args(events.Event))
    assert kinds - {type(event) for event in EVENTS} <= _newer_kinds(kinds)
    sink = EngineEvents()
    for event in EVENTS:
        sink.emit(event)


def _newer_kinds(kinds: set[type]) -> set[type]:
    """Kinds that only have to be known to the module: their fields are theirs."""
    from pleme_redis_django import event_log

    return {kind for kind in kinds if kind in event_log._HANDLERS}


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (
            events.JobEnded(JOB, ENDINGS[1]),
            "WARNING",
            ["failed, will be retried", "smtp_refused", "retry=1/3"],
        ),
        (events.JobEnded(JOB, ENDINGS[2]), "ERROR", ["failed for good", "smtp_refused"]),
        (events.JobEnded(JOB, ENDINGS[3]), "INFO", ["cancelled"]),
        (events.JobEnded(JOB, ENDINGS[5]), "WARNING", ["given back", "crashed=True"]),
        (events.JobEnded(JOB, ENDINGS[6]), "INFO", ["snoozed", "again_in_s=60"]),
        (events.EndingRefused(JOB, ENDINGS[0]), "WARNING", ["refused", "attempt=2"]),
        (events.LeaseLost("w-1", "w-3"), "ERROR", ["old=w-1", "new=w-3"]),
        (events.StoreUnavailable("claim", ConnectionError()), "ERROR", ["during=claim", "ConnectionError"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_went_wrong_is_told_with_the_jobs_id(
    event: events.Event, level: str, words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        EngineEvents().emit(event)
    (record,) = caplog.records
    assert record.levelname == level
    for word in words:
        assert word in record.getMessage()
    if isinstance(event, events.JobEnded | events.EndingRefused):
        assert str(JOB.id) in record.getMessage()
        assert JOB.job_type in record.getMessage()


def test_signals_carry_what_they_document(received: list[tuple[str, dict[str, Any]]]) -> None:
    sink = EngineEvents()
    for event in EVENTS:
        sink.emit(event)
    assert [name for name, _payload in received] == SIGNALS
    payloads = dict(received)
    for payload in payloads.values():
        assert payload["sender"] is MemoryJob
        assert payload["job"] is JOB
    assert payloads["completed"]["results"] == {"to": SECRET}
    assert payloads["progressed"]["progress"] == {"done": 1, "note": SECRET}
    assert payloads["failed"]["failure"] is FAILURE
    assert (payloads["retried"]["retry_count"], payloads["retried"]["delay_seconds"]) == (1, 61.25)


def test_a_receiver_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def receive(**_payload: Any) -> None:
        raise RuntimeError("a receiver's own fault")

    signals.job_completed.connect(receive)
    try:
        EngineEvents().emit(events.JobEnded(JOB, ENDINGS[0]))
    finally:
        signals.job_completed.disconnect(receive)
    assert "a receiver's own fault" in caplog.text


def _database_error(kind: type[Exception], cause: Exception | None, text: str) -> Exception:
    error = kind(text)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "what", "why"),
    [
        (
            _database_error(OperationalError, None, 'connection failed: password of "shop"\nmore'),
            "the database does not answer",
            'why=OperationalError: connection failed: password of "shop"',
        ),
        (
            _database_error(ProgrammingError, UndefinedTable(), 'relation "job" does not exist\nLINE 1'),
            "the database refuses a statement of the engine",
            'sqlstate=42P01 why=ProgrammingError: relation "job" does not exist',
        ),
        (
            _database_error(DataError, None, 'invalid input syntax for type uuid: "a secret"'),
            "the database refuses a statement of the engine",
            "why=DataError",
        ),
        (
            RuntimeError("Event loop is closed"),
            "the engine met an unexpected error",
            "RuntimeError",
        ),
    ],
    ids=["away", "refused", "value", "unexpected"],
)
def test_a_failure_of_the_engine_is_called_what_it_is(
    error: Exception, what: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    EngineEvents().emit(events.StoreUnavailable("claim", error))
    (record,) = caplog.records
    assert record.getMessage().startswith(what)
    assert record.getMessage().endswith(why)


def test_an_event_that_cannot_be_told_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    EngineEvents().emit(events.StaleJobsFound)
    assert "an event could not be reported" in caplog.text


async def test_receivers_are_called_beside_an_async_handler() -> None:
    """In an event loop's thread, Django waits for async receivers in a way that raises."""
    told: list[str] = []
    both = asyncio.Event()

    async def receiver(**payload: Any) -> None:
        told.append("async")
        if len(told) == 2:
            both.set()

    def sync_receiver(**payload: Any) -> None:
        told.append("sync")
        loop.call_soon_threadsafe(lambda: both.set() if len(told) == 2 else None)

    loop = asyncio.get_running_loop()
    signals.job_started.connect(receiver)
    signals.job_started.connect(sync_receiver)
    try:
        EngineEvents().emit(events.JobStarted(JOB))
        async with asyncio.timeout(10):
            await both.wait()
    finally:
        signals.job_started.disconnect(receiver)
        signals.job_started.disconnect(sync_receiver)
    assert sorted(told) == ["async", "sync"]


def test_the_log_names_types_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pleme_redis_django.jobs"):
        EngineEvents().emit(UnservedJobsFound({"shop.gone": 2, "shop.new": 1}))
    assert "jobs=3 job_types=shop.gone,shop.new" in caplog.text
