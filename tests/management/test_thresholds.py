"""The limits of jobstats, and the exit codes that tell of them."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from tests.management.jobstats_runs import as_json, jobstats, some_jobs

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (["--max-stale", "0"], "1 stale job, at most 0 allowed"),
        (["--max-ready-age", "60"], "at most 1 m allowed"),
        (["--max-unserved", "0"], "1 ready job of unknown types"),
        (["--min-workers", "2"], "1 live worker process, at least 2 required"),
    ],
)
def test_a_passed_limit_is_exit_code_1(
    limit: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    some_jobs("default")
    with pytest.raises(CommandError, match=said) as failed:
        jobstats("--json", *limit)
    assert failed.value.returncode == 1


def test_limits_that_are_kept_are_exit_code_0() -> None:
    some_jobs("default")
    limits = ["--max-stale", "1", "--max-ready-age", "900", "--max-unserved", "1", "--min-workers", "1"]
    assert as_json(*limits)["exceeded"] == []
