"""The limits of jobstats, and the exit codes that tell of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.rows import ago, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
KNOWN_TYPE = "tests.workload.jobs.noop"


def jobstats(*arguments: str, using: str = "default", **settings: Any) -> str:
    out = io.StringIO()
    changes = {"DATABASE": using, "POOLS": {"default": {}}} | settings
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | changes):
        call_command("jobstats", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str, **settings: Any) -> Any:
    return json.loads(jobstats("--json", *arguments, **settings))


def some_jobs(using: str) -> None:
    make_job(using, job_type=KNOWN_TYPE, queue_name="email", run_after=ago(200))
    make_job(using, job_type=KNOWN_TYPE, product="novaskyn", status=JobStatus.COMPLETED, retry_count=1)
    make_job(using, job_type=KNOWN_TYPE, status=JobStatus.COMPLETED)
    make_job(using, job_type="shop.gone", run_after=ago(30))
    make_job(using, job_type=KNOWN_TYPE, status=JobStatus.RUNNING, updated_at=ago(8_000))
    make_failed_job(using, "timeout")
    make_worker(using)
    make_worker(using, host="web-2", heartbeat_at=ago(90), lease_until=ago(65))


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
