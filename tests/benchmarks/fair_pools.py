"""What the benchmarks of fair pools share: servers whose one pool is fair or not, and the index of fair claims."""

from __future__ import annotations

import dataclasses
import json

from tests.benchmarks.servers import BenchmarkServers


def make_fair_index() -> None:
    """Make the index of fair pools of every queue, as migrate does where such a pool is configured."""
    from pleme_redis_django.models import Job
    from pleme_redis_django.orm_store.fairness.index import FairIndex

    FairIndex(model=Job, using="default", by_queue=False).make()


def with_pool(servers: BenchmarkServers, *, fair: bool) -> BenchmarkServers:
    """Return the servers with one pool, which is fair or not."""
    overrides = json.loads(servers.environment.get("PLEME_REDIS_OVERRIDES", "{}"))
    overrides |= {"POOLS": {"default": {"fair": fair}}}
    environment = {**servers.environment, "PLEME_REDIS_OVERRIDES": json.dumps(overrides)}
    return dataclasses.replace(servers, environment=environment)
