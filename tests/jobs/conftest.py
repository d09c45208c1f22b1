"""The pools of a test are stopped at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.pool_bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for pool in bench.pools:
        pool.stop(0)
