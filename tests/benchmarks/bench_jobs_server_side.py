"""A drain on connections that bind values in the server, and have PostgreSQL plan statements without them."""

from __future__ import annotations

import dataclasses

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import drain_rate, start_afresh

JOBS = 20_000


def run(servers: BenchmarkServers) -> list[Row]:
    environment = {**servers.environment, "DJANGO_SETTINGS_MODULE": "tests.server_side_settings"}
    start_afresh(servers)
    return [
        Row(
            name="drain, values bound in the server",
            value=drain_rate(dataclasses.replace(servers, environment=environment), JOBS),
            unit="1/s",
            target=10_000,
            note=f"{JOBS:,} no-op jobs, server_side_binding and prepare_threshold=1",
        )
    ]
