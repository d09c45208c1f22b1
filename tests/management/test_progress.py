"""What a burst says at its end."""

from __future__ import annotations

import io

from pleme_redis_django.management.runworkers.progress import BurstProgress


def last_line(*reports: bytes) -> str:
    stream = io.StringIO()
    progress = BurstProgress(stream)
    for report in reports:
        progress.note("w", report)
    progress.finish()
    return stream.getvalue()


def test_a_burst_in_which_nothing_was_reported_took_no_time() -> None:
    assert last_line() == "0 jobs ended in 0.0 s\n"


def test_one_job_is_no_plural() -> None:
    assert last_line(b'{"ended": 1}\n').startswith("1 job ended in ")
    assert last_line(b'{"ended": 1200}\n').startswith("1,200 jobs ended in ")
