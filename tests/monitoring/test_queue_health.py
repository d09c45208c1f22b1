"""What the figures of a queue say of it: late, growing, failing, stuck or paused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pleme_redis_django.monitoring.figures import PauseNote
from pleme_redis_django.monitoring.health import REASONS_SHOWN
from pleme_redis_django.monitoring.queue_health import promised_wait
from tests.monitoring.judging import NOW, judged, queue, worker


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


def test_a_paused_queue_makes_no_promise_and_is_noted_once() -> None:
    paused = PauseNote(product="", by="ana", reason="no mail", at=NOW - timedelta(hours=3))
    health = judged(queue(waits=9_000, paused=paused), queue(product="blog", paused=paused))
    assert (health.level, [reason.level for reason in health.reasons]) == ("ok", ["note"])
    assert health.sentence.endswith("Queue emails of every product was paused by ana 3 h ago: no mail.")


def test_late_queues_of_one_name_are_one_reason_and_of_many_only_the_first_are_told() -> None:
    products = [queue(waits=100 + number, product=f"p{number}") for number in range(12)]
    [reason] = judged(*products).reasons
    assert reason.text == "queue emails of 12 products waits up to 1 m 51 s, promise 30 s"
    assert (reason.queue, reason.product) == ("", "")
    [alone] = judged(products[0]).reasons
    assert (alone.queue, alone.product) == ("emails", "p0")
    many = judged(*(queue(f"q{number}", 400 + number) for number in range(1_399)))
    assert (len(many.reasons), many.reason_count) == (REASONS_SHOWN, 1_399)
    assert many.sentence.startswith("1,399 problems: ")


@pytest.mark.parametrize(
    ("workers", "cause"),
    [
        ((worker(queues=("images",)),), ", and no live worker process serves it"),
        ((worker(product="blog"),), ", and no live worker process serves it"),
        ((worker(running=5), worker(running=0, queues=("x",))), ", and all 5 slots of its workers are taken"),
        ((worker(running=5), worker(running=0)), ""),
    ],
)
def test_a_late_queue_says_why_where_the_workers_tell(workers: Any, cause: str) -> None:
    [reason] = judged(queue(waits=100), workers=workers).reasons
    assert reason.text == f"queue emails of shop waits 1 m 40 s, promise 30 s{cause}"


def test_a_queue_that_grows_says_when_it_will_break_its_promise() -> None:
    growing = queue("images", 100, growth_per_minute=600.0, done_per_minute=600.0)
    health = judged(growing)
    assert (health.level, health.sentence) == (
        "warning",
        "1 problem: queue images of shop grows by 600 a minute, and breaks its promise in about 6 m 40 s.",
    )
    assert judged(queue("images", 10, growth_per_minute=600.0, done_per_minute=6_000.0)).level == "ok"
    assert judged(queue("images", 100, growth_per_minute=-600.0, done_per_minute=6.0)).level == "ok"
    assert judged(growing, age=61).reason_count == 1, "what was measured long ago foretells nothing"


def test_a_queue_of_which_many_jobs_fail() -> None:
    health = judged(queue(failed_of_late=163, ended_of_late=163))
    assert (health.level, health.sentence) == (
        "warning",
        "1 problem: queue emails of shop: 163 of the 163 jobs that ended in the last ten minutes failed.",
    )
    assert judged(queue(failed_of_late=9, ended_of_late=9)).level == "ok"
    assert judged(queue(failed_of_late=100, ended_of_late=1_000)).level == "ok"


def test_a_queue_of_which_more_jobs_fail_than_usual() -> None:
    usual = {"ended_usually": 40_000, "failed_usually": 80}
    health = judged(queue(failed_of_late=163, ended_of_late=4_000, **usual))
    assert (health.level, health.sentence) == (
        "warning",
        "1 problem: queue emails of shop: 163 of the 4,000 jobs that ended in the last ten minutes failed; "
        "usually 0.2 % do.",
    )
    never = judged(queue(failed_of_late=163, ended_of_late=4_000, ended_usually=40_000))
    assert never.sentence.endswith("failed; usually none does.")


@pytest.mark.parametrize(
    "figures",
    [
        # Four times as many as usual; so few that it may be chance; one of a thousand; a queue of yesterday.
        {"failed_of_late": 100, "ended_of_late": 1_000, "ended_usually": 40_000, "failed_usually": 1_000},
        {"failed_of_late": 9, "ended_of_late": 100, "ended_usually": 40_000, "failed_usually": 80},
        {"failed_of_late": 20, "ended_of_late": 20_000, "ended_usually": 400_000},
        {"failed_of_late": 20, "ended_of_late": 100, "ended_usually": 10},
    ],
)
def test_a_queue_that_fails_about_as_usual(figures: dict[str, int]) -> None:
    assert judged(queue(**figures)).level == "ok"


def test_a_job_that_is_held_for_very_long() -> None:
    held = judged(queue(running=1, oldest_running_seconds=31_140))
    assert held.sentence == "1 problem: a job of queue emails of shop is held by its worker for 8 h 39 m."
    unusual = judged(queue(running=1, oldest_running_seconds=900, run_p95=2.0))
    assert unusual.reasons[0].text.endswith("for 15 m; 95 % of the others took at most 2.0 s")
    assert judged(queue(running=1, oldest_running_seconds=900, run_p95=100.0)).level == "ok"
    assert judged(queue(running=1, oldest_running_seconds=900)).level == "ok"
    alone = judged(queue(running=1, oldest_running_seconds=31_140), workers=())
    assert alone.reason_count == 1, "without a worker nobody holds it"
