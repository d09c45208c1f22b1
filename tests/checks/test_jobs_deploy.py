"""Deploy checks: what the database says about the pools and the waiting jobs."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.db import connection
from django.test.utils import override_settings

from pleme_redis_django.checks.jobs_deploy import ENGINE_CONNECTIONS, check_job_tables, connections_of
from pleme_redis_django.configured_pools import configured_pool
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.orm_store.handler_threads import MOST_ASYNC_CONNECTIONS
from tests.rows import make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def check(**settings: Any) -> list[Any]:
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | settings):
        return list(check_job_tables())


def ids(messages: list[Any]) -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in messages]


def small_pool(**fields: Any) -> dict[str, Any]:
    return {"default": {"worker_count": 1, "async_count": 1} | fields}


@pytest.mark.parametrize("using", ["default", "sqlite"])
def test_a_small_pool_and_an_empty_table_pass(using: str) -> None:
    assert check(POOLS=small_pool(), DATABASE=using) == []


def test_more_connections_than_the_server_grants_are_a_warning() -> None:
    (message,) = check(POOLS=small_pool(worker_count=1000))
    assert ids([message]) == ["W027"]
    assert "default: 2 x 2006 + 8" in message.msg


def test_every_live_process_is_counted() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        granted = int(cursor.fetchone()[0])
    for _ in range(3):
        make_worker()
    make_worker(died_at="2026-01-01T00:00:00Z")
    (message,) = check(POOLS=small_pool(worker_count=granted // 3))
    assert f"default: 6 x {2 * (granted // 3) + 1 + ENGINE_CONNECTIONS} + 8" in message.msg


def test_a_process_and_its_replacement_are_counted_together() -> None:
    """While one process replaces another, both have the connections of their slots."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        offered = int(cursor.fetchone()[0])
    half = (offered // 2 - ENGINE_CONNECTIONS - 1) // 2  # Each thread counts twice: some jobs are isolated.
    make_worker()
    (message,) = check(POOLS=small_pool(worker_count=half))
    assert ids([message]) == ["W027"]
    assert f"default: 2 x {2 * half + 1 + ENGINE_CONNECTIONS} + 8" in message.msg
    assert "works on until its replacement does" in message.msg
    assert check(POOLS=small_pool(worker_count=half - 5)) == []


def test_processes_that_are_leaving_or_run_suspects_have_no_place_of_their_own() -> None:
    make_worker()
    make_worker(draining_since="2026-01-01T00:00:00Z", drain_reason="has reached a limit")
    make_worker(is_quarantine=True)
    (message,) = check(POOLS=small_pool(worker_count=1000))
    assert "default: 2 x 2006 + 8" in message.msg


def test_an_executor_that_is_not_async_needs_no_async_connections() -> None:
    pools = {"mail": {"executor": "tests.checks.test_jobs.AnyExecutor", "worker_count": 7}}
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"POOLS": pools}):
        assert connections_of(configured_pool("mail")) == 7 + ENGINE_CONNECTIONS


def test_no_more_async_handlers_are_counted_than_have_a_connection_at_once() -> None:
    def connections_with(async_count: int) -> int:
        pools = {"default": {"worker_count": 7, "async_count": async_count}}
        with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"POOLS": pools}):
            return connections_of(configured_pool("default"))

    assert connections_with(1_000) == connections_with(MOST_ASYNC_CONNECTIONS)
    assert connections_with(MOST_ASYNC_CONNECTIONS) == connections_with(MOST_ASYNC_CONNECTIONS - 1) + 1


def test_a_process_of_an_isolated_job_has_a_connection_of_its_own() -> None:
    pools = {"mail": {"executor": "tests.checks.test_jobs.AnyExecutor", "worker_count": 7, "isolated": True}}
    with override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | {"POOLS": pools}):
        assert connections_of(configured_pool("mail")) == 2 * 7 + ENGINE_CONNECTIONS


@pytest.mark.parametrize("using", ["default", "sqlite"])
def test_ready_jobs_of_unknown_types_are_a_warning(using: str) -> None:
    make_job(using, job_type="tests.workload.jobs.noop")
    make_job(using, job_type="shop.gone")
    make_job(using, job_type="shop.gone", status=JobStatus.FAILED)
    (message,) = check(POOLS=small_pool(), DATABASE=using)
    assert ids([message]) == ["W028"]
    assert "1 ready job" in message.msg
    assert "shop.gone (1)" in message.msg


def test_an_executor_without_a_list_of_types_serves_them_all() -> None:
    make_job(job_type="shop.gone")
    pools = small_pool(executor="tests.checks.test_jobs.AnyExecutor")
    assert check(POOLS=pools) == []


def test_tables_that_cannot_be_read_are_a_warning() -> None:
    assert ids(check(DATABASE="nowhere")) == ["W029"]


def test_missing_tables_are_a_warning() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pleme_redis_django_job RENAME TO elsewhere")
    (message,) = check(POOLS=small_pool())
    assert ids([message]) == ["W029"]


def test_only_a_deploy_check_asks_the_database() -> None:
    make_job(job_type="shop.gone")
    tag = ["pleme_redis_django"]
    assert "pleme_redis_django.W028" not in [message.id for message in run_checks(tags=tag)]
    deployed = run_checks(tags=tag, include_deployment_checks=True)
    assert "pleme_redis_django.W028" in [message.id for message in deployed]
