"""Fixtures of the integration tests: worker processes that never outlive their test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.database_proxy import DatabaseProxy
from tests.faults.effects import effects_recorded
from tests.worker_processes import SHORT_LEASES, WorkerProcesses

StartWorkers = Callable[..., WorkerProcesses]


@pytest.fixture
def start_workers(
    transactional_db: None, process_environment: dict[str, str], tmp_path: Path
) -> Iterator[StartWorkers]:
    """``start_workers(*arguments, pool={}, environment={}, **settings)``: a runworkers process.

    ``pool`` are fields of the default pool beside short leases, ``settings`` other keys of
    PLEME_REDIS in lower case.
    """
    started: list[WorkerProcesses] = []
    numbers = itertools.count(1)

    def start(
        *arguments: str,
        pool: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> WorkerProcesses:
        overrides = {key.upper(): value for key, value in settings.items()}
        overrides.setdefault("POOLS", {"default": {**SHORT_LEASES, **(pool or {})}})
        environ = {
            **process_environment,
            "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
            "PLEME_REDIS_OVERRIDES": json.dumps(overrides),
            "EFFECTS_DATABASE_URL": process_environment["DATABASE_URL"],
            **(environment or {}),
        }
        workers = WorkerProcesses(arguments, environ, tmp_path / f"workers-{next(numbers)}.log")
        started.append(workers)
        return workers

    yield start
    for workers in started:
        workers.end()


@pytest.fixture
def effects(transactional_db: None) -> Iterator[None]:
    """The tables of effects and of status changes, for the test."""
    with effects_recorded():
        yield


@pytest.fixture
def database_proxy(process_environment: dict[str, str]) -> Iterator[DatabaseProxy]:
    """A proxy in front of the test's database."""
    proxy = DatabaseProxy(process_environment["DATABASE_URL"])
    yield proxy
    proxy.close()
