"""``manage.py prunejobs``: a dry run, a walk, and what it says when it cannot."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job
from tests.orm_store.test_retention import ended


def output_of(*arguments: str) -> str:
    stream = io.StringIO()
    call_command("prunejobs", *arguments, stdout=stream)
    return stream.getvalue()


@pytest.mark.django_db
def test_a_dry_run_counts_and_deletes_nothing() -> None:
    ended(JobStatus.COMPLETED, 8)
    ended(JobStatus.COMPLETED, 1)
    assert "pleme_redis_django.Job: would delete 1 job\n" in output_of("--dry-run")
    assert Job.objects.count() == 2


@pytest.mark.django_db
def test_it_deletes_and_says_how_many() -> None:
    for _ in range(3):
        ended(JobStatus.COMPLETED, 8)
    assert "pleme_redis_django.Job: deleted 3 jobs in " in output_of("--pool", "default")
    assert "pleme_redis_django.Job: deleted 0 jobs\n" in output_of()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.django_db
def test_a_terminal_sees_a_bar() -> None:
    ended(JobStatus.COMPLETED, 8)
    stream: Any = Terminal()
    call_command("prunejobs", stdout=stream)
    assert "] 1/1 jobs" in stream.getvalue()


def test_an_unknown_pool_is_named() -> None:
    with pytest.raises(CommandError, match='no pool "emial"'):
        output_of("--pool", "emial")
