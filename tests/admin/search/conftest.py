"""Jobs that a search tells apart."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.jobs.interface.job import JobStatus
from tests.rows import make_failed_job, make_job, make_worker


@pytest.fixture
def jobs(db: None) -> dict[str, Any]:
    """Jobs that differ, each under a name."""
    worker = make_worker(host="web-7")
    return {
        "plain": make_job(),
        "import": make_job(job_type="shop.import", queue_name="bulk"),
        "export": make_job(job_type="shop.export", parameters={"order_id": 42, "to": {"e-mail": "ann"}}),
        "text42": make_job(parameters={"order_id": "42", "flag": True, "none": None, "list": ["a", "b"]}),
        "big": make_job(parameters={"n": 2**63 + 1, "contains": "x", "0": "key"}),
        "nova": make_job(product="novaskyn"),
        "failed": make_failed_job(error_fingerprint="0123456789abcdef" * 2),
        "blocked": make_job(status=JobStatus.BLOCKED),
        "running": make_job(status=JobStatus.RUNNING, worker_id=worker.id),
    }
