"""Jobs that wait, and why they do."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.monitoring.why_waiting import WaitReason, why_waiting
from tests.rows import make_job
from tests.workload.jobs import noop

TYPE = noop.name


def waiting(**fields: Any) -> Any:
    return make_job(**{"job_type": TYPE, **fields})


def codes(job: Any, **known: Any) -> list[str]:
    return [reason.code for reason in why_waiting(job, **known)]


def only(job: Any, **known: Any) -> WaitReason:
    [reason] = why_waiting(job, **known)
    return reason
