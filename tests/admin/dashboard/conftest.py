"""What the tests of the dashboard's pages see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pleme_redis_django.operations import pause_queue
from pleme_redis_django.redis_state.cache import CacheManager
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from tests.metrics.measuring import measure_now
from tests.rows import ago, make_failed_job, make_job, make_worker


@pytest.fixture
def two_products(db: None) -> Iterator[None]:
    """Jobs, failures, a pause, a worker, presence and a lock of acme, and the same of globex."""
    for product, queue in (("acme", "mails"), ("globex", "secret-queue")):
        worker = make_worker(product=product, host=f"{product}-host")
        running = {"worker_id": worker.pk, "status": "RUNNING", "claimed_at": ago(3), "started_at": ago(2)}
        make_job(product=product, queue_name=queue, job_type=f"{product}.waiting")
        make_job(product=product, queue_name=queue, job_type=f"{product}.running", **running)
        make_failed_job(
            product=product, queue_name=queue, job_type=f"{product}.broken", error_message=f"{product} away"
        )
        pause_queue(queue, product=product, reason=f"{product} pauses", paused_by=f"{product}-ana")
        PresenceManager(product).set_online(1, "c1")
        CacheManager(product).set("key", 1, 60)
    measure_now()
    guards = [LockManager(product).try_lock(f"{product}-lock", 60) for product in ("acme", "globex")]
    yield
    for guard in guards:
        assert guard is not None
        guard.release()
