"""The report of jobstats as text: aligned, coloured where it may be, and safe for a terminal."""

from __future__ import annotations

import pytest
from django.core.management.color import make_style

from pleme_redis_django.management.jobstats.report import Question, gather
from pleme_redis_django.management.jobstats.text import BAR_WIDTH, TextReport, bar, shown
from tests.management.jobstats_runs import jobstats, some_jobs
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.parametrize("using", BACKENDS)
def test_text_shows_the_same_in_aligned_columns(using: str) -> None:
    some_jobs(using)
    lines = jobstats(using=using).splitlines()
    assert "pleme_redis_django.job  (pools: default)" in lines
    assert any(line.startswith("  queued     2  █") for line in lines)
    assert "  oldest ready job         3 m 20 s" in "\n".join(lines)
    assert "  retries of completed     0.50 on average" in lines
    assert "  running, but silent      1 for over 2 h" in lines
    head = next(line for line in lines if line.lstrip().startswith("product"))
    rows = [line for line in lines if line.startswith(("  default   ", "  novaskyn  "))]
    assert {len(line) for line in (head, *rows)} == {len(head)}, "all as wide as their heading"
    assert any(line.split()[:2] == ["timeout", "1"] for line in lines)
    assert any(line.split()[:2] == ["shop.gone", "1"] for line in lines)
    assert "worker processes: 1 alive, 1 dead" in lines


def test_a_terminal_gets_colours_and_nothing_else_changes() -> None:
    some_jobs("default")
    report = gather(Question())
    plain = list(TextReport(report, make_style("nocolor"), blocks=True).lines())
    coloured = list(TextReport(report, make_style("dark"), blocks=True).lines())
    assert "\x1b[" in "".join(coloured)
    assert "\x1b[" not in "".join(plain)
    assert len(plain) == len(coloured)


def test_names_cannot_steer_the_terminal() -> None:
    make_job(queue_name="a\x1b[2Jb", job_type="x\ny")
    text = jobstats()
    assert "\x1b" not in text
    assert "a?[2Jb" in text
    assert shown("x\ny") == "x?y"


def test_bars_are_proportional_and_never_vanish() -> None:
    assert bar(100, 100, blocks=True) == "█" * BAR_WIDTH
    assert bar(50, 100, blocks=True) == "█" * (BAR_WIDTH // 2)
    assert bar(1, 1_000_000, blocks=True) == "▏"
    assert bar(0, 100, blocks=True) == ""
    assert bar(50, 100, blocks=False) == "#" * (BAR_WIDTH // 2)
    assert bar(1, 1_000_000, blocks=False) == "#"
