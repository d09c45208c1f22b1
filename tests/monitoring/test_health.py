"""The health sentence: each queue against its own promise, the worst first."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.metrics.measured import MeasuredAt
from pleme_redis_django.monitoring.health import RECENT_DEATH_SECONDS, judge
from tests.monitoring.judging import NOW, judged, queue, worker


def test_all_is_well() -> None:
    assert judged().sentence == "All is well: nothing waits, 1 worker process is alive."
    assert judged(queue(waits=29)).sentence == (
        "All is well: every queue is within its maximum wait, 1 worker process is alive."
    )
    assert judged().level == "ok"


def test_two_problems_as_the_design_tells_them() -> None:
    health = judged(queue(waits=100), workers=(worker(), worker("dead", 40, pool="images")))
    assert health.level == "warning"
    assert health.sentence == (
        "2 problems: worker w3:7 died 40 s ago, and no other process of the pool images is alive; "
        "queue emails of shop waits 1 m 40 s, promise 30 s."
    )


@pytest.mark.parametrize("workers", [(), (worker("dead", 5_000),), (worker(is_quarantine=True),)])
def test_without_a_live_worker_nothing_is_well_whatever_was_measured(workers: Any) -> None:
    health = judged(workers=workers)
    assert (health.level, health.sentence) == (
        "critical",
        "1 problem: no worker process is running; 5.0 s ago 0 jobs were ready; "
        "start one: manage.py runworkers.",
    )
    assert "12 jobs were ready" in judged(queue(waits=1), workers=workers).sentence
    assert "15 m ago" in judged(workers=workers, age=900).sentence
    nothing = judge([], workers, max_wait={}, measured=MeasuredAt(now=NOW, at=None))
    assert (nothing.level, nothing.reason_count) == ("critical", 1)


def test_workers_that_all_drain_are_no_workers() -> None:
    health = judged(workers=(worker("draining"), worker("draining")))
    assert health.level == "critical"
    assert health.sentence.startswith("1 problem: every worker process drains;")


def test_a_worker_that_others_replace_is_a_note_and_says_what_became_of_its_jobs() -> None:
    health = judged(workers=(worker(), worker("dead", 240, running=23)))
    assert (health.level, health.sentence) == (
        "ok",
        "All is well: nothing waits, 1 worker process is alive. "
        "Worker w3:7 died 4 m ago; its 23 jobs were taken over.",
    )
    just_now = judged(workers=(worker(), worker("dead", 9, running=1)))
    assert just_now.reasons[0].text == "worker w3:7 died 9.0 s ago; its job is being taken over"
    long_ago = judged(workers=(worker(), worker("dead", RECENT_DEATH_SECONDS + 1)))
    assert long_ago.reasons == ()


def test_the_worst_is_told_first_and_the_rest_is_counted() -> None:
    health = judged(
        queue("images", 301), queue("films", 900), queue(waits=600), workers=(worker(), worker("dead", 700))
    )
    assert [reason.text.split()[1] for reason in health.reasons] == ["emails", "films", "images"]
    assert health.sentence.startswith(
        "3 problems: queue emails of shop waits 10 m, promise 30 s; queue films"
    )
    assert health.sentence.endswith("; and 1 more.")


def test_old_figures_are_no_figures() -> None:
    assert judged(age=61).sentence == (
        "1 problem: the figures are 1 m 1 s old, because no worker process measures."
    )
    measured = MeasuredAt(now=NOW, at=None)
    assert judge([], [worker()], max_wait={}, measured=measured).level == "unknown"


def test_a_backlog_that_is_counted_less_often_is_no_outage() -> None:
    assert judged(age=190, interval=100).level == "ok"
    assert judged(age=201, interval=100).level == "critical"
