"""Presence with 100,000 users online: what a join costs Redis, and what a read costs its caller."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import percentile

USERS = 100_000
JOINS = 2000
READS = 3000
PAGES = 200


def run(_servers: BenchmarkServers) -> list[Row]:
    from pleme_redis_django.redis_state.presence.manager import PresenceManager
    from pleme_redis_django.redis_state.server.redis_call import redis_client

    client, manager = redis_client(), PresenceManager("bench")
    client.flushdb()
    manager.set_online("first")
    for start in range(0, USERS, 1000):
        pipeline = client.pipeline(transaction=False)
        for user in range(start, start + 1000):
            join = manager._join(user, f"c{user}", {"name": f"user {user}"}, False)
            pipeline.execute_command(*next(join).command)
        pipeline.execute()
    client.config_resetstat()
    for number in range(JOINS):
        manager.set_online(f"new{number}", f"n{number}", {"name": "new"})
    join = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
    key = manager.keys.expiries
    bare, checked = [], []
    for _ in range(READS):
        bare.append(_seconds(lambda: client.zscore(key, "500")))
        checked.append(_seconds(lambda: manager.is_online("500")))
    pages = [_seconds(lambda: manager.snapshot(limit=100)) for _ in range(PAGES)]
    ids = list(range(0, 100_000, 1000))
    bulk = [_seconds(lambda: manager.are_online(ids)) for _ in range(PAGES)]
    note = f"{manager.count_online():,} users online"
    client.flushdb()
    return [
        Row(name="presence: join, in Redis", value=join, unit="us", target=200, at_least=False, note=note),
        Row(
            name="presence: is_online / bare ZSCORE, p50",
            value=percentile(checked, 0.5) / percentile(bare, 0.5),
            unit="x",
            target=1.3,
            at_least=False,
            note=f"{1e6 * percentile(checked, 0.5):.0f} us / {1e6 * percentile(bare, 0.5):.0f} us",
        ),
        Row(
            name="presence: page of 100 with metadata, p50",
            value=1000 * percentile(pages, 0.5),
            unit="ms",
            target=3,
            at_least=False,
        ),
        Row(
            name="presence: are_online of 100, p50",
            value=1000 * percentile(bulk, 0.5),
            unit="ms",
            target=3,
            at_least=False,
        ),
    ]


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
