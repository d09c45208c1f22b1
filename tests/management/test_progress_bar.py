"""The progress bar: as full as the work is done, and never fuller."""

from __future__ import annotations

import pytest

from pleme_redis_django.management.progress_bar import BAR_WIDTH, progress_bar


@pytest.mark.parametrize(
    ("done", "total", "filled"),
    [
        (0, 0, 0),
        (0, 10, 0),
        (5, 10, BAR_WIDTH // 2),
        (10, 10, BAR_WIDTH),
        (1, 10**6, 0),
        (10**6 - 1, 10**6, BAR_WIDTH - 1),
    ],
)
def test_how_full_it_is(done: int, total: int, filled: int) -> None:
    line = progress_bar(done, total)
    assert line.count("#") == filled
    assert line.count("#") + line.count(".") == BAR_WIDTH
    assert line.startswith("\r[") and line.endswith(f"] {done:,}/{total:,} jobs\033[K")


def test_more_than_was_expected_is_the_new_whole() -> None:
    assert "] 12/12 jobs" in progress_bar(12, 10)
