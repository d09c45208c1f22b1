"""Silence: who is killed for saying nothing, and who is not."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pleme_redis_django.management.runworkers.places import Place
from pleme_redis_django.management.runworkers.silence import AWAY_SECONDS, Silence


class Watched:
    """A place with a real child, watched by a clock that the test turns."""

    def __init__(self, max_seconds: float, process: subprocess.Popen[bytes]) -> None:
        self.now = 1_000.0
        self.said: list[str] = []
        self.place = Place("default")
        self.place.process, self.place.heard_at = process, self.now
        self._silence = Silence(max_seconds, self.said.append, lambda: self.now)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self._silence.end_silent([self.place])
        return self.said


@pytest.fixture
def child() -> Any:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_child_that_is_silent_for_too_long_is_killed_and_named(child: Any) -> None:
    watched = Watched(5, child)
    assert watched.after(4) == []
    assert watched.after(2) == [
        f"A worker process of pool default (pid {child.pid}) hangs: no heartbeat for 6 s; killing it."
    ]
    assert child.wait() < 0


def test_without_a_limit_nobody_is(child: Any) -> None:
    watched = Watched(0, child)
    assert [watched.after(9) for _ in range(20)] == [[]] * 20
    assert child.poll() is None


def test_after_the_supervisor_itself_was_stopped_the_time_starts_again(child: Any) -> None:
    watched = Watched(5, child)
    assert watched.after(AWAY_SECONDS + 1) == []
    assert watched.after(4) == []
    assert len(watched.after(2)) == 1
