"""jobstats on some jobs."""

from __future__ import annotations

import io
import json
from typing import Any

from django.conf import settings as django_settings
from django.core.management import call_command
from django.test.utils import override_settings

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.rows import ago, make_failed_job, make_job, make_worker

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
    make_job(using, job_type=KNOWN_TYPE, status=JobStatus.BLOCKED)
    make_failed_job(using, "timeout")
    make_worker(using)
    make_worker(using, host="web-2", heartbeat_at=ago(90), lease_until=ago(65))
