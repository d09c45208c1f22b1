"""The queue of an entry is taken over where its name is one of ours."""

from __future__ import annotations

import pytest

from pleme_redis_django.adoption.schedules.queue_of import queue_of


@pytest.mark.parametrize("name", ["", None])
def test_no_queue_is_that_of_the_job(name: str | None) -> None:
    assert queue_of(name) == ("", ())


def test_valid_name_is_taken_over() -> None:
    assert queue_of("mail") == ("mail", ())


@pytest.mark.parametrize("name", ["no queue", "x" * 200, "a,b", "\x1b[2J"])
def test_other_name_is_left_with_a_note(name: str) -> None:
    queue, (note,) = queue_of(name)
    assert queue == ""
    assert "not a valid name of a queue here" in note
    assert note.isprintable()
