"""The health sentence: each queue against its own promise, the worst first."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pleme_redis_django.dashboard.figures import Health, PauseNote, QueueFigures, WorkerFigures
from pleme_redis_django.dashboard.health import RECENT_DEATH_SECONDS, judge, promised_wait

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROMISES = {"emails": 30, "*": 300}


def queue(name: str = "emails", waits: float | None = None, **fields: Any) -> QueueFigures:
    values = {
        "product": "shop",
        "ready": 0 if waits is None else 12,
        "pending": 0,
        "running": 0,
        "done_per_minute": None,
        "failed_last_hour": None,
        "wait_p95": None,
        "drain_seconds": None,
        "paused": None,
        "spark": (),
        **fields,
    }
    return QueueFigures(queue=name, oldest_ready_seconds=waits, **values)


def worker(state: Any = "alive", silent: float = 1.0) -> WorkerFigures:
    return WorkerFigures(
        id=uuid.uuid4(),
        pool="default",
        host="w3",
        pid=7,
        release="",
        slots=5,
        running=0,
        state=state,
        silent_seconds=silent,
        queues=("*",),
        product="",
        started_at=NOW,
    )


def judged(*queues: QueueFigures, workers: tuple[WorkerFigures, ...] = (worker(),), age: float = 5) -> Health:
    sampled_at = NOW - timedelta(seconds=age)
    return judge(queues, workers, max_wait=PROMISES, sampled_at=sampled_at, now=NOW)


def test_all_is_well() -> None:
    assert judged().sentence == "All is well: nothing waits, 1 worker process is alive."
    assert judged(queue(waits=29)).sentence == (
        "All is well: every queue keeps its promise, 1 worker process is alive."
    )
    assert judged().level == "ok"


def test_two_problems_as_the_design_tells_them() -> None:
    health = judged(queue(waits=100), workers=(worker(), worker("dead", 40)))
    assert health.level == "warning"
    assert health.sentence == (
        "2 problems: queue emails of shop waits 1 m 40 s, promise 30 s; worker w3:7 is silent for 40 s."
    )


@pytest.mark.parametrize(
    ("name", "waits", "level"),
    [
        ("emails", 30, "ok"),
        ("emails", 31, "warning"),
        ("emails", 120, "critical"),
        ("images", 300, "ok"),
        ("images", 301, "warning"),
        ("images", 1200, "critical"),
    ],
)
def test_each_queue_has_its_own_promise(name: str, waits: float, level: str) -> None:
    assert judged(queue(name, waits)).level == level


def test_without_a_star_the_default_promise_counts() -> None:
    assert promised_wait("images", {"emails": 30}) == 300


def test_a_paused_queue_makes_no_promise() -> None:
    paused = PauseNote(product="", by="ana", reason="", at=NOW)
    assert judged(queue(waits=9_000, paused=paused)).level == "ok"


def test_jobs_without_a_worker_are_critical() -> None:
    health = judged(queue(waits=1), workers=(worker("dead", 5_000),))
    assert (health.level, health.sentence) == (
        "critical",
        "1 problem: 12 jobs are ready and no worker process is alive.",
    )
    assert judged(workers=()).level == "ok"


def test_a_worker_that_died_long_ago_is_no_news() -> None:
    assert judged(workers=(worker(), worker("dead", RECENT_DEATH_SECONDS))).level == "warning"
    assert judged(workers=(worker(), worker("dead", RECENT_DEATH_SECONDS + 1))).level == "ok"


def test_the_worst_is_told_first_and_the_rest_is_counted() -> None:
    health = judged(
        queue("images", 301), queue("films", 900), queue(waits=600), workers=(worker(), worker("dead"))
    )
    assert [reason.text.split()[1] for reason in health.reasons] == ["emails", "films", "images", "w3:7"]
    assert health.sentence.startswith(
        "4 problems: queue emails of shop waits 10 m, promise 30 s; queue films"
    )
    assert health.sentence.endswith("; and 2 more.")


def test_old_figures_are_no_figures() -> None:
    assert judged(age=61).sentence == (
        "1 problem: the figures are 1 m 1 s old, because no worker process measures."
    )
    assert judge([], [], max_wait={}, sampled_at=None, now=NOW).level == "unknown"
