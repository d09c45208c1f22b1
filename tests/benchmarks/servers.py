"""The servers that benchmarks run on: durable ones (fsync on), with Django's tables in a fresh database."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pleme_redis_django.testing.servers import BackingServices


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkServers:
    """What ``run(servers)`` of a benchmark gets; Django is set up on the same servers."""

    services: BackingServices
    environment: dict[str, str]
    """For ``env=`` of a subprocess such as ``python -m django runworkers``."""


@contextmanager
def benchmark_servers() -> Iterator[BenchmarkServers]:
    """Start durable servers, set Django up, create the tables; remove everything at the end."""
    from tests import processes
    from tests import settings as test_settings

    with (
        BackingServices(durable=True) as services,
        tempfile.TemporaryDirectory(prefix="pleme-bench-", ignore_cleanup_errors=True) as folder,
    ):
        test_settings.use_servers(
            database_url=services.database_url,
            redis_url=services.redis_url,
            sqlite_path=str(Path(folder) / "bench.sqlite3"),
        )
        with _test_databases():
            yield BenchmarkServers(
                services=services, environment=processes.process_environment(services.redis_url)
            )


@contextmanager
def _test_databases() -> Iterator[None]:
    import django
    from django.db import connections
    from django.test.utils import setup_databases, teardown_databases

    django.setup()
    databases = setup_databases(verbosity=0, interactive=False, aliases=["default"])
    try:
        yield
    finally:
        connections.close_all()
        teardown_databases(databases, verbosity=0)
