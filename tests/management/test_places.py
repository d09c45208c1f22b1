"""The places of a supervisor: what a replacement is told of those who died before it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pleme_redis_django.management.runworkers.places import DEATHS_REMEMBERED, Death, Place


@pytest.fixture
def pages() -> Iterator[list[int]]:
    """Open files, as the pages of dead processes are."""
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(DEATHS_REMEMBERED + 2)]
    yield opened
    for page in opened:
        if is_open(page):
            os.close(page)


def is_open(page: int) -> bool:
    try:
        os.fstat(page)
    except OSError:
        return False
    return True


def death(page: int, *, of_itself: bool = True) -> Death:
    return Death(worker_id=f"worker-{page}", page_fd=page, died_of_itself=of_itself)


def test_only_a_process_that_died_of_itself_accuses_what_it_executed() -> None:
    assert death(7).arguments() == ["--replaces", "worker-7:7"]
    assert death(7, of_itself=False).arguments() == ["--replaces", "worker-7"]


def test_the_last_deaths_are_remembered_and_the_pages_of_the_others_closed(pages: list[int]) -> None:
    place = Place(pool="default")
    for page in pages:
        place.remember(death(page))
    assert [each.page_fd for each in place.deaths] == pages[2:]
    assert [is_open(page) for page in pages] == [False, False, *[True] * DEATHS_REMEMBERED]
