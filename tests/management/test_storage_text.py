"""The lines of jobstats about storage: what is told of a table, a snapshot and the warnings."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from django.utils import timezone

from pleme_redis_django.management.jobstats.storage_text import storage_lines
from pleme_redis_django.monitoring.storage import OverdueJobs, RunningVacuum, StorageReport
from tests.monitoring.test_storage_warnings import SNAPSHOT, TABLE, WELL


def told(report: StorageReport) -> dict[str, str]:
    return {name: text for name, text, _is_warning in storage_lines(report)}


def test_a_table_is_told_with_the_vacuum_that_runs() -> None:
    vacuumed = dataclasses.replace(
        TABLE,
        vacuumed_at=timezone.now() - timedelta(seconds=120),
        vacuum=RunningVacuum(pid=1, phase="scanning heap", done=0.4),
    )
    lines = told(dataclasses.replace(WELL, table=vacuumed))
    assert lines["storage"] == "9.8 KB, indexes 4.9 KB; 800,000 live rows, 10 dead"
    assert lines["last vacuum"] == "2 m ago; one runs now: scanning heap, 40%"
    assert told(WELL)["last vacuum"] == "never"


def test_what_is_hidden_is_said_so() -> None:
    hidden = dataclasses.replace(SNAPSHOT, is_hidden=True, state="", seconds=None, query="")
    lines = told(dataclasses.replace(WELL, snapshot=hidden))
    assert "hidden from this role, 90,000 transactions since" in lines["oldest snapshot"]
    assert "its last query" not in lines


def test_a_warning_comes_last_with_its_statement() -> None:
    *_, (_, text, is_warning) = storage_lines(dataclasses.replace(WELL, snapshot=SNAPSHOT))
    assert is_warning and text.endswith("SELECT pg_terminate_backend(4242)")


def test_a_count_that_stopped_says_more_than() -> None:
    many = dataclasses.replace(WELL, overdue=OverdueJobs(jobs=100_000, late=3, is_capped=True))
    assert told(many)["past their retention"] == "more than 100,000, 3 for over an hour"
